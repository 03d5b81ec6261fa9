"""Checkpoints in every accepted form, and errors for those that do not fit."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.checkpoints import TINY, make_model, save_tensors

import albert_edge
from albert_edge.checkpoint.tensors import Checkpoint, open_checkpoint
from albert_edge.errors import CheckpointError, MissingExtraError
from albert_edge.runtime.session import Session
from albert_edge.steps.export import ExportReport

Tensors = dict[str, torch.Tensor]
Edit = Callable[[Tensors], None]

VOCABULARY: Any = TINY["vocab_size"]
WORDS = "albert.embeddings.word_embeddings.weight"
LAYER = "albert.encoder.albert_layer_groups.1.albert_layers.0"
QUERY = f"{LAYER}.attention.query.weight"
BIAS = "predictions.bias"
DECODER = "predictions.decoder.weight"
DECODER_BIAS = "predictions.decoder.bias"


@pytest.fixture
def edited(checkpoint: Callable[..., Path]) -> Callable[..., Path]:
    """A fill-mask checkpoint whose tensors went through `edit`."""

    def make(edit: Edit, task: str = "fill-mask", **config: Any) -> Path:
        folder = checkpoint(task, **config)
        path = folder / "model.safetensors"
        tensors = load_file(path)
        edit(tensors)
        save_tensors(path, tensors)
        return folder

    return make


@pytest.fixture
def export(tmp_path: Path) -> Callable[..., ExportReport]:
    return lambda folder, **options: albert_edge.export(folder, tmp_path / "bundle", **options)


def answers(bundle: Path) -> npt.NDArray[Any]:
    ids = np.random.default_rng(0).integers(0, VOCABULARY, (2, 7))
    (logits,) = Session(bundle).run({"input_ids": ids}).values()
    return np.asarray(logits)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> npt.NDArray[Any]:
    """What the checkpoint answers before it is edited."""
    folder = tmp_path_factory.mktemp("expected")
    make_model("fill-mask").save_pretrained(folder / "checkpoint")
    albert_edge.export(folder / "checkpoint", folder / "bundle")
    return answers(folder / "bundle")


def rename(tensors: Tensors, change: Callable[[str], str]) -> None:
    renamed = {change(name): tensor for name, tensor in tensors.items()}
    tensors.clear()
    tensors.update(renamed)


# Other spellings of the same names


def bare_prefix(tensors: Tensors) -> None:
    rename(tensors, lambda name: name.removeprefix("albert."))


def gamma_beta(tensors: Tensors) -> None:
    def tensorflow(name: str) -> str:
        if re.search(r"layer_?norm\.", name, re.IGNORECASE):
            return name.replace(".weight", ".gamma").replace(".bias", ".beta")
        return name

    rename(tensors, tensorflow)
    assert sum(name.endswith((".gamma", ".beta")) for name in tensors) == 2 * (1 + 2 * 2 * 2 + 1)


def tied_decoder(tensors: Tensors) -> None:
    tensors[DECODER] = tensors[WORDS].clone()
    tensors[DECODER_BIAS] = tensors[BIAS].clone()


def decoder_bias_only(tensors: Tensors) -> None:
    tensors[DECODER_BIAS] = tensors.pop(BIAS)


def decoder_weight_only(tensors: Tensors) -> None:
    tensors[DECODER] = tensors.pop(WORDS)


def buffers(tensors: Tensors) -> None:
    """Saved along by transformers before 4.31, and integers at that."""
    tensors["albert.embeddings.position_ids"] = torch.arange(512)[None]
    tensors["albert.embeddings.token_type_ids"] = torch.zeros(1, 512, dtype=torch.int64)


def double_precision(tensors: Tensors) -> None:
    for name, tensor in tensors.items():
        tensors[name] = tensor.double()


@pytest.mark.parametrize(
    "edit",
    [
        bare_prefix,
        gamma_beta,
        tied_decoder,
        decoder_bias_only,
        decoder_weight_only,
        buffers,
        double_precision,
    ],
)
def test_other_spellings_give_the_same_answers(
    edit: Edit,
    edited: Callable[..., Path],
    export: Callable[..., ExportReport],
    expected: npt.NDArray[Any],
) -> None:
    np.testing.assert_array_equal(answers(export(edited(edit)).bundle), expected)


def test_untied_decoder_is_used(
    edited: Callable[..., Path], export: Callable[..., ExportReport]
) -> None:
    """Twice the decoder: twice the logits, but for the bias."""

    def double(tensors: Tensors) -> None:
        tensors[DECODER] = 2 * tensors[WORDS]
        tensors[BIAS] = torch.zeros_like(tensors[BIAS])
        tensors.pop(DECODER_BIAS, None)

    def single(tensors: Tensors) -> None:
        double(tensors)
        tensors[DECODER] = tensors[WORDS].clone()

    once = answers(export(edited(single, tie_word_embeddings=False)).bundle)
    twice = answers(export(edited(double, tie_word_embeddings=False), force=True).bundle)
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-6)


# Heads


def test_unused_heads_are_reported(
    checkpoint: Callable[..., Path], export: Callable[..., ExportReport]
) -> None:
    report = export(checkpoint("pretraining"), task="fill-mask")
    assert {name.partition(".weight")[0].partition(".bias")[0] for name in report.unused} == {
        "albert.pooler",
        "sop_classifier.classifier",
    }
    assert len(report.unused) == 4


def test_unused_head_may_hold_anything(
    edited: Callable[..., Path], export: Callable[..., ExportReport]
) -> None:
    def add(tensors: Tensors) -> None:
        tensors["classifier.weight"] = torch.full((5, 24), float("nan"))
        tensors["qa_outputs.bias"] = torch.zeros(2, dtype=torch.int8)

    assert set(export(edited(add)).unused) == {"classifier.weight", "qa_outputs.bias"}


def test_nothing_is_unused_in_a_checkpoint_of_its_own_task(
    checkpoint: Callable[..., Path], export: Callable[..., ExportReport]
) -> None:
    assert export(checkpoint("text-classification")).unused == ()


# Tensors that do not fit: the message names the tensor, what was expected and what was found


def put(name: str, tensor: torch.Tensor) -> Edit:
    return lambda tensors: tensors.__setitem__(name, tensor)


def change(name: str, how: Callable[[torch.Tensor], torch.Tensor]) -> Edit:
    return lambda tensors: tensors.__setitem__(name, how(tensors[name]))


def drop(name: str) -> Edit:
    def edit(tensors: Tensors) -> None:
        del tensors[name]

    return edit


def with_value(value: float) -> Callable[[torch.Tensor], torch.Tensor]:
    def edit(tensor: torch.Tensor) -> torch.Tensor:
        tensor[3, 5] = value
        return tensor

    return edit


def doubled(prefix: str, bare: str) -> Edit:
    return lambda tensors: tensors.__setitem__(bare, tensors[prefix + bare].clone())


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        pytest.param(drop(QUERY), [QUERY, "(24, 24)", "missing"], id="missing"),
        pytest.param(drop(BIAS), [BIAS, "(300)", "missing"], id="missing-vector"),
        pytest.param(
            put(f"{LAYER}.surplus.weight", torch.zeros(2, 3)),
            [f"{LAYER}.surplus.weight", "(2, 3)"],
            id="extra",
        ),
        pytest.param(
            put(QUERY.replace("groups.1", "groups.2"), torch.zeros(24, 24)),
            ["groups.2", "(24, 24)"],
            id="a-group-too-many",
        ),
        pytest.param(
            change(QUERY, lambda tensor: tensor[:, :23]),
            [QUERY, "(24, 23)", "(24, 24)"],
            id="mis-shaped",
        ),
        pytest.param(change(QUERY, torch.flatten), [QUERY, "(576)", "(24, 24)"], id="flattened"),
        pytest.param(
            change(f"{LAYER}.ffn.weight", lambda tensor: tensor.T),
            [f"{LAYER}.ffn.weight", "(24, 40)", "(40, 24)"],
            id="transposed",
        ),
        pytest.param(
            change(QUERY, with_value(float("nan"))), [QUERY, "1", "(24, 24)", "NaN"], id="nan"
        ),
        pytest.param(
            change(QUERY, with_value(float("inf"))), [QUERY, "(24, 24)", "infinit"], id="inf"
        ),
        pytest.param(
            change(QUERY, with_value(float("-inf"))), [QUERY, "(24, 24)", "infinit"], id="-inf"
        ),
        pytest.param(
            change(QUERY, lambda tensor: tensor.half().fill_(float("inf"))),
            [QUERY, "576", "infinit"],
            id="overflow-of-float16",
        ),
        pytest.param(
            change(QUERY, lambda tensor: tensor.double() * 1e300),
            [QUERY, "(24, 24)", "infinit"],
            id="beyond-float32",
        ),
        *(
            pytest.param(
                change(QUERY, partial(torch.Tensor.to, dtype=dtype)),
                [QUERY, found, "(24, 24)", "F32"],
                id=found,
            )
            for dtype, found in (
                (torch.int8, "I8"),
                (torch.int64, "I64"),
                (torch.bool, "BOOL"),
                (torch.float8_e4m3fn, "F8_E4M3"),
                (torch.float8_e5m2, "F8_E5M2"),
            )
        ),
        pytest.param(
            doubled("albert.", QUERY.removeprefix("albert.")),
            [QUERY, QUERY.removeprefix("albert.") + " "],
            id="with-and-without-prefix",
        ),
        pytest.param(
            put("albert.embeddings.LayerNorm.gamma", torch.ones(16)),
            ["albert.embeddings.LayerNorm.gamma", "albert.embeddings.LayerNorm.weight"],
            id="gamma-and-weight",
        ),
        pytest.param(
            lambda tensors: put(DECODER, tensors[WORDS] + 1)(tensors),
            [DECODER, WORDS, "differs"],
            id="decoder-not-tied",
        ),
        pytest.param(
            lambda tensors: put(DECODER_BIAS, tensors[BIAS] + 1)(tensors),
            [DECODER_BIAS, BIAS, "differs"],
            id="decoder-bias-not-tied",
        ),
    ],
)
def test_a_tensor_that_does_not_fit(
    edit: Edit, named: list[str], edited: Callable[..., Path], tmp_path: Path
) -> None:
    folder = edited(edit)
    with pytest.raises(CheckpointError) as caught:
        albert_edge.export(folder, tmp_path / "bundle")
    for words in named:
        assert words in str(caught.value)
    assert caught.value.tip
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("missing", [WORDS, DECODER])
def test_untied_tables_do_not_stand_in_for_each_other(
    missing: str, edited: Callable[..., Path], tmp_path: Path
) -> None:
    folder = edited(drop(missing), tie_word_embeddings=False)
    with pytest.raises(CheckpointError, match=re.escape(missing)):
        albert_edge.export(folder, tmp_path / "bundle")


def test_a_head_that_is_not_there(checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"qa_outputs\.weight.*\(2, 24\)") as caught:
        albert_edge.export(checkpoint("fill-mask"), tmp_path / "bundle", task="question-answering")
    assert "Choose with task" in caught.value.tip


# Where tensors are kept


def contents(checkpoint: Checkpoint) -> dict[str, npt.NDArray[np.float32]]:
    return {name: checkpoint.tensor(name) for name in checkpoint.stored}


def assert_same_tensors(folder: Path, model: Any) -> None:
    found = contents(open_checkpoint(folder))
    parameters = dict(model.named_parameters())
    assert set(found) - {DECODER, DECODER_BIAS} == set(parameters)
    for name, parameter in parameters.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], parameter.detach().float().numpy())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_one_safetensors_file(dtype: torch.dtype, tmp_path: Path) -> None:
    model = make_model("fill-mask").to(dtype)
    model.save_pretrained(tmp_path)
    assert_same_tensors(tmp_path, model)


def shard(folder: Path, *, files: int = 3) -> dict[str, str]:
    """Cut model.safetensors into shards with an index, as the hub's large models are."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    weight_map: dict[str, str] = {}
    for index in range(files):
        name = f"model-{index + 1:05}-of-{files:05}.safetensors"
        part = dict(list(tensors.items())[index::files])
        save_file(part, folder / name)
        weight_map |= dict.fromkeys(part, name)
    write_index(folder, weight_map)
    return weight_map


