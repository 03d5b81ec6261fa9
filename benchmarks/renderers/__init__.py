"""How figures become a table or a picture of the documents: columns as data, rows from figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from renderers import tables as t
from renderers.markdown import COLUMNS, Picture, Rows, Table, gpu_name, numbers, source_line

__all__ = ["PICTURES", "TABLES", "gpu_name", "source_line"]


def _table(source: str, rows: Callable[[Any], Rows], keys: str) -> Table:
    """A table of columns that are the same whatever was measured."""
    columns = [COLUMNS[key] for key in keys.split()]
    return Table(source, lambda figures: numbers(rows(figures), *columns))


TABLES = {
    "start": _table("fp32", t.fp32_start, "albert-edge optimum"),
    "fp32-latency": Table("fp32", t.latency),
    "first-answers": _table("start", lambda f: f["starts"].items(), "median_s best_s"),
    "throughput": Table("throughput", t.throughput),
    "memory-over-texts": Table("soak", t.memory_over_texts),
    "precisions": _table("int8", t.precisions, "file_bytes loaded_mb over_fp32_at_128"),
    "int8-files": Table("int8", t.int8_files),
    "int8-latency": Table("int8", t.latency),
    "quantizing": _table("quantize", t.quantizing, "long_s long_best_s peak_mb peak_files"),
    "geometries": _table(
        "geometries", t.sizes, "sizes parameters file_bytes loaded_mb load_s p50_ms_at_128"
    ),
    "growth": _table("geometries", t.sizes, "byte_share memory_share gmac ms_per_gmac over_fp32"),
    "bench-best": Table("bench", t.bench_best),
    "bench-start": _table(
        "bench", t.runtimes, "file_bytes load_s cold_start_s steady_mb peak_mb cosine"
    ),
    "bench-latency": Table("bench", t.latency),
    "specialized": Table("specialize", t.specialized),
    "specializing": _table(
        "specialize",
        t.specializing,
        "long_s peak_mb file_share loaded_share at_the_end time_over_no_exits",
    ),
    "specializing-random": Table("specialize_random", t.specializing_random),
    "promises": _table("hostile", t.promises, "cases failures worst_s worst_mib"),
    "gpu-parity": Table("gpu", t.gpu_parity),
    "gpu-memory": _table("gpu", t.gpu_memory, "load_s memory_loaded_mb memory_after_mb"),
    "gpu-latency": Table("gpu", t.latency),
    "gpu-throughput": Table("gpu", t.throughput),
}
PICTURES = {"bench.svg": Picture("bench", t.bench_picture)}
