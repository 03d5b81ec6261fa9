"""What all benchmarks of this folder have in common: options, progress, tables, a JSON file."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from renderers import TABLES

from albert_edge.benchmark.benchmark_run import BenchmarkRun
from albert_edge.benchmark.plan import Plan
from albert_edge.errors import AlbertEdgeError

HERE = Path(__file__).resolve().parent


def no_problems(figures: Any) -> list[str]:
    """Nothing to fail for."""
    return []


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark, as the `BENCHMARK` of its module.

    Attributes:
        measure: Gives the figures, a JSON document, from a temporary folder and the options.
        options: Each a flag and what argparse is given for it.
        problems: What is wrong with the figures; the exit code is 1 if there is anything.
    """

    measure: Callable[[Path, Namespace], Any]
    options: tuple[tuple[str, dict[str, Any]], ...] = ()
    problems: Callable[[Any], list[str]] = no_problems


def names() -> list[str]:
    """The benchmarks of this folder."""
    return sorted(
        path.stem
        for path in HERE.glob("*.py")
        if "\nBENCHMARK = " in path.read_text(encoding="utf-8")
    )


def log(text: str) -> None:
    """Report progress on stderr."""
    print(text, file=sys.stderr, flush=True)


def log_step(what: str, done: int, total: int | None) -> None:
    """Report progress as `albert_edge.bench` does."""
    log(f"{done}/{total} {what}")


def measure(name: str, argv: Sequence[str]) -> Any:
    """Run a benchmark with some options; its figures."""
    benchmark: Benchmark = import_module(name).BENCHMARK
    parser = _parser(name)
    with tempfile.TemporaryDirectory() as folder:
        return benchmark.measure(Path(folder), parser.parse_args(argv))


def measure_plan(plan: Plan, folder: Path) -> dict[str, Any]:
    """The report of a plan, as the tables read it."""
    with BenchmarkRun(plan, folder, log_step) as run:
        runtimes = [asdict(runtime) for runtime in run.measure()]
        skipped = plan.skipped | run.failed
        report = {"baseline": run.baseline, "rounds": plan.rounds, "skipped": skipped}
        return {**report, "runtimes": runtimes}


def main(name: str) -> None:
    """Run a benchmark from the command line: print its tables, and write --json."""
    parser = _parser(name)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    benchmark: Benchmark = import_module(name).BENCHMARK  # under the name its processes know
    try:
        with tempfile.TemporaryDirectory() as folder:
            figures = benchmark.measure(Path(folder), options)
    except AlbertEdgeError as error:
        log(f"{error} {error.tip}")
        sys.exit(error.exit_code)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print("\n\n".join(t.render(figures) for t in TABLES.values() if t.source == name))
    problems = benchmark.problems(figures)
    for problem in problems:
        log(problem)
    sys.exit(1 if problems else 0)


def _parser(name: str) -> argparse.ArgumentParser:
    module = import_module(name)
    parser = argparse.ArgumentParser(
        prog=f"{name}.py",
        description=module.__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    for flag, settings in module.BENCHMARK.options:
        parser.add_argument(flag, **settings)
    return parser
