"""What is in the .onnx files: valid, standard, every weight once; and the code that writes and
reads them without onnx.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import pytest
import torch
import transformers
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx.reference import ReferenceEvaluator
from support.checkpoints import MODEL_CLASSES, TINY, hidden_states, make_model
from support.contrib_ops import CONTRIB_OPS

import albert_edge
from albert_edge.architecture.config import read_config
from albert_edge.architecture.weights import Matrix, WeightSpec
from albert_edge.bundle.bundle import open_bundle
from albert_edge.errors import BundleError
from albert_edge.graph import writer
from albert_edge.graph.authored import Authored, Weight
from albert_edge.graph.build import author
from albert_edge.graph.plan import (
    OPTIMIZATIONS,
    Layout,
    Optimization,
    Plan,
    Precision,
    Target,
)
from albert_edge.graph.writer import write_model
from albert_edge.onnx_format.reader import read_onnx
from albert_edge.runtime.engine import run_file
from albert_edge.runtime.session import Session
from albert_edge.steps.export import ExportReport

pytestmark = pytest.mark.slow

TOLERANCE = 1e-4
LAYOUTS: tuple[Layout, ...] = ("unrolled", "loop")
WANTED: dict[Target, frozenset[Optimization]] = {
    "portable": frozenset(),
    "cpu": frozenset(
        {Optimization.FUSED_ATTENTION, Optimization.FUSED_GELU, Optimization.FIRST_TOKEN}
    ),
    "cuda": OPTIMIZATIONS["cuda"],
}
PLANS = {
    f"{target}-{layout}": Plan(target, layout, wanted)
    for target, wanted in WANTED.items()
    for layout in LAYOUTS
}
SIZES: dict[str, Any] = {**TINY}
TEXT, LABELS, VOCABULARY = ("batch_size", "sequence_length"), 2, SIZES["vocab_size"]
OUTPUTS: dict[str, dict[str, tuple[Any, ...]]] = {
    "feature-extraction": {
        "last_hidden_state": (*TEXT, SIZES["hidden_size"]),
        "pooler_output": ("batch_size", SIZES["hidden_size"]),
    },
    "fill-mask": {"logits": (*TEXT, VOCABULARY)},
    "pretraining": {
        "prediction_logits": (*TEXT, VOCABULARY),
        "sop_logits": ("batch_size", LABELS),
    },
    "text-classification": {"logits": ("batch_size", LABELS)},
    "token-classification": {"logits": (*TEXT, LABELS)},
    "question-answering": {"start_logits": TEXT, "end_logits": TEXT},
    "multiple-choice": {"logits": ("batch_size", "num_choices")},
}

Array = npt.NDArray[Any]

every_task = pytest.mark.parametrize("task", MODEL_CLASSES)
every_plan = pytest.mark.parametrize("plan", PLANS.values(), ids=list(PLANS))


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A bundle for every head, which the tests must leave as they are."""
    folder = tmp_path_factory.mktemp("bundles")
    for task in MODEL_CLASSES:
        make_model(task).save_pretrained(folder / f"{task}-checkpoint")
        albert_edge.export(folder / f"{task}-checkpoint", folder / task)
    return {task: folder / task for task in MODEL_CLASSES}


def portable(bundle: Path) -> Path:
    return bundle / "onnx" / "model.onnx"


@pytest.fixture
def authored(bundles: dict[str, Path], tmp_path: Path) -> Callable[[str, Plan], Path]:
    """Writes a head under a plan."""

    def make(task: str, plan: Plan) -> Path:
        tensors = read_onnx(portable(bundles[task])).tensors
        model = author(read_config(bundles[task] / "config.json"), task, plan)
        write_model(model, lambda name: tensors[name].array(), tmp_path / "model.onnx")
        return tmp_path / "model.onnx"

    return make


def inputs(task: str, lengths: tuple[int, ...] = (6, 2)) -> dict[str, Array]:
    random = np.random.default_rng(0)
    shape = (len(lengths), *((3,) if task == "multiple-choice" else ()), max(lengths))
    mask = np.ones(shape, dtype=np.int64)
    for row, length in zip(mask, lengths, strict=True):
        row[..., length:] = 0
    return {
        "input_ids": random.integers(0, VOCABULARY, shape),
        "attention_mask": mask,
        "token_type_ids": random.integers(0, 2, shape),
    }