def write_index(folder: Path, weight_map: Any) -> None:
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}), encoding="utf-8")


def test_sharded_safetensors(
    checkpoint: Callable[..., Path],
    export: Callable[..., ExportReport],
    expected: npt.NDArray[Any],
) -> None:
    folder = checkpoint("fill-mask")
    shard(folder)
    assert_same_tensors(folder, make_model("fill-mask"))
    np.testing.assert_array_equal(answers(export(folder).bundle), expected)


def test_shards_as_transformers_writes_them(tmp_path: Path) -> None:
    model = make_model("fill-mask")
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    assert_same_tensors(tmp_path, model)


def test_missing_shard(checkpoint: Callable[..., Path]) -> None:
    folder = checkpoint("fill-mask")
    shard(folder)
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"missing shard model-00002-of-00003\.safetensors"):
        open_checkpoint(folder)


def test_shards_that_overlap(checkpoint: Callable[..., Path]) -> None:
    folder = checkpoint("fill-mask")
    shard(folder)
    again = folder / "model-00001-of-00003.safetensors"
    tensors = load_file(again) | load_file(folder / "model-00002-of-00003.safetensors")
    save_file(tensors, again)
    with pytest.raises(CheckpointError, match="are both"):
        open_checkpoint(folder)


def test_no_weights(checkpoint: Callable[..., Path]) -> None:
    folder = checkpoint("fill-mask")
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="holds no weights"):
        open_checkpoint(folder)


