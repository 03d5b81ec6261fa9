"""The rows of the tables in the documents, from the figures of each benchmark."""

from __future__ import annotations

from albert_edge.benchmark.statistics import compare, format_ratio
from albert_edge.report.formats import milliseconds
from renderers.markdown import COLUMNS, Column, Figures, Rows, markdown, numbers

_OWN = "albert-edge "
_FULL = "full int8"


# Reports of `albert-edge bench`, which some benchmarks keep beside other figures.


def latency(figures: Figures) -> str:
    """Median milliseconds of every runtime at every shape, then the ratio to the baseline."""
    report = figures.get("report", figures)
    groups = {_group(row) for runtime in report["runtimes"] for row in runtime["latencies"]}
    order = sorted(groups, key=lambda group: (group[2], group[0], group[1]))
    several = len({threads for _, _, threads in order}) > 1
    titles = [f"{b}x{n}" + f", {threads} threads" * several for b, n, threads in order]
    times, ratios = [], []
    for name, runtime in runtimes(report):
        by_group = {_group(row): row for row in runtime["latencies"]}
        rows = [by_group.get(group) for group in order]
        times.append([name, *(milliseconds(row["p50_ms"]) if row else "fails" for row in rows)])
        ratios.append([name, *(_ratio(row, report) if row else "fails" for row in rows)])
    tables = {"latency, ms (median)": times, f"speed-up over {report['baseline']}": ratios}
    return "\n\n".join(markdown([head, *titles], rows) for head, rows in tables.items())


def _group(row: Figures) -> tuple[int, int, int]:
    return row["batch"], row["length"], row["threads"]


def _ratio(row: Figures, report: Figures) -> str:
    return format_ratio(row["ratio"], row["ratio_low"], row["ratio_high"], report["rounds"])


def runtimes(figures: Figures) -> Rows:
    """Every runtime by name."""
    report = figures.get("report", figures)
    return [(runtime["name"], runtime) for runtime in report["runtimes"]]


def bench_best(report: Figures) -> str:
    """File, memory, start and speed of every runtime, the speed at 128 tokens or nearest to it."""
    groups = {_group(row) for _, runtime in runtimes(report) for row in runtime["latencies"]}
    best = min(groups, key=lambda group: (group[0], abs(group[1] - 128), -group[2]))
    rows = []
    for name, runtime in runtimes(report):
        row = next(row for row in runtime["latencies"] if _group(row) == best)
        figures = {"ms": milliseconds(row["p50_ms"]), "ratio": _ratio(row, report)}
        rows.append((name, runtime | figures))
    at = Column(f"latency at {best[0]}x{best[1]}, ms (median)", "ms")
    speed_up = Column(f"speed-up over {report['baseline']}", "ratio")
    known = (COLUMNS[key] for key in ("file_bytes", "steady_mb", "cold_start_s"))
    return numbers(rows, *known, at, speed_up)


def bench_picture(record: Figures) -> bytes:
    """Latency, memory and size, side by side."""
    from albert_edge.report.bench_file import parse_bench
    from albert_edge.report.plots import draw, image_bytes

    return image_bytes(draw(parse_bench(record["figures"])), "svg")


# Whole processes: fp32.py and quantize.py.


def fp32_start(figures: Figures) -> Rows:
    """Export, load and first answer, beside optimum."""
    by_name, layers = dict(runtimes(figures)), 4 * figures["layers"]
    loads = by_name | {"albert-edge": by_name["albert-edge, optimized"]}
    deep = {"albert-edge": figures["deep"]["albert-edge, optimized"]}
    ratio = {"albert-edge": {"ratio": figures["file_ratio"]["albert-edge, portable"]}}
    for title, part, key, digits in (
        ("export, whole command, s", figures["export"], "median_s", 1),
        ("export, peak memory, MB", figures["export"], "peak_mb", 0),
        ("file / safetensors", ratio, "ratio", 4),
        ("memory of a loaded model, MB", loads, "loaded_mb", 0),
        (f"the same with {layers} layers, MB", deep, "loaded_mb", 0),
        ("load, s", loads, "load_s", 2),
        ("process start to first answer, s", figures["start"], "median_s", 2),
    ):
        yield title, {name: f"{values[key]:.{digits}f}" for name, values in part.items()}


