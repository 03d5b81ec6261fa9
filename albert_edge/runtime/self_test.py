"""The stored answers of a bundle, to find out whether this machine computes the same.

    self_test.json  {"schema_version": 1,
                     "items": [{"fields": {...}, "inputs": {"input_ids": [[...]], ...}}, ...],
                     "outputs": {"model": [{"logits": [[...]]}, ...], "model_quantized": [...]}}

An output may be stored in part: the leading entries along each of its axes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from albert_edge.architecture.heads import LAYERS
from albert_edge.bundle.bundle import Bundle
from albert_edge.bundle.manifest import Variant
from albert_edge.json_fields import JsonObject
from albert_edge.runtime.adaptation import Adaptation
from albert_edge.runtime.inputs import Arrays
from albert_edge.runtime.session import Session

SELF_TEST = "self_test.json"
_SCHEMA_VERSION = 1

# The largest difference to a stored answer, relative to the largest value of the output if that is
# over 1. Other CPUs round activations to other integers now and then, which float32 does not have.
_TOLERANCE = {"fp32": 1e-4}
_TOLERANCE_OF_OTHERS = 2e-2


@dataclass(frozen=True, slots=True)
class Item:
    """Something to answer.

    Attributes:
        inputs: The arrays that the model takes.
        fields: What they were made of, by the names of the task's fields, such as {"text": ...};
            None if they are random, since the bundle has no tokenizer.
    """

    inputs: Mapping[str, npt.NDArray[Any]]
    fields: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class SelfTest:
    """Items and their stored answers.

    Attributes:
        items: What was asked.
        outputs: By `answers_key`, the outputs for each item, or their leading entries.
    """

    items: tuple[Item, ...] = ()
    outputs: Mapping[str, tuple[Arrays, ...]] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the content of self_test.json."""
        items = []
        for item in self.items:
            about: dict[str, Any] = {} if item.fields is None else {"fields": item.fields}
            items.append(about | {"inputs": _lists(item.inputs)})
        outputs = {name: list(map(_lists, answers)) for name, answers in self.outputs.items()}
        content = {"schema_version": _SCHEMA_VERSION, "items": items, "outputs": outputs}
        return json.dumps(content, ensure_ascii=False) + "\n"


@dataclass(frozen=True, slots=True)
class AnswerCheck:
    """How far the answers of this machine are from the stored ones.

    Attributes:
        difference: The largest difference of any output, relative to the largest stored value of
            that output if that is over 1; infinite if an output is missing or of another shape, or
            if a text took another number of layers.
        tolerance: The largest difference that rounding explains.
    """

    difference: float
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether the answers are the same but for rounding; NaN never is."""
        return self.difference <= self.tolerance


def read_self_test(bundle: Bundle) -> SelfTest:
    """Read the stored answers of a bundle; none if it has no self_test.json.

    Raises:
        BundleError: The file is damaged, missing or of a newer schema version.
    """
    if not bundle.has(SELF_TEST):
        return SelfTest()
    fields = bundle.read_object(SELF_TEST, tip="Export the model again, or restore the file.")
    fields.integer("schema_version", low=1, high=_SCHEMA_VERSION)
    items = tuple(map(_item, fields.objects("items")))
    by_variant = fields.object("outputs")
    outputs = {name: _answers(by_variant, name, len(items)) for name in by_variant.values}
    return SelfTest(items, outputs)


def answers_key(variant: Variant, adaptation: Adaptation | None) -> str:
    """Return the name under which the answers of a variant are stored.

    With activations of 7 bits it gives others than as it is or with unsigned weights.
    """
    is_narrow = adaptation is Adaptation.NARROW_ACTIVATIONS
    return f"{variant.name}, {adaptation}" if is_narrow else variant.name


def answers_keys(variant: Variant) -> tuple[str, ...]:
    """Return the names under which answers of a variant may be stored."""
    name = answers_key(variant, None)
    if not variant.narrow_activations:
        return (name,)
    return name, answers_key(variant, Adaptation.NARROW_ACTIVATIONS)


def check_answers(session: Session) -> AnswerCheck | None:
    """Compare the answers of a session with those stored in its bundle.

    Returns:
        How far apart they are, or None if none are stored for the variant of the session.

    Raises:
        BundleError: The stored answers are damaged.
        InputError: The model cannot be run on their inputs.
    """
    stored = read_self_test(session.bundle)
    variant = session.variant
    key = answers_key(variant, session.adaptation)
    if key not in stored.outputs:
        return None
    pairs = zip(stored.items, stored.outputs[key], strict=True)
    differences = [_difference(session.run(item.inputs), answers) for item, answers in pairs]
    largest = float(np.max(differences))  # unlike max(), this lets a NaN through
    return AnswerCheck(largest, _TOLERANCE.get(variant.precision, _TOLERANCE_OF_OTHERS))


def _difference(computed: Arrays, stored: Arrays) -> float:
    if LAYERS in stored and not np.array_equal(computed.get(LAYERS, ()), stored[LAYERS]):
        return np.inf
    names = stored.keys() - {LAYERS}
    return float(np.max([_distance(computed.get(name), stored[name]) for name in names]))


def _distance(computed: npt.NDArray[Any] | None, stored: npt.NDArray[Any]) -> float:
    if computed is not None and not stored.size:  # as at [MASK], of an item that has none
        return np.inf if computed.size else 0.0
    if computed is None or computed.ndim != stored.ndim:
        return np.inf
    leading = computed[tuple(map(slice, stored.shape))]
    if leading.shape != stored.shape:
        return np.inf
    scale = np.abs(stored).max(initial=1.0)
    return float(np.abs(leading - stored).max(initial=0.0) / scale)


def _item(fields: JsonObject) -> Item:
    about = fields.object("fields", None)
    inputs = _arrays(fields.object("inputs"), np.int64)
    return Item(inputs, None if about is None else about.values)


def _answers(fields: JsonObject, variant: str, count: int) -> tuple[Arrays, ...]:
    answers = tuple(_arrays(answer, np.float32) for answer in fields.objects(variant))
    if len(answers) != count or not all(answers):
        raise fields.fault(variant, f"the outputs for {count} items")
    return answers


def _arrays(fields: JsonObject, dtype: npt.DTypeLike) -> Arrays:
    return {name: _array(fields, name, dtype) for name in fields.values}


def _array(fields: JsonObject, name: str, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    try:
        array = np.asarray(fields.values[name])
        if array.dtype.kind in "if":
            return array.astype(dtype, casting="same_kind" if array.dtype.kind == "f" else "unsafe")
    except (ValueError, TypeError):  # lists of different lengths, or fractions as ids
        pass
    raise fields.fault(name, "an array of numbers")


def _lists(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, Any]:
    return {name: _shortest(values) for name, values in arrays.items()}


def _shortest(values: npt.NDArray[Any]) -> Any:
    """Return nested lists; floats with the digits that float32 needs, and no more."""
    if values.dtype.kind == "f":
        values = values.astype(np.float32).astype(str).astype(np.float64)
    return values.tolist()
