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
    """The parameters of a call. A limit on tokens is one below the checkpoint's max_seq_length.

    Attributes:
        normalize: Whether embeddings are scaled to length 1. By default as the checkpoint says,
            and not where it says nothing.
        pooling: What an embedding is made of: "mean", "cls" or "max" of the tokens' hidden states,
            "pooler", or another of `POOLINGS`. By default as the checkpoint says, and "mean" where
            it says nothing. Layers of the checkpoint after pooling still apply.
        prompt: What to put before every text.
        prompt_name: The name of one of the checkpoint's prompts, if `prompt` is not given. By
            default the checkpoint's default prompt, if it has one.
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
        fault = _misfit(self.modules.dense, self._hidden_size * len(self.modules.pooling))
        if fault:
            raise BundleError(
                f"{bundle.folder}: after Pooling {fault}.",
                tip="Correct the checkpoint's 1_Pooling or 2_Dense, and export it again.",
            )

    def prepare(self, encoder: TextEncoder) -> TextEncoder:
        """The tokenizer with the limit and the lowercasing that the checkpoint asks for."""
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
        fault = _misfit(self.modules.dense, self._hidden_size * len(modes))
        if fault:
            raise UsageError(f"pooling is {pooling!r}, but {fault}.", tip="Leave pooling out.")
        prompt = self._prompt(given.get("prompt"), given.get("prompt_name"))
        return Checked(modes, normalize, prompt, read_cut(given))

    def size(self, parameters: Checked) -> int:
        """How many numbers an embedding has."""
        dense = self.modules.dense
        made = len(dense[-1].bias) if dense else self._hidden_size * len(parameters.pooling)
        return min(made, self.modules.truncate_dim or made)

    def encode(self, encoder: TextEncoder, item: Any, parameters: Checked) -> Windows:
        """Tokenize a text behind its prompt, and count the tokens that are not pooled."""
        prompt = parameters.prompt
        # What is no string the encoder refuses by its name.
        text = prompt + item if isinstance(item, str) else item
        inputs = encoder.encode(text, cut=parameters.cut)
        if self.modules.include_prompt or not prompt:
            return Windows((inputs,), 0)
        length = len(inputs["input_ids"][0])
        skipped = _prompt_length(encoder, prompt, parameters.cut)
        if skipped >= length:
            raise InputError(
                "Of the text no token is left beside its prompt, whose tokens are not pooled.",
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
        # The order is sentence-transformers': what the call asks for comes after the cut.
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
    """Why layers do not fit a pooled vector of a size, or each other."""
    for layer in dense:
        made, taken = layer.weight.shape
        if taken != size:
            return f"a Dense layer takes {taken} numbers where there are {size}"
        size = made
    return None


def _prompt_length(encoder: TextEncoder, prompt: str, limits: Cut) -> int:
    """How many tokens a prompt takes at the start of a text, [CLS] included."""
    alone = encoder.encoding(prompt, cut=replace(limits, strategy="longest_first"))
    special: int = alone.special_tokens_mask[-1]
    return len(alone.ids) - special


def _lower_first(encoder: TextEncoder) -> None:
    """Have a tokenizer lowercase its texts before all else, unless lowercasing is a step of it."""
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
    """Turns texts into vectors. A call gives an array for each text, `encode` one for all.

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
            return self(texts, **parameters)  # type: ignore[arg-type]  # which may refuse it
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
