"""`quantize` from a bundle to answers: how good they are, what is written, and what is refused."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnxruntime.quantization import QuantType, quantize_dynamic
from support.checkpoints import MODEL_CLASSES, TINY
from support.paths import ROOT
from support.quantizing import ANYTHING, TEXTS, Change, make_bundle

import albert_edge
from albert_edge import quantize
from albert_edge.architecture.weights import Matrix
from albert_edge.bundle.bundle import open_bundle
from albert_edge.check.parity import transformers_run
from albert_edge.compress.options import Fp16, Int8, Mixed, compression
from albert_edge.errors import AlbertEdgeError, BundleError, InputError, QualityError, UsageError
from albert_edge.graph.plan import Precision
from albert_edge.onnx_format.reader import OnnxFile, read_onnx
from albert_edge.runtime import adaptation, saturation
from albert_edge.runtime.session import Session
from albert_edge.runtime.unsigned import with_unsigned_weights
from albert_edge.steps.quantize import default_precision

pytestmark = pytest.mark.slow

Array = npt.NDArray[Any]
Arrays = dict[str, Array]
Outputs = Mapping[str, Array]

FILES = {
    "int8": "model_quantized",
    "int8-block": "model_int8_block",
    "int4": "model_q4",
    "fp16": "model_fp16_cuda",
    "mixed": "model_mixed",
}
UNIFORM = ("int8", "int8-block", "int4", "fp16")
PACKED = "query_key_value"
LAYOUTS: Any = ("unrolled", "loop")
VARIED = [" ".join(map(str, range(i, 900, 11 + i))) for i in range(1, 40)]

# What a random model needs to lose as little to rounding as a trained one.
WIDE: dict[str, Any] = {
    "vocab_size": 1000,
    "embedding_size": 64,
    "hidden_size": 128,
    "intermediate_size": 512,
    "num_attention_heads": 4,
    "num_hidden_groups": 1,
    "inner_group_num": 1,
}

every_task = pytest.mark.parametrize("task", MODEL_CLASSES)
every_layout = pytest.mark.parametrize("layout", LAYOUTS)


@pytest.fixture
def bundle(tmp_path: Path) -> Callable[..., Path]:
    return lambda task, *args, **config: make_bundle(tmp_path, task, *args, **config)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A bundle of every head, quantized every way; the tests leave them as they are."""
    made = {}
    for task in MODEL_CLASSES:
        made[task] = make_bundle(tmp_path_factory.mktemp(task), task)
        for precision in UNIFORM:
            quantize(made[task], precision=precision, texts=TEXTS, **ANYTHING)  # type: ignore[arg-type]
        quantize(made[task], precision=Fp16(target="portable"), texts=TEXTS, **ANYTHING)
    return made


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("plain"), "text-classification", num_labels=3)


@pytest.fixture
def copied(plain: Path, tmp_path: Path) -> Path:
    """A classifier with a tokenizer and three labels, that a test may change."""
    shutil.copytree(plain, tmp_path / "copied")
    return tmp_path / "copied"


def inputs(task: str, vocabulary: Any = TINY["vocab_size"], texts: int = 12) -> Arrays:
    """A padded batch with both segments in use."""
    random = np.random.default_rng(0)
    shape = (texts, 2, 11) if task == "multiple-choice" else (texts, 11)
    lengths = 1 + np.arange(texts) % 11
    mask = np.arange(11) < lengths.reshape(-1, *[1] * (len(shape) - 1))
    return {
        "input_ids": random.integers(5, vocabulary, shape),
        "attention_mask": mask * np.ones(shape, np.int64),
        "token_type_ids": random.integers(0, 2, shape),
    }


def cosines(found: Outputs, expected: Outputs, arrays: Arrays) -> Array:
    """Of every vector that is the answer for a token, or for a text."""
    each = []
    for name, values in found.items():
        a, b = values.astype(np.float64), expected[name].astype(np.float64)
        assert a.shape == b.shape
        if a.ndim == 3 and a.shape[:2] == arrays["attention_mask"].shape:
            a, b = (some[arrays["attention_mask"] == 1] for some in (a, b))
        elif a.shape == arrays["attention_mask"].shape:  # of spans: one vector of all tokens
            a, b = (some[arrays["attention_mask"] == 1][None] for some in (a, b))
        each.append((a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1))
    return np.concatenate(each)


def overall(found: Outputs, expected: Outputs) -> float:
    """The cosine of all logits as one vector, which no small one can spoil."""
    a, b = (np.concatenate([v.ravel() for v in some.values()]) for some in (found, expected))
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def file_of(bundle: Path, precision: str) -> Path:
    return bundle / "onnx" / f"{FILES[precision]}.onnx"


# Answers


@pytest.mark.reference
@every_task
def test_answers_are_those_of_transformers(task: str, tmp_path: Path) -> None:
    folder = make_bundle(tmp_path, task, **WIDE)
    arrays = inputs(task, WIDE["vocab_size"])
    expected = transformers_run(tmp_path / "checkpoint", task)(arrays)
    for precision in ("int8", "int8-block"):
        quantize(folder, precision=precision, texts=TEXTS, **ANYTHING)
        with Session(folder, precision=precision) as opened:
            found = opened.run(arrays)
        assert all(values.dtype == np.float32 for values in found.values())
        assert overall(found, expected) >= 0.999
        assert cosines(found, expected, arrays).mean() >= 0.998


@pytest.mark.parametrize("precision", UNIFORM)
@every_task
def test_every_head_in_every_precision(task: str, precision: str, tiny: dict[str, Path]) -> None:
    arrays = inputs(task)
    expected = Session(tiny[task], variant="model").run(arrays)
    found = Session(tiny[task], variant=FILES[precision]).run(arrays)
    # Rows of 24 random weights lose far more than those of a real model.
    least = {"int8": 0.98, "int8-block": 0.98, "int4": 0.3, "fp16": 0.9999}
    assert overall(found, expected) >= least[precision]
    assert found.keys() == expected.keys()
    for name, values in found.items():
        assert values.dtype == np.float32 and np.isfinite(values).all()
        if precision == "fp16":
            np.testing.assert_allclose(values, expected[name], rtol=0, atol=2e-2)


