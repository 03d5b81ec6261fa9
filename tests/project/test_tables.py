"""The tables of the documents are what their figures make of them, and no table has others."""

from __future__ import annotations

import ast
import json
import math
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.paths import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

import command
import record
import tables
from renderers import PICTURES, TABLES, source_line
from renderers.markdown import markdown

from albert_edge.benchmark.statistics import MARKS

pytestmark = pytest.mark.slow

MEASURED = sorted((ROOT / "docs/measured").glob("*.json"))
RECORDS = [
    (path.stem, kind, kept) for path in MEASURED for kind, kept in record.read_records(path).items()
]


def by_name(value: Any) -> str:
    """The name of a record, and the kind of its machine, in the name of a test."""
    return value if isinstance(value, str) else ""


PAGES = tables.pages(ROOT)
A_FIGURE = re.compile(r"\d(?:\.\d+)? ?(?:MB|ms|s|x)(?![\w])")


def copy(folder: Path) -> Path:
    """What tables.py reads and writes, to be changed."""
    shutil.copytree(ROOT / "docs", folder / "docs")
    shutil.copyfile(ROOT / "README.md", folder / "README.md")
    return folder


# --- what is checked in ---------------------------------------------------------------------


def test_pages_and_pictures_are_what_was_measured() -> None:
    found = {path.relative_to(ROOT).as_posix() for path in tables.differing(ROOT)}
    assert not found, "python benchmarks/tables.py writes them"


def test_every_table_stands_somewhere_and_every_block_has_a_table() -> None:
    named = [name for page in PAGES for _, name, _ in tables.BLOCK.findall(page.read_text("utf-8"))]
    assert set(named) == set(TABLES)
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        marks = text.count("<!-- table:"), text.count("<!-- /table -->")
        assert marks == (len(tables.BLOCK.findall(text)),) * 2, page


def test_no_table_has_figures_of_its_own() -> None:
    """A row with megabytes, milliseconds, seconds or ratios is in a block."""
    wrong = []
    for page in PAGES:
        rest = tables.BLOCK.sub("", page.read_text(encoding="utf-8"))
        rows = [line for line in rest.splitlines() if line.startswith("|")]
        wrong += [f"{page.name}: {row}" for row in rows if A_FIGURE.search(row)]
    assert wrong == []


def test_such_a_row_would_be_found() -> None:
    for row in ("| load | 0.15 s |", "| int8 | 11.9 MB | 3 x |", "| 1x8 | 5.7 ms, 2.6 x |"):
        assert A_FIGURE.search(row)
    assert not A_FIGURE.search("| 1x128 | 2 threads | opset 17 |")


