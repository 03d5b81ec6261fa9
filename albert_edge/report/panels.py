"""The panels of a figure: lines for latency, bars for memory and file size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from albert_edge.benchmark.report import BenchReport, Latency
from albert_edge.plain import plain
from albert_edge.report.formats import thread_count
from albert_edge.report.looks import FAINT, Look, looks

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def line_groups(report: BenchReport) -> list[tuple[int, int]]:
    """Find the batch size and threads of every latency panel: those with several lengths.

    If none has several lengths, the first is drawn with its only one.
    """
    lengths: dict[tuple[int, int], set[int]] = {}
    for runtime in report.runtimes:
        for latency in runtime.latencies:
            lengths.setdefault((latency.batch, latency.threads), set()).add(latency.length)
    varied = sorted(group for group, values in lengths.items() if len(values) > 1)
    return varied or sorted(lengths)[:1]


def group_title(group: tuple[int, int]) -> str:
    """Name a latency panel.

    >>> group_title((1, 2))
    'batch 1, 2 threads'
    """
    batch, threads = group
    return f"batch {batch}, {thread_count(threads)}"


def draw_latency(report: BenchReport, axes: Axes, group: tuple[int, int]) -> None:
    """Draw a line per runtime: latency in ms (median) over tokens, both axes logarithmic."""
    styles = looks(report)
    ends: list[tuple[str, float, float]] = []
    lengths: set[int] = set()
    for name, points in _points(report, group).items():
        look = styles[name]
        x, y = [p.length for p in points], [p.p50_ms for p in points]
        lengths |= set(x)
        axes.plot(
            *(x, y),
            color=look.colour,
            linestyle="-" if look.own else (0, (4, 2)),
            linewidth=2.0 if look.own else 1.4,
            marker=look.marker,
            markersize=6,
            markerfacecolor=look.colour if look.own else "none",
        )
        ends.append((name, x[-1], y[-1]))
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(sorted(lengths), [str(length) for length in sorted(lengths)])
    axes.minorticks_off()
    _set_milliseconds(axes)
    axes.set_xlabel("tokens")
    axes.set_title(f"Latency, ms (median), {group_title(group)}", loc="left", fontweight="bold")
    axes.grid(axis="y", color=FAINT, alpha=0.3, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    _name_lines(axes, ends, styles)


def _points(report: BenchReport, group: tuple[int, int]) -> dict[str, list[Latency]]:
    points = {
        runtime.name: sorted(
            (latency for latency in runtime.latencies if (latency.batch, latency.threads) == group),
            key=lambda latency: latency.length,
        )
        for runtime in report.runtimes
    }
    return {name: latencies for name, latencies in points.items() if latencies}


def _set_milliseconds(axes: Axes) -> None:
    """Put ticks at 1, 2 and 5 of every decade, as plain numbers."""
    low, high = axes.get_ylim()
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    ticks = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
    shown = [tick for tick in ticks if low <= tick <= high]
    axes.set_yticks(shown, [f"{tick:g}" for tick in shown])
    axes.set_ylim(low, high)


def _name_lines(axes: Axes, ends: list[tuple[str, float, float]], styles: dict[str, Look]) -> None:
    """Write each name to the right of its line, without overlap."""
    low, high = (math.log10(limit) for limit in axes.get_ylim())
    places = [(math.log10(y) - low) / (high - low) for _, _, y in ends]
    height = axes.get_window_extent().height / axes.figure.dpi * 72  # points
    spread = spread_out(places, gap=13 / height)
    for (name, x, y), place in zip(ends, spread, strict=True):
        axes.annotate(
            plain(name),
            xy=(x, y),
            xytext=(1.06, place),
            textcoords="axes fraction",
            va="center",
            fontsize=9,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": styles[name].colour,
                "linewidth": 0.8,
                "shrinkA": 2,
                "shrinkB": 4,
            },
        )


def spread_out(places: Sequence[float], gap: float) -> list[float]:
    """Move places as little as possible (least squares) until they are `gap` apart.

    >>> spread_out([0.5, 0.5, 0.9], gap=0.25)
    [0.375, 0.625, 0.9]
    """
    order = sorted(range(len(places)), key=lambda index: places[index])
    # Without the gaps, places must not decrease: merge neighbours that do (isotonic regression).
    pools: list[list[float]] = []
    for rank, index in enumerate(order):
        pools.append([places[index] - rank * gap, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, m), (b, n) = pools[-2:]
            pools[-2:] = [[(a * m + b * n) / (m + n), m + n]]
    flat = [value for value, count in pools for _ in range(int(count))]
    spread = [0.0] * len(places)
    for rank, index in enumerate(order):
        spread[index] = flat[rank] + rank * gap
    return spread


def draw_memory(report: BenchReport, axes: Axes) -> None:
    """Draw what each process grew by, in MB: a bar for steady memory, a faint one for the peak."""
    steady = [_known(runtime.steady_mb) for runtime in report.runtimes]
    peaks = [_known(runtime.peak_mb) for runtime in report.runtimes]
    _bars(report, axes, peaks, faint=True)
    _bars(report, axes, steady)
    texts = [
        f"{size:.0f} (peak {peak:.0f})" if size or peak else "unknown"
        for size, peak in zip(steady, peaks, strict=True)
    ]
    ends = [max(pair) for pair in zip(steady, peaks, strict=True)]
    _finish_bars(report, axes, ends, texts, "Memory, MB: steady (peak)")


def _known(megabytes: float) -> float:
    """Replace unknown values, and those of a process that shrank, by 0."""
    return max(megabytes, 0.0) if math.isfinite(megabytes) else 0.0


def draw_sizes(report: BenchReport, axes: Axes) -> None:
    """Draw the size of the files each runtime loads, in MB."""
    sizes = [runtime.file_bytes / 1e6 for runtime in report.runtimes]
    _bars(report, axes, sizes)
    _finish_bars(report, axes, sizes, [f"{size:.1f}" for size in sizes], "File, MB")


def _bars(report: BenchReport, axes: Axes, values: Sequence[float], *, faint: bool = False) -> None:
    for row, (value, look) in enumerate(zip(values, looks(report).values(), strict=True)):
        axes.barh(
            row,
            value,
            height=0.62,
            color=look.colour if look.own and not faint else "none",
            edgecolor=look.colour,
            hatch=None if look.own or faint else "////",
            linewidth=0.8,
            alpha=0.5 if faint else 1.0,
        )


def _finish_bars(
    report: BenchReport, axes: Axes, ends: Sequence[float], texts: list[str], title: str
) -> None:
    names = [plain(runtime.name) for runtime in report.runtimes]
    widest = max([*ends, 1e-9])
    for row, (end, text) in enumerate(zip(ends, texts, strict=True)):
        axes.text(end + 0.015 * widest, row, text, va="center", fontsize=9)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.32 * widest)
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set_title(title, loc="left", fontweight="bold")
