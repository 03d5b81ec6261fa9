"""Where a job keeps what is done until its output is complete: a folder beside the output.

    answers.csv.gz.part/
        segments            the complete segments of the output
        journal.json        how many records they have, and what the job was started with
        answers-40960.log   the answers after those
        held/               a process works on it

The output gets its name when everything is in it. Then the folder is removed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from albert_edge.disk.holding import HeldError, hold
from albert_edge.disk.owner import require_own
from albert_edge.disk.writing import refuse_link
from albert_edge.errors import AlbertEdgeError, Argument, Message, UsageError
from albert_edge.labelling.durable import move, naming_output
from albert_edge.labelling.journal import Journal, read_journal

Existing = Literal["refuse", "replace", "resume"]
"""What to do with an output, or a part of one, that exists."""

_SEGMENTS, _JOURNAL, _HELD = "segments", "journal.json", "held"


@dataclass(frozen=True, slots=True)
class JobFolder:
    """The folder of a job, which this process has locked.

    Attributes:
        target: The output.
        path: The folder.
    """

    target: Path
    path: Path

    @property
    def segments(self) -> Path:
        """The complete segments."""
        return self.path / _SEGMENTS

    @property
    def journal(self) -> Path:
        """The journal."""
        return self.path / _JOURNAL

    @property
    def result(self) -> Path:
        """Where a format that needs it writes its complete file."""
        return self.path / "result"

    def log(self, rows: int) -> Path:
        """Return the log of answers after the first `rows` records."""
        return self.path / f"answers-{rows}.log"

    def publish(self, journal: Journal) -> None:
        """Give the complete output its name, after which nothing is left to do."""
        source = self.path / Path(journal.output).name
        if source.exists():  # else it has its name already
            move(source, self.target)
        self.journal.unlink()

    def clear(self) -> None:
        """Remove all files."""
        for path in self.path.iterdir():
            if not path.name.startswith(_HELD):
                path.unlink()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes out. In the end, the folder is removed if it has no journal.

        Raises:
            UsageError: Another process works on it.
        """
        try:
            with hold(self.path / _HELD):
                try:
                    yield
                finally:
                    if not self.journal.exists():
                        with contextlib.suppress(OSError):  # the next run removes it
                            self.clear()
        except HeldError as error:
            raise UsageError(
                f"Another process is writing {self.target}. {error}",
                tip="Wait for it to end, then try again; or name another output.",
                where=self.target,
            ) from error
        finally:
            with contextlib.suppress(OSError):  # not empty: it can be continued
                self.path.rmdir()


def is_complete(target: Path, existing: Existing) -> bool:
    """Return whether an output is complete already and there is nothing to resume.

    Raises:
        UsageError: It exists, or a part of it, and `existing` is "refuse"; or a link is in the way.
    """
    folder = JobFolder(target, _folder_of(target))
    refuse_link(folder.path)
    unfinished = folder.journal.exists()
    if existing == "refuse" and (unfinished or target.exists()):
        what = "is unfinished" if unfinished else "exists already"
        raise UsageError(
            Message(f"{target} {what}: give ", Argument("resume"), " or ", Argument("force"), "."),
            tip=Message(
                *(Argument("resume"), " continues an unfinished output and keeps a complete one, "),
                *(Argument("force"), " starts anew."),
            ),
            where=target,
        )
    if existing != "resume" or not (unfinished or target.exists()):
        return False
    return not folder.path.exists() or _finish_move(folder)


def _finish_move(folder: JobFolder) -> bool:
    """Give an output its name if that is all that is left to do, and return whether it was."""
    with naming_output(folder.target), folder.held():
        journal = read_journal(folder.journal)
        if journal is None:  # it has its name, but its folder was not removed
            return folder.target.exists()
        if journal.output:
            folder.publish(journal)
        return bool(journal.output)


@contextlib.contextmanager
def open_folder(
    target: Path, existing: Existing, started_with: Mapping[str, str]
) -> Iterator[tuple[JobFolder, Journal]]:
    """Open the folder of a job.

    It is removed in the end if it has no journal: the output is complete, or nothing was answered.

    Args:
        target: The output.
        existing: Whether to continue what is there, or start anew.
        started_with: What the answers depend on.

    Yields:
        The folder, and how far the job is.

    Raises:
        UsageError: Another process works on it, it was started with something else, or a folder
            cannot be made there.
    """
    folder = JobFolder(target, _folder_of(target))
    with naming_output(target):
        _make(folder)
        with folder.held():
            journal = read_journal(folder.journal) if existing == "resume" else None
            if journal is None:
                folder.clear()
                journal = Journal(started_with)
            else:
                journal.require_same(started_with)
                _require_segments(folder, journal)
            yield folder, journal


def _folder_of(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def _make(folder: JobFolder) -> None:
    try:
        folder.path.mkdir(mode=0o700, exist_ok=True)
    except (FileNotFoundError, NotADirectoryError, FileExistsError, PermissionError) as error:
        raise UsageError(
            f"{folder.target} cannot be opened: {error.strerror}.",
            tip="Check its name and permissions.",
        ) from error
    refuse_link(folder.path)
    require_own(folder.path, folder.path.lstat())


def _require_segments(folder: JobFolder, journal: Journal) -> None:
    size = folder.segments.stat().st_size if folder.segments.exists() else 0
    if size < journal.size:
        raise AlbertEdgeError(
            f"{folder.segments} is damaged: it has {size} bytes of {journal.size}.",
            tip=Message("Start the job anew with ", Argument("force"), "."),
            where=folder.segments,
        )
