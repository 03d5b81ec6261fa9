"""Parquet: a segment becomes a row group.

The end of a Parquet file describes all of it, so it cannot grow. Segments are therefore kept as
Arrow streams, one after the other, and become a file in the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from albert_edge.errors import AlbertEdgeError
from albert_edge.labelling.formats.text import not_unicode
from albert_edge.records.arrow import load_pyarrow


class Parquet:
    """A Parquet file with a row group for each segment.

    Args:
        schema: The pyarrow.Schema of the records, if it is known. Other columns get the type of
            their values, a type that holds those of all segments.
    """

    def __init__(self, schema: Any = None) -> None:
        self._pyarrow = load_pyarrow("A .parquet file")
        self._known = {field.name: field for field in schema} if schema is not None else {}

    def begin(self, *, first: bool) -> None:
        self._rows: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any]) -> None:
        try:
            for value in row.values():
                if isinstance(value, str):
                    value.encode()
        except UnicodeEncodeError as error:
            raise not_unicode(error) from error
        self._rows.append(row)

    def take(self) -> bytes:
        rows, self._rows = self._rows, []
        sink = self._pyarrow.BufferOutputStream()
        batch = self._batch(rows)
        with self._pyarrow.ipc.new_stream(sink, batch.schema) as stream:
            stream.write_batch(batch)
        segment: bytes = sink.getvalue().to_pybytes()
        return segment

    def _batch(self, rows: list[dict[str, Any]]) -> Any:
        names = list(dict.fromkeys(name for row in rows for name in row)) or list(self._known)
        columns = [self._column(name, [row.get(name) for row in rows]) for name in names]
        fields = [
            self._known.get(name) or self._pyarrow.field(name, column.type)
            for name, column in zip(names, columns, strict=True)
        ]
        return self._pyarrow.record_batch(columns, schema=self._pyarrow.schema(fields))

    def _column(self, name: str, values: list[Any]) -> Any:
        known = self._known.get(name)
        try:
            return self._pyarrow.array(values, known and known.type)
        except (self._pyarrow.ArrowException, TypeError, OverflowError) as error:
            raise _no_common_type(f"Column {name}", error) from error

    def assemble(self, segments: Path, result: Path) -> Path:
        import pyarrow.parquet

        schema = self._common_schema(segments)
        with pyarrow.parquet.ParquetWriter(result, schema) as writer:
            for table in self._tables(segments):
                missing = [name for name in schema.names if name not in table.column_names]
                for name in missing:
                    nulls = self._pyarrow.nulls(len(table), schema.field(name).type)
                    table = table.append_column(schema.field(name), nulls)
                writer.write_table(table.select(schema.names).cast(schema), len(table) or 1)
        return result

    def _common_schema(self, segments: Path) -> Any:
        schemas = [table.schema for table in self._tables(segments)]
        try:
            schema = self._pyarrow.unify_schemas(schemas, promote_options="permissive")
        except self._pyarrow.ArrowException as error:
            raise _no_common_type("A column", error) from error
        for index, field in enumerate(schema):
            if self._pyarrow.types.is_null(field.type):  # no row has a value
                schema = schema.set(index, field.with_type(self._pyarrow.string()))
        return schema

    def _tables(self, segments: Path) -> Iterator[Any]:
        """Yield the segments, one in memory at a time."""
        with self._pyarrow.OSFile(str(segments)) as source:
            while source.tell() < source.size():
                with self._pyarrow.ipc.open_stream(source) as stream:
                    yield stream.read_all()


def _no_common_type(what: str, error: Exception) -> AlbertEdgeError:
    return AlbertEdgeError(
        f"{what} has values of several types, which a .parquet file cannot hold: {error}",
        tip="Write the answers as .jsonl.",
    )
