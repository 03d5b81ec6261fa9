"""`albert-edge demo`: every step from checkpoint to accuracy, on the model that ships."""

from __future__ import annotations

from albert_edge.cli.options import DemoFolder, Json
from albert_edge.cli.printing import megabytes, note, print_json
from albert_edge.cli.table import print_table


def demo(out: DemoFolder = None, as_json: Json = False) -> None:
    """Export, optimize, quantize, run and evaluate the model that ships with albert-edge."""
    from albert_edge.steps.demo import run_demo

    report = run_demo(out, say=(lambda message: None) if as_json else note)
    if as_json:
        print_json(report)
        return
    fp32 = report.rows[0]
    rows = [
        [
            row.variant,
            megabytes(row.bytes),
            f"{row.load_ms:.0f}",
            f"{row.latency_ms:.2f}",
            f"{fp32.latency_ms / row.latency_ms:.1f}",
            f"{row.accuracy:.1%}",
        ]
        for row in report.rows
    ]
    print_table(
        f"{report.model}, {report.texts} held-out texts, {report.threads} threads",
        ["variant", "file", "load, ms", "latency, ms (median)", "speed-up over model", "accuracy"],
        rows,
    )
