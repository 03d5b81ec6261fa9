"""albert-edge predict --output: what exists already, errors, prefixes, formats, streams."""

from __future__ import annotations

import json
import os
import resource
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.command_line import SENTENCES, Cli, assert_error, cli, langid, read_table
from support.script import SCRIPT, environment

pytestmark = pytest.mark.slow

__all__ = ["cli", "langid"]  # fixtures

LONG = "Wo ist der Bahnhof? " * 100


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.csv"
    path.write_text("id,text\n" + "".join(f"{n},{t}\n" for n, t in enumerate(SENTENCES)))
    return path


def test_an_existing_output_needs_force_or_resume(
    cli: Cli, langid: Path, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    told = ["predict", langid, "--input", source, "--output", out]
    assert cli(*told, "--resume").code == 0  # with nothing to resume
    first = out.read_text()
    for extra in ([], ["--json"]):
        done = cli(*told, *extra)
        assert done.code == 2
        assert "--resume" in done.err and "--force" in done.err
    assert_error(cli(*told, "--force", "--resume"), 2, "--force", "--resume")
    done = cli(*told, "--resume")
    assert (done.code, done.err) == (0, f"{out} is complete already.\n")
    document = json.loads(cli(*told, "--resume", "--json").out)
    assert (document["output"], document["predictions"]) == (str(out), None)
    assert cli(*told, "--force", "--top-k", 2, "--prefix", "x_").code == 0
    assert out.read_text().startswith("id,text,x_label,x_score\n")
    assert first.startswith("id,text,label,score\n")
    assert sorted(os.listdir(tmp_path)) == ["in.csv", "out.csv"]


def test_options_about_a_file_need_one(cli: Cli, langid: Path) -> None:
    assert_error(cli("predict", langid, "a", "--force"), 2, "--force", "--output")
    assert_error(cli("predict", langid, "a", "--resume", "--output", "-"), 2, "--resume")


def test_an_unfinished_output_is_resumed_as_it_was_started(
    cli: Cli, langid: Path, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    whole = source.read_text()
    source.write_text(whole + f"9,{LONG}\n")
    told = ["predict", langid, "--input", source, "--output", out]
    assert_error(cli(*told), 1, "record 4", "Answers kept for --resume: 3.")
    assert_error(cli(*told), 2, f"{out} is unfinished", "--resume", "--force")
    changed = cli(*told, "--resume", "--prefix", "x_", "--parameter", "max_length=9")
    assert_error(changed, 2, "prefix was not given, now x_", 'now {"max_length": 9}', "--force")
    changed = cli(*told, "--resume", "--on-error", "record")
    assert_error(changed, 2, "on-error was stop, now record", "--force")

    source.write_text("id,text\n0,Hello\n" + whole.partition("\n")[2])
    assert_error(cli(*told, "--resume"), 2, "The input has changed", "--force")
    source.write_text(whole + "9,Wie geht es Ihnen?\n")
    done = cli(*told, "--resume", "--json")
    assert done.code == 0
    assert {**json.loads(done.out), "output": ""} == {
        "schema_version": 1,
        "output": "",
        "predictions": 4,
        "device": "cpu",
        "variant": "model_optimized",
        "failed": 0,
    }
    assert [row["label"] for row in read_table(out)] == ["en", "de", "es", "de"]
    assert sorted(os.listdir(tmp_path)) == ["in.csv", "out.csv"]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_errors_have_a_column_in_a_table(
    suffix: str, cli: Cli, langid: Path, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / f"out{suffix}"
    source.write_text(source.read_text() + f"9,{LONG}\n")
    done = cli("predict", langid, "--input", source, "--output", out, "--on-error", "record")
    assert done.code == 0
    assert done.err.startswith("3 texts answered, 1 not; ")
    rows = pq.read_table(out).to_pylist() if suffix == ".parquet" else read_table(out)
    empty = None if suffix == ".parquet" else ""
    assert [row["label"] for row in rows] == ["en", "de", "es", empty]
    assert [row["error"] for row in rows[:3]] == [empty] * 3
    assert f"{source}: record 4: The text has" in rows[3]["error"]
    assert (rows[3]["id"], rows[3]["text"]) == ("9", LONG)


def test_it_is_an_error_if_no_record_can_be_answered(
    cli: Cli, langid: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    told = ["predict", langid, LONG, LONG, "--on-error", "record"]
    done = cli(*told, "--output", out)
    assert done.code == 1
    assert "ERROR None of the 2 records could be answered." in done.err
    assert [json.loads(line)["error"]["record"] for line in out.read_text().splitlines()] == [1, 2]
    done = cli(*told[:2], "Guten Tag", *told[2:])
    assert done.code == 0
    answered, *failed = done.out.splitlines()
    assert answered.startswith("de ")
    assert all(line.startswith("ERROR argument") for line in failed)
    document = json.loads(cli(*told[:2], "Guten Tag", *told[2:], "--json").out)
    assert [sorted(record) for record in document["predictions"]] == [
        ["prediction", "text"],
        ["error", "text"],
        ["error", "text"],
    ]


def test_answers_of_several_models_stand_side_by_side(
    cli: Cli, langid: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    assert cli("predict", langid, *SENTENCES, "--output", first).code == 0
    told = ["predict", langid, "--input", first, "--output", second]
    assert_error(cli(*told), 2, "prediction", "--prefix")
    assert not second.exists()
    assert cli(*told, "--prefix", "b_").code == 0
    for line in second.read_text().splitlines():
        record = json.loads(line)
        assert record["prediction"] == record["b_prediction"]


def test_output_to_stdout_and_to_a_pipe(
    cli: Cli, langid: Path, source: Path, tmp_path: Path
) -> None:
    told = ["predict", langid, "--input", source, "--output"]
    assert cli(*told, tmp_path / "out.jsonl").code == 0
    assert_error(cli(*told, "-", "--json"), 2, "--output -")
    command = list(map(str, [SCRIPT, *told]))
    environ = environment()
    done = subprocess.run([*command, "-"], stdout=subprocess.PIPE, env=environ, check=True)
    assert done.stdout == (tmp_path / "out.jsonl").read_bytes()
    pipe = tmp_path / "pipe.jsonl"
    os.mkfifo(pipe)
    with subprocess.Popen([*command, str(pipe)], env=environ):
        assert pipe.read_bytes() == done.stdout
    os.mkfifo(tmp_path / "pipe.parquet")
    assert_error(cli(*told, tmp_path / "pipe.parquet"), 2, "regular file")


def test_a_real_limit_of_the_disk(langid: Path, tmp_path: Path) -> None:
    """The system itself refuses to write more than the limit."""
    texts, out, whole = tmp_path / "in.txt", tmp_path / "out.csv", tmp_path / "whole.csv"
    texts.write_text("Wo ist der Bahnhof?\nWhere is it?\n" * 300)
    command = list(map(str, [SCRIPT, "predict", langid, "--input", texts, "--output"]))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (24_000, 24_000))

    environ = environment()
    done = subprocess.run(
        [*command, str(out)], preexec_fn=limit, capture_output=True, text=True, env=environ
    )
    assert done.returncode == 1
    assert f"ERROR {out} cannot be written: File too large." in done.stderr
    assert "Answers kept: " in done.stderr
    assert not out.exists()
    done = subprocess.run(
        [*command, str(out), "--resume"], capture_output=True, text=True, env=environ
    )
    assert done.returncode == 0
    assert "by an earlier run" in done.stderr
    subprocess.run([*command, str(whole)], check=True, capture_output=True, env=environ)
    assert out.read_bytes() == whole.read_bytes()
