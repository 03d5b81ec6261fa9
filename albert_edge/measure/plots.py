"""Figures of a bench report: latency over length, memory, and size, side by side.

Every runtime keeps its colour and its marker in all of them, and its name stands beside its line or
bar. Own runtimes are drawn solid, peers dashed or hatched, so that no figure needs its colours to
be told apart. The colours are those of Okabe and Ito (2008), made for every kind of colour vision,
with the light ones darkened until they are seen on white.
"""

from __future__ import annotations

import contextlib
import html
import io
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from albert_edge.errors import MissingExtraError, UsageError
from albert_edge.measure.whole_file import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from albert_edge.measure.bench.report import BenchReport, Latency, RuntimeResult

OWN = "albert-edge"
SUFFIXES = (".svg", ".png", ".html")

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b0579f", "#a97100", "#2b8cb8", "#6f6f6f", "#8c564b")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_INK, _FAINT = "#1b1f24", "#8a8f98"
_SETTINGS = {
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 10.0,
    "text.parse_math": False,  # a name with $ in it is a name
    "svg.fonttype": "none",  # text stays text: it can be read out, searched and copied
    "svg.hashsalt": "albert-edge",  # the same figures give the same file
    "hatch.linewidth": 0.6,
    **{f"{name}.color": _INK for name in ("text", "xtick", "ytick")},
    "axes.labelcolor": _INK,
    "axes.edgecolor": _FAINT,
}


@dataclass(frozen=True, slots=True)
class Look:
    """How a runtime is drawn in every figure."""

    colour: str
    marker: str
    own: bool


