"""A pipeline inside a program: threads, forks, event loops, closing, any text, flat memory."""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.checkpoints import make_model
from support.paths import DATA

import albert_edge
from albert_edge.errors import InputError, UsageError
from albert_edge.runtime.cpus import usable_cpus
from albert_edge.runtime.engine import load_engine
from albert_edge.runtime.pipeline import Pipeline
from albert_edge.runtime.seats import Seats, process_seats
from albert_edge.runtime.session import Session

pytestmark = pytest.mark.slow

SENTENCES = (DATA / "tokenizers" / "sentences.txt").read_text(encoding="utf-8").splitlines()
TEXTS = [" ".join(SENTENCES[i : i + 1 + i % 5]) for i in range(len(SENTENCES))][:60]
SOME = TEXTS[:25]  # more than are answered before a second session is loaded
PRECISIONS = ("fp32", "int8")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier large enough for its products to be shared among threads."""
    folder = tmp_path_factory.mktemp("robust")
    sizes = {"hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 1024}
    model = make_model("text-classification", vocab_size=30_000, num_labels=5, **sizes)
    model.save_pretrained(folder / "checkpoint")
    vocabulary = (DATA / "tokenizers" / "spiece.model").read_bytes()
    (folder / "checkpoint" / "spiece.model").write_bytes(vocabulary)
    albert_edge.export(folder / "checkpoint", folder / "bundle")
    albert_edge.optimize(folder / "bundle")
    albert_edge.quantize(folder / "bundle", min_agreement=0, min_cosine=0, precision="int8")
    return folder / "bundle"


def load(bundle: Path, **options: Any) -> Pipeline:
    pipe: Pipeline = albert_edge.pipeline(model=bundle, top_k=None, truncation=True, **options)
    return pipe


# --- threads --------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", PRECISIONS)
def test_workers_and_threads_change_no_bit(bundle: Path, precision: str) -> None:
    with load(bundle, precision=precision, threads=1) as serial:
        wanted = [serial.answer(text) for text in SOME]
    assert len({str(answer) for answer in wanted}) == len(set(SOME))
    for options in ({"threads": 2, "workers": 1}, {"threads": 4, "workers": 2}, {"threads": 3}):
        with load(bundle, precision=precision, **options) as pipe:
            assert pipe(SOME) == wanted
            assert list(pipe(text for text in SOME)) == wanted


@pytest.mark.parametrize("precision", PRECISIONS)
def test_many_threads_get_the_bits_of_serial_use(bundle: Path, precision: str) -> None:
    with load(bundle, precision=precision, threads=2) as shared:
        wanted = [shared.answer(text) for text in SOME]

        def ask(seed: int) -> None:
            order = random.Random(seed).sample(range(len(SOME)), len(SOME))
            if seed % 2:
                assert shared([SOME[i] for i in order]) == [wanted[i] for i in order]
            else:
                for i in order:
                    assert shared.answer(SOME[i]) == wanted[i]

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(ask, range(8)))


def test_many_sessions_do_not_oversubscribe(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running, most, lock, seats = 0, 0, threading.Lock(), Seats(4)

    class Watched:
        """An engine that counts the runs in progress."""

        def __init__(self, engine: Any) -> None:
            self.engine = engine

        def __getattr__(self, name: str) -> Any:
            return getattr(self.engine, name)

        def run(self, *arguments: Any) -> Any:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            outputs = self.engine.run(*arguments)
            with lock:
                running -= 1
            return outputs

    def load(*arguments: Any, **options: Any) -> Any:
        return Watched(load_engine(*arguments, **options))

    monkeypatch.setattr("albert_edge.runtime.session.process_seats", lambda: seats)
    monkeypatch.setattr("albert_edge.runtime.session.load_engine", load)
    sessions = [Session(bundle, threads=2, precision="fp32") for _ in range(16)]
    ids = {"input_ids": [[2, *range(100, 300), 3]]}
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda session: [session.run(ids) for _ in range(5)], sessions))
    assert most == 2  # of two threads each, on four processors


def test_by_default_there_is_a_seat_for_each_usable_processor() -> None:
    assert process_seats().count == usable_cpus()


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The threads of each model loaded since the test began."""
    threads: list[int] = []

    def load(path: Path, device: Any, count: int, **options: Any) -> Any:
        threads.append(count)
        return load_engine(path, device, count, **options)

    monkeypatch.setattr("albert_edge.runtime.session.load_engine", load)
    return threads


def test_only_long_lists_load_a_second_session(bundle: Path, loaded: list[int]) -> None:
    with load(bundle, threads=2) as pipe:
        pipe(TEXTS[:16])
        assert loaded == [2]
        pipe(TEXTS[:17])
        pipe(TEXTS[:17])
        assert loaded == [2, 1]
    loaded.clear()
    with load(bundle, threads=2, workers=1) as pipe:
        pipe(TEXTS)
        assert loaded == [2]


