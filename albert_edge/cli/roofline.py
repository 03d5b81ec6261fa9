"""Printing how much of what the machine can do was reached."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from albert_edge.cli.printing import print_table

if TYPE_CHECKING:
    from albert_edge.measure.roofline import Roofline

# Operators below this share of the time are summed up.
_SMALL = 0.02


def print_roofline(found: Sequence[Roofline]) -> None:
    """Print limits and what was reached, then where the time goes, by operator.

    Args:
        found: What `albert_edge.measure.roofline.measure_roofline` gives.
    """
    _print_rates(found)
    print_table(
        "\nLimits: the longer of products at those rates and bytes at that of a copy",
        [
            *("precision", "shape", "threads", "GMAC int8", "GMAC fp32", "MB moved"),
            *("products ms", "bytes ms", "measured ms", "reached", "bound by"),
        ],
        [
            [
                one.precision,
                f"{one.batch}x{one.length}",
                str(one.threads),
                f"{one.int8_macs / 1e9:.3f}",
                f"{one.fp32_macs / 1e9:.3f}",
                f"{one.bytes / 1e6:.1f}",
                f"{one.compute_ms:.2f}",
                f"{one.memory_ms:.2f}",
                f"{one.ms:.2f}",
                f"{one.reached:.0%}",
                one.bound,
            ]
            for one in found
        ],
    )
    groups: dict[tuple[str, int], list[Roofline]] = {}
    for one in found:
        groups.setdefault((one.precision, one.threads), []).append(one)
    for (precision, threads), group in groups.items():
        print_table(
            f"\nWhere the time goes: {precision}, {threads} threads",
            ["operator", *(f"{one.batch}x{one.length}" for one in group)],
            _operators(group),
        )


def _print_rates(found: Sequence[Roofline]) -> None:
    rates = {one.threads: one.rates for one in found}
    print_table(
        "\nThis machine: plain products and copies",
        ["threads", "int8 GMAC/s", "fp32 GMAC/s", "copy GB/s"],
        [
            [str(count), *(f"{x / 1e9:.1f}" for x in (rate.int8, rate.fp32, rate.bandwidth))]
            for count, rate in rates.items()
        ],
    )


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
