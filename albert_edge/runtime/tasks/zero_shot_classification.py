"""Zero-shot classification: score how well labels chosen by the caller fit a text."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict, Unpack, overload

import numpy as np

from albert_edge.architecture.heads import LAYERS
from albert_edge.bundle.bundle import Bundle
from albert_edge.errors import InputError, UsageError
from albert_edge.runtime.parameters import Cut, LayersUsed, Truncation, read_cut
from albert_edge.runtime.pipeline import Pipeline
from albert_edge.runtime.task import Items, Many, Task, WindowOutputs, Windows
from albert_edge.runtime.text import Arrays, TextEncoder
from albert_edge.runtime.vectors import softmax


class LabelledText(TypedDict):
    """A text, and the labels that fit it, best first, each with its score.

    If requested, `layers` has the number of layers that were applied for each label.
    """

    sequence: str
    labels: list[str]
    scores: list[float]
    layers: NotRequired[list[int]]


class Given(Truncation, LayersUsed, total=False):
    """The parameters of a call, without candidate_labels.

    truncation=True cuts the text and never the label ("only_first"); `max_length` is that of text
    and label together.

    Attributes:
        hypothesis_template: The sentence made from a label, with {} in its place.
        multi_label: Whether several labels may fit a text; each then has an independent score
            between 0 and 1. By default the scores of a text sum to 1.
    """

    hypothesis_template: str
    multi_label: bool


class Parameters(Given, total=False):
    """The parameters of a call.

    Attributes:
        candidate_labels: The labels to choose from, as a list or separated by commas.
    """

    candidate_labels: str | Sequence[str] | None


@dataclass(frozen=True, slots=True)
class Checked:
    """The checked parameters of a call; `labels` is empty if it has no candidate_labels."""

    labels: tuple[str, ...]
    template: str
    multi_label: bool
    cut: Cut


class ZeroShotClassification(Task):
    """See `transformers.ZeroShotClassificationPipeline`, whose answers these are.

    The model is trained for natural language inference. Each label becomes a sentence, and its
    score comes from the probability that the text entails this sentence: Yin et al. (2019),
    https://arxiv.org/abs/1909.00161.

    Texts over the limit are errors without truncation=True; transformers cuts them.
    """

    accepts = Parameters
    answer_columns = ("label", "score")
    positional = ("inputs", "candidate_labels")
    unset_by_none = ("candidate_labels",)

    def __init__(self, bundle: Bundle) -> None:
        names = [*map(str, bundle.manifest.labels)]
        indices = (i for i, name in enumerate(names) if name.lower().startswith("entail"))
        self.entailment = next(indices, -1)
        self.contradiction = -1 if self.entailment == 0 else 0
        if self.entailment == -1:
            warnings.warn(
                f"No label of {bundle.path} starts with 'entail', so the last one, "
                f"{names[-1]!r}, is taken for entailment. Name the labels in config.json and "
                "export again.",
                stacklevel=4,  # the caller of albert_edge.pipeline
            )

    def parameters(self, given: Parameters) -> Checked:
        template = given.get("hypothesis_template", "This example is {}.")
        _check_template(template)
        labels = given.get("candidate_labels")
        return Checked(
            labels=() if labels is None else _read_labels(labels),
            template=template,
            multi_label=given.get("multi_label", False),
            cut=read_cut(given, default="only_first"),
        )

    def encode(self, encoder: TextEncoder, item: Any, parameters: Checked) -> Windows:
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

    def answer(self, outputs: WindowOutputs, parameters: Checked) -> dict[str, Any]:
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

    def with_layers(self, answer: Any, layers: Sequence[int], parameters: Checked) -> Any:
        by_label = dict(zip(parameters.labels, layers, strict=True))
        return {**answer, LAYERS: [by_label[label] for label in answer["labels"]]}


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
    encoder: TextEncoder, text: Any, label: str, parameters: Checked
) -> Arrays:
    try:
        return encoder.encode(text, parameters.template.format(label), parameters.cut)
    except InputError as error:
        raise error.at(f"With the label {label!r}: ") from error


Answer = LabelledText
Labels = str | Sequence[str] | None


class ZeroShotClassificationPipeline(Pipeline):
    """Scores how well labels chosen by the caller fit a text.

    The labels may be the second argument of a call, as in transformers. See `Parameters` for the
    parameters of a call.
    """

    task = "zero-shot-classification"
    kind = ZeroShotClassification

    if TYPE_CHECKING:

        @overload
        def __call__(
            self, inputs: str, candidate_labels: Labels = None, **given: Unpack[Given]
        ) -> Answer: ...
        @overload
        def __call__(
            self, inputs: list[str], candidate_labels: Labels = None, **given: Unpack[Given]
        ) -> list[Answer]: ...
        @overload
        def __call__(
            self, inputs: Items[str], candidate_labels: Labels = None, **given: Unpack[Given]
        ) -> Iterator[Answer]: ...
        def __call__(self, inputs: Any, candidate_labels: Any = None, **given: Any) -> Any: ...
        @overload
        async def acall(self, inputs: str, **given: Unpack[Parameters]) -> Answer: ...
        @overload
        async def acall(self, inputs: Many[str], **given: Unpack[Parameters]) -> list[Answer]: ...
        async def acall(self, inputs: Any, **given: Any) -> Any: ...
        def answer(self, item: str, **given: Unpack[Parameters]) -> Answer: ...
        def stream(self, items: Iterable[str], **given: Unpack[Parameters]) -> Iterator[Answer]: ...
