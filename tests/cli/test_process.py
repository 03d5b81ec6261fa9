"""The process: help, exit status, pipes, signals, terminals and full disks."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
from support.command_line import (
    GOOD_RECORD,
    Cli,
    Outcome,
    assert_error,
    predictions,
)
from support.paths import ROOT
from support.script import (
    SCRIPT,
    environment,
    first_line,
    on_a_terminal,
    running,
    start,
    wait_for,
)

from albert_edge.cli.commands import app

pytestmark = pytest.mark.slow

ESCAPE = "\x1b"
COLOUR = re.compile(r"\x1b\[(\d+;)*(3[0-8]|4[0-8]|9[0-7]|10[0-7])(;\d+)*m")

# The contract: commands, and the options each has beside --help.
COMMANDS = {
    "export": {"--task", "--revision", "--exporter", "--verify", "--no-verify", "--force"},
    "optimize": {"--target", "--layout", "--logits"},
    "quantize": {
        *("--precision", "--min-agreement", "--min-cosine", "--max-drop", "--texts", "--data"),
        *("--prefer", "--activations", "--layout", "--weights"),
    },
    "specialize": {
        *("--texts", "--data", "--min-agreement", "--max-drop", "--width", "--no-width"),
        *("--exits", "--no-exits", "--vocabulary", "--keep-texts", "--force"),
    },
    "predict": {
        *("--input", "--output", "--task", "--device", "--precision", "--threads", "--top-k"),
        *("--truncate", "--parameter", "--input-format", "--column", "--pair-column"),
        *("--force", "--resume", "--on-error", "--prefix", "--csv-safe"),
    },
    "evaluate": {"--task", "--precision", "--device", "--threads", "--disagreements"},
    "inspect": {"--diff", "--variant", "--diff-variant"},
    "verify": {"--against", "--key"},
    "bench": {
        *("--shapes", "--precision", "--threads", "--against", "--rounds", "--plot", "--roofline"),
    },
    "pack": {"--output", "--variant", "--force"},
    "unpack": {"--force"},
    "sign": {"--key"},
    "doctor": set[str](),
    "models": set[str](),
    "demo": set[str](),
    "report": {"--output", "--bench", "--against", "--data"},
}


def test_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    done = start("--version")
    assert done == Outcome(0, f"albert-edge {project['version']}\n", "")


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_a_first_look_loads_nothing_it_does_not_show(option: str) -> None:
    done = start(option, env={**environment(), "PYTHONPROFILEIMPORTTIME": "1"})
    loaded = set(re.findall(r"\| +(\w+)$", done.err, re.MULTILINE))
    assert (done.code, "typer" in loaded) == (0, True)
    assert loaded.isdisjoint({"numpy", "onnxruntime", "tokenizers", "onnx", "onnxscript", "torch"})


def test_help_lists_exactly_the_commands(cli: Cli) -> None:
    done = cli("--help")
    assert (done.code, done.err) == (0, "")
    assert re.findall(r"^│ (\w+) ", done.out, re.MULTILINE) == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command(name: str, cli: Cli) -> None:
    command: Any = typer.main.get_command(app)
    parameters = command.commands[name].params
    options = {option for one in parameters for option in (*one.opts, *one.secondary_opts)}
    assert COMMANDS[name] | {"--json"} <= options
    # None is left without a word on what it does.
    assert all(one.help for one in parameters if one.opts[0].startswith("--"))
    done = cli(name, "--help")
    assert (done.code, done.err) == (0, "")
    assert f"albert-edge {name}" in done.out


def test_an_error_ends_the_process_with_its_code(tmp_path: Path) -> None:
    done = start("export", "owner/missing", cwd=tmp_path)
    assert_error(done, 5, "owner/missing")
    assert done.out == ""


def test_output_that_is_no_terminal_is_plain(langid: Path) -> None:
    for arguments in (["--help"], ["inspect", langid], ["predict", langid, "a"], ["no-command"]):
        done = start(*arguments)
        assert ESCAPE not in done.out + done.err
        assert done.out + done.err


def test_progress_is_shown_on_a_terminal_and_colour_can_be_refused(
    langid: Path, tmp_path: Path
) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("Guten Tag\n" * 300)
    told = ["predict", langid, "--input", texts, "--output", tmp_path / "out.jsonl", "--force"]
    coloured = on_a_terminal(*told)
    plain = on_a_terminal(*told, NO_COLOR="1")
    assert "Texts" in coloured
    assert "Texts" in plain
    assert COLOUR.search(coloured)
    assert not COLOUR.search(plain)
    assert not COLOUR.search(on_a_terminal("inspect", langid, NO_COLOR="1"))


def test_texts_the_terminals_encoding_lacks(langid: Path) -> None:
    """Windows gives pipes an encoding of its own; files and pipes here are UTF-8 everywhere."""
    done = start("predict", langid, "车站在哪里?", env=environment(PYTHONIOENCODING="cp1252"))
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("\t车站在哪里?\n")
    done = start(
        *["predict", langid, "--input", "-", "--json"],
        env=environment(PYTHONIOENCODING="cp1252"),
        input="车站在哪里?\n",
    )
    assert predictions(done)[0]["text"] == "车站在哪里?"


@pytest.mark.parametrize("suffix", [".txt", ".jsonl", ".csv"])
def test_an_answer_comes_before_the_next_text_is_there(
    suffix: str, langid: Path, tmp_path: Path
) -> None:
    pipe = tmp_path / f"pipe{suffix}"
    os.mkfifo(pipe)
    head = "text,id\n" if suffix == ".csv" else ""
    line = GOOD_RECORD[suffix].decode() + "\n"
    with running("predict", langid, "--input", pipe) as process:
        with pipe.open("w") as texts:
            texts.write(head + line)
            texts.flush()
            assert first_line(process).endswith("\tGuten Tag\n")
            texts.write(line)
        rest, err = process.communicate(timeout=15)
    assert (process.returncode, err) == (0, "")
    assert rest.endswith("\tGuten Tag\n")


def test_texts_of_stdin_are_answered_as_they_come(langid: Path) -> None:
    with running("predict", langid, "--input", "-", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write("Wo ist der Bahnhof?\n")
        process.stdin.flush()
        assert first_line(process).startswith("de ")


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_job_that_was_ended_is_resumed(end: signal.Signals, langid: Path, tmp_path: Path) -> None:
    texts, out, undisturbed = tmp_path / "texts.txt", tmp_path / "out.csv", tmp_path / "all.csv"
    texts.write_text("Wo ist der Bahnhof?\nWhere is it?\n" * 1000)
    log = tmp_path / "out.csv.part" / "answers-0.log"
    with running("predict", langid, "--input", texts, "--output", out) as process:
        wait_for(lambda: log.exists() and log.stat().st_size > 0)
        process.send_signal(end)
        begin = time.monotonic()
        told, err = process.communicate(timeout=30)
        assert time.monotonic() - begin < 2
    assert (process.returncode, told) == (-9 if end == signal.SIGKILL else 128 + end, "")
    assert not out.exists()
    if end != signal.SIGKILL:
        kept, farewell = err.splitlines()[-2:]
        assert re.fullmatch(r"Answers kept for --resume: [\d,]+\.", kept)
        assert farewell == {2: "Interrupted.", 15: "Ended by SIGTERM."}[end]
    done = start("predict", langid, "--input", texts, "--output", out, "--resume")
    assert (done.code, done.out) == (0, "")
    assert re.fullmatch(r"2,000 texts answered, [\d,]+ by an earlier run; .*\n", done.err)
    assert start("predict", langid, "--input", texts, "--output", undisturbed).code == 0
    assert out.read_bytes() == undisturbed.read_bytes()
    assert not log.parent.exists()


def test_interrupt_while_waiting_for_a_text(langid: Path) -> None:
    with running("predict", langid, "--input", "-", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write("Wo ist der Bahnhof?\n" * 500)
        process.stdin.flush()
        assert first_line(process).startswith("de ")
        process.send_signal(signal.SIGINT)
        begin = time.monotonic()
        assert process.wait(timeout=30) == 130
        assert time.monotonic() - begin < 2
        assert process.stderr is not None
        assert process.stderr.read() == "Interrupted.\n"


@pytest.mark.parametrize(
    ("arguments", "reader", "expected"),
    [
        ("predict langid --input texts.txt", "head -n 1", r"de \d\.\d+\tGuten Tag\n"),
        ("predict langid --input texts.txt --json", "head -n 1", r"\{\n"),
        ("predict langid hello", "true", ""),
        ("inspect langid", "true", ""),
        ("--version", "true", ""),
        ("--help", "true", ""),
    ],
)
def test_a_reader_that_goes_away(
    arguments: str, reader: str, expected: str, langid: Path, tmp_path: Path
) -> None:
    (tmp_path / "texts.txt").write_text("Guten Tag\n" * 2000)
    (tmp_path / "langid").symlink_to(langid)
    # The reader of the last cases is gone before anything is written.
    command = f"(sleep 0.2; exec '{SCRIPT}' {arguments}) | {reader}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert re.fullmatch(expected, done.stdout)
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("told", [[], ["--output", "-"]], ids=["lines", "records"])
def test_a_full_disk_is_an_error(told: list[str], langid: Path) -> None:
    command = list(map(str, [SCRIPT, "predict", langid, "Guten Tag", *told]))
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, encoding="utf-8", env=environment()
        )
    assert_error(Outcome(done.returncode, "", done.stderr), 1, "No space left")
