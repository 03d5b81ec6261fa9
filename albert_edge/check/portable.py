"""The portable file of a bundle: the weights that other variants are authored from."""

from __future__ import annotations

from pathlib import Path

from albert_edge.bundle.bundle import Bundle
from albert_edge.bundle.manifest import PORTABLE
from albert_edge.errors import Argument, BundleError, Message, MissingExtraError


def portable_file(bundle: Bundle) -> Path:
    """Check the portable file and return its path.

    Raises:
        BundleError: It is missing, damaged, or was written by another exporter.
    """
    variant = bundle.variant(PORTABLE)
    if variant.exporter != "native":
        raise BundleError(
            f"{bundle.folder} was exported by {variant.exporter}, whose graph hides its weights.",
            tip=Message("Export the checkpoint again with ", Argument("exporter", "native"), "."),
        )
    return bundle.model_file(variant)


def require_onnx(purpose: str) -> None:
    """Require the packages that author graphs.

    Raises:
        MissingExtraError: onnx or onnxscript is not installed.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(error.name or "onnx", extra="export", purpose=purpose) from None
