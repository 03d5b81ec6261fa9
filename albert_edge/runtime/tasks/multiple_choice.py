"""Multiple choice: which of several continuations fits a prompt best."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict, TypeVar

import numpy as np

from albert_edge.errors import InputError
from albert_edge.records.fields import Fields
from albert_edge.runtime.parameters import Cut
from albert_edge.runtime.task import WindowOutputs, Windows
from albert_edge.runtime.tasks.ranked import Checked, RankedPipeline, RankedTask
from albert_edge.runtime.text import Arrays, TextEncoder
from albert_edge.runtime.vectors import softmax


class Question(TypedDict):
    """A prompt and possible continuations."""

    prompt: str
    choices: list[str]


class Choice(TypedDict):
    """A choice, how well it fits, its place among the choices and, if requested, the layers."""

    label: str
    score: float
    index: int
    layers: NotRequired[int]


class MultipleChoice(RankedTask):
    """Answers with `transformers.AlbertForMultipleChoice`, for which transformers has no pipeline.

    Each choice is the second segment of a pair with the prompt, as in the examples of
    transformers. Each pair is a run without padding: the model scores choices independently, and
    padding does not change the logits. With early exits all are one run, which ends when the model
    is certain of one. With the truncation "only_first" the prompt is cut and the
    choices stay whole.
    """

    fields = Fields(("prompt",), lists=("choices",))
    answer_columns = ("label", "score", "index")
    chooses = True

    def encode(self, encoder: TextEncoder, item: Any, parameters: Checked) -> Windows:
        """Tokenize {"prompt": text, "choices": [text, ...]}.

        Raises:
            TypeError: The item is not of that form.
            InputError: There are no choices, or a text is too long or not valid Unicode; the
                message counts the choices from 0.
        """
        prompt, choices = _parts(item)
        inputs = tuple(
            _encode_choice(encoder, prompt, choice, number, parameters.cut)
            for number, choice in enumerate(choices)
        )
        return Windows(inputs, context=choices)

    def answer(self, outputs: WindowOutputs, parameters: Checked) -> Any:
        """Map the logit of each choice, (1, 1), to choices with scores and indices."""
        scores = softmax(np.array([run["logits"][0, 0] for run in outputs.outputs]))
        choices: tuple[str, ...] = outputs.context
        return parameters.best.of(
            [
                {"label": choice, "score": score.item(), "index": index}
                for index, (choice, score) in enumerate(zip(choices, scores, strict=True))
            ]
        )


def _parts(item: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return the prompt and the choices of an item; their types are checked when encoded."""
    if not isinstance(item, dict) or not {"prompt", "choices"} <= item.keys():
        raise TypeError('an item must be {"prompt": text, "choices": [text, ...]}')
    choices = item["choices"]
    if not isinstance(choices, list | tuple):
        raise TypeError(f"choices must be a list of strings, not {type(choices).__name__}")
    if not choices:
        raise InputError("There are no choices.", tip="Give at least one.")
    return item["prompt"], tuple(choices)


def _encode_choice(encoder: TextEncoder, prompt: Any, choice: Any, number: int, cut: Cut) -> Arrays:
    if not isinstance(choice, str):
        raise TypeError(f"choice {number} must be a string, not {type(choice).__name__}")
    try:
        arrays = encoder.encode(prompt, choice, cut)
    except InputError as error:
        raise error.at(f"Choice {number}, with the prompt: ") from error
    return {name: array[:, np.newaxis] for name, array in arrays.items()}


Answer = TypeVar("Answer")


class MultipleChoicePipeline(RankedPipeline[Question, Choice, Answer]):
    """Chooses the best continuation of a prompt.

    {"prompt": text, "choices": texts} gives {"label": text, "score": float, "index": int}.

    See `albert_edge.runtime.tasks.ranked.Parameters` for the parameters of a call.
    """

    task = "multiple-choice"
    kind = MultipleChoice
