"""Drop the pieces of a vocabulary that given texts do not use.

A text that uses none of the dropped pieces is split as before, into the same pieces at the same
offsets, whatever else was dropped. WordPiece takes the longest piece at each place, and the longest
is still there. Unigram takes the path of the highest score, and with fewer pieces no other path
scores higher than before. The rows of the kept pieces are copied, so the model's outputs have the
same bits too. A text that does use dropped pieces is split into smaller ones, but nothing becomes
unknown (see `essential`).
"""

from __future__ import annotations

import json
import sys
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from albert_edge.architecture.config import parse_config
from albert_edge.architecture.heads import HEADS
from albert_edge.architecture.weights import find_weight
from albert_edge.check.quality import Outputs
from albert_edge.errors import BundleError
from albert_edge.json_fields import JsonObject, parse_object
from albert_edge.pruning.essential import essential_pieces, read_pieces
from albert_edge.pruning.renumber import (
    names_ids,
    renumber_config,
    renumber_tokenizer,
    renumber_tokenizer_config,
)
from albert_edge.runtime.text import TextEncoder
from albert_edge.validation.tokenizer_library import load_tokenizer

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]
# A text, or the ids of its tokens.
Text = str | Sequence[int] | Ids

_as_error = partial(BundleError, tip="Export the bundle again.")


