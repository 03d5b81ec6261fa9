"""(configuration, head, plan) -> an ONNX graph and the weights it asks for by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import onnx_ir as ir
from onnx_ir.passes.common import (
    ClearMetadataAndDocStringPass,
    RemoveUnusedNodesPass,
    RemoveUnusedOpsetsPass,
)
from onnxscript import GraphBuilder, nn

from albert_edge.architecture.config import AlbertConfig
from albert_edge.architecture.heads import HEADS, HeadSpec
from albert_edge.graph.blocks import Blocks
from albert_edge.graph.heads import MODULES, Head
from albert_edge.graph.linear import Int8Linear, Linear
from albert_edge.graph.operators.base import MICROSOFT, Cpu, Portable
from albert_edge.graph.operators.cuda import Cuda
from albert_edge.graph.plan import Optimization, Plan, Target

TARGETS: dict[Target, type[Portable]] = {"portable": Portable, "cpu": Cpu, "cuda": Cuda}

# The IR version that the opset of each target shipped with.
_IR_VERSIONS = {17: 8, 23: 11}


@dataclass(frozen=True, slots=True)
class Weight:
    """A weight the graph asks for, by its name in the checkpoint.

    Attributes:
        shape: Its shape in the file.
        transposed: Whether the checkpoint keeps it the other way round.
        dtype: Its type in the file.
        blocks: How the rows it has in the checkpoint are cut into blocks, if they are.
        parts: Names of the weights that stand side by side in it, if it is not one itself.
    """

    shape: tuple[int, ...]
    transposed: bool
    dtype: ir.DataType = ir.DataType.FLOAT
    blocks: Blocks | None = None
    parts: tuple[str, ...] = ()

    @property
    def checkpoint_shape(self) -> tuple[int, ...]:
        """Its shape in the checkpoint."""
        return self.shape[::-1] if self.transposed else self.shape

    @property
    def bytes(self) -> int:
        """Its size in the file."""
        return int(self.dtype.itemsize) * prod(self.shape)


@dataclass(frozen=True, slots=True)
class Authored:
    """A graph without its weights, and what the plan did to it.

    Attributes:
        model: Nodes, inputs, outputs and small constants.
        weights: What is still to be filled in, by name.
        applied: How often each optimization was applied.
    """

    model: ir.Model
    weights: Mapping[str, Weight]
    applied: Mapping[Optimization, int]

    @property
    def weight_bytes(self) -> int:
        """Size of all weights in the file."""
        return sum(weight.bytes for weight in self.weights.values())


def author(config: AlbertConfig, head: str, plan: Plan) -> Authored:
    """Write the graph of an ALBERT.

    Args:
        config: The geometry.
        head: A key of `HEADS`.
        plan: Target, layout and optimizations.

    Returns:
        The graph, the weights it needs and the optimizations that found a place in it.

    Raises:
        ConfigError: hidden_act is not a known activation.
    """
    operators = TARGETS[plan.target](plan)
    graph = ir.Graph([], [], nodes=[], name=head, opset_imports={"": operators.opset, MICROSOFT: 1})
    module = MODULES[head](config, operators)
    if operators.float_type is not ir.DataType.FLOAT:
        for _, parameter in module.named_parameters():
            parameter.type = ir.TensorType(operators.float_type)
    _write(graph, module, HEADS[head], config)
    weights = _weights(module)
    for name in weights:
        graph.initializers.pop(name)
    model = ir.Model(graph, ir_version=_IR_VERSIONS[operators.opset], producer_name="albert-edge")
    for tidy in (
        RemoveUnusedNodesPass(),
        RemoveUnusedOpsetsPass(),
        ClearMetadataAndDocStringPass(),
    ):
        tidy(model)
    _shorten(graph)
    return Authored(model, weights, dict(operators.applied))


def _write(graph: ir.Graph, head: Head, spec: HeadSpec, config: AlbertConfig) -> None:
    builder = GraphBuilder(graph)
    _name_parameters(builder, head)
    inputs = [builder.input(i.name, ir.DataType[i.type.upper()], i.axes) for i in spec.inputs]
    axes_of = {**spec.outputs, **spec.masked_outputs}
    for name, value in head(builder.op, *inputs).items():
        if value.dtype != ir.DataType.FLOAT and value.dtype.is_floating_point():
            value = builder.op.Cast(value, to=ir.DataType.FLOAT)
        value.shape = ir.Shape([getattr(config, axis, axis) for axis in axes_of[name]])
        builder.add_output(value, name)
    if head.operators.observer:
        for name, value in head.operators.observer.statistics(builder.op):
            builder.add_output(value, name)


def _shorten(graph: ir.Graph) -> None:
    """Drop what is said twice: nodes carry the path of their module, values need not repeat it.

    Names and inferred types cost a session memory for every application of a layer.
    """
    for count, node in enumerate(graph.all_nodes()):
        for index, value in enumerate(node.outputs):
            if not value.is_graph_output():
                value.name = f"{node.op_type}_{count}_{index}"
                value.type = value.shape = None


def _name_parameters(builder: GraphBuilder, head: Head) -> None:
    """Name every parameter by its path, ahead of its first use.

    Left to itself the builder names a parameter where it is first met, and inside the body of a
    Loop it takes the path of the Loop for that of the parameter.
    """
    for path, module in head.named_modules():
        builder.push_module(path)
        for parameter in module.parameters(recurse=False):
            parameter._realize(builder)
        builder.pop_module()


def _weights(head: Head) -> dict[str, Weight]:
    weights = {}
    for path, module in head.named_modules():
        parent = path.rpartition(".")[0]
        for name, parameter in module.named_parameters(path, recurse=False):
            is_matrix = name == f"{path}.weight"
            kind = name.rpartition(".")[2]
            weights[name] = Weight(
                shape=parameter.shape.numpy() if parameter.shape else (),
                transposed=is_matrix and isinstance(module, Linear | Int8Linear),
                dtype=_type(parameter),
                blocks=getattr(module, "blocks", None) if is_matrix else None,
                parts=tuple(f"{parent}.{part}.{kind}" for part in getattr(module, "parts", ())),
            )
    return weights


def _type(parameter: nn.Parameter) -> ir.DataType:
    assert parameter.dtype is not None
    return parameter.dtype
