"""`albert-edge bench`: latency, start-up and memory, compared with other runtimes."""

from __future__ import annotations

from pathlib import Path

from albert_edge.cli.grouping import grouped
from albert_edge.cli.options import BundleFolder, Json, Measurement, Plot, names
from albert_edge.cli.printing import print_json
from albert_edge.errors import Argument, Message
from albert_edge.packages import import_extra


@grouped
def bench(
    bundle: BundleFolder, measurement: Measurement, plot: Plot = None, as_json: Json = False
) -> None:
    """Measure latency, start-up and memory, beside other runtimes of the same weights."""
    from albert_edge.benchmark.run import bench
    from albert_edge.benchmark.shapes import parse_shapes
    from albert_edge.cli.print_bench import print_bench

    _check_plot(plot)
    report = bench(
        bundle,
        shapes=parse_shapes(measurement.shapes) if measurement.shapes is not None else None,
        precisions=measurement.precision,
        threads=measurement.threads,
        against=names(measurement.against),
        rounds=measurement.rounds,
        device=measurement.device,
        progress=not as_json,
    )
    if measurement.roofline:
        from albert_edge.benchmark.roofline import with_roofline

        report = with_roofline(report)
    if plot:
        from albert_edge.report.plot_file import write_plot

        write_plot(report, plot)
    (print_json if as_json else print_bench)(report)


def _check_plot(path: Path | None) -> None:
    """Fail before minutes of measuring if the plot cannot be drawn."""
    if path is None:
        return
    from albert_edge.report.plot_file import require_suffix
    from albert_edge.report.whole_file import require_folder

    suffix = require_suffix(path)
    require_folder(path)
    for package in ("matplotlib", *["jinja2"] * (suffix == ".html")):
        import_extra(package, extra="report", purpose=Message(Argument("plot")))
