"""doctor: what is found here, on a machine with the base install alone, and where things break."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from support.installations import bare_environment

from albert_edge.cli.app import main
from albert_edge.machine import extras, findings, probe
from albert_edge.machine.extras import Extra
from albert_edge.machine.machine import Machine
from albert_edge.machine.memory import Memory
from albert_edge.machine.probe import OnnxRuntime, ProviderCheck
from albert_edge.onnx_format.one_node import MICROSOFT, one_node_model
from albert_edge.runtime.saturation import adds_signed_weights_exactly

# --- models of one node ---------------------------------------------------------------------


@pytest.mark.parametrize("columns", [1, 200])  # a length of one byte, and of several
def test_a_one_node_model_is_what_onnx_makes_of_it(columns: int) -> None:
    weight = np.random.default_rng(0).normal(size=(3, columns)).astype(np.float32)
    message = one_node_model("MatMul", ["x", "w"], (3, columns), weights={"w": weight})
    helper, float_type = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", float_type, ["rows", 3])],
        [helper.make_tensor_value_info("y", float_type, ["rows", columns])],
        [onnx.numpy_helper.from_array(weight, "w")],
    )
    opset = onnx.OperatorSetIdProto(version=17)
    model = helper.make_model(graph, ir_version=8, opset_imports=[opset])
    assert onnx.load_from_string(message).SerializeToString() == model.SerializeToString()
    onnx.checker.check_model(message)


def test_a_one_node_model_of_microsofts_names_its_operators() -> None:
    one = np.array(1, np.float32)
    weights: dict[str, Any] = {"w": np.ones((4, 4), np.int8), "one": one}
    arguments = ["x", "w", "one", "one"]
    message = one_node_model(
        "MatMulIntegerToFloat", arguments, (4, 4), dtype=np.uint8, weights=weights, domain=MICROSOFT
    )
    model = onnx.load_from_string(message)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [(MICROSOFT, 1)]
    (node,) = model.graph.node
    assert (list(node.input), node.domain) == (arguments, MICROSOFT)


# --- probes ---------------------------------------------------------------------------------


def test_onnxruntime_is_here() -> None:
    found = probe.probe_onnxruntime()
    assert found.version == importlib.metadata.version("onnxruntime")
    assert "cpu" in found.providers
    assert found.unsigned_weights is not adds_signed_weights_exactly()
    assert found.fault is None


def test_a_provider_that_runs_and_one_that_is_not_here() -> None:
    assert probe.probe_provider("cpu") == ProviderCheck("cpu", runs=True)
    missing = probe.probe_provider("qnn")
    assert not missing.runs
    assert missing.fault is not None and "QNNExecutionProvider" in missing.fault
    assert missing.tip == "pip install --upgrade onnxruntime onnxruntime-qnn"


def stand_in(root: Path, content: str) -> None:
    """An onnxruntime that comes before the real one on a path."""
    (root / "onnxruntime.py").write_text(content)


@pytest.fixture
def before_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that comes first on the path of processes started from now on."""
    rest = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{rest}".rstrip(os.pathsep))
    return tmp_path


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("raise ImportError('libfoo.so: cannot open shared object file')", "libfoo.so: cannot"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "ended with signal 4"),
        ("import os; os._exit(3)", "ended with code 3"),
        ("raise RuntimeError('odd')", "RuntimeError: odd"),
        ("__version__ = '1.21.3'\ndef get_version_string(): return '1.21.3'", "1.21.3 is too old"),
        ("", "has no attribute '__version__'"),
    ],
)
def test_an_onnxruntime_that_breaks_is_reported(content: str, fault: str, before_all: Path) -> None:
    stand_in(before_all, content)
    found = probe.probe_onnxruntime()
    assert found.version is None and found.providers == []
    assert found.fault is not None and fault in found.fault
    assert found.tip is not None and "pip install" in found.tip


# What a provider may do when it is loaded, in place of onnxruntime.InferenceSession.
BROKEN = """
import os, signal
__version__ = "1.99"
def get_version_string(): return "1.99.0"
class GraphOptimizationLevel:
    ORT_ENABLE_BASIC = 1
class SessionOptions:
    def add_session_config_entry(self, name, value): pass
def get_available_providers():
    return ["OpenVINOExecutionProvider"]
get_all_providers = get_available_providers
class InferenceSession:
    def __init__(self, *args, **options):
        print("a library says this")
        {init}
    def get_providers(self):
        return ["OpenVINOExecutionProvider"]
    def run(self, names, feed):
        {run}
"""


@pytest.mark.parametrize(
    ("init", "run", "fault"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "pass", "ended with signal 11"),
        ("raise RuntimeError('no device')", "pass", "did not load: no device"),
        ("pass", "raise RuntimeError('out of memory')", "out of memory"),
        ("pass", "return [feed['x'] * 0]", "wrong products of matrices"),
    ],
)
def test_a_provider_that_breaks_is_reported(
    init: str, run: str, fault: str, before_all: Path
) -> None:
    stand_in(before_all, BROKEN.format(init=init, run=run))
    found = probe.probe_provider("openvino")
    assert not found.runs
    assert found.fault is not None and fault in found.fault
    assert found.tip


