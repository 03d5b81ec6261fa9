"""Tables in Markdown, and where their figures come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Figures = dict[str, Any]  # a JSON document, or a part of one
Cells = Iterable[str]

# They install the same module; a machine has one.
RUNTIMES = ("onnxruntime", "onnxruntime-gpu")


@dataclass(frozen=True, slots=True)
class Table:
    """Which record of docs/measured/ a table shows, and how."""

    source: str
    render: Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class Picture:
    """The same of a picture, from the whole record."""

    source: str
    draw: Callable[[Figures], bytes]


def markdown(columns: list[str], rows: Iterable[Cells]) -> str:
    """A table whose first column is of names and whose others are of figures."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join(
        "|" + "".join(f" {cell} |" if cell else " |" for cell in line) for line in lines
    )


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


def times(ratio: float | None) -> str:
    """A ratio, or nothing where there is none."""
    return "" if ratio is None else f"{ratio:.2f} x"
