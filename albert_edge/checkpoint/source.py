"""What the user names -> a local folder.

A folder, the short name of a model that ships or of a recipe (models/), or a hub id.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from albert_edge.architecture.config import read_config
from albert_edge.bundle.sentence_layout import MODEL_CONFIG, MODULES, transformer_folder
from albert_edge.errors import (
    CheckpointError,
    ConfigError,
    MissingExtraError,
    SourceUnreachableError,
    UsageError,
)

# Everything a bundle can need and nothing that could run: weights come as safetensors if any.
_SMALL_FILES = (
    "config.json",
    "tokenizer*.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "spiece.model",
    "vocab.txt",
    "*.safetensors.index.json",
    # The layout of sentence-transformers, with a folder for each module.
    MODULES,
    MODEL_CONFIG,
    "sentence_*_config.json",
    "[0-9]_*/*.json",
    "[0-9]_*/spiece.model",
    "[0-9]_*/vocab.txt",
    "[1-9]_*/pytorch_model.bin",
)
_PICKLES = ("pytorch_model*.bin", "pytorch_model.bin.index.json")
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(frozen=True, slots=True)
class Source:
    """A checkpoint found.

    Attributes:
        root: The folder found.
        folder: Where in it config.json, weights and tokenizer are.
        name: The hub id, or the name of the folder.
        revision: The commit of the hub, or None for a folder.
        task: The task its recipe names, or None.
    """

    root: Path
    folder: Path
    name: str
    revision: str | None = None
    task: str | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """A well-known checkpoint under a short name (models/*.toml).

    Attributes:
        name: The short name.
        source: Its hub id.
        task: What it answers.
        summary: One line for people.
        geometry: Fields of config.json that tell it from others.
    """

    name: str
    source: str
    task: str
    summary: str
    geometry: dict[str, Any]


def models_folder() -> Path:
    """The folder of recipes and of the model that ships: in the wheel, or in a source tree."""
    packaged = Path(__file__).parents[1] / "models"
    return packaged if packaged.is_dir() else packaged.parents[1] / "models"


def _shipped() -> set[str]:
    """Names of the models that ship with their weights."""
    return {path.parent.name for path in models_folder().glob("*/config.json")}


def read_recipes() -> dict[str, Recipe]:
    """All recipes by short name."""
    return {
        path.stem: Recipe(name=path.stem, **tomllib.loads(path.read_text(encoding="utf-8")))
        for path in sorted(models_folder().glob("*.toml"), key=lambda path: path.stem)
    }


def find_source(source: str, revision: str | None = None) -> Source:
    """Find a checkpoint, downloading it if it is neither a folder nor cached.

    Args:
        source: A folder, a short name, or a hub id.
        revision: Branch, tag or commit of the hub; the main branch if None.

    Returns:
        Where the checkpoint lies.

    Raises:
        UsageError: A revision for a folder, or a name that can be neither folder nor hub id.
        CheckpointError: The folder does not exist, or its modules.json is damaged.
        SourceUnreachableError: The hub cannot be reached or does not have it.
        MissingExtraError: huggingface_hub is not installed.
        ConfigError: The checkpoint is not the one its recipe describes.
    """
    if not source:
        raise UsageError("The source is empty.", tip="Name a folder, a short name or a hub id.")
    try:
        folder = Path(source).expanduser()
        is_folder = folder.is_dir()
    except (OSError, RuntimeError, ValueError):  # no such user, too long, a NUL in it
        is_folder = False
    if is_folder:
        if revision is not None:
            raise UsageError(
                f"--revision {revision} has no meaning for the folder {source}.",
                tip="Leave it out, or name a model on the hub.",
            )
        return Source(folder, transformer_folder(folder), folder.resolve().name)
    if source in _shipped():
        shipped = models_folder() / source
        return Source(shipped, shipped, source)
    if source.startswith((".", "/", "~")) or not _HUB_ID.fullmatch(source):
        raise CheckpointError(
            f"{source!r} is not a folder.",
            tip="Name a checkpoint folder, a short name or a hub id.",
        )
    recipe = read_recipes().get(source)
    name = recipe.source if recipe else source
    root = _download(name, revision)
    folder = transformer_folder(root)
    if recipe:
        _check_geometry(recipe, folder)
    return Source(root, folder, name, revision=root.name, task=recipe.task if recipe else None)


def _download(name: str, revision: str | None) -> Path:
    """A snapshot of the hub in huggingface_hub's own cache; HF_HUB_OFFLINE is respected."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import (
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
        )
    except ImportError:
        raise MissingExtraError(
            "huggingface_hub", extra="export", purpose=f"Downloading {name}"
        ) from None

    def fetch(*patterns: str) -> Path:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(patterns)))

    try:
        folder = fetch(*_SMALL_FILES, "*.safetensors")
        if not any(transformer_folder(folder).glob("*.safetensors")):
            folder = fetch(*_PICKLES, *(f"0_*/{file}" for file in _PICKLES))
    except HFValidationError as error:
        raise UsageError(
            f"{name} is not a hub id: {error}", tip="Write it as owner/name."
        ) from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        at = f" at revision {revision}" if revision else ""
        raise SourceUnreachableError(
            f"{name}{at} is not cached and could not be downloaded: {str(error).splitlines()[0]}",
            tip="Check the name and the connection, or download it elsewhere and name the folder.",
        ) from error
    return folder


def _check_geometry(recipe: Recipe, folder: Path) -> None:
    config = read_config(folder / "config.json")
    for field, expected in recipe.geometry.items():
        found = getattr(config, field)
        if found != expected:
            raise ConfigError(
                f"{recipe.source} is not what the recipe {recipe.name} describes: {field} is "
                f"{found}, not {expected}.",
                tip=f"If you trust it, export it by its full id: {recipe.source}",
            )
