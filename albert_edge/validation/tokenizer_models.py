"""The model of a tokenizer.json: its vocabulary, and what it does with unknown text."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import chain
from typing import Any

import numpy as np

from albert_edge.json_fields import JsonObject

LONGEST_PIECE = 256  # characters
_MOST_PIECES = 2**21
# WordPiece takes time in the cube of a word's length; BERT's limit is 100, Google's code has 200.
_LONGEST_WORD = 256
_LONGEST_AFFIX = 16
_LARGEST_SCORE = 1e6
# The library's trie takes about 340 bytes for each beginning of a piece, counted in bytes, that no
# other piece has; ALBERT's English vocabulary has 2.3 of these a piece.
_MOST_NODES_PER_PIECE = 10
_FEW_NODES = 10_000
_MOST_NODES = 2**20  # 350 MB


def check_model(model: JsonObject, vocab_size: int | None) -> int:
    """Check the field "model" of a tokenizer.json.

    Args:
        model: The field.
        vocab_size: How many tokens the model has embeddings for; None if unknown.

    Returns:
        How many pieces it has.
    """
    kind = model.choice("type", tuple(_CHECKS), None) or _kind_of_older(model)
    fields, check = _CHECKS[kind]
    require_known(model, fields)
    most = min(_MOST_PIECES, vocab_size or _MOST_PIECES)
    return check(model, most)


def require_known(part: JsonObject, fields: Collection[str]) -> None:
    """Refuse fields that are not known, whatever their values are."""
    for name in part.values.keys() - {"type", *fields}:
        raise part.fault(name, "absent: it is an unknown field")


def _kind_of_older(model: JsonObject) -> str:
    """Return the type of a model that names none, as files of tokenizers before 0.10."""
    if isinstance(model.values.get("vocab"), list):
        return "Unigram"
    if "merges" in model.values:
        return "BPE"
    return "WordPiece" if "max_input_chars_per_word" in model.values else "WordLevel"


def _check_unigram(model: JsonObject, most: int) -> int:
    vocab: Any = model.values.get("vocab")
    expected = "a list of pieces and scores"
    try:
        flat = [*chain.from_iterable(vocab)]
        pieces, size = flat[::2], sum(map(abs, flat[1::2]))
        text = "".join(pieces)
    except (TypeError, OverflowError):
        raise model.fault("vocab", expected) from None
    if not isinstance(vocab, list) or len(flat) != 2 * len(vocab):
        raise model.fault("vocab", expected)
    _check_pieces(model, pieces, most, shortest=1)
    if len(set(pieces)) != len(pieces):
        raise model.fault("vocab", "pieces that are all different")
    if not size <= _LARGEST_SCORE * len(pieces):  # NaN is not, either
        raise model.fault("vocab", "scores that are finite numbers")
    _check_nodes(model, pieces, text)
    model.integer("unk_id", low=0, high=len(pieces) - 1)
    model.flag("byte_fallback", None)
    return len(pieces)


def _check_nodes(model: JsonObject, pieces: Sequence[str], text: str) -> None:
    """Bound the memory of a trie of pieces, which `text` has all of."""
    most = min(_MOST_NODES, _FEW_NODES + _MOST_NODES_PER_PIECE * len(pieces))
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise model.fault("vocab", "valid Unicode") from None
    if size - len(pieces) > most and _count_nodes(pieces) > most:
        raise model.fault("vocab", "pieces that begin alike, as those of SentencePiece do")


def _count_nodes(pieces: Sequence[str]) -> int:
    """Count the distinct beginnings of pieces, in bytes."""
    texts = sorted(piece.encode() for piece in pieces)
    lengths = np.array([*map(len, texts)])
    starts = lengths.cumsum() - lengths
    text = np.frombuffer(b"".join(texts), np.uint8)
    count = len(text)
    alike = np.arange(1, len(texts))  # the pieces that begin as the one before them
    for depth in range(int(lengths.max())):
        alike = alike[np.minimum(lengths[alike], lengths[alike - 1]) > depth]
        alike = alike[text[starts[alike] + depth] == text[starts[alike - 1] + depth]]
        count -= len(alike)
    return count


def _check_wordpiece(model: JsonObject, most: int) -> int:
    vocab = _ids(model, most)
    _require_piece(model, "unk_token", vocab)
    _affix(model, "continuing_subword_prefix")
    model.integer("max_input_chars_per_word", low=0, high=_LONGEST_WORD)
    return len(vocab)


def _check_word_level(model: JsonObject, most: int) -> int:
    vocab = _ids(model, most)
    _require_piece(model, "unk_token", vocab)
    return len(vocab)


def _check_bpe(model: JsonObject, most: int) -> int:
    vocab = _ids(model, most)
    if model.values.get("unk_token") is not None:
        _require_piece(model, "unk_token", vocab)
    prefix = _affix(model, "continuing_subword_prefix", None) or ""
    _affix(model, "end_of_word_suffix", None)
    for name in ("fuse_unk", "byte_fallback", "ignore_merges"):
        model.flag(name, None)
    if model.values.get("dropout"):
        raise model.fault("dropout", "null: texts would be split at random")
    expected = "a list of pairs of pieces"
    merges: Any = model.values.get("merges")
    if not isinstance(merges, list):
        raise model.fault("merges", expected)
    if set(map(type, merges)) == {str}:
        merges = [merge.split(" ") for merge in merges]
    if not set(map(type, merges)) <= {list} or not set(map(len, merges)) <= {2}:
        raise model.fault("merges", expected)
    parts = [*chain.from_iterable(merges)]
    if not set(map(type, parts)) <= {str} or not vocab.keys() >= set(parts):
        raise model.fault("merges", expected)
    if not all(second.startswith(prefix) for second in parts[1::2]):
        raise model.fault("merges", f"a list of pairs, of which the second begins with {prefix!r}")
    return len(vocab)


def _ids(model: JsonObject, most: int) -> dict[str, int]:
    vocab = model.object("vocab").values
    _check_pieces(model, vocab, most)
    ids = vocab.values()
    if set(map(type, ids)) != {int} or min(ids) < 0 or max(ids) >= most:
        raise model.fault("vocab", f"an object of pieces with ids below {most:,}")
    if len(set(ids)) != len(ids):
        raise model.fault("vocab", "an object of pieces with different ids")
    return vocab


def _check_pieces(model: JsonObject, pieces: Collection[str], most: int, shortest: int = 0) -> None:
    if not 0 < len(pieces) <= most:
        raise model.fault("vocab", f"at most {most:,} pieces, which the model has embeddings for")
    lengths = set(map(len, pieces))
    if min(lengths) < shortest or max(lengths) > LONGEST_PIECE:
        raise model.fault("vocab", f"pieces of {shortest} to {LONGEST_PIECE} characters")


def _require_piece(model: JsonObject, name: str, vocab: Collection[str]) -> None:
    if model.text(name) not in vocab:
        raise model.fault(name, "a piece of the vocabulary")


def _affix(model: JsonObject, name: str, *default: None) -> str | None:
    value = model.text(name, *default)
    if value is not None and len(value) > _LONGEST_AFFIX:
        raise model.fault(name, f"at most {_LONGEST_AFFIX} characters")
    return value


_CHECKS: dict[str, tuple[Collection[str], Callable[[JsonObject, int], int]]] = {
    "Unigram": (("unk_id", "vocab", "byte_fallback"), _check_unigram),
    "WordPiece": (
        ("unk_token", "continuing_subword_prefix", "max_input_chars_per_word", "vocab"),
        _check_wordpiece,
    ),
    "BPE": (
        (
            *("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"),
            *("fuse_unk", "byte_fallback", "ignore_merges", "vocab", "merges"),
        ),
        _check_bpe,
    ),
    "WordLevel": (("vocab", "unk_token"), _check_word_level),
}
