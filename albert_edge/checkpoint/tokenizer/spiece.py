"""spiece.model -> pieces, scores and the normalization table, without sentencepiece.

The file is a protobuf message, sentencepiece_model.proto's ModelProto; other fields are skipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from albert_edge.errors import CheckpointError
from albert_edge.onnx_format.wire_format import Value, content, fields, signed_number, single, text

# Field numbers of https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto
_MODEL_PIECES, _MODEL_TRAINER, _MODEL_NORMALIZER = 1, 2, 3
_PIECE_TEXT, _PIECE_SCORE, _PIECE_TYPE = 1, 2, 3
_TRAINER_MODEL_TYPE, _TRAINER_SUFFIX, _TRAINER_BYTES, _TRAINER_UNK_ID = 3, 24, 35, 40
_NORMALIZER_CHARSMAP, _NORMALIZER_PREFIX, _NORMALIZER_SPACES = 2, 3, 4

_ALGORITHMS = {1: "unigram", 2: "BPE", 3: "word", 4: "char"}
_MOST_PIECES = 500_000
_EMPTY = memoryview(b"")
_ZERO = memoryview(bytes(4))
_DAMAGED = "Copy spiece.model again; the one of English ALBERT has 760,289 bytes."


class PieceType(IntEnum):
    """The types of pieces."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True, slots=True)
class Piece:
    """One entry of the vocabulary; its id is its place. `score` is a log-probability."""

    text: str
    score: float
    type: int


@dataclass(frozen=True, slots=True)
class Spiece:
    """A SentencePiece unigram model.

    Attributes:
        pieces: The vocabulary.
        unk_id: The id of unknown characters.
        charsmap: The compiled normalization table, empty if it has none.
        prefix: Whether a text gets a space before its first word.
        trims: Whether spaces at the ends of a text, and all but one between words, are removed.
        byte_fallback: Whether a character without a piece becomes the pieces of its UTF-8 bytes.
    """

    pieces: tuple[Piece, ...]
    unk_id: int
    charsmap: bytes
    prefix: bool = True
    trims: bool = True
    byte_fallback: bool = False


def read_spiece(path: Path) -> Spiece:
    """Read a SentencePiece unigram model.

    Raises:
        CheckpointError: The file is damaged, holds no pieces or no unknown piece, or was trained
            with another algorithm than unigram.
    """
    pieces: list[Piece] = []
    # The fields of the two messages; repeated messages are merged, as protobuf does.
    parts: dict[int, dict[int, Value]] = {}
    try:
        for field, value in fields(memoryview(path.read_bytes())):
            if field == _MODEL_PIECES:
                pieces.append(_piece(content(value)))
                if len(pieces) > _MOST_PIECES:
                    raise ValueError(f"it has over {_MOST_PIECES:,} pieces")
            elif field in (_MODEL_TRAINER, _MODEL_NORMALIZER):
                parts.setdefault(field, {}).update(fields(content(value)))
        # A file cut off between two fields lacks what SentencePiece writes last.
        if not pieces or len(parts) != 2:
            raise CheckpointError(f"{path} is not a whole SentencePiece model.", tip=_DAMAGED)
        trainer, normalizer = parts[_MODEL_TRAINER], parts[_MODEL_NORMALIZER]
        model_type = signed_number(trainer.get(_TRAINER_MODEL_TYPE, 1))
        unk_id = signed_number(trainer.get(_TRAINER_UNK_ID, 0))
        charsmap = bytes(content(normalizer.get(_NORMALIZER_CHARSMAP, _EMPTY)))
        prefix = signed_number(normalizer.get(_NORMALIZER_PREFIX, 1)) != 0
        trims = signed_number(normalizer.get(_NORMALIZER_SPACES, 1)) != 0
        suffix = signed_number(trainer.get(_TRAINER_SUFFIX, 0)) != 0
        byte_fallback = signed_number(trainer.get(_TRAINER_BYTES, 0)) != 0
    except (OSError, ValueError, IndexError) as error:
        raise CheckpointError(
            f"{path} is not a SentencePiece model: {error}", tip=_DAMAGED
        ) from error
    algorithm = _ALGORITHMS.get(model_type, f"type {model_type}")
    if algorithm != "unigram":
        raise CheckpointError(
            f"{path} is a SentencePiece {algorithm} model; ALBERT's are unigram.",
            tip="Load the checkpoint with transformers and save_pretrained it: "
            "its tokenizer.json is used as it is.",
        )
    if suffix:
        raise CheckpointError(
            f"{path} marks the end of a word, not its start (treat_whitespace_as_suffix), which "
            "transformers' fast tokenizers cannot do either.",
            tip="Load it with transformers' AlbertTokenizer, and pass token ids to "
            "albert_edge.Session.",
        )
    if not 0 <= unk_id < len(pieces) or pieces[unk_id].type != PieceType.UNKNOWN:
        raise CheckpointError(f"{path} has no unknown piece at id {unk_id}.", tip=_DAMAGED)
    return Spiece(tuple(pieces), unk_id, charsmap, prefix, trims, byte_fallback)


def _piece(message: memoryview) -> Piece:
    values = dict(fields(message))
    return Piece(
        text(values.get(_PIECE_TEXT, _EMPTY)),
        single(values.get(_PIECE_SCORE, _ZERO)),
        signed_number(values.get(_PIECE_TYPE, PieceType.NORMAL)),
    )
