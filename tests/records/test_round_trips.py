"""What others write is read as it was; whatever is damaged raises nothing but our errors."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.reading import read

from albert_edge.errors import AlbertEdgeError
from albert_edge.records.fields import TEXT, TEXT_OR_PAIR
from albert_edge.records.inputs import open_inputs

# A cell has any character but NUL, with many that matter to a format.
CELL = st.text(
    st.sampled_from('",;\t\n\r\\ ab\u2028\x85\x0c\ufeff')
    | st.characters(exclude_characters="\0", exclude_categories=["Cs"]),
    max_size=8,
)
ROWS = st.lists(st.tuples(CELL, CELL, CELL), max_size=6)
HEADER = ("id", "text", "tag")

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")

few = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def records(path: Path) -> list[Any]:
    return [str(row.error) if row.error else row.record for row in read(path, fields=TEXT)]


@few
@given(
    rows=ROWS,
    delimiter=st.sampled_from(",;\t"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    newline=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_what_the_csv_module_writes(
    rows: list[tuple[str, str, str]],
    delimiter: str,
    quoting: Any,
    newline: str,
    encoding: str,
    tmp_path: Path,
) -> None:
    buffer = io.StringIO(newline="")
    # With "\n" at the end of lines, older versions leave "\r" in a cell without quotes.
    quoting = csv.QUOTE_ALL if newline == "\n" else quoting
    writer = csv.writer(buffer, delimiter=delimiter, quoting=quoting, lineterminator=newline)
    writer.writerows([HEADER, *rows])
    path = tmp_path / "a.csv"
    path.write_bytes(buffer.getvalue().encode(encoding))
    wanted = [dict(zip(HEADER, row, strict=True)) for row in rows]
    assert records(path) == wanted
    with path.open(newline="", encoding="utf-8-sig" if encoding != "utf-16" else encoding) as file:
        assert list(csv.DictReader(file, delimiter=delimiter)) == wanted


@few
@given(rows=ROWS, ascii_only=st.booleans(), is_compressed=st.booleans())
def test_what_the_json_module_writes(
    rows: list[tuple[str, str, str]], ascii_only: bool, is_compressed: bool, tmp_path: Path
) -> None:
    wanted = [{"text": row[0], "deep": {"a": [row[1], None, 1.5]}} for row in rows]
    lines = "".join(json.dumps(each, ensure_ascii=ascii_only) + "\n" for each in wanted)
    path = tmp_path / ("a.jsonl.gz" if is_compressed else "a.jsonl")
    path.write_bytes(gzip.compress(lines.encode()) if is_compressed else lines.encode())
    assert records(path) == wanted


@few
@given(rows=st.lists(st.tuples(CELL, CELL), max_size=6))
def test_plain_texts_and_tsv(rows: list[tuple[str, str]], tmp_path: Path) -> None:
    def clean(text: str) -> str:
        return text.replace("\n", " ").replace("\r", " ").replace("\t", " ")

    cells = [(clean(one), clean(other)) for one, other in rows]
    plain = tmp_path / "a.txt"
    plain.write_bytes("".join(f"{one}\n" for one, _ in cells).encode("utf-8-sig"))
    assert [each["text"] for each in records(plain)] == [one for one, _ in cells]
    table = tmp_path / "a.tsv"
    table.write_bytes("".join(f"{a}\t{b}\n" for a, b in [("text", "tag"), *cells]).encode())
    assert records(table) == [{"text": one, "tag": other} for one, other in cells]


GOOD = {
    "csv": 'id,text\n1,"a, ""b"""\n2,grüße\n3,"c\nd"\n',
    "tsv": "id\ttext\n1\ta\n2\tgrüße\n",
    "jsonl": '{"text": "a"}\n{"text": "gr\\u00fc\\ud83d\\ude00"}\n{"text": "b", "x": [1]}\n',
    "txt": "a\ngrüße\n",
}


@settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), kind=st.sampled_from([*GOOD]), stored=st.sampled_from(["", ".gz", "log"]))
def test_damage_raises_nothing_else(
    data: st.DataObject, kind: str, stored: str, tmp_path: Path
) -> None:
    encoding = data.draw(st.sampled_from(["utf-8", "utf-16", "cp1252"]))
    content = GOOD[kind].encode(encoding)
    content = gzip.compress(content, mtime=0) if stored == ".gz" else content
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(damaged)))
        end = data.draw(st.integers(start, min(start + 3, len(damaged))))
        signs = st.sampled_from([b'"', b"\n", b"\0", b","])
        damaged[start:end] = data.draw(st.binary(max_size=3) | signs)
    path = tmp_path / ("a.log" if stored == "log" else f"a.{kind}{stored}")
    path.write_bytes(damaged)
    numbers = []
    with contextlib.suppress(AlbertEdgeError), open_inputs([path], TEXT_OR_PAIR) as inputs:
        for row in inputs.rows():
            numbers.append(row.number)
            assert row.record is not None or row.error is not None
            if row.record is not None:
                json.dumps(row.record, ensure_ascii=False).encode()  # it can be written
            if row.record is not None and row.error is None:
                assert inputs.fields.item(row.record) is not None
    assert numbers == list(range(1, len(numbers) + 1))


@few
@given(rows=ROWS, cut=st.integers(0, 200))
def test_a_prefix_of_a_table_is_a_prefix_of_its_rows(
    rows: list[tuple[str, str, str]], cut: int, tmp_path: Path
) -> None:
    """A file that ends too early gives no row that the whole file does not have, but the last."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows([HEADER, *rows])
    content = buffer.getvalue().encode()
    path = tmp_path / "a.csv"
    path.write_bytes(content[:cut])
    found: list[Any] = []
    with contextlib.suppress(AlbertEdgeError), open_inputs([path], TEXT) as inputs:
        for row in inputs.rows():
            found.append(row.record)
    wanted = [dict(zip(HEADER, row, strict=True)) for row in rows]
    assert found[:-1] == wanted[: len(found)][:-1]
    if cut >= len(content):
        assert found == wanted


def test_a_file_in_another_order_of_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,id\na,1\n")
    (tmp_path / "b.csv").write_text("id,text\n2,b\n")
    assert [row.record for row in read(f"{tmp_path}/*.csv")] == [
        {"text": "a", "id": "1"},
        {"id": "2", "text": "b"},
    ]
