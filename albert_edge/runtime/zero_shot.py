"""The zero-shot pipeline: a text and the labels to choose from in, labels with scores out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from albert_edge.runtime.pipeline import Pipeline


class ZeroShotPipeline(Pipeline):
    """A pipeline whose labels may follow the texts in a call, as transformers takes them."""

    def __call__(
        self,
        inputs: Any = None,
        candidate_labels: str | Sequence[str] | None = None,
        **parameters: Any,
    ) -> Any:
        """Answer a text, a list of texts, or a generator of texts.

        Args:
            inputs: A text, a list of texts, or a generator of texts.
            candidate_labels: The labels to choose from, as a list or separated by commas; by
                default those given when the pipeline was made.
            **parameters: The others of
                `albert_edge.runtime.tasks.zero_shot_classification.ZeroShotClassification`.

        Returns:
            {"sequence": text, "labels": best first, "scores": of each}, a list of them, or an
            iterator over them.

        Raises:
            InputError: A text is empty, not valid Unicode, or over the model's limit with a label.
            TypeError: A text is not a string.
            UsageError: There are no labels, or a parameter has no meaning.
        """
        if candidate_labels is not None:
            parameters["candidate_labels"] = candidate_labels
        return super().__call__(inputs, **parameters)
