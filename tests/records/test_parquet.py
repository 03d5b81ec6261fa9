"""Parquet: values with their types, groups of rows, columns of texts, and damaged files."""

from __future__ import annotations

import datetime
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.reading import read, texts

from albert_edge.errors import RecordError, UsageError
from albert_edge.records.fields import TEXT, TEXT_OR_PAIR, Fields
from albert_edge.records.inputs import open_inputs

DAY = datetime.datetime(2024, 2, 29, 12, 30, 1, 5)
UTC = datetime.UTC
# Each column: its type, and the values of three rows.
COLUMNS: dict[str, tuple[pa.DataType, list[Any]]] = {
    "text": (pa.string(), ["a", "grüße \U0001f600", ""]),
    "category": (pa.dictionary(pa.int8(), pa.string()), ["x", None, "x"]),
    "large": (pa.large_string(), ["l", "m", None]),
    "small": (pa.int8(), [1, None, -128]),
    "big": (pa.uint64(), [2**64 - 1, 0, None]),
    "half": (pa.float32(), [0.5, None, float("inf")]),
    "flag": (pa.bool_(), [True, False, None]),
    "price": (pa.decimal128(9, 2), [Decimal("1.50"), None, Decimal("-0.01")]),
    "bytes": (pa.binary(), [b"\x00\xff", b"", None]),
    "day": (pa.date32(), [DAY.date(), None, DAY.date()]),
    "time": (pa.timestamp("us"), [DAY, None, DAY]),
    "zone": (pa.timestamp("ms", "UTC"), [DAY.replace(microsecond=0, tzinfo=UTC), None, None]),
    "list": (pa.list_(pa.int64()), [[1, None], [], None]),
    "map": (pa.map_(pa.string(), pa.int64()), [[("a", 1)], [], None]),
    "struct": (
        pa.struct({"a": pa.int64(), "b": pa.list_(pa.struct({"c": pa.string()}))}),
        [{"a": 1, "b": [{"c": "x"}]}, {"a": None, "b": None}, None],
    ),
    "nothing": (pa.null(), [None, None, None]),
    "": (pa.string(), ["no name", None, ""]),
}


@pytest.fixture
def table() -> pa.Table:
    schema = pa.schema([(name, kind) for name, (kind, _) in COLUMNS.items()])
    return pa.table({name: values for name, (_, values) in COLUMNS.items()}, schema=schema)


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
def test_values_keep_their_types(compression: str, table: pa.Table, tmp_path: Path) -> None:
    pq.write_table(table, tmp_path / "a.parquet", compression=compression)
    with open_inputs([tmp_path / "a.parquet"], TEXT) as inputs:
        records = [row.record for row in inputs.rows()]
        assert inputs.columns == tuple(COLUMNS)
        assert inputs.schema.remove_metadata().equals(table.schema)
        # What was read can be written again as it was.
        again = pa.Table.from_pylist(records, schema=inputs.schema)
    assert records == [
        {name: values[row] for name, (_, values) in COLUMNS.items()} for row in range(3)
    ]
    assert again.equals(table)


def test_nanoseconds(tmp_path: Path) -> None:
    kinds = [pa.timestamp("ns"), pa.timestamp("ns", "UTC"), pa.duration("ns"), pa.time64("ns")]
    whole, fraction = [3_000_001_000, None], [3_000_001_001, None]
    for values in (whole, fraction):
        table = pa.table({str(kind): pa.array(values, pa.int64()).cast(kind) for kind in kinds})
        table = table.append_column("text", pa.array(["x", "y"]))
        pq.write_table(table, tmp_path / "a.parquet")
        first, second = (row.record or {} for row in read(tmp_path / "a.parquet"))
        assert pa.Table.from_pylist([first, second], schema=table.schema).equals(table)
        assert {type(first[str(kind)]) for kind in kinds} == (
            {int} if values is fraction else {datetime.datetime, datetime.timedelta, datetime.time}
        )


@pytest.mark.parametrize("name", ["text", "category", "large", "nothing"])
def test_columns_of_texts(name: str, table: pa.Table, tmp_path: Path) -> None:
    pq.write_table(table, tmp_path / "a.parquet")
    fields = TEXT.chosen(name, None)
    rows = read(tmp_path / "a.parquet", fields=fields)
    for row, value in zip(rows, COLUMNS[name][1], strict=True):
        if value is None:
            assert row.error is not None and f"has no {name}: " in str(row.error)
            assert row.record is not None and row.record["big"] == COLUMNS["big"][1][row.number - 1]
        else:
            assert fields.item(row.record or {}) == value


