"""Files of answers, read by other readers: their bytes, their columns, their types."""

from __future__ import annotations

import csv
import datetime
import gzip
import io
import json
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.labelling import FORMATS

from albert_edge.errors import InputError, MissingExtraError, UsageError
from albert_edge.labelling.answer_log import AnswerLog, Outcome
from albert_edge.labelling.columns import JsonLayout, Layout, TableLayout
from albert_edge.labelling.formats.choose import make_encoder, output_suffix
from albert_edge.labelling.row_writer import RowWriter
from albert_edge.records.rows import Row

SEGMENTS = [
    [{"text": "Ja, gerne", "n": 1}, {"text": 'She said "no".', "n": 2}],
    [{"text": "车站在哪里?", "n": 3}],
]


def encode(path: Path, segments: list[list[dict[str, Any]]], schema: Any = None) -> Path:
    """Write segments of rows as a job does."""
    encoder = make_encoder(output_suffix(path), schema)
    encoder.begin(first=True)
    spool = path.with_suffix(".spool")
    with spool.open("wb") as file:
        for segment in segments:
            for row in segment:
                encoder.add(row)
            file.write(encoder.take())
    return encoder.assemble(spool, path).rename(path)


def unpacked(path: Path) -> str:
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes()).decode()
    if path.suffix == ".zst":
        with pa.input_stream(str(path), compression="zstd") as file:
            return bytes(file.read()).decode()
    return path.read_text(encoding="utf-8")


