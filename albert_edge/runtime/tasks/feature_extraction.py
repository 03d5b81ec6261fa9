"""Feature extraction: the hidden state of every token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from albert_edge.manifest import Manifest
from albert_edge.runtime.tasks.base import Inputs, Outputs
from albert_edge.runtime.text import TextEncoder


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a call."""

    return_tensors: bool
    truncation: bool
    max_length: int | None


class FeatureExtraction:
    """See `transformers.FeatureExtractionPipeline`, whose answers these are."""

    def __init__(self, manifest: Manifest) -> None:
        pass

    def parameters(
        self,
        *,
        return_tensors: bool = False,
        truncation: bool = False,
        max_length: int | None = None,
    ) -> Parameters:
        """Check the parameters of a call.

        Args:
            return_tensors: Whether to return a float32 numpy array instead of nested lists.
            truncation: Whether to cut texts over the model's limit; otherwise they are an error.
            max_length: A limit below the model's own, in tokens.
        """
        return Parameters(return_tensors, truncation, max_length)

    def encode(self, encoder: TextEncoder, item: Any, parameters: Parameters) -> Inputs:
        """Tokenize a text."""
        return encoder.encode(
            item, truncation=parameters.truncation, max_length=parameters.max_length
        )

    def answer(self, outputs: Outputs, parameters: Parameters) -> Any:
        """The last hidden state, (1, sequence, hidden_size)."""
        hidden = outputs["last_hidden_state"]
        return hidden if parameters.return_tensors else hidden.tolist()

    def single(self, item: Any, answer: Any, parameters: Parameters) -> Any:
        """The bare answer."""
        return answer
