"""Change a bundle as a whole or not at all.

    .change/        held by the one process that changes the bundle
        new-*/      the new files
    .commit/        new files that are not in place yet

New files are staged in `.change`. Renaming their folder to `.commit` commits the change; they are
then moved into place, the manifest last. A process killed at any moment leaves the old bundle or
the new one, and nothing to clean up by hand: readers read a file of `.commit` where there is one,
and the next process that may write finishes the moves and removes what is left.

Standard library only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from albert_edge.bundle.manifest import (
    CHANGE,
    COMMIT,
    MANIFEST,
    SIGNATURE,
    STAGING,
    FileRecord,
    Manifest,
)
from albert_edge.bundle.manifest_reader import read_manifest
from albert_edge.cleanup import cleaned_up, uninterrupted
from albert_edge.disk.holding import HeldError, Hold, hold
from albert_edge.disk.writing import create, naming, refuse_link, sync_folder
from albert_edge.errors import Argument, BundleError, Message, UsageError

_NEW = "new-"
_ORPHANS = f"{STAGING}*"  # of earlier versions


@dataclass
class Change:
    """A change being prepared. Setting `manifest` is what commits it when the block ends.

    Attributes:
        folder: The staging folder, for new files that are not yet part of the bundle.
        scratch: A folder for files that are not to be part of it.
        manifest: The new manifest; its content, where that is to stay as it was written.
    """

    folder: Path
    scratch: Path
    manifest: Manifest | bytes | None = None

    def path(self, file: str) -> Path:
        """Return where to write the file that will be `file` in the bundle."""
        path = self.folder / file
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, file: str, chunks: Iterable[bytes]) -> None:
        """Write the file that will be `file` in the bundle, and flush it to the disk."""
        with create(self.path(file)) as target:
            target.writelines(chunks)
            target.flush()
            os.fsync(target.fileno())

    def record(self, path: Path) -> FileRecord:
        """Flush a staged file to the disk, and describe it for the manifest."""
        with naming(path), path.open("rb+") as file:  # Windows flushes no file open to be read only
            os.fsync(file.fileno())
        relative = path.relative_to(self.folder).as_posix()
        return FileRecord(relative, digest(path), path.stat().st_size)


@contextlib.contextmanager
def change(folder: Path) -> Iterator[Change]:
    """Change or create a bundle, as a whole or not at all.

    Write files to `path(...)` of the yielded change, then set its `manifest`. The change is
    committed when the block ends; an error inside the block, or a block that sets no manifest,
    leaves everything as it was. No other process can change the bundle meanwhile, so what the new
    manifest takes from the old one must be read inside the block.

    Args:
        folder: The bundle; created if it does not exist, with the folders it is in.

    Raises:
        BundleError: Another process is changing this bundle, a file or folder that is not part of
            it is in the way, or it cannot be written.
    """
    with _reported(folder), _created(folder), hold(folder / CHANGE) as held:
        _roll_forward(folder)
        for orphan in folder.glob(_ORPHANS):
            shutil.rmtree(orphan, ignore_errors=True)
        staging = held.path / f"{_NEW}{os.urandom(4).hex()}"
        staging.mkdir()
        pending = Change(staging, held.path)
        yield pending
        if pending.manifest is not None:
            _commit(pending, held, folder)


def _commit(pending: Change, held: Hold, folder: Path) -> None:
    content = pending.manifest
    assert content is not None
    pending.write(
        MANIFEST, [content.to_json().encode() if isinstance(content, Manifest) else content]
    )
    _refuse_obstacles(pending.folder, folder)
    sync_folder(pending.folder)
    held.require()
    try:
        with uninterrupted():
            pending.folder.rename(folder / COMMIT)
            _roll_forward(folder)
    except OSError as error:
        if not is_committed(folder):
            raise
        raise BundleError(
            f"{folder} is complete, but not all of it is in its place: "
            f"{_seen(error, folder) or folder} cannot be written: {error.strerror or error}.",
            tip="Check the disk. The next command that opens the bundle finishes this.",
            where=folder,
        ) from error


@contextlib.contextmanager
def _reported(folder: Path) -> Iterator[None]:
    """Name the bundle's file, or the bundle, in errors of the operating system."""
    try:
        yield
    except HeldError as error:
        raise BundleError(
            f"Another process is changing {folder}. {error}",
            tip="Wait for it to end, then try again.",
            where=folder,
        ) from error
    except OSError as error:
        path = _seen(error, folder)
        if path is None:
            raise
        raise BundleError(
            f"{path} cannot be written: {error.strerror or error}.",
            tip="Check free space, names and permissions. The bundle is as it was before.",
            where=folder,
        ) from error


