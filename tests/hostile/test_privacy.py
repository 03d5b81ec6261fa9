"""Nothing that albert-edge does but `export` from the hub touches the network."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.checkpoints import make_model
from support.hostile import Row, how_many
from support.keys import write_keys
from support.offline import IS_SUPPORTED
from support.paths import ROOT
from support.reports import bench_of

import albert_edge
from albert_edge.cli.printing import print_json

pytestmark = pytest.mark.skipif(not IS_SUPPORTED, reason="needs seccomp")

# urllib3, which transformers imports, makes a socket to see whether there is IPv6, and connects it
# to nothing. So for the last commands it is imported before the kernel watches.
WITH_TRANSFORMERS = 2
# What can speak to the network, and an answer must not import.
SPEAKERS = {"huggingface_hub", "hf_xet", "requests", "httpx", "urllib3", "aiohttp", "transformers"}


def _offline(code: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python as a user does: the network allowed, and no variable of tests or of CI."""
    mine = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HF_", "TRANSFORMERS_", "ORT_", "CI", "GITHUB_"))
    }
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), mine.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**mine, "PYTHONPATH": path, **environment},
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        timeout=900,
        check=False,
    )


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6"])
def test_the_judge_sees_an_attempt(family: str) -> None:
    """Also one of a child, and none where sockets stay on the machine."""
    start = "import socket, subprocess, sys\nfrom support.offline import forbid_internet\n"
    attempt = f"socket.socket(socket.{family}, socket.SOCK_DGRAM)"
    assert _offline(f"{start}{attempt}").returncode == 0
    assert _offline(f"{start}forbid_internet()\nsocket.socketpair()").returncode == 0
    assert _offline(f"{start}forbid_internet()\n{attempt}").returncode == -signal.SIGSYS
    child = f"subprocess.run([sys.executable, '-c', 'import socket; {attempt}'], check=True)"
    done = _offline(f"{start}forbid_internet()\n{child}")
    assert f"SIGSYS: {signal.SIGSYS:d}" in done.stderr or "SIGSYS" in done.stderr


def _commands(folder: Path) -> list[list[Any]]:
    bundle, data = folder / "langid", folder / "data.tsv"
    private, public = write_keys(folder, 0)
    cheap: list[list[Any]] = [
        ["export", "langid-tiny", bundle],
        ["optimize", bundle],
        ["predict", bundle, "--input", folder / "texts.txt", "--output", folder / "out.csv"],
        ["predict", bundle, "Guten Tag", "--json"],
        ["inspect", bundle],
        ["sign", bundle, "--key", private],
        ["verify", bundle, "--key", public],
        ["pack", bundle, "--output", folder / "langid.albert"],
        ["unpack", folder / "langid.albert", folder / "unpacked"],
        ["models"],
        ["doctor"],
    ]
    dear: list[list[Any]] = [
        ["quantize", bundle],
        ["evaluate", bundle, data],
        ["inspect", bundle, "--diff", folder / "unpacked"],
        ["inspect", bundle, "--depth"],
        ["bench", bundle, "--shapes", "1x8", "--rounds", "2", "--plot", folder / "plot.html"],
        ["report", bundle, "--bench", folder / "bench.json", "--output", folder / "page.html"],
        ["specialize", bundle, folder / "special", "--data", data, "--max-drop", "5"],
        ["demo"],
        # The last ones import transformers.
        ["export", folder / "checkpoint", folder / "verified", "--verify"],
        ["verify", bundle, "--against", "langid-tiny"],
    ]
    return [list(map(str, command)) for command in [*cheap, *dear[: how_many(0, len(dear))]]]


def test_no_command_uses_the_network(
    tmp_path: Path, report: Callable[[Row], None], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "texts.txt").write_text("Guten Tag\nHello\n" * 20, encoding="utf-8")
    test = (ROOT / "models/langid-tiny/test.tsv").read_text(encoding="utf-8")
    (tmp_path / "data.tsv").write_text(test, encoding="utf-8")
    if how_many(0, 1):
        make_model("text-classification", num_labels=2).save_pretrained(tmp_path / "checkpoint")
        albert_edge.export("langid-tiny", tmp_path / "for-bench")
        print_json(bench_of(tmp_path / "for-bench"))
        (tmp_path / "bench.json").write_text(capsys.readouterr().out, encoding="utf-8")
    commands = _commands(tmp_path)
    ends = len(commands) - how_many(0, WITH_TRANSFORMERS)
    parts = [("", commands[:ends]), ("import urllib3; ", commands[ends:])][: how_many(1, 2)]
    codes: dict[str, int] = {}
    attempts, words = 0, ""
    for first, part in parts:
        code = f"{first}from support.offline import run_commands; run_commands()"
        done = _offline(code, json.dumps(part))
        attempts += done.returncode != 0
        words += done.stderr
        if done.returncode == 0:
            results = json.loads(done.stdout.splitlines()[-1])
            codes |= {" ".join(each): code for each, code in zip(part, results, strict=True)}
    report(Row("No command but export from the hub makes a socket", len(commands), attempts))
    assert attempts == 0, words[-3000:]
    assert {command: code for command, code in codes.items() if code} == {}, words[-3000:]
    assert len(codes) == len(commands)


ANSWER = """
import os, sys

class Look:
    def find_spec(self, name, path=None, target=None):
        if name == "onnxruntime":
            telemetry.append(os.environ.get("ORT_DISABLE_TELEMETRY"))

telemetry = []
sys.meta_path.insert(0, Look())
from support.offline import forbid_internet
forbid_internet()
import albert_edge
classify = albert_edge.pipeline("text-classification", model=sys.argv[1])
assert classify("Guten Tag")[0]["label"] == "de"
assert telemetry[:1] == ["1"], telemetry
print(*sys.modules, sep="\\n")
"""


def test_an_answer_asks_nobody(langid: Path) -> None:
    """Neither the hub, which is not even imported, nor onnxruntime's telemetry, which is off."""
    code = ANSWER.replace("sys.argv[1]", repr(str(langid)))
    done = _offline(code)
    assert done.returncode == 0, done.stderr
    assert not SPEAKERS & set(done.stdout.splitlines())


def test_the_hub_gets_no_statistics() -> None:
    code = (
        "from albert_edge.checkpoint.source import find_source\n"
        "from albert_edge.errors import AlbertEdgeError\n"
        "try:\n    find_source('nobody/has-this-model')\n"
        "except AlbertEdgeError:\n    pass\n"
        "from huggingface_hub import constants\n"
        "assert constants.HF_HUB_DISABLE_TELEMETRY\n"
    )
    done = _offline(code, HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
