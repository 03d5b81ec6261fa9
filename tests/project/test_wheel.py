"""The built wheel with the runtime alone, as a program that embeds it has it.

`make test` builds the wheel and installs it, with the extra `cpu` and nothing else, into an
environment of its own; these tests look into that from outside.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path, PurePosixPath

import pytest
from support.paths import ROOT

import albert_edge

pytestmark = pytest.mark.slow  # `make check` does not build the wheel again

VENV = ROOT / ".venv/wheel"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TEXTS = ["Where is the station?", "Wo ist der Bahnhof?", "", "车站在哪里?", "s'il vous plaît"]

# What runs a bundle must not bring any of these.
UNWANTED = {
    *("torch", "transformers", "optimum", "onnx", "onnxscript", "onnx-ir", "ml-dtypes"),
    *("safetensors", "sentencepiece", "scipy", "pandas", "pytest", "hypothesis", "mypy", "ruff"),
    *("onnxruntime-gpu", "accelerate", "datasets", "tensorflow"),
}


@pytest.fixture(scope="module")
def python() -> Path:
    """The interpreter of the environment."""
    path = VENV / "bin/python"
    if not (path.exists() and (VENV / "ready").exists()):
        pytest.fail(f"{VENV} is not there or not complete; `make test` makes it", pytrace=False)
    return path


@pytest.fixture(scope="module")
def wheel(python: Path) -> zipfile.ZipFile:
    """The wheel that is installed there."""
    [path] = (VENV / "dist").glob("albert_edge-*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made here, where the exporter is."""
    folder = tmp_path_factory.mktemp("wheel") / "langid"
    albert_edge.export("langid-tiny", folder)
    albert_edge.optimize(folder)
    albert_edge.quantize(folder, precision="int8")
    return folder


