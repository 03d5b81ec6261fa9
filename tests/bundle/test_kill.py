"""kill -9 at random moments: the old bundle or the new one, and no cleaning by hand.

Run as a program, this file is the victim: a warm process that forks a child for each order on its
standard input, so that the kill lands in the work and not in the imports.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from support.checkpoints import make_model

import albert_edge
from albert_edge.bundle.bundle import open_bundle
from albert_edge.compress.options import Int8
from albert_edge.errors import BundleError
from albert_edge.runtime.inputs import Arrays
from albert_edge.runtime.session import Session

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL"),
]

ROUNDS = 16
INPUTS = {"input_ids": [[2, 17, 250, 99, 3]], "token_type_ids": [[0, 0, 0, 1, 1]]}

Step = dict[str, Any]


def export_step(name: str, *, force: bool = True) -> Step:
    return {"do": "export", "name": name, "force": force}


def optimize_step(layout: str) -> Step:
    return {"do": "optimize", "layout": layout}


def quantize_step(layout: str) -> Step:
    return {"do": "quantize", "layout": layout}


def perform(step: Step, checkpoints: Path, out: Path) -> None:
    if step["do"] == "export":
        albert_edge.export(checkpoints / step["name"], out, force=step["force"])
    elif step["do"] == "optimize":
        albert_edge.optimize(out, layout=step["layout"])
    else:
        # How well 24 random features can be rounded is beside the point here.
        albert_edge.quantize(
            out, precision=Int8(layout=step["layout"]), min_agreement=0, min_cosine=0
        )


# Each step of a list makes a bundle that differs from the one before it. "old" and "new" have the
# same shapes and other weights; "other" answers another task.
SCENARIOS: dict[str, list[Step]] = {
    "weights": [export_step("old"), export_step("new")],
    "tasks": [export_step("old"), export_step("other")],
    "layouts": [optimize_step("loop"), optimize_step("unrolled")],
    "export-optimize": [
        export_step("old"),
        optimize_step("loop"),
        export_step("new"),
        optimize_step("unrolled"),
    ],
    "export-quantize": [
        export_step("old"),
        quantize_step("loop"),
        export_step("new"),
        quantize_step("unrolled"),
    ],
}


# --- the victim -----------------------------------------------------------------------------


def be_the_victim(orders: IO[str]) -> None:
    """For each order: fork a child that repeats the steps, and kill it after a delay."""
    for line in orders:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            try:
                repeat(order)
            finally:
                os._exit(1)
        WAITS[order["moment"]](Path(order["out"]))
        if order["delay"]:  # even sleep(0) is longer than a move
            time.sleep(order["delay"])
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        # A child that ended by itself was not killed at work, which the test must know.
        print(json.dumps(os.WIFSIGNALED(status)), flush=True)


def wait_until_writing(out: Path) -> None:
    """Wait for the first sign of a change: most of the work comes before it."""
    before = set(hidden(out))
    wait_for(lambda: bool(set(hidden(out)) - before))


def wait_until_moving(out: Path) -> None:
    """Wait for the first file of the bundle to be another one; the rest follow at once."""
    files = [str(out / name) for name in ("config.json", *VARIANT_FILES)]
    before = [inode(file) for file in files]
    wait_for(lambda: [inode(file) for file in files] != before)


def inode(file: str) -> int:
    try:
        return os.stat(file).st_ino
    except FileNotFoundError:
        return 0


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "the child changes nothing"


VARIANT_FILES = ["onnx/model.onnx", "onnx/model_optimized.onnx", "onnx/model_quantized.onnx"]
WAITS: dict[str, Callable[[Path], None]] = {
    "any": lambda out: None,
    "writing": wait_until_writing,
    "moving": wait_until_moving,
}


def repeat(order: dict[str, Any]) -> None:
    use_one_cpu(max)  # and leave the other to whoever waits for the right moment
    while True:
        for step in order["steps"]:
            perform(step, Path(order["checkpoints"]), Path(order["out"]))
        if order["once"]:
            time.sleep(60)


CPUS = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def use_one_cpu(choose: Callable[[set[int]], int]) -> None:
    """Also keeps onnxruntime from starting threads, which a forked child would miss."""
    if CPUS:
        os.sched_setaffinity(0, {choose(CPUS)})


def warm_up(checkpoints: Path, scratch: Path) -> None:
    """Import everything, and say how long a step takes."""
    steps = [*SCENARIOS["export-optimize"], *SCENARIOS["export-quantize"]]
    for _ in range(2):
        start = time.perf_counter()
        for step in steps:
            perform(step, checkpoints, scratch)
    print(json.dumps((time.perf_counter() - start) / len(steps)), flush=True)


# --- the test -------------------------------------------------------------------------------


@dataclass
class Victim:
    """The warm process, and how long one step takes it."""

    process: subprocess.Popen[str]
    checkpoints: Path
    seconds: float
    rng: random.Random = field(default_factory=lambda: random.Random(0))

    def kill_at_work(self, steps: list[Step], out: Path, *, once: bool = False) -> None:
        moment = self.rng.choice(list(WAITS))
        # How long a step takes, the rest of a change, and the moves that end it.
        delay = {
            "any": self.rng.uniform(0, 2.5) * self.seconds,
            "writing": 10 ** self.rng.uniform(-4, -1.5),
            "moving": self.rng.choice([0, 0, 10 ** self.rng.uniform(-5, -3.5)]),
        }[moment]
        order = {
            "steps": steps,
            "checkpoints": str(self.checkpoints),
            "out": str(out),
            "moment": moment,
            "delay": delay,
            "once": once,
        }
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        assert self.answer() is True

    def answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    checkpoints = tmp_path_factory.mktemp("checkpoints")
    make_model("text-classification", seed=0).save_pretrained(checkpoints / "old")
    make_model("text-classification", seed=1).save_pretrained(checkpoints / "new")
    make_model("feature-extraction", seed=2).save_pretrained(checkpoints / "other")
    scratch = tmp_path_factory.mktemp("scratch")
    process = subprocess.Popen(
        [sys.executable, __file__, str(checkpoints), str(scratch)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    made = Victim(process, checkpoints, 0.0)
    made.seconds = made.answer()
    yield made
    process.kill()
    process.communicate()


State = tuple[str, tuple[str, ...]]


def state(out: Path) -> State:
    """What a bundle says it is: its source, and the layout of each variant."""
    manifest = open_bundle(out).manifest
    return manifest.source, tuple(variant.layout for variant in manifest.variants)


def answers(out: Path) -> list[Arrays]:
    """What each variant of a bundle answers."""
    opened = open_bundle(out)
    opened.check_all()
    found = []
    for variant in opened.manifest.variants:
        with Session(opened, variant=variant.name, threads=1) as session:
            found.append(session.run(INPUTS))
    return found


def assert_same(got: list[Arrays], wanted: list[Arrays]) -> None:
    """The same model gives the same bits."""
    assert len(got) == len(wanted)
    for one, other in zip(got, wanted, strict=True):
        assert list(one) == list(other)
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


def hidden(out: Path) -> list[str]:
    return [path.name for path in out.glob(".*")]


def test_the_models_can_be_told_apart(victim: Victim, tmp_path: Path) -> None:
    logits = []
    for name in ("old", "new"):
        albert_edge.export(victim.checkpoints / name, tmp_path / name)
        logits.append(answers(tmp_path / name)[0]["logits"])
    assert abs(logits[0] - logits[1]).max() > 0.1


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_killed_at_work_it_is_the_old_bundle_or_the_new(
    victim: Victim, tmp_path: Path, scenario: str
) -> None:
    steps = SCENARIOS[scenario]
    out = tmp_path / "bundle"
    expected: dict[State, list[Arrays]] = {}
    albert_edge.export(victim.checkpoints / "old", out)
    for step in steps * 2:  # twice round: the first lap starts from another bundle
        perform(step, victim.checkpoints, out)
        expected[state(out)] = answers(out)
    seen: set[State] = set()
    interrupted = 0
    for turn in range(4 * ROUNDS):
        first = turn % len(steps)  # the bundle is now what the step before that makes
        victim.kill_at_work(steps[first:] + steps[:first], out)
        interrupted += bool(hidden(out))
        found = state(out)
        assert_same(answers(out), expected[found])
        seen.add(found)
        # The same commands as ever, with no cleaning by hand, up to where the next turn begins.
        for step in steps[: first + 1]:
            perform(step, victim.checkpoints, out)
        assert hidden(out) == []
        if turn >= ROUNDS and len(seen) >= 2 and interrupted >= ROUNDS // 4:
            return
    pytest.fail("The kills came too late or too early to prove anything.")


def test_a_first_export_killed_at_work_can_be_repeated(victim: Victim, tmp_path: Path) -> None:
    albert_edge.export(victim.checkpoints / "old", tmp_path / "whole")
    expected = answers(tmp_path / "whole")
    exported = []
    for turn in range(4 * ROUNDS):
        out = tmp_path / str(turn)
        victim.kill_at_work([export_step("old", force=False)], out, once=True)
        try:
            open_bundle(out)
        except BundleError as error:
            assert "not an albert-edge bundle" in str(error)
            exported.append(False)
            perform(export_step("old", force=False), victim.checkpoints, out)
        else:
            exported.append(True)
        assert_same(answers(out), expected)
        perform(export_step("old"), victim.checkpoints, out)
        assert hidden(out) == []
        if turn >= ROUNDS and set(exported) == {False, True}:
            return
    pytest.fail("The kills came too late or too early to prove anything.")


if __name__ == "__main__":
    use_one_cpu(min)
    warm_up(Path(sys.argv[1]), Path(sys.argv[2]))
    be_the_victim(sys.stdin)