@pytest.mark.parametrize(("name", "kind", "kept"), RECORDS, ids=by_name)
def test_figures_say_where_they_come_from(name: str, kind: str, kept: dict[str, Any]) -> None:
    assert list(kept) == ["command", "date", "load", "machine", "figures"]
    assert re.match(f"python benchmarks/record.py {name}( |$)", kept["command"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", kept["date"])
    assert kind == record.kind_of(kept)
    machine = kept["machine"]
    assert machine["cpu"] and machine["usable_cpus"] >= 1
    assert [package for package in machine["packages"] if package.startswith("onnxruntime")]
    line = source_line(kept)
    assert machine["cpu"] in line and f"`{kept['command']}`" in line and kept["date"] in line


def test_the_pictures_sources_are_measured() -> None:
    for name, picture in PICTURES.items():
        assert (ROOT / "docs/measured" / f"{picture.source}.json").exists()
        assert (ROOT / "docs/images" / name).exists()


# --- what it notices ------------------------------------------------------------------------


def change(figures: Any, wanted: Callable[[float], bool]) -> bool:
    """Double the first number of some figures that is wanted."""
    items = figures.items() if isinstance(figures, dict) else enumerate(figures)
    for key, value in items:
        if isinstance(value, dict | list):
            if change(value, wanted):
                return True
        elif isinstance(value, float) and wanted(value):
            figures[key] = 2 * value
            return True
    return False


# Where the figures of a benchmark stand that are in a table for sure.
SHOWN = {
    "bench": ("runtimes", 0, "latencies"),
    "fp32": ("report", "runtimes", 0, "latencies"),
    "geometries": (0, "report", "runtimes", 0, "latencies"),
    "hostile": ("rows",),
    "int8": ("report", "runtimes", 0, "latencies"),
    "quantize": (0, "runs"),
    "soak": ("policies",),
    "start": ("starts",),
    "throughput": ("contenders",),
}


@pytest.mark.parametrize(
    ("name", "kind", "kept"), [row for row in RECORDS if row[0] in SHOWN], ids=by_name
)
def test_a_changed_figure_is_noticed(
    name: str, kind: str, kept: dict[str, Any], tmp_path: Path
) -> None:
    root = copy(tmp_path)
    path = root / "docs/measured" / f"{name}.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    part: Any = document["records"][kind]["figures"]
    for step in SHOWN[name]:
        part = part[step]
    assert change(part, lambda value: value > (0.05 if name == "start" else 1))
    path.write_text(json.dumps(document))
    assert any(page.suffix == ".md" for page in tables.differing(root))


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: re.sub(r"^(\| albert-edge.*\d)(?= \|)", r"\g<1>9", text, count=1, flags=re.M),
        lambda text: re.sub(r"^\| albert-edge.*\n", "", text, count=1, flags=re.MULTILINE),
    ],
    ids=["figure", "row"],
)
def test_an_edited_page_is_noticed(edit: Callable[[str], str], tmp_path: Path) -> None:
    root = copy(tmp_path)
    page = root / "README.md"
    text = page.read_text(encoding="utf-8")
    assert edit(text) != text
    page.write_text(edit(text), encoding="utf-8")
    found = tables.differing(root)
    assert found == {page: text.encode()}  # and mended


def test_an_edited_picture_is_noticed(tmp_path: Path) -> None:
    root = copy(tmp_path)
    picture = root / "docs/images/bench.svg"
    picture.write_bytes(picture.read_bytes().replace(b"ms (median)", b"ms (best)"))
    assert set(tables.differing(root)) == {picture}


def test_a_table_nobody_knows_is_an_error(tmp_path: Path) -> None:
    root = copy(tmp_path)
    (root / "docs/new.md").write_text("<!-- table: no-such -->\n<!-- /table -->\n")
    with pytest.raises(KeyError, match="no-such"):
        tables.differing(root)


def test_what_was_not_measured_says_how_to(tmp_path: Path) -> None:
    root = copy(tmp_path)
    (root / "docs/measured/fp32.json").unlink()
    text = tables.regenerate(root)[root / "docs/benchmarks.md"].decode()
    assert "Not measured yet: `python benchmarks/record.py fp32`." in text


def test_a_busy_machine_is_not_kept_secret() -> None:
    _, _, kept = RECORDS[0]
    assert "busy with other work: 14.2 processors" in source_line({**kept, "load": 14.2})
    assert "busy" not in source_line({**kept, "load": 0.3})


def test_load_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 0 50 800 50 0 0 7 0 0\ncpu0 1 2 3 4 5 6 7 8 9 0\n")
    later = "cpu  130 5 60 950 55 0 0 12 0 0\ncpu0 1 2 3 4 5 6 7 8 9 0\n"
    monkeypatch.setattr(record, "STAT", stat)
    monkeypatch.setattr("time.sleep", lambda seconds: stat.write_text(later))
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    # Of 205 ticks 155 were idle or waiting; what the host took away counts as busy.
    assert record.other_load() == round(4 * 50 / 205, 1) == 1.0
    stat.unlink()
    assert record.other_load() is None