def all_graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph and the bodies of its loops."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from all_graphs(attribute.g)


# The graph


@every_plan
@every_task
def test_full_check(task: str, plan: Plan, authored: Callable[[str, Plan], Path]) -> None:
    onnx.checker.check_model(str(authored(task, plan)), full_check=True)


@every_task
def test_exported_file_passes_the_full_check(task: str, bundles: dict[str, Path]) -> None:
    onnx.checker.check_model(str(portable(bundles[task])), full_check=True)


def test_full_check_finds_faults(bundles: dict[str, Path], tmp_path: Path) -> None:
    """So that the checks above are known to look at shapes."""
    model = onnx.load(portable(bundles["text-classification"]))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value += 1
    onnx.save(model, tmp_path / "wrong.onnx")
    with pytest.raises(Exception, match=r"Inferred shape"):
        onnx.checker.check_model(str(tmp_path / "wrong.onnx"), full_check=True)


@pytest.mark.parametrize("layout", LAYOUTS)
@every_task
def test_portable_is_standard_opset_17(
    task: str, layout: Layout, authored: Callable[[str, Plan], Path]
) -> None:
    model = onnx.load(authored(task, Plan(layout=layout)))
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
    assert model.ir_version <= 8
    assert not model.functions
    graphs = list(all_graphs(model.graph))
    assert {node.domain for graph in graphs for node in graph.node} == {""}
    assert len(graphs) == (1 if layout == "unrolled" else 1 + SIZES["num_hidden_groups"])


@every_task
def test_cpu_uses_what_it_declares(task: str, authored: Callable[[str, Plan], Path]) -> None:
    model = onnx.load(authored(task, PLANS["cpu-unrolled"]))
    nodes = [node for graph in all_graphs(model.graph) for node in graph.node]
    assert {node.domain for node in nodes} == {opset.domain for opset in model.opset_import}
    assert {"Attention", "Gelu"} <= {node.op_type for node in nodes}


@every_task
def test_cuda_uses_what_it_declares(task: str, authored: Callable[[str, Plan], Path]) -> None:
    """Seven operators a layer: three for attention, four for what follows; counted by hand."""
    model = onnx.load(authored(task, PLANS["cuda-unrolled"]))
    nodes = Counter((node.domain, node.op_type) for node in model.graph.node)
    assert {domain for domain, _ in nodes} == {opset.domain for opset in model.opset_import}
    assert {opset.domain: opset.version for opset in model.opset_import}[""] == 17
    layers, pooled = 8, task in ("text-classification", "multiple-choice")
    decodes = task in ("fill-mask", "pretraining")
    assert nodes["com.microsoft", "Attention"] == layers - pooled
    assert nodes["com.microsoft", "MultiHeadAttention"] == pooled  # [CLS] alone asks
    assert nodes["", "Split"] == pooled + (task == "question-answering")
    assert nodes["com.microsoft", "SkipLayerNormalization"] == 2 * layers
    assert nodes["com.microsoft", "BiasGelu"] == layers + decodes
    in_head = 1 + pooled + 2 * (task == "pretraining")
    embeddings, in_layers = 1, 3 * layers + pooled
    assert nodes["", "MatMul"] == embeddings + in_layers + in_head
    assert nodes["", "Softmax"] == nodes["", "Erf"] == nodes["", "Transpose"] == 0


