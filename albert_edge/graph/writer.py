"""Write .onnx files without holding all weights in memory.

An .onnx file is a protobuf message, whose fields may be in any order, so onnx serializes the small
part (nodes, inputs, outputs) and the weights are appended to it one at a time. Peak memory is one
tensor, whatever the size of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from albert_edge.disk.writing import create, write_file
from albert_edge.errors import BundleError
from albert_edge.graph.authored import Authored, Weight
from albert_edge.onnx_format.wire_format import key_and_length

TensorSource = Callable[[str], npt.NDArray[Any]]
Progress = Callable[[int, int], None]

# Field numbers of onnx.proto, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
_MODEL_GRAPH = 7
_GRAPH_INITIALIZER = 5
_TENSOR_RAW_DATA = 9

LARGEST_MESSAGE = 2**31 - 1  # bytes; protobuf refuses more
EXTERNAL_SUFFIX = "_data"
_ALIGNMENT = 4096  # bytes; lets a runtime map each tensor


def write_model(
    authored: Authored,
    source: TensorSource,
    path: Path,
    progress: Progress = lambda done, total: None,
) -> list[Path]:
    """Write a model whose weights come one by one from `source`.

    Args:
        authored: The graph, and the weights to fill in.
        source: Returns the values of a weight by name, in the type and shape of the file, or of a
            part of a packed weight in any float type.
        path: The .onnx file. A model over 2 GB keeps its weights beside it as external data, in
            a file of the same name with "_data" appended.
        progress: Called with the bytes of weights written so far and in all.

    Returns:
        The files written, the .onnx file first.

    Raises:
        BundleError: The source, the weights of a bundle, has no such weight or one of another
            shape. What a checkpoint has is checked before.
    """
    skeleton = ir.to_proto(authored.model)
    weights = authored.weights
    total = authored.weight_bytes

    def values() -> Iterator[memoryview]:
        done = 0
        for name, weight in weights.items():
            array = _values(name, weight, source)
            yield array.reshape(-1).view(np.uint8).data
            done += weight.bytes
            progress(done, total)

    # The skeleton is small; 1 kB is more than the header of a tensor takes.
    if skeleton.ByteSize() + total + 1024 * len(weights) <= LARGEST_MESSAGE:
        _write_embedded(path, skeleton, weights, values())
        return [path]
    data_path = path.with_name(path.name + EXTERNAL_SUFFIX)
    _write_external(path, data_path, skeleton, weights, values())
    return [path, data_path]


def _values(name: str, weight: Weight, source: TensorSource) -> npt.NDArray[Any]:
    try:
        parts = [source(part) for part in weight.parts or (name,)]
        whole = np.concatenate(parts, axis=-1) if weight.parts else parts[0]
    except (KeyError, ValueError) as error:
        raise _misfit(name, weight, "is missing, or its parts do not fit together") from error
    if whole.shape != weight.shape:
        raise _misfit(name, weight, f"has shape {whole.shape}")
    with np.errstate(over="ignore"):  # a value too large for fp16 fails the quality check
        return np.asarray(whole, dtype=weight.dtype, order="C")


def _misfit(name: str, weight: Weight, what: str) -> BundleError:
    return BundleError(
        f"The stored weight {name} {what}; by config.json its shape is {weight.shape}.",
        tip="config.json and the model are of different bundles. Export the model again.",
    )


def _write_embedded(
    path: Path,
    skeleton: onnx.ModelProto,
    weights: Mapping[str, Weight],
    values: Iterator[memoryview],
) -> None:
    graph = skeleton.graph.SerializeToString()
    skeleton.ClearField("graph")
    prefixes = [_prefix(name, weight) for name, weight in weights.items()]
    length = len(graph) + sum(map(len, prefixes)) + sum(w.bytes for w in weights.values())
    with create(path) as file:
        file.write(skeleton.SerializeToString() + key_and_length(_MODEL_GRAPH, length) + graph)
        for prefix, data in zip(prefixes, values, strict=True):
            file.write(prefix)
            file.write(data)


def _prefix(name: str, weight: Weight) -> bytes:
    """Return the part of an initializer before its values."""
    header = _header(name, weight).SerializeToString()
    header += key_and_length(_TENSOR_RAW_DATA, weight.bytes)
    return key_and_length(_GRAPH_INITIALIZER, len(header) + weight.bytes) + header


def _write_external(
    path: Path,
    data_path: Path,
    skeleton: onnx.ModelProto,
    weights: Mapping[str, Weight],
    values: Iterator[memoryview],
) -> None:
    with create(data_path) as file:
        for (name, weight), data in zip(weights.items(), values, strict=True):
            file.write(b"\0" * (-file.tell() % _ALIGNMENT))
            tensor = _header(name, weight)
            tensor.data_location = onnx.TensorProto.EXTERNAL
            place = {"location": data_path.name, "offset": file.tell(), "length": weight.bytes}
            for key, value in place.items():
                tensor.external_data.add(key=key, value=str(value))
            skeleton.graph.initializer.append(tensor)
            file.write(data)
    write_file(path, skeleton.SerializeToString())


def _header(name: str, weight: Weight) -> onnx.TensorProto:
    kind = onnx.helper.np_dtype_to_tensor_dtype(weight.dtype)
    return onnx.TensorProto(name=name, dims=weight.shape, data_type=kind)
