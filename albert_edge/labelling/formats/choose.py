"""From the name of a file to its format."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

from albert_edge.errors import UsageError
from albert_edge.labelling.formats.encoder import Encoder
from albert_edge.labelling.formats.parquet import Parquet
from albert_edge.labelling.formats.text import JsonLines, Pack, Table
from albert_edge.records.arrow import load_pyarrow
from albert_edge.records.formats import split_suffix
from albert_edge.records.stream import GZIP, ZSTANDARD

LINES = (".jsonl", ".csv", ".tsv")
PARQUET = ".parquet"
_NAMES = f"{', '.join(LINES)}, each also with {GZIP} or {ZSTANDARD} after it, or {PARQUET}"


def output_suffix(path: Path) -> str:
    """Return what the name of a file says of its format, such as ".csv" or ".csv.gz".

    Raises:
        UsageError: It is not a format that can be written.
    """
    suffix, compression = split_suffix(path)
    if suffix in LINES or (suffix == PARQUET and not compression):
        return suffix + compression
    raise UsageError(f"Unsupported file format: {path}.", tip=f"Use {_NAMES}.")


def make_encoder(suffix: str, schema: Any = None, *, for_spreadsheets: bool = False) -> Encoder:
    """Make the encoder of a format.

    Args:
        suffix: The format, as `output_suffix` gives it.
        schema: The pyarrow.Schema of the records, if it is known.
        for_spreadsheets: Whether no text of a table may be a formula.

    Raises:
        MissingExtraError: The format needs pyarrow, which is not installed.
    """
    if suffix == PARQUET:
        return Parquet(schema)
    lines = next(lines for lines in LINES if suffix.startswith(lines))
    pack = _choose_pack(suffix.removeprefix(lines))
    return (
        JsonLines(pack)
        if lines == ".jsonl"
        else Table(lines, pack, for_spreadsheets=for_spreadsheets)
    )


def _choose_pack(compression: str) -> Pack:
    if compression == GZIP:
        return _gzip
    return _zstd() if compression == ZSTANDARD else bytes


def _gzip(segment: bytes) -> bytes:
    # Without a time in it, the same rows have the same bytes.
    return gzip.compress(segment, compresslevel=6, mtime=0)


def _zstd() -> Pack:
    codec = load_pyarrow("A .zst file").Codec("zstd")
    return lambda segment: bytes(codec.compress(segment, asbytes=True))