@pytest.mark.parametrize("half", [False, True], ids=["fp32", "fp16"])
@pytest.mark.parametrize("target", WANTED)
def test_no_score_overflows_under_the_mask(target: Target, half: bool, tmp_path: Path) -> None:
    """What is added to a masked score may be added to a low one, and multiplied with log2(e)."""
    make_model("fill-mask").config.save_pretrained(tmp_path)
    precisions = dict.fromkeys(Matrix, Precision.FP16) if half else {}
    plan = Plan(target, "unrolled", WANTED[target], precisions=precisions)
    config = read_config(tmp_path / "config.json")
    graph = ir.to_proto(author(config, "fill-mask", plan).model).graph
    constants = {i.name: onnx.numpy_helper.to_array(i) for i in graph.initializer}
    node = next(node for node in graph.node if node.op_type == "Mul")  # of the mask, written first
    (low,) = (constants[name] for name in node.input if name in constants)
    assert low.dtype == (np.float16 if half else np.float32)
    assert low < -1e4  # and it leaves nothing of exp()
    with np.errstate(over="raise"):
        assert np.isfinite(low + low / 2)
        assert np.isfinite(low * low.dtype.type(np.log2(np.e)))


@every_plan
@every_task
def test_inputs_and_outputs(task: str, plan: Plan, authored: Callable[[str, Plan], Path]) -> None:
    """Named and shaped as optimum names and shapes them, so that its classes can run the file."""
    graph = onnx.load(authored(task, plan)).graph

    def values(infos: Any) -> dict[str, tuple[Any, ...]]:
        return {
            info.name: tuple(
                dim.dim_param or dim.dim_value for dim in info.type.tensor_type.shape.dim
            )
            for info in infos
        }

    axes = ("batch_size", "num_choices", TEXT[1]) if task == "multiple-choice" else TEXT
    assert values(graph.input) == dict.fromkeys(
        ("input_ids", "attention_mask", "token_type_ids"), axes
    )
    assert values(graph.output) == OUTPUTS[task]
    types = onnx.TensorProto.INT64, onnx.TensorProto.FLOAT
    assert {info.type.tensor_type.elem_type for info in graph.input} == {types[0]}
    assert {info.type.tensor_type.elem_type for info in graph.output} == {types[1]}


@every_plan
@every_task
def test_reference_evaluator_agrees(
    task: str, plan: Plan, authored: Callable[[str, Plan], Path]
) -> None:
    """The definitions of the operators, in numpy: nothing leans on onnxruntime's kernels."""
    path = authored(task, plan)
    arrays = inputs(task)
    found = ReferenceEvaluator(str(path), new_ops=CONTRIB_OPS).run(None, arrays)
    expected = run_file(path)(arrays)
    for values, (name, reference) in zip(found, expected.items(), strict=True):
        np.testing.assert_allclose(values, reference, rtol=0, atol=TOLERANCE, err_msg=name)


@every_plan
@every_task
def test_batch_and_sequence_are_dynamic(
    task: str, plan: Plan, authored: Callable[[str, Plan], Path]
) -> None:
    """What a text answers does not depend on the texts, or the padding, beside it."""
    run = run_file(authored(task, plan))
    whole = inputs(task, (9, 9, 4))
    together = run(whole)
    for row, length in enumerate((9, 9, 4)):
        alone = run({name: array[row : row + 1, ..., :length] for name, array in whole.items()})
        for name, values in alone.items():
            rows = together[name][row : row + 1]
            if OUTPUTS[task][name][1:2] == ("sequence_length",):
                rows = rows[:, :length]
            np.testing.assert_allclose(values, rows, rtol=0, atol=1e-5)


@pytest.mark.reference
@pytest.mark.parametrize("target", ["portable", "cpu"])
@pytest.mark.parametrize(
    ("task", "rows"),
    [("text-classification", 2), ("multiple-choice", 6), ("token-classification", 12)],
)
def test_traced_states_are_those_of_transformers(
    task: str, rows: int, target: Target, authored: Callable[[str, Plan], Path]
) -> None:
    """What early exits read: [CLS], or every token, after every application of the layer."""
    arrays = inputs(task)
    path = authored(task, Plan(target, "loop", WANTED[target], traced=True))
    with torch.no_grad():
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        states = hidden_states(make_model(task), tensors)
    expected = np.stack([state.numpy() for state in states[1:]])  # before them, the first input
    per_token = expected.reshape(len(expected), -1, SIZES["hidden_size"])
    expected = per_token if task == "token-classification" else expected[:, :, 0]
    found = run_file(path)(arrays)["exit_states"]
    assert found.shape == (SIZES["num_hidden_layers"], rows, SIZES["hidden_size"])
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


