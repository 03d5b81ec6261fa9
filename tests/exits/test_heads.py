"""Heads of exits: against another optimizer, a teacher that is known, and data that is awkward."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from albert_edge.architecture.heads import Decision
from albert_edge.errors import QualityError
from albert_edge.exits.heads import fit_heads
from albert_edge.exits.likelihood import likelihood_of
from albert_edge.exits.newton import minimize

Array = npt.NDArray[Any]
Shape = tuple[int, ...]

# Shapes of the states, of the weights and of the answers.
PROBLEMS: dict[str, tuple[Decision | None, Shape, Shape, Shape]] = {
    "classes": ("largest", (120, 7), (7, 3), (120, 3)),
    "labels": ("positive", (120, 7), (7, 3), (120, 3)),
    "choices": ("largest", (240, 7), (7, 1), (60, 4)),
    "number": (None, (120, 7), (7, 1), (120, 1)),
}
every_problem = pytest.mark.parametrize("problem", PROBLEMS)


def teacher(problem: str, *, noise: float = 0.0) -> tuple[Decision | None, Array, Array]:
    """States, and the answers of a model that is linear in them, up to noise."""
    decision, rows, weights, answers = PROBLEMS[problem]
    random = np.random.default_rng(0)
    states = random.normal(size=rows)
    logits = states @ random.normal(size=weights)
    return decision, states, logits.reshape(answers) + noise * random.normal(size=answers)


@pytest.mark.reference
@every_problem
@pytest.mark.parametrize("penalty", [1.0, 1e-3])
def test_the_minimum_is_that_of_lbfgs(problem: str, penalty: float) -> None:
    import torch

    decision, states, answers = teacher(problem, noise=1.0)
    likelihood = likelihood_of(decision)
    targets = likelihood.mean(answers)
    penalties = np.full((7, 1), penalty)
    start = np.zeros((7, PROBLEMS[problem][2][1]))
    found = minimize(states, targets, likelihood, penalties, start, tolerance=1e-9)

    weights = torch.zeros(*found.shape, dtype=torch.float64, requires_grad=True)
    given, wanted = torch.tensor(states), torch.tensor(targets)
    optimizer = torch.optim.LBFGS(
        [weights],
        max_iter=2000,
        tolerance_grad=1e-12,
        tolerance_change=1e-16,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Any:
        optimizer.zero_grad()
        logits = (given @ weights).reshape(wanted.shape)
        if decision == "largest":
            each = -(wanted * torch.log_softmax(logits, -1)).sum(-1)
        elif decision == "positive":
            each = torch.nn.functional.binary_cross_entropy_with_logits(
                logits, wanted, reduction="none"
            ).sum(-1)
        else:
            each = (logits - wanted).square().sum(-1) / 2
        value = each.mean() + penalty / 2 * weights.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    np.testing.assert_allclose(found, weights.detach().numpy(), rtol=0, atol=1e-6)


@every_problem
def test_a_linear_model_is_imitated_for_each_application(problem: str) -> None:
    decision, states, answers = teacher(problem)
    # The features of the second application are others, on other scales and off their centers.
    scales = np.logspace(-3, 3, 7)
    heads = fit_heads(np.stack([states, 50 * scales + scales * states]), answers, decision)
    assert len(heads) == 2
    assert heads.weight.dtype == heads.bias.dtype == np.float32
    for logits in heads.logits(np.stack([states, 50 * scales + scales * states])):
        found = logits.reshape(answers.shape)
        if problem in ("classes", "choices"):
            found, expected = (z - z.mean(axis=-1, keepdims=True) for z in (found, answers))
            assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.999
        else:
            assert np.corrcoef(found.ravel(), answers.ravel())[0, 1] > 0.999


def test_probabilities_are_calibrated_where_states_say_little() -> None:
    """The mean probability of the predicted class is how often it is right, on other texts."""
    random = np.random.default_rng(1)
    states = random.normal(size=(4000, 20))
    hidden = states @ random.normal(size=(20, 2)) + 6 * random.normal(size=(4000, 2))
    answers = 4 * hidden  # of a model that is itself always certain
    heads = fit_heads(states[None, :2000], answers[:2000], "largest")
    logits = heads.logits(states[None, 2000:])[0].astype(np.float64)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    predicted = (powers.max(axis=-1) / powers.sum(axis=-1)).mean()
    right = (logits.argmax(axis=-1) == answers[2000:].argmax(axis=-1)).mean()
    assert 0.6 < right < 0.9
    assert abs(predicted - right) < 0.03


def test_fewer_texts_than_features_do_not_overfit() -> None:
    random = np.random.default_rng(2)
    states = random.normal(size=(400, 300))
    answers = np.column_stack([states[:, 0], -states[:, 0]]) * 3
    heads = fit_heads(states[None, :200], answers[:200], "largest")
    found = heads.logits(states[None, 200:])[0].argmax(axis=-1)
    assert (found == answers[200:].argmax(axis=-1)).mean() > 0.7


@pytest.mark.parametrize(
    ("what", "answers"),
    [
        ("separable", np.where(np.arange(80)[:, None] % 2 == [0, 1], 40.0, -40.0)),
        ("one class wins always", np.tile([9.0, -9.0], (80, 1))),
        ("a single class", np.ones((80, 1))),
    ],
)
def test_extreme_answers_give_finite_heads(what: str, answers: Array) -> None:
    states = np.random.default_rng(3).normal(size=(80, 5))
    states[:, 0] = answers[:, 0]
    heads = fit_heads(states[None], answers, "largest")
    logits = heads.logits(states[None])[0]
    assert np.isfinite(heads.weight).all() and np.isfinite(logits).all()
    assert (logits.argmax(axis=-1) == answers.argmax(axis=-1)).all(), what


def test_features_that_do_not_vary_are_not_read() -> None:
    decision, states, answers = teacher("classes")
    states[:, 2] = 1e3
    heads = fit_heads(states[None], answers, decision)
    assert (heads.weight[0, 2] == 0).all()
    assert np.isfinite(heads.weight).all()
    constant = fit_heads(np.ones((1, 120, 7)), answers, decision)
    assert (constant.weight == 0).all() and np.isfinite(constant.bias).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("what", ["states", "answers"])
def test_what_is_not_finite_is_refused(value: float, what: str) -> None:
    decision, states, answers = teacher("classes")
    (states if what == "states" else answers)[5, 1] = value
    with pytest.raises(QualityError, match=f"{what}.* not finite"):
        fit_heads(states[None], answers, decision)


def test_the_first_heads_are_those_of_the_first_applications() -> None:
    decision, states, answers = teacher("classes")
    heads = fit_heads(np.stack([states, states**3, np.abs(states)]), answers, decision)
    first = heads.first(1)
    assert len(first) == 1
    np.testing.assert_array_equal(first.logits(states[None]), heads.logits(states[None])[:1])
