"""`albert-edge inspect --diff`: what differs between two bundles or variants."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from albert_edge.cli.printing import print_json, print_table

if TYPE_CHECKING:
    from albert_edge.inspection.diff import DiffReport, FieldDiff, VariantDiff
    from albert_edge.inspection.diff_weights import WeightsDiff


def show_diff(
    bundle: Path,
    other: Path | None,
    variant: str | None,
    other_variant: str | None,
    *,
    as_json: bool,
) -> None:
    """Compare, and print."""
    from albert_edge.inspection.diff import diff

    report = diff(bundle, other, variant=variant, second_variant=other_variant)
    if as_json:
        print_json(report)
    else:
        _print(report)


def _print(report: DiffReport) -> None:
    first, second = str(report.first), str(report.second)
    if report.equal:
        print("Nothing differs.")
        return
    if report.first != report.second:
        alone = [["variants", ", ".join(names[0]), ", ".join(names[1])] for names in _alone(report)]
        rows = [*_fields(report.fields), *_fields(report.files), *alone]
        if rows:
            print_table("Bundles", ["", first, second], rows, words=3)
        else:
            print("The bundles have the same model, files and variants.")
    for one in report.variants:
        _print_variant(one)


def _alone(report: DiffReport) -> list[tuple[list[str], list[str]]]:
    found = bool(report.only_first or report.only_second)
    return [(report.only_first, report.only_second)] if found else []


def _fields(found: list[FieldDiff]) -> list[list[str]]:
    return [[one.field, _told(one.field, one.first), _told(one.field, one.second)] for one in found]


def _told(field: str, value: Any) -> str:
    if value is None:
        return "-"
    if field == "bytes":  # in full, since a few of them may be all that differs
        return f"{value:,}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _print_variant(one: VariantDiff) -> None:
    names = one.first if one.first == one.second else f"{one.first} and {one.second}"
    if one.identical:
        print(f"\n{names}: the same file.")
        return
    title = f"\n{names}"
    print_table(title, ["", one.first, one.second], _fields(one.fields), words=3)
    if one.operators:
        rows = [
            [each.field, *(str(n or 0) for n in (each.first, each.second))]
            for each in one.operators
        ]
        print_table("\nOperators", ["operator", "times", "times"], rows)
    if one.weights:
        _print_weights(one.weights)
    if one.answers:
        quality = one.answers.quality
        agreement = "" if quality.agreement is None else f", agreement {quality.agreement:.2%}"
        print(
            f"\nAnswers to {one.answers.sample}: cosine {quality.cosine:.6f} (worst "
            f"{quality.worst_cosine:.6f}){agreement}, largest difference "
            f"{quality.largest_difference:.2g}."
        )
    else:
        print(f"\nAnswers were not compared: {one.no_answers}")


def _print_weights(found: WeightsDiff) -> None:
    changed = [one for one in found.shared if one.largest or one.cosine != 1]
    if changed:
        print_table(
            "\nWeights, as the numbers they stand for",
            ["weight", "stored", "largest difference", "relative", "cosine"],
            [
                [
                    one.name,
                    one.first if one.first == one.second else f"{one.first} / {one.second}",
                    f"{one.largest:.2g}",
                    f"{one.relative:.2%}",
                    f"{one.cosine:.6f}",
                ]
                for one in changed
            ],
            words=2,
        )
    equal = len(found.shared) - len(changed)
    print(f"\n{equal} of {len(found.shared)} weights that can be compared are equal.")
    for why, count in Counter(found.incomparable.values()).items():
        names = [name for name in found.incomparable if found.incomparable[name] == why]
        print(f"{count} cannot be compared, {names[0]} for one: {why}.")
    for place, names in (("first", found.only_first), ("second", found.only_second)):
        if names:
            print(f"The {place} alone has {len(names)}, {names[0]} for one.")