@pytest.mark.parametrize("scheme", ["per-token", "per-tensor"])
@pytest.mark.parametrize(
    "config",
    [
        *({"hidden_act": act} for act in ("relu", "gelu_new", "silu", "tanh", "prelu")),
        {"tie_word_embeddings": False},
        {"embedding_size": 1},
        {"embedding_size": 23},
        {"embedding_size": 130, "hidden_size": 132, "intermediate_size": 150},
        {"num_hidden_layers": 1, "num_hidden_groups": 1, "inner_group_num": 1},
    ],
    ids=str,
)
def test_models_of_all_kinds(config: dict[str, Any], scheme: Any, bundle: Any) -> None:
    folder = bundle("fill-mask", **config)
    arrays = inputs("fill-mask")
    expected = Session(folder, variant="model").run(arrays)
    layout: Any = "loop" if scheme == "per-token" else "unrolled"
    quantize(folder, precision=Int8(activations=scheme, layout=layout), texts=TEXTS, **ANYTHING)
    variant = open_bundle(folder).variant("model_quantized")
    assert (variant.activations, variant.layout) == (scheme, layout)
    assert overall(Session(folder).run(arrays), expected) >= 0.99


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_layouts_hold_the_same_and_answer_the_same(precision: Any, bundle: Any) -> None:
    folder = bundle("text-classification")
    arrays = inputs("text-classification")
    found, weights = [], []
    for layout in LAYOUTS:
        quantize(folder, precision=compression(precision, layout=layout), texts=TEXTS, **ANYTHING)
        found.append(Session(folder).run(arrays)["logits"])
        tensors = read_onnx(file_of(folder, precision)).tensors
        weights.append({n: t.array() for n, t in tensors.items() if "weight" in n})
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-5)
    assert weights[0].keys() == weights[1].keys()
    for name, values in weights[0].items():
        np.testing.assert_array_equal(values, weights[1][name])


def only_zeros(model: Any) -> None:
    """The hidden states are zero from the first layer on, and relu gives zeros too."""
    for group in model.albert.encoder.albert_layer_groups:
        for layer in group.albert_layers:
            for norm in (layer.full_layer_layer_norm, layer.attention.LayerNorm):
                norm.weight.zero_()
                norm.bias.zero_()
            layer.ffn.bias.fill_(-1)


def some_zeros(model: Any) -> None:
    """Of padding, and of whatever else has this embedding, nothing is left but zeros."""
    model.albert.embeddings.word_embeddings.weight[17] = 0
    model.albert.embeddings.token_type_embeddings.weight.zero_()
    model.albert.embeddings.position_embeddings.weight.zero_()
    model.albert.embeddings.LayerNorm.bias.zero_()


@pytest.mark.parametrize("scheme", ["per-token", "per-tensor"])
@pytest.mark.parametrize("change", [only_zeros, some_zeros], ids=lambda change: change.__name__)
def test_tokens_of_zeros(change: Change, scheme: Any, bundle: Any) -> None:
    folder = bundle("token-classification", change, hidden_act="relu")
    arrays = inputs("token-classification")
    arrays["input_ids"][:, ::3] = 17
    expected = Session(folder, variant="model").run(arrays)
    for precision in ("int8", "int8-block", "int4"):
        how = compression(precision, activations=scheme if precision == "int8" else None)
        quantize(folder, how, texts=["12 12", "7"], **ANYTHING)
        found = Session(folder, precision=precision).run(arrays)
        assert np.isfinite(found["logits"]).all()
        assert overall(found, expected) >= (0.9 if precision == "int4" else 0.995)


# Outliers


def outliers(model: Any) -> None:
    """One channel fifty times as large, and read a fiftieth: the same answers."""
    layer = model.albert.encoder.albert_layer_groups[0].albert_layers[0].attention
    layer.value.weight[7] *= 50
    layer.value.bias[7] *= 50
    layer.dense.weight[:, 7] /= 50
    norm = model.albert.embeddings.LayerNorm
    norm.weight[11] *= 50
    norm.bias[11] *= 50
    model.albert.encoder.embedding_hidden_mapping_in.weight[:, 11] /= 50


def faint_values(model: Any) -> None:
    """A value channel that is its bias alone, as weight decay leaves those of no use."""
    layer = model.albert.encoder.albert_layer_groups[0].albert_layers[0].attention
    layer.value.weight[7] *= 1e-6
    layer.value.bias[7] = 0.5


def faint_embedding(model: Any) -> None:
    norm = model.albert.embeddings.LayerNorm
    norm.weight[11] = 1e-20
    norm.bias[11] = 0


