"""The reader of .onnx files, compared with the onnx package, and on hostile input."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from albert_edge.errors import BundleError
from albert_edge.onnx_format.reader import raw_tensors, read_onnx

TYPES = [np.float32, np.uint8, np.int8, np.int32, np.int64, np.bool_, np.float16, np.float64]


def small_model() -> Any:
    """A model with an initializer of every type, and a loop with a node in its body."""
    helper = onnx.helper
    tensors = [
        onnx.numpy_helper.from_array(np.arange(6).astype(kind).reshape(2, 3), np.dtype(kind).name)
        for kind in TYPES
    ]
    body = helper.make_graph([helper.make_node("Add", ["a", "a"], ["b"])], "body", [], [])
    nodes = [
        helper.make_node("Loop", ["n", "", "x"], ["y"], body=body),
        helper.make_node("Add", ["y", "float32"], ["z"]),
        helper.make_node("FusedMatMul", ["z", "z"], ["out"], domain="com.microsoft"),
    ]
    return helper.make_model(helper.make_graph(nodes, "g", [], [], tensors))


CONTENT = small_model().SerializeToString()

arbitrary = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def write(folder: Path, content: bytes) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(content)
    return path


def test_tensors_and_operators(tmp_path: Path) -> None:
    model = read_onnx(write(tmp_path, CONTENT))
    expected = {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in small_model().graph.initializer
    }
    assert model.tensors.keys() == expected.keys()
    for name, values in expected.items():
        assert model.tensors[name].dtype == values.dtype
        np.testing.assert_array_equal(model.tensors[name].array(), values)
    assert model.operators == Counter({"Add": 2, "Loop": 1, "com.microsoft.FusedMatMul": 1})


def external(change: Callable[[Any], None]) -> bytes:
    """The model with one tensor in data.bin, its description changed."""
    model = small_model()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": "data.bin", "offset": "4", "length": "24"}.items():
        tensor.external_data.add(key=key, value=value)
    change(tensor.external_data)
    return bytes(model.SerializeToString())


def test_external_data(tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.float32)
    (tmp_path / "data.bin").write_bytes(bytes(4) + values.tobytes())
    model = read_onnx(write(tmp_path, external(lambda entries: None)))
    np.testing.assert_array_equal(model.tensors["float32"].array().ravel(), values)


@pytest.mark.parametrize(
    ("index", "value"),
    [
        *((0, location) for location in ("../data.bin", "/data.bin", "sub\\data.bin", "", "..")),
        (0, "missing.bin"),
        (1, "-1"),
        (1, "8"),
        (1, "four"),
        (2, "-24"),
        (2, "23"),
        (2, "999999999999"),
    ],
)
def test_external_data_that_is_not_there(index: int, value: str, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir()
    for place in (tmp_path, folder):
        (place / "data.bin").write_bytes(bytes(28))
    content = external(lambda entries: setattr(entries[index], "value", value))
    with pytest.raises(BundleError, match="not a readable ONNX file"):
        read_onnx(write(folder, content))


@given(at=st.integers(0, len(CONTENT) - 1), byte=st.integers(0, 255))
@arbitrary
def test_a_changed_byte(at: int, byte: int, tmp_path: Path) -> None:
    content = bytearray(CONTENT)
    content[at] = byte
    read_or_refuse(bytes(content), tmp_path)


@given(content=st.binary(max_size=50) | st.integers(0, len(CONTENT)).map(lambda n: CONTENT[:n]))
@arbitrary
def test_other_bytes(content: bytes, tmp_path: Path) -> None:
    read_or_refuse(content, tmp_path)


def read_or_refuse(content: bytes, folder: Path) -> None:
    path = folder / "model.onnx"
    path.unlink(missing_ok=True)
    try:
        model = read_onnx(write(folder, content))
    except BundleError as error:
        assert "model.onnx" in str(error)
        assert error.tip
    else:
        for tensor in model.tensors.values():
            assert tensor.bytes in (0, tensor.dtype.itemsize * int(np.prod(tensor.shape)))


def test_int8_values_are_changed_in_place() -> None:
    model = bytearray(CONTENT)
    (tensor,) = (tensor for tensor in raw_tensors(model) if tensor.name == "int8")
    assert tensor.data_type[0] == onnx.TensorProto.INT8
    tensor.data_type[0] = onnx.TensorProto.UINT8
    tensor.values[0] = 200
    tensors = {
        tensor.name: tensor for tensor in onnx.load_from_string(bytes(model)).graph.initializer
    }
    changed = onnx.numpy_helper.to_array(tensors["int8"])
    assert changed.dtype == np.uint8
    assert changed.ravel().tolist() == [200, 1, 2, 3, 4, 5]


def test_int8_values_outside_of_raw_data_cannot_be_changed() -> None:
    tensor = onnx.helper.make_tensor("w", onnx.TensorProto.INT8, [2], [1, 2])
    graph = onnx.helper.make_graph([], "g", [], [], [tensor])
    content = onnx.helper.make_model(graph).SerializeToString()
    (found,) = raw_tensors(bytearray(content))
    with pytest.raises(ValueError, match="without raw data: 'w'"):
        found.values  # noqa: B018


def test_a_tensor_of_many_axes_is_refused_at_once(tmp_path: Path) -> None:
    tensor = onnx.TensorProto(name="wide", data_type=1, dims=[2] * 100_000)
    graph = onnx.helper.make_graph([], "g", [], [], [tensor])
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())
    with pytest.raises(BundleError, match="a tensor of more than 8 axes"):
        read_onnx(path)


def test_what_a_file_says_does_not_fill_the_message(tmp_path: Path) -> None:
    tensor = onnx.TensorProto(name="n" * 100_000, data_type=8, dims=[2])
    graph = onnx.helper.make_graph([], "g", [], [], [tensor])
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())
    with pytest.raises(BundleError, match="is not a readable ONNX file") as caught:
        read_onnx(path)
    assert len(str(caught.value)) < 1000
