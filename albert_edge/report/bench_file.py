"""Reading back what `albert-edge bench --json` printed."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import types
import typing
from pathlib import Path
from typing import Any

from albert_edge.benchmark.report import BenchReport
from albert_edge.benchmark.roofline import Roofline
from albert_edge.errors import InputError
from albert_edge.machine.machine import Machine


def read_bench(path: str | os.PathLike[str]) -> BenchReport:
    """Read a bench report from its JSON document.

    Raises:
        InputError: The file cannot be read or is something else; the message says where.
    """
    try:
        return parse_bench(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{path} is not what bench prints: {reason}.",
            tip=f"Make it with: albert-edge bench BUNDLE --json > {path}",
        ) from error


def parse_bench(document: Any) -> BenchReport:
    """A bench report from its document.

    Raises:
        TypeError: It is the document of something else.
    """
    report: BenchReport = from_json(BenchReport, document)
    return report


def from_json(kind: Any, value: Any, place: str = "the document") -> Any:
    """A value of a type made of dataclasses, lists, dictionaries and plain values.

    A null that stands for a number is NaN: JSON has no other way to write one. Fields that a
    dataclass has not are left out.

    Raises:
        TypeError: A value is of another type, or a field is missing; the message names the place.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, _checked(value, dict, place), place)
    if origin is list:
        items = enumerate(_checked(value, list, place))
        return [from_json(arguments[0], item, f"{place}[{index}]") for index, item in items]
    if origin is tuple:  # of any length
        return tuple(from_json(list[arguments[0]], value, place))  # type: ignore[valid-type]
    if origin is dict:
        items = _checked(value, dict, place).items()
        return {key: from_json(arguments[1], item, f"{place}.{key}") for key, item in items}
    if origin in (types.UnionType, typing.Union):
        [real] = [one for one in arguments if one is not type(None)]
        return None if value is None else from_json(real, value, place)
    if kind is float:
        return math.nan if value is None else float(_checked(value, (int, float), place))
    return _checked(value, kind, place)


def _dataclass(kind: Any, fields: dict[str, Any], place: str) -> Any:
    names = {"Machine": Machine, "Roofline": Roofline}
    hints = typing.get_type_hints(kind, localns=names)
    missing = [one.name for one in dataclasses.fields(kind) if one.name not in fields]
    if missing:
        raise TypeError(f"{place} has no {missing[0]}")
    return kind(
        **{
            one.name: from_json(hints[one.name], fields[one.name], f"{place}.{one.name}")
            for one in dataclasses.fields(kind)
        }
    )


def _checked(value: Any, kind: Any, place: str) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"{place} is {str(value)[:60]!r}")
    return value
