"""What the outputs of a model must have in common with the manifest."""

from __future__ import annotations

from typing import Any

from albert_edge.architecture.heads import HEADS
from albert_edge.bundle.bundle import Bundle
from albert_edge.errors import BundleError

_CLASSES = "num_labels"


def require_labels(engine: Any, bundle: Bundle) -> None:
    """Check that a model has a score for each label of the manifest.

    Args:
        engine: An onnxruntime.InferenceSession.
        bundle: Its bundle.

    Raises:
        BundleError: It has more or fewer.
    """
    manifest = bundle.manifest
    axes = HEADS[manifest.head].outputs if manifest.head in HEADS else {}
    for output in engine.get_outputs():
        classes = dict(zip(axes.get(output.name, ()), output.shape, strict=False)).get(_CLASSES)
        if isinstance(classes, int) and classes != len(manifest.labels):
            raise BundleError(
                f"{bundle.path}: the manifest has {len(manifest.labels)} labels, and the output "
                f"{output.name} of the model {classes} classes.",
                tip="The manifest and the model are of different bundles. Export the model again.",
                where=bundle.path,
            )
