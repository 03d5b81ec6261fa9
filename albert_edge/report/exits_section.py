"""The section about early exits: what was promised, and after how many layers texts stopped."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from albert_edge.inspection.inspect import Inspection, VariantContent
from albert_edge.report.looks import COLOURS
from albert_edge.report.page import Figure, Section, Table
from albert_edge.report.plots import draw_inline

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def exits_section(inspection: Inspection) -> Section | None:
    """Show the variants with early exits; None if there are none."""
    variants = [variant for variant in inspection.variants if variant.exits]
    if not variants:
        return None
    columns = [
        *("variant", "last exit, layers", "promised", "agreement, or kept right (labels)"),
        *("95 % lower bound", "texts", "layers (mean)"),
    ]
    tables = [Table("Early exits, measured on texts held out", columns, [*map(_row, variants)])]
    figures = []
    for number, variant in enumerate(variants):
        if counts := _counts(variant):
            title = f"Texts by layers applied, {variant.name}"
            svg = draw_inline(title, 2.4, partial(draw_layers, counts), f"layers-{number}")
            figures.append(Figure(title, svg))
            rows = [[f"{layers}", f"{count:,}"] for layers, count in enumerate(counts, 1)]
            tables.append(Table(title, ["layers", "texts"], rows, folded=True))
    text = [
        "A text is answered as soon as an exit is certain enough. The promise holds for texts like "
        "those it was made on."
    ]
    return Section("exits", "Early exits", text, figures, tables)


def draw_layers(counts: Sequence[int], axes: Axes) -> None:
    """Draw how many texts stopped after each number of layers, from 1."""
    layers = range(1, len(counts) + 1)
    axes.bar(layers, counts, color=COLOURS[0], width=0.7)
    axes.set_xticks(layers)
    axes.set_xlabel("layers applied")
    axes.set_ylabel("texts")
    axes.spines[["top", "right"]].set_visible(False)


def _row(variant: VariantContent) -> list[str]:
    measured = variant.measured
    return [
        variant.name,
        f"{variant.exits}",
        variant.promised or "none",
        *(
            format(value, form) if isinstance(value := measured.get(name), int | float) else ""
            for name, form in (
                *(("agreement", ".2%"), ("agreement_low", ".2%")),
                *(("texts", ",.0f"), ("mean_layers", ".2f")),
            )
        ),
    ]


def _counts(variant: VariantContent) -> list[int]:
    """Read the histogram; a manifest may hold what this version did not write."""
    counts = variant.measured.get("layers")
    return [count for count in counts if isinstance(count, int)] if isinstance(counts, list) else []
