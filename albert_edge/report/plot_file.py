"""Write the figures of a benchmark to a file of their own."""

from __future__ import annotations

import os
from pathlib import Path

from albert_edge.benchmark.report import BenchReport
from albert_edge.errors import UsageError
from albert_edge.report.plots import draw, image_bytes
from albert_edge.report.render import render_plots
from albert_edge.report.whole_file import write_whole

_SUFFIXES = (".svg", ".png", ".html")


def require_suffix(path: str | os.PathLike[str]) -> str:
    """Return the suffix of a plot in lower case.

    Raises:
        UsageError: Plots cannot be written in this format.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _SUFFIXES:
        raise UsageError(
            f"{path}: unsupported format of a plot: {suffix or 'no suffix'}.",
            tip=f"Supported suffixes: {', '.join(_SUFFIXES)}.",
        )
    return suffix


def write_plot(report: BenchReport, path: str | os.PathLike[str]) -> None:
    """Draw a benchmark into one file, which appears as a whole or not at all.

    Args:
        report: The benchmark.
        path: Ends in .svg, .png or .html; the last is a self-contained page.

    Raises:
        UsageError: Another suffix, or a benchmark without a runtime.
        MissingExtraError: matplotlib, or for .html jinja2, is not installed.
    """
    suffix = require_suffix(path)
    if suffix == ".html":
        content = render_plots(report).encode()
    else:
        content = image_bytes(draw(report), suffix.lstrip("."))
    write_whole(path, content)
