"""pytorch_model.bin, of which torch unpickles only plain tensors.

Training loops save the weights in a dictionary beside the state of the optimizer, under a key such
as "state_dict", "model" or "net". The key then is a prefix of the names.
"""

from __future__ import annotations

import reprlib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from albert_edge.checkpoint.formats.base import StoredTensor
from albert_edge.errors import CheckpointError
from albert_edge.packages import import_extra, too_old

if TYPE_CHECKING:
    import torch

# In torch before 2.6 and 2.10, a file could run code or overwrite memory although only weights were
# asked for: CVE-2025-32434 and CVE-2026-24747.
OLDEST_TORCH = "2.10"


def read_pickle(path: Path) -> list[StoredTensor]:
    """Read the headers of a PyTorch pickle.

    Raises:
        CheckpointError: It holds anything but tensors, or values that are not in it.
        MissingExtraError: torch is not installed.
        InstallationError: torch does not load, or is older than `OLDEST_TORCH`.
    """
    import_extra("torch", extra="reference", purpose=f"Reading {path.name}")
    import torch

    if torch.__version__ < OLDEST_TORCH:
        raise too_old(torch, OLDEST_TORCH)
    try:
        named = _load_tensors(path)
    except Exception as error:  # a malformed pickle can raise any class
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise CheckpointError(
            f"{path} is not a plain dictionary of tensors and was refused: {reason}",
            tip="Convert it to model.safetensors where you trust it.",
        ) from error
    return [_stored(path, name, tensor) for name, tensor in named.items()]


def _load_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Load the tensors of a pickle by name; those of a nested dictionary have its key before it.

    Raises:
        Exception: The pickle is malformed.
    """
    import torch

    # Files of torch before 1.6 are not archives, and only an archive can be memory-mapped.
    is_archive = zipfile.is_zipfile(path)
    if is_archive:
        _require_stored(path)
    tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=is_archive)
    named = {name: value for name, value in tensors.items() if torch.is_tensor(value)}
    for key, nested in tensors.items():
        if isinstance(nested, dict):
            items = ((f"{key}.{name}", value) for name, value in nested.items())
            named |= {name: value for name, value in items if torch.is_tensor(value)}
    if not all(isinstance(name, str) for name in named):
        raise TypeError("a tensor has no name")
    size = path.stat().st_size
    for name, tensor in named.items():
        if tensor.layout == torch.strided and tensor.nbytes > size and not tensor.is_meta:
            raise ValueError(f"the values of {reprlib.repr(name)} are not in it")
    return named


def _stored(path: Path, name: str, tensor: torch.Tensor) -> StoredTensor:
    import torch

    safetensors_names = {
        torch.float16: "F16",
        torch.bfloat16: "BF16",
        torch.float32: "F32",
        torch.float64: "F64",
    }
    plain = tensor.layout == torch.strided and not tensor.is_meta
    kind = safetensors_names.get(tensor.dtype, str(tensor.dtype))
    return StoredTensor(
        file=path.name,
        name=name,
        dtype=kind if plain else f"sparse or absent {kind}",
        shape=tuple(tensor.shape),
        read=lambda: tensor.detach().float().numpy(),
    )


def _require_stored(path: Path) -> None:
    """Refuse an archive with compressed or overlapping files, which torch does not write.

    Raises:
        ValueError: It has some, and could take any amount of memory.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("it is compressed")
    if sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise ValueError("files in it overlap")
