"""Weights in every format, and the files beside them, that a stranger wrote."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import SafetensorError, deserialize
from support.checkpoints import make_model
from support.hostile import Row, failures, how_many, judge
from support.json_mutations import mutate_bytes, mutate_json, seeded
from support.paths import DATA
from support.pipelines import checkpoint
from support.special_files import SPECIAL, replace_file

import albert_edge
from albert_edge.checkpoint import recipes
from albert_edge.checkpoint.formats.base import FLOATS
from albert_edge.checkpoint.formats.safetensors import read_safetensors

Report = Callable[[Row], None]

SAFETENSORS = "model.safetensors"
INDEX = "model.safetensors.index.json"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good") / "checkpoint"
    return checkpoint(folder, "text-classification", "spiece.model")


@pytest.fixture
def source(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "checkpoint"))


def export(source: Path, out: Path, file: str, content: bytes, **options: Any) -> None:
    """Export with another content of a file; what is accepted loads."""
    (source / file).write_bytes(content)
    albert_edge.export(source, out, force=True, **options)
    albert_edge.Session(out, device="cpu", threads=1).close()


def judged(
    promise: str, decide: Callable[[Any], object], cases: Sequence[Any], report: Report
) -> None:
    verdicts = judge(decide, cases, mib=64)
    report(Row.of(promise, verdicts))
    assert failures(verdicts) == []
    assert "refused" in {verdict.outcome for verdict in verdicts}


# model.safetensors


def mutate_safetensors(content: bytes, draw: random.Random) -> bytes:
    """Change a header by its structure, its length, or any bytes of the file."""
    length = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    kind = draw.randrange(8)
    if kind == 0:
        return mutate_bytes(content, draw)
    if kind == 1:
        sizes = (0, 1, length - 1, length + 1, length + 8, len(content), 2**31, 2**63, 2**64 - 1)
        return draw.choice(sizes).to_bytes(8, "little") + content[8:]
    if kind == 2:  # the name of a tensor twice
        name = draw.choice(list(header))
        twice = json.dumps(header)[:-1] + f", {json.dumps(name)}: {json.dumps(header[name])}}}"
        text = twice.encode()
        return len(text).to_bytes(8, "little") + text + data
    if kind == 3:  # offsets that overlap, run backwards, or leave a hole
        entry = header[draw.choice([name for name in header if name != "__metadata__"])]
        at = draw.randrange(2)
        entry["data_offsets"][at] += draw.choice((-4, 4, -1, 1, 2**32, -(2**32), len(data)))
        text = json.dumps(header).encode()
    elif kind == 4:
        entry = header[draw.choice([name for name in header if name != "__metadata__"])]
        entry["shape"] = draw.choice(
            ([], [0], [2**62, 4], [2**32, 2**32], [-1, -1], [1] * 1_000, entry["shape"][::-1])
        )
        text = json.dumps(header).encode()
    else:
        text = mutate_json(header, draw)
    tail = draw.choice((b"", b"", b"", b"\0", b" " * 100))
    return len(text).to_bytes(8, "little") + text + data + tail


def read_by_hand(content: bytes) -> dict[str, bytes]:
    """The values of each tensor, as the format says."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    values = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        values[name] = content[8 + length + start : 8 + length + end]
    return values


def test_safetensors(source: Path, tmp_path: Path, report: Report) -> None:
    """What the library refuses is refused; what is accepted has the values of the file."""
    whole = (source / SAFETENSORS).read_bytes()

    untyped: Any = deserialize

    def decide(content: bytes) -> None:
        (source / SAFETENSORS).write_bytes(content)
        ours = read_safetensors(source / SAFETENSORS)
        floats = {tensor.name: tensor.read() for tensor in ours if tensor.dtype in FLOATS}
        try:
            theirs = {name: bytes(entry["data"]) for name, entry in untyped(content)}
        except SafetensorError as error:
            raise AssertionError("accepted what the library refuses") from error
        by_hand = read_by_hand(content)
        for name, values in floats.items():
            assert values.tobytes() == theirs[name] == by_hand[name], name
        export(source, tmp_path / "out", SAFETENSORS, content)

    decide(whole)
    cases = seeded(partial(mutate_safetensors, whole), how_many(25, 700))
    judged("Weights in safetensors are exported or refused", decide, cases, report)


