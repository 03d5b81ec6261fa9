"""The promise holds on other texts of the same kind, and the test of that can fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from support.paths import DATA

from albert_edge.exits.promise import Promise, choose_threshold
from albert_edge.exits.scores import Scores

SPLITS = 200
PROMISE = Promise(0.99, 0.95)
# How many texts of each population a threshold is chosen on; the others test it.
CALIBRATION = {"decisions": 600, "fractions": 600, "trained model": 1200}

Chooser = Callable[[Sequence[float], Scores], float | None]


def population(kind: str) -> Scores:
    """Scores of thousands of texts, at exits whose answers are the better the more certain."""
    if kind == "trained model":
        kept = np.load(DATA / "exits" / "sentiment_scores.npz")
        exits, certainties = kept["differs"].astype(float), kept["certainties"].astype(float)
    else:
        random = np.random.default_rng(0)
        certainties = np.sort(random.random((3, 5000)), axis=0)
        chance = 0.2 * np.exp(-5 * certainties)
        decisions = 8 if kind == "fractions" else 1
        exits = random.binomial(decisions, chance) / decisions
    return Scores(certainties, np.concatenate([exits, np.zeros((1, exits.shape[1]))]))


def broken_promises(kind: str, choose: Chooser) -> tuple[int, float]:
    """Count the splits whose test texts agree less than promised; return the share that exits."""
    scores = population(kind)
    random = np.random.default_rng(1)
    thresholds = scores.thresholds()[::4]
    broken, leaving = 0, []
    for _ in range(SPLITS):
        order = random.permutation(scores.certainties.shape[1])
        held, test = order[: CALIBRATION[kind]], order[CALIBRATION[kind] :]
        threshold = choose(thresholds, Scores(scores.certainties[:, held], scores.losses[:, held]))
        assert threshold is not None
        ends = scores.ends(threshold)[test]
        broken += scores.losses[ends, test].mean() > 1 - PROMISE.min_agreement
        leaving.append((ends < len(scores.certainties)).mean())
    return broken, float(np.mean(leaving))


@pytest.mark.parametrize("kind", CALIBRATION)
def test_at_most_one_in_twenty_is_broken(kind: str) -> None:
    def choose(thresholds: Sequence[float], held: Scores) -> float | None:
        return choose_threshold(thresholds, held, PROMISE, binary=kind != "fractions")

    broken, leaving = broken_promises(kind, choose)
    assert broken <= 0.05 * SPLITS
    assert leaving > 0.3  # a chooser that lets no text leave would keep every promise


@pytest.mark.parametrize("kind", CALIBRATION)
def test_without_a_test_of_significance_many_are_broken(kind: str) -> None:
    def choose(thresholds: Sequence[float], held: Scores) -> float | None:
        chosen = None
        for threshold in thresholds:
            if held.losses_at(held.ends(threshold)).mean() > 1 - PROMISE.min_agreement:
                break
            chosen = threshold
        return chosen

    broken, _ = broken_promises(kind, choose)
    assert broken > 0.2 * SPLITS


def test_it_holds_of_exits_of_a_model_that_the_same_texts_accepted() -> None:
    """A narrower model, found on other texts, is used if it passes; the full one otherwise."""
    full, random = population("decisions"), np.random.default_rng(2)
    differs = np.less(random.random(full.certainties.shape[1]), 0.002)
    narrow = Scores(full.certainties, np.maximum(full.losses, differs))
    thresholds = full.thresholds()[::4]
    broken = accepted = 0
    for _ in range(SPLITS):
        order = random.permutation(len(differs))
        held, test = order[:1000], order[1000:]
        passes = PROMISE.holds(narrow.losses[-1, held], binary=True)
        model = narrow if passes else full
        chosen = Scores(model.certainties[:, held], model.losses[:, held])
        threshold = choose_threshold(thresholds, chosen, PROMISE, binary=True)
        assert threshold is not None
        broken += model.losses[model.ends(threshold)[test], test].mean() > 0.01
        accepted += passes
    assert 0.1 < accepted / SPLITS < 1
    assert broken <= 0.05 * SPLITS
