"""Repetition and choice as ONNX's Loop and If, whose bodies are graphs in the graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx_ir as ir
from onnxscript import OpBuilder


@dataclass(frozen=True, slots=True)
class Turn:
    """What an iteration of a loop results in.

    Attributes:
        carried: The values that the next iteration starts from.
        kept: Values of which the loop returns those of all iterations, stacked.
        go_on: Whether another iteration follows, a boolean scalar; None if it always does.
    """

    carried: Sequence[ir.Value]
    kept: Sequence[ir.Value] = ()
    go_on: ir.Value | None = None


def loop(
    op: OpBuilder,
    times: int,
    step: Callable[..., Turn],
    carried: Sequence[ir.Value],
    *,
    go_on: ir.Value | bool = True,
    keeps: int = 0,
) -> list[ir.Value]:
    """Repeat a step, which stands in the graph once.

    Args:
        op: The graph being written.
        times: Maximum number of iterations.
        step: Writes an iteration, given the builder of the body, the number of the iteration from
            0, and the carried values.
        carried: The values that the first iteration starts from, of types that do not change.
        go_on: Whether there is a first iteration.
        keeps: The number of values that an iteration keeps.

    Returns:
        The values that the last iteration carried, then the kept ones, (iterations, ...).
    """
    turns: list[Turn] = []

    def body(op: OpBuilder, iteration: ir.Value, still: ir.Value, *old: ir.Value) -> list[ir.Value]:
        turns.append(step(op, iteration, *old))
        return [turns[0].go_on or op.Identity(still), *turns[0].carried, *turns[0].kept]

    old = [ir.val(f"carried_{i}", x.dtype, x.shape) for i, x in enumerate(carried)]
    new = [ir.val(f"carried_on_{i}", x.dtype, x.shape) for i, x in enumerate(carried)]
    graph = op.builder.subgraph(
        body,
        inputs=[ir.val("iteration", ir.DataType.INT64, []), _flag("go_on"), *old],
        outputs=[_flag("still_go_on"), *new, *(ir.val(f"kept_{i}") for i in range(keeps))],
        name="iteration",
    )
    results = op.Loop(times, go_on, *carried, body=graph, _outputs=len(carried) + keeps)
    results = [results] if isinstance(results, ir.Value) else list(results)
    for result, x in zip(results, carried, strict=False):
        result.type, result.shape = x.type, x.shape
    for result, x in zip(results[len(carried) :], turns[0].kept, strict=True):
        result.type, result.shape = x.type, ir.Shape([None, *(x.shape or ())])
    return results


Branch = Callable[[OpBuilder], Sequence[ir.Value]]


def choose(
    op: OpBuilder, condition: ir.Value, then: Branch, otherwise: Branch, names: Sequence[str]
) -> list[ir.Value]:
    """Compute one of two branches.

    Args:
        op: The graph being written.
        condition: A boolean scalar.
        then: Writes what is computed if it is true.
        otherwise: Writes what is computed if it is false.
        names: The names of the results.

    Returns:
        The results of the branch, with the types of `then`'s.
    """

    def branch(write: Branch, place: str) -> ir.Graph:
        outputs = [ir.val(f"{place}/{name}") for name in names]
        return op.builder.subgraph(write, inputs=[], outputs=outputs, name=place)

    graphs = branch(then, "then"), branch(otherwise, "otherwise")
    results = op.If(condition, then_branch=graphs[0], else_branch=graphs[1], _outputs=len(names))
    for result, x in zip(results, graphs[0].outputs, strict=True):
        result.type, result.shape = x.type, x.shape
    return list(results)


def _flag(name: str) -> ir.Value:
    return ir.val(name, ir.DataType.BOOL, [])
