"""Statistics of the input of each matrix, as outputs of the graph: for calibration.

The activations of a text are many times larger than their statistics, so the graph computes the
statistics itself. numpy would also slow down the next run: its threads keep all cores busy for a
while after every product.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from albert_edge.architecture.weights import find_weight
from albert_edge.graph.plan import Plan

if TYPE_CHECKING:  # as `compress`, which needs `groups`, is imported without what writes graphs
    import onnx_ir as ir
    from onnxscript import OpBuilder

# Features whose covariance is computed (see `compress.rounding`). Groups of 1,024 and of 3,072 were
# measured to gain little over this for base and large, and the cost grows with their size.
_GROUP = 512

# Maximum of tokens observed per text: the tokens of all layers are in memory until the run ends.
_TOKENS = 64


def groups(features: int) -> list[slice]:
    """Cut features into the groups whose covariances are computed."""
    return [slice(s, min(s + _GROUP, features)) for s in range(0, features, _GROUP)]


class Observer:
    """Records the inputs of matrices and writes their statistics into the graph.

    Args:
        prunable: Whether to record only what neurons and heads yield, with the covariance of all
            their features instead of that within groups.
    """

    @classmethod
    def of(cls, plan: Plan) -> Observer | None:
        """Return the observer that a plan asks for, if any."""
        return cls(prunable=plan.moments) if plan.observed or plan.moments else None

    def __init__(self, *, prunable: bool = False) -> None:
        self._prunable = prunable
        self._rows: dict[ir.Value, ir.Value] = {}
        self._entering: dict[str, list[ir.Value]] = {}
        self._features: dict[str, int] = {}

    def observe(self, op: OpBuilder, weight: ir.Value, x: ir.Value) -> None:
        """Record the input of a matrix, (..., features), in an application of its layer."""
        assert weight.name is not None and weight.shape is not None
        features = weight.shape[0]
        assert isinstance(features, int)
        if self._prunable and not _is_prunable(weight.name):
            return
        if x not in self._rows:
            self._rows[x] = op.Reshape(_some_tokens(op, x), [-1, features])
        self._entering.setdefault(weight.name, []).append(self._rows[x])
        self._features[weight.name] = features

    def statistics(self, op: OpBuilder) -> Iterator[tuple[str, ir.Value]]:
        """Write the statistics of all recorded inputs.

        Yields:
            Outputs with their names, "STATISTIC:WEIGHT WEIGHT ...", where the weights read the
            same activations. The statistics are "rows", their number, (1,); "mean", (1, features);
            "largest", the largest magnitudes, (1, features); and "products.0.0", "products.1.1" ...
            for each of `groups`, sums of products of two features less their mean, (group, group).
            For pruning also "products.1.0", "products.2.0" ..., of a group and one before it: the
            others are their transposes, and would double the time and the memory.
        """
        readers: dict[tuple[ir.Value, ...], list[str]] = {}
        for name, rows in self._entering.items():
            readers.setdefault(tuple(rows), []).append(name)
        for parts, names in readers.items():
            joined = op.Concat(*parts, axis=0)
            cuts = groups(self._features[names[0]])
            for statistic, value in _of_rows(op, joined, cuts, across=self._prunable):
                yield f"{statistic}:{' '.join(names)}", value


def _is_prunable(name: str) -> bool:
    spec = find_weight(name)
    return spec is not None and spec.reads is not None and spec.reads.is_prunable


def _some_tokens(op: OpBuilder, x: ir.Value) -> ir.Value:
    """Take every n-th token, with the least n that takes at most `_TOKENS`."""
    if x.shape is None or x.shape.rank() < 3:
        return x
    length = op.Shape(x, start=1, end=2)
    step = op.Div(op.Add(length, _TOKENS - 1), _TOKENS)
    return op.Slice(x, [0], length, [1], step)


def _of_rows(
    op: OpBuilder, rows: ir.Value, cuts: list[slice], *, across: bool
) -> Iterator[tuple[str, ir.Value]]:
    yield "rows", op.Shape(rows, start=0, end=1)
    mean = op.ReduceMean(rows, [0], keepdims=1)
    yield "mean", mean
    lowest = op.ReduceMin(rows, [0], keepdims=1)
    yield "largest", op.Max(op.ReduceMax(rows, [0], keepdims=1), op.Neg(lowest))
    before: list[ir.Value] = []
    for count, group in enumerate(cuts):
        bounds = [group.start], [group.stop], [1]
        # A group at a time: the deviations of all features would be a second copy of the rows.
        deviations = op.Sub(op.Slice(rows, *bounds), op.Slice(mean, *bounds))
        for index, earlier in enumerate(before):
            yield f"products.{count}.{index}", op.Gemm(deviations, earlier, transA=1)
        yield f"products.{count}.{count}", op.Gemm(deviations, deviations, transA=1)
        if across:
            before.append(deviations)
