"""Export, load, answer in fp32: what benchmarks/spine.py measures."""

from __future__ import annotations

from renderers.markdown import Figures, markdown


def start(figures: Figures) -> str:
    """What export, load and a first answer take, beside optimum."""
    own, peer = (
        {part: figures[part].get(name, {}) for part in ("export", "start")}
        for name in ("albert-edge", "optimum")
    )
    own["load"], peer["load"] = (
        figures["load"].get(name, {}) for name in ("model_optimized", "optimum")
    )
    layers = 4 * figures["layers"]
    deep = figures["load"][f"model_optimized, {layers} layers"]
    ratio = figures["file_ratio"]["model"]
    rows = [
        ("export, whole command", *(_export(one["export"]) for one in (own, peer))),
        ("file, against safetensors", f"{ratio:.4f} x", ""),
        ("memory a loaded model takes", *(_of(one["load"], "growth_mb") for one in (own, peer))),
        (f"the same with {layers} layers", _of(deep, "growth_mb"), ""),
        ("load", *(_of(one["load"], "load_s") for one in (own, peer))),
        ("process start to first answer", *(_of(one["start"], "wall_s") for one in (own, peer))),
    ]
    return markdown(["", "albert-edge", "optimum on onnxruntime"], rows)


def _export(figures: Figures) -> str:
    return f"{_of(figures, 'wall_s')}, peak {_of(figures, 'peak_mb')}" if figures else ""


def _of(figures: Figures, key: str) -> str:
    if key not in figures:
        return ""
    value = figures[key]
    if key.endswith("_mb"):
        return f"{value:.0f} MB"
    return f"{value:.2f} s" if value < 1 else f"{value:.1f} s"


def fp32_latency(figures: Figures) -> str:
    """Milliseconds of fp32 at every shape, with the ratio to optimum."""
    names = {
        "model_optimized": "albert-edge, optimized",
        "model": "albert-edge, portable",
        "optimum": "optimum",
    }
    shapes = figures["latency_ms"]
    rows = []
    for name, words in names.items():
        if all(name in row for row in shapes.values()):
            rows.append([words, *(_beside(row, name) for row in shapes.values())])
    return markdown(["ms, times as fast as optimum", *shapes], rows)


def _beside(row: Figures, name: str) -> str:
    text = f"{row[name]:.1f}"
    return f"{text}, {row['optimum'] / row[name]:.2f} x" if "optimum" in row else text
