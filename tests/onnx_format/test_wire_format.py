"""Protobuf's wire format, beside the protobuf library."""

from __future__ import annotations

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from albert_edge.onnx_format.wire_format import (
    content,
    content_field,
    fields,
    integers,
    number,
    number_field,
    start_of_content,
    text,
)

NUMBERS = st.integers(0, 2**63 - 1)
DIMS, DATA_TYPE, NAME, RAW_DATA = 1, 2, 8, 9  # fields of TensorProto


@given(st.lists(NUMBERS, max_size=4), st.integers(0, 2**31 - 1), st.text(max_size=200))
def test_what_is_written_is_what_protobuf_writes(dims: list[int], kind: int, name: str) -> None:
    written = b"".join(number_field(DIMS, size) for size in dims)
    written += number_field(DATA_TYPE, kind) + content_field(NAME, name.encode())
    written += start_of_content(RAW_DATA, 3) + b"\0\1\2"
    expected = onnx.TensorProto(dims=dims, data_type=kind, name=name, raw_data=b"\0\1\2")
    assert written == expected.SerializeToString(deterministic=True)
    found = list(fields(memoryview(written)))
    assert [number(value) for field, value in found if field == DIMS] == dims
    assert [integer for field, value in found if field == DIMS for integer in integers(value)] == (
        dims
    )
    read = dict(found)
    assert (number(read[DATA_TYPE]), text(read[NAME])) == (kind, name)
    assert content(read[RAW_DATA]).tobytes() == b"\0\1\2"


@given(st.lists(NUMBERS, min_size=1, max_size=9), st.floats(width=32), st.floats())
def test_fields_of_every_type_are_read(ints: list[int], single: float, double: float) -> None:
    packed = onnx.TensorProto(int64_data=ints, float_data=[single], double_data=[double])
    found = dict(fields(memoryview(packed.SerializeToString())))
    assert list(integers(found[7])) == ints
    attribute = onnx.AttributeProto(f=single, name="a", i=ints[0])
    found = dict(fields(memoryview(attribute.SerializeToString())))
    assert (len(content(found[2])), number(found[3]), text(found[1])) == (4, ints[0], "a")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"\x0a\x05abc", "cut short"),
        (b"\x0b", "wire type 3"),
        (b"\x08" + b"\xff" * 10, "longer than 64 bits"),
    ],
)
def test_what_is_no_message_is_an_error(message: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        list(fields(memoryview(message)))


def test_a_field_of_another_type_is_an_error() -> None:
    with pytest.raises(ValueError, match="a number where a message should be"):
        text(3)
    with pytest.raises(ValueError, match="a message where a number should be"):
        number(memoryview(b"3"))
