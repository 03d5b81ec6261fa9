"""How figures become a table or a picture of the documents: a small renderer for each."""

from __future__ import annotations

from renderers import commands, labelling, runtimes
from renderers.markdown import Picture, Table, source_line

__all__ = ["PICTURES", "TABLES", "source_line"]

TABLES = {
    "start": Table("fp32", commands.fp32_start),
    "fp32-latency": Table("fp32", runtimes.report_latency),
    "first-answers": Table("start", commands.first_answers),
    "throughput": Table("throughput", labelling.throughput),
    "memory-over-texts": Table("soak", labelling.memory_over_texts),
    "precisions": Table("int8", runtimes.precisions),
    "int8-files": Table("int8", runtimes.int8_files),
    "int8-latency": Table("int8", runtimes.report_latency),
    "quantizing": Table("quantize", commands.quantizing),
    "geometries": Table("geometries", runtimes.geometries),
    "growth": Table("geometries", runtimes.growth),
    "bench-best": Table("bench", runtimes.bench_best),
    "bench-start": Table("bench", runtimes.bench_start),
    "bench-latency": Table("bench", runtimes.latency),
    "gpu-parity": Table("gpu", runtimes.gpu_parity),
    "gpu-memory": Table("gpu", runtimes.gpu_memory),
    "gpu-latency": Table("gpu", runtimes.report_latency),
    "gpu-throughput": Table("gpu", labelling.gpu_throughput),
}
PICTURES = {"bench.svg": Picture("bench", runtimes.bench_picture)}
