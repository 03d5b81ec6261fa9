"""Multiple choice: which of several continuations fits a prompt best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from albert_edge.bundle.bundle import Bundle
from albert_edge.errors import InputError, Message
from albert_edge.runtime.tasks.base import Inputs, WindowOutputs, Windows
from albert_edge.runtime.tasks.top_k import TopK, read_top_k
from albert_edge.runtime.text import Cut, TextEncoder, cut
from albert_edge.runtime.vectors import softmax


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a call."""

    top_k: TopK
    cut: Cut


class MultipleChoice:
    """Answers with `transformers.AlbertForMultipleChoice`, for which transformers has no pipeline.

    Each choice is the second segment of a pair with the prompt, as in the examples of
    transformers. It runs alone, at its true length: the model scores choices independently, and
    without padding the logits are the same.
    """

    def __init__(self, bundle: Bundle) -> None:
        pass

    def parameters(
        self,
        *,
        top_k: int | str | None = "",
        truncation: bool | str = False,
        max_length: int | None = None,
        padding: bool | str = False,
    ) -> Parameters:
        """Check the parameters of a call.

        Args:
            top_k: How many choices to return, best first; None returns all. Left out, the best
                one alone is returned, without a list around it.
            truncation: See `albert_edge.runtime.text.cut`, as the next two. "only_first" cuts the
                prompt and leaves the choices whole.
            max_length: A limit below the model's own for a prompt with one choice, in tokens.
            padding: Taken, and without effect.

        Raises:
            UsageError: A parameter has no meaning.
        """
        return Parameters(read_top_k(top_k), cut(truncation, max_length, padding))

    def encode(self, encoder: TextEncoder, item: Any, parameters: Parameters) -> Windows:
        """Tokenize {"prompt": text, "choices": [text, ...]}.

        Raises:
            TypeError: The item has another form.
            InputError: There are no choices, or a text is too long or not valid Unicode; the
                message counts the choices from 0.
        """
        prompt, choices = _parts(item)
        inputs = tuple(
            _encode_choice(encoder, prompt, choice, number, parameters.cut)
            for number, choice in enumerate(choices)
        )
        return Windows(inputs, context=choices)

    def answer(self, outputs: WindowOutputs, parameters: Parameters) -> Any:
        """Map the logit of each choice, (1, 1), to choices with scores and their place."""
        scores = softmax(np.array([run["logits"][0, 0] for run in outputs.outputs]))
        choices: tuple[str, ...] = outputs.context
        return parameters.top_k.of(
            [
                {"label": choice, "score": score.item(), "index": index}
                for index, (choice, score) in enumerate(zip(choices, scores, strict=True))
            ]
        )

    def single(self, item: Any, answer: Any, given: Mapping[str, Any]) -> Any:
        """The bare answer."""
        return answer


def _parts(item: Any) -> tuple[Any, tuple[Any, ...]]:
    """The prompt and the choices; that each is a text, the encoder checks."""
    if not isinstance(item, dict) or not {"prompt", "choices"} <= item.keys():
        raise TypeError('an item must be {"prompt": text, "choices": [text, ...]}')
    choices = item["choices"]
    if not isinstance(choices, list | tuple):
        raise TypeError(f"choices must be a list of strings, not {type(choices).__name__}")
    if not choices:
        raise InputError("There are no choices.", tip="Give at least one.")
    return item["prompt"], tuple(choices)


def _encode_choice(encoder: TextEncoder, prompt: Any, choice: Any, number: int, cut: Cut) -> Inputs:
    if not isinstance(choice, str):
        raise TypeError(f"choice {number} must be a string, not {type(choice).__name__}")
    try:
        arrays = encoder.encode(prompt, choice, cut)
    except InputError as error:
        raise InputError(
            Message(f"Choice {number}, with the prompt: ", error.message), tip=error.remedy
        ) from error
    return {name: array[:, np.newaxis] for name, array in arrays.items()}
