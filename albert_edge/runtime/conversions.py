"""Turn arguments of transformers into those of albert-edge.

Each function takes the value of an argument and all arguments of the call, and returns the
arguments that take its place.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

from albert_edge.errors import UsageError
from albert_edge.runtime.device import find_devices

Given = Mapping[str, Any]

# By torch's names for types of numbers.
_PRECISIONS = {"float32": "fp32", "float": "fp32", "float16": "fp16", "half": "fp16"}

# Ways of spreading a model over devices, of which one device is the only case here.
_SPREADS = ("auto", "balanced", "balanced_low_0", "sequential")


def precision_of_dtype(value: Any, given: Given) -> dict[str, Any]:
    """Choose the precision for a torch.dtype or its name; "auto" leaves the choice open.

    Raises:
        UsageError: No variant has numbers of that type, or another precision is given too.
    """
    name = str(value).removeprefix("torch.")
    if value is None or name == "auto":
        return {}
    precision = _PRECISIONS.get(name)
    if precision is None:
        raise UsageError(
            f"dtype is {name}, and no variant of a bundle has numbers of that type.",
            tip=f"Give one of {', '.join(_PRECISIONS)}, or a precision such as int8.",
        )
    other = given.get("precision", "auto")
    if other not in ("auto", precision):
        raise UsageError(f"dtype is {name}, and precision is {other}.", tip="Give one of them.")
    return {"precision": precision}


def precision_of_torch_dtype(value: Any, given: Given) -> dict[str, Any]:
    """Choose the precision as `precision_of_dtype` does, unless dtype is given too."""
    if given.get("dtype") not in (None, "auto"):
        return {}
    return precision_of_dtype(value, given)


def device_of_number(value: Any, given: Given) -> dict[str, Any]:
    """Choose the device for a number: that GPU or, as in transformers, the CPU if there is none."""
    if value is None:
        return {}
    if not isinstance(value, int) or value < 0:
        return {"device": value}
    first = find_devices("auto")[0]
    if not first.is_cpu:
        return {"device": f"cuda:{value}"}
    warnings.warn(
        f"device is {value}, and {first.note}, so the CPU answers, as in transformers. "
        f"Pass device='cuda:{value}' to make this an error.",
        stacklevel=4,  # the caller of albert_edge.pipeline
    )
    return {"device": "cpu"}


def device_of_map(value: Any, given: Given) -> dict[str, Any]:
    """Choose the device that a device_map puts the whole model on.

    Raises:
        UsageError: It names several devices, or the device is given too.
    """
    if value is None:
        return {}
    if given.get("device") is not None:
        raise UsageError(
            f"device is {given['device']}, and device_map is {value!r}.", tip="Give one of them."
        )
    devices = list(value.values()) if isinstance(value, Mapping) else [value]
    if len({str(device) for device in devices}) != 1:
        raise UsageError(
            f"device_map is {value!r}; a pipeline runs on one device.",
            tip="Name that device, such as device='cuda:0'.",
        )
    return {"device": "auto" if devices[0] in _SPREADS else devices[0]}


def strategy_of_groups(value: Any, given: Given) -> dict[str, Any]:
    """Choose the aggregation_strategy for grouped_entities and ignore_subwords."""
    grouped, whole_words = given.get("grouped_entities"), given.get("ignore_subwords")
    if grouped is None and whole_words is None:
        return {}
    strategy = ("first" if whole_words else "simple") if grouped else "none"
    return {"aggregation_strategy": strategy}


def return_all_scores(value: Any, given: Given) -> dict[str, Any]:
    """Keep return_all_scores, unless top_k is given too."""
    return {} if value is None or given.get("top_k", "") != "" else {"return_all_scores": value}


def rename(name: str, *, replace: bool = True) -> Callable[[Any, Given], dict[str, Any]]:
    """Make a function that gives a value, unless it is None, to another argument.

    Args:
        name: The other argument.
        replace: Whether the value has precedence, if the other argument is given too.
    """

    def convert(value: Any, given: Given) -> dict[str, Any]:
        keeps = value is None or (not replace and given.get(name) is not None)
        return {} if keeps else {name: value}

    return convert
