"""Check the arrays of a run against the inputs that a model declares, and fill in defaults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from albert_edge.architecture.heads import Input
from albert_edge.errors import InputError

Arrays = dict[str, npt.NDArray[Any]]

# onnxruntime's type names that differ from numpy's.
_TYPES = {"float": "float32", "double": "float64"}


def declared_inputs(engine: Any, known: Iterable[Input]) -> tuple[Input, ...]:
    """Return the inputs of a loaded model, in its order.

    Args:
        engine: An onnxruntime.InferenceSession.
        known: Inputs declared elsewhere, such as in a manifest. Other inputs get name, axes and
            type from the file, and no default.
    """
    declared = {spec.name: spec for spec in known}
    return tuple(declared.get(value.name) or _undeclared(value) for value in engine.get_inputs())


def _undeclared(value: Any) -> Input:
    name = value.type.removeprefix("tensor(").removesuffix(")")
    axes = (axis or f"{value.name}[{place}]" for place, axis in enumerate(value.shape))
    return Input(value.name, tuple(map(str, axes)), _TYPES.get(name, name))


def feed(declared: Sequence[Input], given: Mapping[str, npt.ArrayLike]) -> Arrays:
    """Build the arrays of a run.

    Args:
        declared: The inputs of the model.
        given: Arrays by name. Unknown names are ignored.

    Returns:
        An array for each input: the given one, or one filled with the default.

    Raises:
        InputError: An array is missing, has the wrong shape or type, or has an id below 0.
    """
    arrays: Arrays = {}
    sizes: dict[str, tuple[int, str]] = {}
    for spec in declared:
        if spec.name in given:
            arrays[spec.name] = array = _array(spec, given[spec.name])
            if array.ndim != len(spec.axes):
                raise _invalid(spec.name, f"has shape {array.shape}, not ({', '.join(spec.axes)})")
            for axis, size in zip(spec.axes, array.shape, strict=True):
                expected, other = sizes.setdefault(axis, (size, spec.name))
                if size != expected:
                    shapes = f"{array.shape}; {other} has {arrays[other].shape}"
                    raise _invalid(spec.name, f"has shape {shapes}")
        elif spec.default is None:
            raise InputError(f"{spec.name} is missing.", tip=f"Pass an array as {spec.name}.")
    for spec in declared:
        if spec.name not in arrays:
            shape = tuple(sizes[axis][0] for axis in spec.axes)
            arrays[spec.name] = np.full(shape, spec.default, dtype=spec.type)
    return arrays


def _array(spec: Input, values: npt.ArrayLike) -> npt.NDArray[Any]:
    try:
        array = np.asarray(values)
    except ValueError as error:  # lists of different lengths
        raise _invalid(spec.name, f"is not one array: {error}") from error
    is_ids = spec.type == "int64"
    if array.dtype.kind not in ("iub" if is_ids else "fiub") or array.size == 0:
        raise _invalid(spec.name, f"has type {array.dtype} and shape {array.shape}")
    converted = array.astype(spec.type, copy=False)
    # ONNX counts negative indices from the end of a table, so negative ids would give an answer.
    # As unsigned numbers they are above all valid ones, so one pass over the array finds them.
    if is_ids and converted.view(np.uint64).max() > np.iinfo(np.int64).max:
        raise _invalid(spec.name, f"has ids from {array.min()} to {array.max()}")
    return converted


def _invalid(name: str, what: str) -> InputError:
    tip = "Arrays are not empty, ids are 0 or more, and axes of one name have one size."
    return InputError(f"{name} {what}.", tip=tip)
