"""Tables of LevelDB, of which TensorFlow writes the index of a checkpoint, uncompressed.

A table is blocks of sorted entries, then a block of where they are, then a footer (LevelDB's
doc/table_format.md; TensorFlow's copy is core/lib/io/table.cc). Malformed input raises ValueError
or IndexError, in time proportional to its size.
"""

from __future__ import annotations

from collections.abc import Iterator

from albert_edge.checkpoint.formats.checksum import crc32c, unmask
from albert_edge.onnx_format.wire_format import read_varint

_MAGIC = 0xDB4775248B80FB57
_FOOTER = 48
_TRAILER = 5  # the kind of compression, and a checksum
# A key takes few bytes where it begins as the one before it. Those of large models are 2 MB.
_LONGEST_KEY = 4_096
_MOST_KEY_BYTES = 16 * 2**20


def read_table(table: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Read the entries of a table, sorted by key."""
    if len(table) < _FOOTER or int.from_bytes(table[-8:], "little") != _MAGIC:
        raise ValueError("it does not end as a table does")
    footer = table[-_FOOTER:]
    _, after_metaindex = _read_handle(footer, 0)
    index, _ = _read_handle(footer, after_metaindex)
    read_up_to = key_bytes = 0
    for _, value in _entries(_block(table, *index)):
        (start, size), _ = _read_handle(value, 0)
        if start < read_up_to:
            raise ValueError("blocks overlap")
        read_up_to = start + size
        for key, entry in _entries(_block(table, start, size)):
            key_bytes += len(key)
            if key_bytes > _MOST_KEY_BYTES:
                raise ValueError(f"its keys take more than {_MOST_KEY_BYTES} bytes")
            yield key, entry


def _read_handle(content: memoryview, at: int) -> tuple[tuple[int, int], int]:
    """Read where a block starts and its size; and the position after them."""
    start, at = read_varint(content, at)
    size, at = read_varint(content, at)
    return (start, size), at


def _block(table: memoryview, start: int, size: int) -> memoryview:
    """Check a block and return its entries, without the restart points after them."""
    end = start + size
    if end + _TRAILER > len(table):
        raise ValueError("a block lies outside the file")
    if table[end]:
        raise ValueError("it is compressed, as TensorFlow does not write it")
    expected = int.from_bytes(table[end + 1 : end + _TRAILER], "little")
    if crc32c(table[start : end + 1]) != unmask(expected):
        raise ValueError("the checksum of a block is wrong")
    restarts = int.from_bytes(table[end - 4 : end], "little")
    length = size - 4 * (restarts + 1)
    if size < 4 or length < 0:
        raise ValueError("a block is too short")
    return table[start : start + length]


def _entries(block: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Read entries, whose keys begin as the key before them does."""
    at, key = 0, b""
    while at < len(block):
        shared, at = read_varint(block, at)
        added, at = read_varint(block, at)
        size, at = read_varint(block, at)
        if shared > len(key) or shared + added > _LONGEST_KEY or at + added + size > len(block):
            raise ValueError("an entry lies outside its block")
        key = key[:shared] + bytes(block[at : at + added])
        at += added
        yield key, block[at : at + size]
        at += size
