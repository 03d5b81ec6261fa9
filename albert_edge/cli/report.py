"""`albert-edge report`: one page about a bundle, for people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from albert_edge.cli.commands import BundleFolder, Json
from albert_edge.cli.printing import note, print_json
from albert_edge.errors import UsageError

if TYPE_CHECKING:
    from albert_edge.benchmark.report import BenchReport
    from albert_edge.evaluation.report import EvaluateReport

Output = Annotated[
    Path, typer.Option("--output", "-o", help="The page; one that is there is replaced.")
]
Bench = Annotated[
    Path | None,
    typer.Option(help="What bench --json printed earlier; by default bench runs now."),
]
Against = Annotated[
    str | None, typer.Option(help="Peers to measure, as bench --against takes them.")
]
Data = Annotated[
    Path | None, typer.Option(help="Texts with what is right, as evaluate takes them.")
]


def report(
    bundle: BundleFolder,
    output: Output = Path("report.html"),
    bench: Bench = None,
    against: Against = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Write one page about a bundle: geometry, sizes, quality, speed, with figures."""
    from albert_edge.inspection.inspect import inspect
    from albert_edge.report.render import require_libraries
    from albert_edge.report.write import write_report

    if bench is not None and against is not None:
        raise UsageError(
            "--against says what to measure, and --bench that it was measured already.",
            tip="Give one of them.",
        )
    inspect(bundle)  # what cannot be reported on is not measured for minutes first
    require_libraries()
    _require_folder(output)
    evaluation = None if data is None else _evaluate(bundle, data, quiet=as_json)
    measured = _measure(bundle, against, quiet=as_json) if bench is None else _read(bench)
    written = write_report(bundle, output, measured, evaluation)
    if as_json:
        print_json(written)
        return
    for name, why in measured.skipped.items():
        note(f"Not measured: {name}: {why}")
    print(written.page)


def _read(path: Path) -> BenchReport:
    from albert_edge.report.bench_file import read_bench

    return read_bench(path)


def _measure(bundle: Path, against: str | None, *, quiet: bool) -> BenchReport:
    from albert_edge.benchmark.run import bench

    peers = [name.strip() for name in (against or "").split(",") if name.strip()]
    return bench(bundle, against=peers, progress=not quiet)


def _evaluate(bundle: Path, data: Path, *, quiet: bool) -> EvaluateReport:
    from albert_edge.evaluation.run import evaluate

    return evaluate(bundle, data, progress=not quiet)


def _require_folder(output: Path) -> None:
    if not output.resolve().parent.is_dir() or output.is_dir():
        raise UsageError(
            f"{output} cannot be written: "
            + ("it is a folder." if output.is_dir() else f"{output.parent} is no folder."),
            tip="Name a file in a folder that is there.",
        )
