"""tf_model.h5, as transformers' TensorFlow classes save it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from albert_edge.checkpoint.formats.base import COPY_AGAIN, StoredTensor
from albert_edge.checkpoint.formats.layout import in_pytorch_layout, pytorch_name
from albert_edge.errors import CheckpointError
from albert_edge.packages import import_extra

_TYPES = {np.dtype("float16"): "F16", np.dtype("float32"): "F32", np.dtype("float64"): "F64"}


def keras_name(variable: str) -> str:
    """Return PyTorch's name of a variable of transformers' TensorFlow classes.

    >>> keras_name("tf_albert_model/encoder/albert_layer_groups_._0/albert_layers_._1/ffn/bias:0")
    'encoder.albert_layer_groups.0.albert_layers.1.ffn.bias'
    """
    _, _, name = variable.removesuffix(":0").replace("_._", "/").partition("/")
    return pytorch_name((name or variable).split("/"))


def read_keras(path: Path) -> list[StoredTensor]:
    """Read the headers of an .h5 file."""
    h5py = import_extra("h5py", extra="formats", purpose=f"Reading {path.name}")
    tensors: dict[str, StoredTensor] = {}

    try:
        with h5py.File(path) as file:
            # A group for each layer, named before the variable; what layers share, each has. The
            # shards of a model have neither groups nor its name before the variable.
            groups = (
                name for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink)
            )
            has_groups = any("weight_names" in file[name].attrs for name in groups)

            def visit(where: str, item: Any) -> None:
                if isinstance(item, h5py.Dataset):
                    variable = where.partition("/")[2] if has_groups else f"/{where}"
                    tensor = _stored(path, variable, item)
                    tensors.setdefault(tensor.name, tensor)

            file.visititems(visit)
    except CheckpointError:
        raise
    except Exception as error:  # a malformed file can raise any class
        raise _damaged(path, error) from error
    return list(tensors.values())


def _stored(path: Path, variable: str, dataset: Any) -> StoredTensor:
    if dataset.external or dataset.is_virtual or dataset.nbytes > path.stat().st_size:
        raise CheckpointError(
            f"{path}: the values of {variable} are not in it.",
            tip="Do not use this checkpoint: it points outside its file.",
        )
    where, kind = dataset.name, dataset.dtype

    def read() -> npt.NDArray[Any]:
        import h5py

        try:
            with h5py.File(path) as file:
                return np.asarray(file[where])
        except Exception as error:
            raise _damaged(path, error) from error

    stored = StoredTensor(
        path.name, variable.removesuffix(":0"), _TYPES.get(kind, str(kind)), dataset.shape, read
    )
    return in_pytorch_layout(stored, keras_name(variable))


def _damaged(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"{path} is damaged: {error}", tip=COPY_AGAIN)
