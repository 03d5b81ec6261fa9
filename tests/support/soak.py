"""Mixed work for as long as asked, and whether what the process holds stays level meanwhile.

Run as a program, in a process of its own, it works and prints a sample of what is held after every
round; `complaints` judges those samples. benchmarks/soak.py measures the memory of one pipeline
under the policies of onnxruntime; here all that a long-lived program does is repeated: pipelines of
every task are opened, used from threads, by workers and in children of a fork, and closed.

    python -m support.soak BUNDLES --minutes 0.3 --share 0.2 --leak memory
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import combinations, islice, pairwise
from pathlib import Path
from threading import Event, Thread
from typing import Any

from albert_edge.runtime.memory import return_freed_memory

TEXT = "The a good bad film Berlin Anna 42 really unbelievably [MASK] . , naïve 天气 \u0301"

# Growth of resident memory over a whole run, in MB of 10^6 bytes. A level run moves by less than
# 1 MB, when one of Python's tables is doubled. In an hour, which has a thousand rounds or more of
# 16 pipelines each, this is at most 250 bytes for each pipeline.
MOST_GROWTH_MB = 4.0
WARM_UP = 0.25  # of the rounds
LEAST_ROUNDS = 12


@dataclass(frozen=True)
class Sample:
    """What the process holds after a round: resident memory, open descriptors, threads."""

    seconds: float
    megabytes: float
    descriptors: int
    threads: int


def complaints(samples: Sequence[Sample]) -> list[str]:
    """Say what grew after the warm-up; nothing if all is level."""
    if len(samples) < LEAST_ROUNDS:
        return [f"only {len(samples)} rounds, at least {LEAST_ROUNDS} are needed to judge"]
    settled = samples[int(len(samples) * WARM_UP) :]
    found = []
    growth = growth_mb(settled)
    if growth > MOST_GROWTH_MB:
        found.append(f"memory grew by {growth:.1f} MB, at most {MOST_GROWTH_MB:g} is level")
    for what in ("descriptors", "threads"):
        counts = {getattr(sample, what) for sample in settled}
        if len(counts) > 1:
            found.append(f"{what} vary from {min(counts)} to {max(counts)}")
    return found


def growth_mb(samples: Sequence[Sample]) -> float:
    """The growth of memory over all samples, by the slope of Theil and Sen.

    That is the median of the slopes between all pairs, here of the medians of up to 24 equal
    stretches: a single high round, or a third of them, does not move it.
    """
    count = min(24, len(samples))
    bounds = [len(samples) * at // count for at in range(count + 1)]
    levels = [
        statistics.median(sample.megabytes for sample in samples[low:high])
        for low, high in pairwise(bounds)
    ]
    slopes = [(levels[b] - levels[a]) / (b - a) for a, b in combinations(range(count), 2)]
    return statistics.median(slopes) * (count - 1)


def take_sample(started: float) -> Sample:
    """Read what is held, without what Python and malloc have freed and not returned."""
    gc.collect()
    return_freed_memory()
    resident = int(Path("/proc/self/statm").read_text().split()[1])
    return Sample(
        seconds=time.monotonic() - started,
        megabytes=resident * os.sysconf("SC_PAGE_SIZE") / 1e6,
        descriptors=len(os.listdir("/proc/self/fd")),
        threads=len(os.listdir("/proc/self/task")),
    )


def work(bundles: Sequence[Path], minutes: float, share: float, leaks: list[str]) -> list[Sample]:
    """Do rounds for some minutes, and at least as many as are needed to judge.

    Args:
        bundles: Folders and packed files.
        minutes: How long.
        share: How much of one processor to use; the rest of the time is slept.
        leaks: What every round loses, of `LEAKS`.
    """
    draw, samples, started = random.Random(0), list[Sample](), time.monotonic()
    while len(samples) < LEAST_ROUNDS or time.monotonic() - started < 60 * minutes:
        began, used = time.monotonic(), time.process_time()
        for bundle in draw.sample(bundles, len(bundles)):
            use(bundle, draw.choice(("fp32", "int8")), draw)
        fork_and_use(bundles[len(samples) % len(bundles)], draw)
        for leak in leaks:
            LEAKS[leak]()
        samples.append(take_sample(started))
        used = time.process_time() - used
        time.sleep(max(0.0, used / share - (time.monotonic() - began)))
    return samples


def use(bundle: Path, precision: str, draw: random.Random) -> None:
    """Open a pipeline, answer items of mixed lengths in every way, and close or drop it."""
    import albert_edge

    threads, workers = draw.choice([(1, 1), (2, 1), (2, 2), (1, None)])
    answer = albert_edge.pipeline(
        model=bundle, precision=precision, device="cpu", threads=threads, workers=workers
    )
    items = [make_item(answer.task, draw) for _ in range(draw.choice([1, 3, 20]))]
    list(answer.stream(items))
    for _ in islice(answer.stream(items * 2), 2):  # and leave the rest
        pass
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(answer.answer, items[:3]))
    refuse(answer)
    if draw.random() < 0.7:
        answer.close()


def refuse(answer: Any) -> None:
    """An item that is an error, whose traceback holds on to what was in use."""
    try:
        answer.answer("\ud800" if answer.task != "question-answering" else {"question": ""})
    except (ValueError, TypeError):
        return
    raise AssertionError(f"{answer.task} accepts what is not Unicode")


def fork_and_use(bundle: Path, draw: random.Random) -> None:
    """Fork while a pipeline is open; parent and child both use it, and the child ends."""
    import albert_edge

    with albert_edge.pipeline(model=bundle, precision="int8", device="cpu", threads=2) as answer:
        item = make_item(answer.task, draw)
        expected = answer.answer(item)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = 0 if answer.answer(item) == expected else 2
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        if status:
            raise AssertionError(f"a child of a fork with {bundle} ended with status {status}")
        answer.answer(item)


def make_item(task: str, draw: random.Random) -> Any:
    """An item of a task: short or long texts, more of them short."""

    def text() -> str:
        return " ".join(draw.choices(TEXT.split(), k=round(60 ** draw.random())))

    match task:
        case "question-answering":
            return {"question": text(), "context": text()}
        case "multiple-choice":
            return {"prompt": text(), "choices": [text() for _ in range(draw.randint(2, 4))]}
        case "sentence-order":
            return {"text": text(), "text_pair": text()}
        case "fill-mask":
            return f"{text()} [MASK]"
    return text()


_LOST: list[Any] = []


def lose_memory() -> None:
    """Keep 1 MB, written so that it is resident."""
    _LOST.append(bytearray(os.urandom(10**6)))


def lose_a_descriptor() -> None:
    """Keep a file open."""
    _LOST.append(os.open(os.devnull, os.O_RDONLY))


def lose_a_thread() -> None:
    """Keep a thread waiting."""
    thread = Thread(target=Event().wait, daemon=True)
    thread.start()
    _LOST.append(thread)


LEAKS: dict[str, Callable[[], None]] = {
    "memory": lose_memory,
    "descriptors": lose_a_descriptor,
    "threads": lose_a_thread,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("bundles", type=Path)
    parser.add_argument("--minutes", type=float, default=0.3)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--leak", choices=LEAKS, action="append", default=[])
    options = parser.parse_args()
    bundles = sorted(options.bundles.iterdir())
    samples = work(bundles, options.minutes, options.share, options.leak)
    json.dump([asdict(sample) for sample in samples], sys.stdout)


if __name__ == "__main__":
    main()
