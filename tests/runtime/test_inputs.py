"""What a model declares is what a run is fed: given, by default, or an error."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from albert_edge.architecture.heads import Input, text_inputs
from albert_edge.errors import InputError
from albert_edge.runtime.inputs import declared_inputs, feed

DECODER = (
    Input("input_ids", ("batch", "target")),
    Input("states", ("batch", "source", "hidden"), type="float32"),
    Input("states_mask", ("batch", "source"), default=1),
    Input("temperature", (), type="float32", default=0.5),
)


def test_inputs_of_any_type_and_shape_are_fed() -> None:
    arrays = feed(DECODER, {"input_ids": [[1, 2]], "states": np.zeros((1, 3, 4), np.float64)})
    assert [*arrays] == ["input_ids", "states", "states_mask", "temperature"]
    assert [array.dtype for array in arrays.values()] == ["int64", "float32", "int64", "float32"]
    assert arrays["states_mask"].tolist() == [[1, 1, 1]]
    assert arrays["temperature"].tolist() == 0.5


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"input_ids": [[1]]}, "states is missing"),
        ({"input_ids": [[1]], "states": [[[0.5]], [[0.5]]]}, r"states .*input_ids has \(1, 1\)"),
        ({"input_ids": [[0.5]], "states": [[[0.5]]]}, "input_ids has type float64"),
        ({"input_ids": [[-1]], "states": [[[0.5]]]}, "input_ids has ids from -1"),
        ({"input_ids": [1], "states": [[[0.5]]]}, r"input_ids .*not \(batch, target\)"),
        ({"input_ids": [[1]], "states": [[["a"]]]}, "states has type"),
    ],
)
def test_what_cannot_be_fed_is_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        feed(DECODER, given)


def test_values_below_0_are_ids_out_of_range_and_fine_as_floats() -> None:
    arrays = feed(DECODER, {"input_ids": [[1]], "states": [[[-0.5]]]})
    assert arrays["states"].tolist() == [[[-0.5]]]


def test_an_input_that_is_not_declared_is_taken_as_the_file_has_it() -> None:
    values = [
        SimpleNamespace(name="input_ids", shape=["batch_size", "sequence_length"], type="?"),
        SimpleNamespace(name="position_ids", shape=["batch_size", None], type="tensor(int64)"),
        SimpleNamespace(name="scale", shape=[1], type="tensor(float)"),
    ]
    engine = SimpleNamespace(get_inputs=lambda: values)
    ids, positions, scale = declared_inputs(engine, text_inputs())
    assert ids == text_inputs()[0]
    assert (positions.type, positions.axes) == ("int64", ("batch_size", "position_ids[1]"))
    assert (scale.type, scale.axes, scale.default) == ("float32", ("1",), None)
