"""A bundle in one file: an uncompressed zip, read in place.

    albert_edge.json  config.json  tokenizer.json  ...  onnx/model_quantized.onnx

The members are the manifest and what it lists, and nothing else. So the manifest's hashes cover
all of the file but the manifest, which the zip's own checksum covers. The comment of the zip is the
signature of the manifest, if there is one.

Standard library only, since the runtime imports this module.
"""

from __future__ import annotations

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

from albert_edge.bundle.manifest import MANIFEST, Manifest
from albert_edge.bundle.manifest_reader import LARGEST_MANIFEST, leads_out, parse_manifest
from albert_edge.disk.held_file import HeldFile
from albert_edge.errors import BundleError, Call, Message

_SIGNATURE = b"PK\3\4"  # of the first member, with which the file begins
_HEADER = struct.Struct("<4s5H3I2H")  # of a member; its name and extra fields follow
_UTF8_NAME = 0x800  # the one flag that a member may have

_PACK = Call("pack", "BUNDLE", out="FILE")

# What zipfile raises where a zip is damaged.
_DAMAGED = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError),
    *(OSError, ValueError, OverflowError, EOFError, IndexError, MemoryError, struct.error),
)


@dataclass(frozen=True, slots=True)
class Span:
    """Where the content of a member is."""

    offset: int
    length: int


class Packed:
    """The files of a packed bundle.

    Holds the file open, so that it may be replaced or removed meanwhile.

    Args:
        path: The file.

    Attributes:
        path: The file.
        spans: Where each of its members is.

    Raises:
        BundleError: It is not a packed bundle, or its directory is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise BundleError(
                f"{path} cannot be read: {error.strerror}.", tip="Check its permissions."
            ) from error
        self._file = HeldFile(descriptor)
        self.spans = self._read_directory()

    def __reduce__(self) -> tuple[Any, ...]:  # for another process, which opens it again
        return Packed, (self.path,)

    def open(self, file: str, *, follow: bool = True) -> BufferedReader:
        """Open a member, which is never a link."""
        if file not in self.spans:
            raise FileNotFoundError(f"it is not in {self.path}")
        span = self.spans[file]
        return self._file.open(span.offset, span.length)

    def holding(self, files: Iterable[str]) -> Packed:
        """Return the same file, which is one whatever is read of it."""
        return self

    def read_signature(self) -> bytes:
        """Return the signature, which is no member, so that earlier versions read the file too."""
        return self._comment

    def view(self, file: str) -> memoryview:
        """Map a member into memory."""
        span = self.spans[file]
        return self._file.view(span.offset, span.length)

    def _read_directory(self) -> dict[str, Span]:
        if self._file.read_some(0, 4) != _SIGNATURE:
            raise BundleError(
                f"{self.path} is not an albert-edge bundle: it is neither a folder nor a file that "
                "pack wrote.",
                tip=Message(
                    *("Make one with: ", Call("export", "CHECKPOINT", "BUNDLE")),
                    *("; and one file of that with: ", _PACK),
                ),
                where=self.path,
            )
        try:
            with (
                open(self._file.descriptor, "rb", closefd=False) as file,
                zipfile.ZipFile(file) as archive,
            ):
                members, end = archive.infolist(), archive.start_dir
                self._comment = archive.comment
        except _DAMAGED as error:
            raise self._fault(f"its directory cannot be read: {error}") from error
        spans: dict[str, Span] = {}
        free = 0  # where the member before ends
        for member in sorted(members, key=lambda member: member.header_offset):
            self._check(member)
            if member.filename in spans:
                raise self._fault(f"it has {member.filename} twice")
            span = self._locate(member)
            if member.header_offset < free or span.offset + span.length > end:
                raise self._fault(f"{member.filename} overlaps another member or the directory")
            free = span.offset + span.length
            spans[member.filename] = span
            if member.filename == MANIFEST and span.length > LARGEST_MANIFEST:
                raise self._fault(f"{MANIFEST} has more than {LARGEST_MANIFEST:,} bytes")
            if member.filename == MANIFEST and self._checksum(span) != member.CRC:
                raise self._fault(f"{MANIFEST} was changed or damaged")
        if MANIFEST not in spans:
            raise self._fault(f"it has no {MANIFEST}")
        return spans

    def _checksum(self, span: Span) -> int:
        return zlib.crc32(self._file.read_at(span.offset, span.length))

    def _check(self, member: zipfile.ZipInfo) -> None:
        """Refuse a member that `pack` would not write."""
        name = member.orig_filename
        kind = stat.S_IFMT(member.external_attr >> 16)
        if leads_out(name) or name != member.filename:
            raise self._fault(f"the path {name!r} leads out of the bundle")
        if kind not in (0, stat.S_IFREG) or name.endswith("/"):
            raise self._fault(f"{name} is a link or a folder, not a file")
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & ~_UTF8_NAME:
            raise self._fault(f"{name} is compressed or encrypted")
        if member.compress_size != member.file_size:
            raise self._fault(f"{name} has two sizes")

    def _locate(self, member: zipfile.ZipInfo) -> Span:
        """Find the content of a member, behind a header that repeats what the directory says."""
        try:
            header = self._file.read_at(member.header_offset, _HEADER.size)
            signature, _, flags, method, *_, name_length, extra = _HEADER.unpack(header)
            name = self._file.read_at(member.header_offset + _HEADER.size, name_length)
        except (OSError, OverflowError) as error:
            raise self._fault(f"it ends before {member.filename}") from error
        header_name = name.decode("utf-8" if flags else "cp437", errors="replace")
        expected = (_SIGNATURE, member.flag_bits, zipfile.ZIP_STORED, member.filename)
        if (signature, flags, method, header_name) != expected:
            raise self._fault(f"the header of {member.filename} is not what its directory says")
        offset = member.header_offset + _HEADER.size + name_length + extra
        return Span(offset, member.file_size)

    def _fault(self, what: str) -> BundleError:
        return BundleError(
            f"{self.path} is not a packed bundle that can be read: {what}.",
            tip=Message("Copy it again, or make it again with ", _PACK, "."),
            where=self.path,
        )

    def read_manifest(self) -> Manifest:
        """Read the manifest, and check that it lists the members and their sizes.

        Raises:
            BundleError: It is damaged, or the members are others.
        """
        manifest = parse_manifest(self.open(MANIFEST).read(), self.path / MANIFEST)
        sizes = {record.file: record.bytes for record in manifest.records()}
        for file in self.spans:
            if file != MANIFEST and file not in sizes:
                raise self._fault(f"{MANIFEST} does not list {file}")
        for file, size in sizes.items():
            if file not in self.spans:
                raise self._fault(f"it has no {file}, which {MANIFEST} lists")
            if self.spans[file].length != size:
                raise self._fault(f"{file} has {self.spans[file].length} bytes, not {size}")
        return manifest


def open_packed(path: Path) -> tuple[Packed, Manifest]:
    """Open a packed bundle.

    Raises:
        BundleError: It is not a packed bundle, is damaged, or its members are not what its manifest
            lists.
    """
    packed = Packed(path)
    return packed, packed.read_manifest()


def is_packed(path: Path) -> bool:
    """Return whether a file begins as a packed bundle does, whatever its name."""
    try:
        with path.open("rb") as file:
            return file.read(len(_SIGNATURE)) == _SIGNATURE
    except OSError:
        return False
