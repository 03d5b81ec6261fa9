"""The file formats of weights: one module and one row of FORMATS each."""

from __future__ import annotations

from pathlib import Path

from albert_edge.checkpoint.formats.base import Format, StoredTensor
from albert_edge.checkpoint.formats.flax import read_flax
from albert_edge.checkpoint.formats.keras import read_keras
from albert_edge.checkpoint.formats.pickle import read_pickle
from albert_edge.checkpoint.formats.safetensors import read_safetensors
from albert_edge.checkpoint.formats.tensorflow import TensorFlowFormat, read_tensorflow
from albert_edge.errors import CheckpointError

# In order of preference.
FORMATS = (
    Format("model.safetensors", read_safetensors),
    Format("pytorch_model.bin", read_pickle),
    Format("tf_model.h5", read_keras, is_standard=False),
    Format("flax_model.msgpack", read_flax, is_standard=False),
    TensorFlowFormat("*.index", read_tensorflow, is_standard=False),
)


def read_headers(folder: Path) -> list[StoredTensor]:
    """Read the headers of the weights in a folder, sharded or not.

    Raises:
        CheckpointError: No weights, or a damaged or hostile file.
        MissingExtraError: Reading the weights needs a package that is not installed.
    """
    for file_format in FORMATS:
        if files := file_format.files(folder):
            return [tensor for file in files for tensor in file_format.read(file)]
    raise CheckpointError(
        f"{folder} holds no weights: no {', no '.join(row.file for row in FORMATS)}.",
        tip="Point at the folder that save_pretrained wrote.",
    )
