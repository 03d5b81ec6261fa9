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

import record
import tables
from renderers import PICTURES, TABLES, source_line
from renderers.markdown import markdown

RECORDS = sorted((ROOT / "docs/measured").glob("*.json"))
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


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_figures_say_where_they_come_from(path: Path) -> None:
    record = json.loads(path.read_text(encoding="utf-8"))
    assert list(record) == [*("schema_version", "command", "date", "load", "machine", "figures")]
    assert record["command"].startswith(f"python benchmarks/record.py {path.stem}")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", record["date"])
    machine = record["machine"]
    assert machine["cpu"] and machine["usable_cpus"] >= 1
    assert [name for name in machine["packages"] if name.startswith("onnxruntime")]
    line = source_line(record)
    assert machine["cpu"] in line and f"`{record['command']}`" in line and record["date"] in line


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


@pytest.mark.parametrize("name", [path.stem for path in RECORDS if path.stem != "gpu"])
def test_a_changed_figure_is_noticed(name: str, tmp_path: Path) -> None:
    root = copy(tmp_path)
    path = root / "docs/measured" / f"{name}.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    part: Any = record["figures"]
    if name == "bench":
        part = part["runtimes"][0]["latencies"]
    elif name in ("start", "throughput", "soak"):
        part = part[{"start": "starts", "throughput": "contenders", "soak": "policies"}[name]]
    elif name == "geometries":
        part = part[0]["report"]["runtimes"][0]["latencies"]
    elif name == "quantize":
        part = part[0]["runs"]
    else:
        part = part["latency_ms" if name == "spine" else "latency"]
    assert change(part, lambda value: value > (0.05 if name == "start" else 1))
    path.write_text(json.dumps(record))
    assert any(page.suffix == ".md" for page in tables.differing(root))


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: re.sub(r"^(\| albert-edge.*\d)(?= MB)", r"\g<1>9", text, count=1, flags=re.M),
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
    (root / "docs/measured/spine.json").unlink(missing_ok=True)
    text = tables.regenerate(root)[root / "docs/benchmarks.md"].decode()
    assert "Not measured yet: `python benchmarks/record.py spine`." in text


def test_a_busy_machine_is_not_kept_secret() -> None:
    record = json.loads(RECORDS[0].read_text(encoding="utf-8"))
    assert "busy with other work: 14.2 processors" in source_line({**record, "load": 14.2})
    assert "busy" not in source_line({**record, "load": 0.3})


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
    told = ["record.py", "spine", "--figures", str(tmp_path / "figures.json"), "--rounds", "2"]
    monkeypatch.setattr(record, "MEASURED", tmp_path / "measured")
    monkeypatch.setattr(sys, "argv", told)
    record.main()
    [path] = (tmp_path / "measured").iterdir()
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert (path.name, kept["load"]) == ("spine.json", None)
    assert kept["command"] == "python benchmarks/record.py spine --rounds 2"
    assert kept["figures"]["a"][0] == 1
    assert (kept["figures"]["path"], kept["figures"]["is"]) == ("base", "1/2 of /x")
    assert "`python benchmarks/record.py spine --rounds 2`" in source_line(kept)
    monkeypatch.setattr(sys, "argv", ["record.py", "no-such"])
    with pytest.raises(SystemExit, match="2"):
        record.main()


def test_every_kept_benchmark_is_there() -> None:
    assert {"spine", "int8", "geometries", "gpu"} <= {*record.SCRIPTS}
    assert {table.source for table in TABLES.values()} <= {*record.SCRIPTS, "bench"}


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


GPU = {
    "parity": {
        "fill-mask": {"albert-edge fp16": {"outputs": {"logits": [0.99991, 0.9]}}},
        "pretraining": {"albert-edge fp16": {"outputs": {"a": [0.9999, 1], "b": [0.5, 1]}}},
    },
    "memory_mb": {"albert-edge fp16": {"load_s": 1.5, "loaded_mb": 400.0, "ran_mb": 500.4}},
    "latency": {
        "1x8": {"torch fp16": {"median_ms": 8.0, "best_ms": 7.5, "times_as_fast": 1.0}},
        "8x128": {
            "torch fp16": {"median_ms": 9.0, "best_ms": 8.25, "times_as_fast": 1.0},
            "torch fp16, compiled": {"median_ms": 4.5, "best_ms": 4.0, "times_as_fast": 2.0},
        },
    },
    "throughput": {"albert-edge fp16": {"texts_per_s": 1234.5, "times_as_fast": 1.25}},
}


