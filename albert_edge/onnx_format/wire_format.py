"""The wire format of protobuf (https://protobuf.dev/programming-guides/encoding).

Messages are read and written field by field; callers know the field numbers.
Reading copies nothing, since an .onnx file is one message and may have gigabytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

# A field: a number, or the bytes of everything else (texts, messages, floats).
Value = int | memoryview


# How a value is encoded: the lowest three bits of a key.
NUMBER, DOUBLE, CONTENT, SINGLE = 0, 1, 2, 5


# Writing.


def number_field(field: int, value: int) -> bytes:
    """Write a field that is a non-negative number."""
    return _varint(field << 3) + _varint(value)


def content_field(field: int, value: bytes) -> bytes:
    """Write a field that is a text, bytes or a message."""
    return key_and_length(field, len(value)) + value


def key_and_length(field: int, length: int) -> bytes:
    """Write what precedes the content of a length-delimited field."""
    return _varint(field << 3 | 2) + _varint(length)


def _varint(value: int) -> bytes:
    """Encode seven bits a byte, the lowest first; the high bit marks that more follow."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


# Reading. Malformed input raises ValueError or IndexError.


def fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Read the fields of a message: the number of each and its value."""
    for key, _, value in keyed_fields(message):
        yield key >> 3, value


def located_fields(message: memoryview) -> Iterator[tuple[int, int, Value]]:
    """Read the fields of a message: number, position of the first byte after the key, value."""
    for key, start, value in keyed_fields(message):
        yield key >> 3, start, value


def keyed_fields(message: memoryview) -> Iterator[tuple[int, int, Value]]:
    """Read the fields of a message: key, position of the first byte after it, value.

    The key is the number of the field, times 8, plus how its value is encoded: `NUMBER`, `DOUBLE`,
    `CONTENT` or `SINGLE`.
    """
    at = 0
    while at < len(message):
        key, at = read_varint(message, at)
        if not 8 <= key < 2**32:
            raise ValueError(f"field number {key >> 3} at byte {at}")
        start = at
        match key & 7:
            case 0:
                value, at = read_varint(message, at)
                yield key, start, value
                continue
            case 1:
                length = 8
            case 2:
                length, at = read_varint(message, at)
            case 5:
                length = 4
            case kind:
                raise ValueError(f"wire type {kind} at byte {at}")
        if at + length > len(message):
            raise ValueError("the file is cut short")
        yield key, start, message[at : at + length]
        at += length


def read_varint(message: memoryview, at: int) -> tuple[int, int]:
    """Read a number of seven bits a byte: the number, and the position after it."""
    if (value := message[at]) < 0x80:  # most are this short
        return value, at + 1
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift >= 64:
            raise ValueError(f"a number at byte {at} is longer than 64 bits")


def integers(value: Value) -> Iterator[int]:
    """Read a repeated integer field: one number, or many packed into bytes."""
    if isinstance(value, int):
        yield value
        return
    at = 0
    while at < len(value):
        integer, at = read_varint(value, at)
        yield integer


def number(value: Value) -> int:
    """Read a field that has to be a non-negative number."""
    if not isinstance(value, int):
        raise ValueError("a message where a number should be")
    return value


def signed_number(value: Value) -> int:
    """Read a field of type int32 or int64, which may be negative."""
    unsigned = number(value) % 2**64
    return unsigned - 2**64 if unsigned >= 2**63 else unsigned


def single(value: Value) -> float:
    """Read a field of type float."""
    encoded = content(value)
    if len(encoded) != 4:
        raise ValueError(f"{len(encoded)} bytes where a float of 4 should be")
    (number,) = struct.unpack("<f", encoded)
    return float(number)


def content(value: Value) -> memoryview:
    """Read a field that has to be a message, or bytes."""
    if isinstance(value, int):
        raise ValueError("a number where a message should be")
    return value


def text(value: Value) -> str:
    """Read a field that has to be a text."""
    return str(content(value), "utf-8")