def test_a_probe_that_hangs_is_given_up(before_all: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(before_all, "import time; time.sleep(60)")
    monkeypatch.setattr(probe, "TIMEOUT_S", 2)
    found = probe.probe_onnxruntime()
    assert found.fault == "onnxruntime was not examined: it gave no answer in 2 s."
    assert found.tip is not None and "pip" not in found.tip


def test_a_machine_that_starts_no_process_is_no_fault_of_onnxruntime(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/absent/python")
    found, provider = probe.probe_onnxruntime(), probe.probe_provider("cpu")
    for fault, tip in ((found.fault, found.tip), (provider.fault, provider.tip)):
        assert fault is not None and "no process could be started: No such file" in fault
        assert tip is not None and "limits" in tip and "pip" not in tip


# --- extras ---------------------------------------------------------------------------------


def distribution(root: Path, name: str, version: str, requires: list[str], *provided: str) -> None:
    """Metadata of an installed package."""
    folder = root / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Provides-Extra: {extra}" for extra in provided]
    lines += [f"Requires-Dist: {line}" for line in requires]
    (folder / "METADATA").write_text("\n".join(lines) + "\n")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes metadata of packages nobody has."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name: str, version: str, requires: list[str], *provided: str) -> None:
        distribution(tmp_path, name, version, requires, *provided)

    return make


def test_extras_by_hand(installed: Callable[..., None]) -> None:
    requires = [
        "zz-base>=1",
        'zz-one>=1.5; extra == "good"',
        'zz-two<3,>=2; extra == "good"',
        'zz-one>=2; extra == "old"',
        'zz-none[fast]>=1; extra == "absent"',
        'zz-one>=9; sys_platform == "nowhere" and extra == "elsewhere"',
        'zz-inner[part]; extra == "nested"',
    ]
    names = ("good", "old", "absent", "elsewhere", "nested")
    installed("zz-owner", "1.0", requires, *names)
    installed("zz-one", "1.5.2", [])
    installed("zz-two", "2.9rc1", [])
    installed("zz-inner", "4", ['zz-deep>=1; extra == "part"', 'zz-no; extra == "other"'], "part")
    assert extras.installed_extras("zz-owner") == [
        Extra("good", {"zz-one": "1.5.2", "zz-two": "2.9rc1"}, []),
        Extra("old", {"zz-one": "1.5.2"}, ["zz-one>=2"]),
        Extra("absent", {}, ["zz-none[fast]>=1"]),
        Extra("elsewhere", {}, []),
        Extra("nested", {"zz-inner": "4"}, ["zz-deep>=1"]),
    ]
    assert Extra("old", {}, []).pip == "pip install 'albert-edge[old]'"


def test_extras_of_what_is_not_installed() -> None:
    assert extras.installed_extras("zz-never-was") == []


def test_extras_of_this_environment() -> None:
    found = {extra.name: extra for extra in extras.installed_extras()}
    assert found["cpu"].complete
    assert found["cpu"].installed == {"onnxruntime": importlib.metadata.version("onnxruntime")}
    assert found["export"].installed.keys() >= {"onnx", "onnxscript", "safetensors"}
    if not found["gpu"].complete:
        assert any("onnxruntime-gpu" in name for name in found["gpu"].missing)


# --- advice ---------------------------------------------------------------------------------

MACHINE = Machine("a cpu", "x86_64", "Linux 6.1", 8, 4, 16 * 2**30, {}, "3.11.7", {})


@pytest.mark.parametrize(
    ("features", "advice"),
    [
        ({"avx2": True, "vnni": True}, "has instructions for products of bytes"),
        ({"avx2": True, "vnni": False}, "a CPU with VNNI"),
        ({"sse4": True, "avx2": False, "vnni": False}, "not known to multiply bytes fast"),
        ({"dotprod": True, "i8mm": False}, "has instructions for products of bytes"),
        ({"dotprod": False, "i8mm": False}, "not known to multiply bytes fast"),
        ({}, "not known to multiply bytes fast"),
    ],
)
def test_advice_on_a_cpu(features: dict[str, bool], advice: str) -> None:
    finding = findings.check_cpu(dataclasses.replace(MACHINE, features=features))
    assert advice in str(finding.advice)
    for name, has in features.items():
        assert re.search(rf"{'has' if has else 'lacks'} [^;]*\b{name}\b", finding.found)


@pytest.mark.parametrize(
    ("memory", "advice"),
    [
        (Memory(None, None, None), "about twice its file"),
        (Memory(16 * 10**9, 8 * 10**9, None), "any ALBERT fits"),
        (Memory(16 * 10**9, 8 * 10**9, 500 * 10**6), "Files up to 200 MB fit"),
        (Memory(10**9, 300 * 10**6, 500 * 10**6), "Files up to 100 MB fit"),
        (Memory(10**9, 110 * 10**6, None), "Too little"),
    ],
)
def test_advice_on_memory(memory: Memory, advice: str) -> None:
    assert advice in str(findings.check_memory(memory).advice)


@pytest.mark.parametrize(
    ("runtime", "packages", "advice"),
    [
        (OnnxRuntime("1.32.0", ["cpu"], False), {"onnxruntime": "1.32.0"}, "Nothing"),
        (OnnxRuntime(fault="libfoo.so", tip="do this"), {"onnxruntime-gpu": "1.32.0"}, "do this"),
        (
            OnnxRuntime("1.32.0", ["cpu"], False),
            {"onnxruntime": "1.32.0", "onnxruntime-gpu": "1.30.0"},
            "keep one: pip uninstall -y onnxruntime onnxruntime-gpu",
        ),
    ],
)
def test_advice_on_onnxruntime(runtime: OnnxRuntime, packages: dict[str, str], advice: str) -> None:
    assert advice in str(findings.check_onnxruntime(runtime, packages, 64).advice)


def test_advice_on_extras_that_exclude_each_other() -> None:
    missing = Extra("gpu", {}, ["onnxruntime-gpu>=1.22"])
    alone = list(findings.check_extras([Extra("cpu", {}, ["onnxruntime>=1.22"]), missing]))
    assert [finding.advice for finding in alone] == [
        "pip install 'albert-edge[cpu]'",
        "pip install 'albert-edge[gpu]'",
    ]
    both = list(findings.check_extras([Extra("cpu", {"onnxruntime": "1.32.0"}, []), missing]))
    assert [finding.advice for finding in both] == [
        "Nothing: it is complete.",
        "Nothing: cpu is here, and excludes it.",
    ]
    assert "on the path" in next(iter(findings.check_extras([]))).found


@pytest.mark.parametrize(
    ("value", "found"), [("1", "the environment has"), ("0", "off in albert"), (None, "off in al")]
)
def test_telemetry(value: str | None, found: str) -> None:
    assert found in findings.check_telemetry(value).found


# --- the command ----------------------------------------------------------------------------


def run_here(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["albert-edge", "doctor", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_the_command_prints_a_line_of_advice_each(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "1")
    assert run_here("--json", monkeypatch=monkeypatch) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["schema_version"] == 1
    assert report["telemetry"] == "1"
    for finding in report["findings"]:
        assert set(finding) == {"subject", "found", "advice"}
        assert finding["advice"] and "\n" not in finding["advice"]
    subjects = [finding["subject"] for finding in report["findings"]]
    assert {"cpu", "word size", "processors", "memory", "swap", "onnxruntime"} <= {*subjects}
    assert {"int8", "telemetry"} <= {*subjects}
    assert report["bits"] == 64 and report["throttling"].keys() == {
        *("temperature", "is_known", "now", "occurred")
    }
    assert {"provider cpu", "extra cpu", "extra export"} <= {*subjects}
    assert run_here(monkeypatch=monkeypatch) == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert all(f"\n{subject} " in told.out for subject in subjects)


# --- the base install -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The python of an environment with the base install and albert-edge's metadata alone."""
    python, _ = bare_environment(tmp_path_factory.mktemp("bare"))
    return python


def run_bare(bare: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", findings.TELEMETRY)}
    return subprocess.run(
        [bare, "-m", "albert_edge", "doctor", *arguments],
        cwd=bare.parent,
        env={**kept, **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=100,
    )


def test_the_base_install_alone_is_told_what_to_install(bare: Path) -> None:
    done = run_bare(bare, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["onnxruntime"] == {
        "version": None,
        "providers": [],
        "unsigned_weights": None,
        "fault": "Running a model needs onnxruntime, which is not installed.",
        "tip": "pip install 'albert-edge[cpu]'",
    }
    assert report["providers"] == []
    assert report["telemetry"] is None
    by_subject = {finding["subject"]: finding for finding in report["findings"]}
    assert by_subject["onnxruntime"]["advice"] == "pip install 'albert-edge[cpu]'"
    assert by_subject["extra export"]["advice"] == "pip install 'albert-edge[export]'"
    assert "onnxscript" in by_subject["extra export"]["found"]
    assert by_subject["int8"]["found"] == "unknown"
    assert report["machine"]["packages"].keys() == {"albert-edge", "numpy", "tokenizers"}


def test_the_base_install_alone_gets_a_table(bare: Path) -> None:
    done = run_bare(bare, COLUMNS="80")
    assert (done.returncode, done.stderr) == (0, "")
    assert "pip install 'albert-edge[cpu]'" in done.stdout
