"""The known checkpoints: one file models/NAME.toml each, NAME being the short name."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from albert_edge.architecture.config import AlbertConfig, read_config
from albert_edge.architecture.heads import HEADS
from albert_edge.disk.reading import read_regular
from albert_edge.errors import ConfigError
from albert_edge.json_fields import JsonObject

_KEYS = {"source", "head", "summary", "geometry", "keep_accents", "lowercase"}


@dataclass(frozen=True, slots=True)
class Recipe:
    """A known checkpoint.

    Attributes:
        name: The short name.
        head: What it was trained for.
        summary: One line for people.
        geometry: Fields of config.json that distinguish it from other checkpoints.
        source: Its hub id, or None if its weights are included.
        ships: Whether its weights are included in this package.
        keep_accents: Whether its tokenizer keeps accents, whatever its files say; None leaves it
            to them.
        lowercase: Whether its tokenizer lower-cases texts, in the same way.
    """

    name: str
    head: str
    summary: str
    geometry: Mapping[str, Any]
    source: str | None
    ships: bool
    keep_accents: bool | None = None
    lowercase: bool | None = None

    def check(self, folder: Path) -> None:
        """Check that a checkpoint folder has the geometry of the recipe.

        Raises:
            ConfigError: It has not, or its config.json is malformed.
        """
        config = read_config(folder / "config.json")
        for field, expected in self.geometry.items():
            if (value := getattr(config, field)) != expected:
                raise ConfigError(
                    f"{self.source} is not what the recipe {self.name} describes: {field} is "
                    f"{value}, not {expected}.",
                    tip=f"If you trust it, export it by its full id: {self.source}",
                )


def models_folder() -> Path:
    """Return the folder of recipes and of the included models, in a wheel or a source tree."""
    packaged = Path(__file__).parents[1] / "models"
    return packaged if packaged.is_dir() else packaged.parents[1] / "models"


def read_recipes() -> dict[str, Recipe]:
    """Read all recipes, sorted by short name.

    Raises:
        ConfigError: One is damaged.
    """
    paths = sorted(models_folder().glob("*.toml"), key=lambda path: path.stem)
    return {path.stem: _read_recipe(path) for path in paths}


def _read_recipe(path: Path) -> Recipe:
    error = partial(ConfigError, tip="Install albert-edge again: its recipes were changed.")
    try:
        fields = JsonObject(tomllib.loads(read_regular(path).decode()), str(path), error)
    except (OSError, ValueError, RecursionError) as reason:
        raise error(f"{path} is not readable TOML: {reason}") from reason
    geometry = fields.object("geometry")
    for known, given in (_KEYS, fields), (AlbertConfig.__annotations__, geometry):
        if unknown := given.values.keys() - known:
            raise given.fault(min(unknown), "absent: a recipe has no such field")
    ships = path.with_suffix("").is_dir()
    return Recipe(
        name=path.stem,
        head=fields.choice("head", HEADS),
        summary=fields.text("summary"),
        geometry={name: geometry.scalar(name) for name in geometry.values},
        source=None if ships else fields.text("source"),
        ships=ships,
        keep_accents=fields.flag("keep_accents", None),
        lowercase=fields.flag("lowercase", None),
    )
