"""Compressed files and other encodings: what is read of them, and what a damaged one says."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from support.reading import pipe, read, texts

from albert_edge.errors import MissingExtraError, RecordError
from albert_edge.records.fields import TEXT
from albert_edge.records.inputs import open_inputs
from albert_edge.records.rows import Row

LINES = [f"text number {i}, grüße" for i in range(20_000)]
CONTENT = "".join(f"{line}\n" for line in LINES).encode()


def zstandard(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return bytes(sink.getvalue())


COMPRESS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".zst": zstandard}


@pytest.mark.parametrize("suffix", COMPRESS)
def test_compressed_files(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = COMPRESS[suffix](CONTENT)
    (tmp_path / f"a.txt{suffix}").write_bytes(stored)
    (tmp_path / "a.log").write_bytes(stored)
    named = read(tmp_path / f"a.txt{suffix}")
    assert texts(named) == LINES
    assert texts(read(tmp_path / "a.log")) == LINES
    pipe(monkeypatch, stored)
    assert texts(read("-")) == LINES
    so_far = [row.bytes_read for row in named]
    assert so_far == sorted(so_far) and so_far[-1] == len(stored)
    assert 0 < so_far[0] <= len(stored) < len(CONTENT)
    # pyarrow reads 64 kB at once.
    assert suffix == ".zst" or so_far[0] < so_far[10_000] < len(stored)


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("kind", ["jsonl", "csv", "tsv"])
def test_every_format_of_lines(kind: str, suffix: str, tmp_path: Path) -> None:
    content = b'{"text": "a"}\n' if kind == "jsonl" else b"text\na\n"
    path = tmp_path / f"a.{kind.upper()}{suffix.upper()}"
    path.write_bytes(COMPRESS[suffix](content))
    assert texts(read(path)) == ["a"]


@pytest.mark.parametrize("suffix", COMPRESS)
def test_several_parts_in_one_file(suffix: str, tmp_path: Path) -> None:
    """As `cat a.gz b.gz` makes them, also in the middle of a line."""
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(b"".join(map(COMPRESS[suffix], (b"a\nb", b"", b"c\n", b"d\n"))))
    assert texts(read(path)) == ["a", "bc", "d"]


def rows_before_an_error(path: Path) -> tuple[list[Row], RecordError]:
    rows: list[Row] = []
    with pytest.raises(RecordError) as caught, open_inputs([path], TEXT) as inputs:
        for row in inputs.rows():
            rows.append(row)
    return rows, caught.value


@pytest.mark.parametrize("suffix", COMPRESS)
def test_a_torn_file(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.txt{suffix}"
    stored = COMPRESS[suffix](CONTENT)
    path.write_bytes(stored[: len(stored) // 2])
    rows, error = rows_before_an_error(path)
    assert 100 < len(rows) < len(LINES)
    assert texts(rows) == LINES[: len(rows)]
    assert f"{path}: record {len(rows) + 1} " in str(error) and error.tip
    assert "cut off" in str(error) or "runcated" in str(error)


@pytest.mark.parametrize("suffix", COMPRESS)
def test_a_damaged_file(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.txt{suffix}"
    stored = bytearray(COMPRESS[suffix](CONTENT))
    for index in range(len(stored) // 2, len(stored) * 3 // 4):
        stored[index] ^= index % 251
    path.write_bytes(stored)
    rows, error = rows_before_an_error(path)
    assert texts(rows[:100]) == LINES[: min(len(rows), 100)]  # gzip checks content at its end
    place = f": record {len(rows) + 1}" if rows else ""  # all may be one block
    assert f"{path}{place} cannot be read: " in str(error)


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("content", [b"", b"a\nb\n"])
def test_a_name_that_is_wrong(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(content)
    with pytest.raises(RecordError, match=f"is named {suffix}, but is not compressed so"):
        read(path)


def test_garbage_after_the_compressed_data(tmp_path: Path) -> None:
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"a\n") + b"more")
    rows, error = rows_before_an_error(path)
    assert texts(rows) == ["a"] and "record 2 cannot be read" in str(error)


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt.zst").write_bytes(zstandard(b"a\n"))
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"a\n"))
    for name in [name for name in sys.modules if name.split(".")[0] == "pyarrow"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for name in ("a.txt.zst", "a.parquet"):
        with pytest.raises(MissingExtraError) as caught:
            read(tmp_path / name)
        assert caught.value.tip == "pip install 'albert-edge[parquet]'"
    assert texts(read(tmp_path / "a.txt.gz")) == ["a"]


# --- encodings ------------------------------------------------------------------------------

TABLE = 'id,text\r\n1,"Grüße,\r\n車站 \U0001f600"\r\n2,b\r\n'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_encodings_that_are_recognized(encoding: str, suffix: str, tmp_path: Path) -> None:
    content = TABLE.encode(encoding)
    path = tmp_path / f"a.csv{suffix}"
    path.write_bytes(gzip.compress(content) if suffix else content)
    assert texts(read(path)) == ["Grüße,\r\n車站 \U0001f600", "b"]
    big = tmp_path / "b.csv"
    big.write_bytes(b"\xfe\xff" + TABLE.encode("utf-16-be"))
    assert texts(read(big)) == ["Grüße,\r\n車站 \U0001f600", "b"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32"])
def test_encodings_that_are_refused(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(TABLE.encode(encoding))
    with pytest.raises(
        RecordError, match=f"is in {encoding.upper().replace('-LE', 'LE')[:6]}"
    ) as e:
        read(path)
    assert "iconv -f UTF-" in e.value.tip


def test_half_a_character_of_utf_16(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("a\n".encode("utf-16") + b"\x00\xd8\n\x00" + "b\n".encode("utf-16-le"))
    first, wrong, last = read(path)
    assert (first.record, last.record) == ({"text": "a"}, {"text": "b"})
    assert wrong.error is not None and "is not UTF-8" in str(wrong.error)
    path.write_bytes("a\nb".encode("utf-16")[:-1])
    rows, error = rows_before_an_error(path)
    assert texts(rows) == ["a"] and "record 2 cannot be read" in str(error)


@pytest.mark.parametrize("kind", ["txt", "jsonl", "csv"])
def test_a_line_without_end(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("albert_edge.records.lines.LONGEST", 1000)
    path = tmp_path / f"a.{kind}"
    head = {"csv": b"text\n", "jsonl": b'{"text": "a"}\n', "txt": b"a\n"}[kind]
    path.write_bytes(head + b"x" * 2000 + b"\na\n")
    with pytest.raises(RecordError, match=r"record \d cannot be read: line 2 has more than"):
        read(path)
