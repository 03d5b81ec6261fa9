"""The wire format of protobuf (https://protobuf.dev/programming-guides/encoding).

Messages are read and written field by field, by number; what the numbers mean is for those who
call. An .onnx file is such a message, and may be gigabytes: nothing is copied in reading one.
"""

from __future__ import annotations

from collections.abc import Iterator

Value = int | memoryview


# Writing.


def number_field(field: int, value: int) -> bytes:
    """A field that is a number, not below zero."""
    return _varint(field << 3) + _varint(value)


def content_field(field: int, value: bytes) -> bytes:
    """A field that is a text, bytes or a message."""
    return start_of_content(field, len(value)) + value


def start_of_content(field: int, length: int) -> bytes:
    """The same up to where so many bytes of content follow."""
    return _varint(field << 3 | 2) + _varint(length)


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the high bit says that more follow."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


# Reading. ValueError or IndexError where a message is none.


def fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """The fields of a message: numbers as integers, everything else as the bytes it takes."""
    return ((field, value) for field, _, value in located(message))


def located(message: memoryview) -> Iterator[tuple[int, int, Value]]:
    """The same, and in between where what follows a field's key begins."""
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        start = at
        match key & 7:
            case 0:
                value, at = _read_varint(message, at)
                yield key >> 3, start, value
                continue
            case 1:
                length = 8
            case 2:
                length, at = _read_varint(message, at)
            case 5:
                length = 4
            case kind:
                raise ValueError(f"wire type {kind} at byte {at}")
        if at + length > len(message):
            raise ValueError("the file is cut short")
        yield key >> 3, start, message[at : at + length]
        at += length


def _read_varint(message: memoryview, at: int) -> tuple[int, int]:
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
    """A repeated integer field, which may be one number or many packed into bytes."""
    if isinstance(value, int):
        yield value
        return
    at = 0
    while at < len(value):
        one, at = _read_varint(value, at)
        yield one


def number(value: Value) -> int:
    """A field that has to be a number."""
    if not isinstance(value, int):
        raise ValueError("a message where a number should be")
    return value


def content(value: Value) -> memoryview:
    """A field that has to be a message, or bytes."""
    if isinstance(value, int):
        raise ValueError("a number where a message should be")
    return value


def text(value: Value) -> str:
    """A field that has to be a text."""
    return str(content(value), "utf-8")
