"""Every models/*.toml says what a recipe may say, and models/README.md lists exactly those."""

from __future__ import annotations

import json
import re
import tomllib
import typing
from pathlib import Path

import pytest

from albert_edge.architecture.config import AlbertConfig, read_config
from albert_edge.architecture.heads import HEADS
from albert_edge.checkpoint import source
from albert_edge.checkpoint.source import Recipe, models_folder, read_recipes
from albert_edge.graph.activations import ACTIVATIONS

RECIPES = read_recipes()
FIELD_TYPES = typing.get_type_hints(AlbertConfig)
KEYS = {"source", "task", "summary", "geometry"}
KEBAB = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
GOOD = """
source = "owner/name"
task = "fill-mask"
summary = "one line"
[geometry]
hidden_size = 768
"""

every_recipe = pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))


def test_there_is_a_recipe_for_every_file() -> None:
    assert RECIPES
    assert set(RECIPES) == {path.stem for path in models_folder().glob("*.toml")}


@every_recipe
def test_keys(recipe: Recipe) -> None:
    """No revision and no hash: nothing but the four keys."""
    text = (models_folder() / f"{recipe.name}.toml").read_text(encoding="utf-8")
    assert set(tomllib.loads(text)) == KEYS


@every_recipe
def test_name_is_that_of_the_hub_id(recipe: Recipe) -> None:
    assert KEBAB.fullmatch(recipe.name)
    assert HUB_ID.fullmatch(recipe.source)
    owner, name = recipe.source.lower().replace("_", "-").split("/")
    assert recipe.name in (name, f"{owner}-{name}")


def test_names_and_sources_are_unique() -> None:
    """Also on file systems that do not tell upper from lower case."""
    assert len({name.lower() for name in RECIPES}) == len(RECIPES)
    assert len({recipe.source.lower() for recipe in RECIPES.values()}) == len(RECIPES)


@every_recipe
def test_task_and_summary(recipe: Recipe) -> None:
    assert recipe.task in HEADS
    assert recipe.summary == recipe.summary.strip()
    assert 0 < len(recipe.summary) <= 80
    assert not set("\n|") & set(recipe.summary)


@every_recipe
def test_geometry_names_fields_of_the_config(recipe: Recipe) -> None:
    assert recipe.geometry
    for field, value in recipe.geometry.items():
        assert FIELD_TYPES.get(field) is type(value), field
    assert recipe.geometry.get("hidden_act", "gelu") in ACTIVATIONS


@every_recipe
def test_geometry_is_a_network_that_can_be_read(recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(recipe.geometry), encoding="utf-8")
    config = read_config(path)
    assert {field: getattr(config, field) for field in recipe.geometry} == recipe.geometry


def test_readme_lists_exactly_the_recipes() -> None:
    readme = (models_folder() / "README.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        for line in readme.splitlines()
        if line.startswith("| `")
    ]
    assert [row[:4] for row in rows] == sorted(
        [recipe.name, recipe.source, recipe.task, recipe.summary] for recipe in RECIPES.values()
    )
    assert all(len(row) == 5 and row[4] for row in rows)


def test_readme_names_every_task() -> None:
    readme = (models_folder() / "README.md").read_text(encoding="utf-8")
    assert ", ".join(HEADS) in " ".join(readme.split())


@pytest.mark.parametrize(
    "text",
    [
        'revision = "main"' + GOOD,
        'sha256 = "00"' + GOOD,
        'name = "other"' + GOOD,
        GOOD.replace("source", "sauce"),
        GOOD.replace('task = "fill-mask"', ""),
        GOOD.replace("[geometry]", "[geometry"),
    ],
    ids=["revision", "hash", "name", "misspelt", "missing", "not-toml"],
)
def test_a_broken_recipe_fails(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "models_folder", lambda: tmp_path)
    (tmp_path / "good.toml").write_text(GOOD, encoding="utf-8")
    assert list(read_recipes()) == ["good"]
    (tmp_path / "broken.toml").write_text(text, encoding="utf-8")
    with pytest.raises((TypeError, tomllib.TOMLDecodeError)):
        read_recipes()
