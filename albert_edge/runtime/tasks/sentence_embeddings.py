"""Sentence embeddings: one vector for a text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from tokenizers import normalizers

from albert_edge.architecture.config import read_config
from albert_edge.bundle.bundle import Bundle
from albert_edge.errors import BundleError, InputError, UsageError
from albert_edge.runtime.tasks.base import WindowOutputs, Windows
from albert_edge.runtime.tasks.dense import Dense
from albert_edge.runtime.tasks.pooling import POOLER, POOLINGS, Vector
from albert_edge.runtime.tasks.sentence_modules import read_sentence_modules
from albert_edge.runtime.text import Cut, TextEncoder, cut
from albert_edge.runtime.vectors import unit


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a call; `normalize` is None where the checkpoint decides."""

    pooling: tuple[str, ...]
    normalize: bool | None
    prompt: str
    cut: Cut


class SentenceEmbeddings:
    """See `sentence_transformers.SentenceTransformer.encode`, whose answers these are."""

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

    def parameters(
        self,
        *,
        normalize: bool | None = None,
        pooling: str | None = None,
        prompt: str | None = None,
        prompt_name: str | None = None,
        truncation: bool | str = False,
        max_length: int | None = None,
        padding: bool | str = False,
    ) -> Parameters:
        """Check the parameters of a call.

        Args:
            normalize: Whether embeddings are scaled to length 1. By default as the checkpoint
                says, and not where it says nothing.
            pooling: What an embedding is made of: "mean", "cls" or "max" of the tokens' hidden
                states, "pooler", or another of `POOLINGS`. By default as the checkpoint says, and
                "mean" where it says nothing. Layers of the checkpoint after pooling still apply.
            prompt: What to put before every text.
            prompt_name: The name of one of the checkpoint's prompts, if `prompt` is not given. By
                default the checkpoint's default prompt, if it has one.
            truncation: See `albert_edge.runtime.text.cut`, as the next two. The limit is the
                checkpoint's max_seq_length, if it has one.
            max_length: A limit below that one, in tokens.
            padding: Taken, and without effect.

        Raises:
            UsageError: A parameter has no meaning for this checkpoint.
        """
        if pooling is not None and pooling not in (*POOLINGS, POOLER):
            raise UsageError(
                f"pooling is {pooling!r}.", tip=f"It is one of: {', '.join((*POOLINGS, POOLER))}."
            )
        if normalize not in (None, True, False):
            raise UsageError(f"normalize is {normalize!r}.", tip="It is a bool, or left out.")
        modes = self.modules.pooling if pooling is None else (pooling,)
        fault = _misfit(self.modules.dense, self._hidden_size * len(modes))
        if fault:
            raise UsageError(f"pooling is {pooling!r}, but {fault}.", tip="Leave pooling out.")
        return Parameters(
            modes,
            normalize,
            self._prompt(prompt, prompt_name),
            cut(truncation, max_length, padding),
        )

    def size(self, parameters: Parameters) -> int:
        """How many numbers an embedding has."""
        dense = self.modules.dense
        made = len(dense[-1].bias) if dense else self._hidden_size * len(parameters.pooling)
        return min(made, self.modules.truncate_dim or made)

    def encode(self, encoder: TextEncoder, item: Any, parameters: Parameters) -> Windows:
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

    def answer(self, outputs: WindowOutputs, parameters: Parameters) -> Vector:
        """Map hidden states, (1, sequence, hidden_size), to an embedding, (size,)."""
        skipped: int = outputs.context
        (run,) = outputs.outputs
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

    def single(self, item: Any, answer: Any, given: Mapping[str, Any]) -> Any:
        """The bare answer."""
        return answer

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
