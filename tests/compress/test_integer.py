"""Floats to integers and back: by hand, by formula, and as onnxruntime reads the integers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from support.paths import DATA

from albert_edge.compress.integer import dequantize_blocks, quantize_blocks, quantize_columns
from albert_edge.graph.plan import Precision

Array = npt.NDArray[Any]

TINY = np.finfo(np.float32).tiny  # below it are the denormal numbers
HALF = 0.5 + 1e-5  # of a step, and what float32 adds to it

every_bits = pytest.mark.parametrize("bits", [8, 4])

# Any number a weight may be: zeros, denormals, and as large as a product of two still fits.
numbers = st.floats(-(2.0**60), 2.0**60, width=32) | st.floats(-1.0, 1.0, width=32)
matrices = arrays.arrays(np.float32, arrays.array_shapes(min_dims=2, max_dims=2), elements=numbers)


def unpack(integers: Array, bits: int) -> Array:
    """The integers around zero, one by one, (rows, blocks, block)."""
    rows, blocks, size = integers.shape
    if bits == 8:
        return integers.astype(int) - 128
    found = np.empty((rows, blocks, 2 * size), int)
    for at in np.ndindex(rows, blocks, size):
        high, low = divmod(int(integers[at]), 16)
        found[*at[:2], 2 * at[2]] = low - 8
        found[*at[:2], 2 * at[2] + 1] = high - 8
    return found


def cosines(first: Array, second: Array) -> Array:
    first, second = first.astype(np.float64), second.astype(np.float64)
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    cosine: Array = (first * second).sum(axis=1) / lengths
    return cosine


# A scale for each column


def test_columns_by_hand() -> None:
    matrix = np.array([[127, 254, 0], [-63.5, -1, 0], [2.5, 3, -0.0]], np.float32)
    integers, scale = quantize_columns(matrix)
    assert scale.tolist() == [1, 2, 1]
    # Ties go to the even neighbour: -63.5, 2.5 and, of the column with steps of two, -1 and 3.
    assert integers.tolist() == [[127, 127, 0], [-64, 0, 0], [2, 2, 0]]
    assert integers.dtype == np.int8 and scale.dtype == np.float32


@settings(deadline=None)
@given(matrices)
def test_columns_are_half_a_step_off_at_most(matrix: Array) -> None:
    integers, scale = quantize_columns(matrix)
    assert integers.shape == matrix.shape and scale.shape == matrix.shape[1:]
    assert (np.isfinite(scale) & (scale >= TINY)).all()
    found = integers.astype(np.float64) * scale
    assert (np.abs(found - matrix) <= HALF * scale).all()
    assert (np.abs(integers.astype(int)) <= 127).all()
    # No range is left unused: the largest of a column is the largest integer.
    largest = np.abs(matrix).max(axis=0)
    used = np.abs(integers.astype(int)).max(axis=0)
    assert (used[largest >= 200 * TINY] == 127).all()
    assert (integers[matrix == 0] == 0).all()


@pytest.mark.parametrize("value", [0.0, 1e-45, -1e-40, float(TINY), float(100 * TINY)])
def test_columns_too_small_for_a_scale(value: float) -> None:
    """A scale that is no normal number would divide to infinity on some CPUs."""
    integers, scale = quantize_columns(np.full((3, 2), value, np.float32))
    assert scale.tolist() == [1, 1]
    assert not integers.any()


# A scale for each block


@settings(deadline=None)
@given(matrices, st.sampled_from([16, 32]))
def test_blocks_of_8_bits_are_half_a_step_off_at_most(matrix: Array, block: int) -> None:
    integers, scale = quantize_blocks(matrix, 8, block)
    rows, values = matrix.shape
    assert integers.shape == (rows, -(-values // block), block)
    found = (unpack(integers, 8) * scale.astype(np.float64)[..., None]).reshape(rows, -1)
    step = np.repeat(scale, block, axis=1)[:, :values]
    assert (np.abs(found[:, :values] - matrix) <= (0.5 + 2**-15) * step).all()
    assert not found[:, values:].any()
    assert integers.min() >= 1  # -128 has no counterpart
    np.testing.assert_allclose(
        dequantize_blocks(integers, scale, 8, values), found[:, :values], rtol=1e-6
    )


def test_blocks_of_4_bits_by_hand() -> None:
    first = [-8, -7, 6, 5, 4, 3, 2, 1, 0, -1, -2, -3, -4, -5, -6, 7]
    integers, scale = quantize_blocks(np.array([first], np.float32), 4, 16)
    assert scale.tolist() == [[1]]
    # The first of two in the low half, and zero is 8.
    assert integers.tobytes() == bytes.fromhex("10 de bc 9a 78 56 34 f2")


def test_the_side_with_more_room_is_that_of_the_largest_value() -> None:
    """Four bits reach from -8 to 7, so the scale is negative where the largest value is not."""
    first = np.array([[8, 7, -6, -7] * 4], np.float32)
    for sign in (1, -1):
        integers, scale = quantize_blocks(sign * first, 4, 16)
        assert scale.tolist() == [[-sign]]
        assert unpack(integers, 4)[0, 0, :4].tolist() == [-8, -7, 6, 7]
        assert dequantize_blocks(integers, scale, 4, 16).tolist() == (sign * first).tolist()


@settings(deadline=None)
@given(
    arrays.arrays(
        np.float32, st.tuples(st.just(2), st.integers(1, 40)), elements=st.floats(-4, 4, width=32)
    )
)
def test_blocks_of_4_bits_are_no_worse_than_with_the_largest_value_unclipped(matrix: Array) -> None:
    values = matrix.shape[1]
    integers, scale = quantize_blocks(matrix, 4, 32)
    assert (np.isfinite(scale) & (np.abs(scale) >= TINY)).all()
    unpacked = unpack(integers, 4)
    floats = dequantize_blocks(integers, scale, 4, values)
    own = (unpacked * scale.astype(np.float64)[..., None]).reshape(2, -1)
    np.testing.assert_allclose(floats, own[:, :values], rtol=1e-6)
    assert not own[:, values:].any()
    for start in range(0, values, 32):
        cut = matrix[:, start : start + 32].astype(np.float64)
        for row, found in zip(cut, own[:, start : start + 32], strict=True):
            # The largest value as -8, and what is too large on the other side cut off.
            step = row[np.abs(row).argmax()] / -8 or 1.0
            whole_range = (np.rint(row / step).clip(-8, 7) * step - row) ** 2
            assert ((found[: len(row)] - row) ** 2).sum() <= whole_range.sum() * 1.001 + 1e-9


def test_blocks_of_4_bits_are_better_than_plain_rounding_as_a_rule() -> None:
    matrix = np.random.default_rng(0).normal(size=(200, 32)).astype(np.float32)
    largest = np.abs(matrix).max(axis=1, keepdims=True)
    plain = np.rint(matrix / (largest / 7)) * (largest / 7)
    floats = dequantize_blocks(*quantize_blocks(matrix, 4, 32), 4, 32)
    ours, theirs = (((some - matrix) ** 2).sum() for some in (floats, plain))
    assert ours < 0.85 * theirs


@every_bits
@pytest.mark.parametrize("value", [0.0, -0.0, 1e-45, 1e-40])
def test_blocks_too_small_for_a_scale(value: float, bits: int) -> None:
    integers, scale = quantize_blocks(np.full((2, 40), value, np.float32), bits, 32)
    assert scale.tolist() == [[1, 1]] * 2
    assert not unpack(integers, bits).any()
    assert not dequantize_blocks(integers, scale, bits, 40).any()


def test_the_matrix_is_left_as_it_is() -> None:
    matrix = np.random.default_rng(0).normal(size=(3, 64)).astype(np.float32)
    before = matrix.copy()
    quantize_columns(matrix)
    quantize_blocks(matrix, 8, 64)
    quantize_blocks(matrix, 4, 32)
    np.testing.assert_array_equal(matrix, before)


# As onnxruntime reads them


def matmul_nbits(integers: Array, scale: Array, bits: int, values: int, accuracy: int) -> Any:
    """The operator of onnxruntime as a function of x."""
    rows, _, size = integers.shape
    helper = onnx.helper
    node = helper.make_node(
        "MatMulNBits",
        ["x", "integers", "scale"],
        ["y"],
        domain="com.microsoft",
        K=values,
        N=rows,
        bits=bits,
        block_size=size * 8 // bits,
        accuracy_level=accuracy,
    )
    graph = helper.make_graph(
        [node],
        "one_node",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None, values])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None, rows])],
        [onnx.numpy_helper.from_array(a, n) for a, n in ((integers, "integers"), (scale, "scale"))],
    )
    domains = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, ir_version=8, opset_imports=domains)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return lambda x: session.run(None, {"x": x})[0]


@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("values", [16, 24, 100, 128, 200, 312])
@pytest.mark.parametrize("precision", [Precision.INT8_BLOCK, Precision.INT4])
def test_onnxruntime_multiplies_with_what_was_stored(
    precision: Precision, values: int, rows: int
) -> None:
    assert precision.blocks
    bits, block = precision.blocks.bits, precision.blocks.size
    random = np.random.default_rng(values)
    matrix = random.normal(size=(37, values)).astype(np.float32)
    integers, scale = quantize_blocks(matrix, bits, block)
    assert bits == 8 or ((scale < 0).any() and (scale > 0).any())
    floats = dequantize_blocks(integers, scale, bits, values).astype(np.float64)
    for accuracy in (1, 4):
        # Quantized, x is exact where it is -1, 0 or 1.
        x = random.integers(-1, 2, (rows, values)).astype(np.float32)
        found = matmul_nbits(integers, scale, bits, values, accuracy)(x)
        np.testing.assert_allclose(found, x @ floats.T, rtol=0, atol=1e-4)
    x = random.normal(size=(rows, values)).astype(np.float32)
    found = matmul_nbits(integers, scale, bits, values, 1)(x)
    np.testing.assert_allclose(found, x @ floats.T, rtol=0, atol=1e-4)


@pytest.mark.parametrize("features", [1, 16, 17, 300, 768, 1030])
def test_onnxruntime_takes_a_whole_row_as_a_block(features: int) -> None:
    """The int8 table of embeddings has blocks of up to a row, filled up to a power of two."""
    block = max(16, 2 ** int(np.ceil(np.log2(features))))
    random = np.random.default_rng(features)
    matrix = random.normal(size=(50, features)).astype(np.float32)
    integers, scale = quantize_blocks(matrix, 8, block)
    assert scale.shape == (50, 1)
    floats = dequantize_blocks(integers, scale, 8, features).astype(np.float64)
    x = random.normal(size=(3, features)).astype(np.float32)
    found = matmul_nbits(integers, scale, 8, features, 1)(x)
    np.testing.assert_allclose(found, x @ floats.T, rtol=0, atol=1e-5 * features + 1e-5)


# Weights that were trained


ROWS: Path = DATA / "embeddings" / "rows.npy"


@pytest.mark.parametrize(
    ("bits", "block", "least"),
    [
        (8, 128, 0.9999),
        (8, 32, 0.9999),
        (4, 32, 0.993),
    ],
)
def test_trained_embeddings(bits: int, block: int, least: float) -> None:
    """Real rows of ALBERT-base; PROVENANCE.md says which, and where from."""
    rows = np.load(ROWS, allow_pickle=False)
    assert rows.shape[1] == 128 and len(rows) > 200
    floats = dequantize_blocks(*quantize_blocks(rows, bits, block), bits, 128)
    assert cosines(rows, floats).min() >= least


def test_trained_embeddings_as_columns() -> None:
    rows = np.load(ROWS, allow_pickle=False)
    integers, scale = quantize_columns(rows.T)
    assert cosines(rows, (integers * scale).T).min() >= 0.9999
