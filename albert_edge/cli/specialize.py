"""`albert-edge specialize`: write a bundle that does less work for texts like a sample."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from albert_edge.cli.error import run_and_show
from albert_edge.cli.grouping import grouped
from albert_edge.cli.options import BundleFolder, Force, Json, LeftOut, SampleGate, SpecializedOut
from albert_edge.cli.printing import megabytes, note, show
from albert_edge.cli.table import print_table

if TYPE_CHECKING:
    from albert_edge.steps.specialize import SpecializeReport


@grouped
def specialize(
    bundle: BundleFolder,
    out: SpecializedOut,
    gate: SampleGate,
    parts: LeftOut,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write a bundle that does less work for texts like a sample, with the same answers."""
    from albert_edge.steps.specialize import specialize

    report = run_and_show(
        lambda: specialize(
            bundle, out, force=force, progress=not as_json, **asdict(gate), **asdict(parts)
        ),
        _print,
        as_json=as_json,
    )
    if not as_json:
        show(report.out)


def _print(report: SpecializeReport) -> None:
    for decision in report.decisions:
        refused = "not used; " if decision.part == "exits" else "kept whole; "
        mark = "" if decision.accepted else refused
        note(f"{decision.part.capitalize()}: {mark}{decision.summary.removesuffix('.')}.")
    if not report.rows:
        return
    full = report.rows[0]
    rows = [
        [
            row.name,
            megabytes(row.bytes),
            f"{row.multiply_accumulates / 1e6:.1f}",
            f"{full.multiply_accumulates / row.multiply_accumulates:.2f}",
            f"{row.layers:.1f}",
            f"{row.ms:.2f}",
            f"{row.speedup:.2f}",
            f"{row.agreement:.2%}",
            f"{row.agreement_low:.2%} to {row.agreement_high:.2%}",
        ]
        for row in report.rows
    ]
    # With labels, a text counts as lost if only the full model gets it right.
    agreement = "agreement with full" if report.max_drop is None else "kept right (labels)"
    columns = [
        *("int8 model", "file", "million multiply-accumulates", "fewer than full, x", "layers"),
        *("ms (median)", "speed-up over full", agreement, "95 % interval"),
    ]
    print_table(
        f"Measured on {report.texts['test']} texts held out from all decisions", columns, rows
    )
