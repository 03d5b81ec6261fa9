"""Plain `pyinstaller program.py` freezes a program with albert_edge, by the hook in the wheel."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from support.freezing import bare_environment, freeze, frozen_modules

import albert_edge

pytestmark = pytest.mark.slow

TEXTS = ["Where is the station?", "Wo ist der Bahnhof?", "车站在哪里?"]

# It uses the command line, as a tool would, or answers without it.
PROGRAM = """
import sys
import albert_edge
if sys.argv[1] != "ask":
    from albert_edge.cli.app import main
    main()
else:
    with albert_edge.pipeline(model=sys.argv[2], progress=True) as classify:
        print(classify(sys.argv[3:]))
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("freezing") / "langid"
    albert_edge.export("langid-tiny", folder)
    albert_edge.quantize(folder)
    return folder


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frozen")
    source = folder / "tool.py"
    source.write_text(PROGRAM)
    return freeze(source, folder)


def run(program: Path, *arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program / program.name, *map(str, arguments)],
        cwd=folder,
        env=bare_environment(folder),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )


def test_frozen_program_answers_as_python_does(program: Path, bundle: Path, tmp_path: Path) -> None:
    done = run(program, "ask", bundle, *TEXTS, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    with albert_edge.pipeline(model=bundle) as classify:
        assert done.stdout == f"{classify(TEXTS)}\n"


def test_frozen_command_line_works(program: Path, bundle: Path, tmp_path: Path) -> None:
    done = run(program, "predict", bundle, "--json", *TEXTS, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    labels = [record["prediction"]["label"] for record in json.loads(done.stdout)["predictions"]]
    assert labels == ["en", "de", "zh"]
    version = run(program, "--version", folder=tmp_path)
    assert version.stdout == f"albert-edge {albert_edge.__version__}\n"
    assert "albert-base-v2" in run(program, "models", folder=tmp_path).stdout
    missing = run(program, "predict", "nowhere", "text", folder=tmp_path)
    assert missing.returncode == 1 and "nowhere" in missing.stderr


def test_frozen_doctor_asks_no_python_for_onnxruntime(program: Path, tmp_path: Path) -> None:
    """The executable of a frozen program is not Python, so that nothing can be run with `-m`."""
    done = run(program, "doctor", "--json", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert [check["runs"] for check in report["providers"] if check["name"] == "cpu"] == [True]


def test_frozen_bench_is_refused(program: Path, bundle: Path, tmp_path: Path) -> None:
    done = run(program, "bench", bundle, "--shapes", "1x8", folder=tmp_path)
    assert done.returncode == 2
    assert "frozen" in done.stderr and "TIP" in done.stderr


def test_frozen_program_has_only_what_answers_need(program: Path) -> None:
    tops = {name.partition(".")[0] for name in frozen_modules(program)}
    assert {"albert_edge", "numpy", "onnxruntime", "tokenizers", "typer", "rich"} <= tops
    brought = {"huggingface_hub", "hf_xet", "yaml", "requests", "fsspec", "tqdm"}
    assert tops & brought == set()
