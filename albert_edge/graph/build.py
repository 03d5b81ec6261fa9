"""Author the ONNX graph of a configuration, a head and a plan."""

from __future__ import annotations

from functools import lru_cache

import onnx_ir as ir
from onnx_ir.passes.common import (
    ClearMetadataAndDocStringPass,
    RemoveUnusedNodesPass,
    RemoveUnusedOpsetsPass,
)
from onnxscript import GraphBuilder

from albert_edge.architecture.config import AlbertConfig
from albert_edge.architecture.heads import EXIT_OUTPUTS, HEADS, Axes, HeadSpec
from albert_edge.architecture.weights import find_weight, scale_name, with_indices
from albert_edge.errors import Argument, Message, UsageError
from albert_edge.graph.authored import Authored, Weight
from albert_edge.graph.heads import MODULES, Head
from albert_edge.graph.operators.base import Portable
from albert_edge.graph.operators.cpu import Cpu
from albert_edge.graph.operators.cuda import Cuda
from albert_edge.graph.plan import Plan, Target
from albert_edge.graph.values import MICROSOFT

TARGETS: dict[Target, type[Portable]] = {"portable": Portable, "cpu": Cpu, "cuda": Cuda}

# The IR version that the opset of each target shipped with.
_IR_VERSIONS = {17: 8, 23: 11}


@lru_cache(maxsize=32)  # what is tried out is often written afterwards
def author(config: AlbertConfig, head: str, plan: Plan) -> Authored:
    """Write the graph of an ALBERT.

    Args:
        config: The geometry.
        head: A key of `HEADS`.
        plan: How to author it.

    Returns:
        The graph, the weights to fill in, and how often each optimization was applied.

    Raises:
        ConfigError: hidden_act is not a known activation.
        UsageError: The head has no early exits, or the model has fewer applications of the layer.
    """
    _require_exits(config, head, plan)
    operators = TARGETS[plan.target](plan, config)
    graph = ir.Graph([], [], nodes=[], name=head, opset_imports={"": operators.opset, MICROSOFT: 1})
    module = MODULES[head](config, operators)
    if operators.float_type is not ir.DataType.FLOAT:
        for _, parameter in module.named_parameters():
            parameter.type = ir.TensorType(operators.float_type)
    _write(graph, module, HEADS[head], config)
    weights = _collect_weights(module)
    for name in weights:
        graph.initializers.pop(name)
    model = ir.Model(graph, ir_version=_IR_VERSIONS[operators.opset], producer_name="albert-edge")
    for tidy in RemoveUnusedNodesPass, RemoveUnusedOpsetsPass, ClearMetadataAndDocStringPass:
        tidy()(model)
    _shorten(graph)
    return Authored(model, weights, dict(operators.applied))


def _require_exits(config: AlbertConfig, head: str, plan: Plan) -> None:
    """Check that a head can have the exits, or the states for them, that a plan asks for."""
    if (plan.exits or plan.traced) and not HEADS[head].can_exit:
        able = ", ".join(name for name, spec in HEADS.items() if spec.can_exit)
        raise UsageError(
            f"A {head} model has no early exits: they need a decision to be certain of.",
            tip=f"Early exits are for these heads: {able}.",
        )
    if plan.exits >= config.num_hidden_layers:
        raise UsageError(
            Message(
                Argument("exits", plan.exits),
                f": the model applies its layer {config.num_hidden_layers} times, and there is no "
                "exit after the last.",
            ),
            tip=Message("Give ", Argument("exits", config.num_hidden_layers - 1), " at most."),
        )


def _write(graph: ir.Graph, head: Head, spec: HeadSpec, config: AlbertConfig) -> None:
    builder = GraphBuilder(graph)
    _name_parameters(builder, head)

    def shape(axes: Axes) -> list[int | str]:
        # An exit ends the run, so no other text may be in it.
        fixed = {"batch_size": 1} if head.operators.plan.exits else {}
        return [fixed.get(axis, getattr(config, axis, axis)) for axis in axes]

    inputs = [
        builder.input(i.name, ir.DataType[i.type.upper()], shape(i.axes)) for i in spec.inputs
    ]
    axes_of = {**spec.outputs, **spec.masked_outputs, **EXIT_OUTPUTS}
    for name, value in head(builder.op, *inputs).items():
        if value.dtype != ir.DataType.FLOAT and value.dtype.is_floating_point():
            value = builder.op.Cast(value, to=ir.DataType.FLOAT)
        value.shape = ir.Shape(shape(axes_of[name]))
        builder.add_output(value, name)
    if head.operators.observer:
        for name, value in head.operators.observer.statistics(builder.op):
            builder.add_output(value, name)


def _shorten(graph: ir.Graph) -> None:
    """Shorten the names of values and drop their types.

    Nodes keep the path of their module. Names and types cost a session memory for every
    application of a layer.
    """
    for count, node in enumerate(graph.all_nodes()):
        for index, value in enumerate(node.outputs):
            if not value.is_graph_output():
                value.name = f"{node.op_type}_{count}_{index}"
                value.type = value.shape = None


def _name_parameters(builder: GraphBuilder, head: Head) -> None:
    """Name every parameter by its path, before its first use.

    Otherwise the builder names a parameter where it is first used, and in the body of a Loop it
    prefixes the path of the Loop.
    """
    for path, module in head.named_modules():
        builder.push_module(path)
        for parameter in module.parameters(recurse=False):
            parameter._realize(builder)
        builder.pop_module()


def _collect_weights(head: Head) -> dict[str, Weight]:
    weights = {}
    for path, module in head.named_modules():
        for name, parameter in module.named_parameters(path, recurse=False):
            assert parameter.dtype is not None
            matrix = f"{path}.weight" if hasattr(module, "weight") else None
            scale_of = matrix if matrix and name == scale_name(matrix) else None
            spec = find_weight(scale_of or name)
            assert spec is not None, f"{name} has no row in architecture/weights.py"
            weights[name] = Weight(
                spec=spec,
                shape=parameter.shape.numpy() if parameter.shape else (),
                dtype=parameter.dtype.numpy(),
                blocks=getattr(module, "blocks", None) if name == matrix else None,
                scale_of=scale_of,
                bias_of=matrix if spec.kind == "bias" else None,
                parts=tuple(with_indices(part, name) for part in spec.parts),
                shift=getattr(module, "lower_bound", None) if name == matrix else None,
            )
    return weights