def test_gpu_tables_of_figures_made_by_hand() -> None:
    assert TABLES["gpu-parity"].render(GPU).splitlines()[2:] == [
        "| fill-mask | 0.999910 |",
        "| pretraining | 0.500000 |",
    ]
    assert TABLES["gpu-memory"].render(GPU).splitlines()[2] == (
        "| albert-edge fp16 | 1.50 | 400 | 500 |"
    )
    assert TABLES["gpu-throughput"].render(GPU).splitlines()[2].endswith("| 1234 | 1.25 x |")
    rows = TABLES["gpu-latency"].render(GPU).splitlines()
    assert rows[0].endswith("| 1x8 | 8x128 |")
    assert rows[2] == "| torch fp16 | 8.00 (7.50), 1.00 x | 9.00 (8.25), 1.00 x |"
    # What fails at the first shape has a row all the same.
    assert rows[3] == "| torch fp16, compiled | fails | 4.50 (4.00), 2.00 x |"


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
        name: {"texts_per_second": speed, "times_as_fast_as_best_peer": ratio}
        for name, speed, ratio in (
            ("albert-edge int8, default", 4.0, 1.6),
            ("albert-edge int8, workers=1", 5.0, 2.0),
            ("optimum fp32, batch_size=1", 2.5, 1.0),
            ("optimum fp32, batch_size=8", 1.25, 0.5),
        )
    }
    table = TABLES["throughput"].render({"texts": 9, "contenders": ways}).splitlines()
    assert table[0] == "| 9 paragraphs | texts a second | times as fast as the best peer |"
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
        "| base, albert-edge quantize | 12.2 (12.0) | 345 | 4.8 x |",
    ]
    soak = {"model": "langid-tiny", "policies": {"chosen, int8": row}}
    assert TABLES["memory-over-texts"].render(soak).splitlines()[2] == (
        "| chosen, int8 | 100,000 | 900 | 70 | 80 | 82 | 83 |"
    )


def start_of(seconds: float) -> dict[str, float]:
    """Figures of one process of benchmarks/spine.py."""
    return {"wall_s": seconds, "peak_mb": 181.2, "load_s": seconds / 8, "growth_mb": 58.4}


def test_start_tables_of_figures_made_by_hand() -> None:
    both = {"albert-edge": start_of(1.0), "optimum": start_of(8.4)}
    load = {"model_optimized": start_of(1.0), "optimum": start_of(8.4)}
    figures = {
        "layers": 12,
        "file_ratio": {"model": 1.0002},
        "export": both,
        "start": both,
        "load": {**load, "model_optimized, 48 layers": start_of(1.0)},
        "latency_ms": {"1x8": {"model": 14.0, "model_optimized": 12.5, "optimum": 15.0}},
    }
    assert TABLES["start"].render(figures).splitlines()[2:] == [
        "| export, whole command | 1.0 s, peak 181 MB | 8.4 s, peak 181 MB |",
        "| file, against safetensors | 1.0002 x | |",
        "| memory a loaded model takes | 58 MB | 58 MB |",
        "| the same with 48 layers | 58 MB | |",
        "| load | 0.12 s | 1.1 s |",
        "| process start to first answer | 1.0 s | 8.4 s |",
    ]
    assert TABLES["fp32-latency"].render(figures).splitlines()[2:] == [
        "| albert-edge, optimized | 12.5, 1.20 x |",
        "| albert-edge, portable | 14.0, 1.07 x |",
        "| optimum | 15.0, 1.00 x |",
    ]
    # The peer is left out where it is not installed.
    alone = {
        **figures,
        "export": {"albert-edge": start_of(1.0)},
        "start": {"albert-edge": start_of(1.0)},
        "load": {key: value for key, value in figures["load"].items() if key != "optimum"},  # type: ignore[attr-defined]
        "latency_ms": {"1x8": {"model": 14.0, "model_optimized": 12.5}},
    }
    assert TABLES["start"].render(alone).splitlines()[2] == (
        "| export, whole command | 1.0 s, peak 181 MB | |"
    )
    assert len(TABLES["fp32-latency"].render(alone).splitlines()) == 4


def test_tables_of_compressed_models_of_figures_made_by_hand() -> None:
    sizes = {"fp32": 40.0, "int8": 10.0, "int8-block": 20.0, "int4": 25.0}
    names = {f"albert-edge {name}": ms for name, ms in sizes.items()} | {"optimum fp32": 50.0}
    runs = {
        name: {"median_ms": ms, "best_ms": ms - 1, "times_as_fast": 50 / ms}
        for name, ms in names.items()
    }
    figures = {
        "built": {
            "random": {**{name: {"bytes": 11_934_000} for name in names}, "ORT O2": "fails"},
            "outliers": {},
        },
        "load": {name: {"load_s": 0.0625, "loaded_mb": 25.4} for name in names},
        "latency": {"1x8": {"albert-edge int8": runs["albert-edge int8"]}, "1x128": runs},
        "quality": {name: {"random": {"cosine": 0.99987, "worst": 0.9985}} for name in names},
    }
    assert TABLES["precisions"].render(figures).splitlines()[3] == (
        "| `int8` | 11.9 MB | 25 MB | 4.00 x |"
    )
    files = TABLES["int8-files"].render(figures).splitlines()
    assert files[0].endswith("| random weights, logits: cosine (worst) | the same with outliers, "
                             "logits: cosine (worst) |")  # fmt: skip
    assert files[3] == "| albert-edge int8 | 11.9 | 0.06 | 25 | 0.99987 (0.9985) | fails |"
    assert files[-1] == "| ORT O2 | fails | | | | |"
    latencies = TABLES["int8-latency"].render(figures).splitlines()
    assert latencies[3] == "| albert-edge int8 | 10.0 (9.0), 5.00 x | 10.0 (9.0), 5.00 x |"
    assert latencies[-1] == "| optimum fp32 | fails | 50.0 (49.0), 1.00 x |"
    pooled = {**figures, "built": {**figures["built"], "random pooled": {}}}  # type: ignore[dict-item]
    assert "random weights, pooled output" in TABLES["int8-files"].render(pooled)
