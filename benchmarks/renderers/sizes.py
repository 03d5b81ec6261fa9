"""From base to xxlarge: what benchmarks/geometries.py measures."""

from __future__ import annotations

from renderers.markdown import Figures, markdown


def geometries(figures: list[Figures]) -> str:
    """What each size costs: parameters, file, memory, time."""
    rows = []
    for one in figures:
        hidden = one["report"]["geometry"]["hidden_size"]
        size = f"{hidden} x {one['layers']}", f"{one['parameters'] / 1e6:.1f} M"
        for runtime in one["report"]["runtimes"]:
            precision = runtime["name"].removeprefix("albert-edge ")
            rows.append([f"{one['geometry']}, {precision}", *size, *_costs(runtime)])
    columns = ["", "width x layers", "parameters", "file MB", "memory MB", "load s", "1x128 ms"]
    return markdown(columns, rows)


def _costs(runtime: Figures) -> list[str]:
    [latency] = runtime["latencies"]
    return [
        f"{runtime['file_bytes'] / 1e6:.1f}",
        f"{runtime['loaded_mb']:.0f}",
        f"{runtime['load_s']:.2f}",
        f"{latency['p50_ms']:.0f}",
    ]


def growth(figures: list[Figures]) -> str:
    """The same as ratios: what grows with the parameters, and what with the work."""
    rows = []
    for one in figures:
        for runtime in one["report"]["runtimes"]:
            precision = runtime["name"].removeprefix("albert-edge ")
            [latency] = runtime["latencies"]
            size = runtime["file_bytes"]
            cells = [
                f"{size / one['parameters']:.2f}",
                f"{1e6 * runtime['loaded_mb'] / size:.2f}",
                f"{one['gmac']:.1f}",
                f"{latency['p50_ms'] / one['gmac']:.1f}",
                f"{latency['ratio']:.2f} x",
            ]
            rows.append([f"{one['geometry']}, {precision}", *cells])
    columns = ["", "bytes a parameter", "memory / file", "10^9 multiply-accumulates at 1x128"]
    return markdown([*columns, "ms for each 10^9", "speed, fp32 is 1"], rows)
