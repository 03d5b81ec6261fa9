"""Printing how much of what the machine can do was reached."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from albert_edge.cli.printing import print_table

if TYPE_CHECKING:
    from albert_edge.benchmark.report import Rates, Roofline

# Operators below this share of the time are summed up.
_SMALL = 0.02


def print_roofline(found: Sequence[Roofline]) -> None:
    """Print limits and what was reached, then where the time goes, by operator.

    Args:
        found: What `albert_edge.benchmark.roofline.measure_roofline` gives.
    """
    _print_rates(found)
    groups: dict[tuple[str, int], list[Roofline]] = {}
    for one in found:
        groups.setdefault((one.precision, one.threads), []).append(one)
    for (precision, threads), group in groups.items():
        _print_limits(f"{precision}, {threads} thread{'s' * (threads > 1)}", group)


def _print_limits(title: str, group: Sequence[Roofline]) -> None:
    print_table(
        f"\nLimits in ms, {title}: products at those rates, bytes at that of a copy",
        [
            *("shape", "GMAC int8", "GMAC fp32", "MB moved", "products", "bytes"),
            *("took", "reached", "bound by"),
        ],
        [
            [
                f"{one.batch}x{one.length}",
                f"{one.int8_macs / 1e9:.3f}",
                f"{one.fp32_macs / 1e9:.3f}",
                f"{one.bytes / 1e6:.1f}",
                f"{one.compute_ms:.2f}",
                f"{one.memory_ms:.2f}",
                f"{one.ms:.2f}",
                f"{one.reached:.0%}",
                one.bound,
            ]
            for one in group
        ],
    )
    print_table(
        f"\nWhere the time goes, {title}",
        ["operator", *(f"{one.batch}x{one.length}" for one in group)],
        _operators(group),
    )


def _print_rates(found: Sequence[Roofline]) -> None:
    rates: dict[int, list[Rates]] = {}
    for one in found:
        rates.setdefault(one.threads, []).append(one.rates)
    print_table(
        "\nThis machine: plain products and copies",
        ["threads", "int8 GMAC/s", "fp32 GMAC/s", "copy GB/s"],
        [
            [
                str(count),
                *(
                    _span([getattr(rate, kind) / 1e9 for rate in group])
                    for kind in ("int8", "fp32", "bandwidth")
                ),
            ]
            for count, group in rates.items()
        ],
    )


def _span(values: Sequence[float]) -> str:
    """The least and the largest, which are far apart on a machine with other work to do."""
    least, largest = f"{min(values):.1f}", f"{max(values):.1f}"
    return least if least == largest else f"{least} to {largest}"


def _operators(group: Sequence[Roofline]) -> list[list[str]]:
    """A row for every operator that takes a share worth knowing at some shape, and one for others.

    The first shape's order decides; all shapes run the same operators.
    """
    shares = [{part.operator: part.share for part in one.operators} for one in group]
    names = dict.fromkeys(name for of_one in shares for name in of_one)
    large = [name for name in names if max(one.get(name, 0) for one in shares) >= _SMALL]
    rows = [[name, *(f"{one.get(name, 0):.1%}" for one in shares)] for name in large]
    rest = [sum(share for name, share in one.items() if name not in large) for one in shares]
    return [*rows, [f"{len(names) - len(large)} others", *(f"{share:.1%}" for share in rest)]]
