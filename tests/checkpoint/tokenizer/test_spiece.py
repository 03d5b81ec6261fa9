"""spiece.model as the project reads it, compared with sentencepiece's own message classes."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sentencepiece import sentencepiece_model_pb2
from support import paths

from albert_edge.checkpoint.tokenizer.spiece import PieceType, Spiece, read_spiece
from albert_edge.errors import CheckpointError

ENGLISH = paths.DATA / "tokenizers" / "spiece.model"
TYPES = [1, 2, 3, 4, 5, 6]

arbitrary = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def model(pieces: list[tuple[str, float, int]], charsmap: bytes = b"", **trainer: int) -> Any:
    message = sentencepiece_model_pb2.ModelProto()
    for text, score, kind in pieces:
        message.pieces.add(piece=text, score=score, type=kind)
    message.trainer_spec.SetInParent()
    for name, value in trainer.items():
        setattr(message.trainer_spec, name, value)
    message.normalizer_spec.precompiled_charsmap = charsmap
    return message


SMALL = model([("<unk>", 0, 2), ("▁a", -1.5, 1), ("[CLS]", 0, 3)], b"\1\2", unk_id=0)


def assert_equal(spiece: Spiece, expected: Any) -> None:
    for piece, other in zip(spiece.pieces, expected.pieces, strict=True):
        kind = piece.type if piece.type in TYPES else 1  # protobuf drops values not in the enum
        assert (piece.text, kind) == (other.piece, other.type)
        assert piece.score == other.score or (math.isnan(piece.score) and math.isnan(other.score))
    assert spiece.unk_id == expected.trainer_spec.unk_id
    assert spiece.charsmap == expected.normalizer_spec.precompiled_charsmap


def read(content: bytes, folder: Path) -> Spiece:
    path = folder / "spiece.model"
    path.write_bytes(content)
    return read_spiece(path)


def test_the_vocabulary_of_english_albert() -> None:
    expected = sentencepiece_model_pb2.ModelProto.FromString(ENGLISH.read_bytes())
    assert len(expected.pieces) == 30_000
    assert_equal(read_spiece(ENGLISH), expected)


@given(
    pieces=st.lists(
        st.tuples(st.text(max_size=5), st.floats(width=32), st.sampled_from(TYPES)), max_size=5
    ),
    charsmap=st.binary(max_size=9),
)
@arbitrary
def test_any_model(pieces: list[tuple[str, float, int]], charsmap: bytes, tmp_path: Path) -> None:
    unknown = ("<unk>", 0.0, PieceType.UNKNOWN)
    expected = model([*pieces, unknown], charsmap, unk_id=len(pieces))
    assert_equal(read(expected.SerializeToString(), tmp_path), expected)


def test_what_the_normalizer_and_the_trainer_say(tmp_path: Path) -> None:
    message = model([("<unk>", 0, 2)], unk_id=0, byte_fallback=True)
    message.normalizer_spec.add_dummy_prefix = False
    message.normalizer_spec.remove_extra_whitespaces = False
    spiece = read(message.SerializeToString(), tmp_path)
    assert (spiece.prefix, spiece.trims, spiece.byte_fallback) == (False, False, True)
    spiece = read(model([("<unk>", 0, 2)], unk_id=0).SerializeToString(), tmp_path)
    assert (spiece.prefix, spiece.trims, spiece.byte_fallback) == (True, True, False)


def test_defaults_and_messages_in_parts(tmp_path: Path) -> None:
    """Left-out fields have protobuf's defaults; parts of a message are merged."""
    first = sentencepiece_model_pb2.ModelProto()
    first.pieces.add(piece="a")
    first.pieces.add(type=2)
    first.trainer_spec.unk_id = 1
    second = sentencepiece_model_pb2.ModelProto()
    second.trainer_spec.vocab_size = 2
    second.normalizer_spec.SetInParent()
    content = first.SerializeToString() + second.SerializeToString()
    assert_equal(read(content, tmp_path), sentencepiece_model_pb2.ModelProto.FromString(content))


@given(at=st.integers(0, len(SMALL.SerializeToString()) - 1), byte=st.integers(0, 255))
@arbitrary
def test_a_changed_byte_is_read_as_protobuf_does_or_refused(
    at: int, byte: int, tmp_path: Path
) -> None:
    # Four bytes of fixed width are read where a text of four should be; protobuf skips them.
    assume(byte & 7 != 5)
    content = bytearray(SMALL.SerializeToString())
    content[at] = byte
    read_or_refuse(bytes(content), tmp_path)


@given(length=st.integers(0, len(SMALL.SerializeToString()) - 1))
@arbitrary
def test_a_file_cut_short(length: int, tmp_path: Path) -> None:
    read_or_refuse(SMALL.SerializeToString()[:length], tmp_path)


@given(content=st.binary(max_size=60))
@arbitrary
def test_arbitrary_bytes(content: bytes, tmp_path: Path) -> None:
    read_or_refuse(content, tmp_path)


def read_or_refuse(content: bytes, folder: Path) -> None:
    try:
        spiece = read(content, folder)
    except CheckpointError as error:
        assert "spiece.model" in str(error)
        assert error.tip
        return
    with contextlib.suppress(DecodeError):  # of a field that is not read here
        assert_equal(spiece, sentencepiece_model_pb2.ModelProto.FromString(content))


@pytest.mark.parametrize("folder", [True, False], ids=["folder", "missing"])
def test_files_that_cannot_be_read(folder: bool, tmp_path: Path) -> None:
    path = tmp_path / "spiece.model"
    if folder:
        path.mkdir()
    with pytest.raises(CheckpointError, match=r"spiece\.model is not a SentencePiece model"):
        read_spiece(path)
