"""Text ranking: how relevant a passage is to a query."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from albert_edge.bundle.bundle import Bundle
from albert_edge.errors import BundleError, UsageError
from albert_edge.runtime.tasks.base import Inputs, Outputs
from albert_edge.runtime.text import Cut, TextEncoder, cut
from albert_edge.runtime.vectors import sigmoid

Scores = npt.NDArray[np.float32]
Activation = Callable[[Scores], Scores]

_ACTIVATIONS: dict[str, Activation] = {"sigmoid": sigmoid, "none": lambda logits: logits}
# The names sentence-transformers saves, and the shorter ones it reads as well.
_SAVED_NAMES = {
    "torch.nn.modules.activation.Sigmoid": "sigmoid",
    "torch.nn.modules.linear.Identity": "none",
    "torch.nn.Sigmoid": "sigmoid",
    "torch.nn.Identity": "none",
}


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a call."""

    activation: Activation
    cut: Cut


class TextRanking:
    """See `sentence_transformers.CrossEncoder`, whose scores these are.

    Unlike it, which cuts texts over the limit, this refuses them if not told to cut.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.folder = bundle.folder
        self.num_labels = len(bundle.manifest.labels)
        self.saved_activation = _saved_activation(bundle)

    def parameters(
        self,
        *,
        activation_fn: str | None = None,
        truncation: bool | str = False,
        max_length: int | None = None,
        padding: bool | str = False,
    ) -> Parameters:
        """Check the parameters of a call.

        Args:
            activation_fn: What makes a score of a logit, "sigmoid" or "none"; by default what
                sentence-transformers saved with the model, else "sigmoid" for a model of one
                label and "none" for others.
            truncation: See `albert_edge.runtime.text.cut`, as the next two. True cuts the longer
                of query and passage.
            max_length: A limit below the model's own, in tokens of query and passage together.
            padding: Taken, and without effect.

        Raises:
            UsageError: A parameter has no meaning.
            BundleError: activation_fn is left out, and the saved one is not known here.
        """
        name = self._default() if activation_fn is None else activation_fn
        if name not in _ACTIVATIONS:
            raise UsageError(
                f"activation_fn is {name!r}.", tip=f"It is one of: {', '.join(_ACTIVATIONS)}."
            )
        return Parameters(_ACTIVATIONS[name], cut(truncation, max_length, padding))

    def _default(self) -> str:
        if self.saved_activation is None:
            return "sigmoid" if self.num_labels == 1 else "none"
        name = _SAVED_NAMES.get(str(self.saved_activation))
        if name is None:
            raise BundleError(
                f"{self.folder} was saved with the activation function {self.saved_activation!r}, "
                "which is neither Sigmoid nor Identity of torch.nn.",
                tip="Pass activation_fn='sigmoid'; or 'none', and apply the function yourself.",
            )
        return name

    def encode(self, encoder: TextEncoder, item: Any, parameters: Parameters) -> Inputs:
        """Tokenize a (query, passage) pair, or a {"query": ..., "passage": ...} one."""
        return encoder.encode(*_query_and_passage(item), parameters.cut)

    def answer(self, outputs: Outputs, parameters: Parameters) -> Any:
        """Map logits, (1, num_labels), to a score, or a list of them if there are several."""
        scores = parameters.activation(outputs["logits"][0]).tolist()
        return scores[0] if self.num_labels == 1 else scores

    def single(self, item: Any, answer: Any, given: Mapping[str, Any]) -> Any:
        """The bare answer."""
        return answer


def _query_and_passage(item: Any) -> tuple[str, str]:
    match item:
        case {"query": str(query), "passage": str(passage)} | (str(query), str(passage)):
            return query, passage
    raise TypeError(
        'a pair must be ("query", "passage") or {"query": ..., "passage": ...}, two strings, not '
        f"{reprlib.repr(item)}"
    )


def _saved_activation(bundle: Bundle) -> Any:
    """The name of the activation function that sentence-transformers saved, or None."""
    saved = _read_json(bundle, "config_sentence_transformers.json").get("activation_fn")
    if saved is not None:
        return saved
    config = _read_json(bundle, "config.json")
    section = config.get("sentence_transformers")  # from version 4 until there was that file
    if isinstance(section, dict) and "activation_fn" in section:
        return section["activation_fn"]
    return config.get("sbert_ce_default_activation_function")  # before version 4


def _read_json(bundle: Bundle, file: str) -> dict[str, Any]:
    try:
        return dict(json.loads(bundle.read_text(file) or "{}"))
    except (TypeError, ValueError) as error:
        raise BundleError(
            f"{bundle.folder / file} is not a JSON object: {error}", tip="Export the model again."
        ) from error
