"""JSON objects whose fields are read by type and range.

Every JSON file of this package is read here. An error names the file, the field, what was
expected and what was found; which class of error that is, the caller chooses:

    fields = read_object(path, partial(ConfigError, tip="Copy the checkpoint again."))
    size = fields.integer("hidden_size", 768, low=1)

An absent field is an error unless there is a default. A default of None makes null equal to an
absent field; with any other default, or none, null is a value of the wrong type.
"""

from __future__ import annotations

import json
import reprlib
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from albert_edge.disk.reading import read_regular

T = TypeVar("T")
D = TypeVar("D")

Scalar = str | int | float | bool | None

# Makes an exception of a message.
MakeError = Callable[..., Exception]

REQUIRED: Any = object()
_LARGEST = sys.float_info.max


@dataclass(frozen=True, slots=True)
class JsonObject:
    """An object of a JSON document.

    Attributes:
        values: Its fields as they are, for what is not read by type.
        place: Where it stands, such as the path of its file; errors begin with it.
        error: Makes an exception of a message.
        prefix: Goes before a field's name in errors, such as "variants[0]." in a nested object.
    """

    values: dict[str, Any]
    place: str
    error: MakeError
    prefix: str = ""

    def text(self, name: str, default: D = REQUIRED) -> str | D:
        """A text, which can be written as UTF-8."""
        return self._read(name, default, str, "a text", is_unicode)

    def integer(
        self, name: str, default: D = REQUIRED, *, low: int | None = None, high: int | None = None
    ) -> int | D:
        """A whole number in a range, both ends included."""
        expected = "a whole number"
        expected += "" if low is None else f", at least {low}"
        expected += "" if high is None else f", at most {high}"

        def fits(value: int) -> bool:
            return (low is None or low <= value) and (high is None or value <= high)

        return self._read(name, default, int, expected, fits)

    def number(
        self, name: str, default: D = REQUIRED, *, above: float = -_LARGEST, high: float = _LARGEST
    ) -> float | D:
        """A finite number, whole or not, above one bound and at most another."""
        expected = "a number"
        expected += "" if above == -_LARGEST else f" above {above:g}"
        expected += "" if high == _LARGEST else f", at most {high:g}"
        value = self._read(name, default, (int, float), expected, lambda v: above < v <= high)
        return float(value) if isinstance(value, int) else value

    def flag(self, name: str, default: D = REQUIRED) -> bool | D:
        """True or false."""
        return self._read(name, default, bool, "true or false")

    def choice(self, name: str, choices: Collection[T], default: D = REQUIRED) -> T | D:
        """One of some texts."""
        expected = " or ".join(repr(choice) for choice in choices)
        value = self._read(name, default, str, expected, lambda value: value in choices)
        return cast("T | D", value)

    def scalar(self, name: str) -> Scalar:
        """A text, a finite number, true, false or null; an absent field is an error."""
        if name not in self.values or not _is_scalar(self.values[name]):
            raise self.fault(name, "a text, a number, true, false or null")
        return cast("Scalar", self.values[name])

    def scalars(self, name: str) -> tuple[Scalar, ...]:
        """A list of texts, finite numbers, true, false and null; an absent field is an error."""
        expected = "a list of texts, numbers, true, false and null"
        values = self._read(
            name, REQUIRED, list, expected, lambda items: all(map(_is_scalar, items))
        )
        return tuple(values)

    def texts(self, name: str, default: D = REQUIRED) -> tuple[str, ...] | D:
        """A list of texts."""
        value = self._read(name, default, list, "a list of texts", _all_texts)
        return tuple(value) if isinstance(value, list) else value

    def integers(self, name: str, default: D = REQUIRED) -> tuple[int, ...] | D:
        """A list of whole numbers."""
        value = self._read(name, default, list, "a list of whole numbers", _all_integers)
        return tuple(value) if isinstance(value, list) else value

    def object(self, name: str, default: D = REQUIRED) -> JsonObject | D:
        """An object."""
        value = self._read(name, default, dict, "an object")
        return self._nested(name, value) if isinstance(value, dict) else value

    def objects(self, name: str, default: D = REQUIRED) -> tuple[JsonObject, ...] | D:
        """A list of objects."""
        value = self._read(name, default, list, "a list of objects", _all_objects)
        if not isinstance(value, list):
            return value
        return tuple(self._nested(f"{name}[{at}]", item) for at, item in enumerate(value))

    def require(self, **expected: Any) -> None:
        """Check that each field has the expected value, or is absent or null."""
        for name, value in expected.items():
            if self.values.get(name) not in (value, None):
                raise self.fault(name, repr(value))

    def fault(self, name: str, expected: str, **details: Any) -> Exception:
        """Make the error of a field that is not what was expected.

        Args:
            name: The field.
            expected: What it should be.
            details: Further arguments of `error`, such as another tip.
        """
        place = f"{self.place}: {self.prefix}{name}"
        if name not in self.values:
            return self.error(f"{place} is missing, expected {expected}.", **details)
        found = reprlib.repr(self.values[name])  # short, whatever it is
        return self.error(f"{place} should be {expected}, found {found}.", **details)

    def _nested(self, name: str, values: dict[str, Any]) -> JsonObject:
        return JsonObject(values, self.place, self.error, f"{self.prefix}{name}.")

    def _read(
        self,
        name: str,
        default: D,
        kind: type[T] | tuple[type[T], ...],
        expected: str,
        fits: Callable[[T], bool] = lambda _: True,
    ) -> T | D:
        value: Any = self.values.get(name)
        is_absent = name not in self.values or (value is None and default is None)
        if is_absent and default is not REQUIRED:
            return default
        is_kind = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        if not is_kind or not fits(value):
            raise self.fault(name, expected)
        return cast("T", value)


