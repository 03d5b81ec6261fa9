"""Print what differs between two bundles or variants: `albert-edge inspect --diff`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from albert_edge.bundle.manifest import PROMISES
from albert_edge.cli.printing import show
from albert_edge.cli.table import print_table

if TYPE_CHECKING:
    from albert_edge.inspection.diff import DiffReport, FieldDiff, VariantDiff
    from albert_edge.inspection.diff_weights import WeightsDiff


def print_diff(report: DiffReport) -> None:
    """Print what differs between two bundles, then between their variants."""
    if report.equal:
        show("Nothing differs.")
        return
    if report.first != report.second:
        names = (report.only_first, report.only_second)
        only = [["variants", *map(", ".join, names)]] if any(names) else []
        rows = [*_fields(report.fields), *_fields(report.files), *only]
        if rows:
            columns = ["", str(report.first), str(report.second)]
            print_table("Bundles", columns, rows, words=3)
        else:
            show("The bundles have the same model, files and variants.")
    for variant in report.variants:
        _print_variant(variant)


def _fields(fields: list[FieldDiff]) -> list[list[str]]:
    return [
        [field.field, _format(field.field, field.first), _format(field.field, field.second)]
        for field in fields
    ]


def _format(field: str, value: Any) -> str:
    if value is None:
        return "-"
    if field in PROMISES:
        return PROMISES[field].format(value)
    if field == "bytes":  # in full: sizes may differ by a few bytes
        return f"{value:,}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _print_variant(pair: VariantDiff) -> None:
    names = pair.first if pair.first == pair.second else f"{pair.first} and {pair.second}"
    if pair.identical:
        show("", f"{names}: the same file.")
        return
    columns = ["", pair.first, pair.second]
    print_table(names, columns, _fields(pair.fields), words=3, gap=True)
    if pair.operators:
        rows = [
            [operator.field, str(operator.first or 0), str(operator.second or 0)]
            for operator in pair.operators
        ]
        print_table("Operators, count", ["operator", pair.first, pair.second], rows, gap=True)
    if pair.weights:
        _print_weights(pair.weights)
    if pair.answers is None:
        show("", f"Answers were not compared: {pair.no_answers}")
        return
    quality = pair.answers.quality
    agreement = "" if quality.agreement is None else f", agreement {quality.agreement:.2%}"
    show(
        "",
        f"Answers to {pair.answers.sample}: cosine {quality.cosine:.6f} (worst "
        f"{quality.worst_cosine:.6f}){agreement}, largest difference "
        f"{quality.largest_difference:.2g}.",
    )
    for name, layers in zip(columns[1:], pair.answers.mean_layers, strict=True):
        if layers is not None:
            show(f"{name} applied {layers:.2f} layers on average.")


def _print_weights(weights: WeightsDiff) -> None:
    changed = [weight for weight in weights.shared if weight.largest or weight.cosine != 1]
    if changed:
        rows = [
            [
                weight.name,
                " / ".join(dict.fromkeys((weight.first, weight.second))),
                f"{weight.largest:.2g}",
                f"{weight.relative:.2%}",
                f"{weight.cosine:.6f}",
            ]
            for weight in changed
        ]
        columns = ["weight", "stored", "largest difference", "relative", "cosine"]
        print_table("Weights, dequantized", columns, rows, words=2, gap=True)
    equal = len(weights.shared) - len(changed)
    show("", f"{equal} of {len(weights.shared)} weights that can be compared are equal.")
    for reason, count in Counter(weights.incomparable.values()).items():
        names = [name for name, why in weights.incomparable.items() if why == reason]
        show(f"{count} cannot be compared, such as {names[0]}: {reason}.")
    for place, only in (("first", weights.only_first), ("second", weights.only_second)):
        if only:
            show(f"Only the {place} has {len(only)} weights, such as {only[0]}.")
