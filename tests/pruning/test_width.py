"""How narrow models become: what is not needed goes, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from support.checkpoints import TINY

from albert_edge.architecture.config import AlbertConfig, read_config
from albert_edge.architecture.work import multiply_accumulates
from albert_edge.check.quality import Outputs, thin
from albert_edge.graph.build import author
from albert_edge.graph.plan import Plan
from albert_edge.graph.writer import write_model
from albert_edge.pruning.width import Narrowed, Part, narrow
from albert_edge.runtime.engine import run_file

HEAD = "text-classification"
SIZES = {**TINY, "intermediate_size": 64}
HEAD_SIZE = 8

Array = npt.NDArray[Any]
Weights = dict[str, Array]


@pytest.fixture
def config(tmp_path: Path) -> AlbertConfig:
    (tmp_path / "config.json").write_text(json.dumps(SIZES), encoding="utf-8")
    return read_config(tmp_path / "config.json")


def random_weights(config: AlbertConfig) -> Weights:
    random = np.random.default_rng(0)
    weights = {}
    for name, weight in author(config, HEAD, Plan()).weights.items():
        # Texts keep their differences, and neurons theirs, where attention adds little.
        scale = 0.1 if ".attention." in name else 1.0 if "embeddings" in name else 0.3
        values = random.normal(0, scale, weight.shape)
        weights[name] = (values + ("orm.weight" in name)).astype(np.float32)
    return weights


def with_doubled_neurons(config: AlbertConfig, weights: Weights) -> None:
    """Make half of the neurons of every layer copies of others: of each layer its own."""
    random = np.random.default_rng(1)
    for name in weights:
        if name.endswith(".ffn.weight"):
            first, second = np.split(random.permutation(config.intermediate_size), 2)
            for leaf in ("weight", "bias"):
                values = weights[name.removesuffix("weight") + leaf]
                values[..., second] = values[..., first]


def with_idle_heads(weights: Weights, idle: Mapping[int, int]) -> None:
    """Let a head of some of the layers, counted over all groups, yield the same for all tokens."""
    layers = [name for name in weights if name.endswith(".value.weight")]
    for layer, head in idle.items():
        weights[layers[layer]][:, HEAD_SIZE * head : HEAD_SIZE * (head + 1)] = 0


def texts(count: int, seed: int) -> list[dict[str, Array]]:
    random = np.random.default_rng(seed)
    found = []
    for length in random.integers(3, 20, count):
        ids = random.integers(0, int(SIZES["vocab_size"]), (1, length))  # type: ignore[call-overload]
        found.append(
            {
                "input_ids": ids,
                "attention_mask": np.ones_like(ids),
                "token_type_ids": np.zeros_like(ids),
            }
        )
    return found


class Model:
    """A model whose answers are to be kept."""

    def __init__(self, config: AlbertConfig, weights: Weights, folder: Path) -> None:
        self.config, self.weights, self.folder = config, weights, folder
        self.reported: list[tuple[str, int, int | None]] = []

    def answers(
        self, config: AlbertConfig, weights: Mapping[str, Array], inputs: Sequence[Any]
    ) -> list[Outputs]:
        path = self.folder / "model.onnx"
        write_model(author(config, HEAD, Plan()), weights.__getitem__, path)
        run = run_file(path)
        return [thin(run(arrays)) for arrays in inputs]

    def part(self, name: str, inputs: list[Any], passes: Callable[[float], bool]) -> Part:
        """A part whose judge looks at the largest difference of any logit."""
        expected = self.answers(self.config, self.weights, inputs)

        def judge(answers: Sequence[Outputs]) -> bool:
            pairs = zip(answers, expected, strict=True)
            largest = max(float(np.abs(a["logits"] - b["logits"]).max()) for a, b in pairs)
            return passes(largest)

        return Part(name, inputs, judge)

    def narrow(
        self, passes: Callable[[float], bool], decides: Callable[[float], bool] | None = None
    ) -> Narrowed:
        fit, selection = texts(40, 2), texts(20, 3)
        return narrow(
            self.config,
            HEAD,
            self.weights,
            self.part("fit", fit, passes),
            self.part("selection", selection, decides or passes),
            self.folder,
            lambda *args: self.reported.append(args),
        )

    def largest_difference(self, narrowed: Narrowed) -> float:
        inputs = texts(20, 4)
        pairs = zip(
            self.answers(narrowed.config, narrowed.floats, inputs),
            self.answers(self.config, self.weights, inputs),
            strict=True,
        )
        return max(float(np.abs(a["logits"] - b["logits"]).max()) for a, b in pairs)


def is_rounding(difference: float) -> bool:
    return difference < 1e-4


def test_doubled_neurons_and_idle_heads_go(config: AlbertConfig, tmp_path: Path) -> None:
    """From 2 groups x 2 inner layers, each with a mask of its own, and with the same outputs."""
    weights = random_weights(config)
    with_doubled_neurons(config, weights)
    with_idle_heads(weights, {0: 1, 3: 2})
    model = Model(config, weights, tmp_path)
    narrowed = model.narrow(is_rounding)
    assert narrowed.config == replace(
        config, intermediate_size=32, pruned_heads=((1,), (), (), (2,))
    )
    assert narrowed.gained
    assert model.largest_difference(narrowed) < 1e-4
    expected = author(narrowed.config, HEAD, Plan()).weights
    assert {name: weight.shape for name, weight in expected.items()} == {
        name: narrowed.floats[name].shape for name in expected
    }
    lengths = [arrays["input_ids"].shape[1] for arrays in texts(20, 3)]
    for found, geometry in (
        (narrowed.full_multiply_accumulates, config),
        (narrowed.multiply_accumulates, narrowed.config),
    ):
        counts = [multiply_accumulates(geometry, HEAD, length) for length in lengths]
        assert found == pytest.approx(np.mean(counts))
    assert ("measuring neurons and heads", 40, 40) in model.reported
    assert any("trying 32 neurons" in what for what, _, _ in model.reported)
    own = tmp_path / "model.onnx"  # the test's
    assert {*tmp_path.glob("*.onnx")} == {own, tmp_path / "narrowed.onnx"}


def test_heads_that_were_pruned_before_stay_away(config: AlbertConfig, tmp_path: Path) -> None:
    config = replace(config, intermediate_size=40, pruned_heads=((), (0,), (), ()))
    weights = random_weights(config)
    with_idle_heads(weights, {1: 1, 3: 0})  # of heads 1 and 2, the second
    narrowed = Model(config, weights, tmp_path).narrow(is_rounding)
    assert narrowed.config == replace(config, pruned_heads=((), (0, 2), (), (0,)))


def test_random_weights_gain_nothing(config: AlbertConfig, tmp_path: Path) -> None:
    weights = random_weights(config)
    narrowed = Model(config, weights, tmp_path).narrow(is_rounding)
    assert not narrowed.gained
    assert "answers to these texts change" in narrowed.reason
    assert narrowed.config == config
    assert all(narrowed.floats[name] is values for name, values in weights.items())
    assert narrowed.multiply_accumulates == narrowed.full_multiply_accumulates
    assert not any(trial.passes for trial in narrowed.trials)
    assert {trial.part for trial in narrowed.trials} == {"fit"}


@pytest.mark.parametrize("decides", [True, False])
def test_the_selection_decides_on_the_narrowest_only(
    config: AlbertConfig, tmp_path: Path, *, decides: bool
) -> None:
    weights = random_weights(config)
    with_doubled_neurons(config, weights)
    narrowed = Model(config, weights, tmp_path).narrow(lambda _: True, lambda _: decides)
    (decisive,) = [trial for trial in narrowed.trials if trial.part == "selection"]
    passed = [trial for trial in narrowed.trials if trial.part == "fit" and trial.passes]
    assert len(passed) > 1
    assert decisive.width == max(passed, key=lambda trial: trial.saved).width
    assert narrowed.gained == decides
    assert narrowed.config == (decisive.width.of(config) if decides else config)
    assert ("those that decide cannot" in narrowed.reason) == (not decides)