def test_indexes(source: Path, tmp_path: Path, report: Report) -> None:
    """Shards that are missing, elsewhere, or are no weights."""
    (source / SAFETENSORS).rename(source / "model-00001-of-00001.safetensors")
    names = read_by_hand((source / "model-00001-of-00001.safetensors").read_bytes())
    index = {
        "metadata": {"total_size": 1},
        "weight_map": dict.fromkeys(names, "model-00001-of-00001.safetensors"),
    }
    decide = partial(export, source, tmp_path / "out", INDEX)
    decide(json.dumps(index).encode())
    cases = seeded(partial(mutate_json, index), how_many(10, 300))
    judged("An index of shards is followed or refused", decide, cases, report)


# The other formats


@pytest.mark.parametrize(
    ("folder", "file"),
    [
        ("keras/text-classification", "tf_model.h5"),
        ("flax/text-classification", "flax_model.msgpack"),
        ("tensorflow/google", "model.ckpt-best.index"),
        ("tensorflow/google", "model.ckpt-best.data-00000-of-00001"),
    ],
    ids=["keras", "flax", "index", "data"],
)
def test_other_frameworks(folder: str, file: str, tmp_path: Path, report: Report) -> None:
    source = Path(shutil.copytree(DATA / folder, tmp_path / "checkpoint"))
    whole = (source / file).read_bytes()
    task = "pretraining" if folder.startswith("tensorflow") else "auto"

    def decide(content: bytes) -> None:
        export(source, tmp_path / "out", file, content, task=task)

    decide(whole)

    def mutate(draw: random.Random) -> bytes:
        """Every other time only in the first 4 kB, where the structure is."""
        if draw.random() < 0.5:
            return mutate_bytes(whole, draw)
        return mutate_bytes(whole[:4096], draw) + whole[4096:]

    cases = seeded(mutate, how_many(6, 1_000))
    suffix = file.rpartition(".")[2]
    judged(f"Weights of other frameworks, {suffix}: exported or refused", decide, cases, report)


@pytest.fixture
def unpickled(tmp_path: Path) -> Path:
    """A checkpoint whose weights are to be pickled."""
    model = make_model("text-classification")
    model.save_pretrained(tmp_path / "pickled")
    torch.save(model.state_dict(), tmp_path / "pickled" / "pytorch_model.bin")
    (tmp_path / "pickled" / SAFETENSORS).unlink()
    return tmp_path / "pickled"


@pytest.mark.parametrize("is_archive", [True, False], ids=["archive", "before torch 1.6"])
def test_pickles(is_archive: bool, unpickled: Path, tmp_path: Path, report: Report) -> None:
    path = unpickled / "pytorch_model.bin"
    torch.save(torch.load(path), path, _use_new_zipfile_serialization=is_archive)
    whole = path.read_bytes()
    decide = partial(export, unpickled, tmp_path / "out", path.name)
    decide(whole)
    cases = seeded(partial(mutate_bytes, whole), how_many(6, 500))
    name = "an archive" if is_archive else "the format before torch 1.6"
    judged(f"A pickle in {name} is exported or refused", decide, cases, report)


