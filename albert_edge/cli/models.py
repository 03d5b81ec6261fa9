"""`albert-edge models`: the checkpoints that have a short name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from albert_edge.cli.options import Json
from albert_edge.cli.printing import print_json, show

if TYPE_CHECKING:
    from albert_edge.checkpoint.recipes import Recipe


@dataclass(frozen=True, slots=True)
class ModelsReport:
    """The checkpoints that `export` knows by a short name."""

    models: list[Recipe]


def models(as_json: Json = False) -> None:
    """List the checkpoints that export knows by a short name."""
    from albert_edge.checkpoint.recipes import read_recipes

    recipes = list(read_recipes().values())
    if as_json:
        print_json(ModelsReport(recipes))
        return
    for recipe in recipes:
        source = recipe.source or "ships with albert-edge"
        show(recipe.name, f"  {recipe.head}, {source}: {recipe.summary}")