def run(program: Path | str, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program outside the checkout, with nothing on Python's path but its own packages."""
    return subprocess.run(
        [str(program), *map(str, arguments)],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )


# --- what is in it --------------------------------------------------------------------------


def test_wheel_is_the_package_and_the_models(wheel: zipfile.ZipFile) -> None:
    """File by file: nothing is missing, nothing else is there, and nothing is of another day."""
    expected = {}
    for folder, inside in ((ROOT / "albert_edge", "albert_edge"), (ROOT / "models", None)):
        for path in folder.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                name = path.relative_to(folder).as_posix()
                expected[f"{inside or 'albert_edge/models'}/{name}"] = path.read_bytes()
    found = {name: wheel.read(name) for name in wheel.namelist() if ".dist-info/" not in name}
    assert set(found) == set(expected), "built from other files; `make test` builds it again"
    differing = {name for name in found if found[name] != expected[name]}
    assert not differing, "built from older files; `make test` builds it again"


def test_wheel_brings_what_a_user_needs(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert "albert_edge/py.typed" in names
    assert "albert_edge/check/sample_texts.txt" in names
    assert "albert_edge/report/page.html.j2" in names
    assert "albert_edge/models/albert-base-v2.toml" in names
    for file in ("model.safetensors", "config.json", "tokenizer.json", "test.tsv", "LICENSE"):
        assert f"albert_edge/models/langid-tiny/{file}" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_wheel_brings_no_tests(wheel: zipfile.ZipFile) -> None:
    tops = {PurePosixPath(name).parts[0] for name in wheel.namelist()}
    assert tops == {"albert_edge", f"albert_edge-{PROJECT['version']}.dist-info"}
    parts = {part for name in wheel.namelist() for part in PurePosixPath(name).parts}
    assert not {"tests", "test", "examples", "conftest.py", "__pycache__"} & parts
    assert not [part for part in parts if part.startswith("test_")]


def test_wheel_is_small(wheel: zipfile.ZipFile) -> None:
    assert sum(info.compress_size for info in wheel.infolist()) < 4e6


def test_wheel_declares_what_the_project_declares(wheel: zipfile.ZipFile) -> None:
    [metadata] = [name for name in wheel.namelist() if name.endswith("/METADATA")]
    text = wheel.read(metadata).decode()
    assert f"\nVersion: {PROJECT['version']}\n" in text
    assert "\nLicense-Expression: Apache-2.0\n" in text
    for extra in ("cpu", "gpu", "export", "reference", "optimum"):
        assert f"\nProvides-Extra: {extra}\n" in text
    base = [
        line.split(": ")[1]
        for line in text.splitlines()
        if line.startswith("Requires-Dist:") and "extra ==" not in line
    ]
    assert sorted(base) == sorted(PROJECT["dependencies"])


# --- what is installed with it --------------------------------------------------------------


def test_environment_has_the_runtime_and_nothing_of_the_exporter(
    python: Path, tmp_path: Path
) -> None:
    listed = run(python, "-m", "pip", "list", "--format=json", cwd=tmp_path)
    names = {entry["name"].lower().replace("_", "-") for entry in json.loads(listed.stdout)}
    assert {"albert-edge", "numpy", "onnxruntime", "tokenizers", "typer"} <= names
    assert not names & UNWANTED
    assert not [name for name in names if name.startswith(("nvidia-", "cuda", "triton"))]


def test_requirements_fit_together(python: Path, tmp_path: Path) -> None:
    assert run(python, "-m", "pip", "check", cwd=tmp_path).returncode == 0


# --- how it works ---------------------------------------------------------------------------


def test_package_is_the_installed_one(python: Path, tmp_path: Path) -> None:
    code = (
        "import albert_edge, importlib.metadata as m; print(albert_edge.__file__); "
        "print(m.version('albert-edge'))"
    )
    done = run(python, "-c", code, cwd=tmp_path)
    file, version = done.stdout.splitlines()
    assert Path(file).is_relative_to(VENV / "lib")
    assert version == PROJECT["version"]


every_precision = pytest.mark.parametrize("precision", ["fp32", "int8"])

ANSWER = """
import json, sys
import albert_edge
bundle, texts, precision = sys.argv[1:]
with albert_edge.pipeline(model=bundle, precision=precision, threads=1) as classify:
    print(json.dumps(classify(json.loads(texts), top_k=None)))
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


@every_precision
def test_answers_are_those_of_the_whole_installation(
    precision: str, python: Path, bundle: Path, tmp_path: Path
) -> None:
    there = run(python, "-c", ANSWER, bundle, json.dumps(TEXTS), precision, cwd=tmp_path)
    assert (there.returncode, there.stderr) == (0, "")
    with albert_edge.pipeline(model=bundle, precision=precision, threads=1) as classify:
        here = classify(TEXTS, top_k=None)
    assert json.loads(there.stdout.splitlines()[0]) == here
    assert [answer[0]["label"] for answer in here if answer[0]["score"] > 0.9][:2] == ["en", "de"]


@every_precision
@pytest.mark.parametrize("where", ["wheel", "here"])
def test_an_answer_loads_nothing_of_the_exporter(
    where: str, precision: str, python: Path, bundle: Path, tmp_path: Path
) -> None:
    """Neither where it is not installed nor, which is the harder half, where it is."""
    interpreter = python if where == "wheel" else sys.executable
    done = run(interpreter, "-c", ANSWER, bundle, json.dumps(TEXTS[:1]), precision, cwd=tmp_path)
    assert done.returncode == 0
    loaded = set(json.loads(done.stdout.splitlines()[1]))
    assert {"albert_edge", "onnxruntime", "tokenizers"} <= loaded
    unwanted = {name.replace("-", "_") for name in UNWANTED}
    assert not loaded & (unwanted | {"huggingface_hub", "typer", "rich", "requests"})


@pytest.mark.parametrize("program", [["bin/albert-edge"], ["bin/python", "-m", "albert_edge"]])
def test_both_ways_to_start_it(
    program: list[str], python: Path, bundle: Path, tmp_path: Path
) -> None:
    start, first = VENV / program[0], program[1:]
    version = run(start, *first, "--version", cwd=tmp_path)
    assert (version.returncode, version.stdout) == (0, f"albert-edge {PROJECT['version']}\n")
    done = run(start, *first, "predict", bundle, "--json", *TEXTS[:2], cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    found = [record["prediction"]["label"] for record in json.loads(done.stdout)["predictions"]]
    assert found == ["en", "de"]


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_looking_into_a_bundle_needs_no_exporter(
    command: str, python: Path, bundle: Path, tmp_path: Path
) -> None:
    done = run(VENV / "bin/albert-edge", command, bundle, "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["schema_version"] == 1


def test_bench_needs_the_runtime_alone_and_skips_peers(
    python: Path, bundle: Path, tmp_path: Path
) -> None:
    told = ["--shapes", "1x8", "--rounds", "1", "--against", "torch,optimum,openvino", "--json"]
    done = run(VENV / "bin/albert-edge", "bench", bundle, *told, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert len(report["runtimes"]) == 2
    assert set(report["skipped"]) == {"torch", "optimum", "openvino"}
    assert all("pip install 'albert-edge[cpu," in why for why in report["skipped"].values())


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["export", "langid-tiny", "out"], "export"),
        (["export", "langid-tiny", "out", "--exporter", "optimum"], "optimum"),
        (["optimize", "BUNDLE"], "export"),
        (["quantize", "BUNDLE"], "export"),
        (["verify", "BUNDLE", "--against", "langid-tiny"], "reference"),
        (["demo"], "export"),
        (["report", "BUNDLE"], "report"),
    ],
)
def test_what_needs_another_extra_says_which(
    arguments: list[str], extra: str, python: Path, bundle: Path, tmp_path: Path
) -> None:
    own = shutil.copytree(bundle, tmp_path / "own")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    told = [str(own) if argument == "BUNDLE" else argument for argument in arguments]
    done = run(VENV / "bin/albert-edge", *told, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (4, "")
    *phases, error, tip = done.stderr.splitlines()
    assert not phases or arguments == ["demo"]
    assert error.startswith("ERROR ")
    assert tip == f"TIP   pip install 'albert-edge[{extra}]'"
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
