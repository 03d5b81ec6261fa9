"""Write a packed bundle: see `albert_edge.bundle.packed` for what it looks like.

Standard library only.
"""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Iterable

_ALIGNMENT = 4096  # bytes; lets any program map a member
_HEADER_BYTES = 30  # of a member, before its name
_ZIP64_BYTES = 20  # which a header has more for a member that may be over 2 GB
_EXTRA = struct.Struct("<HH")  # identifier and length of an extra field
_PADDING = 0xD935  # the identifier that Android's zipalign uses for it
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time of a zip; that of the files does not matter
_UNIX = 3


def write_member(archive: zipfile.ZipFile, name: str, size: int, chunks: Iterable[bytes]) -> None:
    """Append a member to an archive: stored, aligned, and the same on every day and system.

    Args:
        archive: The archive.
        name: The name of the member.
        size: How many bytes it will have.
        chunks: Its content.
    """
    member = zipfile.ZipInfo(name, _EPOCH)
    member.create_system = _UNIX
    member.external_attr = (stat.S_IFREG | 0o644) << 16
    is_large = size > zipfile.ZIP64_LIMIT
    assert archive.fp is not None
    start = archive.fp.tell() + _HEADER_BYTES + len(name.encode()) + _EXTRA.size
    padding = -(start + is_large * _ZIP64_BYTES) % _ALIGNMENT
    member.extra = _EXTRA.pack(_PADDING, padding) + bytes(padding)
    with archive.open(member, "w", force_zip64=is_large) as target:
        for chunk in chunks:
            target.write(chunk)
