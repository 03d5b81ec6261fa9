"""What every command owes its user: help, completion, errors with --json, tables that fit."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.command_line import Cli
from support.paths import ROOT

from albert_edge.checkpoint.recipes import read_recipes
from albert_edge.cli.print_answers import print_lines
from albert_edge.cli.reference import render_reference
from albert_edge.cli.table import print_table
from albert_edge.labelling.answer_log import Outcome
from albert_edge.records.rows import Row

COMMANDS = (
    *("export", "optimize", "quantize", "specialize", "predict", "evaluate", "inspect", "verify"),
    "bench",
    *("pack", "unpack", "sign", "doctor", "models", "demo", "report"),
)

# --- help -----------------------------------------------------------------------------------


def test_the_reference_page_is_current() -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert page == render_reference(), "python -m albert_edge.cli.reference > docs/cli.md"
    assert re.findall(r"^## (\w+)", page, re.MULTILINE) == list(COMMANDS)


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=str)
def test_h_is_help(command: list[str], cli: Cli) -> None:
    short, long = cli(*command, "-h"), cli(*command, "--help")
    assert (short.code, short.out) == (0, long.out)
    assert "Usage: albert-edge" in short.out


def test_completion_can_be_installed(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--install-completion" in cli("--help").out
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    shown = cli("--show-completion", "bash")
    assert shown.code == 0
    assert "_ALBERT_EDGE_COMPLETE=complete_bash" in shown.out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_breaks_no_value_at_80_columns(
    command: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = cli(command, "--help").out
    monkeypatch.setenv("COLUMNS", "80")
    narrow = cli(command, "--help").out
    assert max(map(len, narrow.splitlines())) <= 80
    names = set(re.findall(r"--[a-z-]+|<[^>]+>|\w+(?:-\w+)+", wide))
    assert {name for name in names if name not in narrow} == set()


def test_models_lists_the_known_checkpoints(cli: Cli) -> None:
    recipes = read_recipes()
    done = cli("models")
    assert (done.code, done.err) == (0, "")
    assert [line for line in done.out.splitlines() if not line.startswith(" ")] == list(recipes)
    document = json.loads(cli("models", "--json").out)
    assert document["schema_version"] == 1
    assert {model["name"]: model["source"] for model in document["models"]} == {
        name: recipe.source for name, recipe in recipes.items()
    }
    assert all(model["head"] and model["summary"] for model in document["models"])


# --- errors with --json ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["optimize", "b", "--target", "tpu"], {"type": "UsageError", "option": "--target"}),
        (["optimize", "b", "--targte", "cpu"], {"type": "UsageError", "option": "--targte"}),
        (["optimize"], {"type": "UsageError", "option": None}),
        (["nonsense"], {"type": "UsageError", "option": None}),
        (["predict", "b"], {"type": "UsageError", "option": "--input"}),
        (
            ["predict", "b", "x", "--parameter", "top_k"],
            {"type": "UsageError", "option": "--parameter"},
        ),
        (["inspect", "b"], {"type": "BundleError", "exit_code": 1}),
        (["export", "owner/missing"], {"type": "SourceUnreachableError", "exit_code": 5}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_error_is_one_json_document(
    arguments: list[str],
    error: dict[str, Any],
    cli: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = cli(*arguments, "--json")
    document = json.loads(done.out)
    assert list(document) == ["schema_version", "error"]
    told = document["error"]
    assert list(told) == ["type", "message", "tip", "exit_code", "option", "where"]
    assert done.code == told["exit_code"]
    assert done.err == f"ERROR {told['message']}\nTIP   {told['tip']}\n"
    assert {name: told[name] for name in error} == error
    assert cli(*arguments).out == ""


def test_an_error_after_some_answers_ends_their_document(
    cli: Cli, langid: Path, tmp_path: Path
) -> None:
    texts = tmp_path / "texts.jsonl"
    texts.write_text('{"text": "Guten Tag"}\n{"text": 5}\n')
    done = cli("predict", langid, "--input", texts, "--json")
    document = json.loads(done.out)
    assert [record["text"] for record in document["predictions"]] == ["Guten Tag"]
    assert document["error"]["type"] == "RecordError"
    assert done.code == document["error"]["exit_code"] == 1
    assert done.err.startswith(f"ERROR {document['error']['message']}\n")


def test_json_as_a_text_asks_for_no_document(cli: Cli, tmp_path: Path) -> None:
    assert cli("predict", tmp_path / "missing", "--", "--json").out == ""


# --- tables ---------------------------------------------------------------------------------

NAMES = ["embeddings int4", "query-key-value int8-block", "ffn-output fp16"]


@pytest.mark.parametrize("columns", [20, 40, 80])
def test_a_table_is_broken_between_names_only(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    print_table("", ["a", "what it holds", "count"], [["matrices", ", ".join(NAMES), "12,345"]])
    out = capsys.readouterr().out
    for name in ("embeddings", "query-key-value", "int8-block,", "ffn-output", "12,345"):
        assert name in out
    lines = out.splitlines()
    needed = len("matrices  query-key-value  12,345")
    assert max(map(len, lines)) <= max(columns, needed)
    assert (len(lines) == 2) == (columns == 80)


def test_a_hash_is_broken_anywhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_table("", ["sha256", "again"], [["0123456789abcdef" * 5] * 2])
    out = capsys.readouterr().out
    assert "".join(re.findall(r"[0-9a-f]{16,}", out)).count("0123456789abcdef") >= 6


def test_inspect_at_80_columns(cli: Cli, langid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = cli("inspect", langid)
    assert max(map(len, done.out.splitlines())) <= 80
    for name in (
        "en, de, fr, es, zh",
        "model_optimized",
        "LayerNormalization",
        "num_hidden_layers",
    ):
        assert name in done.out
    names = json.loads(cli("inspect", langid, "--json").out)["groups"]
    long = [group["name"] for group in names if len(group["name"]) > 56]
    for name in long:  # too long for the table: broken after a dot
        before, dot, after = name.partition("albert_layers.0.")
        assert re.search(rf"^{re.escape(before + dot)} +[\d,]+ .*\n{after}$", done.out, re.M)
    assert len(long) == 7


# --- answers on a terminal ------------------------------------------------------------------

ENTITIES = [
    {"entity_group": "PER", "score": 0.9987, "word": "Angela Merkel", "start": 0, "end": 13},
    {"entity_group": "LOC", "score": 0.75, "word": "Berlin", "start": 20, "end": 26},
]
LABELS = [{"label": "politics", "score": 0.75}, {"label": "science", "score": 0.25}]


@pytest.mark.parametrize(
    ("answer", "printed"),
    [
        (ENTITIES, "A text\n  PER  0.9987  Angela Merkel\n  LOC  0.7500  Berlin\n"),
        (ENTITIES[1:], "A text\n  LOC  0.7500  Berlin\n"),
        (LABELS, "A text\n  politics  0.7500\n  science   0.2500\n"),
        (LABELS[:1], "politics 0.7500\tA text\n"),
        ([], "[]\tA text\n"),
    ],
    ids=["entities", "one-entity", "labels", "one-label", "nothing"],
)
def test_answers_of_several_parts_stand_below_their_text(
    answer: Any,
    printed: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    print_lines(["text"])(Row(1, {"text": "A\ntext"}, None, 0), Outcome(answer))
    assert capsys.readouterr().out == printed


def test_several_labels_on_a_terminal(
    cli: Cli, langid: Path, classify: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    done = cli("predict", langid, "--top-k", "2", "Guten Tag")
    best, second = classify("Guten Tag", top_k=2)
    assert done.out == (
        f"Guten Tag\n  {best['label']}  {best['score']:.4f}\n"
        f"  {second['label']}  {second['score']:.4f}\n"
    )