# The weights


def initializers(path: Path) -> list[tuple[str, Array]]:
    """Every stored array of a file, constants inside nodes included."""
    arrays = []
    for graph in all_graphs(onnx.load(path).graph):
        arrays += [(i.name, onnx.numpy_helper.to_array(i)) for i in graph.initializer]
        arrays += [
            (f"{node.name}.{attribute.name}", onnx.numpy_helper.to_array(attribute.t))
            for node in graph.node
            for attribute in node.attribute
            if attribute.HasField("t")
        ]
    return arrays


def doubles(arrays: list[tuple[str, Array]]) -> list[str]:
    """Names of arrays of more than 8 numbers that occur more than once, also transposed."""
    forms: Counter[bytes] = Counter()
    names = {}
    for name, array in arrays:
        if array.size > 8:
            for form in {array.tobytes(), array.T.tobytes()}:
                forms[form] += 1
                names[form] = name
    return sorted({names[form] for form, count in forms.items() if count > 1})


@every_plan
@every_task
def test_no_weight_is_stored_twice(
    task: str, plan: Plan, authored: Callable[[str, Plan], Path]
) -> None:
    assert doubles(initializers(authored(task, plan))) == []


def test_doubles_are_found() -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    others: list[tuple[str, Array]] = [("b", array + 1), ("c", np.zeros(2))]
    assert doubles([("a", array), *others]) == []
    assert doubles([("a", array), *others, ("d", array.copy())]) == ["d"]
    assert doubles([("a", array), *others, ("d", array.T)]) == ["d"]


def unpacked(stored: dict[str, Array]) -> dict[str, Array]:
    """Matrices and biases that stand side by side in one, each by its own name again."""
    packed = [name for name in stored if "query_key_value" in name]
    for name in packed:
        parts = np.split(stored.pop(name), 3, axis=-1)
        for part, array in zip(("query", "key", "value"), parts, strict=True):
            stored[name.replace("query_key_value", part)] = array
    return stored


@every_plan
@every_task
def test_weights_are_the_checkpoints_own(
    task: str, plan: Plan, bundles: dict[str, Path], authored: Callable[[str, Plan], Path]
) -> None:
    """By name and value, matrices turned the way MatMul reads them, and nothing else of size."""
    stored = unpacked(dict(initializers(authored(task, plan))))
    prefix = "albert." if task == "feature-extraction" else ""
    for name, parameter in make_model(task).named_parameters():
        expected = parameter.detach().numpy()
        linear = expected.ndim == 2 and "embeddings" not in name
        found = stored.pop(prefix + name)
        np.testing.assert_array_equal(found, expected.T if linear else expected)
    assert all(array.size <= 4 for array in stored.values()), "constants are shapes and scalars"


# Size, at the geometries Google released


def official(hidden_size: int, layers: int, heads: int, **more: int) -> dict[str, Any]:
    return {
        "vocab_size": 30000,
        "embedding_size": 128,
        "hidden_size": hidden_size,
        "num_hidden_layers": layers,
        "num_hidden_groups": 1,
        "inner_group_num": 1,
        "num_attention_heads": heads,
        "intermediate_size": 4 * hidden_size,
    }


def write_zeros(folder: Path, model_class: str, config: dict[str, Any]) -> Path:
    """A checkpoint whose weights are a hole in the file: it has its size and takes no room.

    Names and shapes are those of transformers' own class, built without memory.
    """
    folder.mkdir()
    config_class: Any = transformers.AlbertConfig  # untyped
    albert_config = config_class(**config, architectures=[model_class])
    albert_config.save_pretrained(folder)
    with torch.device("meta"):
        model = getattr(transformers, model_class)(albert_config)
    header: dict[str, Any] = {}
    end = 0
    for name, tensor in model.state_dict().items():
        if not name.startswith("predictions.decoder."):  # tied, so save_pretrained leaves it out
            start, end = end, end + 4 * tensor.numel()
            header[name] = {
                "dtype": "F32",
                "shape": list(tensor.shape),
                "data_offsets": [start, end],
            }
    text = json.dumps(header).encode()
    path = folder / "model.safetensors"
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    return path


