"""Check that an .onnx file of a bundle is one that the exporters could have written.

onnxruntime runs any operator, follows references to other files, and takes the memory and the time
that a graph asks for. So a file of others is read by the project's own reader first, in one pass.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path

from albert_edge.architecture.config import AlbertConfig
from albert_edge.architecture.heads import EXIT_OUTPUTS, HEADS, LAYERS, Axes, Input
from albert_edge.bundle.manifest import MODEL
from albert_edge.bundle.model_file import BundledModel
from albert_edge.errors import BundleError
from albert_edge.onnx_format.external_data import require_inside
from albert_edge.validation.graph_messages import all_nodes, read_model
from albert_edge.validation.graph_operators import FORMER, OPERATORS, OPTIMUM, Operator
from albert_edge.validation.graph_parts import (
    BOOL,
    FLOAT,
    FLOAT16,
    INT64,
    Described,
    Model,
    Refused,
)
from albert_edge.validation.graph_size import Measured, Size
from albert_edge.validation.graph_walk import Limits, Walk, require_fit

_MICROSOFT = "com.microsoft"
_TYPES = {"int64": INT64, "float32": FLOAT, "float16": FLOAT16, "bool": BOOL}

# Opset and IR version that the files of a target have.
FORMATS = {"portable": (17, 8), "cpu": (23, 11), "cuda": (17, 8)}
_PRODUCERS = {"native": "albert-edge", "optimum": "pytorch"}

# The first run whose sizes are computed.
_SIZES = {"batch_size": 2, "num_choices": 3}
_LONGEST = 512

# What models of all kinds need at most, measured over what the exporters write, and rounded up:
# nodes of a layer and around the layers; values of them, in units of the widest of a layer.
_NODES_OF_LAYER, _OTHER_NODES = 80, 200
_VALUES_OF_LAYER, _OTHER_VALUES = 16, 16
_SMALL = 4096  # entries that are not worth a refusal


@dataclass(frozen=True, slots=True)
class Declared:
    """What a bundle says about an .onnx file.

    Attributes:
        path: What errors call the file.
        config: The geometry of the model.
        target: As in its manifest, like the next four.
        layout: "unrolled" or "loop".
        opset: Version of the ONNX operator set.
        exporter: "native" or "optimum".
        exits: Number of early exits.
        inputs: The arrays that it takes.
        outputs: The axes of each output: symbolic names, or fields of the configuration. None if
            the head is unknown.
        data: Its external data: sizes in bytes, by the names of files.
    """

    path: Path
    config: AlbertConfig
    target: str
    layout: str
    opset: int
    exporter: str
    exits: int
    inputs: tuple[Input, ...]
    outputs: Mapping[str, Axes] | None
    data: Mapping[str, int]


def declared_by(model: BundledModel) -> Declared:
    """Return what a bundle says about one of its .onnx files.

    Raises:
        BundleError: config.json is missing or its sha256 differs.
        ConfigError: It is not the configuration of an ALBERT.
    """
    variant = model.variant
    head = HEADS.get(model.head) if model.role == MODEL else None
    outputs = None
    if head:
        own = head.masked_outputs if variant.has_own_outputs else head.outputs
        exits = {LAYERS: EXIT_OUTPUTS[LAYERS]} if variant.exits else {}
        outputs = {**own, **exits}
    return Declared(
        path=model.path,
        config=model.read_config(),
        target=variant.target,
        layout=variant.layout,
        opset=variant.opset,
        exporter=variant.exporter,
        exits=variant.exits,
        inputs=variant.inputs[model.role],
        outputs=outputs,
        data={name: record.bytes for name, record in model.data.items()},
    )


def check_model(file: memoryview, declared: Declared) -> None:
    """Check that an .onnx file has nothing that its exporter could not have written.

    Args:
        file: Its content. Weights are not read.
        declared: What its bundle says about it.

    Raises:
        BundleError: It has; the message names the node, the operator or the tensor.
    """
    try:
        _check(file, declared)
    except (Refused, ValueError, IndexError, KeyError, OverflowError) as error:
        raise BundleError(
            f"{declared.path} was not written by albert-edge's {declared.exporter} exporter: "
            f"{error}.",
            tip="Do not use this bundle. Export the model again from a checkpoint you trust.",
            where=declared.path,
        ) from error


def _check(file: memoryview, declared: Declared) -> None:
    model = read_model(file)
    _check_format(model, declared)
    _check_external_data(model, declared)
    for sizes in _runs(declared):
        _check_run(model, declared, sizes)


def _check_run(model: Model, declared: Declared, sizes: Mapping[str, int]) -> None:
    graph = model.graph
    inputs = _check_inputs(graph.inputs, declared, sizes)
    walk = Walk(
        _operators(declared),
        _limits(model, declared, sizes, inputs),
        loops=declared.layout == "loop",
        branches=declared.exits > 0,
    )
    scope = walk.begin(graph.initializers, inputs)
    results = walk.through(graph, scope)
    for value in graph.described:  # constants; the first version described all values
        if value.name not in scope:
            raise Refused(f"it describes {value.name!r}, which is not there")
        require_fit(value, scope[value.name])
    _check_outputs(graph.outputs, results, declared, sizes)


def _operators(declared: Declared) -> list[Mapping[str, Operator]]:
    if declared.exporter == "optimum":
        return [OPTIMUM]
    return [OPERATORS[declared.target], FORMER.get(declared.target, {})]


def _check_format(model: Model, declared: Declared) -> None:
    if declared.exporter not in _PRODUCERS:
        raise Refused(f"the exporter {declared.exporter!r} is unknown")
    if model.producer != _PRODUCERS[declared.exporter]:
        raise Refused(f"it says that {model.producer!r} produced it")
    if declared.target not in OPERATORS:
        raise Refused(f"the target {declared.target!r} is unknown")
    opset, ir_version = FORMATS[declared.target]
    if (declared.opset, model.ir_version) != (opset, ir_version):
        raise Refused(f"it has IR version {model.ir_version}, and the opset is {declared.opset}")
    uses_others = any(node.operator.startswith(_MICROSOFT) for node in all_nodes(model.graph))
    if model.opsets != {"": opset, **({_MICROSOFT: 1} if uses_others else {})}:
        raise Refused(f"it has the operator sets {dict(model.opsets)}")


def _check_external_data(model: Model, declared: Declared) -> None:
    places = [t.external for t in model.graph.initializers if t.external]
    for location, offset, length in places:
        if location not in declared.data:
            raise Refused(f"it refers to {location!r}, which its bundle does not list as its data")
        require_inside(offset, length, declared.data[location])
    for location in declared.data:
        spans = sorted((o, o + n) for name, o, n in places if name == location)
        if any(end > start for (_, end), (start, _) in pairwise(spans)):
            raise Refused(f"tensors overlap in {location!r}")


def _runs(declared: Declared) -> Iterator[dict[str, int]]:
    """Yield the sizes of axes in the runs that are walked through.

    The second is any, of many texts: what fits together, or is small, in the first run by chance
    only, is seen to be wrong there.
    """
    most = declared.config.max_position_embeddings
    lengths = min(most, _LONGEST), random.randint(min(2, most), most)
    others = _SIZES, {axis: random.randint(20, 50) for axis in _SIZES}
    for length, sizes in zip(lengths, others, strict=True):
        if declared.exits:
            sizes = {**sizes, "batch_size": 1}
        sizes = {**sizes, "sequence_length": length}
        yield {axis: Measured(size, [axis]) for axis, size in sizes.items()}


def _check_inputs(
    found: Sequence[Described], declared: Declared, sizes: Mapping[str, int]
) -> dict[str, Size]:
    names = [value.name for value in found]
    if names != [value.name for value in declared.inputs]:
        raise Refused(f"it has the inputs {', '.join(names)}")
    shapes = {}
    for value, expected in zip(found, declared.inputs, strict=True):
        shape = tuple(_size_of_axis(axis, sizes) for axis in expected.axes)
        # A size that is fixed in the file is one in the manifest too, or that of an only text.
        described = [
            axis.size if axis.size is not None else axis.name for axis in value.shape or ()
        ]
        exact = [1 if declared.exits and axis == "batch_size" else axis for axis in expected.axes]
        if value.type != _TYPES.get(expected.type) or [*map(str, described)] != [*map(str, exact)]:
            raise Refused(f"its input {value.name!r} is not as its bundle declares it")
        shapes[value.name] = Size(shape)
    return shapes


def _size_of_axis(axis: str, sizes: Mapping[str, int]) -> int:
    return int(axis) if axis.isascii() and axis.isdigit() else sizes.get(axis, _LONGEST)


def _check_outputs(
    found: Sequence[Described],
    results: Sequence[Size],
    declared: Declared,
    sizes: Mapping[str, int],
) -> None:
    if declared.outputs is None:
        return
    expected = dict(declared.outputs)
    names = [value.name for value in found]
    if not declared.config.add_pooling_layer or declared.exporter == "optimum":
        expected.pop("pooler_output", None)  # which optimum leaves out
    if names != [*expected]:
        raise Refused(f"it has the outputs {', '.join(names)}")
    tokens = prod(sizes[axis] for axis in declared.inputs[0].axes if axis in sizes)
    named = {**sizes, "masks": tokens, "batch_and_sequence": 2}
    for value, result in zip(found, results, strict=True):
        axes = expected[value.name]
        shape = tuple(named.get(axis) or getattr(declared.config, axis) for axis in axes)
        whole = value.name in (LAYERS, "mask_positions")
        if result.shape != shape or value.type != (INT64 if whole else FLOAT):
            raise Refused(f"its output {value.name!r} is not what its head has")


def _limits(
    model: Model, declared: Declared, sizes: Mapping[str, int], inputs: Mapping[str, Size]
) -> Limits:
    config = declared.config
    tokens = max((prod(size.shape) for size in inputs.values()), default=1)
    # No value is wider than the largest matrix of the file, whatever config.json says.
    widest = max(
        (
            size
            for tensor in model.graph.initializers
            if len(tensor.shape) > 1
            for size in tensor.shape
        ),
        default=1,
    )
    scores = min(config.num_attention_heads, widest) * sizes["sequence_length"]
    inside = max(3 * config.hidden_size, config.intermediate_size, config.embedding_size)
    inside = max(min(inside, 3 * widest), scores)
    outside = min(max(config.vocab_size, config.num_labels), widest)
    applications = config.num_hidden_layers * config.inner_group_num
    weights = sum(prod(tensor.shape) for tensor in model.graph.initializers)
    return Limits(
        iterations=2 * config.num_hidden_layers,
        nodes=_OTHER_NODES + _NODES_OF_LAYER * applications,
        largest=tokens * max(inside, outside) + _SMALL,
        total=tokens * (inside * (_OTHER_VALUES + _VALUES_OF_LAYER * applications) + 8 * outside),
        constant=weights + _SMALL,
    )
