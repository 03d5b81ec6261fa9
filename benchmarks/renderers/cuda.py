"""A CUDA device: what benchmarks/gpu.py measures."""

from __future__ import annotations

from renderers.markdown import Figures, markdown


def gpu_parity(figures: Figures) -> str:
    """Of every head the output that is furthest from the CPU's, as a cosine."""
    rows = [
        (task, *(_least_cosine(variant["outputs"]) for variant in variants.values()))
        for task, variants in figures["parity"].items()
    ]
    return markdown(["head", *next(iter(figures["parity"].values()))], rows)


def _least_cosine(outputs: Figures) -> str:
    return f"{min(cosine for cosine, _ in outputs.values()):.6f}"


def gpu_memory(figures: Figures) -> str:
    """Memory of the device, CUDA's own context included."""
    rows = [
        (name, f"{row['load_s']:.2f}", f"{row['loaded_mb']:.0f}", f"{row['ran_mb']:.0f}")
        for name, row in figures["memory_mb"].items()
    ]
    return markdown(["", "load s", "loaded MB", "after 32x128 MB"], rows)


def gpu_latency(figures: Figures) -> str:
    """Milliseconds at every shape, with the ratio to torch in fp16."""
    shapes = figures["latency"]
    rows = [
        [name, *(_gpu_cell(row.get(name)) for row in shapes.values())]
        for name in dict.fromkeys(name for row in shapes.values() for name in row)
    ]
    return markdown(["median (best) ms, times as fast as torch fp16", *shapes], rows)


def _gpu_cell(row: Figures | None) -> str:
    if row is None:
        return "fails"
    return f"{row['median_ms']:.2f} ({row['best_ms']:.2f}), {row['times_as_fast']:.2f} x"


def gpu_throughput(figures: Figures) -> str:
    """Texts a second from strings to labels."""
    rows = [
        (name, f"{row['texts_per_s']:.0f}", f"{row['times_as_fast']:.2f} x")
        for name, row in figures["throughput"].items()
    ]
    return markdown(["pipeline, mixed lengths", "texts a second", "the best peer is 1"], rows)
