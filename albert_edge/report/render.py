"""Render a page as HTML: one file that contains its style and figures."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from albert_edge.benchmark.report import BenchReport
from albert_edge.packages import import_extra
from albert_edge.plain import plain
from albert_edge.report.looks import require_matplotlib
from albert_edge.report.page import Figure, Page, Section
from albert_edge.report.plots import inline_svgs

if TYPE_CHECKING:
    from jinja2 import Environment


def render(page: Page) -> str:
    """Render a page as HTML, with all texts escaped.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    style = resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    return environment().get_template("page.html.j2").render(page=page, style=style)


def environment() -> Environment:
    """Load the templates, which escape everything but figures: HTML, and what `plain` escapes.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    import_extra("jinja2", extra="report", purpose="A report page")
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("albert_edge", "report"),
        autoescape=True,
        finalize=_finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _finalize(value: object) -> object:
    return value if hasattr(value, "__html__") else plain(str(value))


def require_libraries() -> None:
    """Check that pages and figures can be made.

    Raises:
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    environment()
    require_matplotlib()


def render_plots(report: BenchReport) -> str:
    """Render the figures of a benchmark as a page of their own."""
    figures = [Figure(title, svg) for title, svg in inline_svgs(report)]
    lead = f"{report.model}, on {report.machine.cpu}."
    return render(
        Page("Benchmark", lead, sections=[Section("figures", "Figures", figures=figures)])
    )
