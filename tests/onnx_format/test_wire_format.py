"""Protobuf's wire format, beside the protobuf library."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from albert_edge.onnx_format.wire_format import (
    content,
    content_field,
    fields,
    integers,
    key_and_length,
    number,
    number_field,
    signed_number,
    single,
    text,
)

NUMBERS = st.integers(0, 2**63 - 1)
DIMS, DATA_TYPE, NAME, RAW_DATA = 1, 2, 8, 9  # fields of TensorProto


@given(st.lists(NUMBERS, max_size=4), st.integers(0, 2**31 - 1), st.text(max_size=200))
def test_what_is_written_is_what_protobuf_writes(dims: list[int], kind: int, name: str) -> None:
    written = b"".join(number_field(DIMS, size) for size in dims)
    written += number_field(DATA_TYPE, kind) + content_field(NAME, name.encode())
    written += key_and_length(RAW_DATA, 3) + b"\0\1\2"
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
def test_fields_of_every_type_are_read(ints: list[int], real: float, double: float) -> None:
    packed = onnx.TensorProto(int64_data=ints, float_data=[real], double_data=[double])
    found = dict(fields(memoryview(packed.SerializeToString())))
    assert list(integers(found[7])) == ints
    attribute = onnx.AttributeProto(f=real, name="a", i=ints[0])
    found = dict(fields(memoryview(attribute.SerializeToString())))
    assert (number(found[3]), text(found[1])) == (ints[0], "a")
    np.testing.assert_equal(single(found[2]), attribute.f)


@given(st.integers(-(2**63), 2**63 - 1))
def test_negative_numbers(value: int) -> None:
    found = dict(fields(memoryview(onnx.AttributeProto(i=value).SerializeToString())))
    assert signed_number(found[3]) == value


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"\x0a\x05abc", "cut short"),
        (b"\x0b", "wire type 3"),
        (b"\x00\x00", "field number 0"),
        (b"\x80\x80\x80\x80\x10\x00", "field number 536870912"),
        (b"\x08" + b"\xff" * 10, "longer than 64 bits"),
    ],
)
def test_malformed_messages(message: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        list(fields(memoryview(message)))


def test_a_field_of_another_type_is_an_error() -> None:
    with pytest.raises(ValueError, match="a number where a message should be"):
        text(3)
    with pytest.raises(ValueError, match="a message where a number should be"):
        number(memoryview(b"3"))
    with pytest.raises(ValueError, match="3 bytes where a float of 4 should be"):
        single(memoryview(b"abc"))
