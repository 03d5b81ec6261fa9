"""spiece.model -> pieces, scores and the normalization table, without sentencepiece.

The file is a protocol buffer. Only the fields below are declared; protobuf skips the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from albert_edge.errors import CheckpointError, MissingExtraError

_SCHEMA = """
name: "spiece.proto" package: "spiece" syntax: "proto2"
message_type {
  name: "Piece"
  field { name: "piece" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "score" number: 2 type: TYPE_FLOAT label: LABEL_OPTIONAL }
  field { name: "type" number: 3 type: TYPE_INT32 label: LABEL_OPTIONAL default_value: "1" }
}
message_type {
  name: "Trainer"
  field { name: "model_type" number: 3 type: TYPE_INT32 label: LABEL_OPTIONAL default_value: "1" }
  field { name: "unk_id" number: 40 type: TYPE_INT32 label: LABEL_OPTIONAL }
}
message_type {
  name: "Normalizer"
  field { name: "charsmap" number: 2 type: TYPE_BYTES label: LABEL_OPTIONAL }
}
message_type {
  name: "Model"
  field { name: "pieces" number: 1 type: TYPE_MESSAGE label: LABEL_REPEATED type_name: "Piece" }
  field { name: "trainer" number: 2 type: TYPE_MESSAGE label: LABEL_OPTIONAL type_name: "Trainer" }
  field {
    name: "normalizer" number: 3 type: TYPE_MESSAGE label: LABEL_OPTIONAL type_name: "Normalizer"
  }
}
"""
_ALGORITHMS = {1: "unigram", 2: "BPE", 3: "word", 4: "char"}
_DAMAGED = "Copy spiece.model again; the one of English ALBERT has 760,289 bytes."


class PieceType(IntEnum):
    """The kinds of pieces that are treated apart."""

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

    `charsmap` is its compiled normalization table, empty when it has none.
    """

    pieces: tuple[Piece, ...]
    unk_id: int
    charsmap: bytes


def read_spiece(path: Path) -> Spiece:
    """Read a SentencePiece unigram model.

    Raises:
        CheckpointError: The file is damaged, holds no pieces or no unknown piece, or was trained
            with another algorithm than unigram.
        MissingExtraError: protobuf is not installed.
    """
    model = _parse(path)
    # A file cut off between two fields parses; what SentencePiece writes last is then missing.
    if not (model.pieces and model.HasField("trainer") and model.HasField("normalizer")):
        raise CheckpointError(f"{path} is not a whole SentencePiece model.", tip=_DAMAGED)
    algorithm = _ALGORITHMS.get(model.trainer.model_type, f"type {model.trainer.model_type}")
    if algorithm != "unigram":
        raise CheckpointError(
            f"{path} is a SentencePiece {algorithm} model; ALBERT's are unigram.",
            tip="Load the checkpoint with transformers and save_pretrained it: "
            "its tokenizer.json is used as it is.",
        )
    pieces = tuple(Piece(entry.piece, entry.score, entry.type) for entry in model.pieces)
    unk_id = model.trainer.unk_id
    if not 0 <= unk_id < len(pieces) or pieces[unk_id].type != PieceType.UNKNOWN:
        raise CheckpointError(f"{path} has no unknown piece at id {unk_id}.", tip=_DAMAGED)
    return Spiece(pieces, unk_id, model.normalizer.charsmap)


def _parse(path: Path) -> Any:
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
        from google.protobuf.message import DecodeError
    except ImportError:
        raise MissingExtraError("protobuf", extra="export", purpose=f"Reading {path}") from None
    pool = descriptor_pool.DescriptorPool()
    pool.Add(text_format.Parse(_SCHEMA, descriptor_pb2.FileDescriptorProto()))
    message = message_factory.GetMessageClass(pool.FindMessageTypeByName("spiece.Model"))
    try:
        return message.FromString(path.read_bytes())
    except (DecodeError, OSError) as error:
        raise CheckpointError(f"{path} is not a SentencePiece model.", tip=_DAMAGED) from error