def test_figures_of_earlier_are_kept_with_their_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = {"a": [1, math.nan], "path": f"{tempfile.gettempdir()}/x-1/y/base", "is": "1/2 of /x"}
    (tmp_path / "figures.json").write_text(json.dumps(figures))
    told = ["record.py", "fp32", "--figures", str(tmp_path / "figures.json"), "--rounds", "2"]
    monkeypatch.setattr(record, "MEASURED", tmp_path / "measured")
    monkeypatch.setattr(sys, "argv", told)
    record.main()
    [path] = (tmp_path / "measured").iterdir()
    [kept] = record.read_records(path).values()
    assert (path.name, kept["load"]) == ("fp32.json", None)
    assert kept["command"] == "python benchmarks/record.py fp32 --rounds 2"
    assert kept["figures"]["a"][0] == 1
    assert (kept["figures"]["path"], kept["figures"]["is"]) == ("base", "1/2 of /x")
    assert "`python benchmarks/record.py fp32 --rounds 2`" in source_line(kept)
    monkeypatch.setattr(sys, "argv", ["record.py", "no-such"])
    with pytest.raises(SystemExit, match="2"):
        record.main()


def test_a_record_replaces_that_of_its_kind_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "MEASURED", tmp_path)
    _, _, kept = RECORDS[0]
    features = [{"avx2": True, "avx512": has, "vnni": has} for has in (True, False, True)]
    for figures, feature in enumerate(features):
        machine = {**kept["machine"], "architecture": "x86_64", "features": feature}
        record.keep("fp32", {**kept, "machine": machine, "figures": figures})
    records = record.read_records(tmp_path / "fp32.json")
    found = {kind: one["figures"] for kind, one in records.items()}
    assert found == {"x86 AVX-512 VNNI": 2, "x86 AVX2 without VNNI": 1}


def test_figures_of_a_gpu_are_of_its_kind() -> None:
    [kept] = record.read_records(ROOT / "docs/measured/gpu.json").values()
    assert record.kind_of(kept) == "NVIDIA H200"


def test_every_kind_of_machine_is_shown() -> None:
    found = tables.regenerate(ROOT)
    text = found[ROOT / "README.md"].decode()
    kinds = record.read_records(ROOT / "docs/measured/bench.json")
    assert len(kinds) >= 2
    for kind, kept in kinds.items():
        assert f"**{kind}**" in text
        assert source_line(kept) in text


def test_every_kept_benchmark_is_there() -> None:
    assert {table.source for table in TABLES.values()} == {*command.names()}


# --- the parts ------------------------------------------------------------------------------


def test_markdown_aligns_figures_to_the_right() -> None:
    assert markdown(["", "a", "b"], [["x", "1", ""], ["y", "", "2"]]) == (
        "| | a | b |\n| --- | ---: | ---: |\n| x | 1 | |\n| y | | 2 |"
    )


def test_renderers_hold_no_figures() -> None:
    """They form what was measured; a decimal number in one would be a figure of its own."""
    for path in (ROOT / "benchmarks/renderers").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, float):
                assert node.value in (1e3, 1e6), path


def latency_of(shape: str, p50: float, ratio: float | None, spread: float = 0.0) -> dict[str, Any]:
    """One latency of a runtime, as `albert-edge bench` reports it."""
    batch, length = map(int, shape.split("x"))
    low, high = (None, None) if ratio is None else (ratio - spread, ratio + spread)
    ratios = {"ratio": ratio, "ratio_low": low, "ratio_high": high}
    return {"batch": batch, "length": length, "threads": 2, "p50_ms": p50, **ratios}


def runtime_of(name: str, *latencies: dict[str, Any], **figures: float) -> dict[str, Any]:
    """One runtime of a report."""
    known = {"file_bytes": 11_934_000, "load_s": 0.0625, "loaded_mb": 25.4, "steady_mb": 30.4}
    return {"name": name, **known, **figures, "latencies": list(latencies)}


def report_of(baseline: str, *runtimes: dict[str, Any], rounds: int = 3) -> dict[str, Any]:
    """A report."""
    report = {"baseline": baseline, "rounds": rounds, "skipped": {"ORT O2": "fails"}}
    return {**report, "runtimes": list(runtimes)}


GPU = {
    "parity": {
        "fill-mask": {"albert-edge fp16": {"outputs": {"logits": [0.99991, 0.9]}}},
        "pretraining": {"albert-edge fp16": {"outputs": {"a": [0.9999, 1], "b": [0.5, 1]}}},
    },
    "report": report_of(
        "torch fp16",
        runtime_of("torch fp16", latency_of("1x8", 8.0, 1.0), latency_of("8x128", 9.0, 1.0)),
        runtime_of("torch fp16, compiled", latency_of("8x128", 4.5, 2.0)),
        rounds=8,
    ),
    "throughput": {
        "best_peer": "transformers fp16, batch_size=8",
        "contenders": {
            "albert-edge fp16, default": {"texts_per_second": 1234.5, "chunk_seconds": [2, 4, 8]},
            "transformers fp16, batch_size=8": {
                "texts_per_second": 987.5,
                "chunk_seconds": [3, 5, 24],
            },
        },
    },
}


