"""`pack` and `unpack`; and whatever reads a bundle answers the same from one file."""

from __future__ import annotations

import contextlib
import errno
import importlib
import importlib.resources
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from support.command_line import Cli, assert_error
from support.kept_bundles import TEXTS
from support.paths import DATA, ROOT

import albert_edge
from albert_edge.benchmark.roofline import with_roofline
from albert_edge.bundle.bundle import open_bundle
from albert_edge.bundle.manifest import MANIFEST
from albert_edge.compress.options import Int8
from albert_edge.errors import AlbertEdgeError, BundleError, UsageError
from albert_edge.evaluation import evaluate
from albert_edge.graph import writer
from albert_edge.inspection.diff import diff
from albert_edge.report.write import write_report

KEPT = DATA / "bundles" / "schema2"
SHIPPED = ROOT / "models" / "langid-tiny"
FILES = [MANIFEST, *sorted(record.file for record in open_bundle(KEPT).manifest.records())]
IDS = {"input_ids": [[2, 7, 11, 3]]}


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A packed bundle, under a name that says nothing; not to be changed."""
    path = tmp_path_factory.mktemp("packed") / "asset.bin"
    albert_edge.pack(KEPT, path)
    return path


def listing(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# --- there and back -------------------------------------------------------------------------


def test_what_is_unpacked_is_what_was_packed(packed: Path, tmp_path: Path) -> None:
    report = albert_edge.unpack(packed, tmp_path / "out")
    assert (report.file, report.bundle, report.files) == (packed, tmp_path / "out", len(FILES))
    assert listing(tmp_path / "out") == {name: (KEPT / name).read_bytes() for name in FILES}
    albert_edge.optimize(tmp_path / "out", target="portable")  # a bundle like any other


def test_the_file_has_a_name_without_asking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    report = albert_edge.pack(KEPT)
    assert report.file == Path("schema2.albert")
    assert report.bytes == os.path.getsize("schema2.albert")
    assert (report.bundle, report.files) == (KEPT, len(FILES))


def test_a_program_may_ship_one_variant(packed: Path, tmp_path: Path) -> None:
    for source in (KEPT, packed):
        small = albert_edge.pack(source, tmp_path / "small", variants=["model_int8"], force=True)
        assert small.variants == ["model_int8"]
        assert zipfile.ZipFile(small.file).namelist()[-1] == "onnx/model_int8.onnx"
        answers = albert_edge.pipeline(model=small.file, device="cpu")(list(TEXTS))
        assert answers == albert_edge.pipeline(model=KEPT, precision="int8")(list(TEXTS))
    with pytest.raises(BundleError, match="small has no fp32 variant for cpu") as caught:
        albert_edge.Session(small.file, precision="fp32", device="cpu")
    assert caught.value.tip.startswith("It has: int8. Pack more variants")
    with pytest.raises(BundleError, match="has no variant 'model_int4'"):
        albert_edge.pack(KEPT, tmp_path / "none", variants=["model_int4"])
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "precision", ["int8", Int8(weights="unsigned"), "int4", "int8-block", "fp16"], ids=str
)
def test_the_weights_of_one_variant_are_counted(tmp_path: Path, precision: Any) -> None:
    bundle = Path(shutil.copytree(KEPT, tmp_path / "bundle"))
    texts = list(TEXTS)
    made = albert_edge.quantize(bundle, precision, texts=texts, min_agreement=0, min_cosine=0)
    assert made.variant
    name = made.variant.name
    albert_edge.pack(bundle, tmp_path / "one", variants=[name])
    whole, one = albert_edge.inspect(bundle), albert_edge.inspect(tmp_path / "one")
    biases = sum(g.parameters for g in whole.groups) - sum(g.parameters for g in one.groups)
    # The bias of keys changes no answer (softmax ignores it), and other plans leave it out.
    assert biases in (0, 16)
    difference = diff(bundle, tmp_path / "one", variant="model", second_variant=name)
    weights = difference.variants[0].weights
    assert weights and not any("shape" in reason for reason in weights.incomparable.values())
    # The classifier has 32 weights, which int4 rounds for four texts.
    matrices = [row for row in weights.shared if row.name != "classifier.weight"]
    assert len(matrices) > 5 and all(row.cosine > 0.9 for row in matrices)


def test_external_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model over 2 GB keeps its weights beside it; the limit is lowered for this."""
    shutil.copytree(KEPT, tmp_path / "bundle")
    monkeypatch.setattr(writer, "LARGEST_MESSAGE", 5_000)
    albert_edge.optimize(tmp_path / "bundle")
    albert_edge.optimize(tmp_path / "bundle", target="portable")
    albert_edge.pack(tmp_path / "bundle", tmp_path / "packed")
    names = zipfile.ZipFile(tmp_path / "packed").namelist()
    assert "onnx/model_optimized.onnx_data" in names
    for variant in ("model_optimized", "model_optimized_portable"):
        found, expected = (
            albert_edge.Session(tmp_path / name, variant=variant, device="cpu").run(IDS)
            for name in ("packed", "bundle")
        )
        for output, values in expected.items():
            np.testing.assert_array_equal(found[output], values)
    assert albert_edge.inspect(tmp_path / "packed") == albert_edge.inspect(tmp_path / "bundle")
    content = bytearray((tmp_path / "packed").read_bytes())
    content[
        content.index((tmp_path / "bundle/onnx/model_optimized.onnx_data").read_bytes()) + 5
    ] ^= 1
    (tmp_path / "packed").write_bytes(content)
    with pytest.raises(BundleError, match=r"packed/onnx/model_optimized\.onnx_data is not the"):
        albert_edge.Session(tmp_path / "packed", variant="model_optimized", device="cpu")


