"""JSON files read by type and range, and what errors say about them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from albert_edge.errors import BundleError
from albert_edge.json_fields import (
    JsonObject,
    parse_json,
    parse_object,
    parse_objects,
    read_json,
    read_object,
)

damaged = partial(BundleError, tip="Copy it again.")

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
READERS: dict[str, tuple[Callable[[JsonObject], Any], type]] = {
    "text": (lambda fields: fields.text("x"), str),
    "integer": (lambda fields: fields.integer("x", low=-5, high=5), int),
    "number": (lambda fields: fields.number("x"), float),
    "flag": (lambda fields: fields.flag("x"), bool),
    "choice": (lambda fields: fields.choice("x", ["a", "b"]), str),
    "texts": (lambda fields: fields.texts("x"), tuple),
    "integers": (lambda fields: fields.integers("x"), tuple),
    "object": (lambda fields: fields.object("x"), JsonObject),
    "objects": (lambda fields: fields.objects("x"), tuple),
}


def fields(**values: Any) -> JsonObject:
    return JsonObject(values, "a.json", damaged)


def test_fields_of_every_type() -> None:
    values = fields(
        text="a", integer=3, number=1, flag=False, choice="b", texts=["a"], object={"x": 1}
    )
    assert values.text("text") == "a"
    assert values.integer("integer", low=3, high=3) == 3
    assert values.number("number", above=0, high=1) == 1.0
    assert isinstance(values.number("number"), float)
    assert values.flag("flag") is False
    assert values.choice("choice", ["a", "b"]) == "b"
    assert values.texts("texts") == ("a",)
    assert fields(x=[1, -2]).integers("x") == (1, -2)
    assert values.object("object").integer("x") == 1


@pytest.mark.parametrize("reader", READERS)
@given(value=JSON)
def test_any_value_is_read_or_refused(reader: str, value: Any) -> None:
    """Never a value of another type, and never another error."""
    read, kind = READERS[reader]
    try:
        result = read(fields(x=value))
    except BundleError as error:
        assert str(error).startswith("a.json: x should be ")
        assert error.tip == "Copy it again."
        str(error).encode()
    else:
        assert not isinstance(result, float) or math.isfinite(result)
        assert type(result) is kind
        if kind in (str, int, bool):
            assert result == value


@pytest.mark.parametrize(
    ("reader", "value"),
    [
        ("text", "\ud800"),
        ("integer", True),
        ("integer", 1.0),
        ("integer", 6),
        ("number", False),
        ("number", 10**400),
        ("number", float("nan")),
        ("flag", 1),
        ("choice", "c"),
        ("texts", ["a", 1]),
        ("texts", ["\ud800"]),
        ("integers", [1, 2.0]),
        ("integers", [True]),
        ("objects", [{}, 1]),
    ],
)
def test_values_that_only_look_right(reader: str, value: Any) -> None:
    with pytest.raises(BundleError, match="x should be"):
        READERS[reader][0](fields(x=value))


def test_the_error_says_what_was_expected_and_found() -> None:
    with pytest.raises(BundleError) as caught:
        fields(size=7).integer("size", low=1, high=5)
    expected = "a.json: size should be a whole number, at least 1, at most 5, found 7."
    assert str(caught.value) == expected
    with pytest.raises(BundleError, match="a number above 0, at most 1, found 2"):
        fields(share=2).number("share", above=0, high=1)
    with pytest.raises(BundleError, match="'a' or 'b', found 'c'"):
        fields(x="c").choice("x", ["a", "b"])


def test_the_caller_chooses_the_error_and_its_details() -> None:
    with pytest.raises(ValueError, match=r"settings: x is missing, expected a text\."):
        JsonObject({}, "settings", ValueError).text("x")
    error = fields(x=1).fault("x", "2", tip="Make it 2.")
    assert isinstance(error, BundleError)
    assert error.tip == "Make it 2."


@pytest.mark.parametrize("reader", READERS)
def test_required_fields(reader: str) -> None:
    with pytest.raises(BundleError, match="x is missing"):
        READERS[reader][0](fields())
    with pytest.raises(BundleError, match="found None"):
        READERS[reader][0](fields(x=None))


def test_a_default_of_none_takes_null_as_absent() -> None:
    assert fields().text("x", None) is None
    assert fields(x=None).text("x", None) is None
    assert fields(x="a").text("x", None) == "a"
    with pytest.raises(BundleError):
        fields(x=1).text("x", None)


def test_another_default_stands_for_absent_fields_only() -> None:
    assert fields().integer("x", 3) == 3
    with pytest.raises(BundleError):
        fields(x=None).integer("x", 3)


def test_fields_that_have_one_supported_value() -> None:
    fields(x=None, y=[1]).require(x=1, y=[1], z=3)
    with pytest.raises(BundleError, match=r"x should be 1, found 2\."):
        fields(x=2).require(x=1)


def test_nested_objects_name_the_whole_path() -> None:
    outer = fields(a={"b": [{"c": 1}, {"c": "no"}]})
    first, second = outer.object("a").objects("b")
    assert first.integer("c") == 1
    with pytest.raises(BundleError, match=r"a\.json: a\.b\[1\]\.c should be a whole number"):
        second.integer("c")


def test_long_values_are_shown_short() -> None:
    with pytest.raises(BundleError) as caught:
        fields(x=["a" * 1000] * 1000).flag("x")
    assert len(str(caught.value)) < 500


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"x": "ä"}', encoding="utf-8")
    assert read_object(path, damaged).text("x") == "ä"
    assert read_object(path, damaged).place == str(path)
    assert read_json(path, damaged) == {"x": "ä"}


def test_files_that_are_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    assert read_object(path, damaged, optional=True).values == {}
    with pytest.raises(BundleError, match=r"a\.json does not exist"):
        read_object(path, damaged)
    with pytest.raises(BundleError, match="not readable JSON"):
        read_object(tmp_path, damaged)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not readable JSON"),
        (b"{", "not readable JSON"),
        (b"\xff\xfe{\x00}\x00", "not readable JSON"),
        (b"\xef\xbb\xbf{}", "not readable JSON"),
        (b"[" * 100_000, "not readable JSON"),
        (b'{"x": ' + b"9" * 10_000 + b"}", "not readable JSON"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
    ],
)
def test_files_that_hold_no_object(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    for optional in (False, True):
        with pytest.raises(BundleError, match=message):
            read_object(path, damaged, optional=optional)


@given(content=st.binary(max_size=20) | JSON.map(lambda value: json.dumps(value).encode()))
def test_arbitrary_texts(content: bytes) -> None:
    for parse in (parse_json, parse_object, parse_objects):
        try:
            parse(content, "a.json", damaged)
        except BundleError as error:
            assert str(error).startswith("a.json is not ")


def test_bytes_are_utf_8() -> None:
    assert parse_json('"ä"'.encode(), "a.json", damaged) == "ä"
    with pytest.raises(BundleError, match="not readable JSON"):
        parse_json('"ä"'.encode("utf-16"), "a.json", damaged)


def test_lists_of_objects() -> None:
    first, second = parse_objects('[{"x": 1}, {}]', "a.json", damaged)
    assert first.integer("x") == 1
    with pytest.raises(BundleError, match=r"a\.json: \[1\]\.x is missing"):
        second.integer("x")
    for text in ("{}", "[1]", '"a"'):
        with pytest.raises(BundleError, match="not a list of JSON objects"):
            parse_objects(text, "a.json", damaged)