@dataclass(frozen=True, slots=True)
class VocabularyFiles:
    """The files of a bundle that depend on the ids of tokens.

    Attributes:
        tokenizer_json: The text of tokenizer.json.
        tokenizer_config: The content of tokenizer_config.json.
        config: The content of config.json.
    """

    tokenizer_json: str = field(repr=False)
    tokenizer_config: Mapping[str, Any]
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of some texts a reduced vocabulary splits as the whole one does.

    Attributes:
        texts: How many texts there are.
        covered_texts: Those of them that use no dropped piece, and so give the same tokens.
    """

    texts: int
    covered_texts: int

    @property
    def share_of_texts(self) -> float:
        """Share of the texts that are covered, 0 to 1; 1 without texts."""
        return self.covered_texts / self.texts if self.texts else 1.0


@dataclass(frozen=True, slots=True)
class ReducedVocabulary:
    """A vocabulary without the pieces that some texts do not use.

    Attributes:
        kept: The ids that stay, ascending; the place of an id in it is its new id.
        size: Rows of the model's embeddings before.
        rows: Rows after; beyond them, `kept` has the tokens that the model has no embedding for.
        files: The files, with the new ids.
    """

    kept: Ids = field(repr=False)
    size: int
    rows: int
    files: VocabularyFiles = field(repr=False)
    _encoder: TextEncoder = field(repr=False)

    def select_rows(self, floats: Mapping[str, Floats]) -> dict[str, Floats]:
        """Return the weights of the smaller model.

        Args:
            floats: All weights, by name: (rows, features) tables, or one number for each row.

        Returns:
            The rows of the kept pieces of those that have a row for each; the others as they are.
        """
        kept = self.kept[: self.rows]
        return {
            name: values[kept] if (spec := find_weight(name)) and spec.by_piece else values
            for name, values in floats.items()
        }

    def restore(self, outputs: Outputs, head: str) -> Outputs:
        """Return outputs with a logit for every piece of the whole vocabulary.

        Args:
            outputs: Of the smaller model.
            head: A key of `HEADS`.

        Returns:
            Its logits of the vocabulary, (..., size), in which dropped pieces have the lowest
            number; the other outputs as they are.
        """
        axes = HEADS[head].outputs
        return {
            name: self._spread(values) if "vocab_size" in axes.get(name, ()) else values
            for name, values in outputs.items()
        }

    def _spread(self, logits: npt.NDArray[Any]) -> npt.NDArray[Any]:
        lowest = np.finfo(logits.dtype).min
        whole = np.full((*logits.shape[:-1], self.size), lowest, logits.dtype)
        whole[..., self.kept[: self.rows]] = logits
        return whole

    def coverage(self, texts: Iterable[Text]) -> Coverage:
        """Count what the vocabulary covers.

        Args:
            texts: Texts as strings, or as ids of the whole vocabulary.

        Raises:
            InputError: A text is not valid Unicode.
        """
        covered = [np.isin(ids, self.kept).all() for ids in _token_ids(self._encoder, texts)]
        return Coverage(texts=len(covered), covered_texts=sum(map(bool, covered)))


def reduce_vocabulary(files: VocabularyFiles, texts: Iterable[Text]) -> ReducedVocabulary:
    """Drop the pieces that texts do not use, and renumber the others.

    Special and added tokens stay, and all pieces without which a text could become unknown that was
    not (see `essential_pieces`). Rows of the model that no token has are dropped.

    Args:
        files: The files of a bundle.
        texts: Texts as strings, the two of a pair by themselves; or the ids of their tokens, with
            or without special ones. Texts are not cut to what the model takes.

    Raises:
        UsageError: The tokenizer is neither Unigram nor WordPiece.
        InputError: A text is not valid Unicode.
        BundleError: tokenizer.json gives a token an id that the tokenizers library does not.
    """
    content = parse_object(files.tokenizer_json, "tokenizer.json", _as_error)
    model = content.object("model")
    pieces = read_pieces(model)
    encoder = TextEncoder(_load(files.tokenizer_json), sys.maxsize)
    used = {*_ids_in(files.config)}.union(*_token_ids(encoder, texts))
    names = essential_pieces(model) | {piece for piece, index in pieces if index in used}
    added = {token.text("content"): token.integer("id") for token in _added(content)}
    names |= added.keys()
    kept = sorted({index for piece, index in pieces if piece in names}.union(added.values()))
    renumber = partial(bisect_left, kept)
    size = parse_config(json.dumps(files.config).encode(), "config.json").vocab_size
    rows = renumber(size)
    reduced = renumber_tokenizer(content.values, names, renumber)
    tokenizer_json = json.dumps(reduced, ensure_ascii=False, separators=(",", ":"))
    _check(encoder.tokenizer, tokenizer_json, kept)
    return ReducedVocabulary(
        kept=np.array(kept, np.int64),
        size=size,
        rows=rows,
        files=VocabularyFiles(
            tokenizer_json,
            renumber_tokenizer_config(files.tokenizer_config, renumber),
            renumber_config(files.config, rows, renumber),
        ),
        _encoder=encoder,
    )


def _added(content: JsonObject) -> tuple[JsonObject, ...]:
    return content.objects("added_tokens", ())


def _load(text: str) -> Tokenizer:
    tokenizer = load_tokenizer(text, "tokenizer.json", _as_error)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _token_ids(encoder: TextEncoder, texts: Iterable[Text]) -> Iterator[Ids]:
    """Yield the ids of each text, without the special tokens around it if it is a string."""
    for text in texts:
        if isinstance(text, str):
            yield np.array(encoder.encoding(text, special_tokens=False).ids, np.int64)
        else:
            yield np.asarray(text, np.int64)


def _ids_in(config: Mapping[str, Any]) -> Iterator[int]:
    """Yield the ids of special tokens that config.json names."""
    for name, value in config.items():
        if names_ids(name):
            yield from value if isinstance(value, list) else [value]


def _check(whole: Tokenizer, reduced_json: str, kept: Collection[int]) -> None:
    """Check that every token that stays has its new id, and that there are no others.

    Raises:
        BundleError: They differ, as where ids in the file are not those that the library gives.
    """
    places = {index: place for place, index in enumerate(kept)}
    vocab = whole.get_vocab().items()
    expected = {token: places[index] for token, index in vocab if index in places}
    if _load(reduced_json).get_vocab() != expected:
        raise BundleError(
            "tokenizer.json: the ids of its tokens are not those that the tokenizers library gives "
            "them, so its vocabulary cannot be reduced.",
            tip="Save the tokenizer again with transformers, and export.",
        )
