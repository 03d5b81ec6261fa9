"""Weights beside an .onnx file: what may be said about where they are.

The checker of bundles and the reader of weights share these rules.
"""

from __future__ import annotations


def require_file_name(location: str) -> None:
    """Check that a location is the name of a file beside the model.

    Raises:
        ValueError: It is not.
    """
    if set(location) & set("/\\:\0") or location in ("", ".", ".."):
        raise ValueError(f"external data at {location!r} is not a file beside the model")


def require_inside(offset: int, length: int, size: int) -> None:
    """Check that a part of a file is inside the file.

    Raises:
        ValueError: It is not.
    """
    if offset < 0 or length < 0 or offset + length > size:
        raise ValueError(
            f"external data of {length} bytes from {offset} on is not inside a file of {size}"
        )