def read_object(path: Path, error: MakeError, *, optional: bool = False) -> JsonObject:
    """Read a file that holds a JSON object.

    Args:
        path: The file.
        error: Makes an exception of a message; raised where the file cannot be read or is not a
            JSON object, and by the fields of the object.
        optional: Read a path that is not a file as an empty object.
    """
    if optional and not path.is_file():
        return JsonObject({}, str(path), error)
    return parse_object(read_text(path, error), str(path), error)


def parse_object(
    text: str | bytes, place: str, error: MakeError, *, unique: bool = False
) -> JsonObject:
    """Parse a text that holds a JSON object.

    Args:
        text: The text.
        place: Where it comes from, for errors.
        error: Makes an exception of a message.
        unique: Refuse a field that stands twice in an object. Two parsers may take different ones.
    """
    values = parse_json(text, place, error, unique=unique)
    if not isinstance(values, dict):
        raise error(f"{place} is not a JSON object.")
    return JsonObject(values, place, error)


def parse_objects(text: str | bytes, place: str, error: MakeError) -> tuple[JsonObject, ...]:
    """Parse a text that holds a list of JSON objects, with the arguments of `parse_object`."""
    values = parse_json(text, place, error)
    if not isinstance(values, list) or not _all_objects(values):
        raise error(f"{place} is not a list of JSON objects.")
    return tuple(JsonObject(item, place, error, f"[{at}].") for at, item in enumerate(values))


def read_json(path: Path, error: MakeError) -> Any:
    """Read a file that holds any JSON value, with the arguments of `read_object`."""
    return parse_json(read_text(path, error), str(path), error)


def parse_json(text: str | bytes, place: str, error: MakeError, *, unique: bool = False) -> Any:
    """Parse a text that holds any JSON value, with the arguments of `parse_object`."""
    try:
        text = text if isinstance(text, str) else text.decode()
        return json.loads(text, object_pairs_hook=_unique if unique else None)
    except (ValueError, RecursionError) as reason:
        raise error(f"{place} is not readable JSON: {reason}") from reason


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a field stands twice in an object")
    return values


def is_unicode(text: str) -> bool:
    """Whether a text can be written as UTF-8, which JSON's escapes do not guarantee."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_text(path: Path, error: MakeError) -> str:
    """Read the text of a JSON file, with the arguments of `read_object`."""
    try:
        return read_regular(path).decode()
    except FileNotFoundError:
        raise error(f"{path} does not exist.") from None
    except (OSError, ValueError) as reason:
        raise error(f"{path} is not readable JSON: {reason}") from reason


def _is_scalar(value: Any) -> bool:
    if isinstance(value, str):
        return is_unicode(value)
    return value is None or (isinstance(value, int | float) and abs(value) <= _LARGEST)


def _all_texts(values: list[Any]) -> bool:
    return all(isinstance(value, str) and is_unicode(value) for value in values)


def _all_integers(values: list[Any]) -> bool:
    return all(isinstance(value, int) and not isinstance(value, bool) for value in values)


def _all_objects(values: list[Any]) -> bool:
    return all(isinstance(value, dict) for value in values)
