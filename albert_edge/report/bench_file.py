"""Read back what `bench --json` printed."""

from __future__ import annotations

import dataclasses
import math
import os
import types
import typing
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from albert_edge.benchmark.report import BenchReport
from albert_edge.errors import Call, InputError, Message
from albert_edge.json_fields import JsonObject, read_object

_error = partial(InputError, tip=Message("Make it with ", Call("bench", "BUNDLE"), ", as JSON."))


def read_bench(path: str | os.PathLike[str]) -> BenchReport:
    """Read a benchmark from its JSON document.

    Raises:
        InputError: The file cannot be read or is not such a document; the message says where.
    """
    report: BenchReport = _read(BenchReport, read_object(Path(path), _error))
    return report


def parse_bench(document: dict[str, Any]) -> BenchReport:
    """Read a benchmark from its parsed document.

    Raises:
        InputError: It is another document; the message says where.
    """
    report: BenchReport = _read(BenchReport, JsonObject(document, "the document", _error))
    return report


def _read(kind: Any, fields: JsonObject) -> Any:
    """Build a dataclass from the fields of an object; others are ignored.

    Fields with a default were added later, so an older document may lack them.
    """
    hints = typing.get_type_hints(kind)
    names = [
        field.name
        for field in dataclasses.fields(kind)
        if field.name in fields.values or field.default is dataclasses.MISSING
    ]
    return kind(**{name: _value(hints[name], fields, name) for name in names})


def _value(kind: Any, fields: JsonObject, name: str) -> Any:
    """Read a field of one of the types that a benchmark is made of.

    A null in place of a number is NaN: JSON has no other way to write one.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        [kind] = [member for member in arguments if member is not types.NoneType]
        is_null = name in fields.values and fields.values[name] is None
        return None if is_null else _value(kind, fields, name)
    if origin is dict:
        nested = fields.object(name)
        return {key: _value(arguments[1], nested, key) for key in nested.values}
    if origin in (list, tuple):
        return origin(_read(arguments[0], item) for item in fields.objects(name))
    if dataclasses.is_dataclass(kind):
        return _read(kind, fields.object(name))
    if kind is float and fields.values.get(name, 0) is None:
        return math.nan
    readers: dict[Any, Callable[[str], Any]] = {
        int: fields.integer,
        float: fields.number,
        str: fields.text,
        bool: fields.flag,
    }
    return fields.values[name] if kind is Any else readers[kind](name)
