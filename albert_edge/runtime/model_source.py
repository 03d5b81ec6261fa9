"""What onnxruntime makes a session of: the path of an .onnx file, or its content.

onnxruntime copies a model given as bytes while it loads it, and maps only files that it opens
itself. A model in a packed file is therefore read once, checked, handed over and freed: what was
checked is what is loaded, at the price of one copy of the file while it loads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from albert_edge.bundle.storage import EmbeddedModel
from albert_edge.runtime.adaptation import Adaptation, adapt
from albert_edge.runtime.providers import load_onnxruntime

ModelFile = Path | EmbeddedModel


def path_of(model: ModelFile) -> Path:
    """Return what errors call a model."""
    return model if isinstance(model, Path) else model.path


@dataclass(frozen=True, slots=True)
class ModelSource:
    """What onnxruntime opens.

    Attributes:
        model: A path, or the content of an .onnx file.
        external_data: The external data of that content, by name.
    """

    model: Path | bytes
    external_data: Mapping[str, memoryview] = field(default_factory=dict)

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
    """Read what onnxruntime cannot open itself, checked.

    Args:
        model: The .onnx file.
        adaptation: How to change an int8 model.

    Raises:
        BundleError: The model cannot be read, or cannot be changed.
    """
    if isinstance(model, Path):
        return ModelSource(adapt(model.read_bytes(), model, adaptation) if adaptation else model)
    content = model.read()
    if adaptation:
        content = adapt(content, model.path, adaptation)
    return ModelSource(content, model.external_data())