@pytest.mark.parametrize("name", ["small", "bytes", "list", "struct", "day"])
def test_a_column_of_something_else_is_refused(name: str, table: pa.Table, tmp_path: Path) -> None:
    pq.write_table(table, tmp_path / "a.parquet")
    for fields in (TEXT.chosen(name, None), TEXT_OR_PAIR.chosen("text", name)):
        with pytest.raises(RecordError, match=f'the column "{name}" of the type .*, not texts'):
            read(tmp_path / "a.parquet", fields=fields)
    with pytest.raises(RecordError, match=r'no column "tex"; it has: text, .*Did you mean text\?'):
        read(tmp_path / "a.parquet", fields=TEXT.chosen("tex", None))


def test_lists_of_texts(tmp_path: Path) -> None:
    fields = Fields(("prompt",), ("choices",))
    good = pa.table({"prompt": ["a", "b"], "choices": [["x", "y"], None]})
    pq.write_table(good, tmp_path / "a.parquet")
    first, second = read(tmp_path / "a.parquet", fields=fields)
    assert fields.item(first.record or {}) == {"prompt": "a", "choices": ["x", "y"]}
    assert second.error is not None and "has no choices" in str(second.error)
    pq.write_table(pa.table({"prompt": ["a"], "choices": [[1]]}), tmp_path / "a.parquet")
    with pytest.raises(RecordError, match="not lists of texts"):
        read(tmp_path / "a.parquet", fields=fields)


def test_an_unnamed_file(tmp_path: Path, table: pa.Table) -> None:
    pq.write_table(table, tmp_path / "part-0001")
    assert texts(read(tmp_path / "part-0001")) == COLUMNS["text"][1]


def test_empty_tables(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), path)
    assert read(path) == [] == read(path, skip=3)


def test_schemas_of_all(tmp_path: Path) -> None:
    names = ["a.parquet", "b.parquet", "c.parquet", "d.csv"]
    first, second, third, fourth = (tmp_path / name for name in names)
    pq.write_table(pa.table({"text": ["a"], "id": [1]}), first)
    pq.write_table(pa.table({"id": [2], "text": ["b"]}), second)
    pq.write_table(pa.table({"text": ["c"], "id": ["3"]}), third)
    fourth.write_text("text,id\nd,4\n")
    with open_inputs([first, second], TEXT) as inputs:
        assert inputs.schema.names == ["text", "id"]
    with open_inputs([first, fourth], TEXT) as inputs:
        assert inputs.schema is None
        assert inputs.columns == ("text", "id")
    with (
        open_inputs([first, third], TEXT) as inputs,
        pytest.raises(UsageError, match=r'"id" is int64 in .*a\.parquet and string in .*c\.parq'),
    ):
        _ = inputs.schema


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    array = pa.array(["a"])
    pq.write_table(pa.table([array, array], names=["text", "text"]), tmp_path / "a.parquet")
    with pytest.raises(RecordError, match='two columns "text"'):
        read(tmp_path / "a.parquet")


def write_large(path: Path) -> list[str]:
    values = [f"text number {i} {'x' * (i % 50)}" for i in range(6000)]
    pq.write_table(pa.table({"text": values, "id": range(6000)}), path, row_group_size=2000)
    return values


def test_a_torn_file(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_large(path)
    stored = path.read_bytes()
    for content in (stored[: len(stored) // 2], b"PAR1", b"", b"text\na\n"):
        path.write_bytes(content)
        with pytest.raises(RecordError, match="is not a readable Parquet file") as caught:
            read(path)
        assert str(path) in str(caught.value)


def test_damage_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    values = write_large(path)
    group = pq.ParquetFile(path).metadata.row_group(1)
    stored = bytearray(path.read_bytes())
    place = group.column(0).data_page_offset
    stored[place : place + 200] = bytes(200)
    path.write_bytes(stored)
    rows = []
    with (
        pytest.raises(RecordError, match=r"a\.parquet: record 2001 cannot be read") as caught,
        open_inputs([path], TEXT) as inputs,
    ):
        for row in inputs.rows():
            rows.append(row)
    assert texts(rows) == values[:2000]
    assert caught.value.tip
    with open_inputs([path], TEXT) as inputs:
        assert texts([*inputs.rows(4000)]) == values[4000:]


def test_random_damage_raises_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_large(path)
    stored = path.read_bytes()
    generator = random.Random(0)
    for _ in range(60):
        content = bytearray(stored)
        for _ in range(generator.randint(1, 4)):
            content[generator.randrange(len(content))] = generator.randrange(256)
        path.write_bytes(content)
        try:
            read(path)
        except RecordError as error:
            assert str(path) in str(error)