@pytest.mark.parametrize("workers", [0, -1])
def test_workers_below_one_are_a_usage_error(bundle: Path, workers: int) -> None:
    with pytest.raises(UsageError, match=str(workers)):
        load(bundle, workers=workers)


# --- closing --------------------------------------------------------------------------------


def test_closing_ends_what_is_going_on(bundle: Path) -> None:
    pipe = load(bundle, threads=2)
    raised: list[BaseException] = []
    started = threading.Event()

    def ask() -> None:
        try:
            for _ in pipe.stream(text for _ in range(10_000) for text in TEXTS):
                started.set()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    assert started.wait(30)
    pipe.close()
    thread.join(10)
    assert not thread.is_alive()
    assert [type(error) for error in raised] in ([CancelledError], [UsageError])
    with pytest.raises(UsageError, match="closed"):
        pipe(TEXTS[0])


def test_a_closed_pipeline_ends_its_streams(bundle: Path, loaded: list[int]) -> None:
    pipe = load(bundle, threads=2)
    answers = pipe.stream(TEXTS)
    for _ in range(16):
        next(answers)
    pipe.close()
    with pytest.raises(UsageError, match="closed"):
        list(answers)
    assert loaded == [2]  # and no second session was loaded for it


def test_a_stream_takes_what_can_be_iterated(bundle: Path) -> None:
    with load(bundle, threads=2) as pipe:
        assert list(pipe.stream(TEXTS)) == list(pipe.stream(iter(TEXTS))) == pipe(TEXTS)


def test_a_run_that_is_stopped_raises_and_later_ones_do_not(bundle: Path) -> None:
    with Session(bundle, precision="fp32", threads=1) as session:
        long = {"input_ids": [[5] * 512] * 64}
        with ThreadPoolExecutor(1) as pool:
            going_on = pool.submit(session.run, long)
            while not going_on.done():  # the first stops may come before the run has begun
                time.sleep(0.05)
                session.stop()
            with pytest.raises(CancelledError):
                going_on.result(timeout=10)
        assert session.run({"input_ids": [[2, 3]]})["logits"].shape == (1, 5)


# --- forks ----------------------------------------------------------------------------------

