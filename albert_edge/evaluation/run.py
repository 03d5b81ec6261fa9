"""Answering data with every precision of a bundle, and scoring the answers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from albert_edge.bundle.bundle import Bundle, open_bundle
from albert_edge.errors import BundleError, InputError, RecordError, UsageError
from albert_edge.evaluation.bootstrap import CONFIDENCE, RESAMPLES
from albert_edge.evaluation.compare import (
    compare,
    find_disagreements,
    show_disagreements,
)
from albert_edge.evaluation.libraries import require_libraries
from albert_edge.evaluation.report import EvaluateReport
from albert_edge.evaluation.subject import Subject
from albert_edge.evaluation.subjects import find_subject
from albert_edge.runtime.device import Device, find_devices
from albert_edge.runtime.session import Session
from albert_edge.runtime.variants import choose_variant, offered_precisions

Progress = Callable[[str, int, int], None]


def evaluate(
    bundle: str | os.PathLike[str],
    data: str | os.PathLike[str],
    *,
    task: str | None = None,
    precisions: Sequence[str] | None = None,
    device: str = "cpu",
    threads: int | None = None,
    disagreements: int = 10,
    progress: Progress = lambda what, done, total: None,
) -> EvaluateReport:
    """Say how right the answers of a bundle are, in each precision.

    The data is read once to check all of it, once for each precision, and once for the examples
    where precisions disagree; kept is what is right and what was answered, never all the texts.

    Args:
        bundle: The bundle.
        data: Texts with what is right, in the form of the task: .tsv, .csv, .jsonl, CoNLL or
            SQuAD's .json. See docs/evaluate.md.
        task: What to answer; by default what the bundle was exported for.
        precisions: Which to evaluate, the one that others are compared with first; by default
            all that the bundle has for the device, fp32 first.
        device: The device, as `Session` takes it.
        threads: As in `albert_edge.pipeline`.
        disagreements: How many examples to give that precisions answer differently.
        progress: Told what is being done, how much of it is done, and of how much.

    Raises:
        UsageError: The task or the format cannot be evaluated, the data is empty, or disagreements
            is below 0.
        RecordError: A record cannot be read, or has a label the model does not know.
        BundleError: The bundle is damaged or has no such precision.
        MissingExtraError: scikit-learn, scipy or seqeval is not installed.
    """
    if disagreements < 0:
        raise UsageError(f"disagreements is {disagreements}.", tip="Give 0 or more.")
    opened, path = open_bundle(bundle), _file(Path(data))
    subject = find_subject(opened, task)
    require_libraries()
    chosen = _precisions(opened, precisions, device)
    gold, long = _survey(subject, opened, path, progress)
    answers: dict[str, list[Any]] = {}
    names = []
    for precision in chosen:
        with Session(opened, device=device, precision=precision, threads=threads) as session:
            what = f"answering in {precision}"
            found = _answer(subject, session, path)
            answers[precision] = list(_counted(found, what, len(gold), progress))
            names.append((precision, session.variant.name))
            device_name = session.device.name
        _require_as_before(path, len(answers[precision]), len(gold))
    every = list(answers.values())
    results = compare(
        subject, gold, every, names, lambda done, total: progress("resampling", done, total)
    )
    count, places = find_disagreements(subject, every, disagreements)
    return EvaluateReport(
        bundle=opened.folder,
        data=path,
        task=subject.task,
        kind=subject.kind,
        device=device_name,
        examples=len(gold),
        truncated=0 if subject.windows else long,
        windowed=long if subject.windows else 0,
        precisions=results,
        confidence=CONFIDENCE,
        resamples=RESAMPLES if len(every) > 1 else 0,
        disagreeing=count,
        disagreements=show_disagreements(subject, subject.examples(path), places, answers),
    )


def _file(path: Path) -> Path:
    if path.exists() and not path.is_file():
        raise UsageError(
            f"{path} is no file.", tip="Data is read several times; save it to a file first."
        )
    return path


def _precisions(bundle: Bundle, wanted: Sequence[str] | None, device: str) -> list[str]:
    """The precisions to evaluate, all of which the bundle has."""
    devices = find_devices(device)
    names = wanted or offered_precisions(bundle, devices[-1]) or ["fp32"]
    return list(dict.fromkeys(_found(bundle, devices, name) for name in names))


def _found(bundle: Bundle, devices: Sequence[Device], precision: str) -> str:
    """A precision that the bundle has for one of the devices; "auto" by its name."""
    *others, last = devices
    for device in others:
        with suppress(BundleError):
            return choose_variant(bundle, device, precision).precision
    return choose_variant(bundle, last, precision).precision


def _survey(
    subject: Subject, bundle: Bundle, path: Path, progress: Progress
) -> tuple[list[Any], int]:
    """Read all the data before any of it is answered.

    Returns:
        What is right, for each example, and how many are over the model's limit.
    """
    encoder = subject.encoder(bundle)
    gold: list[Any] = []
    long = 0
    for example in subject.examples(path):
        gold.append(example.gold)
        with _named(path, len(gold)):
            long += subject.is_long(encoder, example.item)
        progress("reading", len(gold), len(gold))
    if not gold:
        raise UsageError(f"There is nothing to evaluate in {path}.", tip="Give data with records.")
    return gold, long


def _answer(subject: Subject, session: Session, path: Path) -> Iterator[Any]:
    answers = subject.answers(session, (example.item for example in subject.examples(path)))
    count = 0
    while True:
        with _named(path, count + 1):
            try:
                answer = next(answers)
            except StopIteration:
                return
        yield answer
        count += 1


@contextmanager
def _named(path: Path, number: int) -> Iterator[None]:
    """Have an error of an example say which it is; one of a record that is read does so itself."""
    try:
        yield
    except RecordError:
        raise
    except (InputError, TypeError, UnicodeError) as error:
        tip = getattr(error, "tip", "Correct it, or take it out.")
        raise RecordError(f"{path}: example {number}: {error}", tip=tip) from error


def _counted(answers: Iterator[Any], what: str, total: int, progress: Progress) -> Iterator[Any]:
    for done, answer in enumerate(answers, 1):
        progress(what, done, total)
        yield answer


def _require_as_before(path: Path, found: int, expected: int) -> None:
    if found != expected:
        raise InputError(
            f"{path} had {expected} records, and then {found}.",
            tip="Evaluate a file that is not being written to.",
        )
