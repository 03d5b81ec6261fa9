"""What all benchmarks of this folder have in common: options, progress, tables, a JSON file."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from renderers import TABLES

import models
from albert_edge.benchmark.benchmark_run import BenchmarkRun
from albert_edge.benchmark.plan import Plan
from albert_edge.benchmark.shapes import parse_shapes
from albert_edge.errors import AlbertEdgeError

HERE = Path(__file__).resolve().parent


class Benchmark:
    """A benchmark, as the `BENCHMARK` of its module.

    Args:
        measure: Gives the figures, a JSON document, from a temporary folder and the options.
        problems: What is wrong with the figures; if there is anything, the exit code is 1.
        **options: The default of each option, which gives its type: False is a switch, a tuple
            takes several values, which must be among those of the tuple if they are names.
    """

    def __init__(
        self,
        measure: Callable[[Path, Namespace], Any],
        problems: Callable[[Any], list[str]] = lambda figures: [],
        **options: Any,
    ) -> None:
        self.measure = measure
        self.problems = problems
        self.options = options


def names() -> list[str]:
    """The benchmarks of this folder."""
    files = sorted(HERE.glob("*.py"))
    return [file.stem for file in files if "\nBENCHMARK = " in file.read_text(encoding="utf-8")]


def log(text: str) -> None:
    """Report progress on stderr."""
    print(text, file=sys.stderr, flush=True)


def log_step(what: str, done: int, total: int | None) -> None:
    """Report progress as `albert_edge.bench` does."""
    log(f"{done}/{total} {what}")


def measure(name: str, argv: Sequence[str]) -> Any:
    """Run a benchmark with some options and return its figures."""
    benchmark: Benchmark = import_module(name).BENCHMARK  # under the name its processes know
    with tempfile.TemporaryDirectory() as folder:
        return benchmark.measure(Path(folder), _parse(name, argv))


def report(run: BenchmarkRun) -> dict[str, Any]:
    """Measure, and return the report as the tables read it."""
    runtimes = [asdict(runtime) for runtime in run.measure()]
    skipped = run.plan.skipped | run.failed
    about = {"baseline": run.baseline, "rounds": run.plan.rounds, "skipped": skipped}
    return {**about, "runtimes": runtimes}


def measure_plan(plan: Plan, folder: Path) -> dict[str, Any]:
    """The report of a plan."""
    with BenchmarkRun(plan, folder, log_step) as run:
        return report(run)


def main(name: str) -> None:
    """Run a benchmark from the command line: print its tables, and write --json."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--json", type=Path)
    arguments, argv = parser.parse_known_args()
    try:
        figures = measure(name, argv)
    except AlbertEdgeError as error:
        log(f"{error} {error.tip}")
        sys.exit(error.exit_code)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print("\n\n".join(t.render(figures) for t in TABLES.values() if t.source == name))
    problems = import_module(name).BENCHMARK.problems(figures)
    for problem in problems:
        log(problem)
    sys.exit(1 if problems else 0)


def _parse(name: str, argv: Sequence[str]) -> Namespace:
    module = import_module(name)
    layout = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(
        f"{name}.py", description=module.__doc__, formatter_class=layout
    )
    defaults = module.BENCHMARK.options
    for option, default in defaults.items():
        settings: dict[str, Any] = {"help": f"default: {default}"}
        first = default[0] if isinstance(default, tuple) else default
        if default is False:
            settings["action"] = "store_true"
        else:
            settings["type"] = parse_shapes if option == "shapes" else type(first)
        if isinstance(default, tuple):  # given several times, or with several values
            settings |= {"nargs": "+", "action": "extend"}
            settings["choices"] = default if isinstance(first, str) else None
        else:
            settings["default"] = default
        if option == "geometry":
            settings["choices"] = models.GEOMETRIES
        parser.add_argument(f"--{option.replace('_', '-')}", **settings)
    options = parser.parse_args(argv)
    given = {option: value for option, value in vars(options).items() if value is not None}
    return Namespace(**{**defaults, **given})