class Call:
    """Calls a function when it is unpickled."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def archive(data: bytes, *, compression: int = zipfile.ZIP_STORED) -> Callable[[Path], None]:
    """An archive of torch with another pickle in it."""

    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", compression) as file:
            file.writestr("archive/data.pkl", data)
            file.writestr("archive/version", "3\n")
            file.writestr("archive/byteorder", "little")
            file.writestr("archive/data/0", bytes(16))

    return write


def laughs() -> bytes:
    """Lists of ten references to the list before them, twenty deep."""
    nested: Any = "a"
    for _ in range(20):
        nested = [nested] * 10
    return pickle.dumps(nested)


def vast(path: Path) -> None:
    """A tensor of 4 TB over 16 bytes, by strides of 0."""
    torch.save({"a": torch.zeros(4).as_strided((10**6, 10**6), (0, 0))}, path)


def a_command(path: Path) -> None:
    path.write_bytes(pickle.dumps(Call(os.system, "touch canary")))


PICKLES: dict[str, Callable[[Path], None]] = {
    "a command": archive(pickle.dumps(Call(os.system, "touch canary"))),
    "an evaluation": archive(pickle.dumps(Call(eval, "open('canary', 'w')"))),
    "an import": archive(b"cbase64\nb64decode\n(V\ntR."),
    "a file that is written": archive(pickle.dumps(Call(os.mkdir, "canary"))),
    "a million times itself": archive(laughs()),
    "a gigabyte of bytes": archive(pickle.dumps(Call(bytearray, 2**30))),
    "a gigabyte that is compressed": archive(
        b"\x80\x02X" + (2**26).to_bytes(4, "little") + b"a" * 2**26 + b".",
        compression=zipfile.ZIP_DEFLATED,
    ),
    "values that are not there": vast,
    "a reference to itself": archive(b"\x80\x02]q\x00h\x00a."),
    "no end": archive(b"\x80\x02" + b"(" * 100_000),
    "nothing": archive(b""),
    "a command without an archive": a_command,
}


@pytest.mark.parametrize("name", PICKLES)
def test_pickles_by_hand(
    name: str, unpickled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = unpickled / "pytorch_model.bin"
    PICKLES[name](path)

    def decide(_: None) -> None:
        albert_edge.export(unpickled, tmp_path / "out")

    (verdict,) = judge(decide, [(name, None)], mib=64)
    assert verdict.outcome == "refused", verdict
    assert not (tmp_path / "canary").exists()


# The files beside the weights


MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"},
    {
        "idx": 3,
        "name": "3",
        "path": "3_Normalize",
        "type": "sentence_transformers.models.Normalize",
    },
]
SENTENCE_FILES: dict[str, Any] = {
    "modules.json": MODULES,
    "config_sentence_transformers.json": {
        "__version__": {"sentence_transformers": "3.0.0"},
        "prompts": {"query": "query: ", "document": ""},
        "default_prompt_name": None,
        "similarity_fn_name": "cosine",
        "truncate_dim": 4,
    },
    "sentence_bert_config.json": {"max_seq_length": 32, "do_lower_case": False},
    "1_Pooling/config.json": {
        "word_embedding_dimension": 24,
        "pooling_mode_cls_token": False,
        "pooling_mode_mean_tokens": True,
        "pooling_mode": "mean",
        "include_prompt": True,
    },
    "2_Dense/config.json": {
        "in_features": 24,
        "out_features": 6,
        "bias": True,
        "activation_function": "torch.nn.modules.activation.Tanh",
    },
}


def test_sentence_files(tmp_path: Path, report: Report) -> None:
    from safetensors.numpy import save_file

    source = checkpoint(tmp_path / "checkpoint", "feature-extraction", "spiece.model")
    for file, document in SENTENCE_FILES.items():
        (source / file).parent.mkdir(exist_ok=True)
        (source / file).write_text(json.dumps(document), encoding="utf-8")
    weights = {"linear.weight": np.ones((6, 24), np.float32), "linear.bias": np.ones(6, np.float32)}
    save_file(weights, source / "2_Dense" / "model.safetensors")

    def decide(case: tuple[str, bytes]) -> None:
        for file, document in SENTENCE_FILES.items():
            (source / file).write_text(json.dumps(document), encoding="utf-8")
        export(source, tmp_path / "out", *case)
        encode = albert_edge.pipeline("sentence-embeddings", model=tmp_path / "out", threads=1)
        assert np.isfinite(encode.encode("a good film", truncation=True)).all()

    def mutate(draw: random.Random) -> tuple[str, bytes]:
        file = draw.choice(list(SENTENCE_FILES))
        return file, mutate_json(SENTENCE_FILES[file], draw)

    for file, document in SENTENCE_FILES.items():
        decide((file, json.dumps(document).encode()))
    cases = seeded(mutate, how_many(10, 1_000))
    judged("Files of sentence-transformers are exported or refused", decide, cases, report)


ADAPTER = {
    "peft_type": "LORA",
    "task_type": "SEQ_CLS",
    "base_model_name_or_path": None,
    "r": 2,
    "lora_alpha": 4,
    "lora_dropout": 0.0,
    "bias": "none",
    "use_rslora": False,
    "fan_in_fan_out": False,
    "init_lora_weights": True,
    "target_modules": ["query"],
    "modules_to_save": ["classifier"],
    "rank_pattern": {"query": 2},
    "alpha_pattern": {".*query": 4},
    "revision": None,
    "inference_mode": True,
}


def test_adapters(good: Path, tmp_path: Path, report: Report) -> None:
    from safetensors.numpy import save_file

    adapter = tmp_path / "adapter"
    adapter.mkdir()
    module = "base_model.model.albert.encoder.albert_layer_groups.0.albert_layers.0.attention.query"
    factors = {"A": np.ones((2, 24), np.float32), "B": np.ones((24, 2), np.float32)}
    weights = {f"{module}.lora_{part}.weight": values for part, values in factors.items()}
    save_file(weights, adapter / "adapter_model.safetensors")
    decide = partial(export, adapter, tmp_path / "out", "adapter_config.json", base=good)
    decide(json.dumps(ADAPTER).encode())
    cases = seeded(partial(mutate_json, ADAPTER), how_many(10, 500))
    judged("The configuration of an adapter is merged or refused", decide, cases, report)


RECIPE = """
source = "owner/name"
head = "fill-mask"
summary = "one line"
keep_accents = true
lowercase = false
[geometry]
hidden_size = 768
hidden_act = "gelu_new"
"""


def test_recipes(tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "models_folder", lambda: tmp_path)

    def decide(content: bytes) -> None:
        (tmp_path / "recipe.toml").write_bytes(content)
        (recipe,) = recipes.read_recipes().values()
        str(recipe)

    def mutate(draw: random.Random) -> bytes:
        if draw.random() < 0.5:
            return mutate_bytes(RECIPE.encode(), draw)
        lines = RECIPE.strip().splitlines()
        at = draw.randrange(len(lines))
        values = ("1" * 5_000, "[" * 5_000, "1979-05-27", "inf", '"\\ud800"', "{a = 1}", "''", "-1")
        lines[at] = f"{lines[at].partition(' =')[0]} = {draw.choice(values)}"
        return "\n".join(lines).encode()

    decide(RECIPE.encode())
    cases = seeded(mutate, how_many(100, 1_000))
    judged("A recipe is read or refused", decide, cases, report)


def test_files_that_are_no_files(good: Path, tmp_path: Path, report: Report) -> None:
    """They are refused, or passed over as if there were none."""
    names = (
        *(path.name for path in good.iterdir()),
        *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"),
        *(INDEX, "pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "a.index"),
        *("modules.json", "config_sentence_transformers.json", "adapter_config.json"),
        *("model-00001-of-00001.safetensors", "added_tokens.json", "albert_config.json"),
    )

    def decide(case: tuple[str, str]) -> None:
        name, kind = case
        source = tmp_path / "source"
        shutil.rmtree(source, ignore_errors=True)
        shutil.copytree(good, source)
        if name.startswith("model-") or name == INDEX:
            (source / SAFETENSORS).rename(source / "model-00001-of-00001.safetensors")
            index = {"weight_map": {"a": "model-00001-of-00001.safetensors"}}
            (source / INDEX).write_text(json.dumps(index), encoding="utf-8")
        replace_file(source / name, kind)
        albert_edge.export(source, tmp_path / "out", force=True)

    kinds = list(SPECIAL)[: how_many(1, 4)]
    cases = [(f"{name} is a {kind}", (name, kind)) for name in sorted({*names}) for kind in kinds]
    judged("A pipe, a device or a folder in a checkpoint is no file", decide, cases, report)