def test_gpu_tables_of_figures_made_by_hand() -> None:
    assert TABLES["gpu-parity"].render(GPU).splitlines()[2:] == [
        "| fill-mask | 0.999910 |",
        "| pretraining | 0.500000 |",
    ]
    assert TABLES["gpu-memory"].render(GPU).splitlines()[2] == "| torch fp16 | 0.06 | 25 | 30 |"
    rows = TABLES["gpu-throughput"].render(GPU).splitlines()
    assert rows[0].endswith("| texts/s | speed-up over transformers fp16, batch_size=8 |")
    assert rows[2] == "| albert-edge fp16, default | 1234.50 | ~1.5 x |"  # 1.5, 1.25 and 3
    rows = TABLES["gpu-latency"].render(GPU).splitlines()
    assert rows[0] == "| latency, ms (median) | 1x8 | 8x128 |"
    assert rows[2] == "| torch fp16 | 8.00 | 9.00 |"
    # What fails at the first shape has a row all the same.
    assert rows[3] == "| torch fp16, compiled | fails | 4.50 |"
    assert rows[5] == "| speed-up over torch fp16 | 1x8 | 8x128 |"
    assert rows[7:] == [
        "| torch fp16 | 1.00 x | 1.00 x |",
        "| torch fp16, compiled | fails | 2.00 x |",
    ]


def test_what_cannot_be_relied_on_is_marked_and_the_marks_are_explained() -> None:
    scattered = runtime_of("openvino", latency_of("1x8", 1.0, 490.0, spread=100.0))
    table = TABLES["bench-latency"].render(report_of("optimum", scattered))
    assert "| openvino | ~490 x |" in table
    assert table.endswith(f"\n\n{MARKS}")
    steady = runtime_of("openvino", latency_of("1x8", 1.0, 2.0))
    few = TABLES["bench-latency"].render(report_of("optimum", steady, rounds=1))
    assert "| openvino | 2.0 x (n=1) |" in few and MARKS in few
    assert MARKS not in TABLES["bench-latency"].render(report_of("optimum", steady))


def test_tables_of_running_programs_of_figures_made_by_hand() -> None:
    starts = {
        "int8, first answer": {"median_s": 0.404, "best_s": 0.396},
        "x": {"median_s": 1.0, "best_s": 0.9},
    }
    assert TABLES["first-answers"].render({"starts": starts}).splitlines()[2:] == [
        "| int8, first answer | 0.40 | 0.40 |",
        "| x | 1.00 | 0.90 |",
    ]
    ways = {
        name: {"texts_per_second": speed, "chunk_seconds": [10 / speed] * 3}
        for name, speed in (
            ("albert-edge int8, default", 4.0),
            ("albert-edge int8, workers=1", 5.0),
            ("optimum fp32, batch_size=1", 2.5),
            ("optimum fp32, batch_size=8", 1.25),
        )
    }
    best = "optimum fp32, batch_size=1"
    figures = {"texts": 9, "best_peer": best, "contenders": ways}
    table = TABLES["throughput"].render(figures).splitlines()
    assert table[0] == f"| 9 paragraphs | texts/s | speed-up over {best} |"
    assert table[2:] == [
        "| albert-edge int8, workers=1 | 5.00 | 2.00 x |",
        "| optimum fp32, batch_size=1 | 2.50 | 1.00 x |",
    ]
    row = {
        "texts": 100_000,
        "texts_per_second": 900.4,
        "loaded_mb": 70.2,
        "most_mb": [80, 1, 1, 1, 82, 1, 1, 1, 1, 83],
    }
    run = {"median_s": 12.25, "best_s": 12.04, "peak_mb": 345.4, "peak_files": 4.81}
    quantizing = [{"geometry": "base", "runs": {"albert-edge quantize": run}}]
    assert TABLES["quantizing"].render(quantizing).splitlines()[2:] == [
        "| base, albert-edge quantize | 12.2 | 12.0 | 345 | 4.8 |",
    ]
    soak = {"model": "langid-tiny", "policies": {"chosen, int8": row}}
    assert TABLES["memory-over-texts"].render(soak).splitlines()[2] == (
        "| chosen, int8 | 100,000 | 900 | 70 | 80 | 82 | 83 |"
    )


