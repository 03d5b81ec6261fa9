"""Change a bundle as a whole or not at all.

New files are written to a hidden staging folder inside the bundle. Renaming that folder to
`.commit` commits the change; its files are then moved into place, the manifest last. Opening a
bundle with a `.commit` in it first finishes those moves, so a process killed at any moment
leaves the old bundle or the new one, and nothing to clean up by hand.

Standard library only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from albert_edge.bundle.manifest import MANIFEST, FileRecord, Manifest, read_manifest
from albert_edge.disk import lock, sync_folder
from albert_edge.errors import Argument, BundleError, Message, UsageError

_STAGING = ".staging-"
_COMMIT = ".commit"


@dataclass
class Change:
    """A change being prepared. Setting `manifest` is what commits it when the block ends.

    Attributes:
        folder: The staging folder, for new files that are not yet part of the bundle.
        manifest: The new manifest; its content, where that is to stay as it was written.
    """

    folder: Path
    manifest: Manifest | bytes | None = None

    def path(self, file: str) -> Path:
        """Return where to write the file that will be `file` in the bundle."""
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, file: str, chunks: Iterable[bytes]) -> None:
        """Write the file that will be `file` in the bundle, and flush it to the disk."""
        try:
            with self.path(file).open("wb") as target:
                target.writelines(chunks)
                target.flush()
                os.fsync(target.fileno())
        except OSError as error:
            raise BundleError(
                f"{file} cannot be written to {self.folder.parent}: {error.strerror or error}.",
                tip="Check free space, names and permissions.",
                where=self.folder.parent,
            ) from error

    def record(self, path: Path) -> FileRecord:
        """Flush a staged file to the disk, and describe it for the manifest."""
        with path.open("rb") as file:
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
        folder: The bundle; created if it does not exist.

    Raises:
        BundleError: Another process is changing this bundle, or a file or folder
            that is not part of it is in the way.
    """
    with _created(folder), _locked(folder, wait=False):
        _roll_forward(folder)
        for orphan in folder.glob(_STAGING + "*"):
            shutil.rmtree(orphan, ignore_errors=True)
        staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=folder))
        try:
            pending = Change(staging)
            yield pending
            if pending.manifest is not None:
                content = pending.manifest
                if isinstance(content, Manifest):
                    content = content.to_json().encode()
                (staging / MANIFEST).write_bytes(content)
                _refuse_obstacles(staging, folder)
                sync_folder(staging)
                staging.rename(folder / _COMMIT)
                _roll_forward(folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def refuse_to_overwrite(folder: Path, *, force: bool) -> None:
    """Check that a new bundle may be written to a folder.

    Args:
        folder: The folder, which need not exist.
        force: Whether it may replace what the folder holds.

    Raises:
        UsageError: It is a file, or it is not empty and not to be replaced.
    """
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
    """Finish a change that was cut off after it was committed, if there is one."""
    if is_committed(folder):
        with _locked(folder, wait=True):
            _roll_forward(folder)


def is_committed(folder: Path) -> bool:
    """Return whether a committed change has files that are not in place yet."""
    return (folder / _COMMIT).exists()


def digest(path: Path) -> str:
    """Compute the sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _roll_forward(folder: Path) -> None:
    """Move the files of a committed change into place; can be interrupted and called again."""
    if not is_committed(folder):
        return
    commit = folder / _COMMIT
    if (commit / MANIFEST).exists():  # else all is in place but this folder
        _remove_replaced(folder, read_manifest(commit / MANIFEST))
        for path in _files(commit):
            if path.name != MANIFEST:
                target = folder / path.relative_to(commit)
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
        if record.file not in kept:
            (folder / record.file).unlink(missing_ok=True)


def _refuse_obstacles(staging: Path, folder: Path) -> None:
    """Check that every file can be moved before the change is committed."""
    for path in _files(staging):
        target = folder / path.relative_to(staging)
        if target.is_dir() or (target.parent.exists() and not target.parent.is_dir()):
            raise BundleError(
                f"{target} cannot be written: a folder, or a file in place of one, is in the way.",
                tip="Move it away, or name another folder for the bundle.",
            )


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@contextlib.contextmanager
def _created(folder: Path) -> Iterator[None]:
    """Create a folder; remove it and its new parents again if it stays empty."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise BundleError(
            f"{folder} cannot be a bundle: a file is in the way.", tip="Name another folder."
        ) from None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # not empty: something was put into it
            for path in new:
                path.rmdir()


@contextlib.contextmanager
def _locked(folder: Path, *, wait: bool) -> Iterator[None]:
    if os.name == "nt":  # Windows cannot lock folders; users must not run two writers at once
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if not lock(descriptor, wait=wait):
            raise BundleError(
                f"Another process is changing {folder}.", tip="Wait for it to end, then try again."
            )
        yield
    finally:
        os.close(descriptor)  # which also releases the lock, as does the end of the process
