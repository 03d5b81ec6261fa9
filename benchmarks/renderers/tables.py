"""The tables of the documents, each from the figures of one benchmark."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from albert_edge.benchmark.statistics import compare, format_ratio
from renderers.markdown import Column, Figures, markdown, numbers

FILE = Column("file, MB", "file_bytes", 1, 1e6)
LOAD = Column("load, s", "load_s", 2)
LOADED = Column("memory, MB", "loaded_mb")
STEADY = Column("memory, MB", "steady_mb")
PEAK = Column("peak memory, MB", "peak_mb")
START = Column("process start to first answer, s", "cold_start_s", 2)
MEDIAN = Column("time, s (median)", "median_s", 2)
FASTEST = Column("time, s (fastest)", "best_s", 2)
AT_128 = "latency at 1x128, ms (median)"

_OWN = "albert-edge "


# Reports as `albert-edge bench` makes them.


def report_latency(figures: Figures) -> str:
    """The latencies of a benchmark that keeps its report beside other figures."""
    return latency(figures["report"])


def latency(report: Figures) -> str:
    """Median milliseconds of every runtime at every shape, then the ratio to the baseline."""
    groups = {_group(row) for runtime in report["runtimes"] for row in runtime["latencies"]}
    order = sorted(groups, key=lambda group: (group[2], group[0], group[1]))
    several = len({threads for _, _, threads in order}) > 1
    titles = [f"{b}x{n}" + f", {threads} threads" * several for b, n, threads in order]
    times, ratios = [], []
    for runtime in report["runtimes"]:
        found = {_group(row): row for row in runtime["latencies"]}
        rows = [found.get(group) for group in order]
        times.append([runtime["name"], *(_ms(row) if row else "fails" for row in rows)])
        cells = (_ratio(row, report["rounds"]) if row else "fails" for row in rows)
        ratios.append([runtime["name"], *cells])
    speed_up = f"speed-up over {report['baseline']}"
    tables = (
        markdown(["latency, ms (median)", *titles], times),
        markdown([speed_up, *titles], ratios),
    )
    return "\n\n".join(tables)


def _group(row: Figures) -> tuple[int, int, int]:
    return row["batch"], row["length"], row["threads"]


def _ms(row: Figures) -> str:
    value = row["p50_ms"]
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _ratio(row: Figures, rounds: int) -> str:
    return format_ratio(row["ratio"], row["ratio_low"], row["ratio_high"], rounds)


def _by_name(report: Figures) -> list[tuple[str, Figures]]:
    return [(runtime["name"], runtime) for runtime in report["runtimes"]]


def bench_start(report: Figures) -> str:
    """File, start and memory of every runtime."""
    cosine = Column("cosine with fp32", "cosine", 5)
    return numbers(_by_name(report), FILE, LOAD, START, STEADY, PEAK, cosine)


def bench_best(report: Figures) -> str:
    """File, memory, start and speed of every runtime, the speed at 128 tokens or nearest to it."""
    groups = {_group(row) for runtime in report["runtimes"] for row in runtime["latencies"]}
    best = min(groups, key=lambda group: (group[0], abs(group[1] - 128), -group[2]))
    rows = []
    for name, runtime in _by_name(report):
        row = next(row for row in runtime["latencies"] if _group(row) == best)
        rows.append((name, runtime | {"ms": _ms(row), "ratio": _ratio(row, report["rounds"])}))
    at = Column(f"latency at {best[0]}x{best[1]}, ms (median)", "ms")
    speed_up = Column(f"speed-up over {report['baseline']}", "ratio")
    return numbers(rows, FILE, STEADY, START, at, speed_up)


def bench_picture(record: Figures) -> bytes:
    """Latency, memory and size, side by side."""
    from albert_edge.report.bench_file import parse_bench
    from albert_edge.report.plot_file import write_plot

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.svg"
        write_plot(parse_bench(record["figures"]), path)
        return path.read_bytes()


# fp32.py, start.py and quantize.py: whole processes.


def fp32_start(figures: Figures) -> str:
    """What export, load and a first answer take, beside optimum."""
    runtimes, layers = dict(_by_name(figures["report"])), 4 * figures["layers"]
    own = runtimes["albert-edge, optimized"]
    loads = runtimes | {"albert-edge": own}
    deep = {"albert-edge": figures["deep"]["albert-edge, optimized"]}
    ratio = {"albert-edge": {"ratio": figures["file_ratio"]["albert-edge, portable"]}}
    names = {"albert-edge": "albert-edge", "optimum": "optimum on onnxruntime"}
    lines = [
        ("export, whole command, s", figures["export"], "median_s", 1),
        ("export, peak memory, MB", figures["export"], "peak_mb", 0),
        ("file / safetensors", ratio, "ratio", 4),
        ("memory of a loaded model, MB", loads, "loaded_mb", 0),
        (f"the same with {layers} layers, MB", deep, "loaded_mb", 0),
        ("load, s", loads, "load_s", 2),
        ("process start to first answer, s", figures["start"], "median_s", 2),
    ]
    rows = [
        (title, {name: f"{part[name][key]:.{digits}f}" for name in names if name in part})
        for title, part, key, digits in lines
    ]
    return numbers(rows, *(Column(words, name) for name, words in names.items()))


def first_answers(figures: Figures) -> str:
    """Seconds from the start of a process, beside what none can be faster than."""
    return numbers(figures["starts"].items(), MEDIAN, FASTEST)


def quantizing(figures: list[Figures]) -> str:
    """Seconds and peak of memory of making int8, beside a peer that looks at no text."""
    rows = (
        (f"{result['geometry']}, {name}", run)
        for result in figures
        for name, run in result["runs"].items()
    )
    peak = Column("(peak - 120 MB) / size of the fp32 file", "peak_files", 1)
    return numbers(rows, MEDIAN._replace(digits=1), FASTEST._replace(digits=1), PEAK, peak)


# int8.py: compressed models.


def precisions(figures: Figures) -> str:
    """Size, memory and speed of albert-edge in each precision."""
    runtimes = dict(_by_name(figures["report"]))
    at = {
        name: next(row["p50_ms"] for row in runtime["latencies"] if _group(row)[:2] == (1, 128))
        for name, runtime in runtimes.items()
    }
    rows = []
    for precision in ("fp32", "int8", "int8-block", "int4"):
        if (name := _OWN + precision) not in runtimes:
            continue
        speed_up = at[_OWN + "fp32"] / at[name]
        ratio = format_ratio(speed_up, None, None, figures["report"]["rounds"])
        rows.append((f"`{precision}`", runtimes[name] | {"ratio": ratio}))
    return numbers(rows, FILE, LOADED, Column("speed-up over fp32 at 1x128", "ratio"))


def int8_files(figures: Figures) -> str:
    """File, load, memory and cosine of every contender; of pooled outputs where they are judged."""
    quality = figures["quality"]
    columns, models = [], []
    for kind, words in (("random", "random weights"), ("outliers", "the same with outliers")):
        pooled = any(f"{kind} pooled" in row for row in quality.values())
        models.append(f"{kind} pooled" if pooled else kind)
        words += ", pooled output" if pooled else ", logits"
        mean, worst = f"{models[-1]} mean", f"{models[-1]} worst"
        columns.append(Column(f"{words}: cosine with torch fp32 (mean)", mean, 5))
        columns.append(Column(f"{words}: cosine (worst)", worst, 4))
    rows = []
    for name, runtime in _by_name(figures["report"]):
        row = dict(runtime)
        for model in models:
            judged = quality[name].get(model, {"cosine": "fails", "worst": ""})
            row |= {f"{model} mean": judged["cosine"], f"{model} worst": judged["worst"]}
        rows.append((name, row))
    rows += [(name, {"file_bytes": "fails"}) for name in figures["report"]["skipped"]]
    return numbers(rows, FILE, LOAD, LOADED, *columns)


# geometries.py: from base to xxlarge.


def _sizes(figures: list[Figures]) -> Iterator[tuple[str, Figures]]:
    for result in figures:
        report = result["report"]
        for name, runtime in _by_name(report):
            [row] = runtime["latencies"]
            size = runtime["file_bytes"]
            yield (
                f"{result['geometry']}, {name.removeprefix(_OWN)}",
                result | runtime | row | {
                    "sizes": f"{report['geometry']['hidden_size']} x {result['layers']}",
                    "byte_share": size / result["parameters"],
                    "memory_share": 1e6 * runtime["loaded_mb"] / size,
                    "ms_per_gmac": row["p50_ms"] / result["gmac"],
                    "speed_up": _ratio(row, report["rounds"]),
                },
            )  # fmt: skip


def geometries(figures: list[Figures]) -> str:
    """What each size costs: parameters, file, memory, time."""
    sizes = Column("width x layers", "sizes"), Column("parameters, 10^6", "parameters", 1, 1e6)
    return numbers(_sizes(figures), *sizes, FILE, LOADED, LOAD, Column(AT_128, "p50_ms"))


def growth(figures: list[Figures]) -> str:
    """The same as ratios: what grows with the parameters, and what with the work."""
    return numbers(
        _sizes(figures),
        Column("bytes per parameter", "byte_share", 2),
        Column("memory / file", "memory_share", 2),
        Column("10^9 multiply-accumulates at 1x128", "gmac", 1),
        Column("ms per 10^9", "ms_per_gmac", 1),
        Column("speed-up over fp32", "speed_up"),
    )


# throughput.py and soak.py: from texts to labels.


def throughput(figures: Figures, title: str = "") -> str:
    """Texts a second of every contender, in the way it is fastest."""
    rows, best = figures["contenders"], figures["best_peer"]
    fastest: dict[str, str] = {}
    for name, row in rows.items():
        contender = name.rsplit(", ", 1)[0]
        rival = rows[fastest.get(contender, name)]
        if row["texts_per_second"] >= rival["texts_per_second"]:
            fastest[contender] = name
    shown = [(name, rows[name] | {"ratio": _speed_up(rows[name], rows[best])})
             for name in fastest.values()]  # fmt: skip
    columns = Column("texts/s", "texts_per_second", 2), Column(f"speed-up over {best}", "ratio")
    return numbers(shown, *columns, title=title or f"{figures['texts']} paragraphs")


def _speed_up(row: Figures, best: Figures) -> str:
    chunks, peers = row["chunk_seconds"], best["chunk_seconds"]
    if not chunks:  # older records of a GPU kept the median only
        return format_ratio(row["times_as_fast_as_best_peer"], None, None, None)
    ratio = compare([[seconds] for seconds in chunks], [[seconds] for seconds in peers])
    return format_ratio(ratio.median, ratio.low, ratio.high, len(chunks))


def memory_over_texts(figures: Figures) -> str:
    """Resident memory in the first, fifth and last tenth of a stream of texts."""
    tenths = {"first": 0, "fifth": 4, "last": 9}
    rows = [
        (
            name,
            row
            | {tenth: row["most_mb"][index] for tenth, index in tenths.items()}
            | {"texts": f"{row['texts']:,}"},
        )
        for name, row in figures["policies"].items()
    ]
    peaks = (Column(f"peak memory in the {tenth} tenth, MB", tenth) for tenth in tenths)
    columns = Column("texts", "texts"), Column("texts/s", "texts_per_second")
    loaded = Column("memory loaded, MB", "loaded_mb")
    return numbers(rows, *columns, loaded, *peaks, title=figures["model"])


# gpu.py.


def gpu_throughput(figures: Figures) -> str:
    """Texts a second on a GPU."""
    return throughput(figures["throughput"], "pipeline, mixed lengths")


def gpu_parity(figures: Figures) -> str:
    """Of every head the output that is furthest from the CPU's, as a cosine."""
    rows = [
        (
            head,
            {
                name: min(cosine for cosine, _ in variant["outputs"].values())
                for name, variant in variants.items()
            },
        )
        for head, variants in figures["parity"].items()
    ]
    return numbers(rows, *(Column(name, name, 6) for name in rows[0][1]), title="head")


def gpu_memory(figures: Figures) -> str:
    """Memory of the device, CUDA's own context included."""
    rows = [(name, row) for name, row in _by_name(figures["report"]) if row["loaded_mb"]]
    loaded = Column("memory loaded, MB", "loaded_mb")
    return numbers(rows, LOAD, loaded, Column("memory after 32x128, MB", "steady_mb"))