@pytest.fixture(scope="module")
def outlying(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(
        tmp_path_factory.mktemp("outliers"), "token-classification", outliers, **WIDE
    )


def test_outliers_do_no_harm(outlying: Path, tmp_path: Path) -> None:
    same = make_bundle(tmp_path, "token-classification", **WIDE)
    arrays = inputs("token-classification", WIDE["vocab_size"])
    expected = Session(same, variant="model").run(arrays)
    before = Session(outlying, variant="model").run(arrays)
    np.testing.assert_allclose(before["logits"], expected["logits"], rtol=0, atol=1e-4)
    report = quantize(outlying, precision="int8", texts=VARIED)
    assert report.quality and report.quality.cosine >= 0.999
    found = Session(outlying).run(arrays)
    assert overall(found, expected) >= 0.999
    assert cosines(found, expected, arrays).mean() >= 0.999


@pytest.mark.parametrize("per_channel", [False, True])
def test_outliers_do_harm_without_care(outlying: Path, per_channel: bool, tmp_path: Path) -> None:
    """What the test above is about: onnxruntime's own way fails on the same model."""
    portable, naive = outlying / "onnx" / "model.onnx", tmp_path / "naive.onnx"
    quantize_dynamic(portable, naive, weight_type=QuantType.QInt8, per_channel=per_channel)
    assert read_onnx(naive).operators["MatMulInteger"] > 20
    run = onnxruntime.InferenceSession(naive, providers=["CPUExecutionProvider"])
    arrays = inputs("token-classification", WIDE["vocab_size"])
    expected = Session(outlying, variant="model").run(arrays)
    found = {"logits": run.run(None, arrays)[0]}
    assert cosines(found, expected, arrays).mean() < 0.99
    assert overall(found, expected) < 0.999


@pytest.mark.parametrize("change", [faint_values, faint_embedding], ids=lambda c: c.__name__)
def test_faint_channels_do_no_harm(change: Change, bundle: Any) -> None:
    folder = bundle("token-classification", change, **WIDE)
    arrays = inputs("token-classification", WIDE["vocab_size"])
    expected = Session(folder, variant="model").run(arrays)
    quantize(folder, precision="int8", texts=TEXTS, **ANYTHING)
    assert overall(Session(folder).run(arrays), expected) >= 0.999


# Trained models


def accuracy(folder: Path, precision: str, data: Path) -> float:
    """Counted with the pipeline, record by record."""
    rows = [line.split("\t") for line in data.read_text(encoding="utf-8").splitlines()[1:]]
    classify = albert_edge.pipeline("text-classification", model=str(folder), precision=precision)
    right = sum(classify(text)[0]["label"] == label for text, label in rows)
    return float(right / len(rows))


def test_the_model_that_ships(tmp_path: Path) -> None:
    data = tmp_path / "test.tsv"
    lines = (ROOT / "models/langid-tiny/test.tsv").read_text(encoding="utf-8").splitlines()
    data.write_text("\n".join([lines[0], *lines[1::2]]) + "\n", encoding="utf-8")
    folder = tmp_path / "langid"
    albert_edge.export("langid-tiny", folder)
    report = quantize(folder, precision="int8", data=data, max_drop=0.3)
    assert report.quality and report.quality.drop is not None and report.quality.drop <= 0.3
    assert report.quality.texts == len(lines) // 2
    assert report.bytes and report.bytes <= 0.28 * report.reference_bytes
    assert accuracy(folder, "int8", data) == pytest.approx(report.quality.accuracy)
    assert accuracy(folder, "fp32", data) == pytest.approx(report.quality.reference_accuracy)


def test_a_model_trained_here(tmp_path: Path) -> None:
    """Which of two words comes first: nothing that a bag of words can tell."""
    import torch

    torch.manual_seed(0)
    config = {**WIDE, "vocab_size": 60, "hidden_size": 64, "intermediate_size": 256}
    random = np.random.default_rng(0)

    def batch(texts: int) -> tuple[Any, Any]:
        words = random.integers(10, 40, (texts, 8))
        places = np.array([random.permutation(8)[:2] for _ in range(texts)])
        words[np.arange(texts), places[:, 0]] = 50
        words[np.arange(texts), places[:, 1]] = 51
        ids = np.c_[np.full(texts, 2), words, np.full(texts, 3)]
        return torch.from_numpy(ids), torch.from_numpy((places[:, 0] < places[:, 1]).astype(int))

    def train(model: Any) -> None:
        with torch.enable_grad():
            model.apply(model._init_weights)
            model.train()
            for module in model.modules():
                if isinstance(module, torch.nn.Dropout):
                    module.p = 0.0
            optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
            for _ in range(120):
                ids, labels = batch(64)
                loss = model(input_ids=ids, labels=labels).loss
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        model.eval()

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so small, several wait for each other
    config = {**config, "num_hidden_layers": 2}
    try:
        folder = make_bundle(tmp_path, "text-classification", train, **config)
    finally:
        torch.set_num_threads(threads)
    ids, labels = batch(200)
    words = [" ".join(str(word - 5) for word in row[1:-1]) for row in ids.tolist()]
    data = tmp_path / "data.tsv"
    lines = [f"{text}\tLABEL_{label}" for text, label in zip(words, labels.tolist(), strict=True)]
    data.write_text("\n".join(["text\tlabel", *lines]) + "\n")
    report = quantize(folder, precision="int8", data=data)
    assert report.quality and report.quality.accuracy and report.quality.reference_accuracy
    assert report.quality.reference_accuracy >= 0.95
    assert report.quality.drop is not None and report.quality.drop <= 0.3
    assert accuracy(folder, "int8", data) == pytest.approx(report.quality.accuracy)


# What is in the file


def graph_of(path: Path) -> Any:
    return onnx.load(path).graph


def nodes_of(graph: Any) -> list[Any]:
    """All nodes, those of loops too."""
    found = []
    for node in graph.node:
        found.append(node)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                found += nodes_of(attribute.g)
    return found


def largest_float(file: OnnxFile) -> int:
    kinds = (np.dtype("<f4"), np.dtype("<f2"))
    return max(t.bytes // t.dtype.itemsize for t in file.tensors.values() if t.dtype in kinds)


@every_task
def test_int8_multiplies_integers_alone(task: str, tiny: dict[str, Path]) -> None:
    path = file_of(tiny[task], "int8")
    file = read_onnx(path)
    assert not {"MatMul", "Gemm"} & set(file.operators)
    # Whatever a matrix is in the checkpoint is integers here; scales and biases are what is left.
    assert largest_float(file) <= max(TINY["vocab_size"], TINY["max_position_embeddings"])  # type: ignore[call-overload]
    integers = {
        name for name, t in file.tensors.items() if t.dtype == np.int8 and len(t.shape) == 2
    }
    read = {n.input[1] for n in nodes_of(graph_of(path)) if n.op_type == "MatMulIntegerToFloat"}
    assert read == integers
    assert len(integers) >= 1 + 4 * 6  # the projection, and six matrices of each distinct layer
    decoders = file.operators["com.microsoft.MatMulNBits"]
    assert decoders == (task in ("fill-mask", "pretraining"))


@pytest.mark.parametrize("precision", UNIFORM)
@every_task
def test_weights_are_stored_once(task: str, precision: str, tiny: dict[str, Path]) -> None:
    path = file_of(tiny[task], precision)
    names = Counter(tensor.name for tensor in graph_of(path).initializer)
    assert max(names.values()) == 1
    file, portable = read_onnx(path), read_onnx(tiny[task] / "onnx" / "model.onnx")
    parts = [name for name in file.tensors if name.endswith("weight")]
    contents = Counter(bytes(file.tensors[name].data) for name in parts)
    assert max(contents.values()) == 1
    matrices: Counter[str] = Counter()
    for name, tensor in portable.tensors.items():
        if len(tensor.shape) == 2:
            if precision == "fp16":  # for GPUs, where these are one matrix
                name = re.sub(r"attention\.(query|key|value)\.", f"attention.{PACKED}.", name)
            matrices[name] += tensor.array().size
    assert set(matrices) <= set(parts)
    for name, values in matrices.items():
        # Of tables and blocks whose rows are shorter than a block, no less than their values.
        bits = {"int8": 8, "int8-block": 8, "int4": 4, "fp16": 16}[precision]
        assert file.tensors[name].bytes >= values * bits // 8
    total = path.stat().st_size
    assert sum(t.bytes for t in file.tensors.values()) < total
    if precision in ("int8", "int4"):
        assert total < 0.6 * (tiny[task] / "onnx" / "model.onnx").stat().st_size


SIZED: dict[str, Any] = {
    **WIDE,
    "vocab_size": 2000,
    "embedding_size": 128,
    "hidden_size": 256,
    "intermediate_size": 1024,
}
SIZES = {"int8": 0.27, "int8-block": 0.29, "int4": 0.17, "fp16": 0.51}


def test_sizes(bundle: Any) -> None:
    folder = bundle("fill-mask", **SIZED)
    portable = (folder / "onnx" / "model.onnx").stat().st_size
    for precision, most in SIZES.items():
        report = quantize(folder, precision=precision, texts=TEXTS[:2], **ANYTHING)  # type: ignore[arg-type]
        assert report.reference_bytes == portable
        assert report.bytes == file_of(folder, precision).stat().st_size <= most * portable
        assert report.variant and report.variant.bytes == report.bytes


@pytest.mark.parametrize("precision", ["int8", "int8-block", "int4"])
@pytest.mark.parametrize("task", ["fill-mask", "pretraining"])
def test_a_tied_decoder_is_the_table_itself(
    task: str, precision: str, tiny: dict[str, Path]
) -> None:
    nodes = nodes_of(graph_of(file_of(tiny[task], precision)))
    table = "albert.embeddings.word_embeddings.weight"
    readers = {node.op_type for node in nodes if table in node.input}
    assert readers == {"Gather", "MatMulNBits"}
    scales = {node.op_type for node in nodes if f"{table}_scale" in node.input}
    assert scales == readers
    assert not any("decoder" in name for node in nodes for name in node.input)


def test_an_untied_decoder_has_its_own(bundle: Any) -> None:
    folder = bundle("fill-mask", tie_word_embeddings=False)
    quantize(folder, precision="int8", texts=TEXTS, **ANYTHING)
    file = read_onnx(file_of(folder, "int8"))
    table = file.tensors["albert.embeddings.word_embeddings.weight"]
    decoder = file.tensors["predictions.decoder.weight"]
    assert table.dtype == decoder.dtype == np.uint8
    assert bytes(table.data) != bytes(decoder.data)


def test_what_the_manifest_says(tiny: dict[str, Path]) -> None:
    found = open_bundle(tiny["fill-mask"])
    found.check_all()
    names = ["model", *(FILES[p] for p in UNIFORM), "model_fp16"]
    assert [v.name for v in found.manifest.variants] == names
    for variant, precision in zip(found.manifest.variants[1:], (*UNIFORM, "fp16"), strict=True):
        assert variant.precision == precision
        assert variant.matrices.keys() == {str(matrix) for matrix in Matrix}
        assert variant.measured["texts"] == len(TEXTS)
        assert variant.measured["sample"] == "the texts given"
        target = {"model_fp16": "portable", "model_fp16_cuda": "cuda"}.get(variant.name, "cpu")
        assert variant.target == target
        assert variant.layout == ("unrolled" if precision == "fp16" else "loop")
    assert found.variant("model_quantized").activations == "per-token"
    assert {found.variant("model_q4").activations, found.variant("model_fp16").activations} == {""}


# Half precision


@every_task
def test_fp16_for_gpus_is_judged_as_the_file_answers(task: str, tiny: dict[str, Path]) -> None:
    """The very file, on the CPU: not a stand-in in other operators."""
    both = [Session(tiny[task], variant=name) for name in ("model", "model_fp16_cuda")]
    variant = both[1].variant
    assert (variant.precision, variant.target, variant.layout) == ("fp16", "cuda", "unrolled")
    assert variant.measured["cosine"] > 0.9999
    right, found = (opened.run(inputs(task)) for opened in both)
    apart = max(float(np.abs(found[name] - right[name]).max()) for name in right)
    assert 1e-5 < apart < 2e-2  # it rounds, and no more than that


@every_layout
@every_task
def test_fp16_for_gpus_holds_halves_alone(task: str, layout: Any, bundle: Any) -> None:
    folder = bundle(task, **WIDE)
    report = quantize(folder, precision=Fp16(layout=layout), texts=TEXTS[:2], **ANYTHING)
    assert report.variant and report.variant.layout == layout
    file = read_onnx(file_of(folder, "fp16"))
    big = {tensor.dtype for tensor in file.tensors.values() if tensor.bytes > 64}
    assert big == {np.dtype("<f2")}
    assert report.bytes is not None and report.bytes <= 0.51 * report.reference_bytes
    assert "com.microsoft.Attention" in file.operators
    assert report.variant.optimizations["packed-projections"] == 1


@pytest.mark.parametrize("precision", [None, "int8", "int8-block", "int4", "mixed"])
def test_only_fp16_has_targets(precision: Any) -> None:
    with pytest.raises(UsageError, match="does not take target"):
        compression(precision or default_precision(), target="cuda")


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(UsageError, match="target 'cpu' is unsupported"):
        Fp16(target="cpu")  # type: ignore[arg-type]


# Batches


def lone_and_together(folder: Path, precision: str) -> tuple[float, float, float]:
    """The least cosine of texts alone and in a batch, and how far batches and orders differ."""
    lengths = [3, 17, 1, 40, 9, 64]
    ids = np.random.default_rng(0).integers(5, WIDE["vocab_size"], (6, 64))
    mask = (np.arange(64) < np.c_[lengths]).astype(np.int64)
    order = [4, 2, 0, 5, 3, 1]
    run = Session(folder, variant=FILES[precision]).run
    batch = run({"input_ids": ids, "attention_mask": mask})["logits"]
    other = run({"input_ids": ids[order], "attention_mask": mask[order]})["logits"]
    cosine, apart, ordered = 1.0, 0.0, 0.0
    for index, length in enumerate(lengths):
        lone = run({"input_ids": ids[index : index + 1, :length]})["logits"][0]
        both = batch[index, :length]
        products = (lone * both).sum(-1) / np.linalg.norm(lone, axis=-1)
        cosine = min(cosine, float((products / np.linalg.norm(both, axis=-1)).min()))
        apart = max(apart, float(np.abs(lone - both).max()))
        ordered = max(ordered, float(np.abs(other[order.index(index), :length] - both).max()))
    return cosine, apart, ordered


@pytest.mark.parametrize("precision", ["int8", "int8-block", "int4", "fp16"])
def test_a_text_is_answered_the_same_in_any_company(precision: Any, bundle: Any) -> None:
    folder = bundle("token-classification", **WIDE)
    quantize(folder, precision=precision, texts=TEXTS, **ANYTHING)
    cosine, apart, ordered = lone_and_together(folder, precision)
    assert cosine >= 0.9999
    assert apart <= 1e-3 and ordered <= 1e-3


def test_but_not_where_all_share_a_scale(bundle: Any) -> None:
    folder = bundle("token-classification", **WIDE)
    quantize(folder, precision=Int8(activations="per-tensor"), texts=TEXTS, **ANYTHING)
    cosine, apart, ordered = lone_and_together(folder, "int8")
    assert cosine < 0.9999  # what the others keep
    assert apart > 1e-3 and ordered <= 1e-3


# Unsigned weights


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("scheme", ["per-token", "per-tensor"])
def test_unsigned_weights_stand_for_the_same_numbers(
    scheme: Any, layout: Any, bundle: Any, tmp_path: Path
) -> None:
    """Evaluated by ONNX's and our own definitions of the operators: no kernel has a say."""
    folder = bundle("token-classification")
    quantize(folder, precision=Int8(activations=scheme, layout=layout), texts=TEXTS, **ANYTHING)
    path = folder / "onnx" / "model_quantized.onnx"
    signed, unsigned = (
        onnx.load(path),
        onnx.load_from_string(with_unsigned_weights(path.read_bytes(), path)),
    )
    onnx.checker.check_model(unsigned)
    turned = 0
    for before, after in zip(signed.graph.initializer, unsigned.graph.initializer, strict=True):
        was, now = map(onnx.numpy_helper.to_array, (before, after))
        assert before.name == after.name
        if was.dtype == np.int8:
            turned += 1
            assert now.dtype == np.uint8
            np.testing.assert_array_equal(was.astype(int), now.astype(int) - 128)
            after.CopyFrom(before)
    assert turned > 1
    assert unsigned == signed  # nothing else changed


@pytest.mark.parametrize("task", MODEL_CLASSES)
def test_int8_is_the_type_of_nothing_but_weights_and_their_zero_point(
    task: str, tiny: dict[str, Path]
) -> None:
    graph = onnx.load(tiny[task] / "onnx" / "model_quantized.onnx").graph
    signed = {one.name for one in graph.initializer if one.data_type == onnx.TensorProto.INT8}
    assert "weight_zero_point" in signed and len(signed) > 5
    readers = [
        (node.op_type, place, name)
        for node in every_node(graph)
        for place, name in enumerate(node.input)
        if name in signed
    ]
    assert {(kind, place) for kind, place, _ in readers} == {
        ("MatMulIntegerToFloat", 1),
        ("MatMulIntegerToFloat", 5),
    }
    assert {name for _, place, name in readers if place == 5} == {"weight_zero_point"}


def every_node(graph: Any) -> Iterator[Any]:
    """The nodes of a graph and of the bodies in it, which have no initializers of their own."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                assert not attribute.g.initializer
                yield from every_node(attribute.g)


@pytest.mark.parametrize("scheme", ["per-token", "per-tensor"])
def test_any_cpu_is_right_with_unsigned_weights(
    scheme: Any, bundle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one that adds products of signed weights exactly gives the same bits with either."""
    folder = bundle("token-classification", **WIDE)
    quantize(folder, precision=Int8(activations=scheme), texts=TEXTS, **ANYTHING)
    arrays = inputs("token-classification", WIDE["vocab_size"])
    expected = Session(folder, variant="model").run(arrays)
    found = {}
    for exact in (True, False):
        monkeypatch.setattr(adaptation, "adds_signed_weights_exactly", lambda exact=exact: exact)
        monkeypatch.setattr(adaptation, "adds_narrow_activations_exactly", lambda: False)
        with Session(folder) as opened:
            assert opened.adaptation == (None if exact else "unsigned-weights")
            found[exact] = opened.run(arrays)
    assert overall(found[False], expected) >= 0.9995
    same = np.array_equal(found[True]["logits"], found[False]["logits"])
    assert same is saturation.adds_signed_weights_exactly()
    with Session(folder, variant="model") as opened:
        assert opened.adaptation is None


@pytest.mark.parametrize(
    "content", [b"", b"no model", b"\x3a\x05\x2a\x03\x10\x03"], ids=["empty", "text", "no values"]
)
def test_what_has_no_weights_to_turn(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    if not content:  # a message without fields is one
        assert with_unsigned_weights(path.read_bytes(), path) == b""
        return
    with pytest.raises(BundleError, match="cannot be made unsigned") as caught:
        with_unsigned_weights(path.read_bytes(), path)
    assert caught.value.tip


class FakeRuntime:
    """Of onnxruntime, what the probe uses; kept is what it was given."""

    def __init__(self, multiply: Callable[[Array], Array]) -> None:
        self.multiply = multiply
        self.models: list[bytes] = []

    SessionOptions = onnxruntime.SessionOptions

    def InferenceSession(self, model: bytes, *args: Any, **options: Any) -> FakeRuntime:
        self.models.append(model)
        return self

    def run(self, names: None, feed: Arrays) -> list[Array]:
        return [self.multiply(feed["x"])]


def exact(x: Array) -> Array:
    products: Array = (x.astype(np.int64) @ np.full((32, 32), 127)).astype(np.float32)
    return products


def saturating(x: Array) -> Array:
    """Pairs of products are added in 16 bits, as by vpmaddubsw."""
    pairs = (x.astype(np.int64).reshape(len(x), 16, 2) * 127).sum(axis=2)
    sums = pairs.clip(-(2**15), 2**15 - 1).sum(axis=1)
    return np.repeat(sums[:, None], 32, axis=1).astype(np.float32)


def saturating_matrices_alone(x: Array) -> Array:
    return exact(x) if len(x) == 1 else saturating(x)


@pytest.mark.parametrize(
    ("multiply", "expected"),
    [
        (exact, True),
        (saturating, False),
        (saturating_matrices_alone, False),
        (lambda x: exact(x) - (np.arange(32) == 31), False),
    ],
)
def test_what_the_probe_makes_of_it(
    multiply: Any, expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeRuntime(multiply)
    monkeypatch.setattr(saturation, "load_onnxruntime", lambda: fake)
    assert saturation.adds_signed_weights_exactly.__wrapped__() is expected


def test_the_probe_is_the_model_it_says_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeRuntime(exact)
    monkeypatch.setattr(saturation, "load_onnxruntime", lambda: fake)
    saturation.adds_signed_weights_exactly.__wrapped__()
    helper, kinds = onnx.helper, onnx.TensorProto
    weight = onnx.numpy_helper.from_array(np.full((32, 32), 127, np.int8), "weights")
    scale = onnx.numpy_helper.from_array(np.array(1, np.float32), "scale")
    graph = helper.make_graph(
        [
            helper.make_node(
                "MatMulIntegerToFloat",
                ["x", "weights", "scale", "scale"],
                ["y"],
                domain="com.microsoft",
            )
        ],
        "g",
        [helper.make_tensor_value_info("x", kinds.UINT8, ["rows", 32])],
        [helper.make_tensor_value_info("y", kinds.FLOAT, ["rows", 32])],
        [weight, scale],
    )
    imports = [helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, ir_version=8, opset_imports=imports)
    assert fake.models == [model.SerializeToString()]
    onnx.checker.check_model(model)


def test_the_real_runtime_multiplies_in_one_of_both_ways() -> None:
    assert saturation.adds_signed_weights_exactly() in (True, False)


# Refusals


def assert_refused(
    folder: Path, error: type[Exception], message: str, **options: Any
) -> AlbertEdgeError:
    before = snapshot(folder)
    with pytest.raises(error, match=message) as caught:
        quantize(folder, **options)
    assert snapshot(folder) == before
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    assert isinstance(caught.value, AlbertEdgeError) and caught.value.tip
    return caught.value


def test_answers_that_are_not_good_enough(bundle: Any) -> None:
    folder = bundle("fill-mask")
    quantize(folder, precision="int8", texts=TEXTS, **ANYTHING)  # this one must survive
    error = assert_refused(
        folder, QualityError, "int4 is not good enough", precision="int4", texts=TEXTS
    )
    assert error.exit_code == 3
    assert isinstance(error, QualityError)
    report = error.report
    assert not report.passed and report.misses and report.variant is None
    assert report.quality.cosine < 0.999 or report.quality.agreement < 0.99
    assert str(report.tip) == error.tip


@pytest.mark.parametrize(
    ("budget", "config"),
    [
        ({"min_cosine": 0.9995}, WIDE),
        ({"min_agreement": 0.9, "min_cosine": 0.9985}, {}),
    ],
    ids=["stricter", "looser"],
)
def test_the_tip_is_a_command_that_works(
    budget: dict[str, float], config: dict[str, Any], tmp_path: Path
) -> None:
    """As it stands: it must carry the budget it was found to be within."""
    from typer.testing import CliRunner

    from albert_edge.cli.commands import app
    from albert_edge.cli.spelling import spell_command_line

    task = "text-classification" if config else "fill-mask"
    folder = make_bundle(tmp_path, task, tokenizer=False, **config)
    error = assert_refused(folder, QualityError, "int4", precision="int4", **budget)
    assert isinstance(error, AlbertEdgeError)
    command = error.remedy.spell(spell_command_line).partition(" passes")[0].split()
    assert command[:3] == ["albert-edge", "quantize", str(folder)]
    result = CliRunner().invoke(app, command[1:])
    assert result.exit_code == 0, f"{error.tip}\n{result.output}"
    variant = open_bundle(folder).manifest.variants[-1]
    assert variant.precision == command[command.index("--precision") + 1]
    assert variant.measured["cosine"] >= budget.get("min_cosine", 0.999)
    assert variant.measured["agreement"] >= budget.get("min_agreement", 0.99)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"precision": "int3"}, UsageError, "int3"),
        ({"precision": "fp32"}, UsageError, "fp32"),
        ({"min_agreement": -0.1}, UsageError, "min_agreement is -0.1"),
        ({"min_cosine": 1.1}, UsageError, "min_cosine is 1.1"),
        ({"min_cosine": float("nan")}, UsageError, "min_cosine is nan"),
        ({"max_drop": 1.0}, UsageError, "needs labels"),
        ({"texts": []}, UsageError, "no texts"),
        ({"texts": "missing.txt"}, UsageError, r"missing\.txt"),
        ({"texts": "words.doc"}, UsageError, r"words\.doc"),
        ({"texts": ["1 2", "3 \ud800"]}, InputError, "text 2"),
        ({"texts": ["1"], "data": "data.tsv"}, UsageError, "not both"),
        ({"data": "missing.tsv"}, UsageError, r"missing\.tsv"),
        ({"data": "data.tsv", "max_drop": -1}, UsageError, "max_drop is -1"),
        ({"data": "data.tsv", "max_drop": float("nan")}, UsageError, "max_drop is nan"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else None,
)
def test_arguments_without_a_meaning(
    options: dict[str, Any], error: type[Exception], message: str, copied: Path
) -> None:
    assert_refused(copied, error, message, **options)


@pytest.mark.parametrize(
    "options", [{"layout": "spiral"}, {"activations": "per-word"}, {"prefer": "prettiest"}]
)
def test_options_without_a_meaning(options: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="|".join(options.values())):
        compression("mixed", **options)


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("empty.tsv", b"text\tlabel\n", UsageError, "no texts"),
        ("empty.jsonl", b"", UsageError, "no texts"),
        ("none.tsv", b"text\n1 2\n", InputError, "not a label"),
        ("unknown.tsv", b"text\tlabel\n1 2\tLABEL_0\n1 2\tLABEL_3\n", InputError, "LABEL_3"),
        ("large.tsv", b"text\tlabel\n1 2\t3\n", InputError, "'3'"),
        ("negative.tsv", b"text\tlabel\n1 2\t-1\n", InputError, "-1"),
        ("long.tsv", b"text\tlabel\n1 2\t" + b"9" * 5000 + b"\n", InputError, "not a label"),
        ("true.jsonl", b'{"text": "1", "label": true}\n', InputError, "True"),
        ("float.jsonl", b'{"text": "1", "label": 1.0}\n', InputError, "1.0"),
        ("number.jsonl", b'{"text": 1, "label": 0}\n', InputError, "record 1"),
        ("latin.csv", b"text,label\n\xe9,0\n", InputError, "record 1 is not UTF-8"),
        ("surrogate.jsonl", b'{"text": "\\ud800", "label": 0}\n', InputError, "record 1"),
        ("pair.jsonl", b'{"text": "1", "text_pair": 2, "label": 0}\n', InputError, "text_pair"),
    ],
)
def test_data_that_cannot_be_used(
    name: str, content: bytes, error: type[Exception], message: str, copied: Path, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    assert_refused(copied, error, message, data=tmp_path / name, precision="int8")


@pytest.mark.parametrize(
    ("task", "config"),
    [
        *((task, {}) for task in MODEL_CLASSES if task != "text-classification"),
        ("text-classification", {"num_labels": 3, "problem_type": "multi_label_classification"}),
        ("text-classification", {"num_labels": 1}),
    ],
    ids=str,
)
def test_a_label_for_each_text_says_nothing_about_other_answers(
    task: str, config: dict[str, Any], bundle: Any, tmp_path: Path
) -> None:
    """Where a text has no one right class, there is no accuracy; and no stack trace either."""
    folder = bundle(task, **config)
    data = tmp_path / "data.tsv"
    for texts in (["1 2", "3 4 5"], ["1 2"]):
        data.write_text("text\tlabel\n" + "".join(f"{text}\t0\n" for text in texts))
        assert_refused(folder, UsageError, "label|data", data=data, precision="int8", **ANYTHING)


def test_optimum_bundles_are_refused(copied: Path) -> None:
    path = copied / "albert_edge.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["variants"][0]["exporter"] = "optimum"
    path.write_text(json.dumps(manifest), encoding="utf-8")
    assert_refused(copied, BundleError, "exported by optimum")


@pytest.mark.parametrize("name", ["onnx/model.onnx", "tokenizer.json", "config.json"])
def test_damaged_bundles_are_refused(name: str, copied: Path) -> None:
    path = copied / name
    path.write_bytes(path.read_bytes() + b" ")
    assert_refused(copied, BundleError, path.name.replace(".", r"\."))


def test_texts_need_a_tokenizer(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path, "text-classification", tokenizer=False)
    assert_refused(folder, BundleError, "no tokenizer", texts=["1 2"])


def test_without_a_tokenizer_ids_are_drawn(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path, "question-answering", tokenizer=False)
    report = quantize(folder, precision="int8", **ANYTHING)
    assert report.sample == "random ids"
    assert report.quality and report.quality.texts > 100
    assert report == replace(quantize(folder, precision="int8", **ANYTHING), variant=report.variant)


def test_a_masked_word_needs_no_mask_token(tmp_path: Path) -> None:
    """A tokenizer without [MASK] is no reason to leave a model as large as it is."""
    folder = make_bundle(tmp_path, "fill-mask")
    path = tmp_path / "checkpoint" / "tokenizer.json"
    path.write_text(path.read_text().replace("[MASK]", "[NONE]"))
    albert_edge.export(tmp_path / "checkpoint", folder, force=True)
    try:
        quantize(folder, precision="int8", texts=TEXTS, **ANYTHING)
    except BundleError as error:
        assert "logits" not in error.tip  # which is no option of quantize


def test_not_a_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not an albert-edge bundle"):
        quantize(tmp_path)
    assert not any(tmp_path.iterdir())


def test_what_stops_half_way_leaves_no_trace(copied: Path) -> None:
    calls = 0

    def stop(after: int) -> Callable[[str, int, int | None], None]:
        def progress(what: str, done: int, total: int | None) -> None:
            nonlocal calls
            calls += 1
            assert total and 1 <= done <= total and what
            if calls == after:
                raise KeyboardInterrupt

        return progress

    before = snapshot(copied)
    for after in (1, len(TEXTS) + 2, 2 * len(TEXTS) + 2):
        calls = 0
        with pytest.raises(KeyboardInterrupt):
            quantize(copied, precision="int8", texts=TEXTS, progress=stop(after))
        assert snapshot(copied) == before
        assert not [path for path in copied.iterdir() if path.name.startswith(".")]
    quantize(copied, precision="int8", texts=TEXTS, **ANYTHING)
    open_bundle(copied).check_all()


def test_quantizing_again_replaces_the_variant(copied: Path) -> None:
    quantize(copied, precision=Int8(layout="unrolled"), texts=TEXTS, **ANYTHING)
    first = snapshot(copied)
    quantize(copied, precision="int8", texts=TEXTS, **ANYTHING)
    manifest = open_bundle(copied).manifest
    assert [(v.name, v.layout) for v in manifest.variants] == [
        ("model", "unrolled"),
        ("model_quantized", "loop"),
    ]
    open_bundle(copied).check_all()
    assert snapshot(copied).keys() == first.keys()
    again = snapshot(copied)
    quantize(copied, precision="int8", texts=TEXTS, **ANYTHING)
    # The same from the same: weights and graph do not depend on the day.
    assert snapshot(copied)["onnx/model_quantized.onnx"] == again["onnx/model_quantized.onnx"]


# Data


def test_accuracy_is_what_is_counted(copied: Path, tmp_path: Path) -> None:
    """With labels by name and by number, pairs, and texts over the limit."""
    random = np.random.default_rng(0)
    records = []
    for index in range(40):
        words = " ".join(map(str, random.integers(0, 200, 1 + 30 * (index % 4))))
        label: str | int = index % 3
        record: dict[str, Any] = {"text": words, "label": f"LABEL_{label}" if index % 2 else label}
        if index % 5 == 0:
            record["text_pair"] = "7 8 9"
        records.append(record)
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(record) + "\n" for record in records))
    report = quantize(copied, precision="int8", data=data, **ANYTHING)
    assert report.quality and report.quality.texts == 40 and report.sample == str(data)
    for precision, share in (
        ("fp32", report.quality.reference_accuracy),
        ("int8", report.quality.accuracy),
    ):
        classify: Any = albert_edge.pipeline(
            "text-classification", model=str(copied), precision=precision
        )
        right = 0
        for index, record in enumerate(records):
            given = {"text": record["text"], "text_pair": record.get("text_pair")}
            answer: Any = classify(given)
            answer = answer[0] if isinstance(answer, list) else answer
            right += answer["label"] == f"LABEL_{index % 3}"
        assert share == pytest.approx(right / 40)


