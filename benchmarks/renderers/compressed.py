"""Compressed models and their peers: what benchmarks/int8.py measures."""

from __future__ import annotations

from renderers.markdown import Figures, markdown

_OWN = "albert-edge "


def precisions(figures: Figures) -> str:
    """Size, memory and speed of albert-edge in each precision."""
    shape = figures["latency"]["1x128"]
    rows = []
    for precision in ("fp32", "int8", "int8-block", "int4"):
        name = _OWN + precision
        ratio = shape[_OWN + "fp32"]["median_ms"] / shape[name]["median_ms"]
        size = f"{figures['built']['random'][name]['bytes'] / 1e6:.1f} MB"
        memory = f"{figures['load'][name]['loaded_mb']:.0f} MB"
        rows.append((f"`{precision}`", size, memory, f"{ratio:.2f} x"))
    return markdown(["", "file", "memory", "speed at 1x128, fp32 is 1"], rows)


def int8_files(figures: Figures) -> str:
    """File, load, memory and cosine of every contender."""
    models = [_judged(figures, kind) for kind in ("random", "outliers")]
    rows = []
    for name, built in figures["built"]["random"].items():
        if isinstance(built, str):
            rows.append([name, "fails", *[""] * (2 + len(models))])
            continue
        load = figures["load"][name]
        cells = [f"{built['bytes'] / 1e6:.1f}", f"{load['load_s']:.2f}", f"{load['loaded_mb']:.0f}"]
        for model, _ in models:
            found = figures["quality"][name].get(model)
            cells.append(f"{found['cosine']:.5f} ({found['worst']:.4f})" if found else "fails")
        rows.append([name, *cells])
    titles = [f"{words}: cosine (worst)" for _, words in models]
    return markdown(["", "file MB", "load s", "grows by MB", *titles], rows)


def _judged(figures: Figures, kind: str) -> tuple[str, str]:
    """Which model of a kind quality is shown of, and in words."""
    words = {"random": "random weights", "outliers": "the same with outliers"}[kind]
    pooled = f"{kind} pooled"
    if pooled in figures["built"]:
        return pooled, f"{words}, pooled output"
    return kind, f"{words}, logits"


def int8_latency(figures: Figures) -> str:
    """Milliseconds of every contender at every shape, with the ratio to the baseline."""
    shapes = figures["latency"]
    rows = []
    for name in figures["load"]:
        cells = [_medians(row[name]) if name in row else "fails" for row in shapes.values()]
        rows.append([name, *cells])
    return markdown(["median (best) ms, times as fast as optimum fp32", *shapes], rows)


def _medians(row: Figures) -> str:
    ratio = row.get("times_as_fast")
    text = f"{row['median_ms']:.1f} ({row['best_ms']:.1f})"
    return f"{text}, {ratio:.2f} x" if ratio else text


def quantizing(figures: list[Figures]) -> str:
    """Seconds and peak of memory of making int8, beside a peer that looks at no text."""
    rows = []
    for one in figures:
        for name, run in one["runs"].items():
            seconds = f"{run['median_s']:.1f} ({run['best_s']:.1f})"
            peak = f"{run['peak_mb']:.0f}", f"{run['peak_files']:.1f} x"
            rows.append([f"{one['geometry']}, {name}", seconds, *peak])
    columns = ["", "median (best) s", "peak MB", "of it beside 120 MB, fp32's file is 1"]
    return markdown(columns, rows)
