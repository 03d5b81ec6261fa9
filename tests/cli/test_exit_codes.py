"""The exit code and message of errors that several commands share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.command_line import (
    Cli,
    Outcome,
    assert_error,
)
from support.script import (
    environment,
)

pytestmark = pytest.mark.slow


def test_errors_name_no_token(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "my-own-token")
    for name in ("hf_abcdefghij", "my-own-token"):
        done = cli("inspect", name, "--json")
        assert done.code == 1 and "***" in done.out and "***" in done.err
        assert name not in done.out + done.err


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["inspect", "missing"], 1, "missing"),
        (["verify", "missing"], 1, "missing"),
        (["optimize", "missing"], 1, "missing"),
        (["quantize", "missing"], 1, "missing"),
        (["predict", "missing", "a"], 1, "missing"),
        (["inspect", "notes.txt"], 1, "notes.txt"),
        (["export", "./missing", "out"], 1, "./missing"),
        (["export", ".", "out"], 1, "config.json"),
        (["export", "owner/missing", "out"], 5, "owner/missing"),
        (["export", "albert-base-v2", "out"], 5, "albert-base-v2"),
        (["export", "owner/missing", "out", "--revision", "v1"], 5, "v1"),
        (["export", "not a/hub/id", "out"], 1, "not a/hub/id"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_errors(
    arguments: list[str],
    code: int,
    told: str,
    cli: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    done = cli(*arguments)
    assert_error(done, code, told)
    assert done.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


WITHOUT = """
import sys
sys.modules[sys.argv.pop(1)] = None
from albert_edge.cli.app import main
main()
"""


@pytest.mark.parametrize(
    ("package", "extra", "arguments"),
    [
        ("onnx", "export", ["export", "langid-tiny", "out"]),
        ("onnxscript", "export", ["export", "langid-tiny", "out"]),
        ("onnx", "export", ["optimize", "BUNDLE"]),
        ("onnx", "export", ["quantize", "BUNDLE"]),
        ("onnxscript", "export", ["quantize", "BUNDLE"]),
        ("onnxruntime", "cpu", ["quantize", "BUNDLE"]),
        ("huggingface_hub", "export", ["export", "owner/name", "out"]),
        ("optimum", "optimum", ["export", "langid-tiny", "out", "--exporter=optimum"]),
        ("torch", "reference", ["export", "langid-tiny", "out", "--verify"]),
        ("transformers", "reference", ["verify", "BUNDLE", "--against=langid-tiny"]),
        ("onnxruntime", "cpu", ["predict", "BUNDLE", "Guten Tag"]),
    ],
)
def test_a_missing_extra_is_named_with_the_line_that_installs_it(
    package: str, extra: str, arguments: list[str], langid: Path, tmp_path: Path
) -> None:
    told = [str(langid) if argument == "BUNDLE" else argument for argument in arguments]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, package, *told],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    outcome = Outcome(done.returncode, done.stdout, done.stderr)
    assert_error(outcome, 4, package, f"pip install 'albert-edge[{extra}]'")
    assert outcome.out == ""
    assert not list(tmp_path.iterdir())


def test_too_little_memory_is_an_error(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise MemoryError

    monkeypatch.setattr("albert_edge.inspection.verify.verify", fail)
    assert_error(cli("verify", "bundle"), 1, "not enough memory")