def export_zeros(
    folder: Path, model_class: str, config: dict[str, Any]
) -> tuple[float, ExportReport]:
    """The size of the model over that of the checkpoint, and the report of the export."""
    weights = write_zeros(folder / "checkpoint", model_class, config)
    report = albert_edge.export(folder / "checkpoint", folder / "bundle")
    assert report.model_bytes == portable(report.bundle).stat().st_size
    ratio = report.model_bytes / weights.stat().st_size
    # Hundreds of megabytes that pytest would otherwise keep for three runs.
    weights.unlink()
    portable(report.bundle).unlink()
    return ratio, report


@pytest.mark.parametrize(
    ("name", "config"),
    {
        "base": official(768, 12, 12),
        "large": official(1024, 24, 16),
        "large-12-layers": official(1024, 12, 16),
        "xlarge": official(2048, 24, 16),
        "xlarge-12-layers": official(2048, 12, 16),
        "xxlarge": official(4096, 12, 64),
    }.items(),
)
def test_file_is_no_larger_than_the_checkpoint(
    name: str, config: dict[str, Any], tmp_path: Path
) -> None:
    ratio, report = export_zeros(tmp_path, "AlbertForMaskedLM", config)
    assert report.weight_bytes is not None
    assert report.model_bytes > report.weight_bytes
    assert 0.99 < ratio <= 1.01


@every_task
def test_every_head_of_base_is_no_larger_than_its_checkpoint(task: str, tmp_path: Path) -> None:
    ratio, _ = export_zeros(tmp_path, MODEL_CLASSES[task], official(768, 12, 12))
    assert 0.99 < ratio <= 1.01


# External data