# pytorch_model.bin


@pytest.fixture
def pickled(checkpoint: Callable[..., Path]) -> Callable[..., Path]:
    """A checkpoint that holds what it is given, through torch.save."""

    def make(content: Any, **options: Any) -> Path:
        folder = checkpoint("fill-mask")
        (folder / "model.safetensors").unlink()
        torch.save(content, folder / "pytorch_model.bin", **options)
        return folder

    return make


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_pickled(dtype: torch.dtype, pickled: Callable[..., Path]) -> None:
    model = make_model("fill-mask").to(dtype)
    assert_same_tensors(pickled(model.state_dict()), model)


def test_pickled_answers(
    pickled: Callable[..., Path],
    export: Callable[..., ExportReport],
    expected: npt.NDArray[Any],
) -> None:
    folder = pickled(make_model("fill-mask").state_dict())
    np.testing.assert_array_equal(answers(export(folder).bundle), expected)


def test_pickled_before_torch_1_6(pickled: Callable[..., Path]) -> None:
    """The format when most ALBERTs were published."""
    model = make_model("fill-mask")
    folder = pickled(model.state_dict(), _use_new_zipfile_serialization=False)
    assert_same_tensors(folder, model)


def test_pickled_parameters(pickled: Callable[..., Path]) -> None:
    """Not a state_dict: these require a gradient, which numpy does not convert."""
    model = make_model("fill-mask")
    assert_same_tensors(pickled(dict(model.named_parameters())), model)


