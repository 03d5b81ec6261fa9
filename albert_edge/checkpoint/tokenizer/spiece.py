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
_TRAINER_MODEL_TYPE, _TRAINER_UNK_ID = 3, 40
_NORMALIZER_CHARSMAP = 2

_ALGORITHMS = {1: "unigram", 2: "BPE", 3: "word", 4: "char"}
_NORMAL = 1
_EMPTY = memoryview(b"")
_ZERO = memoryview(bytes(4))
_DAMAGED = "Copy spiece.model again; the one of English ALBERT has 760,289 bytes."


class PieceType(IntEnum):
    """The types of pieces besides normal ones."""

    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4


@dataclass(frozen=True, slots=True)
class Piece:
    """One entry of the vocabulary; its id is its place. `score` is a log-probability."""

    text: str
    score: float
    type: int


@dataclass(frozen=True, slots=True)
class Spiece:
    """A SentencePiece unigram model.

    `charsmap` is its compiled normalization table, empty if it has none.
    """

    pieces: tuple[Piece, ...]
    unk_id: int
    charsmap: bytes


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
            elif field in (_MODEL_TRAINER, _MODEL_NORMALIZER):
                parts.setdefault(field, {}).update(fields(content(value)))
        # A file cut off between two fields lacks what SentencePiece writes last.
        if not pieces or len(parts) != 2:
            raise CheckpointError(f"{path} is not a whole SentencePiece model.", tip=_DAMAGED)
        trainer, normalizer = parts[_MODEL_TRAINER], parts[_MODEL_NORMALIZER]
        model_type = signed_number(trainer.get(_TRAINER_MODEL_TYPE, 1))
        unk_id = signed_number(trainer.get(_TRAINER_UNK_ID, 0))
        charsmap = bytes(content(normalizer.get(_NORMALIZER_CHARSMAP, _EMPTY)))
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
    if not 0 <= unk_id < len(pieces) or pieces[unk_id].type != PieceType.UNKNOWN:
        raise CheckpointError(f"{path} has no unknown piece at id {unk_id}.", tip=_DAMAGED)
    return Spiece(tuple(pieces), unk_id, charsmap)


def _piece(message: memoryview) -> Piece:
    values = dict(fields(message))
    return Piece(
        text(values.get(_PIECE_TEXT, _EMPTY)),
        single(values.get(_PIECE_SCORE, _ZERO)),
        signed_number(values.get(_PIECE_TYPE, _NORMAL)),
    )