@pytest.fixture
def external(
    checkpoint: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A bundle whose model is beyond what one file may hold."""
    monkeypatch.setattr(writer, "LARGEST_MESSAGE", 100_000)
    albert_edge.export(checkpoint("pretraining"), tmp_path / "external")
    return tmp_path / "external"


def test_external_data(external: Path, bundles: dict[str, Path]) -> None:
    files = [record.file for record in open_bundle(external).manifest.variants[0].records]
    assert files == ["onnx/model.onnx", "onnx/model.onnx_data"]
    assert {path.name for path in (external / "onnx").iterdir()} == {
        "model.onnx",
        "model.onnx_data",
    }
    open_bundle(external).check_all()
    onnx.checker.check_model(str(portable(external)), full_check=True)
    assert portable(external).stat().st_size < 100_000

    arrays = inputs("pretraining")
    found, expected = (Session(b).run(arrays) for b in (external, bundles["pretraining"]))
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)
    assert doubles(initializers(portable(external))) == []


def test_external_data_is_aligned_for_mapping(external: Path) -> None:
    model = onnx.load(portable(external), load_external_data=False)
    places = [
        {entry.key: entry.value for entry in tensor.external_data}
        for tensor in model.graph.initializer
        if tensor.external_data
    ]
    assert len(places) == len(read_onnx(portable(external)).tensors) - sum(
        not tensor.external_data for tensor in model.graph.initializer
    )
    assert all(int(place["offset"]) % 4096 == 0 for place in places)
    assert {place["location"] for place in places} == {"model.onnx_data"}


def test_external_data_can_be_optimized(external: Path) -> None:
    before = Session(external, variant="model").run(inputs("pretraining"))
    report = albert_edge.optimize(external)
    assert len(report.variant.records) == 2
    found = Session(external).run(inputs("pretraining"))
    for name, values in before.items():
        np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-5)


def test_changed_external_data_is_refused(external: Path) -> None:
    path = external / "onnx" / "model.onnx_data"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match=r"model\.onnx_data"):
        Session(external)


@pytest.mark.parametrize("largest", [0, 10**9], ids=["external", "embedded"])
@pytest.mark.parametrize("damage", ["missing", "empty", "halved"])
def test_reading_what_is_left_of_a_model(
    damage: str,
    largest: int,
    checkpoint: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writer, "LARGEST_MESSAGE", largest)
    albert_edge.export(checkpoint("fill-mask"), tmp_path / "bundle")
    path = portable(tmp_path / "bundle")
    victim = path if largest else path.with_name("model.onnx_data")
    if damage == "missing":
        victim.unlink()
    else:
        victim.write_bytes(victim.read_bytes()[: 0 if damage == "empty" else 20_000])
    with pytest.raises(BundleError, match=r"model\.onnx"):
        read_onnx(path)


# Writing and reading files


def authored_from(arrays: dict[str, Array]) -> Authored:
    """A graph that does nothing, asking for these weights."""
    x = ir.val("x", ir.DataType.FLOAT, [1])
    node = ir.node("Identity", inputs=[x])
    node.outputs[0].name = "y"
    node.outputs[0].type, node.outputs[0].shape = x.type, x.shape
    graph = ir.Graph([x], node.outputs, nodes=[node], name="nothing", opset_imports={"": 17})
    spec = WeightSpec("anything", "table")
    weights = {name: Weight(spec, array.shape, array.dtype) for name, array in arrays.items()}
    return Authored(ir.Model(graph, ir_version=8), weights, {})


def write_arrays(arrays: dict[str, Array], path: Path) -> list[Path]:
    return write_model(authored_from(arrays), lambda name: arrays[name], path)


WEIGHTS = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200),
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=1, max_side=20),
        elements=st.floats(width=32, allow_nan=False),
    ),
    max_size=6,
)
to_files = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("largest", [0, 2**31 - 1], ids=["external", "embedded"])
@given(arrays=WEIGHTS)
@example(arrays={"scalar": np.array(1.5, dtype=np.float32)})
@example(arrays={"varint-of-two-bytes": np.zeros(32, dtype=np.float32)})
@example(arrays={"fortran": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))})
@to_files
def test_what_is_written_is_what_onnx_and_we_read(
    largest: int, arrays: dict[str, Array], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LARGEST_MESSAGE", largest)
    path = tmp_path / "model.onnx"
    files = write_arrays(arrays, path)
    assert files == ([path] if largest else [path, tmp_path / "model.onnx_data"])
    loaded = {i.name: onnx.numpy_helper.to_array(i) for i in onnx.load(path).graph.initializer}
    ours = {name: tensor.array() for name, tensor in read_onnx(path).tensors.items()}
    assert list(loaded) == list(ours) == list(arrays)
    for name, expected in arrays.items():
        for found in (loaded[name], ours[name]):
            assert found.shape == expected.shape
            np.testing.assert_array_equal(found, expected)


def test_progress_is_told_in_bytes(tmp_path: Path) -> None:
    arrays = {"a": np.zeros((2, 3), dtype=np.float32), "b": np.zeros(5, dtype=np.float32)}
    told: list[tuple[int, int]] = []
    write_model(
        authored_from(arrays),
        lambda name: arrays[name],
        tmp_path / "model.onnx",
        lambda done, total: told.append((done, total)),
    )
    assert told == [(24, 44), (44, 44)]


@every_plan
@every_task
def test_read_onnx_agrees_with_onnx(
    task: str, plan: Plan, authored: Callable[[str, Plan], Path]
) -> None:
    path = authored(task, plan)
    graphs = list(all_graphs(onnx.load(path).graph))
    found = read_onnx(path)
    expected = {i.name: onnx.numpy_helper.to_array(i) for g in graphs for i in g.initializer}
    assert set(found.tensors) == set(expected)
    for name, array in expected.items():
        tensor = found.tensors[name]
        assert (tensor.dtype, tensor.shape, tensor.bytes) == (
            array.dtype,
            array.shape,
            array.nbytes,
        )
        np.testing.assert_array_equal(tensor.array(), array)
    assert found.operators == Counter(
        f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        for graph in graphs
        for node in graph.node
    )


def read_or_refuse(path: Path) -> None:
    """Nothing but a BundleError may come out, whatever is in the file."""
    try:
        found = read_onnx(path)
    except BundleError as error:
        assert str(path) in str(error)
        assert error.tip
    else:
        assert all(isinstance(name, str) for name in found.tensors)


@pytest.fixture(scope="module")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("small") / "model.onnx"
    write_arrays({"a": np.ones((2, 3), dtype=np.float32), "b": np.ones(4, dtype=np.float32)}, path)
    return path.read_bytes()


def test_every_truncation(small_model: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    for length in range(len(small_model)):
        path.write_bytes(small_model[:length])
        read_or_refuse(path)


@given(data=st.data())
@settings(to_files, max_examples=400)
def test_fuzzed(data: st.DataObject, small_model: bytes, tmp_path: Path) -> None:
    content = bytearray(small_model)
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[at] = data.draw(st.integers(0, 255))
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    read_or_refuse(path)


@given(content=st.binary(max_size=200))
@settings(to_files, max_examples=300)
def test_garbage(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    read_or_refuse(path)


def field(number: int, content: bytes) -> bytes:
    """A length-delimited protobuf field."""
    length = len(content)
    varint = bytearray()
    while length > 0x7F:
        varint.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([number << 3 | 2, *varint, length]) + content


def nested(depth: int) -> bytes:
    """A graph in a node in a graph in a node ..."""
    graph = b""
    for _ in range(depth):
        graph = field(1, field(5, field(6, graph)))
    return field(7, graph)


def tensor(**fields: Any) -> bytes:
    """A model whose one initializer has exactly these fields of onnx.TensorProto."""
    return field(7, field(5, onnx.TensorProto(**fields).SerializeToString()))


def external_tensor(**entries: str) -> bytes:
    proto = onnx.TensorProto(name="a", dims=[4], data_type=1)
    proto.data_location = onnx.TensorProto.EXTERNAL
    for key, value in entries.items():
        proto.external_data.add(key=key, value=value)
    return field(7, field(5, proto.SerializeToString()))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html>404</html>", id="web-page"),
        pytest.param(b"\xff" * 400_000, id="endless-number"),
        pytest.param(field(7, field(5, bytes([2 << 3 | 2, 0]))), id="no-tensor-type"),
        pytest.param(nested(5_000), id="nested"),
        pytest.param(field(7, field(5, b"\x42\x02\xff\xfe")), id="name-not-utf-8"),
        pytest.param(tensor(name="a", dims=[2], data_type=99), id="unknown-type"),
        pytest.param(tensor(name="a", dims=[3], data_type=1, raw_data=b"1234"), id="too-short"),
        pytest.param(tensor(name="a", dims=[-1], data_type=1, raw_data=b"1234"), id="negative"),
        pytest.param(tensor(name="a", dims=[2**62, 8], data_type=1, raw_data=b"1"), id="huge"),
        pytest.param(external_tensor(location="data"), id="no-length"),
        pytest.param(external_tensor(location="../data", offset="0", length="16"), id="parent"),
        pytest.param(external_tensor(location="/etc/passwd", offset="0", length="16"), id="root"),
        pytest.param(external_tensor(location="..", offset="0", length="16"), id="dots"),
        pytest.param(external_tensor(location="none", offset="0", length="16"), id="no-file"),
        pytest.param(external_tensor(location="data", offset="90", length="16"), id="past-end"),
        pytest.param(external_tensor(location="data", offset="0", length="12"), id="too-few"),
        pytest.param(external_tensor(location="data", offset="-16", length="16"), id="backwards"),
        pytest.param(external_tensor(location="data", offset="x", length="16"), id="no-number"),
    ],
)
def test_hostile_model_is_refused_at_once(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(bytes(64))
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    started = time.monotonic()
    with pytest.raises(BundleError, match=r"model\.onnx"):
        read_onnx(path)
    assert time.monotonic() - started < 2


def test_external_tensor_above_is_right_but_for_the_fault(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(np.arange(16, dtype="<f4").tobytes())
    path = tmp_path / "model.onnx"
    path.write_bytes(external_tensor(location="data", offset="16", length="16"))
    np.testing.assert_array_equal(read_onnx(path).tensors["a"].array(), [4, 5, 6, 7])
