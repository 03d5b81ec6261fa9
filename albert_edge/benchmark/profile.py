"""Runs of a model under onnxruntime's own profiler: every operator with its shapes and its time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from albert_edge.disk.writing import scratch_folder
from albert_edge.json_fields import read_json
from albert_edge.runtime.adaptation import Adaptation
from albert_edge.runtime.engine import session_options
from albert_edge.runtime.exits import split_rows
from albert_edge.runtime.model_source import ModelFile, read_source

# Operators that run graphs of their own, whose operators are reported one by one.
CONTROL_FLOW = frozenset({"Loop", "If", "Scan"})

_KERNEL = "_kernel_time"
_RUN = "model_run"


@dataclass(frozen=True, slots=True)
class Array:
    """An array that an operator took or gave: onnxruntime's name of its type, and its shape."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class NodeRun:
    """One run of an operator; in the body of a loop there is one for every turn.

    Attributes:
        operator: Its type, such as "MatMul".
        inputs: What went in, in order; optional ones that are left out are not listed.
        outputs: What came out.
        seconds: How long it took.
    """

    operator: str
    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class ModelRun:
    """One run of a model: its operators, and how long it took with all that is around them."""

    nodes: tuple[NodeRun, ...]
    seconds: float


def profile(
    model: ModelFile,
    inputs: Mapping[str, npt.NDArray[Any]],
    *,
    threads: int,
    runs: int,
    packed: bool = True,
    adaptation: Adaptation | None = None,
    by_row: bool = False,
) -> list[ModelRun]:
    """Run a model on the CPU as a session does, and write down what its operators do.

    Args:
        model: The .onnx file.
        inputs: Arrays by name; those the model does not take are ignored.
        threads: Threads inside a run.
        runs: How often to run it.
        packed: Whether onnxruntime packs weights, as it does to be fast. A weight that was packed
            is missing from the inputs of its operator.
        adaptation: How to change an int8 model before loading.
        by_row: Whether the rows of a batch run one after another, as with early exits.

    Returns:
        The runs in order. The first pays for what later ones find done.
    """
    options = session_options(threads)
    options.enable_profiling = True
    if not packed:
        options.add_session_config_entry("session.disable_prepacking", "1")
    with scratch_folder() as folder:
        options.profile_file_prefix = str(folder / "profile")
        source = read_source(model, adaptation)
        engine = source.make_session(options, providers=["CPUExecutionProvider"])
        feed = {value.name: inputs[value.name] for value in engine.get_inputs()}
        feeds = split_rows(feed) if by_row else [feed]
        for row in feeds * runs:
            engine.run(None, row)
        events = read_json(Path(engine.end_profiling()), ValueError)
    parts = read_profile(events)
    return [_joined(parts[at : at + len(feeds)]) for at in range(0, len(parts), len(feeds))]


def _joined(parts: Sequence[ModelRun]) -> ModelRun:
    nodes = tuple(node for part in parts for node in part.nodes)
    return ModelRun(nodes, sum(part.seconds for part in parts))


def read_profile(events: list[dict[str, Any]]) -> list[ModelRun]:
    """Read the runs from the events of an onnxruntime profile, whose times are in microseconds."""
    runs: list[ModelRun] = []
    nodes: list[NodeRun] = []
    for event in events:
        if event["name"] == _RUN:  # written when it is over
            runs.append(ModelRun(tuple(nodes), event["dur"] / 1e6))
            nodes = []
        elif event["cat"] == "Node" and event["name"].endswith(_KERNEL):
            details = event["args"]
            taken, given = (
                _arrays(details["input_type_shape"]),
                _arrays(details["output_type_shape"]),
            )
            nodes.append(NodeRun(details["op_name"], taken, given, event["dur"] / 1e6))
    return runs


def _arrays(shapes: list[dict[str, list[int]]]) -> tuple[Array, ...]:
    return tuple(Array(dtype, tuple(shape)) for types in shapes for dtype, shape in types.items())
