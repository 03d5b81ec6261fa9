"""How figures look: the colours, markers and letters of every runtime.

Every runtime keeps its colour and its marker in all figures. Own runtimes are drawn solid, peers
dashed or hatched, so that no figure needs its colours to be told apart. The colours follow Okabe
and Ito (2008): made for every kind of colour vision, and seen on white and on a dark page.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from albert_edge.errors import MissingExtraError

if TYPE_CHECKING:
    from albert_edge.benchmark.report import BenchReport

OWN = "albert-edge"

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#d070a8", "#8c564b", "#6f6f6f", "#a97100", "#2b8cb8")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
INK, FAINT = "#1b1f24", "#8a8f98"
_SETTINGS: dict[Any, Any] = {
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 10.0,
    "text.parse_math": False,  # a name with $ in it is a name
    "svg.fonttype": "none",  # text stays text: it can be read out, searched and copied
    "svg.hashsalt": "albert-edge",  # the same figures give the same file
    "hatch.linewidth": 0.6,
    **{f"{name}.color": INK for name in ("text", "xtick", "ytick")},
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
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
            COLOURS[index % len(COLOURS)],
            # A second turn through the colours has other markers.
            MARKERS[(index + index // len(COLOURS)) % len(MARKERS)],
            runtime.name.startswith(OWN),
        )
        for index, runtime in enumerate(report.runtimes)
    }


def require_matplotlib() -> None:
    """Find out early whether anything can be drawn.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise MissingExtraError("matplotlib", extra="report", purpose="Drawing") from None


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Within it figures are drawn and written as they should look; outside nothing changes."""
    require_matplotlib()
    import matplotlib

    with matplotlib.rc_context(_SETTINGS):
        yield
