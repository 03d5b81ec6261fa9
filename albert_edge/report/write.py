"""Write the page about a bundle."""

from __future__ import annotations

import os
from dataclasses import dataclass

from albert_edge.benchmark.report import BenchReport
from albert_edge.bundle.bundle import open_bundle
from albert_edge.errors import Call, Message, UsageError
from albert_edge.evaluation.report import EvaluateReport
from albert_edge.inspection.inspect import Inspection, inspect
from albert_edge.report.bundle_sections import agreement_section, files_section, model_section
from albert_edge.report.evaluation_section import evaluation_section
from albert_edge.report.exits_section import exits_section
from albert_edge.report.headline import headline
from albert_edge.report.page import Page
from albert_edge.report.render import render
from albert_edge.report.speed_sections import machine_section, speed_section
from albert_edge.report.whole_file import write_whole


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """A page that was written.

    Attributes:
        bundle: The bundle it is about.
        page: The file.
        bytes: Its size.
        sections: Titles of its sections.
    """

    bundle: str | os.PathLike[str]
    page: str | os.PathLike[str]
    bytes: int
    sections: list[str]


def write_report(
    bundle: str | os.PathLike[str],
    out: str | os.PathLike[str],
    bench: BenchReport,
    evaluation: EvaluateReport | None = None,
) -> WrittenReport:
    """Write one self-contained page about a bundle. An existing page is replaced.

    Args:
        bundle: The bundle.
        out: The page, which appears as a whole or not at all.
        bench: A benchmark of the bundle, and the machine it ran on.
        evaluation: The metrics on labelled data.

    Raises:
        BundleError: The bundle is missing or damaged.
        UsageError: The benchmark is of another model.
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    page = compose(bundle, bench, evaluation)
    content = render(page).encode()
    write_whole(out, content)
    return WrittenReport(bundle, out, len(content), [section.title for section in page.sections])


def compose(
    bundle: str | os.PathLike[str], bench: BenchReport, evaluation: EvaluateReport | None
) -> Page:
    """Put the page together: quality and speed first, then what the bundle contains."""
    manifest, inspection = open_bundle(bundle).manifest, inspect(bundle)
    _require_same_model(inspection, bench)
    exits = exits_section(inspection)
    sections = [
        *([] if evaluation is None else [evaluation_section(evaluation)]),
        agreement_section(inspection),
        *([] if exits is None else [exits]),
        speed_section(bench),
        machine_section(bench.machine),
        model_section(inspection),
        files_section(inspection, manifest),
    ]
    name = os.path.basename(os.path.abspath(bundle))
    what = inspection.task or inspection.head
    lead = f"{what}, from {inspection.source}. Measured on {bench.machine.cpu}."
    return Page(name, lead, headline(inspection, bench, evaluation), sections)


def _require_same_model(inspection: Inspection, bench: BenchReport) -> None:
    for name, value in inspection.geometry.items():
        if bench.geometry.get(name, value) != value:
            raise UsageError(
                f"The benchmark is of another model: its {name} is {bench.geometry[name]}, the "
                f"bundle's {value}.",
                tip=Message("Measure this bundle with ", Call("bench", "BUNDLE"), "."),
            )
