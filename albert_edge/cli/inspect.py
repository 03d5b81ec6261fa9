"""`albert-edge inspect`: what a bundle contains, how it differs, or what its layers add."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from albert_edge.cli.options import (
    BundleFolder,
    Depth,
    DepthPrecision,
    DepthTexts,
    Json,
    OtherBundle,
    OtherVariant,
    Variant,
)
from albert_edge.cli.printing import megabytes, note, print_json, show
from albert_edge.cli.table import print_table
from albert_edge.errors import Argument, Message, UsageError

if TYPE_CHECKING:
    from albert_edge.inspection.depth import DepthReport
    from albert_edge.inspection.inspect import Inspection, VariantContent


def inspect(
    bundle: BundleFolder,
    diff: OtherBundle = None,
    variant: Variant = None,
    diff_variant: OtherVariant = None,
    depth: Depth = False,
    texts: DepthTexts = None,
    precision: DepthPrecision = None,
    as_json: Json = False,
) -> None:
    """Show a bundle's geometry, sizes and operators, differences, or what each layer adds."""
    _check_options(
        depth=depth,
        of_depth={"texts": texts, "precision": precision},
        of_diff={"diff": diff, "variant": variant, "diff_variant": diff_variant},
    )
    if depth:
        from albert_edge.inspection.depth import compare_depths

        report = compare_depths(
            bundle, texts=texts, precision=precision or "fp32", progress=not as_json
        )
        (print_json if as_json else _print_depths)(report)
        return
    if diff or variant or diff_variant:
        from albert_edge.cli.print_diff import print_diff
        from albert_edge.inspection.diff import diff as compare

        difference = compare(bundle, diff, variant=variant, second_variant=diff_variant)
        (print_json if as_json else print_diff)(difference)
        return
    from albert_edge.inspection.inspect import inspect

    (print_json if as_json else _print)(inspect(bundle))


def _check_options(
    *, depth: bool, of_depth: Mapping[str, object], of_diff: Mapping[str, object]
) -> None:
    """Refuse options that have no effect with the others."""
    unused = of_diff if depth else of_depth
    for name, value in unused.items():
        if value is not None:
            relation = "excludes" if depth else "needs"
            raise UsageError(
                Message(Argument(name), f" {relation} ", Argument("depth"), "."),
                tip="Leave out one of them." if depth else Message("Add ", Argument("depth"), "."),
            )


def _print_depths(report: DepthReport) -> None:
    full = report.depths[-1].milliseconds
    rows = [
        [
            str(depth.layers),
            f"{depth.agreement:.2%}",
            f"{depth.agreement_low:.1%} to {depth.agreement_high:.1%}",
            f"{depth.cosine:.5f}",
            f"{depth.milliseconds:.2f}",
            f"{depth.milliseconds / full:.0%}",
        ]
        for depth in report.depths
    ]
    note(f"{report.texts} texts of {report.sample}, {report.precision}.")
    columns = ["layers", "agreement", "95 % interval", "cosine", "ms per text (median)"]
    columns.append("time / that of all layers")
    print_table("Agreement with all layers", columns, rows)


def _print(report: Inspection) -> None:
    head = [
        ["head", report.head],
        ["labels", ", ".join(map(str, report.labels))],
        ["source", report.source],
    ]
    if report.task:
        head.insert(1, ["task", report.task])
    if report.unknown_fields:
        head.append(["unknown fields", ", ".join(report.unknown_fields)])
    geometry = [[name, str(value)] for name, value in report.geometry.items()]
    print_table("Model", ["field", "value"], head + geometry, words=2)
    groups = [
        [group.name, f"{group.parameters:,}", megabytes(group.bytes)] for group in report.groups
    ]
    size = megabytes(sum(group.bytes for group in report.groups))
    total = [["total", f"{report.parameters:,}", size]]
    print_table("Weights", ["tensors", "parameters", "size"], groups + total, gap=True)
    for variant in report.variants:
        _print_variant(variant)
    if report.unsigned_weights is not None:
        show("", f"On this CPU, sums of products of signed int8 weights {_exactness(report)}.")


def _exactness(report: Inspection) -> str:
    if not report.unsigned_weights:
        return "are exact"
    narrow = [variant.name for variant in report.variants if variant.narrow_activations]
    adapted = f"; {', '.join(narrow)} with 7-bit activations" if narrow else ""
    return f"can overflow: int8 is loaded as uint8{adapted}"


def _promise(variant: VariantContent) -> str:
    words = f"{variant.promised} promised" if variant.promised else "no agreement is promised"
    layers, texts = (variant.measured.get(name) for name in ("mean_layers", "texts"))
    if isinstance(layers, int | float) and isinstance(texts, int):
        words += f"; {layers:.2f} layers on average on {texts:,} texts"
    return words


def _print_variant(variant: VariantContent) -> None:
    facts = (variant.mode, variant.target, variant.layout, f"opset {variant.opset}")
    title = f"{variant.name}: {', '.join(facts)}, {megabytes(variant.bytes)}"
    operators = [[name, str(count)] for name, count in variant.operators.items()]
    print_table(title, ["operator", "count"], operators, gap=True)
    if variant.exits:
        show(f"Early exits after 1 to {variant.exits} layers; {_promise(variant)}.")
    if variant.matrices:
        print_table("", ["matrix", "precision"], [[*pair] for pair in variant.matrices.items()])
