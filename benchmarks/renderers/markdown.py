"""Tables in Markdown, and where their figures come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from albert_edge.benchmark.statistics import MARKS

Figures = dict[str, Any]  # a JSON document, or a part of one
Cells = Iterable[str]

# They install the same module; a machine has one.
RUNTIMES = ("onnxruntime", "onnxruntime-gpu")


@dataclass(frozen=True, slots=True)
class Table:
    """Which file of docs/measured/ a table shows, and how."""

    source: str
    render: Callable[[Any], str]


class Column(NamedTuple):
    """A column: its head, the figure in it, how many digits follow the point, and what is 1."""

    title: str
    key: str
    digits: int = 0
    unit: float = 1


@dataclass(frozen=True, slots=True)
class Picture:
    """The same of a picture, which is drawn of the first kind of machine."""

    source: str
    draw: Callable[[Figures], bytes]


def markdown(columns: list[str], rows: Iterable[Cells]) -> str:
    """A table whose first column is of names and whose others are of figures.

    If a ratio in it has a mark, what the marks mean is said below.
    """
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    table = "\n".join(
        "|" + "".join(f" {cell} |" if cell else " |" for cell in line) for line in lines
    )
    return f"{table}\n\n{MARKS}" if " ~" in table or "(n=" in table else table


def numbers(rows: Iterable[tuple[str, Figures]], *columns: Column, title: str = "") -> str:
    """A table with a row for each name and its figures; what is missing or None stays empty."""
    cells = ([name, *(_cell(row, column) for column in columns)] for name, row in rows)
    return markdown([title, *(column.title for column in columns)], cells)


def _cell(row: Figures, column: Column) -> str:
    value = row.get(column.key)
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value / column.unit:.{column.digits}f}"


def source_line(record: Figures) -> str:
    """Where a table comes from: the machine, the day, the command, and what else went on there."""
    machine = record["machine"]
    features = machine["features"]
    words = [f"{machine['cpu']} ({machine['architecture']})", _processors(machine)]
    figures = record["figures"]
    if isinstance(figures, dict) and "driver_version" in figures.get("machine", {}):  # of a GPU
        words.insert(0, figures["machine"]["name"])
    if "vnni" in features:
        words.append("VNNI" if features["vnni"] else "no VNNI")
    packages = machine["packages"]
    runtime = next((name for name in RUNTIMES if name in packages), RUNTIMES[0])
    words.append(f"{runtime} {packages.get(runtime, 'unknown')}")
    if (record["load"] or 0) >= 1:
        words.append(f"**busy with other work: {record['load']:.1f} processors**")
    return f"{', '.join(words)}; {record['date']}; `{record['command']}`"


def _processors(machine: Figures) -> str:
    count = machine["usable_cpus"]
    return f"{count} processor{'s' * (count != 1)}"