def looks(report: BenchReport) -> dict[str, Look]:
    """The look of each runtime, by name, in the order of the report."""
    return {
        runtime.name: Look(
            _COLOURS[index % len(_COLOURS)],
            # A second turn through the colours has other markers.
            _MARKERS[(index + index // len(_COLOURS)) % len(_MARKERS)],
            runtime.name.startswith(OWN),
        )
        for index, runtime in enumerate(report.runtimes)
    }


def write_plot(report: BenchReport, path: str | os.PathLike[str]) -> None:
    """Draw a report into one file, which appears whole or not at all.

    Args:
        report: What bench measured.
        path: Ends in .svg, .png or .html; the last is a page that needs no other file and no
            network.

    Raises:
        UsageError: Another suffix, or a report without a runtime.
        MissingExtraError: matplotlib, or for .html jinja2, is not installed.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(
            f"A plot is not written as {suffix or 'a file without a suffix'}: {path}.",
            tip=f"Let the name end in {', '.join(SUFFIXES)}.",
        )
    if suffix == ".html":
        from albert_edge.measure.report.render import render_plots

        content = render_plots(report).encode()
    else:
        content = _bytes_of(draw(report), suffix.lstrip("."))
    write_whole(path, content)


def draw(report: BenchReport) -> Figure:
    """All figures of a report in one: latency left, memory and size right."""
    _check(report)
    lines = len(report.runtimes)
    shapes = max(1, len(line_groups(report)))
    bars = max(2.6, 0.9 + 0.36 * lines)
    with _style():
        figure = _figure(5.4 * shapes + 6.2, max(4.6, 2 * bars))
        grid = figure.add_gridspec(2, shapes + 1, width_ratios=[5.4] * shapes + [6.2])
        for column, group in enumerate(line_groups(report)):
            draw_latency(report, figure.add_subplot(grid[:, column]), group)
        draw_memory(report, figure.add_subplot(grid[0, -1]))
        draw_sizes(report, figure.add_subplot(grid[1, -1]))
    return figure


def inline_svgs(report: BenchReport) -> list[tuple[str, str]]:
    """The figures one by one, to stand inside a page: pairs of a title and an SVG element.

    Text and frames take the colour of the page's text, and nothing is behind them, so that they
    are seen on a dark page too.
    """
    _check(report)
    bars = 0.9 + 0.36 * len(report.runtimes)
    plans: list[tuple[str, float, Callable[[Axes], None]]] = [
        (
            f"Latency over length, {group_title(group)}",
            5.2,
            lambda axes, group=group: draw_latency(report, axes, group),  # type: ignore[misc]
        )
        for group in line_groups(report)
    ]
    plans.append(("Memory", max(2.2, bars), lambda axes: draw_memory(report, axes)))
    plans.append(("File size", max(2.2, bars), lambda axes: draw_sizes(report, axes)))
    pairs = []
    for number, (title, height, paint) in enumerate(plans):
        with _style():
            figure = _figure(8.6, height)
            paint(figure.add_subplot())
        pairs.append((title, _inline(figure, title, f"plot-{number}")))
    return pairs


# Latency.


def line_groups(report: BenchReport) -> list[tuple[int, int]]:
    """Batch size and threads of every figure of latency: where lengths vary.

    Where no batch size has two lengths, the first is drawn with its one.
    """
    lengths: dict[tuple[int, int], set[int]] = {}
    for runtime in report.runtimes:
        for latency in runtime.latencies:
            lengths.setdefault((latency.batch, latency.threads), set()).add(latency.length)
    varied = sorted(group for group, found in lengths.items() if len(found) > 1)
    return varied or sorted(lengths)[:1]


def group_title(group: tuple[int, int]) -> str:
    """A figure of latency in words.

    >>> group_title((1, 2))
    'batch 1, 2 threads'
    """
    batch, threads = group
    return f"batch {batch}, {threads} thread{'s' * (threads != 1)}"


def draw_latency(report: BenchReport, axes: Axes, group: tuple[int, int]) -> None:
    """A line per runtime, milliseconds (median) over tokens, both in logarithms."""
    ends: list[tuple[str, float, float]] = []
    lengths: set[int] = set()
    for name, points in _points(report, group).items():
        look = looks(report)[name]
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
    axes.grid(axis="y", color=_FAINT, alpha=0.3, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    _name_lines(axes, ends, looks(report))


def _points(report: BenchReport, group: tuple[int, int]) -> dict[str, list[Latency]]:
    found = {
        runtime.name: sorted(
            (one for one in runtime.latencies if (one.batch, one.threads) == group),
            key=lambda one: one.length,
        )
        for runtime in report.runtimes
    }
    return {name: points for name, points in found.items() if points}


def _set_milliseconds(axes: Axes) -> None:
    """Ticks at 1, 2 and 5 of every decade, as plain numbers, and some room around the lines."""
    low, high = axes.get_ylim()
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    ticks = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
    shown = [tick for tick in ticks if low <= tick <= high]
    axes.set_yticks(shown, [f"{tick:g}" for tick in shown])
    axes.set_ylim(low, high)


def _name_lines(
    axes: Axes, ends: list[tuple[str, float, float]], styles: dict[str, Look]
) -> None:
    """Write each name right of the end of its line, none over another."""
    low, high = (math.log10(limit) for limit in axes.get_ylim())
    places = [(math.log10(y) - low) / (high - low) for _, _, y in ends]
    height = axes.get_window_extent().height / axes.figure.dpi * 72  # points
    spread = spread_out(places, gap=13 / height)
    for (name, x, y), place in zip(ends, spread, strict=True):
        axes.annotate(
            name,
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
    """Places as near to the given ones as can be (least squares) that are `gap` apart.

    >>> spread_out([0.5, 0.5, 0.9], gap=0.25)
    [0.375, 0.625, 0.9]
    """
    order = sorted(range(len(places)), key=lambda index: places[index])
    # With the gaps taken out, what is left must not decrease: pool neighbours that do.
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


# Bars.


def draw_memory(report: BenchReport, axes: Axes) -> None:
    """What each process grew by, in MB: a bar up to what stays, a faint one up to the peak."""
    steady = [_known(runtime.steady_mb) for runtime in report.runtimes]
    peaks = [_known(runtime.peak_mb) for runtime in report.runtimes]
    _bars(report, axes, peaks, faint=True)
    _bars(report, axes, steady)
    texts = [
        f"{one:.0f} (peak {peak:.0f})" if one or peak else "unknown"
        for one, peak in zip(steady, peaks, strict=True)
    ]
    ends = [max(pair) for pair in zip(steady, peaks, strict=True)]
    _finish_bars(report, axes, ends, texts, "Memory, MB: steady (peak)")


def _known(megabytes: float) -> float:
    """Zero for what the system did not tell, and for a process that shrank."""
    return max(megabytes, 0.0) if math.isfinite(megabytes) else 0.0


def draw_sizes(report: BenchReport, axes: Axes) -> None:
    """The bytes of what each runtime loads, in MB."""
    sizes = [runtime.file_bytes / 1e6 for runtime in report.runtimes]
    _bars(report, axes, sizes)
    _finish_bars(report, axes, sizes, [f"{size:.1f}" for size in sizes], "File, MB")


def _bars(
    report: BenchReport, axes: Axes, values: Sequence[float], *, faint: bool = False
) -> None:
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
    names = [runtime.name for runtime in report.runtimes]
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


# Files.


def _check(report: BenchReport) -> None:
    if not any(runtime.latencies for runtime in report.runtimes):
        raise UsageError(
            "There is nothing to draw: no runtime was measured.",
            tip="Look at what bench says it skipped, and why.",
        )


@contextlib.contextmanager
def _style() -> Iterator[None]:
    try:
        import matplotlib
    except ImportError:
        raise MissingExtraError("matplotlib", extra="report", purpose="Drawing") from None
    with matplotlib.rc_context(_SETTINGS):
        yield


def _figure(width: float, height: float) -> Figure:
    """An empty figure, in inches; pyplot, which keeps figures, is not involved."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _bytes_of(figure: Figure, kind: str, *, transparent: bool = False) -> bytes:
    metadata: dict[str, Any] = {"Date": None, "Creator": None} if kind == "svg" else {}
    buffer = io.BytesIO()
    with _style():
        figure.savefig(
            buffer,
            format=kind,
            dpi=144,
            bbox_inches="tight",
            metadata=metadata,
            transparent=transparent,
        )
    return buffer.getvalue()


def _inline(figure: Figure, title: str, prefix: str) -> str:
    """The SVG element for a page: named, without ids that another figure has."""
    svg = _bytes_of(figure, "svg", transparent=True).decode()
    element = svg[svg.index("<svg") :]
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = element.replace('xlink:href="#', 'href="#').replace(_INK, "currentColor")
    element = re.sub(r'(?<= id=")|(?<= href="#)|(?<=url\(#)', f"{prefix}-", element)
    name = f'<title id="{prefix}-title">{html.escape(title)}</title>'
    opened = f'<svg role="img" aria-labelledby="{prefix}-title"'
    return element.replace("<svg", opened, 1).replace(">", f">{name}", 1).strip()