def _seen(error: OSError, folder: Path) -> Path | None:
    """Return what users call the file that an error is about; None if it is not of the bundle."""
    named = error.filename2 or error.filename
    if named is None or isinstance(named, int):  # all that writes a bundle names its files
        return None
    path = Path(os.fsdecode(named))
    for hidden in (CHANGE, COMMIT):
        if (
            hidden in path.parts
        ):  # the first, should a bundle be made in a scratch folder of another
            place = path.parts.index(hidden)
            inside = path.parts[place + 1 :]
            is_file = hidden == COMMIT or (inside and inside[0].startswith(_NEW))
            return Path(*path.parts[:place], *(inside[hidden == CHANGE :] if is_file else ()))
    return path if path == folder or folder in path.parents or path in folder.parents else None


def refuse_to_overwrite(folder: Path, *, force: bool) -> None:
    """Check that a new bundle may be written to a folder.

    Args:
        folder: The folder, which need not exist.
        force: Whether it may replace what the folder holds.

    Raises:
        UsageError: It is a file or a symbolic link, or it is not empty and not to be replaced.
    """
    refuse_link(folder)
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UsageError(f"{folder} is a file.", tip="Name another folder for the bundle.")
    if force:
        return
    if (folder / MANIFEST).exists() or is_committed(folder):
        raise UsageError(
            f"{folder} is a bundle already.",
            tip=Message("Replace it with ", Argument("force", True), "."),
        )
    # An interrupted run leaves hidden entries behind.
    if any(not path.name.startswith(".") for path in folder.iterdir()):
        raise UsageError(
            f"{folder} is not empty.",
            tip=Message(
                "Name another folder, or write into it with ", Argument("force", True), "."
            ),
        )


def finish_change(folder: Path) -> None:
    """Finish a change that was cut off after it was committed, if there is one.

    Where this process may not, readers do without.
    """
    if is_committed(folder):
        with contextlib.suppress(HeldError, OSError), hold(folder / CHANGE):
            _roll_forward(folder)


def is_committed(folder: Path) -> bool:
    """Return whether a committed change has files that are not in place yet."""
    return (folder / COMMIT).is_dir() and not (folder / COMMIT).is_symlink()


def digest(path: Path) -> str:
    """Compute the sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _roll_forward(folder: Path) -> None:
    """Move the files of a committed change into place; can be interrupted and called again."""
    commit = folder / COMMIT
    if not is_committed(folder):
        return
    if (commit / MANIFEST).exists():  # else all is in place but this folder
        _remove_replaced(folder, read_manifest(commit / MANIFEST))
        _refuse_obstacles(commit, folder)
        if not (commit / SIGNATURE).exists():  # that of another manifest
            (folder / SIGNATURE).unlink(missing_ok=True)
        for path in _files(commit):
            if path != commit / MANIFEST:
                target = folder / path.relative_to(commit)
                if not target.parent.is_dir():
                    target.parent.mkdir(parents=True, exist_ok=True)
                path.replace(target)
        sync_folder(folder)
        (commit / MANIFEST).replace(folder / MANIFEST)
        sync_folder(folder)
    shutil.rmtree(commit)


def _remove_replaced(folder: Path, new: Manifest) -> None:
    try:
        old = read_manifest(folder / MANIFEST)
    except BundleError:  # there is none, or it is damaged
        return
    kept = {record.file for record in new.records()}
    for record in old.records():
        if record.file not in kept and not _is_behind_link(folder, record.file):
            (folder / record.file).unlink(missing_ok=True)


def _refuse_obstacles(staging: Path, folder: Path) -> None:
    """Check that every file can be moved, and none through a link to another place."""
    for path in _files(staging):
        file = path.relative_to(staging).as_posix()
        above = (folder / file).parent
        is_blocked = (above.exists() and not above.is_dir()) or _is_behind_link(folder, file)
        if is_blocked or (folder / file).is_dir() or path.is_symlink():
            raise BundleError(
                f"{folder / file} cannot be written: a folder, or a file or link in place of one, "
                "is in the way.",
                tip="Move it away, or name another folder for the bundle.",
                where=folder,
            )


def _is_behind_link(folder: Path, file: str) -> bool:
    """Return whether a folder on the way to a file is a link."""
    return any((folder / above).is_symlink() for above in PurePosixPath(file).parents[:-1])


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())


@contextlib.contextmanager
def _created(folder: Path) -> Iterator[None]:
    """Create a folder; remove it and its new parents again if it stays empty."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]

    def make() -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise BundleError(
                f"{folder} cannot be a bundle: a file is in the way.", tip="Name another folder."
            ) from None

    def remove(_: None) -> None:
        with contextlib.suppress(OSError):  # not empty: something was put into it
            for path in new:
                path.rmdir()

    with cleaned_up(make, remove):
        yield
