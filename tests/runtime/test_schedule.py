"""Streams of items: their order, what is read ahead, what is raised where, batches."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.checkpoints import make_model

import albert_edge
from albert_edge.runtime.inputs import Arrays
from albert_edge.runtime.providers import PROVIDERS, Provider
from albert_edge.runtime.schedule import Job, in_batches, in_workers, run_batch
from albert_edge.runtime.seats import Seats
from albert_edge.runtime.session import Session

LONGEST = 95
HEADS = ("text-classification", "token-classification", "question-answering", "fill-mask")


class Source:
    """Items from 0 up; knows how many were taken, and what it raised when closed."""

    def __init__(self, count: int, error_after: int | None = None) -> None:
        self.taken = 0
        self.count = count
        self.error_after = error_after

    def __iter__(self) -> Iterator[int]:
        for item in range(self.count):
            if item == self.error_after:
                raise OSError("the file is gone")
            self.taken += 1
            yield item


def refusing(bad: int) -> Callable[[int], int]:
    def work(item: int) -> int:
        if item == bad:
            raise ValueError(f"bad {item}")
        return -item

    return work


def never() -> None:
    raise AssertionError("nothing was interrupted")


# --- workers --------------------------------------------------------------------------------


@given(
    delays=st.lists(st.integers(0, 3), max_size=25),
    workers=st.integers(1, 5),
)
@settings(deadline=None, max_examples=60)
def test_answers_come_in_the_order_of_the_items(delays: list[int], workers: int) -> None:
    def work(delay: int) -> int:
        time.sleep(delay / 3000)
        return delay

    assert list(in_workers(iter(delays), work, workers, never)) == delays


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_so_many_items_are_worked_on_at_once(workers: int) -> None:
    running, most, lock = 0, 0, threading.Lock()

    def work(_: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1

    assert len(list(in_workers(iter(range(30)), work, workers, never))) == 30
    assert most == workers


@pytest.mark.parametrize("workers", [1, 3])
def test_the_first_item_is_answered_before_the_second_is_read(workers: int) -> None:
    source = Source(10)
    answers = in_workers(iter(source), refusing(99), workers, never)
    assert source.taken == 0
    assert next(answers) == 0
    assert source.taken == 1


@pytest.mark.parametrize("workers", [1, 3])
def test_little_is_read_ahead(workers: int) -> None:
    source = Source(1000)
    for answered, _ in enumerate(in_workers(iter(source), refusing(-1), workers, never), 1):
        assert source.taken - answered <= 2 * workers + 1
    assert source.taken == answered == 1000


def test_a_slow_source_is_not_read_ahead() -> None:
    source = Source(4)

    def slowly() -> Iterator[int]:
        for item in source:
            time.sleep(0.02)
            yield item

    for answered, _ in enumerate(in_workers(slowly(), refusing(-1), 3, never), 1):
        assert source.taken == answered


@pytest.mark.parametrize("bad", [0, 1, 7])
def test_an_error_comes_after_the_answers_before_it(bad: int) -> None:
    answers = in_workers(iter(range(20)), refusing(bad), 3, never)
    assert [next(answers) for _ in range(bad)] == [-item for item in range(bad)]
    with pytest.raises(ValueError, match=f"bad {bad}"):
        next(answers)
    assert list(answers) == []


@pytest.mark.parametrize("after", [0, 1, 7])
def test_an_error_of_the_source_comes_after_all_its_answers(after: int) -> None:
    answers = in_workers(iter(Source(20, error_after=after)), refusing(-1), 3, never)
    assert list(itertools.islice(answers, after)) == [-item for item in range(after)]
    with pytest.raises(OSError, match="gone"):
        next(answers)


def test_no_thread_is_left_behind() -> None:
    before = threading.active_count()
    abandoned = in_workers(iter(range(100)), refusing(-1), 4, never)
    next(abandoned)
    abandoned.close()  # type: ignore[attr-defined]  # it is a generator
    with pytest.raises(ValueError, match="bad 3"):
        list(in_workers(iter(range(100)), refusing(3), 4, never))
    assert threading.active_count() == before


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_an_interruption_stops_what_is_going_on(interruption: type[BaseException]) -> None:
    stopped = threading.Event()

    def items() -> Iterator[int]:
        yield from range(3)
        raise interruption

    def work(item: int) -> int:
        if item:
            assert stopped.wait(10)
        return item

    answers = in_workers(items(), work, 2, stopped.set)
    assert next(answers) == 0
    with pytest.raises(interruption):
        list(answers)
    assert stopped.is_set()


# --- batches --------------------------------------------------------------------------------


class Recorder:
    """A session that answers every token with its id, and knows its batches."""

    token_outputs = frozenset({"tokens"})

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def run(self, inputs: Arrays) -> Arrays:
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        assert (ids[mask == 0] == 0).all()
        self.shapes.append(ids.shape)
        return {"tokens": 2 * ids, "sum": ids.sum(axis=-1, keepdims=True)}


def ids_of(*lengths: int) -> tuple[Arrays, ...]:
    runs = []
    for length in lengths:
        ids = np.arange(1, length + 1)[None]
        runs.append({"input_ids": ids, "attention_mask": np.ones_like(ids)})
    return tuple(runs)


def job(*lengths: int) -> Job:
    def finish(outputs: Sequence[Arrays]) -> list[tuple[list[int], int]]:
        return [(output["tokens"][0].tolist(), output["sum"].item()) for output in outputs]

    return Job(ids_of(*lengths), finish)


def answer(*lengths: int) -> list[tuple[list[int], int]]:
    return [([2 * i for i in range(1, n + 1)], n * (n + 1) // 2) for n in lengths]


@given(
    items=st.lists(st.lists(st.integers(1, 9), max_size=4), max_size=40),
    batch_size=st.integers(1, 6),
)
@settings(deadline=None)
def test_batches_give_each_item_its_own_answer(items: list[list[int]], batch_size: int) -> None:
    session: Any = Recorder()
    answers = in_batches((job(*lengths) for lengths in items), session, batch_size, LONGEST)
    assert list(answers) == [answer(*lengths) for lengths in items]
    assert sum(shape[0] for shape in session.shapes) == sum(map(len, items))
    assert all(shape[0] <= batch_size for shape in session.shapes)


def test_a_batch_has_nearly_one_length() -> None:
    lengths = [3, 90, 4, 91, 5, 92, 6, 93]
    session: Any = Recorder()
    list(in_batches((job(length) for length in [1, *lengths]), session, 4, LONGEST))
    # Padded to a multiple of 8, but not over what the model takes.
    assert session.shapes == [(1, 8), (4, LONGEST), (4, 8)]


@pytest.mark.parametrize("in_memory", [True, False])
def test_batches_of_a_list_do_not_depend_on_how_fast_it_is_read(in_memory: bool) -> None:
    def slow() -> Iterator[Job]:
        for _ in range(8):
            time.sleep(0.006)
            yield job(3)

    session: Any = Recorder()
    list(in_batches(slow(), session, 4, LONGEST, in_memory=in_memory))
    assert session.shapes == ([(4, 8)] * 2 if in_memory else [(1, 8)] * 8)


def test_batches_read_ahead_no_more_than_a_portion() -> None:
    source = Source(1000)
    session: Any = Recorder()
    jobs = (job(3) for _ in source)
    for answered, _ in enumerate(in_batches(jobs, session, 2, LONGEST), 1):
        assert source.taken - answered <= 2 * 16
    assert source.taken == answered == 1000


@pytest.mark.parametrize("after", [0, 1, 40])
def test_an_error_in_a_batch_comes_after_the_answers_before_it(after: int) -> None:
    session: Any = Recorder()
    answers = in_batches((job(2) for _ in Source(60, error_after=after)), session, 4, LONGEST)
    assert list(itertools.islice(answers, after)) == [answer(2)] * after
    with pytest.raises(OSError, match="gone"):
        next(answers)


@pytest.fixture(scope="module", params=HEADS)
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("batches")
    make_model(request.param).save_pretrained(folder / "checkpoint")
    albert_edge.export(folder / "checkpoint", folder / "bundle")
    albert_edge.optimize(folder / "bundle")
    return folder / "bundle"


@pytest.mark.parametrize("longest", [41, 512])
@pytest.mark.parametrize("variant", ["model", "model_optimized"])
def test_padding_changes_no_answer(bundle: Path, variant: str, longest: int) -> None:
    with Session(bundle, variant=variant, threads=1) as session:
        runs = ids_of(5, 40, 2, 17)
        for run, padded in zip(runs, run_batch(session, runs, longest), strict=True):
            expected = session.run(run)
            assert list(expected) == list(padded)
            for name, values in expected.items():
                assert values.shape == padded[name].shape
                np.testing.assert_allclose(values, padded[name], rtol=0, atol=1e-5)


def test_copies_bound_to_a_device_change_no_answer(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The CPU by another name, which is treated as any other device.
    monkeypatch.setitem(PROVIDERS, "twin", Provider("CPUExecutionProvider"))
    (run,) = ids_of(12)
    with Session(bundle, device="twin") as twin, Session(bundle, variant="model") as session:
        assert not twin.device.is_cpu
        assert twin.variant.name == "model"  # the portable one
        outputs, wanted = twin.run(run), session.run(run)
    assert list(outputs) == list(wanted)
    for name in wanted:
        np.testing.assert_array_equal(outputs[name], wanted[name])


# --- seats ----------------------------------------------------------------------------------


@given(
    wanted=st.lists(st.integers(1, 6), min_size=1, max_size=12),
    count=st.integers(1, 4),
)
@settings(deadline=None, max_examples=40)
def test_no_more_seats_are_taken_than_there_are(wanted: list[int], count: int) -> None:
    seats, taken, most, lock = Seats(count), 0, 0, threading.Lock()

    def sit(many: int) -> None:
        nonlocal taken, most
        with seats.taken(many):
            with lock:
                taken += min(many, count)
                most = max(most, taken)
            time.sleep(0.001)
            with lock:
                taken -= min(many, count)

    threads = [threading.Thread(target=sit, args=(many,)) for many in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert max(min(many, count) for many in wanted) <= most <= count


def test_who_wants_all_seats_is_not_passed_by(monkeypatch: pytest.MonkeyPatch) -> None:
    seats, order = Seats(2), []

    def sit(name: str, many: int) -> None:
        with seats.taken(many):
            order.append(name)

    with seats.taken(1):
        waiting = []
        for name, many in (("all", 2), ("one", 1)):
            thread = threading.Thread(target=sit, args=(name, many))
            thread.start()
            waiting.append(thread)
            time.sleep(0.05)
        assert order == []  # one seat is free, and "one" still waits behind "all"
    for thread in waiting:
        thread.join(10)
    assert order == ["all", "one"]


def test_seats_are_given_back_after_an_error() -> None:
    seats = Seats(1)
    for _ in range(2):
        with pytest.raises(ValueError, match="inside"), seats.taken(1):
            raise ValueError("inside")
