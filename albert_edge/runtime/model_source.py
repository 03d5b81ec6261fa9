"""What onnxruntime makes a session of: the path of an .onnx file, or its content.

A file of a bundle is read once. Its hash and its graph are checked, then that content is handed to
onnxruntime, with its external data: so nothing else is loaded than what was checked, and no name in
the file is looked up in any folder. A file that this process has just written is opened by
onnxruntime itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from albert_edge.bundle.model_file import BundledModel
from albert_edge.runtime.adaptation import Adaptation, adapt
from albert_edge.runtime.providers import load_onnxruntime

ModelFile = Path | BundledModel
"""An .onnx file that this process has written, or one of a bundle."""


def path_of(model: ModelFile) -> Path:
    """Return what errors call a model."""
    return model if isinstance(model, Path) else model.path


def bytes_of(model: ModelFile) -> int:
    """Return the size of an .onnx file, without that of external data."""
    return model.stat().st_size if isinstance(model, Path) else model.size


@dataclass(frozen=True, slots=True)
class ModelSource:
    """What onnxruntime opens.

    Attributes:
        model: A path, or the content of an .onnx file.
        external_data: The external data of that content, by name.
    """

    model: Path | bytes
    external_data: Mapping[str, bytes] = field(default_factory=dict)

    def make_session(self, options: Any, **arguments: Any) -> Any:
        """Make an onnxruntime.InferenceSession.

        Args:
            options: The onnxruntime.SessionOptions, not to be used again.
            **arguments: Further arguments of the session.
        """
        if data := self.external_data:  # copied before the session is made
            options.add_external_initializers_from_files_in_memory(
                [*data], [*data.values()], [*map(len, data.values())]
            )
        session = load_onnxruntime().InferenceSession(self.model, options, **arguments)
        # It keeps the content to load it again on another provider, which nobody asks of it.
        session._model_bytes = None
        return session


def read_source(model: ModelFile, adaptation: Adaptation | None) -> ModelSource:
    """Read a model for onnxruntime; one of a bundle is checked.

    Args:
        model: The .onnx file.
        adaptation: How to change an int8 model.

    Raises:
        BundleError: The model cannot be read, was not written by an exporter, or cannot be changed.
    """
    if isinstance(model, Path):
        if adaptation:
            return ModelSource(adapt(model.read_bytes(), model, adaptation))
        return ModelSource(model if _is_unicode(model) else model.read_bytes())
    content = read_checked(model)
    if adaptation:
        content = adapt(content, model.path, adaptation)
    return ModelSource(content, model.read_data())


def _is_unicode(path: Path) -> bool:
    """Return whether onnxruntime can open a path, which it takes as UTF-8."""
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def read_checked(model: BundledModel) -> bytes:
    """Read an .onnx file of a bundle, with its hash and its graph checked.

    Raises:
        BundleError: It cannot be read, its sha256 differs, or no exporter has written such a graph.
    """
    from albert_edge.validation.graph import check_model, declared_by

    content = model.read()
    check_model(memoryview(content), declared_by(model))
    return content
