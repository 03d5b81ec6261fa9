"""The checksums of LevelDB and TensorFlow: CRC-32C, masked where it is stored."""

from __future__ import annotations

from albert_edge.packages import import_extra


def crc32c(data: bytes | memoryview) -> int:
    """Compute the CRC-32C of some bytes.

    Raises:
        MissingExtraError: google-crc32c is not installed.
    """
    purpose = "Reading a TensorFlow checkpoint"
    google_crc32c = import_extra("google_crc32c", extra="formats", purpose=purpose)
    return int(google_crc32c.value(bytes(data)))


def unmask(stored: int) -> int:
    """Undo the mask of a stored checksum (lib/hash/crc32c.h in TensorFlow).

    >>> hex(unmask(0xA282EAD8))
    '0x0'
    """
    rotated = (stored - 0xA282EAD8) % 2**32
    return (rotated >> 17 | rotated << 15) % 2**32
