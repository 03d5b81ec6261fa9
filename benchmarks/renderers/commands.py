"""Whole processes: export, start and quantize, from fp32.py, start.py and quantize.py."""

from __future__ import annotations

from renderers.markdown import Figures, markdown


def fp32_start(figures: Figures) -> str:
    """What export, load and a first answer take, beside optimum."""
    runtimes = {runtime["name"]: runtime for runtime in figures["report"]["runtimes"]}
    names = ("albert-edge", "optimum")
    loads = [runtimes.get(name) for name in ("albert-edge, optimized", "optimum")]
    exports = [figures["export"].get(name) for name in names]
    starts = [figures["start"].get(name) for name in names]
    layers = 4 * figures["layers"]
    deep = figures["deep"]["albert-edge, optimized"]
    rows = [
        ("export, whole command, s", *_cells(exports, "median_s", 1)),
        ("export, peak memory, MB", *_cells(exports, "peak_mb", 0)),
        ("file / safetensors", f"{figures['file_ratio']['albert-edge, portable']:.4f}", ""),
        ("memory of a loaded model, MB", *_cells(loads, "loaded_mb", 0)),
        (f"the same with {layers} layers, MB", *_cells([deep, None], "loaded_mb", 0)),
        ("load, s", *_cells(loads, "load_s", 2)),
        ("process start to first answer, s", *_cells(starts, "median_s", 2)),
    ]
    return markdown(["", "albert-edge", "optimum on onnxruntime"], rows)


def _cells(rows: list[Figures | None], key: str, digits: int) -> list[str]:
    return [f"{row[key]:.{digits}f}" if row else "" for row in rows]


def first_answers(figures: Figures) -> str:
    """Seconds from the start of a process, beside what none can be faster than."""
    rows = [
        (name, f"{row['median_s']:.2f}", f"{row['best_s']:.2f}")
        for name, row in figures["starts"].items()
    ]
    return markdown(["", "time, s (median)", "time, s (fastest)"], rows)


def quantizing(figures: list[Figures]) -> str:
    """Seconds and peak of memory of making int8, beside a peer that looks at no text."""
    rows = [
        [
            f"{result['geometry']}, {name}",
            *(f"{run[key]:.1f}" for key in ("median_s", "best_s")),
            f"{run['peak_mb']:.0f}",
            f"{run['peak_files']:.1f}",
        ]
        for result in figures
        for name, run in result["runs"].items()
    ]
    columns = ["", "time, s (median)", "time, s (fastest)", "peak memory, MB"]
    return markdown([*columns, "(peak - 120 MB) / size of the fp32 file"], rows)
