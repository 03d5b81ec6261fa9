"""Graphs under every kind of plan: what the exporter can write, in tiny models."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from albert_edge.architecture.config import AlbertConfig, parse_config
from albert_edge.architecture.heads import EXIT_OUTPUTS, HEADS, LAYERS
from albert_edge.architecture.weights import Matrix
from albert_edge.graph.activations import ACTIVATIONS
from albert_edge.graph.authored import Authored
from albert_edge.graph.build import author
from albert_edge.graph.plan import INTEGERS, OPTIMIZATIONS, Optimization, Plan, Precision, Target
from albert_edge.graph.writer import write_model
from albert_edge.validation.graph import Declared
from support.checkpoints import TINY

MASK = 4
_DISTINCT = [
    *("gelu", "gelu_10", "gelu_new", "hardswish", "laplace", "leaky_relu", "linear", "mish"),
    *("prelu", "relu", "silu", "sqrtsoftplus", "tanh", "xielu"),
]
SHALLOW = {"num_hidden_layers": 2, "num_hidden_groups": 1, "inner_group_num": 1}


def config(**changes: Any) -> AlbertConfig:
    """A tiny configuration."""
    return parse_config(json.dumps({**TINY, "model_type": "albert", **changes}).encode(), "config")


def all_in(*precisions: Precision) -> dict[Matrix, Precision]:
    """Every matrix in one precision, or in several that take turns."""
    return {matrix: precisions[i % len(precisions)] for i, matrix in enumerate(Matrix)}


@dataclass(frozen=True, slots=True)
class Case:
    """What to author."""

    head: str
    plan: Plan
    config: AlbertConfig

    @property
    def name(self) -> str:
        """The case in words."""
        plan = self.plan
        exits = f" {plan.exits} exits" if plan.exits else ""
        precision = "+".join(sorted({*plan.precisions.values()})) or "fp32"
        return f"{self.head} {plan.target} {plan.layout} {precision}{exits}"

    @property
    def authored(self) -> Authored:
        """The graph and its weights."""
        return author(self.config, self.head, self.plan)

    def declared(self, **changes: Any) -> Declared:
        """What a manifest says about the file."""
        spec, plan = HEADS[self.head], self.plan
        masked = plan.wants(Optimization.MASKED_LOGITS) and spec.masked_outputs
        exits = {LAYERS: EXIT_OUTPUTS[LAYERS]} if plan.exits else {}
        fields: dict[str, Any] = {
            "path": Path("model.onnx"),
            "config": self.config,
            "target": plan.target,
            "layout": plan.layout,
            "opset": self.authored.model.opset_imports[""],
            "exporter": "native",
            "exits": plan.exits,
            "inputs": spec.inputs,
            "outputs": {**(masked or spec.outputs), **exits},
            "data": {},
        }
        return Declared(**{**fields, **changes})

    def write(self, path: Path) -> Path:
        """Write the model with random weights, which are no special numbers."""
        authored, random = self.authored, np.random.default_rng(0)
        parts = {
            part: (*weight.shape[:-1], weight.shape[-1] // len(weight.parts))
            for weight in authored.weights.values()
            for part in weight.parts
        }

        def values(name: str) -> Any:
            weight = authored.weights.get(name)
            if weight is not None and weight.is_quantized:
                limits = np.iinfo(weight.dtype)
                return random.integers(limits.min + 1, limits.max, weight.shape, weight.dtype)
            shape = weight.shape if weight is not None else parts[name]
            return random.normal(0.3, 0.1, shape).astype(np.float32)

        write_model(authored, values, path)
        return path


def cases() -> Iterator[Case]:
    """Every head, target, layout, precision, kind of exit and activation, if not all together."""
    deep = config()
    shallow, odd = config(**SHALLOW), config(**SHALLOW, embedding_size=20)
    targets: tuple[Target, ...] = ("portable", "cpu", "cuda")
    for target in targets:
        best, half = OPTIMIZATIONS[target], all_in(Precision.FP16)
        for head in HEADS:
            yield Case(head, Plan(target, "loop", best), deep)
        for head in "fill-mask", "question-answering", "multiple-choice":
            yield Case(head, Plan(target, "unrolled", precisions=half), shallow)
        masked = best | {Optimization.MASKED_LOGITS}
        yield Case("fill-mask", Plan(target, "unrolled", masked, MASK), shallow)
        pruned = config(**SHALLOW, pruned_heads={"0": [1]})
        yield Case("text-classification", Plan(target, "unrolled", best), pruned)
        # The others are those of the CPU again, or written with the same operators.
        for activation in ACTIVATIONS if target == "cpu" else _DISTINCT:
            acting = config(**{**SHALLOW, "num_hidden_layers": 1}, hidden_act=activation)
            yield Case("fill-mask", Plan(target, "unrolled", best), acting)
    best = OPTIMIZATIONS["cpu"]
    for precision in (*map(all_in, INTEGERS), all_in(Precision.INT4, Precision.INT8)):
        for settings in _integer_settings(precision):
            for head in "fill-mask", "text-classification":
                plan = Plan("cpu", "unrolled", best, precisions=precision, **settings)
                yield Case(head, plan, odd if head == "fill-mask" else shallow)
    yield from _exits()


def _integer_settings(precisions: Mapping[Matrix, Precision]) -> Iterator[dict[str, Any]]:
    yield {"smoothed": True}
    if Precision.INT8 in precisions.values():
        yield {"smoothed": True, "activations": "per-tensor"}
        yield {"smoothed": True, "weights": "unsigned"}


def _exits() -> Iterator[Case]:
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("text-classification", {}),
        ("text-classification", {"num_labels": 1}),
        ("text-classification", {"problem_type": "multi_label_classification"}),
        ("token-classification", {}),
        ("multiple-choice", {}),
    ]
    for head, changes in kinds:
        geometry = config(**changes)
        portable = OPTIMIZATIONS["portable"]
        yield Case(head, Plan("portable", "loop", portable, exits=3), geometry)
        for activations in ("per-token", "per-tensor"):
            plan = Plan(
                "cpu",
                "loop",
                OPTIMIZATIONS["cpu"],
                precisions=all_in(Precision.INT8),
                activations=activations,
                smoothed=True,
                exits=1,
            )
            yield Case(head, plan, geometry)


@cache
def written(folder: Path) -> tuple[tuple[Case, bytes], ...]:
    """The files of all cases."""
    path = folder / "model.onnx"
    return tuple((case, case.write(path).read_bytes()) for case in cases())


def all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """The nodes of a graph and of the graphs in it."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from all_nodes(attribute.g)
