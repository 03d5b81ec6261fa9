"""`albert-edge bench`: how fast and how large, beside peers of the same run."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from albert_edge.cli.commands import BundleFolder, Json
from albert_edge.cli.printing import print_json, print_table
from albert_edge.cli.roofline import print_roofline
from albert_edge.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from albert_edge.benchmark.report import BenchReport, Latency, RuntimeResult

Shapes = Annotated[
    str | None,
    typer.Option(metavar="SHAPES", help="Batch x length: by default 1x8,1x32,1x128,1x384,8x128."),
]
Precision = Annotated[
    list[str] | None,
    typer.Option(help="fp32, int8, ...; by default all it has for the device. Repeatable."),
]
Threads = Annotated[
    list[int] | None,
    typer.Option(help="By default the processors this process may use. Repeatable."),
]
Against = Annotated[
    str,
    typer.Option(
        metavar="PEERS",
        help="With commas: torch, torch-int8, optimum, optimum-int8, openvino, openvino-int8; "
        "on a GPU torch-fp16, torch-fp16-compiled.",
    ),
]
Rounds = Annotated[int, typer.Option(help="Turns each runtime has at every shape.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, ... as predict takes them.")]
Plot = Annotated[Path | None, typer.Option(help="Draw it: .svg, .png or .html.")]
Roofline = Annotated[
    bool, typer.Option("--roofline", help="Measure what this machine could do at most.")
]


def bench(
    bundle: BundleFolder,
    shapes: Shapes = None,
    precision: Precision = None,
    threads: Threads = None,
    against: Against = "",
    rounds: Rounds = 5,
    device: Device = "auto",
    plot: Plot = None,
    roofline: Roofline = False,
    as_json: Json = False,
) -> None:
    """Measure latency, start-up and memory, beside other runtimes of the same weights."""
    from albert_edge.benchmark.run import bench
    from albert_edge.benchmark.shapes import parse_shapes

    _check_plot(plot)
    report = bench(
        bundle,
        shapes=parse_shapes(shapes) if shapes is not None else None,
        precisions=precision,
        threads=threads,
        against=[name.strip() for name in against.split(",") if name.strip()],
        rounds=rounds,
        device=device,
        progress=not as_json,
    )
    if roofline:
        from albert_edge.benchmark.roofline import with_roofline

        report = with_roofline(report)
    if plot:
        from albert_edge.report.plot_file import write_plot

        write_plot(report, plot)
    if as_json:
        print_json(report)
    else:
        _print(report)


def _check_plot(path: Path | None) -> None:
    """See that a plot can be drawn, before minutes go into what it shows."""
    if path is None:
        return
    from albert_edge.report.plot_file import SUFFIXES

    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path} is no plot.", tip=f"Name it {', '.join(SUFFIXES)}.")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"The folder of {path} does not exist.", tip="Make it first.")
    for package in ("matplotlib", *["jinja2"] * (path.suffix.lower() == ".html")):
        if not find_spec(package):
            raise MissingExtraError(package, extra="report", purpose="--plot")


def _print(report: BenchReport) -> None:
    sizes = ", ".join(f"{name} {value}" for name, value in _shown(report.geometry).items())
    print(f"{report.model}: {sizes}")
    machine = report.machine
    print(f"{machine.cpu}, {machine.usable_cpus} of {machine.cores} processors, {machine.system}")
    columns = ["runtime", "file", "load", "first", "loaded", "steady", "peak"]
    title = "\nFile and memory in MB, loading and first answer in s, and answers beside fp32"
    print_table(title, [*columns, "off by", "cosine"], [*map(_row, report.runtimes)])
    for threads in dict.fromkeys(one.threads for one in report.runtimes[0].latencies):
        title = f"\nLatency in ms, {threads} thread{'s' * (threads > 1)}; times as fast as "
        columns = ["shape", "runtime", "p50", "p95", "best", "seq/s", "times as fast", "runs (out)"]
        print_table(title + report.baseline, columns, _latency_rows(report, threads))
    if report.roofline:
        print_roofline(report.roofline)
    print()
    for topic, rule in report.method.items():
        print(f"{topic}: {rule}")
    for name, reason in report.skipped.items():
        print(f"{name} was skipped: {reason}")
    for one in report.runtimes:
        if one.note:
            print(f"{one.name}: {one.note}")


def _shown(geometry: dict[str, Any]) -> dict[str, Any]:
    """The sizes that decide how long a run takes."""
    names = ("hidden_size", "num_hidden_layers", "intermediate_size", "vocab_size")
    return {name: geometry[name] for name in names}


def _row(one: RuntimeResult) -> list[str]:
    return [
        one.name,
        f"{one.file_bytes / 1e6:.1f}",
        f"{one.load_s:.2f}",
        f"{one.cold_start_s:.2f}",
        *(f"{size:.0f}" for size in (one.loaded_mb, one.steady_mb, one.peak_mb)),
        f"{one.difference:.1e}",
        f"{one.cosine:.5f}",
    ]


def _latency_rows(report: BenchReport, threads: int) -> list[list[str]]:
    """A row for each shape and runtime, by shape; the shape stands in the first of its rows."""
    rows = []
    wanted = [
        [(one, latency) for latency in one.latencies if latency.threads == threads]
        for one in report.runtimes
    ]
    for at_shape in zip(*wanted, strict=True):
        for index, (one, latency) in enumerate(at_shape):
            rows.append([latency.shape * (index == 0), one.name, *_cells(latency)])
    return rows


def _cells(latency: Latency) -> list[str]:
    ratio = ""
    if latency.ratio is not None:
        ratio = f"{latency.ratio:.2f} ({latency.ratio_low:.2f}-{latency.ratio_high:.2f})"
    figures = (latency.p50_ms, latency.p95_ms, latency.best_ms, latency.sequences_per_s)
    return [*map(_three_digits, figures), ratio, f"{latency.runs} ({latency.outliers})"]


def _three_digits(value: float) -> str:
    return f"{value:.{max(0, 2 - len(str(int(value))) + 1)}f}"
