"""The portable file of a bundle: the weights that other variants are authored from."""

from __future__ import annotations

from pathlib import Path

from albert_edge.architecture.heads import HEADS
from albert_edge.bundle.bundle import Bundle
from albert_edge.bundle.manifest import PORTABLE
from albert_edge.bundle.storage import EmbeddedModel
from albert_edge.errors import Argument, BundleError, Message
from albert_edge.packages import import_extra


def portable_file(bundle: Bundle) -> Path | EmbeddedModel:
    """Return the portable file, checked as by `Bundle.model_file`.

    Raises:
        BundleError: It is missing, damaged, or was written by another exporter, or the head is
            unknown.
    """
    head = bundle.manifest.head
    if head not in HEADS:
        raise BundleError(
            f"{bundle.path} was exported for {head!r}, a head that this albert-edge cannot write.",
            tip="Use the albert-edge that wrote it, or export the model again.",
        )
    variant = bundle.variant(PORTABLE)
    if variant.exporter != "native":
        raise BundleError(
            f"{bundle.path} was exported by {variant.exporter}, whose graph hides its weights.",
            tip=Message("Export the checkpoint again with ", Argument("exporter", "native"), "."),
        )
    return bundle.model_file(variant)


def portable_path(bundle: Bundle) -> Path:
    """Check the portable file of a bundle in a folder and return its path.

    Raises:
        BundleError: As `portable_file`.
    """
    portable_file(bundle)
    return bundle.path / bundle.variant(PORTABLE).file


def require_onnx(purpose: str) -> None:
    """Require the packages that author graphs.

    Raises:
        MissingExtraError: onnx or onnxscript is not installed.
    """
    import_extra("onnx", "onnxscript", extra="export", purpose=purpose)
