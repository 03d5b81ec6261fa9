"""The bundle: a folder any neighbour can open, and a manifest that says what is in it.

    config.json  tokenizer.json  tokenizer_config.json  special_tokens_map.json
    onnx/model.onnx  onnx/model_optimized.onnx  ...
    albert_edge.json

A file the manifest does not list does not exist; a listed file is read only after its sha256 was
checked. Changes are all or nothing: new files are written to a hidden staging folder, renaming
that folder to `.commit` decides, and what it holds is then moved into place, the manifest last.
Whoever opens a bundle with a `.commit` in it first finishes those moves, so a process killed at
any moment leaves the old bundle or the new one.

Standard library only: the runtime and the exporter both stand on this module.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from albert_edge.errors import BundleError
from albert_edge.manifest import MANIFEST, FileRecord, Manifest, Variant, read_manifest

try:
    import fcntl
except ImportError:  # Windows: no lock on folders; two writers at once are the user's to avoid
    fcntl = None  # type: ignore[assignment]

_STAGING = ".staging-"
_COMMIT = ".commit"


class Bundle:
    """A bundle on disk whose manifest has been read.

    Attributes:
        folder: The folder.
        manifest: What is in it.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest

    def variant(self, name: str) -> Variant:
        """The variant of a name.

        Raises:
            BundleError: There is none of that name.
        """
        for variant in self.manifest.variants:
            if variant.name == name:
                return variant
        names = ", ".join(variant.name for variant in self.manifest.variants)
        raise BundleError(
            f"{self.folder} has no variant {name!r}.", tip=f"It has: {names or 'none'}."
        )

    def find(self, file: str) -> FileRecord | None:
        """The record of a configuration or tokenizer file, or None."""
        return next((record for record in self.manifest.files if record.file == file), None)

    def checked(self, record: FileRecord) -> Path:
        """The path of a listed file whose content is what the manifest says.

        Raises:
            BundleError: The file is missing or its sha256 differs.
        """
        path = self.folder / record.file
        try:
            found = _digest(path)
        except OSError as error:
            raise BundleError(
                f"{path} is listed in {MANIFEST} but cannot be read: {error.strerror}.",
                tip="Export the model again, or restore the file.",
            ) from error
        if found != record.sha256:
            raise BundleError(
                f"{path} is not the file {MANIFEST} lists: its sha256 is {found[:12]}..., "
                f"not {record.sha256[:12]}....",
                tip="It was changed or damaged. Export the model again, or restore the file.",
            )
        return path

    def read_text(self, file: str) -> str | None:
        """The checked content of a configuration or tokenizer file, or None if not listed."""
        record = self.find(file)
        return None if record is None else self.checked(record).read_text(encoding="utf-8")

    def check_all(self) -> list[FileRecord]:
        """Check every listed file; the records checked.

        Raises:
            BundleError: A file is missing or its sha256 differs.
        """
        records = list(self.manifest.records())
        for record in records:
            self.checked(record)
        return records


def open_bundle(folder: str | os.PathLike[str]) -> Bundle:
    """Open a bundle, finishing first a change that was cut off after it was decided.

    Args:
        folder: A folder that `albert-edge export` wrote.

    Returns:
        The bundle; files are checked when they are read.

    Raises:
        BundleError: There is no bundle, or its manifest is damaged or of a newer version.
    """
    path = Path(folder)
    if (path / _COMMIT).exists():
        with _locked(path, wait=True):
            _roll_forward(path)
    return Bundle(path, read_manifest(path / MANIFEST))


class Staging:
    """New files of a bundle, not yet part of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, file: str) -> Path:
        """Where to write the file that will be `file` in the bundle."""
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def record(self, path: Path) -> FileRecord:
        """Hash a file that was written, and see it safely on the disk."""
        with path.open("rb") as file:
            os.fsync(file.fileno())
        relative = path.relative_to(self.folder).as_posix()
        return FileRecord(relative, _digest(path), path.stat().st_size)


@dataclass
class Change:
    """A change being prepared: where to write, and the manifest to commit with."""

    staging: Staging
    manifest: Manifest | None = None


@contextlib.contextmanager
def change(folder: Path) -> Iterator[Change]:
    """Change a bundle, or make one, all or nothing.

    Write files under `change.staging`, then set `change.manifest`. The change is committed when
    the block ends; an error inside the block, or a block that sets no manifest, leaves everything
    as it was.

    Args:
        folder: The bundle; made if it does not exist.

    Raises:
        BundleError: Another process is changing this bundle.
    """
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder, wait=False):
        _roll_forward(folder)
        for orphan in folder.glob(_STAGING + "*"):
            shutil.rmtree(orphan, ignore_errors=True)
        staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=folder))
        try:
            pending = Change(Staging(staging))
            yield pending
            if pending.manifest is not None:
                (staging / MANIFEST).write_text(pending.manifest.to_json(), encoding="utf-8")
                _sync_folder(staging)
                staging.rename(folder / _COMMIT)
                _roll_forward(folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
            if made and not any(folder.iterdir()):
                folder.rmdir()


def _roll_forward(folder: Path) -> None:
    """Move what a decided change holds into place; safe to be cut off and called again."""
    commit = folder / _COMMIT
    if not commit.exists():
        return
    if (commit / MANIFEST).exists():  # else the last move was made and only tidying is left
        _remove_what_is_replaced(folder, read_manifest(commit / MANIFEST))
        for path in sorted(commit.rglob("*")):
            if path.is_file() and path.name != MANIFEST:
                target = folder / path.relative_to(commit)
                target.parent.mkdir(parents=True, exist_ok=True)
                path.replace(target)
        _sync_folder(folder)
        (commit / MANIFEST).replace(folder / MANIFEST)
        _sync_folder(folder)
    shutil.rmtree(commit)


def _remove_what_is_replaced(folder: Path, new: Manifest) -> None:
    if not (folder / MANIFEST).exists():
        return
    kept = {record.file for record in new.records()}
    for record in read_manifest(folder / MANIFEST).records():
        if record.file not in kept:
            (folder / record.file).unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(folder: Path, *, wait: bool) -> Iterator[None]:
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise BundleError(
                f"Another process is changing {folder}.", tip="Wait for it to end, then try again."
            ) from None
        yield
    finally:
        os.close(descriptor)  # which also releases the lock, as does the end of the process


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
