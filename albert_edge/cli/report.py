"""`albert-edge report`: write an HTML page about a bundle."""

from __future__ import annotations

from pathlib import Path

from albert_edge.cli.options import (
    BenchFile,
    BundleFolder,
    Json,
    LabelledTexts,
    Output,
    Peers,
    names,
)
from albert_edge.cli.printing import note, print_json, show
from albert_edge.errors import Argument, Message, UsageError


def report(
    bundle: BundleFolder,
    output: Output = Path("report.html"),
    bench: BenchFile = None,
    against: Peers = None,
    data: LabelledTexts = None,
    as_json: Json = False,
) -> None:
    """Write one page about a bundle: quality, speed, sizes and geometry, with figures."""
    from albert_edge.benchmark.run import bench as run_bench
    from albert_edge.evaluation import evaluate
    from albert_edge.inspection.inspect import inspect
    from albert_edge.report.bench_file import read_bench
    from albert_edge.report.render import require_libraries
    from albert_edge.report.whole_file import require_folder
    from albert_edge.report.write import write_report

    if bench is not None and against is not None:
        raise UsageError(
            Message(
                *(Argument("against"), " names runtimes to measure, but "),
                *(Argument("bench"), " gives what was measured already."),
            ),
            tip="Give one of them.",
        )
    inspect(bundle)  # a bundle that cannot be read fails before minutes of measuring
    require_libraries()
    require_folder(output)
    show_progress = not as_json
    evaluation = None if data is None else evaluate(bundle, data, progress=show_progress)
    if bench is None:
        measured = run_bench(bundle, against=names(against), progress=show_progress)
    else:
        measured = read_bench(bench)
    written = write_report(bundle, output, measured, evaluation)
    if as_json:
        print_json(written)
        return
    for name, why in measured.skipped.items():
        note(f"Not measured: {name}: {why}")
    show(written.page)
