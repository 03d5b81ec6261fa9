"""pyarrow, which an extra installs."""

from __future__ import annotations

from typing import Any

from albert_edge.errors import MissingExtraError


def load_pyarrow(purpose: str) -> Any:
    """Import pyarrow.

    Args:
        purpose: What needs it, for the error, such as "Reading Parquet files".

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import pyarrow
    except ImportError:
        raise MissingExtraError("pyarrow", extra="parquet", purpose=purpose) from None
    return pyarrow
