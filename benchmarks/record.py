"""Run a benchmark and keep its figures, with the machine and the command, for the documents.

    python benchmarks/record.py NAME [OPTION ...]
    python benchmarks/tables.py

NAME is a benchmark of this folder that has --json and gets the options, or bench: `albert-edge
bench` of an albert-base of random weights, made here, with the options given to it.
Figures go to docs/measured/NAME.json, which appears whole or not at all; tables.py then rewrites
the tables and pictures of the documents.

    python benchmarks/record.py NAME --figures FILE [OPTION ...]

keeps the JSON that the benchmark wrote earlier, on this machine and with these options.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spine import LAYERS, make_checkpoint

from albert_edge.machine.machine import describe_machine
from albert_edge.report.whole_file import write_whole

STAT = Path("/proc/stat")
SECONDS = 2  # that the processors are looked at
HERE = Path(__file__).resolve().parent
MEASURED = HERE.parent / "docs" / "measured"
SCRIPTS = sorted(
    path.stem
    for path in HERE.glob("*.py")
    if path.name != "record.py" and 'add_argument("--json"' in path.read_text(encoding="utf-8")
)


def main() -> None:
    """Measure, and write one file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("name", choices=(*SCRIPTS, "bench"))
    parser.add_argument("--figures", type=Path, help="what the benchmark's --json wrote earlier")
    arguments, options = parser.parse_known_args()
    load = None  # nobody looked
    if arguments.figures:
        figures = json.loads(arguments.figures.read_text(encoding="utf-8"))
    else:
        load = other_load()  # before the benchmark, which is load too
        with tempfile.TemporaryDirectory() as folder:
            figures = measure(arguments.name, options, Path(folder))
    record = keep(arguments.name, options, load, figures)
    MEASURED.mkdir(exist_ok=True)
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    write_whole(MEASURED / f"{arguments.name}.json", text.encode())


def other_load() -> float | None:
    """How many processors are kept busy, by others on this machine or on its host; None if unknown.

    The usual load average would tell of the benchmark that ran a minute ago.
    """
    if not STAT.exists():
        return None
    idle, total = processor_times()
    time.sleep(SECONDS)
    idle_later, total_later = processor_times()
    share = 1 - (idle_later - idle) / (total_later - total)
    return round(share * (os.cpu_count() or 1), 1)


def processor_times() -> tuple[int, int]:
    """Ticks of all processors that were idle or waiting, and all ticks; see proc(5)."""
    first, *_ = STAT.read_text(encoding="ascii").splitlines()
    ticks = [int(count) for count in first.split()[1:9]]  # what follows is in these already
    return sum(ticks[3:5]), sum(ticks)


def measure(name: str, options: list[str], folder: Path) -> Any:
    """The JSON document of a benchmark."""
    if name == "bench":
        program = [sys.executable, "-m", "albert_edge", "bench", make_base(folder), "--json"]
        done = subprocess.run([*program, *options], check=True, stdout=subprocess.PIPE)
        return json.loads(done.stdout)
    path = folder / "figures.json"
    program = [sys.executable, str(HERE / f"{name}.py"), *options, "--json", str(path)]
    subprocess.run(program, check=True)
    return json.loads(path.read_text(encoding="utf-8"))


def make_base(folder: Path) -> str:
    """A bundle of albert-base with random weights: fp32 as it was exported, optimized, and int8."""
    import albert_edge

    checkpoint = make_checkpoint(folder / "checkpoint", "base", LAYERS["base"])
    albert_edge.export(checkpoint, folder / "albert-base")
    albert_edge.optimize(folder / "albert-base")
    # Of random weights many decisions are coin tosses: agreement says nothing of int8.
    albert_edge.quantize(folder / "albert-base", precision="int8", min_agreement=0.0)
    return os.fspath(folder / "albert-base")


def keep(name: str, options: list[str], load: float | None, figures: Any) -> dict[str, Any]:
    """The figures with where they come from."""
    return {
        "schema_version": 1,
        "command": shlex.join(["python", "benchmarks/record.py", name, *options]),
        "date": time.strftime("%Y-%m-%d"),
        "load": load,
        "machine": asdict(describe_machine()),
        "figures": without_folders(figures),
    }


def without_folders(value: Any) -> Any:
    """The same without the temporary folders that things were in."""
    if isinstance(value, dict):
        return {key: without_folders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_folders(item) for item in value]
    if isinstance(value, str):
        return re.sub(re.escape(tempfile.gettempdir()) + r"/(?:[^\s/]+/)*", "", value)
    return value


if __name__ == "__main__":
    main()
