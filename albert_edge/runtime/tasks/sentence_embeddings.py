"""Sentence embeddings: one vector for a text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Unpack, overload

import numpy as np
import numpy.typing as npt
from tokenizers import normalizers

from albert_edge.architecture.config import read_config
from albert_edge.bundle.bundle import Bundle
from albert_edge.errors import BundleError, InputError, UsageError
from albert_edge.runtime.parameters import Cut, Truncation, invalid, read_cut
from albert_edge.runtime.pipeline import Pipeline
from albert_edge.runtime.task import Items, Many, Task, WindowOutputs, Windows
from albert_edge.runtime.tasks.dense import Dense
from albert_edge.runtime.tasks.pooling import POOLER, POOLINGS, Vector
from albert_edge.runtime.tasks.sentence_modules import read_sentence_modules
from albert_edge.runtime.text import TextEncoder
from albert_edge.runtime.vectors import unit

_MODES = (*POOLINGS, POOLER)


class Parameters(Truncation, total=False):
    """The parameters of a call; `max_length` is at most the checkpoint's max_seq_length.

    Attributes:
        normalize: Whether embeddings are scaled to length 1; by default as the checkpoint says,
            else not.
        pooling: How the tokens' hidden states are pooled: "mean", "cls", "max" or another of
            `POOLINGS`; or "pooler". By default as the checkpoint says, else "mean". Layers of the
            checkpoint after pooling still apply.
        prompt: A text to put before every text.
        prompt_name: The name of one of the checkpoint's prompts, if `prompt` is not given; by
            default its default prompt, if it has one.
    """

    normalize: bool | None
    pooling: str | None
    prompt: str | None
    prompt_name: str | None


@dataclass(frozen=True, slots=True)
class Checked:
    """The checked parameters of a call; `normalize` is None where the checkpoint decides."""

    pooling: tuple[str, ...]
    normalize: bool | None
    prompt: str
    cut: Cut


class SentenceEmbeddings(Task):
    """See `sentence_transformers.SentenceTransformer.encode`, whose answers these are."""

    accepts = Parameters

    def __init__(self, bundle: Bundle) -> None:
        self.modules = read_sentence_modules(bundle)
        config = read_config(bundle.listed("config.json"))
        self._positions = config.max_position_embeddings
        self._hidden_size = config.hidden_size
        self._has_pooler = config.add_pooling_layer
        fault = _misfit(self.modules.dense, self._hidden_size * len(self.modules.pooling))
        if fault:
            raise BundleError(
                f"{bundle.folder}: after Pooling {fault}.",
                tip="Correct the checkpoint's 1_Pooling or 2_Dense, and export it again.",
            )

    def prepare(self, encoder: TextEncoder) -> TextEncoder:
        """Return the tokenizer with the limit and the lowercasing of the checkpoint."""
        length = self.modules.max_seq_length
        if length is not None:
            encoder = replace(encoder, max_length=min(length, self._positions))
        if self.modules.do_lower_case:
            _lower_first(encoder)
        return encoder

    def parameters(self, given: Parameters) -> Checked:
        pooling, normalize = given.get("pooling"), given.get("normalize")
        if pooling is not None and pooling not in _MODES:
            raise invalid("pooling", pooling, f"It is one of: {', '.join(_MODES)}.")
        if normalize not in (None, True, False):
            raise invalid("normalize", normalize, "It is a bool, or left out.")
        modes = self.modules.pooling if pooling is None else (pooling,)
        if POOLER in modes and not self._has_pooler:
            raise UsageError(
                "pooling is 'pooler', but the checkpoint has no pooler.",
                tip=f"Choose one of: {', '.join(POOLINGS)}.",
            )
        fault = _misfit(self.modules.dense, self._hidden_size * len(modes))
        if fault:
            raise UsageError(f"pooling is {pooling!r}, but {fault}.", tip="Leave pooling out.")
        prompt = self._prompt(given.get("prompt"), given.get("prompt_name"))
        return Checked(modes, normalize, prompt, read_cut(given))

    def size(self, parameters: Checked) -> int:
        """Return the dimension of an embedding."""
        dense = self.modules.dense
        size = len(dense[-1].bias) if dense else self._hidden_size * len(parameters.pooling)
        return min(size, self.modules.truncate_dim or size)

    def encode(self, encoder: TextEncoder, item: Any, parameters: Checked) -> Windows:
        """Tokenize a text behind its prompt, and count the tokens that are not pooled."""
        prompt = parameters.prompt
        # The encoder raises TypeError for an item that is not a string.
        text = prompt + item if isinstance(item, str) else item
        inputs = encoder.encode(text, cut=parameters.cut)
        if self.modules.include_prompt or not prompt:
            return Windows((inputs,), 0)
        length = len(inputs["input_ids"][0])
        skipped = _prompt_length(encoder, prompt, parameters.cut)
        if skipped >= length:
            raise InputError(
                "No token is left of the text after its prompt, whose tokens are not pooled.",
                tip="Use a prompt that ends in a space or a colon.",
            )
        return Windows((inputs,), skipped)

    def answer(self, outputs: WindowOutputs, parameters: Checked) -> Vector:
        """Map hidden states, (1, sequence, hidden_size), to an embedding, (size,)."""
        skipped: int = outputs.context
        run = outputs.only
        tokens = run["last_hidden_state"][0, skipped:]
        vector: Vector = np.concatenate(
            [
                run["pooler_output"][0] if mode == POOLER else POOLINGS[mode](tokens, skipped)
                for mode in parameters.pooling
            ]
        )
        for layer in self.modules.dense:
            vector = layer(vector)
        # As in sentence-transformers, normalize=True of a call applies after truncate_dim.
        if self.modules.normalized and parameters.normalize is not False:
            vector = unit(vector)
        vector = vector[: self.modules.truncate_dim]
        return unit(vector) if parameters.normalize else vector

    def _prompt(self, prompt: str | None, name: str | None) -> str:
        if prompt is None and name is None:
            return self.modules.default_prompt
        if prompt is None:
            prompt = self.modules.prompts.get(str(name))
            if prompt is None:
                known = ", ".join(self.modules.prompts) or "none"
                raise UsageError(f"There is no prompt {name!r}.", tip=f"The model has: {known}.")
        if not isinstance(prompt, str):
            raise UsageError(f"prompt is {prompt!r}.", tip="It is a text.")
        return prompt


def _misfit(dense: tuple[Dense, ...], size: int) -> str | None:
    """Say why layers do not fit a pooled vector of a size, or each other; None if they do."""
    for layer in dense:
        outputs, inputs = layer.weight.shape
        if inputs != size:
            return f"a Dense layer takes {inputs} numbers where there are {size}"
        size = outputs
    return None


def _prompt_length(encoder: TextEncoder, prompt: str, limits: Cut) -> int:
    """Count the tokens of a prompt at the start of a text, including [CLS]."""
    encoding = encoder.encoding(prompt, cut=replace(limits, strategy="longest_first"))
    final_special: int = encoding.special_tokens_mask[-1]
    return len(encoding.ids) - final_special


def _lower_first(encoder: TextEncoder) -> None:
    """Add lowercasing as the first step of a tokenizer that does not lowercase."""
    present = encoder.tokenizer.normalizer
    lower = normalizers.Lowercase()
    if present is None:
        encoder.tokenizer.normalizer = lower
        return
    steps = json.loads(present.__getstate__())
    if not any(step["type"] == "Lowercase" for step in steps.get("normalizers", [steps])):
        encoder.tokenizer.normalizer = normalizers.Sequence([lower, present])


Given = Parameters


class SentenceEmbeddingsPipeline(Pipeline):
    """Turns texts into vectors. A call returns an array for each text, `encode` one for all.

    See `Parameters` for the parameters of a call.
    """

    task = "sentence-embeddings"
    kind = SentenceEmbeddings
    _task: SentenceEmbeddings

    def encode(
        self, texts: str | Iterable[str], **parameters: Unpack[Given]
    ) -> npt.NDArray[np.float32]:
        """Embed texts, as `sentence_transformers.SentenceTransformer.encode` does.

        Args:
            texts: One text, or any number of them.
            **parameters: As in a call.

        Returns:
            The embeddings, (texts, size), or (size,) for one text.

        Raises:
            InputError: A text is over the limit or not valid Unicode.
            TypeError: A text is not a string.
            UsageError: A parameter is invalid for this checkpoint.
        """
        if not isinstance(texts, Iterable) or isinstance(texts, str | bytes | Mapping):
            return self(texts, **parameters)  # type: ignore[arg-type]  # raises TypeError for a wrong type
        answers = self(list(texts), **parameters)
        if not answers:
            checked, _ = self._read({**parameters})
            return np.empty((0, self._task.size(checked)), np.float32)
        return np.stack(answers)

    if TYPE_CHECKING:

        @overload
        def __call__(self, inputs: str, **given: Unpack[Given]) -> Vector: ...
        @overload
        def __call__(self, inputs: list[str], **given: Unpack[Given]) -> list[Vector]: ...
        @overload
        def __call__(self, inputs: Items[str], **given: Unpack[Given]) -> Iterator[Vector]: ...
        def __call__(self, inputs: Any, **given: Any) -> Any: ...
        @overload
        async def acall(self, inputs: str, **given: Unpack[Given]) -> Vector: ...
        @overload
        async def acall(self, inputs: Many[str], **given: Unpack[Given]) -> list[Vector]: ...
        async def acall(self, inputs: Any, **given: Any) -> Any: ...
        def answer(self, item: str, **given: Unpack[Given]) -> Vector: ...
        def stream(self, items: Iterable[str], **given: Unpack[Given]) -> Iterator[Vector]: ...
