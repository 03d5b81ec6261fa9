"""spiece.model -> the tokenizer that English ALBERT was trained with.

Google trained with tokenization.py of https://github.com/google-research/albert, and transformers 4
has the same steps in AlbertTokenizer, its slow class:

    join at white space, quotation marks
    NFKD without combining marks, lower case     not with keep_accents, do_lower_case=False
    SentencePiece
    "2010," becomes "2010" and ","

The fast class of transformers differs from it: it cuts at each `(`, `-` or `.`, and starts a new
word after them. Here a tokenizers.Tokenizer does what the slow class does.
"""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from functools import cache, partial
from itertools import groupby
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from albert_edge.checkpoint.tokenizer.settings import Settings, Token, changed
from albert_edge.checkpoint.tokenizer.spiece import Piece, PieceType, Spiece, read_spiece
from albert_edge.errors import CheckpointError
from albert_edge.json_fields import JsonObject
from albert_edge.validation.charsmap import check_charsmap
from albert_edge.validation.tokenizer_library import library_faults
from albert_edge.validation.tokenizer_models import check_model

# Python's str.split() also takes the four separators of ASCII for white space.
_WHITE_SPACE = r"[\s\x1c-\x1f]+"
_BEYOND_MARKS = 0x20000  # there are ideographs from here on
_UNMATCHED_PENALTY = 100.0
# SentencePiece prefers one that a user defined to any other pieces for the same text.
_USER_DEFINED_SCORE = -0.1


def unigram_tokenizer(path: Path, settings: Settings) -> Tokenizer:
    """Build the tokenizer of a SentencePiece model.

    Args:
        path: spiece.model.
        settings: Its `do_lower_case`, `keep_accents` and `remove_space`.

    Raises:
        CheckpointError: The model is damaged or not unigram.
    """
    spiece = read_spiece(path)
    vocab = [(piece.text, _score(piece)) for piece in spiece.pieces]
    error = partial(CheckpointError, tip="Copy spiece.model again.")
    what = f"{path} is damaged"
    check_model(JsonObject({"vocab": vocab, "unk_id": spiece.unk_id}, what, error), None)
    try:
        if spiece.charsmap:
            check_charsmap(spiece.charsmap)
    except ValueError as reason:
        raise error(f"{what}: its character map: {reason}") from reason
    with library_faults(what, error):
        model = models.Unigram(vocab, unk_id=spiece.unk_id, byte_fallback=spiece.byte_fallback)
        tokenizer = Tokenizer(model)
        tokenizer.normalizer = _normalizer(spiece, settings)
    scheme = "always" if spiece.prefix else "never"
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(
        prepend_scheme=scheme,
        # A word at a time is faster, but a piece may be longer than a word.
        split=not any("▁" in piece.text[1:] for piece in spiece.pieces if _is_matched(piece)),
    )
    tokenizer.decoder = decoders.Metaspace(prepend_scheme=scheme)
    return tokenizer


def matching_raw_text(settings: Settings) -> Settings:
    """Return the settings with tokens as the slow class finds them: before it normalizes."""

    def raw(token: Token) -> Token:
        return changed(token, normalized=False) if isinstance(token, AddedToken) else token

    return replace(
        settings,
        named={role: token and raw(token) for role, token in settings.named.items()},
        extra=tuple(map(raw, settings.extra)),
        added={at: changed(token, normalized=False) for at, token in settings.added.items()},
    )


def _is_matched(piece: Piece) -> bool:
    return piece.type in (PieceType.NORMAL, PieceType.USER_DEFINED)


def _score(piece: Piece) -> float:
    if piece.type == PieceType.USER_DEFINED:
        return _USER_DEFINED_SCORE
    ends_with_number_and_comma = piece.text.endswith(",") and piece.text[-2:-1].isdigit()
    if ends_with_number_and_comma or not _is_matched(piece):
        return piece.score - _UNMATCHED_PENALTY
    return piece.score


def _normalizer(spiece: Spiece, settings: Settings) -> normalizers.Normalizer:
    steps: list[normalizers.Normalizer] = []
    if settings.config.flag("remove_space", True):
        steps += [normalizers.Replace(Regex(_WHITE_SPACE), " "), *_trim()]
    steps += [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    strips = not settings.config.flag("keep_accents", False)
    if strips:
        # What is neither composed nor combining, such as most vowel signs of Devanagari, stays.
        steps += [normalizers.NFKD(), normalizers.Replace(Regex(_combining_marks()), "")]
    if settings.config.flag("do_lower_case", True):
        steps.append(normalizers.Lowercase())
    if spiece.charsmap:
        charsmap = normalizers.Precompiled(spiece.charsmap)
        if strips and charsmap.normalize_str("e\u0301") == "é":
            # SentencePiece composes what was decomposed; this class does so only in short runs,
            # which takes syllables of Hangul apart.
            steps.append(normalizers.NFC())
        steps.append(charsmap)
    if spiece.trims:
        steps += [normalizers.Replace(Regex(" {2,}"), " "), *_trim()]
    return normalizers.Sequence(steps)


def _trim() -> list[normalizers.Normalizer]:
    # Not Strip(), which in JavaScript also removes U+FEFF.
    return [normalizers.Replace(Regex("^ +| +$"), "")]


@cache
def _combining_marks() -> str:
    """Return a regular expression of the characters that have a combining class."""
    codes = (code for code in range(_BEYOND_MARKS) if unicodedata.combining(chr(code)))
    runs = groupby(enumerate(codes), key=lambda place: place[1] - place[0])
    ranges = ([code for _, code in run] for _, run in runs)
    # Written as they are: escapes beyond four digits differ between implementations.
    return "[" + "".join(f"{chr(codes[0])}-{chr(codes[-1])}" for codes in ranges) + "]"
