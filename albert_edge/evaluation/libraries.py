"""What the metrics are computed with, all of one extra."""

from __future__ import annotations

import importlib

from albert_edge.errors import MissingExtraError

_PACKAGES = {"sklearn": "scikit-learn", "scipy": "scipy", "seqeval": "seqeval"}


def require_libraries() -> None:
    """See that the metrics can be computed, before minutes go into answers.

    Raises:
        MissingExtraError: A library is not installed.
    """
    for module, package in _PACKAGES.items():
        try:
            importlib.import_module(module)
        except ImportError:
            raise MissingExtraError(package, extra="evaluate", purpose="Evaluating") from None
