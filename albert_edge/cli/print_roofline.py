"""Print a roofline: the limits of the machine and the share of them that was reached."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from albert_edge.cli.table import print_table
from albert_edge.report.formats import thread_count

if TYPE_CHECKING:
    from albert_edge.benchmark.report import Rates, Roofline

# Operators below this share of the time are added up in one row.
_SMALL = 0.02


def print_roofline(results: Sequence[Roofline]) -> None:
    """Print the limits of the machine, the share reached, and the time per operator.

    Args:
        results: What `albert_edge.benchmark.roofline.measure_roofline` returns.
    """
    _print_rates(results)
    groups: dict[tuple[str, int], list[Roofline]] = {}
    for result in results:
        groups.setdefault((result.precision, result.threads), []).append(result)
    for (precision, threads), group in groups.items():
        _print_limits(f"{precision}, {thread_count(threads)}", group)


def _print_limits(title: str, group: Sequence[Roofline]) -> None:
    columns = [
        *("shape", "GMAC int8", "GMAC fp32", "MB moved", "compute, ms", "memory, ms"),
        *("measured, ms", "of the limit", "bound by"),
        f"compute on {group[0].other_cpu}, ms (derived)",
    ]
    rows = [
        [
            _shape(result),
            f"{result.int8_macs / 1e9:.3f}",
            f"{result.fp32_macs / 1e9:.3f}",
            f"{result.bytes / 1e6:.1f}",
            f"{result.compute_ms:.2f}",
            f"{result.memory_ms:.2f}",
            f"{result.ms:.2f}",
            f"{result.reached:.0%}",
            result.bound,
            f"{result.other_compute_ms:.2f}",
        ]
        for result in group
    ]
    print_table(f"Limits, {title}", columns, rows, gap=True)
    columns = ["operator", *map(_shape, group)]
    print_table(f"Share of the time by operator, {title}", columns, _operators(group), gap=True)


def _shape(result: Roofline) -> str:
    return f"{result.batch}x{result.length}"


def _print_rates(results: Sequence[Roofline]) -> None:
    rates: dict[int, list[Rates]] = {}
    for result in results:
        rates.setdefault(result.threads, []).append(result.rates)
    kinds = ("int8", "uint8", "fp32", "bandwidth")
    rows = [
        [str(count), *(_span([getattr(rate, kind) / 1e9 for rate in group]) for kind in kinds)]
        for count, group in rates.items()
    ]
    columns = [
        *("threads", "int8, GMAC/s", "int8 with unsigned weights, GMAC/s"),
        *("fp32, GMAC/s", "copy, GB/s"),
    ]
    print_table("This machine: matrix products and copies", columns, rows, gap=True)


def _span(values: Sequence[float]) -> str:
    """Format the smallest and the largest, which are far apart on a busy machine."""
    smallest, largest = f"{min(values):.1f}", f"{max(values):.1f}"
    return smallest if smallest == largest else f"{smallest} to {largest}"


def _operators(group: Sequence[Roofline]) -> list[list[str]]:
    """Build a row per operator with at least `_SMALL` of the time at some shape, one for the rest.

    The order is that of the first shape; all shapes run the same operators.
    """
    shares = [{part.operator: part.share for part in result.operators} for result in group]
    names = dict.fromkeys(name for of_shape in shares for name in of_shape)
    large = [name for name in names if max(of_shape.get(name, 0) for of_shape in shares) >= _SMALL]
    rows = [[name, *(f"{of_shape.get(name, 0):.1%}" for of_shape in shares)] for name in large]
    rest = [
        sum(share for name, share in of_shape.items() if name not in large) for of_shape in shares
    ]
    return [*rows, [f"{len(names) - len(large)} others", *(f"{share:.1%}" for share in rest)]]
