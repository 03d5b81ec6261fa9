"""Tables in Markdown, and where their figures come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from albert_edge.benchmark.statistics import MARKS

Figures = dict[str, Any]  # a JSON document, or a part of one
Rows = Iterable[tuple[str, Figures]]


class Column(NamedTuple):
    """A column: its head, the figure in it, the digits after the point, and its unit."""

    title: str
    key: str
    digits: int = 0
    unit: float = 1


COLUMNS = {
    "albert-edge": Column("albert-edge", "albert-edge"),
    "optimum": Column("optimum on onnxruntime", "optimum"),
    "file_bytes": Column("file, MB", "file_bytes", 1, 1e6),
    "load_s": Column("load, s", "load_s", 2),
    "loaded_mb": Column("memory, MB", "loaded_mb"),
    "memory_loaded_mb": Column("memory loaded, MB", "loaded_mb"),
    "memory_after_mb": Column("memory after 32x128, MB", "steady_mb"),
    "steady_mb": Column("memory, MB", "steady_mb"),
    "peak_mb": Column("peak memory, MB", "peak_mb"),
    "peak_files": Column("(peak - 120 MB) / size of the fp32 file", "peak_files", 1),
    "peak_share": Column("peak memory / fp32 file", "peak_files", 1),
    "file_share": Column("file / full int8", "file_bytes_share", 3),
    "loaded_share": Column("memory loaded / full int8", "loaded_mb_share", 2),
    "at_the_end": Column("texts that used all layers", "at_the_end"),
    "time_over_no_exits": Column("their time / without exits (median)", "time_over_no_exits", 3),
    "cold_start_s": Column("process start to first answer, s", "cold_start_s", 2),
    "median_s": Column("time, s (median)", "median_s", 2),
    "best_s": Column("time, s (fastest)", "best_s", 2),
    "long_s": Column("time, s (median)", "median_s", 1),
    "long_best_s": Column("time, s (fastest)", "best_s", 1),
    "texts": Column("texts", "texts"),
    "rate": Column("texts/s", "texts_per_second"),
    "precise_rate": Column("texts/s", "texts_per_second", 2),
    "cosine": Column("cosine with fp32", "cosine", 5),
    "p50_ms_at_128": Column("latency at 1x128, ms (median)", "p50_ms"),
    "over_fp32": Column("speed-up over fp32", "speed_up"),
    "over_fp32_at_128": Column("speed-up over fp32 at 1x128", "ratio"),
    "sizes": Column("width x layers", "sizes"),
    "parameters": Column("parameters, 10^6", "parameters", 1, 1e6),
    "byte_share": Column("bytes per parameter", "byte_share", 2),
    "memory_share": Column("memory / file", "memory_share", 2),
    "gmac": Column("10^9 multiply-accumulates at 1x128", "gmac", 1),
    "ms_per_gmac": Column("ms per 10^9", "ms_per_gmac", 1),
    "cases": Column("cases", "cases"),
    "failures": Column("failures", "failures"),
    "worst_s": Column("slowest case, s", "worst_seconds", 2),
    "worst_mib": Column("most memory of a case, MiB", "worst_mib", 1),
}


class Table(NamedTuple):
    """A file of docs/measured/ and how its figures are rendered."""

    source: str
    render: Callable[[Any], str]


class Picture(NamedTuple):
    """The same for a picture, which is drawn from the first kind of machine."""

    source: str
    draw: Callable[[Figures], bytes]


def numbers(rows: Rows, *columns: Column, title: str = "") -> str:
    """Render a row for each name; a missing value or None leaves the cell empty."""
    cells = ([name, *(_cell(row, column) for column in columns)] for name, row in rows)
    return markdown([title, *(column.title for column in columns)], cells)


def markdown(heads: list[str], rows: Iterable[Iterable[str]]) -> str:
    """Render a column of names and right-aligned columns of figures.

    If a ratio has a mark, an explanation of the marks follows the table.
    """
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    table = "\n".join(
        "|" + "".join(f" {cell} |" if cell else " |" for cell in line) for line in lines
    )
    return f"{table}\n\n{MARKS}" if " ~" in table or "(n=" in table else table


def _cell(row: Figures, column: Column) -> str:
    value = row.get(column.key)
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value / column.unit:.{column.digits}f}"


def gpu_name(record: Figures) -> str:
    """The GPU that a record was measured on; empty for a CPU."""
    figures = record["figures"]
    machine = figures.get("machine", {}) if isinstance(figures, dict) else {}
    return str(machine["name"]) if "driver_version" in machine else ""


def source_line(record: Figures) -> str:
    """Describe where a table comes from: machine, date, command, and other load."""
    machine = record["machine"]
    features, packages, count = (machine[key] for key in ("features", "packages", "usable_cpus"))
    words = [gpu_name(record)] if gpu_name(record) else []
    words.append(f"{machine['cpu']} ({machine['architecture']})")
    words.append(f"{count} processor{'s' * (count != 1)}")
    if "vnni" in features:
        words.append("VNNI" if features["vnni"] else "no VNNI")
    runtime = "onnxruntime-gpu" if "onnxruntime" not in packages else "onnxruntime"
    words.append(f"{runtime} {packages.get(runtime, 'unknown')}")
    if (record["load"] or 0) >= 1:
        words.append(f"**busy with other work: {record['load']:.1f} processors**")
    return f"{', '.join(words)}; {record['date']}; `{record['command']}`"
