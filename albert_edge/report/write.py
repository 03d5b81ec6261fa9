"""From a bundle, and what was measured of it, to a page."""

from __future__ import annotations

import os
from dataclasses import dataclass

from albert_edge.benchmark.report import BenchReport
from albert_edge.bundle.bundle import open_bundle
from albert_edge.errors import UsageError
from albert_edge.evaluation.report import EvaluateReport
from albert_edge.inspection.inspect import Inspection, inspect
from albert_edge.report.bundle_sections import (
    files_section,
    model_section,
    quality_section,
)
from albert_edge.report.evaluation_section import evaluation_section
from albert_edge.report.looks import OWN
from albert_edge.report.page import Page
from albert_edge.report.render import render
from albert_edge.report.speed_sections import (
    machine_section,
    milliseconds,
    speed_section,
)
from albert_edge.report.whole_file import write_whole


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """A page that was written.

    Attributes:
        bundle: What it is about.
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
    """Write one self-contained page about a bundle. A page that was there is replaced.

    Args:
        bundle: The bundle.
        out: The page, which appears whole or not at all.
        bench: What was measured of it, and where.
        evaluation: How right it was on data of its user.

    Raises:
        BundleError: The bundle is missing or damaged.
        UsageError: The bench report is of another model.
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    page = compose(bundle, bench, evaluation)
    content = render(page).encode()
    write_whole(out, content)
    return WrittenReport(bundle, out, len(content), [section.title for section in page.sections])


def compose(
    bundle: str | os.PathLike[str], bench: BenchReport, evaluation: EvaluateReport | None
) -> Page:
    """The page's content."""
    manifest, inspection = open_bundle(bundle).manifest, inspect(bundle)
    _check_same_model(inspection, bench)
    sections = [
        model_section(inspection),
        files_section(inspection, manifest),
        quality_section(inspection),
        *([] if evaluation is None else [evaluation_section(evaluation)]),
        speed_section(bench),
        machine_section(bench.machine),
    ]
    name = os.path.basename(os.path.abspath(bundle))
    lead = f"{inspection.task}, from {inspection.source}. Measured on {bench.machine.cpu}."
    return Page(name, lead, _facts(inspection, bench), sections)


def _check_same_model(inspection: Inspection, bench: BenchReport) -> None:
    differing = [
        name
        for name, value in inspection.geometry.items()
        if name in bench.geometry and bench.geometry[name] != value
    ]
    if differing:
        name = differing[0]
        raise UsageError(
            f"The bench report is of another model: its {name} is {bench.geometry[name]}, the "
            f"bundle's {inspection.geometry[name]}.",
            tip="Measure this bundle: albert-edge bench BUNDLE --json > bench.json",
        )


def _facts(inspection: Inspection, bench: BenchReport) -> list[tuple[str, str]]:
    """The first things one looks for, of the fastest of the bundle's variants."""
    facts = [(f"{inspection.parameters / 1e6:.1f} M", "parameters, each stored once")]
    own = [one for one in bench.runtimes if one.name.startswith(OWN) and one.latencies]
    if not own:
        return facts
    best = min(own, key=lambda runtime: runtime.latencies[-1].p50_ms)
    last = best.latencies[-1]
    threads = f"{last.threads} thread{'s' * (last.threads != 1)}"
    facts += [
        (f"{best.file_bytes / 1e6:.1f} MB", f"file of {best.name}"),
        (f"{best.cold_start_s:.2f} s", "process start to its first answer"),
        (f"{milliseconds(last.p50_ms)} ms", f"its median at {last.shape}, {threads}"),
    ]
    if last.ratio is not None and best.name != bench.baseline:
        facts.append((f"{last.ratio:.2f} x", f"as fast as {bench.baseline} there"))
    return facts
