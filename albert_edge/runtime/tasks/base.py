"""What a pipeline needs to know of a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from albert_edge.manifest import Manifest
from albert_edge.runtime.text import TextEncoder

Inputs = dict[str, npt.NDArray[np.int64]]
Outputs = Mapping[str, npt.NDArray[Any]]


class Task(Protocol):
    """Turns one item into model inputs, and model outputs into its answer.

    Its methods see the parameters of a call as `parameters` returned them.
    """

    def __init__(self, manifest: Manifest) -> None:
        """Take from the manifest what the answers need."""

    @property
    def parameters(self) -> Callable[..., Any]:
        """Checks the keyword arguments of a call and fills in their defaults."""

    def encode(self, encoder: TextEncoder, item: Any, parameters: Any) -> Inputs:
        """Turn one item, a text or a pair, into model inputs."""

    def answer(self, outputs: Outputs, parameters: Any) -> Any:
        """Turn model outputs into one answer."""

    def single(self, item: Any, answer: Any, given: Mapping[str, Any]) -> Any:
        """What a call with one item and the keyword arguments `given` returns."""
