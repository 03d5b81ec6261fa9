"""pyarrow, which an extra installs."""

from __future__ import annotations

from typing import Any

from albert_edge.packages import import_extra


def load_pyarrow(purpose: str) -> Any:
    """Import pyarrow.

    Args:
        purpose: What needs it, for the error, such as "Reading Parquet files".

    Raises:
        InstallationError: It is not installed, or broken.
    """
    return import_extra("pyarrow", extra="parquet", purpose=purpose)
