"""Every error albert-edge raises on purpose.

    AlbertEdgeError                 exit code 1
    ├── UsageError                  2   an argument that cannot be meant
    ├── ConfigError                 1   config.json is not an ALBERT this package can build
    ├── CheckpointError             1   tensors or tokenizer files that do not fit the configuration
    ├── BundleError                 1   a bundle that is missing, damaged or changed underneath
    ├── InputError (ValueError)     1   a text or array the model cannot take
    │   └── RecordError             1   a record that cannot be read; the message says which
    ├── QualityError                3   answers too far from the reference; nothing was written
    ├── MissingExtraError           4   an optional dependency is not installed
    ├── DeviceError                 4   the device asked for is not there
    └── SourceUnreachableError      5   the hub could not be reached, or has no such model

Each carries what happened (the message) and what to do next (`tip`).
"""

from __future__ import annotations

from typing import Any, ClassVar


class AlbertEdgeError(Exception):
    """Base of all errors of this package.

    Args:
        message: What went wrong, naming the file, tensor or option.
        tip: What the user does next.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, tip: str) -> None:
        super().__init__(message)
        self.tip = tip


class UsageError(AlbertEdgeError):
    """An argument or a combination of arguments that has no meaning."""

    exit_code = 2


class ConfigError(AlbertEdgeError):
    """config.json is missing, malformed, out of range or not an ALBERT."""


class CheckpointError(AlbertEdgeError):
    """Tensors or tokenizer files are missing, damaged or do not fit the configuration."""


class BundleError(AlbertEdgeError):
    """The bundle folder is missing, damaged, or was changed by another process."""


class InputError(AlbertEdgeError, ValueError):
    """A text or an array that the model cannot take."""


class RecordError(InputError):
    """A record of a file that cannot be read or has not the fields it needs."""


class QualityError(AlbertEdgeError):
    """A variant's answers are too far from the reference; nothing was written.

    Args:
        message: What is too far from what.
        tip: What the user does next.
        report: What was measured, such as a `QuantizeReport`, or None.
    """

    exit_code = 3

    def __init__(self, message: str, *, tip: str, report: Any = None) -> None:
        super().__init__(message, tip=tip)
        self.report = report


class MissingExtraError(AlbertEdgeError):
    """An optional dependency is not installed.

    Args:
        package: The distribution that could not be imported.
        extra: The extra of albert-edge that brings it.
        purpose: What it is needed for.
    """

    exit_code = 4

    def __init__(self, package: str, *, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs {package}, which is not installed.",
            tip=f"pip install 'albert-edge[{extra}]'",
        )
        self.extra = extra


class DeviceError(AlbertEdgeError):
    """The device or execution provider asked for is not available."""

    exit_code = 4


class SourceUnreachableError(AlbertEdgeError):
    """The hub could not be reached, or it has no such model or revision."""

    exit_code = 5
