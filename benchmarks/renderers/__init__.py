"""How figures become a table or a picture of the documents: a small renderer for each."""

from __future__ import annotations

from renderers import tables
from renderers.markdown import Picture, Table, source_line

__all__ = ["PICTURES", "TABLES", "source_line"]

TABLES = {
    "start": Table("fp32", tables.fp32_start),
    "fp32-latency": Table("fp32", tables.report_latency),
    "first-answers": Table("start", tables.first_answers),
    "throughput": Table("throughput", tables.throughput),
    "memory-over-texts": Table("soak", tables.memory_over_texts),
    "precisions": Table("int8", tables.precisions),
    "int8-files": Table("int8", tables.int8_files),
    "int8-latency": Table("int8", tables.report_latency),
    "quantizing": Table("quantize", tables.quantizing),
    "geometries": Table("geometries", tables.geometries),
    "growth": Table("geometries", tables.growth),
    "bench-best": Table("bench", tables.bench_best),
    "bench-start": Table("bench", tables.bench_start),
    "bench-latency": Table("bench", tables.latency),
    "gpu-parity": Table("gpu", tables.gpu_parity),
    "gpu-memory": Table("gpu", tables.gpu_memory),
    "gpu-latency": Table("gpu", tables.report_latency),
    "gpu-throughput": Table("gpu", tables.gpu_throughput),
}
PICTURES = {"bench.svg": Picture("bench", tables.bench_picture)}