def read_back(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return list(pq.read_table(path).to_pylist())
    text = unpacked(path)
    if ".jsonl" in path.name:
        return [json.loads(line) for line in text.splitlines()]
    if ".tsv" in path.name:
        head, *rows = [line.split("\t") for line in text.splitlines()]
        return [dict(zip(head, row, strict=True)) for row in rows]
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("suffix", FORMATS)
def test_other_readers_read_the_rows(suffix: str, tmp_path: Path) -> None:
    path = encode(tmp_path / f"a{suffix}", SEGMENTS)
    texts_only = ".csv" in suffix or ".tsv" in suffix
    expected = [row for segment in SEGMENTS for row in segment]
    if texts_only:
        expected = [{**row, "n": str(row["n"])} for row in expected]
    assert read_back(path) == expected


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_without_rows_is_readable(suffix: str, tmp_path: Path) -> None:
    path = encode(tmp_path / f"a{suffix}", [[]])
    assert (pq.read_table(path).num_rows if suffix == ".parquet" else unpacked(path)) in (0, "")


def test_gzip_stores_no_time(tmp_path: Path) -> None:
    assert encode(tmp_path / "a.csv.gz", SEGMENTS).read_bytes()[4:8] == bytes(4)


def test_every_segment_is_a_row_group(tmp_path: Path) -> None:
    file = pq.ParquetFile(encode(tmp_path / "a.parquet", SEGMENTS))
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [2, 1]


def test_parquet_keeps_the_types_of_the_records(tmp_path: Path) -> None:
    day = datetime.date(2024, 2, 29)
    fields = {
        "small": (pa.int16(), 5),
        "day": (pa.date32(), day),
        "at": (pa.timestamp("ms", "UTC"), datetime.datetime(2024, 2, 29, 1, tzinfo=datetime.UTC)),
        "price": (pa.decimal128(9, 2), Decimal("1.50")),
        "data": (pa.binary(), b"\x00\xff"),
        "tags": (pa.list_(pa.dictionary(pa.int8(), pa.string())), ["a", "b"]),
        "parts": (pa.struct([("x", pa.float32())]), {"x": 0.5}),
        "nothing": (pa.int32(), None),
    }
    schema = pa.schema([(name, kind) for name, (kind, _) in fields.items()])
    row = {name: value for name, (_, value) in fields.items()}
    path = encode(tmp_path / "a.parquet", [[{**row, "label": "de"}], [row]], schema)
    table = pq.read_table(path)
    assert table.schema.remove(len(fields)).types == schema.types
    assert table.to_pylist() == [{**row, "label": "de"}, {**row, "label": None}]


def test_parquet_columns_get_a_type_that_holds_all_segments(tmp_path: Path) -> None:
    segments: list[list[dict[str, Any]]] = [
        [{"a": None, "b": 1, "d": None}],
        [{"a": "x", "b": 0.5, "c": [1], "d": None}],
    ]
    table = pq.read_table(encode(tmp_path / "a.parquet", segments))
    assert table.to_pydict() == {
        "a": [None, "x"],
        "b": [1.0, 0.5],
        "d": [None] * 2,
        "c": [None, [1]],
    }
    assert table.schema.field("d").type == pa.string()


def test_parquet_refuses_values_without_a_common_type(tmp_path: Path) -> None:
    first: dict[str, Any] = {"a": 1}
    second: dict[str, Any] = {"a": "x"}
    for segments in ([[first, second]], [[first], [second]]):
        with pytest.raises(Exception, match="several types") as caught:
            encode(tmp_path / "a.parquet", segments)
        assert "jsonl" in getattr(caught.value, "tip", "")


def test_an_embedding_in_parquet_stays_float32(tmp_path: Path) -> None:
    vector = np.array([0.1, -2.5], np.float32)
    log = AnswerLog(tmp_path / "log", 0)
    log.append("d", Outcome(vector))
    log.sync()
    [entry] = AnswerLog(tmp_path / "log", 0).kept
    for answer in (vector, entry.outcome.answer):
        table = pq.read_table(encode(tmp_path / "a.parquet", [[{"prediction": answer}]]))
        assert table.schema.field("prediction").type == pa.list_(pa.float32())
        assert table.to_pylist() == [{"prediction": vector.tolist()}]


@pytest.mark.parametrize("suffix", [".csv.zst", ".parquet"])
def test_what_needs_pyarrow_says_how_to_install_it(
    suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match="pyarrow") as caught:
        make_encoder(suffix)
    assert caught.value.tip == "pip install 'albert-edge[parquet]'"


@pytest.mark.parametrize("name", ["a", "a.txt", "a.gz", "a.parquet.gz", "a.csv.bz2", ".csv"])
def test_formats_that_cannot_be_written(name: str) -> None:
    with pytest.raises(UsageError, match="Unsupported"):
        output_suffix(Path(name))


# --- columns --------------------------------------------------------------------------------

BEST = {"label": "de", "score": 0.5}
CLASH: Any = "prefix"


@pytest.mark.parametrize(
    ("make", "record", "expected"),
    [
        (JsonLayout, {"id": 1}, {"id": 1, "prediction": BEST}),
        (JsonLayout, {"prediction": 1}, CLASH),
        (lambda: JsonLayout("b_"), {"prediction": 1}, {"prediction": 1, "b_prediction": BEST}),
        (lambda: TableLayout(list(BEST)), {"id": 1}, {"id": 1, **BEST}),
        (
            lambda: TableLayout(list(BEST), with_errors=True),
            {"label": "en"},
            {"label": "en", "predicted_label": "de", "score": 0.5, "error": None},
        ),
        (lambda: TableLayout(list(BEST)), {"label": 1, "predicted_label": 2}, CLASH),
        (
            lambda: TableLayout(list(BEST), prefix="b_", with_errors=True),
            {"label": 1, "error": 2},
            {"label": 1, "error": 2, "b_label": "de", "b_score": 0.5, "b_error": None},
        ),
        (lambda: TableLayout(list(BEST), with_errors=True), {"error": 1}, CLASH),
        (TableLayout, {"id": 1}, {"id": 1, "prediction": BEST}),
        (TableLayout, {"prediction": 1}, CLASH),
    ],
)
def test_columns_of_the_record_and_of_the_answer(
    make: Callable[[], Layout], record: dict[str, Any], expected: Any
) -> None:
    layout = make()
    if expected is CLASH:
        with pytest.raises(UsageError, match="prefix"):
            layout.begin(record)
        return
    layout.begin(record)
    joined = layout.row(Row(1, record, None, 0), Outcome(BEST))
    assert (joined, list(joined)) == (expected, list(expected))


def test_a_later_record_with_a_column_of_the_answer() -> None:
    layout = JsonLayout()
    layout.begin({"id": 1})
    with pytest.raises(UsageError, match="prefix"):
        layout.row(Row(2, {"prediction": 1}, None, 0), Outcome(BEST))


def test_a_record_with_a_column_that_the_first_lacks() -> None:
    fixed, open_ended = TableLayout(["label"]), TableLayout(["label"], fixed=False)
    row = Row(2, {"b": 2}, None, 0)
    for layout in (fixed, open_ended):
        layout.begin({"a": 1})
    with pytest.raises(InputError, match="lacks: b"):
        fixed.row(row, Outcome(BEST))
    assert open_ended.row(row, Outcome(BEST)) == {"a": None, "b": 2, "label": "de"}


def test_the_columns_of_a_table_are_those_of_the_first_record() -> None:
    with pytest.raises(UsageError, match="first record"):
        TableLayout(["label"]).begin(None)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv", ".parquet"])
@pytest.mark.parametrize("text", ["a\ud800", "a\tb"])
def test_a_record_that_the_format_cannot_hold(suffix: str, text: str) -> None:
    holds = "\ud800" not in text and suffix != ".tsv"
    record = {"text": "x", "note": text}
    for keep_errors in (False, True):
        layout = JsonLayout() if suffix == ".jsonl" else TableLayout(["label"], with_errors=True)
        writer = RowWriter(make_encoder(suffix), layout, keep_errors=keep_errors)
        writer.encoder.begin(first=True)
        layout.begin(record)
        row = Row(7, record, None, 0)
        if holds or keep_errors:
            assert writer.add(row, Outcome(BEST)) == (not holds)
            assert bool(writer.encoder.take())
        else:
            with pytest.raises(InputError, match="Record 7: "):
                writer.add(row, Outcome(BEST))
