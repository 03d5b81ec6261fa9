"""Programs that run: first answers, texts a second, memory over many texts."""

from __future__ import annotations

from renderers.markdown import Figures, markdown, times


def first_answers(figures: Figures) -> str:
    """Seconds from the start of a process, beside what none can get under; from start.py."""
    rows = [
        (name, f"{row['median_s']:.2f}", f"{row['best_s']:.2f}")
        for name, row in figures["starts"].items()
    ]
    return markdown(["", "median s", "best s"], rows)


def throughput(figures: Figures) -> str:
    """Texts a second of every contender, in the way it is fastest; from throughput.py."""
    best: dict[str, tuple[str, Figures]] = {}
    for name, row in figures["contenders"].items():
        contender, way = name.rsplit(", ", 1)
        if (
            contender not in best
            or row["texts_per_second"] > best[contender][1]["texts_per_second"]
        ):
            best[contender] = way, row
    rows = [
        (
            f"{name}, {way}",
            f"{row['texts_per_second']:.2f}",
            times(row["times_as_fast_as_best_peer"]),
        )
        for name, (way, row) in best.items()
    ]
    return markdown(
        [f"{figures['texts']} paragraphs", "texts a second", "times as fast as the best peer"], rows
    )


def memory_over_texts(figures: Figures) -> str:
    """Resident memory in the first and the last tenth of a stream of texts; from soak.py."""
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
    tenths = ["most MB in the first tenth", "in the fifth", "in the last"]
    return markdown([figures["model"], "texts", "texts a second", "loaded MB", *tenths], rows)
