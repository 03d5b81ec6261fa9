"""Which pieces a vocabulary cannot lose without making some text unknown that was not.

A text whose pieces are dropped is split into smaller ones, down to single characters. That never
ends in an unknown token if every character that occurs in a piece is a piece of its own, as it is
in the vocabularies that SentencePiece and the trainers of WordPiece make. Where a character is not,
as in vocabularies edited by hand, all pieces that hold it stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from albert_edge.errors import Argument, Message, UsageError
from albert_edge.json_fields import JsonObject

_BYTE = re.compile("<0x[0-9A-F]{2}>")


def read_pieces(model: JsonObject) -> list[tuple[str, int]]:
    """Return the pieces of the model in a tokenizer.json with their ids.

    Raises:
        UsageError: It is neither Unigram nor WordPiece.
    """
    kind = model.text("type", None)
    if kind == "Unigram":
        return [(piece, index) for index, (piece, _) in enumerate(model.values["vocab"])]
    if kind == "WordPiece":
        return list(model.values["vocab"].items())
    raise UsageError(
        f"The vocabulary of a {kind} tokenizer cannot be reduced: only Unigram and WordPiece can.",
        tip=Message("Leave out ", Argument("vocabulary"), "."),
    )


def essential_pieces(model: JsonObject) -> set[str]:
    """Return the pieces that have to stay, whatever the texts are.

    These are single characters, pieces with a character that is no piece of its own, and the piece
    for unknown text. A Unigram model also needs the piece with the lowest score, from which the
    score of unknown text is derived, and the bytes that unknown characters are split into.
    """
    is_unigram = model.text("type") == "Unigram"
    pieces = {piece for piece, _ in read_pieces(model)}
    characters: Callable[[str], list[str]] = list if is_unigram else _characters_of_words(model)
    essential = {
        piece
        for piece in pieces
        if characters(piece) == [piece] or not pieces.issuperset(characters(piece))
    }
    if not is_unigram:
        return essential | {model.text("unk_token", "[UNK]")}
    entries = model.values["vocab"]
    essential.add(min(entries, key=lambda entry: entry[1])[0])
    unknown = model.integer("unk_id", None)
    if unknown is not None:
        essential.add(entries[unknown][0])
    if model.flag("byte_fallback", False):
        essential.update(filter(_BYTE.fullmatch, pieces))
    return essential


def _characters_of_words(model: JsonObject) -> Callable[[str], list[str]]:
    """Return the function that splits a piece of WordPiece into pieces of one character.

    "##ab" becomes "##a" and "##b"; "ab" becomes "a" and "##b".
    """
    prefix = model.text("continuing_subword_prefix", "##")

    def characters(piece: str) -> list[str]:
        if piece.startswith(prefix) and piece != prefix:
            return [prefix + character for character in piece.removeprefix(prefix)]
        return [*piece[:1], *(prefix + character for character in piece[1:])]

    return characters
