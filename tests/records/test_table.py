"""CSV and TSV: quotes, delimiters, headers, and what is wrong with a row or with a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.reading import read, texts

from albert_edge.errors import RecordError
from albert_edge.records.fields import TEXT, TEXT_OR_PAIR, Fields
from albert_edge.records.inputs import open_inputs


def write(folder: Path, content: str | bytes, name: str = "in.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# The content, and the texts in it.
GOOD: dict[str, tuple[str, list[str]]] = {
    "quotes": ('text\n"She said ""no"", twice."\n', ['She said "no", twice.']),
    "quote-inside": ('text,id\n5" pipe and 6",1\n', ['5" pipe and 6"']),
    "newlines": ('text,id\n"a\nb\r\nc",1\nd,2\n', ["a\nb\r\nc", "d"]),
    "no-last-newline": ('text\n"a"', ["a"]),
    "quoted-header": ('"id","te\nxt","text"\n1,2,a\n', ["a"]),
    "empty-text": ('text\n""\n', [""]),
    "semicolons": ("id;text\n1;Ja, gerne\n", ["Ja, gerne"]),
    "tabs": ('id\ttext\n1\t"Ja, ""gerne"""\n', ['Ja, "gerne"']),
    "sep-semicolon": ("sep=;\r\nid;text\r\n1;a\r\n", ["a"]),
    "sep-bar": ("SEP=|\nid|text\n1|a;b,c\n", ["a;b,c"]),
    "comma-in-a-semicolon-header": ('"x,y";text\n1;a\n', ["a"]),
    "semicolon-in-a-comma-header": ('"x;y",text\n1,a\n', ["a"]),
    "index-without-a-name": (",text\n0,a\n", ["a"]),
    "separators-of-unicode": ("text\na\u2028b\x85c\x0cd\n", ["a\u2028b\x85c\x0cd"]),
    "header-only": ("text,id\n", []),
    "empty": ("", []),
    "blank-lines": ("text\n\na\n\r\n\nb\n", ["a", "b"]),
}


@pytest.mark.parametrize("name", GOOD)
def test_texts(name: str, tmp_path: Path) -> None:
    content, wanted = GOOD[name]
    assert texts(read(write(tmp_path, content))) == wanted


def test_other_columns_are_kept_in_order(tmp_path: Path) -> None:
    [row] = read(write(tmp_path, "id,text,,label\n007,a,x, y \n"))
    assert row.record == {"id": "007", "text": "a", "": "x", "label": " y "}
    assert row.number == 1 and list(row.record) == ["id", "text", "", "label"]


def test_a_tsv_file_has_no_quotes(tmp_path: Path) -> None:
    path = write(tmp_path, 'text\tid\n"Ja" sagt\t1\n"\t2\n', "in.tsv")
    assert texts(read(path)) == ['"Ja" sagt', '"']


# The bad row, and what is told of it.
BAD: dict[str, tuple[str | bytes, str]] = {
    "fewer-cells": ("a", "record 2 has 1 cell, and the header has 2"),
    "more-cells": ("1,a, b", "record 2 has 3 cells, and the header has 2"),
    "not-utf8": (b"1,caf\xe9", "record 2 is not UTF-8"),
    "not-utf8-in-another-column": (b"caf\xe9,a", "record 2 is not UTF-8"),
    "nul": (b"1,a\0b", "record 2 has a NUL character"),
    "text-after-a-quote": ('1,"no" he said', "record 2 has text between the quote"),
    "cr-inside": ("1,a\rb", "record 2 has a CR in a cell without quotes"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_row_is_one_error(name: str, tmp_path: Path) -> None:
    bad, told = BAD[name]
    raw = bad if isinstance(bad, bytes) else bad.encode()
    path = write(tmp_path, b"id,text\n0,first\n" + raw + b'\n2,"last,\nof all"\n')
    first, wrong, last = read(path)
    assert (first.record, last.record) == (
        {"id": "0", "text": "first"},
        {"id": "2", "text": "last,\nof all"},
    )
    assert [row.number for row in (first, wrong, last)] == [1, 2, 3]
    assert wrong.record is None
    assert isinstance(wrong.error, RecordError)
    assert f"{path}: {told}" in str(wrong.error) and wrong.error.tip


def test_latin_1_has_the_remedy(tmp_path: Path) -> None:
    [row] = read(write(tmp_path, "text\ncafé\n".encode("cp1252")))
    assert row.error is not None and "iconv -f WINDOWS-1252 -t UTF-8" in row.error.tip


# A quote that swallows rows: the content, the rows before it, and the line where it opens.
SWALLOWED = {
    "to-the-end": ('id,text\n0,a\n1,"b\n2,c\n', 1, "line 3 "),
    "to-the-next-quote": ('id,text\n0,a\n1,"b\n2,c\n3,"d"\n4,e\n', 1, "line 3 "),
    "after-a-text-of-two-lines": ('text,id\n"a\nb","1\n2,c\n', 0, "line 3 "),
    "in-the-header": ('text,"id\n1,a\n', 0, "line 1 "),
    "at-the-very-end": ('id,text\n0,"', 0, "line 2 "),
}


@pytest.mark.parametrize("name", SWALLOWED)
def test_a_quote_that_is_not_closed(name: str, tmp_path: Path) -> None:
    content, before, line = SWALLOWED[name]
    path = write(tmp_path, content)
    rows = []
    told = f"quote that opens in {line}"
    with (
        pytest.raises(RecordError, match=told) as caught,
        open_inputs([path], TEXT_OR_PAIR) as inputs,
    ):
        for row in inputs.rows():
            rows.append(row)
    assert str(path) in str(caught.value)
    assert len(rows) == before


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("id,id,text\n1,2,a\n", 'has two columns "id"'),
        ("text,,\na,,\n", "has two columns without a name"),
        (b"text,caf\xe9\na,b\n", "has a header that is not UTF-8"),
        (
            "id,texts,label\n1,a,b\n",
            'no column "text"; it has: id, texts, label. Did you mean texts',
        ),
        ("text\ra\rb", "CR only"),
        (b"\xd0\xcf\x11\xe0\0\0\0", "not a text file"),
    ],
)
def test_a_header_that_cannot_be_used(content: str | bytes, told: str, tmp_path: Path) -> None:
    path = write(tmp_path, content)
    with pytest.raises(RecordError) as caught:
        read(path)
    assert told in str(caught.value) and str(path) in str(caught.value) and caught.value.tip


def test_chosen_columns(tmp_path: Path) -> None:
    path = write(tmp_path, "id;review;title;text\n1;good;Film;no\n2;bad;;no\n")
    both = TEXT_OR_PAIR.chosen("review", "title")
    assert [both.item(row.record or {}) for row in read(path, fields=both)] == [
        {"text": "good", "text_pair": "Film"},
        "bad",
    ]
    one = TEXT.chosen("review", None)
    assert [one.item(row.record or {}) for row in read(path, fields=one)] == ["good", "bad"]
    pair = TEXT_OR_PAIR.chosen(None, "title")
    [first, _] = read(path, fields=pair)
    assert pair.item(first.record or {}) == {"text": "no", "text_pair": "Film"}
    with pytest.raises(RecordError, match=r'no column "titel".* Did you mean title'):
        read(path, fields=TEXT_OR_PAIR.chosen("review", "titel"))
    asked = Fields(("question", "context")).chosen("review", "text")
    [first, _] = read(path, fields=asked)
    assert asked.item(first.record or {}) == {"question": "good", "context": "no"}
