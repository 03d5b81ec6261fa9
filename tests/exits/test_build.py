"""Exits of made-up models, whose hidden states know the answer the better the later they are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from albert_edge.architecture.config import AlbertConfig, parse_config
from albert_edge.architecture.heads import HEADS
from albert_edge.check.quality import thin
from albert_edge.check.sample import Arrays
from albert_edge.errors import QualityError, UsageError
from albert_edge.exits.build import AnsweredTexts, Exits, build_exits
from albert_edge.exits.promise import Promise
from albert_edge.graph.plan import Plan

Array = npt.NDArray[Any]

TEXTS, LAYERS, HIDDEN = 1400, 5, 8
FIT, CALIBRATION, TEST = slice(0, 500), slice(500, 1000), slice(1000, TEXTS)
PLAN = Plan("cpu", "loop")
PROMISE = Promise(0.97)

# Shapes of the logits of a text, and what else the configuration says.
KINDS: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    "classes": ("text-classification", (1, 3), {"num_labels": 3}),
    "labels": (
        "text-classification",
        (1, 4),
        {"num_labels": 4, "problem_type": "multi_label_classification"},
    ),
    "number": ("text-classification", (1, 1), {"num_labels": 1}),
    "choices": ("multiple-choice", (1, 3), {}),
    "tokens": ("token-classification", (1, 20, 3), {"num_labels": 3}),
}


@dataclass
class MadeUp:
    """A model, of which only inputs and outputs exist; its inputs are numbers of texts.

    Attributes:
        kind: A key of `KINDS`.
        noise: How large the error of the states is after the first application.
        cautious_below: Texts that a threshold below this lets leave get a wrong answer.
    """

    kind: str
    noise: float = 2.0
    cautious_below: float = -np.inf
    fields: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.head, shape, settings = KINDS[self.kind]
        random = np.random.default_rng(0)
        self.answers = 3 * random.normal(size=(TEXTS, *shape))
        classes = 1 if self.kind == "choices" else shape[-1]
        rows = self.answers.reshape(TEXTS, 1, -1, classes)
        hard = random.exponential(size=(TEXTS, 1, 1, 1)) * (random.random((TEXTS, 1, 1, 1)) < 0.4)
        error = self.noise * hard * 0.3 ** np.arange(LAYERS)[:, None, None]
        self.states = random.normal(size=(TEXTS, LAYERS, rows.shape[2], HIDDEN))
        self.states[..., :classes] = rows + error * random.normal(
            size=error.shape[:2] + rows.shape[2:]
        )
        self.config = config(classes, **{**settings, **self.fields})
        self.thresholds: list[float] = []

    def run(
        self, plan: Plan, inputs: Sequence[Arrays], added: Mapping[str, Array] | None = None
    ) -> Iterator[dict[str, Array]]:
        if added:
            self.thresholds.append(float(added["exits.threshold"][0]))
        for arrays in inputs:
            text = int(arrays["text"][0])
            if plan.traced:
                yield {"logits": self.answers[text], "exit_states": self.states[text]}
            else:
                assert added is not None
                yield self._answer(text, plan.exits, added)

    def _answer(self, text: int, exits: int, added: Mapping[str, Array]) -> dict[str, Array]:
        threshold, previous = float(added["exits.threshold"][0]), np.inf
        for exit in range(exits):
            state = self.states[text, exit]
            logits = state @ added["exits.weight"][exit] + added["exits.bias"][exit]
            logits = logits.reshape(self.answers[text].shape)
            match HEADS[self.head].decision(self.config):
                case "largest":
                    powers = np.exp(logits)
                    certainty = np.log((powers.max(-1) / powers.sum(-1)).min())
                case "positive":
                    certainty = np.abs(logits).min()
                case _:
                    certainty = -np.abs(logits.item() - previous)
                    previous = logits.item()
            if certainty >= threshold:
                wrong = -1 if threshold < self.cautious_below else 1
                return {"logits": wrong * logits, "layers": np.array([exit + 1])}
        return {"logits": self.answers[text], "layers": np.array([LAYERS])}

    def texts(self, part: slice, answers: Array | None = None) -> AnsweredTexts:
        numbers = range(TEXTS)[part]
        given = self.answers if answers is None else answers
        counted = np.ones(len(numbers))
        outputs = [thin({"logits": given[n]})["logits"] for n in numbers]
        return AnsweredTexts([{"text": np.array([n])} for n in numbers], outputs, counted)

    def build(self, promise: Promise = PROMISE) -> Exits:
        return build_exits(self, PLAN, self.texts(FIT), self.texts(CALIBRATION), promise)


def config(classes: int, **fields: Any) -> AlbertConfig:
    sizes = {"vocab_size": 30000, "hidden_size": HIDDEN, "num_attention_heads": 2}
    layers = {"num_hidden_layers": LAYERS, "intermediate_size": 16, "num_labels": classes}
    content = json.dumps({"model_type": "albert", **sizes, **layers, **fields})
    return parse_config(content.encode(), "config.json")


def agreements(kind: str, answers: Array, reference: Array) -> Array:
    """The share of the decisions of each text that are the same."""
    match kind:
        case "number":
            same = np.abs(answers - reference) <= 0.1 * 3.0
        case "labels":
            same = (answers > 0) == (reference > 0)
        case _:
            same = answers.argmax(-1) == reference.argmax(-1)
    return np.asarray(same.reshape(len(answers), -1).mean(-1))


@pytest.mark.parametrize("kind", KINDS)
def test_exits_save_applications_and_keep_the_promise_on_other_texts(kind: str) -> None:
    model = MadeUp(kind, noise=0.2 if kind == "tokens" else 2.0)
    exits = model.build()
    evidence = exits.evidence
    assert evidence.agreement >= evidence.agreement_low >= PROMISE.min_agreement
    assert evidence.mean_layers < 0.8 * LAYERS
    assert evidence.texts == sum(evidence.layers) == 500
    assert evidence.mean_layers == pytest.approx(np.arange(1, LAYERS + 1) @ evidence.layers / 500)
    assert exits.plan.exits == len(exits.heads) < LAYERS
    assert exits.weights["exits.weight"].shape[:2] == (exits.plan.exits, HIDDEN)
    assert {weight.dtype for weight in exits.weights.values()} == {np.dtype(np.float32)}

    test = model.texts(TEST)
    outputs = [*model.run(exits.plan, test.inputs, exits.weights)]
    answers = np.stack([arrays["logits"] for arrays in outputs])
    agreement = agreements(kind, answers, model.answers[TEST])
    # So few agree by chance only, if in all texts as many do as promised.
    chance = stats.binom.cdf(agreement.sum(), len(agreement), PROMISE.min_agreement)
    assert chance > 0.01
    assert np.mean([arrays["layers"] for arrays in outputs]) < 0.8 * LAYERS


def test_what_is_promised_of_too_few_texts_is_refused_with_their_number() -> None:
    model = MadeUp("classes")
    with pytest.raises(UsageError, match=r"99\.50% takes at least 598 texts .* there are 500"):
        model.build(Promise(0.995))


def test_states_that_know_nothing_are_refused() -> None:
    model = MadeUp("classes")
    model.states = np.random.default_rng(5).normal(size=model.states.shape)
    with pytest.raises(QualityError, match="save little"):
        model.build()


def test_a_model_that_differs_from_the_full_one_is_refused() -> None:
    model = MadeUp("classes")
    reference = model.answers.copy()
    reference[::20] *= -1  # the answers of the model that this one was made from
    with pytest.raises(QualityError, match="without exits it is 9"):
        build_exits(
            model, PLAN, model.texts(FIT), model.texts(CALIBRATION, reference), Promise(0.97)
        )


def test_texts_that_do_not_count_may_differ() -> None:
    model = MadeUp("classes")
    reference = model.answers.copy()
    reference[::20] *= -1
    calibration = model.texts(CALIBRATION, reference)
    calibration.counted[::20] = 0.0
    exits = build_exits(model, PLAN, model.texts(FIT), calibration, PROMISE)
    assert exits.evidence.agreement_low >= PROMISE.min_agreement


def test_what_counts_is_what_the_graph_answers() -> None:
    model = MadeUp("classes")
    expected = model.build()
    first = model.thresholds[-1]
    model.cautious_below = np.nextafter(first, 0.0)
    exits = model.build()
    assert exits.threshold > first == expected.threshold
    model.cautious_below = np.inf
    with pytest.raises(QualityError, match="differ too often"):
        model.build()


def test_states_that_are_not_finite_are_refused() -> None:
    model = MadeUp("classes")
    model.states[3, 1, 0, 2] = np.nan
    with pytest.raises(QualityError, match="not finite"):
        model.build()


def test_the_file_grows_by_three_percent_at_most() -> None:
    small = {"vocab_size": 100, "embedding_size": 16}
    assert MadeUp("classes", fields=small).build().plan.exits  # a few kilobytes
    with pytest.raises(QualityError, match=r"larger by \d+\.\d%; the limit is 3%"):
        MadeUp("classes", fields={**small, "num_labels": 2000}).build()


@pytest.mark.parametrize("layers", [1])
def test_a_single_application_has_nothing_to_leave_out(layers: int) -> None:
    model = MadeUp("classes", fields={"num_hidden_layers": layers})
    with pytest.raises(UsageError, match="exits"):
        model.build()
