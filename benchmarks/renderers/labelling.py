"""Pipelines from texts to labels: texts a second, and memory over many texts."""

from __future__ import annotations

from albert_edge.benchmark.statistics import compare, format_ratio
from renderers.markdown import Figures, markdown


def throughput(figures: Figures) -> str:
    """Texts a second of every contender, in the way it is fastest; from throughput.py."""
    return _fastest_ways(f"{figures['texts']} paragraphs", figures)


def gpu_throughput(figures: Figures) -> str:
    """The same on a GPU, over texts of mixed lengths; from gpu.py."""
    return _fastest_ways("pipeline, mixed lengths", figures["throughput"])


def _fastest_ways(title: str, figures: Figures) -> str:
    rows, best = figures["contenders"], figures["best_peer"]
    fastest: dict[str, str] = {}
    for name, row in rows.items():
        contender = name.rsplit(", ", 1)[0]
        rival = rows[fastest.get(contender, name)]
        if row["texts_per_second"] >= rival["texts_per_second"]:
            fastest[contender] = name
    return markdown(
        [title, "texts/s", f"speed-up over {best}"],
        [
            (name, f"{rows[name]['texts_per_second']:.2f}", _ratio(rows[name], rows[best]))
            for name in fastest.values()
        ],
    )


def _ratio(row: Figures, best: Figures) -> str:
    chunks, peers = row["chunk_seconds"], best["chunk_seconds"]
    if not chunks or not peers:  # which records of before did not keep on a GPU
        return format_ratio(row["times_as_fast_as_best_peer"], None, None, None)
    ratio = compare([[each] for each in chunks], [[each] for each in peers])
    return format_ratio(ratio.median, ratio.low, ratio.high, len(chunks))


def memory_over_texts(figures: Figures) -> str:
    """Resident memory in the first, fifth and last tenth of a stream of texts; from soak.py."""
    rows = [
        (
            name,
            f"{row['texts']:,}",
            f"{row['texts_per_second']:.0f}",
            f"{row['loaded_mb']:.0f}",
            *(f"{row['most_mb'][tenth]:.0f}" for tenth in (0, 4, 9)),
        )
        for name, row in figures["policies"].items()
    ]
    tenths = [f"peak memory in the {tenth} tenth, MB" for tenth in ("first", "fifth", "last")]
    return markdown([figures["model"], "texts", "texts/s", "memory loaded, MB", *tenths], rows)
