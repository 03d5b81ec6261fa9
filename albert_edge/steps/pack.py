"""A bundle -> one file, and back.

A program ships a model as one asset, which every command and every function reads in place.
"""

from __future__ import annotations

import dataclasses
import os
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from albert_edge.bundle.bundle import Bundle, open_bundle
from albert_edge.bundle.change import change, refuse_to_overwrite
from albert_edge.bundle.manifest import MANIFEST, SIGNATURE, FileRecord
from albert_edge.bundle.manifest_reader import parse_manifest
from albert_edge.bundle.packing import write_member
from albert_edge.bundle.storage import Storage, chunks, read_manifest_content
from albert_edge.disk.writing import refuse_link, replaced
from albert_edge.errors import Argument, BundleError, Message, UsageError
from albert_edge.progress import Progress, progress_bar

SUFFIX = ".albert"


@dataclass(frozen=True, slots=True)
class PackReport:
    """The result of packing.

    Attributes:
        bundle: The bundle.
        file: The file written.
        bytes: Its size.
        files: How many files of the bundle are in it, with the manifest.
        variants: The names of the variants in it.
    """

    bundle: Path
    file: Path
    bytes: int
    files: int
    variants: list[str]

    def __repr__(self) -> str:
        return f"PackReport('{self.file}': {', '.join(self.variants)}, {self.bytes / 1e6:.1f} MB)"


@dataclass(frozen=True, slots=True)
class UnpackReport:
    """The result of unpacking.

    Attributes:
        file: The packed bundle.
        bundle: The folder written.
        files: How many files are in it, with the manifest.
    """

    file: Path
    bundle: Path
    files: int

    def __repr__(self) -> str:
        return f"UnpackReport('{self.bundle}': {self.files} files)"


def pack(
    bundle: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    variants: Sequence[str] | None = None,
    force: bool = False,
    progress: bool | Progress = False,
) -> PackReport:
    """Write a bundle as one file, which is read in place wherever a bundle is.

    The file is an uncompressed zip of the manifest and the files it lists, each of which starts at
    a multiple of 4096 bytes. The same bundle gives the same bytes. A signature is kept, unless only
    some of the variants are.

    Args:
        bundle: The bundle.
        out: The file to write; by default the bundle's name with ".albert" appended, here.
        variants: Names of the variants to keep, such as "model_quantized", as a program often
            ships one; by default all.
        force: Whether to replace an existing file. A program that has it open keeps the old one.
        progress: Whether to show a progress bar, or what to call with ("packing", bytes written,
            bytes in all).

    Raises:
        BundleError: The bundle is missing or damaged, has no such variant, or the file cannot be
            written. An existing file is unchanged then.
        UsageError: The file exists, or is a symbolic link.
    """
    opened = open_bundle(bundle)
    path = Path(out) if out is not None else Path(opened.path.resolve().name + SUFFIX)
    _refuse_to_replace(path, force=force)
    content = _manifest_content(opened, variants)
    manifest = parse_manifest(content, opened.path / MANIFEST)
    records = manifest.distinct_records()
    with progress_bar(progress, unit="bytes") as report, replaced(path, kind=BundleError) as file:
        pieces = _Pieces(opened.storage, records, report, "packing")
        with zipfile.ZipFile(file, "w") as archive:
            if not variants:  # another manifest would need another signature
                archive.comment = opened.storage.read_signature()
            write_member(archive, MANIFEST, len(content), [content])
            for record in records:
                write_member(archive, record.file, record.bytes, pieces.of(record))
        size = file.tell()
    names = [variant.name for variant in manifest.variants]
    return PackReport(opened.path, path, size, 1 + len(records), names)


def unpack(
    file: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    force: bool = False,
    progress: bool | Progress = False,
) -> UnpackReport:
    """Write the files of a packed bundle to a folder, as they were before `pack`.

    Args:
        file: The packed bundle.
        out: The folder.
        force: Whether to replace what the folder holds.
        progress: Whether to show a progress bar, or what to call with ("unpacking", bytes written,
            bytes in all).

    Raises:
        BundleError: The file is not a packed bundle or is damaged. The folder is unchanged then.
        UsageError: The folder is not empty, or the bundle is a folder already.
    """
    opened = open_bundle(file)
    if not opened.is_packed:
        raise UsageError(f"{opened.path} is a folder already.", tip="Copy it.", where=opened.path)
    folder = Path(out)
    refuse_to_overwrite(folder, force=force)
    records = opened.manifest.distinct_records()
    with change(folder) as pending, progress_bar(progress, unit="bytes") as report:
        pieces = _Pieces(opened.storage, records, report, "unpacking")
        for record in records:
            pending.write(record.file, pieces.of(record))
        if signature := opened.storage.read_signature():
            pending.write(SIGNATURE, [signature])
        pending.manifest = read_manifest_content(opened.storage)
    return UnpackReport(opened.path, folder, 1 + len(records))


class _Pieces:
    """The content of files, piece by piece, counted as it is read."""

    def __init__(
        self, storage: Storage, records: Sequence[FileRecord], report: Progress, what: str
    ) -> None:
        self._storage = storage
        self._total = sum(record.bytes for record in records)
        self._report = report
        self._what = what
        self._done = 0

    def of(self, record: FileRecord) -> Iterator[bytes]:
        for chunk in chunks(self._storage, record):
            self._done += len(chunk)
            self._report(self._what, self._done, self._total)
            yield chunk


def _refuse_to_replace(path: Path, *, force: bool) -> None:
    if path.is_dir() or not path.resolve().parent.is_dir():
        reason = "it is a folder" if path.is_dir() else f"{path.parent} is not a folder"
        raise UsageError(
            Message(Argument("out"), f": {path} cannot be written: {reason}."),
            tip="Name a file in an existing folder.",
        )
    refuse_link(path)
    if path.exists() and not force:
        raise UsageError(
            f"{path} exists already.", tip=Message("Replace it with ", Argument("force", True), ".")
        )


def _manifest_content(bundle: Bundle, variants: Sequence[str] | None) -> bytes:
    """Return the manifest as it is, or a new one of some variants."""
    if not variants:
        return read_manifest_content(bundle.storage)
    kept = tuple(bundle.variant(name) for name in dict.fromkeys(variants))
    return dataclasses.replace(bundle.manifest, variants=kept).to_json().encode()
