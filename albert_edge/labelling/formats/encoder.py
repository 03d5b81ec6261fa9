"""What every format of a file of answers does."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol


class Encoder(Protocol):
    """Turns rows into the bytes of a file, one segment of it after the other.

    The bytes of a segment depend on its rows only, and on whether it is the first.
    """

    def begin(self, *, first: bool) -> None:
        """Prepare for rows; `first` says whether the file is empty so far."""

    def add(self, row: dict[str, Any]) -> None:
        """Add a row to the segment.

        Raises:
            InputError: The format cannot hold it; the segment is as before.
        """

    def take(self) -> bytes:
        """Return the segment of the rows added since the last call."""

    def assemble(self, segments: Path, result: Path) -> Path:
        """Return the file to keep: the segments in one file, or a file made of them.

        Args:
            segments: The segments, one after the other.
            result: Where another file can be written.
        """
