"""The answers of the segment that is not complete yet, one per line as they come.

A segment is compressed, or becomes a row group, when it is complete. Until then its answers are
only here, so that none is computed twice when the job is killed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from albert_edge.labelling.durable import GrowingFile

# Bytes of answers above which they are written.
_BUFFER = 1 << 16


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to a record, or why there is none."""

    answer: Any = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the log.

    Attributes:
        digest: The hash of the records up to the one that was answered.
        outcome: Its answer.
        size: The bytes of the line.
    """

    digest: str
    outcome: Outcome
    size: int


class AnswerLog:
    """A log of answers, to which lines are added.

    Args:
        path: The file. What it has is kept, up to its last complete line.
        start: How many records are before its first.

    Attributes:
        kept: The lines it had.
        end: How many records are before the first that is not written.
    """

    def __init__(self, path: Path, start: int) -> None:
        self.path = path
        self.kept: list[Entry] = []
        for line in _lines(path):
            entry = _parse(line)
            if entry is None:
                break
            self.kept.append(entry)
        self._file = GrowingFile(path, sum(entry.size for entry in self.kept))
        self.end = start + len(self.kept)
        self._waiting: list[bytes] = []
        self._waiting_size = 0

    def append(self, digest: str, outcome: Outcome) -> int:
        """Add an answer, and return its size in bytes."""
        line = f"{_ENCODER.encode([digest, outcome.answer, outcome.error])}\n".encode()
        self._waiting.append(line)
        self._waiting_size += len(line)
        if self._waiting_size > _BUFFER:
            self.flush()
        return len(line)

    def flush(self) -> None:
        """Write the answers added since the last time, or as many as there is room for."""
        try:
            self._file.append(b"".join(self._waiting))
        except OSError:
            while self._waiting:
                self._file.append(self._waiting[0])
                self.end += 1
                del self._waiting[0]
            raise
        self.end += len(self._waiting)
        self._waiting, self._waiting_size = [], 0

    def sync(self) -> None:
        """Write the answers, and wait until the disk has them."""
        self.flush()
        self._file.sync()

    def close(self) -> None:
        """Close the file without writing."""
        self._file.close()


def _lines(path: Path) -> Iterator[bytes]:
    if path.exists():
        with path.open("rb") as file:
            yield from file


def _parse(line: bytes) -> Entry | None:
    """Parse a line; None if it is cut off, or was not on the disk when the power failed."""
    if not line.endswith(b"\n"):
        return None
    try:
        digest, answer, error = json.loads(line, object_hook=_array_from_json)
    except ValueError:
        return None
    return Entry(digest, Outcome(answer, error), len(line))


def _array_to_json(array: Any) -> Any:
    return {"dtype": str(array.dtype), "array": array.tolist()}


_ENCODER = json.JSONEncoder(default=_array_to_json)


def _array_from_json(values: dict[str, Any]) -> Any:
    if values.keys() != {"dtype", "array"}:
        return values
    import numpy as np  # the command line starts faster without

    return np.asarray(values["array"], values["dtype"])[()]  # a number if it has no axes
