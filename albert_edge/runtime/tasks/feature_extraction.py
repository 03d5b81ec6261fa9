"""Feature extraction: the hidden state of every token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from albert_edge.bundle.bundle import Bundle
from albert_edge.runtime.tasks.base import Inputs, Outputs
from albert_edge.runtime.text import Cut, TextEncoder, cut


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a call."""

    return_tensors: bool
    cut: Cut


class FeatureExtraction:
    """See `transformers.FeatureExtractionPipeline`, whose answers these are."""

    def __init__(self, bundle: Bundle) -> None:
        pass

    def parameters(
        self,
        *,
        return_tensors: bool = False,
        truncation: bool | str = False,
        max_length: int | None = None,
        padding: bool | str = False,
        tokenize_kwargs: dict[str, Any] | None = None,
    ) -> Parameters:
        """Check the parameters of a call.

        Args:
            return_tensors: Whether to return a float32 numpy array instead of nested lists.
            truncation: See `albert_edge.runtime.text.cut`, as the next two.
            max_length: A limit below the model's own, in tokens.
            padding: Taken, and without effect.
            tokenize_kwargs: The three above, the other way transformers takes them.
        """
        cutting = {"truncation": truncation, "max_length": max_length, "padding": padding}
        return Parameters(return_tensors, cut(**{**cutting, **(tokenize_kwargs or {})}))

    def encode(self, encoder: TextEncoder, item: Any, parameters: Parameters) -> Inputs:
        """Tokenize a text."""
        return encoder.encode(item, cut=parameters.cut)

    def answer(self, outputs: Outputs, parameters: Parameters) -> Any:
        """The last hidden state, (1, sequence, hidden_size)."""
        hidden = outputs["last_hidden_state"]
        return hidden if parameters.return_tensors else hidden.tolist()

    def single(self, item: Any, answer: Any, given: Mapping[str, Any]) -> Any:
        """The bare answer."""
        return answer
