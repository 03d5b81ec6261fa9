"""Parquet files, read in batches of rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from albert_edge.records.arrow import load_pyarrow
from albert_edge.records.fields import Fields, Record
from albert_edge.records.rows import Damaged

PARQUET_MAGIC = b"PAR1"
_BATCH = 512


class ParquetTable:
    """Reads the rows of a Parquet file.

    Values are those of pyarrow's `to_pylist`: datetime, Decimal, bytes, list, dict and so on. Times
    that are not whole microseconds, which Python does not have, are integers of nanoseconds. All
    can be written again with the schema.

    Args:
        path: The file.
        fields: The fields that every record must have, which are checked by their types.

    Attributes:
        columns: The names of the columns.
        schema: The pyarrow.Schema of the file.

    Raises:
        Damaged: It is not a Parquet file, or a column of texts has another type.
        MissingExtraError: pyarrow is not installed.
    """

    def __init__(self, path: Path, fields: Fields) -> None:
        load_pyarrow("Reading Parquet files")
        import pyarrow.parquet

        try:
            self._file = pyarrow.parquet.ParquetFile(path)
            self.schema = self._file.schema_arrow
        except (OSError, ValueError, pyarrow.ArrowException) as error:
            raise Damaged(
                f"is not a readable Parquet file: {error}", _COPY, is_whole=True
            ) from error
        self.columns: tuple[str, ...] | None = tuple(self.schema.names)
        self._failures = (OSError, ValueError, pyarrow.ArrowException)
        metadata = self._file.metadata
        self._groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
        self._next_group = 0
        self.bytes_read = 0
        _require_columns(self.schema, fields)

    def seek(self, count: int) -> int:
        """Leave out rows at the start, and return how many: all of some groups of rows."""
        left = count
        while self._next_group < len(self._groups):
            group = self._groups[self._next_group]
            if group.num_rows > left:
                break
            left -= group.num_rows
            self._next_group += 1
            self.bytes_read += _stored_size(group)
        return count - left

    def __iter__(self) -> Iterator[Record]:
        """Yield the rows.

        Raises:
            Damaged: A part of the file cannot be read.
        """
        try:
            while self._next_group < len(self._groups):
                group = self._groups[self._next_group]
                start, size, done = self.bytes_read, _stored_size(group), 0
                batches = self._file.iter_batches(_BATCH, row_groups=[self._next_group])
                self._next_group += 1
                for batch in batches:
                    for record in _records(batch):
                        done += 1
                        self.bytes_read = start + size * done // group.num_rows
                        yield record
        except self._failures as error:
            raise Damaged(f"cannot be read: {error}", _COPY) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


_COPY = "Copy or write the file again."


def _stored_size(group: Any) -> int:
    return sum(group.column(index).total_compressed_size for index in range(group.num_columns))


def _records(batch: Any) -> Iterator[Record]:
    names = batch.schema.names
    for values in zip(*map(_values, batch.columns), strict=True):
        yield dict(zip(names, values, strict=True))


def _values(column: Any) -> list[Any]:
    try:
        values: list[Any] = column.to_pylist()
    except ValueError:  # Python's times have no nanoseconds
        values = column.cast("int64").to_pylist()
    return values


def _require_columns(schema: Any, fields: Fields) -> None:
    """Raise `Damaged` if two columns have one name, or one of texts holds something else."""
    import pyarrow.types as types

    def is_text(kind: Any) -> bool:
        if types.is_dictionary(kind):
            kind = kind.value_type
        return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_null(kind))

    def is_list(kind: Any) -> bool:
        is_nested = types.is_list(kind) or types.is_large_list(kind)
        return is_nested and is_text(kind.value_type)

    def check(names: tuple[str, ...], fits: Any, what: str) -> None:
        for name in map(fields.column, names):
            kind = schema.field(name).type if name in schema.names else None
            if kind is not None and not fits(kind):
                raise Damaged(
                    f'has the column "{name}" of the type {kind}, not {what}',
                    "Convert the column, or choose another.",
                    is_whole=True,
                )

    for name in schema.names:
        if schema.names.count(name) > 1:
            raise Damaged(f'has two columns "{name}"', "Rename one.", is_whole=True)
    check(fields.texts + fields.optional, is_text, "texts")
    check(fields.lists, is_list, "lists of texts")
