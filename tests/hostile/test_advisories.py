"""Public advisories about model files since 2024, each as a case: what it did does not happen here.

A case is a checkpoint or a bundle as an attacker would publish it, by the identifier of the
advisory. `ADVISORIES` in docs/security.md lists the same identifiers.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import re
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from support.checkpoints import change_config, make_model
from support.hostile import Row, judge
from support.paths import DATA, ROOT
from support.pipelines import checkpoint

import albert_edge

Report = Callable[[Row], None]
Case = Callable[[Path], object]

SECRET = np.linspace(1, 2, 16 * 300, dtype=np.float32).tobytes()
CHECKPOINTS: dict[str, Case] = {}
MODELS: dict[str, Case] = {}


def advisory(*names: str) -> Callable[[Case], Case]:
    """Register a case about a checkpoint, a function of its folder, under its identifiers."""

    def register(case: Case) -> Case:
        CHECKPOINTS[", ".join(names)] = case
        return case

    return register


def model_advisory(*names: str) -> Callable[[Case], Case]:
    """Register a case about the model of a bundle, a function of the bundle."""

    def register(case: Case) -> Case:
        MODELS[", ".join(names)] = case
        return case

    return register


class Attack:
    """Makes a folder "canary" when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("canary",)


ATTACK = pickle.dumps(Attack(), protocol=2)


# Pickles


def only_pickle(folder: Path, write: Callable[[Path], object]) -> None:
    (folder / "model.safetensors").unlink()
    write(folder / "pytorch_model.bin")


@advisory("CVE-2025-32434", "GHSA-53q9-r3pm-6pq6")
def tar_of_old_torch(folder: Path) -> None:
    """torch.load with weights_only ran code from a tar archive, the format before torch 0.4."""

    def write(path: Path) -> None:
        with tarfile.open(path, "w") as archive:
            for name in ("storages", "tensors", "pickle"):
                entry = tarfile.TarInfo(name)
                entry.size = len(ATTACK)
                archive.addfile(entry, io.BytesIO(ATTACK))

    only_pickle(folder, write)


@advisory("CVE-2026-24747")
def items_of_a_tensor(folder: Path) -> None:
    """torch.load with weights_only set items of what is no dictionary: it wrote into memory."""

    def write(path: Path) -> None:
        torch.save({"a": torch.zeros(4)}, path)
        with zipfile.ZipFile(path) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        data = next(name for name in files if name.endswith("data.pkl"))
        # The tensor that ends the dictionary gets an item of its own: K\x09 K\x01 s.
        files[data] = files[data].removesuffix(b"s.").removesuffix(b"u.") + b"K\x09K\x01ss."
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)

    only_pickle(folder, write)


@advisory("CVE-2026-24747 (storage)")
def storage_shorter_than_declared(folder: Path) -> None:
    """The second half: a storage with fewer bytes in the archive than the pickle declares."""

    def write(path: Path) -> None:
        torch.save({"a": torch.zeros(4_000)}, path)
        with zipfile.ZipFile(path) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content[:16] if re.search(r"/data/0$", name) else content)

    only_pickle(folder, write)


@advisory(
    "CVE-2024-3568",
    "CVE-2024-11392",
    "CVE-2024-11393",
    "CVE-2024-11394",
    "GHSA-hxxf-235m-72v3",
    "CVE-2026-1839",
)
def pickles_beside_the_weights(folder: Path) -> str:
    """Transformers unpickled files beside the weights: extra_data, other models', rng_state."""
    for name in (
        "extra_data.pickle",
        "checkpoint.pkl",
        "model.pkl",
        "rng_state.pth",
        "optimizer.pt",
    ):
        (folder / name).write_bytes(ATTACK)
    (folder / "checkpoint").mkdir()
    (folder / "checkpoint" / "extra_data.pickle").write_bytes(ATTACK)
    return "accepted"


# Configurations


@advisory("CVE-2026-4372", "GHSA-29pf-2h5f-8g72")
def attention_from_the_hub(folder: Path) -> None:
    """A field of config.json had transformers run code of a repository of the hub."""
    change_config(folder, _attn_implementation_internal="attacker/kernel")


@advisory("CVE-2026-9856")
def names_of_chat_templates(folder: Path) -> str:
    """Transformers wrote files under names that tokenizer_config.json gives."""
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({"chat_template": {"../canary": "a", "/var/canary": "b"}}))
    return "either"


# Other frameworks


def only_h5(folder: Path, change: Callable[[h5py.File], object]) -> None:
    shutil.rmtree(folder)
    shutil.copytree(DATA / "keras" / "text-classification", folder)
    with h5py.File(folder / "tf_model.h5", "r+") as file:
        change(file)


