"""The figures of a benchmark: latency over length, memory, and file size."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from albert_edge.benchmark.report import BenchReport
from albert_edge.errors import UsageError
from albert_edge.report.looks import INK, style
from albert_edge.report.panels import (
    draw_latency,
    draw_memory,
    draw_sizes,
    group_title,
    line_groups,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw(report: BenchReport) -> Figure:
    """Draw all panels in one figure: latency on the left, memory and size on the right."""
    _check(report)
    groups = line_groups(report)
    widths = [4.6] * len(groups) + [5.0]
    bars = max(2.1, 0.7 + 0.3 * len(report.runtimes))
    with style():
        figure = _figure(sum(widths), max(4.2, 2 * bars))
        grid = figure.add_gridspec(2, len(widths), width_ratios=widths)
        for column, group in enumerate(groups):
            draw_latency(report, figure.add_subplot(grid[:, column]), group)
        draw_memory(report, figure.add_subplot(grid[0, -1]))
        draw_sizes(report, figure.add_subplot(grid[1, -1]))
    return figure


def inline_svgs(report: BenchReport) -> list[tuple[str, str]]:
    """Draw each panel for use inside a page: pairs of a title and an SVG element.

    Text and frames take the colour of the page's text and the background is transparent, so that
    they are visible on a dark page too.
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
    plans.append(("Memory", max(1.5, bars), lambda axes: draw_memory(report, axes)))
    plans.append(("File size", max(1.5, bars), lambda axes: draw_sizes(report, axes)))
    return [
        (title, draw_inline(title, height, paint, f"plot-{number}"))
        for number, (title, height, paint) in enumerate(plans)
    ]


def draw_inline(title: str, height: float, paint: Callable[[Axes], None], prefix: str) -> str:
    """Draw a panel as an SVG element for use inside a page.

    Args:
        title: What it shows.
        height: Its height, in inches.
        paint: Draws it.
        prefix: Starts its ids, which are unique in a page.
    """
    with style():
        figure = _figure(8.6, height)
        paint(figure.add_subplot())
    return _inline(figure, title, prefix)


def _check(report: BenchReport) -> None:
    if not any(runtime.latencies for runtime in report.runtimes):
        raise UsageError(
            "There is nothing to draw: no runtime was measured.",
            tip="See what bench skipped, and why.",
        )


def _figure(width: float, height: float) -> Figure:
    """Create an empty figure, in inches, without pyplot, which keeps figures in memory."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def image_bytes(figure: Figure, kind: str, *, transparent: bool = False) -> bytes:
    """Encode a figure as "svg" or "png"; equal figures give equal bytes."""
    metadata: dict[str, Any] = {"Date": None, "Creator": None} if kind == "svg" else {}
    buffer = io.BytesIO()
    with style():
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
    """Cut out the SVG element for a page, give it a title, and make its ids unique."""
    svg = image_bytes(figure, "svg", transparent=True).decode()
    element = svg[svg.index("<svg") :]
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = element.replace('xlink:href="#', 'href="#').replace(INK, "currentColor")
    element = re.sub(r'(?<= id=")|(?<= href="#)|(?<=url\(#)', f"{prefix}-", element)
    name = f'<title id="{prefix}-title">{html.escape(title)}</title>'
    opened = f'<svg role="img" aria-labelledby="{prefix}-title"'
    return element.replace("<svg", opened, 1).replace(">", f">{name}", 1).strip()
