"""Run a benchmark and keep its figures, with the machine and the command, for the documents.

    python benchmarks/record.py NAME [OPTION ...]
    python benchmarks/tables.py

NAME is a benchmark of this folder, which gets the options. Figures go to docs/measured/NAME.json,
which holds a record for each kind of CPU or GPU they were measured on; that of the same kind is
replaced, the others stay. tables.py then rewrites the tables and pictures of the documents.

    python benchmarks/record.py NAME --figures FILE [OPTION ...]

keeps the JSON that the benchmark wrote earlier, on this machine and with these options.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import command
from renderers import gpu_name

from albert_edge.machine.cpu import cpu_kind
from albert_edge.machine.machine import describe_machine
from albert_edge.report.whole_file import write_whole

STAT = Path("/proc/stat")
SECONDS = 2  # over which the load of the processors is measured
MEASURED = command.HERE.parent / "docs" / "measured"
SCHEMA_VERSION = 2


def main() -> None:
    """Measure, and write one file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("name", choices=command.names())
    parser.add_argument("--figures", type=Path, help="what the benchmark's --json wrote earlier")
    arguments, options = parser.parse_known_args()
    load = None  # unknown
    if arguments.figures:
        figures = json.loads(arguments.figures.read_text(encoding="utf-8"))
    else:
        load = other_load()  # before the benchmark, which is load too
        figures = command.measure(arguments.name, options)
    keep(arguments.name, make_record(arguments.name, options, load, figures))


def read_records(path: Path) -> dict[str, Any]:
    """The records of a file by the kind of machine; none if there is no file yet."""
    if not path.exists():
        return {}
    records: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["records"]
    return records


def keep(name: str, record: dict[str, Any]) -> None:
    """Write a record, replacing that of the same kind of machine."""
    path = MEASURED / f"{name}.json"
    records = read_records(path) | {kind_of(record): record}
    document = {"schema_version": SCHEMA_VERSION, "records": dict(sorted(records.items()))}
    MEASURED.mkdir(exist_ok=True)
    write_whole(path, (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())


def kind_of(record: dict[str, Any]) -> str:
    """The kind of machine of a record: the name of the GPU, or the kind of CPU."""
    machine = record["machine"]
    return gpu_name(record) or cpu_kind(machine["architecture"], machine["features"])


def other_load() -> float | None:
    """How many processors other programs or guests of the host keep busy; None if unknown.

    The usual load average would report the benchmark that ran a minute ago.
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


def make_record(name: str, options: list[str], load: float | None, figures: Any) -> dict[str, Any]:
    """The figures with their source."""
    return {
        "command": shlex.join(["python", "benchmarks/record.py", name, *options]),
        "date": time.strftime("%Y-%m-%d"),
        "load": load,
        "machine": asdict(describe_machine()),
        "figures": without_folders(figures),
    }


def without_folders(value: Any) -> Any:
    """A value without the temporary folders in its paths."""
    if isinstance(value, dict):
        return {key: without_folders(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(item) for item in value]
    if isinstance(value, str | Path):
        return re.sub(re.escape(tempfile.gettempdir()) + r"/(?:[^\s/]+/)*", "", str(value))
    return value


if __name__ == "__main__":
    main()