def quantizing(figures: list[Figures]) -> Rows:
    """Time and peak memory of quantizing to int8, beside a peer that reads no text."""
    for result in figures:
        for name, run in result["runs"].items():
            yield f"{result['geometry']}, {name}", run


# int8.py: compressed models.


def precisions(figures: Figures) -> Rows:
    """Size, memory and speed of albert-edge in each precision."""
    by_name = dict(runtimes(figures))
    at = {
        name: next(row["p50_ms"] for row in runtime["latencies"] if _group(row)[:2] == (1, 128))
        for name, runtime in by_name.items()
    }
    for precision in ("fp32", "int8", "int8-block", "int4"):
        if (name := _OWN + precision) in by_name:
            speed_up = at[_OWN + "fp32"] / at[name]
            ratio = format_ratio(speed_up, None, None, figures["report"]["rounds"])
            yield f"`{precision}`", by_name[name] | {"ratio": ratio}


def int8_files(figures: Figures) -> str:
    """File, load, memory and cosine of every contender; of pooled outputs if those were judged."""
    quality = figures["quality"]
    columns, models = [], []
    for kind, words in (("random", "random weights"), ("outliers", "the same with outliers")):
        pooled = any(f"{kind} pooled" in row for row in quality.values())
        models.append(model := f"{kind} pooled" if pooled else kind)
        words += ", pooled output" if pooled else ", logits"
        columns.append(Column(f"{words}: cosine with torch fp32 (mean)", f"{model} mean", 5))
        columns.append(Column(f"{words}: cosine (worst)", f"{model} worst", 4))
    rows = []
    for name, runtime in runtimes(figures):
        for model in models:
            judged = quality[name].get(model, {"cosine": "fails", "worst": ""})
            runtime |= {f"{model} mean": judged["cosine"], f"{model} worst": judged["worst"]}
        rows.append((name, runtime))
    rows += [(name, {"file_bytes": "fails"}) for name in figures["report"]["skipped"]]
    known = (COLUMNS[key] for key in ("file_bytes", "load_s", "loaded_mb"))
    return numbers(rows, *known, *columns)


# geometries.py: from base to xxlarge.


def sizes(figures: list[Figures]) -> Rows:
    """Every size in every precision, and how its figures relate."""
    for result in figures:
        report = result["report"]
        for name, runtime in runtimes(report):
            [row] = runtime["latencies"]
            size = runtime["file_bytes"]
            yield (
                f"{result['geometry']}, {name.removeprefix(_OWN)}",
                {
                    **(result | runtime | row),
                    "sizes": f"{report['geometry']['hidden_size']} x {result['layers']}",
                    "byte_share": size / result["parameters"],
                    "memory_share": 1e6 * runtime["loaded_mb"] / size,
                    "ms_per_gmac": row["p50_ms"] / result["gmac"],
                    "speed_up": _ratio(row, report),
                },
            )


# throughput.py and soak.py: from texts to labels.


def throughput(figures: Figures) -> str:
    """Texts a second of every contender in its fastest mode; gpu.py keeps them beside others."""
    title = (
        "pipeline, mixed lengths" if "throughput" in figures else f"{figures['texts']} paragraphs"
    )
    figures = figures.get("throughput", figures)
    rows, best = figures["contenders"], figures["best_peer"]
    fastest: dict[str, str] = {}
    for name, row in rows.items():
        rival = fastest.setdefault(name.rsplit(", ", 1)[0], name)
        if row["texts_per_second"] >= rows[rival]["texts_per_second"]:
            fastest[name.rsplit(", ", 1)[0]] = name
    shown = [
        (name, rows[name] | {"ratio": _speed_up(rows[name], rows[best])})
        for name in fastest.values()
    ]
    speed_up = Column(f"speed-up over {best}", "ratio")
    return numbers(shown, COLUMNS["precise_rate"], speed_up, title=title)


def _speed_up(row: Figures, best: Figures) -> str:
    chunks, peers = row["chunk_seconds"], best["chunk_seconds"]
    if not chunks:  # older records of a GPU kept the median only
        return format_ratio(row["times_as_fast_as_best_peer"], None, None, None)
    ratio = compare([[seconds] for seconds in chunks], [[seconds] for seconds in peers])
    return format_ratio(ratio.median, ratio.low, ratio.high, len(chunks))


