"""The portable file of a bundle: the weights that other variants are authored from."""

from __future__ import annotations

from albert_edge.architecture.heads import HEADS
from albert_edge.bundle.bundle import Bundle
from albert_edge.bundle.manifest import PORTABLE
from albert_edge.bundle.model_file import BundledModel
from albert_edge.errors import Argument, BundleError, Message
from albert_edge.packages import import_extra
from albert_edge.runtime.model_source import read_checked


def portable_file(bundle: Bundle) -> BundledModel:
    """Return the portable file, after checking its sha256 and its graph.

    Raises:
        BundleError: It is missing, damaged, or was written by another exporter, the head is
            unknown, or no exporter has written such a graph.
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
    model = bundle.model_file(variant)
    model.check()
    read_checked(model)
    return model


def require_onnx(purpose: str) -> None:
    """Require the packages that author graphs.

    Raises:
        MissingExtraError: onnx or onnxscript is not installed.
    """
    import_extra("onnx", "onnxscript", extra="export", purpose=purpose)
