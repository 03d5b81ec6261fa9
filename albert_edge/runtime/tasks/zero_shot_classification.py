"""Zero-shot classification: how well labels of the caller's own fit a text."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from albert_edge.bundle.bundle import Bundle
from albert_edge.errors import InputError, Message, UsageError
from albert_edge.runtime.tasks.base import WindowOutputs, Windows
from albert_edge.runtime.text import Arrays, Cut, TextEncoder, cut
from albert_edge.runtime.vectors import softmax


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a call; no labels if it names none."""

    labels: tuple[str, ...]
    template: str
    multi_label: bool
    cut: Cut


class ZeroShotClassification:
    """See `transformers.ZeroShotClassificationPipeline`, whose answers these are.

    The model is one of natural language inference. Each label becomes a sentence, and fits as well
    as the model is sure that the text entails that sentence: Yin et al. (2019),
    https://arxiv.org/abs/1909.00161.

    Unlike transformers, which cuts texts over the limit, it refuses them if not told to cut.
    """

    def __init__(self, bundle: Bundle) -> None:
        names = bundle.manifest.labels
        found = (i for i, name in enumerate(names) if name.lower().startswith("entail"))
        self.entailment = next(found, -1)
        self.contradiction = -1 if self.entailment == 0 else 0
        if self.entailment == -1:
            warnings.warn(
                f"No label of {bundle.folder} starts with 'entail', so the last one, "
                f"{names[-1]!r}, is taken for entailment. Name the labels in config.json and "
                "export again.",
                stacklevel=4,  # where the pipeline is made
            )

    def parameters(
        self,
        *,
        candidate_labels: str | Sequence[str] | None = None,
        hypothesis_template: str = "This example is {}.",
        multi_label: bool = False,
        truncation: bool | str = False,
        max_length: int | None = None,
        padding: bool | str = False,
    ) -> Parameters:
        """Check the parameters of a call.

        Args:
            candidate_labels: The labels to choose from, as a list or separated by commas.
            hypothesis_template: The sentence a label becomes, with {} where the label goes.
            multi_label: Whether several labels may fit a text. Each then has a score between 0
                and 1 of its own; by default the scores of a text sum to 1.
            truncation: True cuts the text and never the label ("only_first"); else see
                `albert_edge.runtime.text.cut`, as for the next two.
            max_length: A limit below the model's own, in tokens of text and label together.
            padding: Taken, and without effect.

        Raises:
            UsageError: A parameter has no meaning.
        """
        _check_template(hypothesis_template)
        strategy = "only_first" if truncation is True else truncation
        return Parameters(
            labels=() if candidate_labels is None else _read_labels(candidate_labels),
            template=hypothesis_template,
            multi_label=multi_label,
            cut=cut(strategy, max_length, padding),
        )

    def encode(self, encoder: TextEncoder, item: Any, parameters: Parameters) -> Windows:
        """Tokenize a text with each of the labels."""
        if not parameters.labels:
            raise UsageError(
                "candidate_labels is missing.", tip="Pass candidate_labels=['one', 'another']."
            )
        if item == "":
            raise InputError("The text is empty.", tip="Leave it out.")
        pairs = (
            _premise_and_hypothesis(encoder, item, label, parameters) for label in parameters.labels
        )
        return Windows(tuple(pairs), item)

    def answer(self, outputs: WindowOutputs, parameters: Parameters) -> dict[str, Any]:
        """Map the logits of each label, (1, num_labels of the model), to labels with scores."""
        logits = np.concatenate([output["logits"] for output in outputs.outputs])
        if parameters.multi_label or len(logits) == 1:
            scores = softmax(logits[:, [self.contradiction, self.entailment]])[:, 1]
        else:
            scores = softmax(logits[:, self.entailment])
        best_first = np.argsort(scores)[::-1]  # equal scores in the order of transformers
        return {
            "sequence": outputs.context,
            "labels": [parameters.labels[index] for index in best_first],
            "scores": scores[best_first].tolist(),
        }

    def single(self, item: Any, answer: Any, given: Mapping[str, Any]) -> Any:
        """The bare answer."""
        return answer


def _check_template(template: Any) -> None:
    try:
        takes_a_label = template.format("a") != template.format("b")
    except (AttributeError, LookupError, TypeError, ValueError):
        takes_a_label = False
    if not takes_a_label:
        raise UsageError(
            f"hypothesis_template is {template!r}, which has no place for one label.",
            tip="Write {} where the label goes, as in 'This example is {}.'",
        )


def _read_labels(labels: Any) -> tuple[str, ...]:
    if isinstance(labels, str):
        labels = [label.strip() for label in labels.split(",") if label.strip()]
    if (
        not isinstance(labels, Sequence)
        or not labels
        or not all(isinstance(label, str) for label in labels)
    ):
        raise UsageError(
            f"candidate_labels is {labels!r}.",
            tip="Give at least one label: a list of strings, or a string with commas.",
        )
    return tuple(labels)


def _premise_and_hypothesis(
    encoder: TextEncoder, text: Any, label: str, parameters: Parameters
) -> Arrays:
    try:
        return encoder.encode(text, parameters.template.format(label), parameters.cut)
    except InputError as error:
        raise InputError(
            Message(f"With the label {label!r}: ", error.message), tip=error.remedy
        ) from error
