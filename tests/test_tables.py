"""The tables of the documents are what their figures make of them, and no table has others."""

from __future__ import annotations

import ast
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import record  # noqa: E402
import tables  # noqa: E402
from renderers import PICTURES, TABLES, source_line  # noqa: E402
from renderers.markdown import markdown  # noqa: E402

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
    assert machine["cpu"] and machine["usable_cpus"] >= 1 and machine["packages"]["onnxruntime"]
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
    elif name == "geometries":
        part = part[0]["report"]["runtimes"][0]["latencies"]
    else:
        part = part["latency_ms" if name == "spine" else "latency"]
    assert change(part, lambda value: value > 1)
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
    assert "busy with other work: load 14" in source_line({**record, "load": 14.2})
    assert "busy" not in source_line({**record, "load": 0.3})


def test_figures_of_earlier_are_kept_with_their_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "figures.json").write_text('{"a": [1, NaN]}')
    told = ["record.py", "spine", "--figures", str(tmp_path / "figures.json"), "--rounds", "2"]
    monkeypatch.setattr(record, "MEASURED", tmp_path / "measured")
    monkeypatch.setattr(sys, "argv", told)
    record.main()
    [path] = (tmp_path / "measured").iterdir()
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert (path.name, kept["load"]) == ("spine.json", None)
    assert kept["command"] == "python benchmarks/record.py spine --rounds 2"
    assert kept["figures"]["a"][0] == 1
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
    assert TABLES["gpu-memory"].render(GPU).splitlines()[2] == (
        "| albert-edge fp16 | 1.50 | 400 | 500 |"
    )
    assert TABLES["gpu-throughput"].render(GPU).splitlines()[2].endswith("| 1234 | 1.25 x |")
    rows = TABLES["gpu-latency"].render(GPU).splitlines()
    assert rows[0].endswith("| 1x8 | 8x128 |")
    assert rows[2] == "| torch fp16 | 8.00 (7.50), 1.00 x | 9.00 (8.25), 1.00 x |"
    # What fails at the first shape has a row all the same.
    assert rows[3] == "| torch fp16, compiled | fails | 4.50 (4.00), 2.00 x |"
