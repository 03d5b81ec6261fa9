"""Weights that are in memory only while they are used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from albert_edge.errors import BundleError
from albert_edge.onnx_format.reader import read_onnx
from albert_edge.onnx_format.stored_weights import StoredWeights

MAPPED = Path("/proc/self/maps")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    tensors = [
        onnx.numpy_helper.from_array(np.arange(6, dtype=np.float32).reshape(2, 3), "matrix"),
        onnx.numpy_helper.from_array(np.array([7], np.int8), "integer"),
    ]
    graph = onnx.helper.make_graph([], "g", [], [], tensors)
    path = tmp_path / "model.onnx"
    onnx.save(onnx.helper.make_model(graph), path)
    return path


def test_weights_are_those_of_the_file(path: Path) -> None:
    weights = StoredWeights(path)
    assert [*weights] == ["matrix", "integer"]
    assert len(weights) == 2
    for name, tensor in read_onnx(path).tensors.items():
        np.testing.assert_array_equal(weights[name], tensor.array(), strict=True)
    assert "other" not in weights
    with pytest.raises(KeyError):
        weights["other"]


def test_a_file_that_is_none_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not a readable ONNX file"):
        StoredWeights(tmp_path / "missing.onnx")


@pytest.mark.skipif(not MAPPED.exists(), reason="only Linux lists what is mapped")
def test_the_file_is_in_memory_only_while_an_array_is_used(path: Path) -> None:
    def is_mapped() -> bool:
        return str(path) in MAPPED.read_text(encoding="utf-8")

    weights = StoredWeights(path)
    assert not is_mapped()
    matrix = weights["matrix"]
    assert is_mapped()
    del matrix
    assert not is_mapped()