# Which variant runs


def test_precisions_are_chosen_by_name(tiny: dict[str, Path]) -> None:
    folder = tiny["text-classification"]
    for precision, name in (*FILES.items(), ("fp32", "model")):
        if precision not in ("mixed", "fp16"):
            assert Session(folder, precision=precision).variant.name == name
    assert Session(folder, precision="fp16").variant.name == "model_fp16"  # as it is on a CPU
    assert Session(folder).variant.name == "model_quantized"
    classify = albert_edge.pipeline("text-classification", model=str(folder), precision="auto")
    by_name = albert_edge.pipeline("text-classification", model=str(folder), precision="int8")
    assert classify("1 2 3") == by_name("1 2 3")
    for unknown in ("int3", "INT8", "mixed"):
        with pytest.raises(BundleError, match=f"no {unknown} variant") as caught:
            Session(folder, precision=unknown)
        assert "int8-block" in caught.value.tip


# Mixed


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = make_bundle(tmp_path_factory.mktemp("mixed"), "token-classification", num_labels=5)
    return folder, quantize(folder, min_cosine=0.9985, min_agreement=0.97, texts=TEXTS)


def test_costs_of_every_matrix(mixed: tuple[Path, Any]) -> None:
    _, report = mixed
    pairs = [(cost.matrix, cost.precision) for cost in report.costs]
    precisions = (Precision.INT4, Precision.INT8, Precision.INT8_BLOCK)
    assert sorted(pairs) == sorted(itertools.product(Matrix, precisions))
    assert len(pairs) == 21
    for cost in report.costs:
        if cost.precision is Precision.INT4:
            assert cost.bytes_saved > 0
    assert report.precision == "mixed" and report.tried >= 1


