"""pyarrow, which an extra installs."""

from __future__ import annotations

from typing import Any

from albert_edge.errors import MissingExtraError


def load_pyarrow(purpose: str) -> Any:
    """Import pyarrow.

    Args:
        purpose: What needs it, for the error.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import pyarrow
        import pyarrow.ipc
    except ImportError as error:
        raise MissingExtraError("pyarrow", extra="parquet", purpose=purpose) from error
    return pyarrow