def memory_over_texts(figures: Figures) -> str:
    """Resident memory in the first, fifth and last tenth of a stream of texts."""
    tenths = {"first": 0, "fifth": 4, "last": 9}
    rows = []
    for name, row in figures["policies"].items():
        peaks = {tenth: row["most_mb"][index] for tenth, index in tenths.items()}
        rows.append((name, row | peaks | {"texts": f"{row['texts']:,}"}))
    columns = (Column(f"peak memory in the {tenth} tenth, MB", tenth) for tenth in tenths)
    known = (COLUMNS[key] for key in ("texts", "rate", "memory_loaded_mb"))
    return numbers(rows, *known, *columns, title=figures["model"])


# specialize.py and specialize_random.py: models that do less.


def specialized(figures: Figures) -> str:
    """Speed, work and agreement of every model, full and specialized, and of its peers."""
    rows = []
    for model, result in figures["models"].items():
        full = result["runtimes"][_FULL]
        for name, row in result["runtimes"].items():
            more: Figures = {
                key: _paired(row[key], result["chunks"]) for key in ("over_full", "over_baseline")
            }
            if "macs" in row:
                more["fewer"] = full["macs"] / row["macs"]
            rows.append((f"{model}, {name}", row | more))
        for way, made in result["specialized"].items():
            if made["refusal"]:
                rows.append((f"{model}, {way}", {"over_full": "refused"}))
    columns = (
        COLUMNS["rate"],
        Column("speed-up over full int8", "over_full"),
        Column("speed-up over optimum fp32", "over_baseline"),
        Column("multiply-accumulates per text, 10^6", "macs", 1, 1e6),
        Column("full int8 / these", "fewer", 2),
        Column("agreement with full int8", "agreement", 4),
        Column("layers used (mean)", "mean_layers", 1),
        COLUMNS["file_bytes"],
    )
    return numbers(rows, *columns, title="one text at a time")


def _paired(ratio: Figures | None, chunks: int) -> str:
    return (
        "" if ratio is None else format_ratio(ratio["median"], ratio["low"], ratio["high"], chunks)
    )


def specializing(figures: Figures) -> Rows:
    """What specializing took, and what exits cost a text that none of them answers."""
    for model, result in figures["models"].items():
        yield from _ways(f"{model}, ", result)


def specializing_random(figures: Figures) -> str:
    """The same on random weights, with the reason for a refusal."""
    columns = (COLUMNS[key] for key in ("long_s", "peak_mb", "peak_share"))
    reasons = [made["refusal"] for made in figures["specialized"].values() if made["refusal"]]
    table = numbers(
        _ways("", figures), *columns, title=f"albert-edge specialize, {figures['sample']} texts"
    )
    return "\n\n".join([table, *(f"> {reason}" for reason in reasons)])


def _ways(prefix: str, result: Figures) -> Rows:
    full = result["runtimes"][_FULL]
    for way, made in result["specialized"].items():
        row = result["runtimes"].get(way, {})
        shares = {
            f"{key}_share": row[key] / full[key] for key in ("file_bytes", "loaded_mb") if row
        }
        # Both have a peak: that of specializing counts here, not that of running the model.
        yield f"{prefix}{way}", row | shares | made


# gpu.py.


def gpu_parity(figures: Figures) -> str:
    """The cosine with the CPU of the output that is furthest from it, by head."""
    rows = []
    for head, variants in figures["parity"].items():
        cosines = {name: variant["outputs"].values() for name, variant in variants.items()}
        rows.append((head, {name: min(c for c, _ in pairs) for name, pairs in cosines.items()}))
    return numbers(rows, *(Column(name, name, 6) for name in rows[0][1]), title="head")


def gpu_memory(figures: Figures) -> Rows:
    """The runtimes whose memory on the device is known."""
    return [(name, row) for name, row in runtimes(figures) if row["loaded_mb"]]


# hostile.py.


def promises(figures: Figures) -> Rows:
    """Each promise with its cases."""
    return [(row["promise"], row) for row in figures["rows"]]
