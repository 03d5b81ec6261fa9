"""Writers and readers of one bundle at once, some of them killed; also where locks do nothing."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import random
import shutil
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file, save_file
from support.hostile import Row, how_many
from support.paths import DATA

import albert_edge
from albert_edge.benchmark.checkpoint import write_checkpoint
from albert_edge.bundle.bundle import Bundle, open_bundle
from albert_edge.bundle.change import change
from albert_edge.errors import BundleError
from albert_edge.graph.plan import Layout
from albert_edge.runtime.session import Session

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL"),
]

INPUTS = {"input_ids": [[2, 7, 5, 9, 3]], "token_type_ids": [[0, 0, 0, 1, 1]]}
LAYOUTS: tuple[Layout, ...] = ("loop", "unrolled")


def no_effect(*_: object) -> None:
    """Lock where flock returns at once and does nothing."""


def not_there(*_: object) -> None:
    """Lock where there is no service for locks."""
    raise OSError(errno.ENOLCK, "No locks available")


LOCKS: dict[str, Callable[..., None] | None] = {
    "local disk": None,
    "flock has no effect": no_effect,
    "flock fails": not_there,
}


@dataclass
class Arena:
    """A bundle of which there are four versions, and the answers of each model file in them."""

    folder: Path
    versions: dict[str, Path]
    answers: dict[str, npt.NDArray[Any]]

    def write(self, draw: random.Random) -> None:
        """Change the bundle: to another model, or the layout of a variant. Counts in `revision`."""
        if draw.random() < 0.5:
            albert_edge.optimize(self.folder, layout=draw.choice(LAYOUTS))
            return
        with change(self.folder) as pending:
            now = open_bundle(self.folder).manifest
            other = open_bundle(self.versions[draw.choice([*self.versions])])
            for record in other.manifest.distinct_records():
                pending.write(record.file, [(other.path / record.file).read_bytes()])
            revision = str(int(now.revision or 0) + 1)
            pending.manifest = replace(other.manifest, revision=revision)

    def read(self, draw: random.Random) -> None:
        """Check that a bundle is complete, answers like one of the versions, and stays so."""
        opened = open_bundle(self.folder)
        opened.check_all()
        assert_answers(opened, self.answers)
        time.sleep(draw.random() * 0.02)
        opened.check_all()


def answer(bundle: Bundle, variant: str) -> npt.NDArray[Any]:
    with Session(bundle, variant=variant, threads=1) as session:
        return session.run(INPUTS)["logits"]


def assert_answers(bundle: Bundle, answers: dict[str, npt.NDArray[Any]]) -> None:
    for variant in bundle.manifest.variants:
        expected = answers[variant.files["model"][0].sha256]
        np.testing.assert_array_equal(answer(bundle, variant.name), expected)


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Arena:
    folder = tmp_path_factory.mktemp("versions")
    write_checkpoint(open_bundle(DATA / "bundles" / "schema2"), folder / "old")
    shutil.copytree(folder / "old", folder / "new")
    weights = load_file(folder / "old" / "model.safetensors")
    shifted = {name: array + 0.1 for name, array in weights.items()}
    save_file(shifted, folder / "new" / "model.safetensors")
    versions, answers = {}, {}
    for name in ("old", "new"):
        for layout in LAYOUTS:
            versions[name + layout] = folder / f"{name}-{layout}"
            albert_edge.export(folder / name, versions[name + layout])
            albert_edge.optimize(versions[name + layout], layout=layout)
            bundle = open_bundle(versions[name + layout])
            for variant in bundle.manifest.variants:
                answers[variant.files["model"][0].sha256] = answer(bundle, variant.name)
    assert len(answers) >= 4
    return Arena(folder / "bundle", versions, answers)


# --- processes ------------------------------------------------------------------------------


class Worker:
    """A forked process that does one thing again and again, and counts in shared memory."""

    _COUNTS = struct.Struct("4q")  # begun, done, refused, failed

    def __init__(self, act: Callable[[random.Random], None], seed: int, log: Path) -> None:
        self._counts = mmap.mmap(-1, self._COUNTS.size)
        self._act, self._log = act, log
        self._draw = random.Random(seed)
        self.process = 0
        self.start()

    def start(self) -> None:
        self.process = os.fork()
        if self.process == 0:
            try:
                while True:
                    self._turn()
            finally:
                os._exit(1)

    def _turn(self) -> None:
        self._count(0)
        try:
            self._act(self._draw)
        except BundleError as error:
            if "Another process is changing" in str(error):
                self._count(2)
                time.sleep(self._draw.random() * 0.02)
                return
            self._fail()
        except BaseException:
            self._fail()
        else:
            self._count(1)

    def _fail(self) -> None:
        self._count(3)
        with self._log.open("a") as log:
            log.write(traceback.format_exc())

    def _count(self, place: int) -> None:
        counts = list(self.counts)
        counts[place] += 1
        self._counts[:] = self._COUNTS.pack(*counts)

    @property
    def counts(self) -> tuple[int, ...]:
        return self._COUNTS.unpack(self._counts[:])

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)


@contextlib.contextmanager
def crowd(arena: Arena, count: int, log: Path) -> Iterator[tuple[list[Worker], list[Worker]]]:
    sys.stdout.flush()
    writers = [Worker(arena.write, seed, log) for seed in range(count)]
    readers = [Worker(arena.read, 100 + seed, log) for seed in range(count)]
    try:
        yield writers, readers
    finally:
        for worker in (*writers, *readers):
            worker.kill()


@pytest.mark.parametrize("place", LOCKS)
def test_readers_see_complete_versions_and_no_change_is_lost(
    arena: Arena,
    place: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    report: Callable[[Row], None],
) -> None:
    if LOCKS[place]:
        monkeypatch.setattr("fcntl.flock", LOCKS[place])
    folder = replace(arena, folder=tmp_path / "bundle")
    shutil.copytree(arena.versions["oldloop"], folder.folder)
    log = tmp_path / "failures"
    log.touch()
    draw = random.Random(0)
    with crowd(folder, how_many(2, 8), log) as (writers, readers):
        deadline = time.monotonic() + how_many(2, 60)
        while time.monotonic() < deadline:
            time.sleep(0.2)
            victim = draw.choice(writers)
            victim.kill()
            victim.start()
    reads, changes = (sum(w.counts[1] for w in workers) for workers in (readers, writers))
    failed = sum(worker.counts[3] for worker in (*readers, *writers))
    # Where somebody was killed, the next change needs no cleaning by hand.
    folder.write(draw)
    folder.read(draw)
    left = [path.name for path in folder.folder.glob(".*")]
    report(
        Row(
            f"Beside writers, some of them killed, readers see complete versions: {place}",
            reads + changes,
            failed,
        )
    )
    assert log.read_text()[-3000:] == ""
    assert failed == 0
    assert left == []
    assert reads >= how_many(4, 200)
    assert changes >= how_many(2, 40)


@pytest.mark.parametrize("place", LOCKS)
def test_no_change_is_lost(
    arena: Arena, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if LOCKS[place]:
        monkeypatch.setattr("fcntl.flock", LOCKS[place])
    folder = tmp_path / "bundle"
    shutil.copytree(arena.versions["oldloop"], folder)

    def count(_: random.Random) -> None:
        with change(folder) as pending:
            now = open_bundle(folder).manifest
            pending.manifest = replace(now, revision=str(int(now.revision or 0) + 1))

    workers = [Worker(count, seed, tmp_path / "log") for seed in range(how_many(3, 8))]
    time.sleep(how_many(1, 10))
    for worker in workers:
        worker.kill()
    counted = int(open_bundle(folder).manifest.revision or 0)
    begun, done = (sum(worker.counts[at] for worker in workers) for at in (0, 1))
    assert sum(worker.counts[3] for worker in workers) == 0, (tmp_path / "log").read_text()
    assert counted >= 10
    # A process may have been killed after its change and before it counted it.
    assert done <= counted <= done + len(workers)
    assert begun >= done
