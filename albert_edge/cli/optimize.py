"""`albert-edge optimize`: add a faster variant with the same answers."""

from __future__ import annotations

from albert_edge.cli.options import BundleFolder, Json, Logits, OptimizeLayout, OptimizeTarget
from albert_edge.cli.printing import note, print_json, show
from albert_edge.cli.sign import is_signed, note_lost_signature
from albert_edge.cli.table import print_table


def optimize(
    bundle: BundleFolder,
    target: OptimizeTarget = "cpu",
    layout: OptimizeLayout = None,
    logits: Logits = "all",
    as_json: Json = False,
) -> None:
    """Add a faster variant with the same answers."""
    from albert_edge.graph.plan import Optimization
    from albert_edge.steps.optimize import optimize

    was_signed = is_signed(bundle)
    report = optimize(bundle, target=target, layout=layout, logits=logits, progress=not as_json)
    note_lost_signature(was_signed, bundle)
    if as_json:
        print_json(report)
        return
    rows = [
        [name, str(count), Optimization(name).description]
        for name, count in report.variant.optimizations.items()
    ]
    if rows:
        print_table("Applied", ["optimization", "count", "what it does"], rows)
    note(
        f"Operators: {report.nodes_before} before, {report.nodes_after} after. "
        f"Largest difference from fp32: {report.largest_difference:.1e}."
    )
    show(bundle / report.variant.file)