def test_a_mixed_model_is_within_its_budget(mixed: tuple[Path, Any]) -> None:
    """Measured again, by transformers as the reference."""
    folder, report = mixed
    assert set(report.matrices.values()) <= {"int4", "int8", "int8-block"}
    run = transformers_run(folder.parent / "checkpoint", "token-classification")
    same, total, found = 0, 0, []
    with Session(folder, precision="mixed") as opened:
        assert opened.variant.name == "model_mixed"
        for text in TEXTS:
            words = [2, *(int(word) + 5 for word in text.split()), 3]
            arrays = {
                "input_ids": np.array([words]),
                "attention_mask": np.ones((1, len(words)), np.int64),
                "token_type_ids": np.zeros((1, len(words)), np.int64),
            }
            ours, theirs = opened.run(arrays), run(arrays)
            found.append(cosines(ours, theirs, arrays))
            decided = ours["logits"].argmax(-1) == theirs["logits"].argmax(-1)
            same, total = same + int(decided.sum()), total + decided.size
    assert np.concatenate(found).mean() >= 0.9985
    assert np.concatenate(found).mean() == pytest.approx(report.quality.cosine, abs=1e-5)
    assert same / total >= 0.97


def test_the_smallest_is_not_beaten_by_one_precision_for_all(mixed: tuple[Path, Any]) -> None:
    folder, report = mixed
    for precision in ("int8", "int8-block", "int4"):
        try:
            alone = quantize(
                folder,
                precision=precision,
                min_cosine=0.9985,
                min_agreement=0.97,
                texts=TEXTS,
            )
        except QualityError:
            continue
        assert alone.bytes is not None and report.bytes <= alone.bytes


