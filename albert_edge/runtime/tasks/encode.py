"""The arguments of `encode` that a call of the pipeline does not have, and its results.

Names, order and values are those of sentence-transformers. Only tensors need torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, get_args

import numpy as np
import numpy.typing as npt

from albert_edge.errors import Argument, InputError, Message, UsageError
from albert_edge.packages import import_extra
from albert_edge.runtime.device import find_devices
from albert_edge.runtime.parameters import invalid
from albert_edge.runtime.tasks.pooling import EMBEDDING, Vector

Texts = str | Iterable[str]

Precision = Literal["float32", "int8", "uint8", "binary", "ubinary"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
# The order in which sentence-transformers takes arguments without names.
POSITIONAL = (
    "texts",
    "prompt_name",
    "prompt",
    "batch_size",
    "show_progress_bar",
    "output_value",
    "precision",
    "convert_to_numpy",
    "convert_to_tensor",
    "device",
    "normalize_embeddings",
    "truncate_dim",
    "pool",
    "chunk_size",
)
_TEXTS = ("texts", "sentences", "inputs")


class EncodeForm(TypedDict, total=False):
    """The arguments of `encode` that a call of the pipeline does not have.

    Attributes:
        texts: One text, or any number of them; `sentences` and `inputs` are the same.
        precision: "float32" (the default); "int8" or "uint8", 256 steps from the smallest to the
            largest value that each dimension has among these embeddings; "binary" or "ubinary",
            one bit for each dimension, which is set for positive values.
        convert_to_numpy: Whether arrays are those of numpy (the default); False makes a list of
            torch tensors.
        convert_to_tensor: Whether the result is a torch tensor.
        normalize_embeddings: Whether embeddings are scaled to length 1 in any case.
        show_progress_bar: Whether a progress bar is shown.
        device: The device that the pipeline runs on; another one is an error.
        pool: A pool of processes, which is an error; or None.
        chunk_size: Accepted without effect, as no texts are sent to processes.
        task: Accepted without effect, as no supported module depends on it.
    """

    texts: Texts
    sentences: Texts
    inputs: Texts
    precision: Precision | None
    convert_to_numpy: bool
    convert_to_tensor: bool
    normalize_embeddings: bool
    show_progress_bar: bool | None
    device: Any
    pool: Any
    chunk_size: int | None
    task: str | None


def read_texts(given: Mapping[str, Any]) -> Any:
    """Return the texts among the arguments of `encode`, or None.

    Raises:
        TypeError: They are given under two names.
    """
    found = [given[name] for name in _TEXTS if name in given]
    if len(found) > 1:
        raise TypeError(f"encode takes texts under one of the names {', '.join(_TEXTS)}")
    return found[0] if found else None


def call_parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `encode` as the parameters of a call."""
    form = EncodeForm.__annotations__
    parameters = {name: value for name, value in given.items() if name not in form}
    if "normalize_embeddings" in given:  # False keeps a Normalize module
        parameters["normalize"] = given["normalize_embeddings"] or None
    if "show_progress_bar" in given:
        parameters["progress"] = bool(given["show_progress_bar"])
    return parameters


def require_device(given: Mapping[str, Any], name: str) -> None:
    """Check that the arguments of `encode` ask for no other device than a pipeline's.

    Args:
        given: The arguments.
        name: The name of the pipeline's device.

    Raises:
        UsageError: They ask for another device, for several, or for a pool of processes.
        DeviceError: They ask for a device that the installed onnxruntime does not have.
    """
    device = given.get("device")
    if given.get("pool") is not None or isinstance(device, list | tuple):
        raise UsageError(
            "encode sends no texts to other processes.",
            tip="Leave pool out, and name one device when the pipeline is loaded; texts are "
            "answered in parallel by its threads.",
        )
    if device is not None and all(found.name != name for found in find_devices(device)):
        raise UsageError(
            f"device is {str(device)!r}, and this pipeline runs on {name}.",
            tip=f"Leave it out, or load the pipeline with device={str(device)!r}.",
        )


@dataclass(frozen=True, slots=True)
class Results:
    """Makes the result of `encode`.

    Attributes:
        precision: One of `PRECISIONS`.
        stacked: Whether all embeddings become one array or tensor.
        convert: Makes what is returned of an array.
    """

    precision: str
    stacked: bool
    convert: Callable[[npt.NDArray[Any]], Any]

    def embeddings(self, vectors: Vector) -> Any:
        """Make the result of embeddings, (texts, size)."""
        quantized = quantize(vectors, self.precision)
        return self.convert(quantized) if self.stacked else list(map(self.convert, quantized))

    def features(self, answer: Any) -> Any:
        """Make the result of one text of an output_value that is not an embedding."""
        if isinstance(answer, dict):
            return {name: self.convert(values) for name, values in answer.items()}
        return self.convert(answer)


def read_results(given: Mapping[str, Any], output_value: str | None) -> Results:
    """Check the form of the result.

    Args:
        given: The arguments of `encode`.
        output_value: What its answers are.

    Raises:
        UsageError: A value is invalid.
        MissingExtraError: Tensors are asked for, and torch is not installed.
    """
    precision = given.get("precision") or "float32"
    if precision not in PRECISIONS:
        raise invalid("precision", precision, f"It is one of: {', '.join(PRECISIONS)}.")
    if precision != "float32" and output_value != EMBEDDING:
        raise UsageError(
            f"precision is {precision!r}, and output_value is {output_value!r}.",
            tip="Only sentence embeddings have another precision than float32.",
        )
    as_tensor = bool(given.get("convert_to_tensor", False))
    as_numpy = bool(given.get("convert_to_numpy", True)) and not as_tensor
    return Results(precision, as_tensor or as_numpy, np.asarray if as_numpy else _tensor_maker())


def quantize(vectors: Vector, precision: str) -> npt.NDArray[Any]:
    """Change the precision of embeddings, as sentence_transformers.quantize_embeddings does.

    Args:
        vectors: The embeddings, (texts, size).
        precision: One of `PRECISIONS`.

    Returns:
        (texts, size), or bytes of 8 bits, (texts, size / 8 rounded up). "int8" is "uint8" minus
        128, and "binary" is "ubinary" minus 128.

    Raises:
        InputError: "int8" or "uint8" of one embedding, which has no ranges.
    """
    match precision:
        case "float32":
            return vectors
        case "ubinary" | "binary":
            unsigned = np.packbits(vectors > 0, axis=-1)
        case _:
            unsigned = _steps(vectors)
    if precision in ("int8", "binary"):
        return (unsigned ^ 0x80).view(np.int8)
    return unsigned


def _steps(vectors: Vector) -> npt.NDArray[np.uint8]:
    if len(vectors) == 1:
        raise InputError(
            "One embedding has no range of values to divide into steps of int8 or uint8.",
            tip=Message(
                "Encode many texts in one call, or use ", Argument("precision", "binary"), "."
            ),
        )
    if not len(vectors):
        return vectors.astype(np.uint8)
    starts = vectors.min(axis=0)
    steps = (vectors.max(axis=0) - starts) / 255
    steps = np.where(steps == 0, 1, steps)
    numbers: Vector = np.clip(np.floor((vectors - starts) / steps), 0, 255)
    return numbers.astype(np.uint8)


def _tensor_maker() -> Callable[[npt.NDArray[Any]], Any]:
    purpose = Message(Argument("convert_to_tensor", True))
    torch = import_extra("torch", extra="reference", purpose=purpose)
    return lambda array: torch.from_numpy(np.ascontiguousarray(array))
