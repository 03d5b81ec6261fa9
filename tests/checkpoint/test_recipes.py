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
from albert_edge.checkpoint import recipes
from albert_edge.checkpoint.recipes import Recipe, models_folder, read_recipes
from albert_edge.checkpoint.source import find_source
from albert_edge.errors import ConfigError, UsageError
from albert_edge.graph.activations import ACTIVATIONS

RECIPES = read_recipes()
FIELD_TYPES = typing.get_type_hints(AlbertConfig)
KEYS = {"source", "head", "summary", "geometry"}
TOKENIZER_KEYS = {"keep_accents", "lowercase"}
KEBAB = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
GOOD = """
source = "owner/name"
head = "fill-mask"
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
    """No revision and no hash: the four keys; a model that ships has no source."""
    text = (models_folder() / f"{recipe.name}.toml").read_text(encoding="utf-8")
    keys = set(tomllib.loads(text)) - TOKENIZER_KEYS
    assert keys == KEYS - ({"source"} if recipe.ships else set())
    assert {recipe.keep_accents, recipe.lowercase} <= {True, False, None}


def test_models_that_ship_have_their_weights_beside_the_recipe() -> None:
    shipped = {recipe.name for recipe in RECIPES.values() if recipe.ships}
    assert shipped == {path.parent.name for path in models_folder().glob("*/model.safetensors")}
    assert "langid-tiny" in shipped
    for name in shipped:
        RECIPES[name].check(models_folder() / name)
        found = find_source(name)
        assert (found.folder, found.name, found.recipe) == (
            models_folder() / name,
            name,
            RECIPES[name],
        )


def test_a_model_that_ships_has_no_revision() -> None:
    with pytest.raises(UsageError, match='revision="main" has no meaning'):
        find_source("langid-tiny", revision="main")


@every_recipe
def test_name_is_that_of_the_hub_id(recipe: Recipe) -> None:
    assert KEBAB.fullmatch(recipe.name)
    if recipe.source is not None:
        assert HUB_ID.fullmatch(recipe.source)
        owner, name = recipe.source.lower().replace("_", "-").split("/")
        assert recipe.name in (name, f"{owner}-{name}")


def test_names_and_sources_are_unique() -> None:
    """Also on file systems that do not tell upper from lower case."""
    assert len({name.lower() for name in RECIPES}) == len(RECIPES)
    sources = [recipe.source.lower() for recipe in RECIPES.values() if recipe.source]
    assert len(set(sources)) == len(sources)


@every_recipe
def test_head_and_summary(recipe: Recipe) -> None:
    assert recipe.head in HEADS
    assert recipe.summary == recipe.summary.strip()
    assert 0 < len(recipe.summary) <= 80
    assert not set("\n|") & set(recipe.summary)


@every_recipe
def test_geometry_names_fields_of_the_config(recipe: Recipe) -> None:
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
        [recipe.name, recipe.source or "ships", recipe.head, recipe.summary]
        for recipe in RECIPES.values()
    )
    assert all(len(row) == 5 and row[4] for row in rows)


def test_readme_names_every_head() -> None:
    readme = (models_folder() / "README.md").read_text(encoding="utf-8")
    assert ", ".join(HEADS) in " ".join(readme.split())


@pytest.mark.parametrize(
    "text",
    [
        'revision = "main"' + GOOD,
        'sha256 = "00"' + GOOD,
        'name = "other"' + GOOD,
        GOOD.replace("source", "sauce"),
        GOOD.replace('head = "fill-mask"', ""),
        GOOD.replace("[geometry]", "[geometry"),
        GOOD.replace("fill-mask", "fill"),
        GOOD.replace("hidden_size", "__class__"),
        GOOD.replace("768", "[768]"),
        GOOD.replace("768", "7" * 5_000),
        GOOD + "a = " + "[" * 100_000,
    ],
    ids=[
        *("revision", "hash", "name", "misspelt", "missing", "not-toml"),
        *("no-head", "no-field", "no-number", "long-number", "nested"),
    ],
)
def test_a_broken_recipe_fails(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "models_folder", lambda: tmp_path)
    (tmp_path / "good.toml").write_text(GOOD, encoding="utf-8")
    assert list(read_recipes()) == ["good"]
    (tmp_path / "broken.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"broken\.toml"):
        read_recipes()