def test_start_tables_of_figures_made_by_hand() -> None:
    process = {"median_s": 1.0, "best_s": 0.9, "peak_mb": 181.2}
    slow = {**process, "median_s": 8.44}
    own = runtime_of("albert-edge, optimized", latency_of("1x8", 12.5, 1.2), loaded_mb=58.4)
    peer = runtime_of("optimum", latency_of("1x8", 15.0, 1.0), load_s=1.05, loaded_mb=101.0)
    figures: dict[str, Any] = {
        "layers": 12,
        "file_ratio": {"albert-edge, portable": 1.0002},
        "export": {"albert-edge": process, "optimum": slow},
        "start": {"albert-edge": process, "optimum": slow},
        "deep": {"albert-edge, optimized": own},
        "report": report_of("optimum", own, peer),
    }
    assert TABLES["start"].render(figures).splitlines()[2:] == [
        "| export, whole command, s | 1.0 | 8.4 |",
        "| export, peak memory, MB | 181 | 181 |",
        "| file / safetensors | 1.0002 | |",
        "| memory of a loaded model, MB | 58 | 101 |",
        "| the same with 48 layers, MB | 58 | |",
        "| load, s | 0.06 | 1.05 |",
        "| process start to first answer, s | 1.00 | 8.44 |",
    ]
    assert TABLES["fp32-latency"].render(figures).splitlines()[-1] == "| optimum | 1.00 x |"
    # The peer is left out where it is not installed.
    alone = {
        **figures,
        "export": {"albert-edge": process},
        "start": {"albert-edge": process},
        "report": report_of("albert-edge, optimized", own),
    }
    assert TABLES["start"].render(alone).splitlines()[2] == "| export, whole command, s | 1.0 | |"


def test_tables_of_compressed_models_of_figures_made_by_hand() -> None:
    sizes = {"fp32": 40.0, "int8": 10.0, "int8-block": 20.0, "int4": 25.0}
    names = {f"albert-edge {name}": ms for name, ms in sizes.items()} | {"optimum fp32": 50.0}
    runtimes = [
        runtime_of(name, *[latency_of("1x8", 5, 10)] * (name == "albert-edge int8"),
                   latency_of("1x128", ms, 50 / ms))
        for name, ms in names.items()
    ]  # fmt: skip
    quality = {name: {"random": {"cosine": 0.99987, "worst": 0.9985}} for name in names}
    figures: dict[str, Any] = {"report": report_of("optimum fp32", *runtimes), "quality": quality}
    assert TABLES["precisions"].render(figures).splitlines()[3] == "| `int8` | 11.9 | 25 | 4.00 x |"
    files = TABLES["int8-files"].render(figures).splitlines()
    assert files[0].endswith(
        "| random weights, logits: cosine with torch fp32 (mean) "
        "| random weights, logits: cosine (worst) "
        "| the same with outliers, logits: cosine with torch fp32 (mean) "
        "| the same with outliers, logits: cosine (worst) |"
    )
    assert files[3] == "| albert-edge int8 | 11.9 | 0.06 | 25 | 0.99987 | 0.9985 | fails | |"
    assert files[-1] == "| ORT O2 | fails | | | | | | |"
    latencies = TABLES["int8-latency"].render(figures).splitlines()
    assert latencies[3] == "| albert-edge int8 | 5.00 | 10.0 |"
    assert latencies[-1] == "| optimum fp32 | fails | 1.00 x |"
    quality["albert-edge int8"]["random pooled"] = {"cosine": 1.0, "worst": 1.0}
    assert "random weights, pooled output" in TABLES["int8-files"].render(figures)
