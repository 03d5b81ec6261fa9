"""`albert-edge quantize`: add a compressed variant, or exit with 3 and say what would pass."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from albert_edge.cli.error import run_and_show
from albert_edge.cli.grouping import grouped
from albert_edge.cli.options import BundleFolder, Compression, Json, QualityGate
from albert_edge.cli.printing import megabytes, note, show
from albert_edge.cli.sign import is_signed, note_lost_signature
from albert_edge.cli.table import print_table

if TYPE_CHECKING:
    from albert_edge.check.quality import Quality
    from albert_edge.steps.quantize import QuantizeReport


@grouped
def quantize(
    bundle: BundleFolder, compression: Compression, gate: QualityGate, as_json: Json = False
) -> None:
    """Add a compressed variant, if its answers stay close enough to those of fp32."""
    from albert_edge.compress.options import compression as find_compression
    from albert_edge.steps.quantize import default_precision, quantize

    limits = (gate.min_agreement, gate.min_cosine, gate.max_drop)
    options = asdict(compression)
    name = options.pop("precision") or default_precision(*limits)
    was_signed = is_signed(bundle)
    report = run_and_show(
        lambda: quantize(
            bundle, find_compression(name, **options), **asdict(gate), progress=not as_json
        ),
        _print,
        as_json=as_json,
    )
    note_lost_signature(was_signed, bundle)
    if report.variant and not as_json:
        show(bundle / report.variant.file)


def _print(report: QuantizeReport) -> None:
    if report.costs:
        _print_costs(report)
    if report.quality is None or report.bytes is None:
        return
    if report.tuning:
        _print_tuning(report)
    plan = ", ".join(f"{matrix} {precision}" for matrix, precision in report.matrices.items())
    if report.precision == "mixed":
        note(f"Chosen from {report.tried} plans: {plan}; the rest fp32.")
    share = report.bytes / report.reference_bytes
    before, after = megabytes(report.reference_bytes), megabytes(report.bytes)
    note(f"File size: {before} in fp32, {after} now ({share:.1%}).")
    note(f"Compared with fp32 on {report.sample}: {_describe(report.quality)}.")


def _print_tuning(report: QuantizeReport) -> None:
    rows = [
        [
            timing.activations,
            timing.layout,
            "" if timing.ms is None else f"{timing.ms:.2f}",
            "chosen" if timing.is_chosen else "; ".join(timing.misses),
        ]
        for timing in report.tuning
    ]
    print_table("Time on this CPU", ["activations", "layout", "ms per text", ""], rows)


def _print_costs(report: QuantizeReport) -> None:
    rows = [
        [
            cost.matrix,
            cost.precision,
            megabytes(cost.bytes_saved),
            f"{1e3 * cost.seconds_saved:+.2f}",
            f"{cost.quality.cosine:.5f}",
            "" if cost.quality.agreement is None else f"{cost.quality.agreement:.2%}",
            "" if cost.quality.drop is None else f"{cost.quality.drop:+.2f}",
        ]
        for cost in report.costs
    ]
    columns = ["matrix", "precision", "saves", "saves, ms per text", "cosine", "agreement", "drop"]
    print_table("Each matrix compressed by itself, compared with fp32", columns, rows)


def _describe(quality: Quality) -> str:
    words = [
        f"{quality.texts} texts, cosine {quality.cosine:.5f} (worst {quality.worst_cosine:.4f})"
    ]
    if quality.agreement is not None:
        words.append(f"agreement {quality.agreement:.2%}")
    words.append(f"largest difference {quality.largest_difference:.2g}")
    if quality.accuracy is not None and quality.reference_accuracy is not None:
        words.append(f"accuracy {quality.accuracy:.2%} (fp32 {quality.reference_accuracy:.2%})")
    return ", ".join(words)