@advisory("CVE-2025-9905", "GHSA-36rr-ww3j-vrjv")
def lambda_of_keras(folder: Path) -> str:
    """Keras ran the code of Lambda layers that an attribute of an .h5 file holds."""
    layer = {"class_name": "Lambda", "config": {"function": [ATTACK.hex(), None, None]}}
    config = {"class_name": "Sequential", "config": {"layers": [layer]}}
    only_h5(folder, lambda file: file.attrs.update(model_config=json.dumps(config)))
    return "accepted"


@advisory("CVE-2026-0897", "GHSA-xfhx-r7ww-5995")
def vast_shape_of_keras(folder: Path) -> None:
    """Keras allocated the shape that a dataset declares, of which the file holds nothing."""

    def change(file: h5py.File) -> None:
        file.create_dataset("vast", (10**6, 10**6, 10**3), "f4", chunks=True, compression="gzip")

    only_h5(folder, change)


@advisory("CVE-2025-1550", "GHSA-48g7-3x6r-xfhp", "CVE-2026-1462")
def archive_of_keras(folder: Path) -> None:
    """Keras ran functions, and loaded models, that config.json of a .keras archive names."""
    (folder / "model.safetensors").unlink()
    config = {"module": "os", "class_name": "function", "config": "mkdir", "args": ["canary"]}
    with zipfile.ZipFile(folder / "model.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(config))


def export(source: Path) -> None:
    """Export from an empty folder, which shows what was written."""
    os.chdir(source.parent)
    albert_edge.export(source, source.with_name("out"))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good") / "checkpoint"
    return checkpoint(folder, "text-classification", "spiece.model")


def test_checkpoints(good: Path, tmp_path: Path, report: Report) -> None:
    cases, expected = [], {}
    for at, (name, case) in enumerate(CHECKPOINTS.items()):
        source = Path(shutil.copytree(good, tmp_path / f"{at}" / "checkpoint"))
        expected[name] = case(source) or "refused"
        cases.append((name, source))
    verdicts = judge(export, cases, mib=64)
    wrong = [v for v in verdicts if expected[v.name] not in (v.outcome, "either")]
    report(
        replace(
            Row.of("Advisories about checkpoints: it does not happen", verdicts),
            failures=len(wrong),
        )
    )
    assert wrong == []
    assert not [path for path in tmp_path.rglob("canary*")]


# Models


def with_external(bundle: Path, location: str, **entries: str) -> None:
    """Move the values of the first large weight into a file that the manifest does not list."""
    model = onnx.load(bundle / "onnx" / "model.onnx")
    tensor = next(item for item in model.graph.initializer if len(item.raw_data) >= 4_000)
    tensor.raw_data = b""
    tensor.data_location = TensorProto.EXTERNAL
    size = 4 * int(np.prod(tensor.dims))
    for key, value in {"location": location, "offset": "0", "length": str(size), **entries}.items():
        tensor.external_data.add(key=key, value=value)
    save(bundle, model)


def save(bundle: Path, model: onnx.ModelProto) -> None:
    """Write the model and a manifest with its hash, as an attacker does."""
    content = model.SerializeToString()
    (bundle / "onnx" / "model.onnx").write_bytes(content)
    manifest = json.loads((bundle / "albert_edge.json").read_text(encoding="utf-8"))
    for record in manifest["variants"][0]["files"]["model"]:
        record["sha256"], record["bytes"] = hashlib.sha256(content).hexdigest(), len(content)
    (bundle / "albert_edge.json").write_text(json.dumps(manifest), encoding="utf-8")


def secret(bundle: Path) -> Path:
    """A file outside of the bundle that is long enough for any weight."""
    path = bundle.parent / "secret"
    path.write_bytes(SECRET * 20)
    return path


@model_advisory("CVE-2024-27318", "GHSA-whh8-fjgc-qp73")
def path_with_parents(bundle: Path) -> None:
    """Onnx read external data through a path with .. after its first part."""
    secret(bundle)
    (bundle / "onnx" / "junk").mkdir()
    with_external(bundle, "junk/../../../secret")


@model_advisory("CVE-2026-27489")
def folder_that_is_a_link(bundle: Path) -> None:
    """Onnx followed a link in the middle of the path of external data."""
    (bundle / "onnx" / "link").symlink_to(secret(bundle).parent)
    with_external(bundle, "link/secret")


@model_advisory("CVE-2026-34447", "GHSA-p433-9wv8-28xj")
def file_that_is_a_link(bundle: Path) -> None:
    """Onnx followed a link at the end of the path of external data."""
    (bundle / "onnx" / "weights").symlink_to(secret(bundle))
    with_external(bundle, "weights")


@model_advisory("CVE-2026-34446", "GHSA-cmw6-hcpp-c6jp")
def file_with_two_names(bundle: Path) -> None:
    """Onnx refused links, and read a file through a second name of it."""
    os.link(secret(bundle), bundle / "onnx" / "weights")
    with_external(bundle, "weights")


@model_advisory("CVE-2026-34445")
def other_keys_of_external_data(bundle: Path) -> None:
    """Onnx set any attribute that the description of external data names."""
    shutil.copy(secret(bundle), bundle / "onnx" / "weights")
    with_external(bundle, "weights", __class__="a", length="9" * 30, basepath="/etc")


@model_advisory("CVE-2025-51480", "CVE-2024-27318 (written)")
def file_that_would_be_written(bundle: Path) -> None:
    """Onnx wrote external data over a file outside of the folder when it saved a model."""
    secret(bundle)
    with_external(bundle, "../../secret")


@model_advisory("CVE-2024-27319", "GHSA-h8wv-9h96-m4hr")
def fewer_values_than_the_shape(bundle: Path) -> None:
    """Onnx read beyond the end of what a tensor holds."""
    model = onnx.load(bundle / "onnx" / "model.onnx")
    tensor = next(item for item in model.graph.initializer if len(item.raw_data) >= 4_000)
    tensor.raw_data = tensor.raw_data[:8]
    save(bundle, model)


def use(bundle: Path) -> None:
    """Load it, read its weights, and write another model of them: each must be refused."""
    actions: list[Callable[[], object]] = [
        lambda: albert_edge.Session(bundle, device="cpu", threads=1),
        lambda: albert_edge.optimize(bundle),
    ]
    refusals = []
    for action in actions:
        try:
            action()
        except albert_edge.AlbertEdgeError as error:
            refusals.append(error)
    if len(refusals) == len(actions):
        raise refusals[0]


def test_models(good: Path, tmp_path: Path, report: Report) -> None:
    cases = []
    for at, (name, case) in enumerate(MODELS.items()):
        bundle = tmp_path / f"{at}" / "bundle"
        albert_edge.export(good, bundle)
        case(bundle)
        cases.append((name, bundle))
    secrets = list(tmp_path.glob("*/secret"))
    verdicts = judge(use, cases, mib=64)
    wrong = [verdict for verdict in verdicts if verdict.outcome != "refused"]
    report(
        replace(
            Row.of("Advisories about models: it does not happen", verdicts), failures=len(wrong)
        )
    )
    assert wrong == []
    assert secrets
    assert all(path.read_bytes() == SECRET * 20 for path in secrets)


# What is never called


# Benchmarks pickle what their own processes send each other; no file is unpickled.
NEVER = {
    "CVE-2024-5187, GHSA-6rq9-53c3-f7vj": r"onnx\.hub|onnx import hub",
    "CVE-2026-28500, GHSA-hqmj-h5c6-369m": r"onnx\.hub|onnx import hub",
    "CVE-2024-3568": r"\b(?:pickle|dill|joblib)\.load\(",
    "huggingface_hub issues 3896 and 4086": r"local_dir\s*=",
    "remote code": r"trust_remote_code\s*=\s*True",
}


def test_what_is_never_called(report: Report) -> None:
    """Functions that advisories are about do not occur in the package."""
    files = sorted((ROOT / "albert_edge").rglob("*.py"))
    texts = {
        path: path.read_text(encoding="utf-8") for path in files if "benchmark" not in path.parts
    }
    found = [
        (name, path)
        for name, pattern in NEVER.items()
        for path, text in texts.items()
        if re.search(pattern, text)
    ]
    report(Row("Advisories about functions: they are never called", len(NEVER), len(found)))
    assert len(texts) > 100
    assert found == []


def test_torch_that_is_too_old_reads_no_pickles(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CVE-2025-32434 and CVE-2026-24747 are torch's own, fixed in 2.6 and 2.10."""
    source = Path(shutil.copytree(good, tmp_path / "checkpoint"))
    only_pickle(
        source, lambda path: torch.save(make_model("text-classification").state_dict(), path)
    )
    monkeypatch.setattr(torch, "__version__", type(torch.__version__)("2.9.1"))
    with pytest.raises(albert_edge.AlbertEdgeError, match=r"2\.9\.1 is too old"):
        albert_edge.export(source, tmp_path / "out")
