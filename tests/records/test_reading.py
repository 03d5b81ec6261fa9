"""Several inputs: patterns, order, columns of all, what is skipped, and how much was read."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.reading import pipe, read, texts

from albert_edge.errors import RecordError, UsageError
from albert_edge.records.fields import TEXT, TEXT_OR_PAIR, Fields
from albert_edge.records.inputs import given_inputs, open_inputs, read_records


def write(folder: Path, **contents: str) -> Path:
    """Write files: `a_csv="text..."` is a.csv."""
    for name, content in contents.items():
        path = folder / name.replace("_", ".")
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8", newline="")
    return folder


def test_patterns_and_order(tmp_path: Path) -> None:
    write(tmp_path, c_csv="text\nc\n", a_csv="text\na\n", b_txt="b\n", a_jsonl='{"text": "j"}\n')
    write(tmp_path / "deep", d_csv="text\nd\n")
    assert texts(read(f"{tmp_path}/*.csv")) == ["a", "c"]
    assert texts(read(tmp_path / "b.txt", f"{tmp_path}/*.csv")) == ["b", "a", "c"]
    assert texts(read(f"{tmp_path}/**/*.csv")) == ["a", "c", "d"]
    assert texts(read(f"{tmp_path}/[ab].*")) == ["a", "j", "b"]
    assert texts(read(tmp_path / "c.csv", f"{tmp_path}/*.csv")) == ["c", "a"]  # each once
    with open_inputs([f"{tmp_path}/*.csv"], TEXT) as inputs:
        assert inputs.names == (str(tmp_path / "a.csv"), str(tmp_path / "c.csv"))
    rows = read(f"{tmp_path}/*.csv")
    assert [row.number for row in rows] == [1, 1]


def test_a_file_named_like_a_pattern(tmp_path: Path) -> None:
    (tmp_path / "a[1].txt").write_text("yes\n")
    (tmp_path / "a1.txt").write_text("no\n")
    assert texts(read(tmp_path / "a[1].txt")) == ["yes"]


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["*.csv"], "matches no file"),
        (["missing.csv"], "cannot be opened"),
        (["folder"], "is a folder"),
        (["-", "a.txt"], "stdin is read beside files"),
    ],
)
def test_what_cannot_be_opened(names: list[str], told: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.txt").write_text("a\n")
    paths = [name if name == "-" else str(tmp_path / name) for name in names]
    with pytest.raises(UsageError, match=told) as caught:
        read(*paths)
    assert caught.value.tip


def test_columns_of_all(tmp_path: Path) -> None:
    write(tmp_path, a_csv="id,text\n1,a\n", b_tsv="text\tid\nb\t2\n", c_csv="text,label\nc,x\n")
    write(tmp_path, d_jsonl='{"text": "d"}\n', e_txt="e\n", f_csv="")

    def columns(*names: str) -> tuple[str, ...] | None:
        with open_inputs([tmp_path / name for name in names], TEXT) as inputs:
            return inputs.columns

    assert columns("a.csv") == ("id", "text")
    assert columns("a.csv", "b.tsv") == ("id", "text")
    assert columns("a.csv", "f.csv") == columns("f.csv", "a.csv") == ("id", "text")
    assert columns("e.txt") == ("text",)
    assert columns("f.csv") == ()
    assert columns("a.csv", "d.jsonl") is None
    with pytest.raises(UsageError, match=r"a\.csv and .*c\.csv have different columns: id, text"):
        columns("a.csv", "c.csv")
    assert texts(read(tmp_path / "a.csv", tmp_path / "c.csv")) == ["a", "c"]


def test_skipped_rows_are_not_checked(tmp_path: Path) -> None:
    table = pa.table({"text": [f"p{i}" for i in range(10)]})
    pq.write_table(table, tmp_path / "b.parquet", row_group_size=3)
    write(tmp_path, a_csv="text,id\na,1\nbad\nc,3\n", c_txt="x\ny\n", d_csv="text\n")
    paths = [tmp_path / name for name in ("a.csv", "b.parquet", "c.txt", "d.csv")]
    whole = read(*paths)
    assert len(whole) == 15
    assert [row.number for row in whole] == [1, 2, 3, *range(1, 11), 1, 2]
    for skip in range(18):
        rows = read(*paths, skip=skip)
        assert [(row.number, row.record) for row in rows] == [
            (row.number, row.record) for row in whole[skip:]
        ]
        assert [row.bytes_read for row in rows] == [row.bytes_read for row in whole[skip:]]


def test_bytes_read_end_at_the_size_of_all(tmp_path: Path) -> None:
    lines = "".join(f"text number {i}, grüße\r\n" for i in range(500))
    write(tmp_path, a_txt="\ufeff" + lines, b_csv="text,id\r\n" + '"a\nb",1\r\n' * 500)
    pq.write_table(pa.table({"text": ["a", "b"] * 600}), tmp_path / "c.parquet", row_group_size=100)
    paths = [tmp_path / name for name in ("a.txt", "b.csv", "c.parquet")]
    with open_inputs(paths, TEXT) as inputs:
        rows = list(inputs.rows())
        assert inputs.total_bytes == sum(path.stat().st_size for path in paths)
    read_so_far = [row.bytes_read for row in rows]
    assert read_so_far == sorted(read_so_far)
    size = len(lines.splitlines(keepends=True)[0].encode())
    assert read_so_far[0] == 3 + size
    sizes = [path.stat().st_size for path in paths]
    assert read_so_far[499] == sizes[0] and read_so_far[999] == sum(sizes[:2])
    # A Parquet file also has a footer, which has no rows.
    assert sum(sizes[:2]) <= read_so_far[1000] < read_so_far[-1] <= sum(sizes)


def test_records_that_must_all_be_valid(tmp_path: Path) -> None:
    write(tmp_path, a_jsonl='{"text": "a"}\n{"texts": "b", "id": 1}\n{"text": "c"}\n')
    with read_records(tmp_path / "a.jsonl") as records:
        assert next(records) == {"text": "a"}
        with pytest.raises(RecordError, match=r"record 2 has no text: .*; it has texts, id\."):
            next(records)


def test_an_invalid_record_keeps_its_columns(tmp_path: Path) -> None:
    write(tmp_path, a_jsonl='{"id": 1, "text": null}\n{"id": 2}\n[3]\n{"id": 4, "text": "a"}\n')
    rows = read(tmp_path / "a.jsonl")
    assert [row.record for row in rows] == [
        {"id": 1, "text": None},
        {"id": 2},
        None,
        {"id": 4, "text": "a"},
    ]
    assert [row.error is None for row in rows] == [False, False, False, True]


def test_given_texts() -> None:
    [good, bad] = given_inputs(["a", "half \udcff"], TEXT).rows()
    assert good.record == {"text": "a"}
    assert bad.error is not None and str(bad.error).startswith("argument 2 is not UTF-8.")
    question = Fields(("question", "context"))
    [good, bad] = given_inputs(['{"question": "a", "context": "b"}', "a"], question).rows()
    assert good.record == {"question": "a", "context": "b"}
    assert bad.error is not None and "argument 2 cannot be read" in str(bad.error)
    assert question.example in bad.error.tip


BAD_LINES = [
    (b"", None),
    (b'{"text": ', "cannot be read: "),
    (b"null", "is not an object with the fields text"),
    (b'["a"]', "is not an object"),
    (b'{"text": 5}', "has no text"),
    (b'{"text": "a", "text_pair": 5}', "has a text_pair that is not a text"),
    (b'{"text": "\\ud83d", "id": 1}', "is not valid Unicode"),
    (b'{"text": "a", "id": "\\udc00"}', "is not valid Unicode"),
    (b'{"text": "caf\xe9"}', "is not UTF-8"),
    (b'{"text": "a"', "cannot be read"),
    (b"[" * 100_000, "cannot be read"),
    (b'{"text": "a\0"}', "cannot be read"),
    (b'{"text": ' + b"9" * 5000 + b"}", "cannot be read"),
]


@pytest.mark.parametrize(("line", "told"), BAD_LINES)
def test_a_bad_line_of_json(line: bytes, told: str | None, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    good = json.dumps({"text": "half \ud83d\ude00 grüße", "deep": {"a": [1, None]}})
    path.write_bytes(b"\n".join([good.encode(), line, good.encode()]))
    first, *bad, last = read(path)
    assert first.record == last.record == json.loads(good)
    assert [str(row.error)[: len(f"{path}: record 2 {told}")] for row in bad] == (
        [f"{path}: record 2 {told}"] if told else []
    )


def test_chosen_fields_of_json(tmp_path: Path) -> None:
    write(tmp_path, a_jsonl='{"t": "a", "p": null}\n{"t": "b", "p": "c"}\n{"t": "d"}\n')
    chosen = TEXT_OR_PAIR.chosen("t", "p")
    first, second, third = read(tmp_path / "a.jsonl", fields=chosen)
    assert chosen.item(first.record or {}) == "a"
    assert chosen.item(second.record or {}) == {"text": "b", "text_pair": "c"}
    assert third.error is not None and "record 3 has no p, which was chosen" in str(third.error)


def test_a_field_that_a_task_does_not_have() -> None:
    with pytest.raises(UsageError, match="no second text"):
        TEXT.chosen("a", "b")


# --- stdin ----------------------------------------------------------------------------------

QUESTIONS = Fields(("question", "context"))
# What comes, the fields, and the records read of it.
DETECTED = [
    (b"Guten Tag\nHello, world\n", TEXT, [{"text": "Guten Tag"}, {"text": "Hello, world"}]),
    (b'{"text": "a"}\n{"text": "b"}\n', TEXT, [{"text": "a"}, {"text": "b"}]),
    (b'\xef\xbb\xbf{"text": "a"}\n', TEXT, [{"text": "a"}]),
    (b"", TEXT, []),
    (b"", QUESTIONS, []),
    (b'{"question": "a", "context": "b"}', QUESTIONS, [{"question": "a", "context": "b"}]),
    (b"question,context\na,b\n", QUESTIONS, [{"question": "a", "context": "b"}]),
    (b"context\tquestion\na\t'b\n", QUESTIONS, [{"context": "a", "question": "'b"}]),
    (b"id;review\n1;a\n", TEXT.chosen("review", None), [{"id": "1", "review": "a"}]),
    ("grüße\r\nb".encode("utf-16"), TEXT, [{"text": "grüße"}, {"text": "b"}]),
]


@pytest.mark.parametrize(("content", "fields", "records"), DETECTED)
def test_the_format_of_stdin(
    content: bytes, fields: Fields, records: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pipe(monkeypatch, content)
    assert [row.record for row in read("-", fields=fields)] == records
    unnamed = tmp_path / "unnamed.log"
    unnamed.write_bytes(content)
    assert [row.record for row in read(unnamed, fields=fields)] == records


AMBIGUOUS = [
    (b"id,text\n1,a\n", TEXT, "csv"),
    (b"text\ta\nb\tc\n", TEXT, "tsv"),
    (b"text;a\nb;c\n", TEXT, "csv"),
    (b"text\na\n", TEXT, "txt"),
    (b"{not an object\n", TEXT, "jsonl"),
    (b"[1]\n", TEXT, "txt"),
    (b"\nGuten Tag\n", TEXT, "jsonl"),
]


@pytest.mark.parametrize(("content", "fields", "remedy"), AMBIGUOUS)
def test_a_format_that_is_not_clear(
    content: bytes, fields: Fields, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe(monkeypatch, content)
    with pytest.raises(UsageError, match="The format of stdin is not clear") as caught:
        read("-", fields=fields)
    assert f'input_format="{remedy}"' in caught.value.tip
    pipe(monkeypatch, content)
    assert read("-", fields=fields, input_format="txt")[0].record == {
        "text": content.decode().split("\n")[0]
    }


def test_a_first_line_without_the_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, b"Guten Tag\n")
    with pytest.raises(UsageError, match=r"nor a header with .*question and context"):
        read("-", fields=QUESTIONS)


def test_a_named_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.dat").write_text("text,id\na,1\n")
    assert texts(read(tmp_path / "a.dat", input_format="csv")) == ["a"]
    (tmp_path / "b.csv").write_text("text,id\na,1\n")
    assert texts(read(tmp_path / "b.csv", input_format="txt")) == ["text,id", "a,1"]
    with pytest.raises(UsageError, match="Did you mean 'jsonl'"):
        read(tmp_path / "b.csv", input_format="json")
    for content in (b"PAR1\0\0", b"text\na\n"):
        pipe(monkeypatch, content)
        with pytest.raises(UsageError, match="can only be read from a file"):
            read("-", input_format="parquet")
    pipe(monkeypatch, b"PAR1\0\0")
    with pytest.raises(RecordError, match="can only be read from a file"):
        read("-")


@pytest.mark.parametrize("opened", ["-", "named"])
@pytest.mark.parametrize("lines", [[b"a\n", b"b\n"], [b'{"text": "a"}\n', b'{"text": "b"}\n']])
def test_a_pipe_is_answered_line_by_line(
    lines: list[bytes], opened: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody writes a second line before the first is answered."""
    if opened == "named":
        os.mkfifo(tmp_path / "pipe")
    answered = threading.Event()
    reading, writing = os.pipe()

    def write_lines() -> None:
        target = os.open(tmp_path / "pipe", os.O_WRONLY) if opened == "named" else writing
        for line in lines:
            os.write(target, line)
            assert answered.wait(10)
            answered.clear()
        os.close(target)

    writer = threading.Thread(target=write_lines)
    writer.start()
    with open(reading, encoding="utf-8") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        path = "-" if opened == "-" else tmp_path / "pipe"
        with open_inputs([path], TEXT) as inputs:
            assert inputs.total_bytes is None
            found = []
            for row in inputs.rows():
                found.append(row.record)
                answered.set()
    writer.join()
    if opened == "named":
        os.close(writing)
    assert found == [{"text": "a"}, {"text": "b"}]
