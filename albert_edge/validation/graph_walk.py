"""Walk through the nodes of a graph in order, as a run would, with sizes in place of values.

Nothing may read what comes later or stands outside, no name is given twice, every node is on the
allow-list, and neither a value nor all of them together may be larger than models of this geometry
need: in a run, or in what onnxruntime computes while it loads, which depends on no input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

from albert_edge.validation.graph_operators import Allowed, Operator
from albert_edge.validation.graph_parts import (
    MOST_DIMENSIONS,
    Described,
    Graph,
    Node,
    Refused,
    Tensor,
)
from albert_edge.validation.graph_size import Size, axes_of, common, size_of
from albert_edge.validation.graph_sizes import RULES

LOOP, IF = "Loop", "If"
_TURNS_TO_SETTLE = 3  # the sizes that a loop carries may change in its first iteration only


class Limits(NamedTuple):
    """What a run may need.

    Attributes:
        iterations: Of all loops together.
        nodes: In the file.
        largest: Entries of a value.
        total: Entries of all values of a run.
        constant: Entries of all values that do not depend on the inputs.
    """

    iterations: int
    nodes: int
    largest: int
    total: int
    constant: int


Scope = dict[str, Size]
"""The sizes of the values that a node may read, by name."""


class _AtNode(Refused):
    """A refusal that names its node."""


@dataclass(slots=True)
class Walk:
    """A walk through a graph and the graphs in it.

    Args:
        operators: The allow-lists; a node is on one of them.
        limits: What the run may need.
        loops: Whether there may be loops.
        branches: Whether there may be branches.
    """

    operators: Sequence[Mapping[str, Operator]]
    limits: Limits
    loops: bool
    branches: bool
    constants: set[str] = field(default_factory=set)
    total: int = 0
    constant: int = 0
    iterations: int = 0
    nodes: int = 0
    _times: int = 1
    _inside: list[str] = field(default_factory=list)

    def begin(self, initializers: Sequence[Tensor], inputs: Mapping[str, Size]) -> Scope:
        """Return the values that the first node may read."""
        scope: Scope = {}
        for tensor in initializers:
            _name(scope, tensor.name, size_of(tensor))
            self.constants.add(tensor.name)
        for name, size in inputs.items():
            _name(scope, name, size)
        return scope

    def through(self, graph: Graph, scope: Scope) -> list[Size]:
        """Walk through the nodes of a graph and return the sizes of its outputs."""
        for node in graph.nodes:
            try:
                self._node(node, scope)
            except _AtNode:
                raise
            except Refused as error:
                raise _AtNode(f"node {node.name!r} ({node.operator}): {error}") from None
        results = []
        for output in graph.outputs:
            size = _read(scope, output.name)
            require_fit(output, size)
            results.append(size)
        return results

    def _node(self, node: Node, scope: Scope) -> None:
        self.nodes += 1
        if self.nodes > self.limits.nodes:
            raise Refused(f"the graph has more than {self.limits.nodes} nodes")
        self._require_known(node)
        inputs = [_read(scope, name) if name else None for name in node.inputs]
        constant = all(not name or name in self.constants for name in node.inputs)
        if node.operator == LOOP:
            results = self._loop(node, [size for size in inputs if size], scope)
        elif node.operator == IF:
            results = self._if(node, scope)
        else:
            results = self._results(node, inputs)
        if len(results) != len(node.outputs):
            raise Refused(f"it has {len(node.outputs)} results instead of {len(results)}")
        for name, size in zip(node.outputs, results, strict=True):
            _name(scope, name, size)
            self._count(name, size, constant=constant)

    def _results(self, node: Node, inputs: list[Size | None]) -> list[Size]:
        try:
            return RULES[node.operator](node, inputs)
        except KeyError as error:
            raise Refused(f"it has no attribute {error}") from error

    def _require_known(self, node: Node) -> None:
        rows = [table[node.operator] for table in self.operators if node.operator in table]
        faults = [_fault(node, row) for row in rows] or ["this operator"]
        if all(faults):
            raise Refused(f"exporters do not write {faults[0]}")

    def _count(self, name: str, size: Size, *, constant: bool) -> None:
        entries = prod(length or 1 for length in size.shape)  # an empty value may be long too
        if len(size.shape) > MOST_DIMENSIONS or entries > self.limits.largest:
            raise Refused(f"its result of shape {size.shape} is larger than such a model needs")
        self.total += entries * self._times
        if self.total > self.limits.total:
            raise Refused("all results together are larger than such a model needs")
        if constant:
            self.constants.add(name)
            self.constant += entries
            if self.constant > self.limits.constant:
                raise Refused("results that depend on no input are larger than the weights")

    def _loop(self, node: Node, inputs: list[Size], scope: Scope) -> list[Size]:
        if not self.loops or LOOP in self._inside:
            raise Refused("a loop stands where exporters write none")
        body, times = node.attributes.get("body"), inputs[0].values
        if body is None or inputs[0].shape or not times or node.inputs[0] not in self.constants:
            raise Refused("the number of iterations is not a constant")
        self.iterations += times[0]
        if times[0] < 1 or self.iterations > self.limits.iterations:
            raise Refused(f"{times[0]} iterations are more than the model has layers")
        carried = [Size(size.shape) for size in inputs[2:]]  # of any iteration
        if inputs[1].shape or len(body.inputs) != 2 + len(carried) or body.initializers:
            raise Refused("its body takes other values")
        for _ in range(_TURNS_TO_SETTLE):
            before = self.total, self.constant, self.iterations, self.nodes
            results = self._inner(LOOP, body, [Size(()), Size(()), *carried], scope, times[0])
            self._require_flag(results, inputs)
            found = results[1 : 1 + len(carried)]
            after = [_either(old, new) for old, new in zip(carried, found, strict=True)]
            if after == carried and _axes(after) == _axes(carried):
                kept = [Size((times[0], *size.shape)) for size in results[1 + len(carried) :]]
                return [*after, *kept]
            self.total, self.constant, self.iterations, self.nodes = before
            carried = after
        raise Refused("its results grow with every iteration")

    def _require_flag(self, results: list[Size], inputs: list[Size]) -> None:
        if len(results) < len(inputs) - 1 or results[0].shape:
            raise Refused("its body has other results")

    def _if(self, node: Node, scope: Scope) -> list[Size]:
        if not self.branches or self._inside:
            raise Refused("a branch stands where exporters write none")
        names = "then_branch", "else_branch"
        graphs = [node.attributes[name] for name in names if name in node.attributes]
        if len(graphs) != len(names) or any(graph.inputs or graph.initializers for graph in graphs):
            raise Refused("it has other branches")
        first, second = (self._inner(IF, graph, [], scope, 1) for graph in graphs)
        if [size.shape for size in first] != [size.shape for size in second]:
            raise Refused("its branches have results of different sizes")
        return [_either(one, other) for one, other in zip(first, second, strict=True)]

    def _inner(
        self, kind: str, graph: Graph, inputs: list[Size], scope: Scope, times: int
    ) -> list[Size]:
        """Walk through the body of a loop, or a branch, which read what is around them too."""
        inner = dict(scope)
        for value, size in zip(graph.inputs, inputs, strict=True):
            require_fit(value, size)
            _name(inner, value.name, size)
        if graph.described:
            raise Refused("a graph in the graph describes values")
        around = set(self.constants)  # another graph may give the same names to other values
        self._inside.append(kind)
        self._times *= times
        results = self.through(graph, inner)
        self._times //= times
        self._inside.pop()
        self.constants = around
        return results


def _either(one: Size, other: Size) -> Size:
    """Return the size of a value that is one of two, or the size of the second if they differ."""
    if one.shape != other.shape:
        return Size(tuple(map(int, other.shape)))
    return Size(tuple(map(common, one.shape, other.shape)))


def _axes(sizes: Sequence[Size]) -> list[list[str]]:
    return [axes_of([length]) for size in sizes for length in size.shape]


def _fault(node: Node, row: Operator) -> str:
    """Return what of a node is not on the allow-list; "" for nothing."""
    for name, value in node.attributes.items():
        if name not in row.attributes or not _is_allowed(value, row.attributes[name]):
            return f"this value of its attribute {name!r}"
    form = "".join("x" if name else "_" for name in node.inputs)
    if form not in row.inputs or len(node.outputs) not in row.outputs:
        return f"it with {len(form)} inputs and {len(node.outputs)} outputs"
    return ""


def _is_allowed(value: Any, allowed: Allowed) -> bool:
    if callable(allowed):
        return allowed(value)
    kinds = {type(one) for one in allowed}  # 1.0 is not 1, and a tensor or a graph is no value
    return type(value) in kinds and value in allowed


def require_fit(value: Described, size: Size) -> None:
    """Check that a value is as large as it is described, where that says a number."""
    if value.shape is None:
        return
    fits = len(value.shape) == len(size.shape) and all(
        found.size in (None, expected)
        for found, expected in zip(value.shape, size.shape, strict=True)
    )
    if not fits:
        raise Refused(f"value {value.name!r} has the shape {size.shape}, not as it is described")


def _name(scope: Scope, name: str, size: Size) -> None:
    if not name or name in scope:
        raise Refused(f"the name {name!r} is given twice" if name else "a value has no name")
    scope[name] = size


def _read(scope: Mapping[str, Size], name: str) -> Size:
    if name not in scope:
        raise Refused(f"it reads {name!r}, which is not a value before it")
    return scope[name]