# --- what exists ----------------------------------------------------------------------------


def test_an_existing_file_is_replaced_only_by_force(tmp_path: Path) -> None:
    path = tmp_path / "model.albert"
    path.write_text("mine")
    with pytest.raises(UsageError, match="exists already") as caught:
        albert_edge.pack(KEPT, path)
    assert "force=True" in caught.value.tip
    assert path.read_text() == "mine"
    albert_edge.pack(KEPT, path, force=True)
    albert_edge.verify(path)


@pytest.mark.parametrize("out", ["folder", "missing/model.albert", "file/model.albert"])
def test_a_place_where_no_file_can_be_is_refused(tmp_path: Path, out: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written") as caught:
        albert_edge.pack(KEPT, tmp_path / out, force=True)
    assert caught.value.option == "out"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder"]


def test_an_existing_folder_is_replaced_only_by_force(packed: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(KEPT, tmp_path / "out"))
    with pytest.raises(UsageError, match="is a bundle already"):
        albert_edge.unpack(packed, out)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    with pytest.raises(UsageError, match="is not empty"):
        albert_edge.unpack(packed, tmp_path / "mine")
    small = albert_edge.pack(KEPT, tmp_path / "small", variants=["model"])
    albert_edge.unpack(small.file, out, force=True)
    assert sorted(path.name for path in (out / "onnx").iterdir()) == ["model.onnx"]
    with pytest.raises(UsageError, match="is a folder already"):
        albert_edge.unpack(out, tmp_path / "again")


def test_damage_leaves_what_was_there(packed: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    content = bytearray(packed.read_bytes())
    content[content.index((KEPT / "onnx/model_int8.onnx").read_bytes()) + 99] ^= 1
    damaged.write_bytes(content)
    shutil.copytree(KEPT, tmp_path / "out")
    before = listing(tmp_path / "out")
    for act in (
        lambda: albert_edge.unpack(damaged, tmp_path / "out", force=True),
        lambda: albert_edge.unpack(damaged, tmp_path / "new"),
        lambda: albert_edge.pack(damaged, tmp_path / "file"),
    ):
        with pytest.raises(BundleError, match=r"onnx/model_int8\.onnx is not the file"):
            act()
    assert listing(tmp_path / "out") == before
    assert {path.name for path in tmp_path.iterdir()} == {"damaged", "out"}


def test_a_full_disk_leaves_what_was_there(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = albert_edge.pack(KEPT, tmp_path / "file", variants=["model"]).file
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BundleError, match="file cannot be written: No space left"):
        albert_edge.pack(KEPT, path, force=True)
    with pytest.raises(BundleError, match=r"out/config\.json cannot be written: No space left"):
        albert_edge.unpack(packed, tmp_path / "out")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == before


def test_what_changes_a_bundle_says_to_unpack_it(packed: Path, tmp_path: Path) -> None:
    before = packed.read_bytes()
    for act in (albert_edge.optimize, albert_edge.quantize):
        with pytest.raises(UsageError, match="is a packed file") as caught:
            act(packed)
        assert f'albert_edge.unpack("{packed}", "BUNDLE")' in caught.value.tip
    with pytest.raises(UsageError, match="is a file"):
        albert_edge.export("langid-tiny", packed, force=True)
    with pytest.raises(AlbertEdgeError, match=r"asset\.bin' is not a folder"):
        albert_edge.export(packed, tmp_path / "out")
    assert packed.read_bytes() == before


# --- killed ---------------------------------------------------------------------------------

fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def dies(act: Callable[..., object], after: int) -> bool:
    """Run `act` in a process that ends at once after so many steps, as if by kill -9.

    Steps are its progress and its calls that rename and flush.
    """
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    steps = iter(range(after))

    def step(*_: object) -> None:
        if next(steps, None) is None:
            os._exit(9)

    def mortal(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            step()
            result = real(*args, **options)
            step()
            return result

        return call

    try:
        for name in ("replace", "rename", "fsync"):
            setattr(os, name, mortal(getattr(os, name)))
        act(progress=step)
        os._exit(0)
    finally:
        os._exit(1)


@fork
@pytest.mark.parametrize("before", ["none", "old"])
def test_killed_at_any_step_pack_leaves_old_or_new(tmp_path: Path, before: str) -> None:
    new = albert_edge.pack(KEPT, tmp_path / "new").file.read_bytes()
    albert_edge.pack(KEPT, tmp_path / "old", variants=["model"])
    states = []
    for after in range(1000):
        path = tmp_path / str(after) / "model.albert"
        path.parent.mkdir()
        if before == "old":
            shutil.copy(tmp_path / "old", path)
        if not dies(partial(albert_edge.pack, KEPT, path, force=True), after):
            break
        left = [entry.name for entry in path.parent.iterdir() if entry != path]
        assert len(left) <= 1
        assert all(name.startswith(".model.albert.writing") for name in left)
        states.append(path.exists() and path.read_bytes() == new)
        if path.exists() and not states[-1]:
            assert path.read_bytes() == (tmp_path / "old").read_bytes()
        albert_edge.pack(KEPT, path, force=True)
        assert [entry.name for entry in path.parent.iterdir()] == ["model.albert"]
        assert path.read_bytes() == new
    assert states == sorted(states)
    assert states.count(False) > 8
    assert states.count(True) >= 1


@fork
def test_killed_at_any_step_unpack_leaves_old_or_new(packed: Path, tmp_path: Path) -> None:
    albert_edge.pack(KEPT, tmp_path / "small", variants=["model"])
    states = []
    for after in range(0, 1000, 4):
        out = tmp_path / str(after)
        albert_edge.unpack(tmp_path / "small", out)
        if not dies(partial(albert_edge.unpack, packed, out, force=True), after):
            break
        states.append(len(open_bundle(out).manifest.variants))
        open_bundle(out).check_all()
        albert_edge.unpack(packed, out, force=True)
        assert listing(out) == {name: (KEPT / name).read_bytes() for name in FILES}
    assert states == sorted(states)
    assert {*states} == {1, 3}


@fork
def test_of_two_packing_at_once_the_second_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.albert"
    errors: list[BundleError] = []

    def meanwhile(*_: object) -> None:
        if not errors:
            with pytest.raises(BundleError, match="Another process") as caught:
                albert_edge.pack(KEPT, path)
            errors.append(caught.value)

    albert_edge.pack(KEPT, path, progress=meanwhile)
    assert errors
    albert_edge.verify(path)


# --- whatever reads a bundle ----------------------------------------------------------------


@pytest.mark.parametrize("variant", ["model", "model_optimized", "model_int8"])
def test_sessions_are_bit_identical(packed: Path, variant: str) -> None:
    found, expected = (
        albert_edge.Session(bundle, variant=variant, device="cpu").run(IDS)
        for bundle in (packed, KEPT)
    )
    assert list(found) == list(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)


@fork
def test_a_child_loads_from_the_file_that_was_opened(packed: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(packed, tmp_path / "copy"))
    session = albert_edge.Session(path, device="cpu", threads=1)
    expected = session.run(IDS)["logits"]
    path.unlink()
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            os._exit(int(not np.array_equal(session.run(IDS)["logits"], expected)))
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    np.testing.assert_array_equal(session.run(IDS)["logits"], expected)


def test_int8_for_cpus_without_exact_signed_sums(
    packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("albert_edge.runtime.adaptation.adds_signed_weights_exactly", lambda: False)
    sessions = [albert_edge.Session(b, precision="int8", device="cpu") for b in (packed, KEPT)]
    assert all(session.adaptation == "unsigned-weights" for session in sessions)
    found, expected = (session.run(IDS)["logits"] for session in sessions)
    np.testing.assert_array_equal(found, expected)


def test_pipelines_and_their_tokenizers(packed: Path, tmp_path: Path) -> None:
    texts = list(TEXTS)
    expected = albert_edge.pipeline(model=KEPT, device="cpu")(texts)
    for model, options in (
        (packed, {}),
        (str(packed), {"tokenizer": packed}),
        (KEPT, {"tokenizer": packed}),
        (packed, {"tokenizer": str(KEPT), "config": KEPT}),
        (packed, {"config": packed}),
    ):
        assert albert_edge.pipeline(model=model, device="cpu", **options)(texts) == expected
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="which is not a bundle"):
        albert_edge.pipeline(model=packed, tokenizer=tmp_path / "notes.txt")
    with albert_edge.pipeline(model=packed, device="cpu") as classify:
        assert "'asset.bin'" in repr(classify)


def test_reports_are_equal(packed: Path, tmp_path: Path) -> None:
    assert albert_edge.inspect(packed) == albert_edge.inspect(KEPT)
    assert albert_edge.verify(packed).files == albert_edge.verify(KEPT).files
    assert diff(packed, KEPT).equal and diff(KEPT, packed).equal
    ours, theirs = (
        diff(bundle, variant="model", second_variant="model_int8").variants
        for bundle in (packed, KEPT)
    )
    assert ours == theirs
    data = tmp_path / "labelled.tsv"
    data.write_text("text\tlabel\n" + "".join(f"{text}\tPOSITIVE\n" for text in TEXTS))
    results = [evaluate(bundle, data, device="cpu") for bundle in (packed, KEPT)]
    assert results[0].precisions == results[1].precisions
    assert results[0].bundle == packed


def test_it_is_measured_and_shown(packed: Path, tmp_path: Path) -> None:
    measured = albert_edge.bench(
        packed, shapes=[(1, 4)], precisions=["int8"], threads=[1], rounds=1, device="cpu"
    )
    assert measured.bundle == str(packed)
    roofline = with_roofline(measured).roofline
    assert roofline and roofline[0].variant == "model_int8"
    page = write_report(packed, tmp_path / "page.html", measured)
    assert page.bytes > 1000


def test_sentence_transformers_bundles(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    shutil.copytree(SHIPPED, checkpoint)
    module = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}
    pooling = {**module, "idx": 1, "path": "1_Pooling"}
    pooling["type"] = "sentence_transformers.models.Pooling"
    (checkpoint / "modules.json").write_text(json.dumps([module, pooling]))
    (checkpoint / "1_Pooling").mkdir()
    settings = {"word_embedding_dimension": 128, "pooling_mode_mean_tokens": True}
    (checkpoint / "1_Pooling" / "config.json").write_text(json.dumps(settings))
    albert_edge.export(checkpoint, tmp_path / "bundle", task="sentence-embeddings")
    albert_edge.pack(tmp_path / "bundle", tmp_path / "packed")
    assert "1_Pooling/config.json" in zipfile.ZipFile(tmp_path / "packed").namelist()
    found, expected = (
        albert_edge.pipeline("sentence-embeddings", model=tmp_path / name, device="cpu")(TEXTS[0])
        for name in ("packed", "bundle")
    )
    np.testing.assert_array_equal(found, expected)


# --- assets of a program --------------------------------------------------------------------


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package with a model in it, not yet on the path."""
    package = tmp_path / "site" / "app_with_model"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    albert_edge.pack(KEPT, package / "model.albert")
    yield package
    sys.modules.pop("app_with_model", None)
    importlib.invalidate_caches()


def test_a_resource_of_a_package_is_a_path(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(app.parent)
    resource: Any = importlib.resources.files("app_with_model") / "model.albert"
    assert albert_edge.pipeline(model=resource, device="cpu")(TEXTS[0])


def test_a_resource_in_a_zip_file_becomes_a_path(
    app: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        for path in app.iterdir():
            archive.write(path, f"app_with_model/{path.name}")
    monkeypatch.syspath_prepend(tmp_path / "app.zip")
    resource: Any = importlib.resources.files("app_with_model") / "model.albert"
    with pytest.raises(UsageError, match="not the path of a bundle") as caught:
        albert_edge.pipeline(model=resource)
    assert "as_file" in caught.value.tip
    with importlib.resources.as_file(resource) as path:
        classify = albert_edge.pipeline(model=path, device="cpu")
    # On Linux the file may be gone now: what was opened stays.
    assert classify(TEXTS[0]) == albert_edge.pipeline(model=KEPT, device="cpu")(TEXTS[0])


# --- the command line -----------------------------------------------------------------------


def test_commands(cli: Cli, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = cli("pack", KEPT, "-o", "m.albert", "--variant", "model", "--variant", "model_int8")
    assert (done.code, done.out) == (0, "m.albert\n")
    assert "Packed 7 files with model, model_int8" in done.err
    assert_error(cli("pack", KEPT, "-o", "m.albert"), 2, "exists already", "--force")
    report = json.loads(cli("pack", KEPT, "-o", "m.albert", "--force", "--json").out)
    assert report == {
        "schema_version": 1,
        "bundle": str(KEPT),
        "file": "m.albert",
        "bytes": os.path.getsize("m.albert"),
        "files": len(FILES),
        "variants": ["model", "model_optimized", "model_int8"],
    }
    text = TEXTS[0]
    assert cli("predict", "m.albert", text).out == cli("predict", KEPT, text).out
    assert "Nothing differs" in cli("inspect", "m.albert", "--diff", KEPT).out
    assert cli("inspect", "m.albert").out == cli("inspect", KEPT).out
    assert cli("verify", "m.albert").out == "7 files match the manifest.\n"
    done = cli("quantize", "m.albert")
    assert_error(done, 2, "m.albert is a packed file", "albert-edge unpack m.albert BUNDLE")
    done = cli("unpack", "m.albert", "out")
    assert (done.code, done.out, done.err) == (0, "out\n", f"Unpacked {len(FILES)} files.\n")
    assert_error(cli("unpack", "m.albert", "out"), 2, "is a bundle already", "--force")
    report = json.loads(cli("unpack", "m.albert", "out", "--force", "--json").out)
    assert report == {"schema_version": 1, "file": "m.albert", "bundle": "out", "files": len(FILES)}
    assert_error(cli("pack", KEPT, "-o", "no/m.albert"), 2, "--output: no/m.albert cannot")


# --- memory ---------------------------------------------------------------------------------

GROWTH = """
import gc, sys
import numpy, onnxruntime
import albert_edge.bundle.packed
from albert_edge import Session
from albert_edge.benchmark.memory import forget_peak, read_memory

Session(sys.argv[1], variant="model", device="cpu", threads=1)  # what every first load takes
gc.collect()
forget_peak()
before, _ = read_memory()
session = Session(sys.argv[2], variant="model", device="cpu", threads=1)
gc.collect()
loaded, peak = read_memory()
print(loaded - before, peak - before)
"""


def large_bundle(folder: Path) -> Path:
    """The model that ships with a vocabulary of 100,000, which makes it 27 MB."""
    checkpoint = folder / "checkpoint"
    checkpoint.mkdir(parents=True)
    config = json.loads((SHIPPED / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps({**config, "vocab_size": 100_000}))
    tensors = load_file(SHIPPED / "model.safetensors")
    name = "albert.embeddings.word_embeddings.weight"
    tensors[name] = np.resize(tensors[name], (100_000, config["embedding_size"]))
    save_file(tensors, checkpoint / "model.safetensors")
    return albert_edge.export(checkpoint, folder / "bundle").bundle


def grown(bundle: Path) -> tuple[float, float]:
    """What a process grows by while it loads a bundle, in MB: afterwards, and at the most."""
    command = [sys.executable, "-c", GROWTH, str(KEPT), str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded, peak = map(float, done.stdout.split())
    return loaded, peak


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_loading_takes_one_copy_more_and_gives_it_back(tmp_path: Path) -> None:
    bundle = large_bundle(tmp_path)
    size = (bundle / "onnx/model.onnx").stat().st_size / 1e6
    albert_edge.pack(bundle, tmp_path / "packed")
    loaded, peak = grown(bundle)
    loaded_packed, peak_packed = grown(tmp_path / "packed")
    assert size > 20
    assert loaded > 0.8 * size  # else nothing was measured
    assert loaded_packed - loaded < 0.1 * size
    assert peak_packed - peak < 1.1 * size
