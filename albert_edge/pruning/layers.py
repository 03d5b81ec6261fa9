"""The distinct layers of a model, and what they are without some of their neurons and heads."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from operator import itemgetter
from pathlib import Path

import numpy as np

from albert_edge.architecture.config import AlbertConfig
from albert_edge.architecture.weights import LAYER, PARTS
from albert_edge.graph.plan import Plan
from albert_edge.pruning.columns import Removal, refit, removal_order
from albert_edge.pruning.covariance import Floats, Indices
from albert_edge.pruning.moments import Moments

# Neurons that come and go together: kernels compute as many output features at a time.
NEURONS = 16

# The heads that each distinct layer lacks, as in `AlbertConfig.pruned_heads`.
Heads = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Width:
    """How many neurons and which heads are left.

    Attributes:
        neurons: Neurons of every distinct layer.
        pruned_heads: The heads that each distinct layer lacks.
    """

    neurons: int
    pruned_heads: Heads

    @property
    def heads_removed(self) -> int:
        """The number of heads that are missing, in all distinct layers."""
        return sum(map(len, self.pruned_heads))

    def of(self, config: AlbertConfig) -> AlbertConfig:
        """Return the configuration of the model of this width."""
        pruned = self.pruned_heads if self.heads_removed else ()
        return replace(config, intermediate_size=self.neurons, pruned_heads=pruned)


class Layer:
    """A distinct layer: its weights, and in which order it can lose neurons and heads.

    Args:
        name: The path of its module.
        floats: The weights of the model by name, as the portable file has them.
        moments: Of the inputs of its matrices, by name.
        heads: The heads that it has.
    """

    def __init__(
        self,
        name: str,
        floats: Mapping[str, Floats],
        moments: Mapping[str, Moments],
        heads: Sequence[int],
    ) -> None:
        self._name = name
        self._floats = floats
        self._moments = moments
        self.heads = np.asarray(heads)
        self.neurons = len(floats[f"{name}.ffn.bias"])
        self._head_size = len(floats[f"{name}.attention.dense.weight"]) // len(heads)
        self.neuron_removal = self._removal("ffn_output", 1)
        self.head_removal = self._removal("attention.dense", self._head_size)

    def narrowed(self, neurons: int, pruned: Sequence[int]) -> dict[str, Floats]:
        """Return the weights that change if it has fewer neurons and heads.

        Args:
            neurons: The number of neurons left.
            pruned: The heads it lacks.
        """
        removal = self.neuron_removal
        lost = removal.order[: self.neurons - neurons]
        changed = self._without_columns("ffn_output", ["ffn"], lost, removal.damping)
        places = np.flatnonzero(np.isin(self.heads, pruned))
        features = (places[:, None] * self._head_size + np.arange(self._head_size)).ravel()
        projections = [f"attention.{part}" for part in PARTS]
        damping = self.head_removal.damping
        return changed | self._without_columns("attention.dense", projections, features, damping)

    def head_costs(self) -> Iterator[tuple[float, int]]:
        """Yield the cost of each removal of a head, made to rise, and the place of the head."""
        removal = self.head_removal
        yield from zip(np.maximum.accumulate(removal.cost), removal.order, strict=True)

    def _removal(self, module: str, size: int) -> Removal:
        name = f"{self._name}.{module}.weight"
        return removal_order(self._moments[name].covariance, self._floats[name], size)

    def _without_columns(
        self, reader: str, writers: Sequence[str], lost: Indices, damping: float
    ) -> dict[str, Floats]:
        """Remove features from the matrices that yield them, and refit the one that reads them."""
        if not lost.size:
            return {}
        weight, bias = (f"{self._name}.{reader}.{leaf}" for leaf in ("weight", "bias"))
        matrix, seen = self._floats[weight], self._moments[weight]
        kept = np.setdiff1d(np.arange(len(matrix)), lost)
        fitted = refit(seen.covariance, seen.mean, matrix, self._floats[bias], kept, damping)
        changed = {
            name: self._floats[name][..., kept]
            for writer in writers
            for leaf in ("weight", "bias")
            if (name := f"{self._name}.{writer}.{leaf}")
        }
        changed[weight], changed[bias] = fitted
        return changed


class Layers:
    """All distinct layers of a model.

    Args:
        config: The geometry.
        floats: The weights by name, as the portable file has them.
        moments: The result of `measure_moments`.
    """

    def __init__(
        self,
        config: AlbertConfig,
        floats: Mapping[str, Floats],
        moments: Mapping[str, Moments],
    ) -> None:
        self._config = config
        self._floats = floats
        pruned = config.pruned_heads or ((),) * config.distinct_layers
        self.full = Width(config.intermediate_size, pruned)
        self._layers = [
            Layer(name, floats, moments, sorted({*range(config.num_attention_heads)} - {*lacks}))
            for name, lacks in zip(_names(config), pruned, strict=True)
        ]

    def write(self, width: Width, head: str, plan: Plan, path: Path) -> list[Path]:
        """Write the model of a width, and return its files.

        Args:
            width: The width.
            head: A key of `HEADS`.
            plan: How to author it.
            path: The .onnx file.
        """
        from albert_edge.graph.build import author
        from albert_edge.graph.writer import write_model

        changed: dict[str, Floats] = {}
        for layer, pruned in zip(self._layers, width.pruned_heads, strict=True):
            changed.update(layer.narrowed(width.neurons, pruned))

        def weight(name: str) -> Floats:
            return changed[name] if name in changed else self._floats[name]

        return write_model(author(width.of(self._config), head, plan), weight, path)

    def neuron_counts(self) -> list[int]:
        """Return the numbers of neurons to choose from, falling from the full one."""
        size = self.full.neurons
        return [size, *range((size - 1) // NEURONS * NEURONS, 0, -NEURONS)]

    def head_choices(self) -> list[Heads]:
        """Return the heads pruned from each layer: one more each time, by what that costs."""
        streams = [
            # Later heads cost more on the whole; the order within a layer stays.
            [(cost, index, int(layer.heads[place])) for cost, place in layer.head_costs()]
            for index, layer in enumerate(self._layers)
        ]
        choices = [self.full.pruned_heads]
        for _, index, head in heapq.merge(*streams, key=itemgetter(0)):
            pruned = [*choices[-1]]
            pruned[index] = tuple(sorted((*pruned[index], head)))
            choices.append(tuple(pruned))
        return choices


def _names(config: AlbertConfig) -> Iterator[str]:
    for group, inner in product(range(config.num_hidden_groups), range(config.inner_group_num)):
        yield LAYER.replace("*", str(group), 1).replace("*", str(inner), 1)
