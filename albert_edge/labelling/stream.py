"""Write answers as they come, where nothing can be renamed: to a pipe, a device or stdout."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from albert_edge.labelling.labeller import Labeller
from albert_edge.labelling.row_writer import RowWriter
from albert_edge.records.rows import Row


def label_stream(
    rows: Iterator[Row], labeller: Labeller, writer: RowWriter, sink: BinaryIO
) -> tuple[int, int]:
    """Answer records into a stream, each of them at once.

    Args:
        rows: The records.
        labeller: Answers them.
        writer: Makes their rows.
        sink: Where they are written.

    Returns:
        How many records there were, and how many of them could not be answered.
    """
    count = failed = 0
    writer.encoder.begin(first=True)
    for row, outcome in labeller.outcomes(rows):
        if not count:
            writer.layout.begin(row.record if row.error is None else None)
        failed += writer.add(row, outcome)
        sink.write(writer.encoder.take())
        sink.flush()
        count += 1
    return count, failed
