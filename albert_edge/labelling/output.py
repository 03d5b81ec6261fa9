"""The output of a job: rows into segments, segments into a file, and how to continue it."""

from __future__ import annotations

import dataclasses
import hashlib
import time

from albert_edge.errors import Argument, Message, UsageError
from albert_edge.labelling.answer_log import AnswerLog, Outcome
from albert_edge.labelling.durable import GrowingFile, naming_output, sync_file
from albert_edge.labelling.folder import JobFolder
from albert_edge.labelling.journal import Journal
from albert_edge.labelling.row_writer import RowWriter
from albert_edge.records.rows import Row

# A segment ends after so many records, or so many bytes of records and answers. Where it ends
# depends on these only, so a resumed job makes the same segments.
SEGMENT_ROWS = 8192
_SEGMENT_BYTES = 16 << 20
# Seconds after which the disk has every answer.
_SYNC = 2.0


class Output:
    """The rows of an output so far.

    Its methods must not be interrupted halfway. If one fails, `close` keeps what there was before.

    Args:
        folder: Where it is until it is complete.
        journal: How far it is.
        writer: Makes its rows.

    Attributes:
        target: The file it becomes.
        rows: How many records are in it.
        failed: How many of them could not be answered.
        kept: How many records an earlier run answered.
    """

    def __init__(self, folder: JobFolder, journal: Journal, writer: RowWriter) -> None:
        self._folder, self._journal, self._writer = folder, journal, writer
        self.target = folder.target
        self.rows = self.failed = 0
        self._records = hashlib.blake2b(digest_size=16)
        self._segment_size = 0
        self._synced = time.monotonic()
        with naming_output(folder.target):
            if not folder.journal.exists():
                journal.write(folder.journal)
            self._segments = GrowingFile(folder.segments, journal.size)
            self._log = AnswerLog(folder.log(journal.rows), journal.rows)
        self.kept = journal.rows + len(self._log.kept)
        writer.encoder.begin(first=not journal.rows)

    @property
    def saved(self) -> int:
        """How many records a resumed job need not answer again."""
        return max(self._journal.rows, self._log.end)

    def repeat(self, row: Row) -> None:
        """Take a record that an earlier run answered.

        Raises:
            UsageError: It is not the record that was answered.
        """
        size = self._read(row)
        position = self.rows - self._journal.rows
        if position >= 0:
            entry = self._log.kept[position]
            self._require_same(entry.digest)
            self._count(self._writer.add(row, entry.outcome), size + entry.size)
            return
        self.rows += 1
        if position == -1:
            self._require_same(self._journal.digest)
            self.failed = self._journal.failed

    def add(self, row: Row, outcome: Outcome) -> None:
        """Add a record and its answer.

        Raises:
            InputError: The format cannot hold it.
            UsageError: A column of the answer is also one of the record.
        """
        size = self._read(row)
        is_failed = self._writer.add(row, outcome)
        self._count(is_failed, size + self._log.append(self._digest, outcome))
        if time.monotonic() - self._synced > _SYNC:
            self._log.sync()
            self._synced = time.monotonic()

    def finish(self) -> None:
        """Complete the output and give it its name."""
        if self._segment_size or not self._journal.size:
            self._end_segment()
        self._folder.result.unlink(missing_ok=True)
        path = self._writer.encoder.assemble(self._folder.segments, self._folder.result)
        sync_file(path)
        self._journal = dataclasses.replace(self._journal, output=path.name)
        self._journal.write(self._folder.journal)
        self._segments.close()  # Windows renames no open file
        self._folder.publish(self._journal)

    def save(self) -> None:
        """Write what is not written yet; nothing is left of a job without answers."""
        self._log.sync()
        if not self.saved:
            self._folder.journal.unlink()

    def close(self) -> None:
        """Close the files without writing."""
        self._segments.close()
        self._log.close()

    @property
    def _digest(self) -> str:
        """The hash of the records so far."""
        return self._records.hexdigest()

    def _read(self, row: Row) -> int:
        """Take note of a record, and return its size."""
        if not self.rows:
            self._writer.layout.begin(row.record if row.error is None else None)
        text = repr((row.record, row.error and str(row.error))).encode()
        self._records.update(text)
        return len(text)

    def _require_same(self, digest: str) -> None:
        if digest != self._digest:
            raise UsageError(
                f"The input has changed: record {self.rows + 1} of it, or one before, is not the "
                f"one that was answered.",
                tip=Message("Start anew with ", Argument("force"), "."),
            )

    def _count(self, is_failed: bool, size: int) -> None:
        """Count a row of the segment; end the segment if it is large enough."""
        self.failed += is_failed
        self.rows += 1
        self._segment_size += size
        if self.rows - self._journal.rows == SEGMENT_ROWS or self._segment_size > _SEGMENT_BYTES:
            self._end_segment()

    def _end_segment(self) -> None:
        self._log.sync()  # whatever fails from here on, the answers are there
        self._segments.append(self._writer.encoder.take())
        self._segments.sync()
        self._journal = dataclasses.replace(
            self._journal,
            rows=self.rows,
            failed=self.failed,
            size=self._segments.size,
            digest=self._digest,
        )
        self._journal.write(self._folder.journal)
        self._segment_size = 0
        old, self._log = self._log, AnswerLog(self._folder.log(self.rows), self.rows)
        old.close()
        old.path.unlink()