def test_pickled_shards(pickled: Callable[..., Path]) -> None:
    model = make_model("fill-mask")
    items = list(model.state_dict().items())
    folder = pickled({})
    (folder / "pytorch_model.bin").unlink()
    weight_map: dict[str, str] = {}
    for index in range(2):
        part = dict(items[index::2])
        torch.save(part, folder / f"pytorch_model-{index}.bin")
        weight_map |= dict.fromkeys(part, f"pytorch_model-{index}.bin")
    index_file = folder / "pytorch_model.bin.index.json"
    index_file.write_text(json.dumps({"weight_map": weight_map}), encoding="utf-8")
    assert_same_tensors(folder, model)


def test_safetensors_win_over_a_pickle(checkpoint: Callable[..., Path]) -> None:
    folder = checkpoint("fill-mask")
    (folder / "pytorch_model.bin").write_bytes(b"never read")
    assert_same_tensors(folder, make_model("fill-mask"))


class Payload:
    """Unpickled by anything careless, it makes a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = str(canary)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.canary,)


@pytest.mark.parametrize("zipped", [True, False])
def test_malicious_pickle_does_not_run(
    zipped: bool, pickled: Callable[..., Path], tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    content = {**make_model("fill-mask").state_dict(), "albert.extra": Payload(canary)}
    folder = pickled(content, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin.*refused"):
        albert_edge.export(folder, tmp_path / "bundle")
    assert not canary.exists()
    assert not (tmp_path / "bundle").exists()


def test_the_payload_works(pickled: Callable[..., Path], tmp_path: Path) -> None:
    """So that the test above proves something."""
    folder = pickled({"payload": Payload(tmp_path / "canary")})
    torch.load(folder / "pytorch_model.bin", weights_only=False)
    assert (tmp_path / "canary").is_dir()


@pytest.mark.parametrize("content", [[torch.zeros(1)], torch.zeros(1), None, {0: torch.zeros(1)}])
def test_a_pickle_of_something_else(content: Any, pickled: Callable[..., Path]) -> None:
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin"):
        open_checkpoint(pickled(content))


@pytest.mark.parametrize(
    "tensor",
    [
        pytest.param(torch.zeros(300, 16).to_sparse(), id="sparse"),
        pytest.param(torch.zeros(300, 16, dtype=torch.complex64), id="complex"),
        pytest.param(torch.zeros(300, 16, dtype=torch.int32), id="integers"),
        pytest.param(torch.zeros(300, 16, device="meta"), id="without-values"),
    ],
)
def test_a_pickled_tensor_that_is_nentry(
    tensor: torch.Tensor, pickled: Callable[..., Path], tmp_path: Path
) -> None:
    folder = pickled({**make_model("fill-mask").state_dict(), WORDS: tensor})
    with pytest.raises(CheckpointError, match=re.escape(WORDS)):
        albert_edge.export(folder, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02.", b"hello", bytes(1000)])
def test_a_damaged_pickle(content: bytes, pickled: Callable[..., Path]) -> None:
    folder = pickled({})
    (folder / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin"):
        open_checkpoint(folder)


def test_a_truncated_pickle(pickled: Callable[..., Path]) -> None:
    folder = pickled(make_model("fill-mask").state_dict())
    path = folder / "pytorch_model.bin"
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin"):
        open_checkpoint(folder)


def test_a_pickle_without_torch(
    pickled: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pickled(make_model("fill-mask").state_dict())
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match="torch") as caught:
        open_checkpoint(folder)
    assert caught.value.extra == "reference"
    assert "albert-edge[reference]" in caught.value.tip


def test_safetensors_need_no_torch(
    checkpoint: Callable[..., Path],
    export: Callable[..., ExportReport],
    expected: npt.NDArray[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = checkpoint("fill-mask")
    for package in ("torch", "transformers"):
        monkeypatch.setitem(sys.modules, package, None)
    np.testing.assert_array_equal(answers(export(folder).bundle), expected)
