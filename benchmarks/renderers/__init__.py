"""How figures become a table or a picture of the documents: a small renderer for each."""

from __future__ import annotations

from renderers import bench, compressed, cuda, running, sizes, start
from renderers.markdown import Picture, Table, source_line

__all__ = ["PICTURES", "TABLES", "source_line"]

TABLES = {
    "start": Table("spine", start.start),
    "fp32-latency": Table("spine", start.fp32_latency),
    "first-answers": Table("start", running.first_answers),
    "throughput": Table("throughput", running.throughput),
    "memory-over-texts": Table("soak", running.memory_over_texts),
    "precisions": Table("int8", compressed.precisions),
    "int8-files": Table("int8", compressed.int8_files),
    "int8-latency": Table("int8", compressed.int8_latency),
    "quantizing": Table("quantize", compressed.quantizing),
    "geometries": Table("geometries", sizes.geometries),
    "growth": Table("geometries", sizes.growth),
    "bench-best": Table("bench", bench.bench_best),
    "bench-start": Table("bench", bench.bench_start),
    "bench-latency": Table("bench", bench.bench_latency),
    "gpu-parity": Table("gpu", cuda.gpu_parity),
    "gpu-memory": Table("gpu", cuda.gpu_memory),
    "gpu-latency": Table("gpu", cuda.gpu_latency),
    "gpu-throughput": Table("gpu", cuda.gpu_throughput),
}
PICTURES = {"bench.svg": Picture("bench", bench.bench_picture)}
