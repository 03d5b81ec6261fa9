"""The style of figures: fonts, and the colour and marker of each runtime.

A runtime has the same colour and marker in all figures. Variants of albert-edge are drawn solid,
peers dashed or hatched, so that no figure depends on colours. The colours follow Okabe and Ito
(2008): suited to every kind of colour vision, and visible on a white and on a dark page.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from albert_edge.benchmark.report import BenchReport
from albert_edge.packages import import_extra

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#d070a8", "#8c564b", "#6f6f6f", "#a97100", "#2b8cb8")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
INK, FAINT = "#1b1f24", "#8a8f98"
_SETTINGS: dict[Any, Any] = {
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 10.0,
    "text.parse_math": False,  # a $ in a name is a $
    "svg.fonttype": "none",  # text stays text, for screen readers and searches
    "svg.hashsalt": "albert-edge",  # equal figures give equal files
    "hatch.linewidth": 0.6,
    **{f"{name}.color": INK for name in ("text", "xtick", "ytick")},
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
}


@dataclass(frozen=True, slots=True)
class Look:
    """The style of a runtime in every figure."""

    colour: str
    marker: str
    own: bool


def looks(report: BenchReport) -> dict[str, Look]:
    """Assign a look to each runtime, by name, in the order of the report."""
    return {
        runtime.name: Look(
            COLOURS[index % len(COLOURS)],
            # When colours repeat, markers differ.
            MARKERS[(index + index // len(COLOURS)) % len(MARKERS)],
            runtime.is_own,
        )
        for index, runtime in enumerate(report.runtimes)
    }


def require_matplotlib() -> None:
    """Check that figures can be drawn.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    import_extra("matplotlib", extra="report", purpose="Drawing")


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Apply the style within a `with` block; settings outside stay as they are."""
    require_matplotlib()
    import matplotlib

    with matplotlib.rc_context(_SETTINGS):
        yield