FORK = """
import os, sys, threading, time
import albert_edge
from albert_edge.runtime import session as session_module

pipe = albert_edge.pipeline(model=sys.argv[1], threads=2, workers=2)
texts = [f"text number {i}" for i in range(40)]
wanted = pipe(texts)
load_engine, reached, released = session_module.load_engine, threading.Event(), threading.Event()
def load_slowly(*arguments, **options):
    reached.set()
    released.wait()
    return load_engine(*arguments, **options)
if sys.argv[2] == "loading":  # another thread is about to load another session
    session_module.load_engine = load_slowly
    loading = threading.Thread(target=pipe.session.sibling, args=(3,))
    loading.start()
    reached.wait()
    session_module.load_engine = load_engine
busy = threading.Thread(target=lambda: [pipe(texts) for _ in range(20)], daemon=True)
if sys.argv[2] == "busy":
    busy.start()
    time.sleep(0.05)
child = os.fork()
if child:
    released.set()
if child == 0:
    if sys.argv[3] == "closes":
        pipe.close()
    elif sys.argv[3] == "uses":
        assert pipe(texts) == wanted and pipe(texts[0]) == [wanted[0]]
    sys.exit(7)  # the interpreter ends as usual and frees what it has
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert pipe(texts) == wanted
print("parent goes on")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("parent", ["idle", "busy", "loading"])
@pytest.mark.parametrize("child", ["uses", "closes", "ignores"])
def test_after_a_fork_both_go_on(bundle: Path, parent: str, child: str) -> None:
    command = [sys.executable, "-c", FORK, str(bundle), parent, child]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "parent goes on\n"), done.stderr


# --- event loops ----------------------------------------------------------------------------


def test_a_call_that_is_awaited(bundle: Path) -> None:
    with load(bundle, threads=2) as pipe:

        async def program() -> tuple[Any, int]:
            ticks, done = 0, False

            async def tick() -> None:
                nonlocal ticks
                while not done:
                    ticks += 1
                    await asyncio.sleep(0.001)

            ticking = asyncio.create_task(tick())
            answers = await asyncio.gather(
                pipe.acall(TEXTS * 3, top_k=2),
                pipe.acall(TEXTS[0]),
                pipe.acall(text for text in TEXTS[:3]),
            )
            done = True
            await ticking
            return answers, ticks

        answers, ticks = asyncio.run(program())
        assert answers == [pipe(TEXTS * 3, top_k=2), pipe(TEXTS[0]), pipe(TEXTS[:3])]
        assert ticks > 5  # the loop went on meanwhile


def test_an_awaited_error_is_raised(bundle: Path) -> None:
    with load(bundle) as pipe, pytest.raises(TypeError, match="item 1"):
        asyncio.run(pipe.acall(["fine", 5]))


# --- any text -------------------------------------------------------------------------------

PIECES = [
    *("a", "Z", "0", ",", " ", "  ", "\t", "\n", "\r\n", "\0", "\x01", "\x7f", "\x85", "\u2028"),
    *("\ud800", "\udfff", "\ufeff", "\ufffd", "\uffff", "\U0010ffff", "\u200b", "\u200d", "\xad"),
    *("é", "e\u0301", "\u0301", "ß", "İ", "ﬁ", "中", "車站", "العربية", "עברית", "\u202e", "ไทย"),
    *(
        "👍🏽",
        "👩‍👩‍👧‍👦",
        "🇩🇪",
        "[MASK]",
        "[SEP]",
        "<unk>",
        "</s>",
        "▁",
        "Ⅷ",
        "½",
        "e" * 100,
        "long word ",
    ),
]
COUNT = 6_000


def generated(count: int) -> Iterator[str]:
    rng = random.Random(0)
    for _ in range(count):
        yield "".join(rng.choices(PIECES, k=rng.choice((0, 1, 2, 3, 8, 40))))


def is_valid(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def check(answer: Any) -> None:
    assert sorted(entry["label"] for entry in answer) == [f"LABEL_{i}" for i in range(5)]
    assert sum(entry["score"] for entry in answer) == pytest.approx(1, abs=1e-5)
    assert all(math.isfinite(entry["score"]) for entry in answer)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    model = make_model("text-classification", vocab_size=30_000, num_labels=5)
    model.save_pretrained(folder / "checkpoint")
    vocabulary = (DATA / "tokenizers" / "spiece.model").read_bytes()
    (folder / "checkpoint" / "spiece.model").write_bytes(vocabulary)
    albert_edge.export(folder / "checkpoint", folder / "bundle")
    albert_edge.optimize(folder / "bundle")
    return folder / "bundle"


def test_any_text_is_answered_or_refused_by_its_index(small: Path) -> None:
    texts = list(generated(COUNT))
    pipe = load(small, threads=2)
    refused = start = count = 0
    while start < COUNT:  # an error ends a stream; another stream continues after it
        answered = 0
        try:
            for answer in pipe(text for text in texts[start:]):
                check(answer)
                answered += 1
            start = COUNT
        except InputError as error:
            assert isinstance(error, ValueError)
            assert str(error).startswith(f"Item {answered}: ")
            assert not is_valid(texts[start + answered])
            refused += 1
            start += answered + 1
        count += answered
    assert refused == sum(not is_valid(text) for text in texts) > COUNT / 10
    assert count == COUNT - refused


# Runs in a separate process, because memory freed by torch and other tests would disturb the
# measurement. Prints the peak resident memory of each quarter of the stream.
STREAM = """
import json, random, sys
import psutil
from albert_edge import pipeline

bundle, pieces, count = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
rng = random.Random(0)
texts = ("".join(rng.choices(pieces, k=rng.choice((0, 1, 2, 3, 8, 40)))) for _ in range(count))
process, most = psutil.Process(), [0] * 4
pipe = pipeline("text-classification", bundle, device="cpu", threads=2)
for index, answer in enumerate(pipe(texts)):
    most[4 * index // count] = max(most[4 * index // count], process.memory_info().rss)
print(json.dumps(most))
"""


def test_memory_is_flat(small: Path) -> None:
    pieces = json.dumps([piece for piece in PIECES if is_valid(piece)])
    done = subprocess.run(
        [sys.executable, "-c", STREAM, small, pieces, "20000"],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    first, *_, third, fourth = json.loads(done.stdout)
    assert first > 0
    assert max(third, fourth) - first < 8e6


@pytest.mark.parametrize("text", ["x" * 1_000_000, " " * 1_000_000, "\0" * 100_000], ids=len)
def test_a_megabyte_without_a_space(small: Path, text: str) -> None:
    pipe = load(small, threads=1)
    check(pipe.answer(text))
    if text.strip("\0 "):
        with pytest.raises(InputError, match=r"Item 1: The text has \d{4,} tokens"):
            pipe(["short", text], truncation=False)


@pytest.mark.parametrize("item", [None, 5, 1.5, b"bytes", object(), {"text": b"x"}])
def test_what_is_no_text_is_a_type_error(small: Path, item: Any) -> None:
    pipe = load(small, threads=2)
    with pytest.raises(TypeError, match="item 20"):
        pipe([*TEXTS[:20], item, *TEXTS[:20]])