def test_the_smallest_of_a_loose_budget_is_the_smallest_there_is(bundle: Any) -> None:
    """With nothing to lose, each matrix takes what saves most alone: a sum, so the optimum."""
    folder = bundle("text-classification")
    report = quantize(folder, precision="mixed", texts=TEXTS[:3], **ANYTHING)
    best: dict[Matrix, tuple[int, Precision]] = {}
    for cost in report.costs:
        if cost.bytes_saved > best.get(cost.matrix, (0, None))[0]:
            best[cost.matrix] = (cost.bytes_saved, cost.precision)
    assert report.tried <= 4  # three with one precision for all, and this one
    assert report.matrices == {matrix: precision for matrix, (_, precision) in best.items()}


def test_the_fastest_saves_most_time_by_its_own_measure(bundle: Any) -> None:
    folder = bundle("text-classification")
    report = quantize(folder, precision=Mixed(prefer="fastest"), texts=TEXTS[:3], **ANYTHING)
    saved = {(c.matrix, c.precision): c.seconds_saved for c in report.costs}
    gained = sum(saved[pair] for pair in report.matrices.items())
    best = sum(max(0.0, *(saved[m, p] for p in Precision if (m, p) in saved)) for m in Matrix)
    # Where nothing is faster alone, the least slow is taken, for something is to be compressed.
    assert gained == pytest.approx(best or max(saved.values()), abs=1e-9)


def test_a_budget_nothing_meets(copied: Path) -> None:
    error = assert_refused(
        copied, QualityError, "mixed is not good enough", min_cosine=1.0, texts=TEXTS
    )
    assert isinstance(error, QualityError) and error.report.quality is None
    assert len(error.report.costs) == 21
    assert "min_cosine" in error.tip
