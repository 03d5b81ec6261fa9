"""Answering labelled data with every precision of a bundle, and scoring the answers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from albert_edge.bundle.bundle import Bundle, open_bundle
from albert_edge.errors import Argument, BundleError, InputError, Message, RecordError, UsageError
from albert_edge.evaluation.compare import (
    PrecisionAnswers,
    compare,
    find_disagreements,
)
from albert_edge.evaluation.report import EvaluateReport
from albert_edge.evaluation.scorer import Scorer
from albert_edge.evaluation.scorers import find_scorer
from albert_edge.evaluation.significance import CONFIDENCE, RESAMPLES
from albert_edge.progress import Progress, progress_bar
from albert_edge.runtime.device import Device, find_devices
from albert_edge.runtime.exits import mean_layers
from albert_edge.runtime.session import Session
from albert_edge.runtime.variants import choose_variant, offered_precisions

_END = object()


def evaluate(
    bundle: str | os.PathLike[str],
    data: str | os.PathLike[str],
    *,
    task: str | None = None,
    precisions: Sequence[str] | None = None,
    device: str = "auto",
    threads: int | None = None,
    disagreements: int = 10,
    progress: bool | Progress = False,
) -> EvaluateReport:
    """Measure the accuracy of a bundle on labelled data, in each precision.

    The data is read once to check all of it, once for each precision, and once for the examples
    where precisions disagree; expected and given answers are kept in memory, texts are not.

    Args:
        bundle: The bundle.
        data: Labelled texts in the format of the task: .tsv, .csv, .jsonl, CoNLL or SQuAD's
            .json. See docs/evaluate.md.
        task: The pipeline that answers; by default that of the bundle.
        precisions: Which to evaluate, first the one that others are compared with; by default
            all that the bundle has for the device, fp32 first.
        device: The device, as `Session` takes it.
        threads: As in `albert_edge.pipeline`.
        disagreements: How many examples to report that precisions answer differently.
        progress: True for a progress bar, or a function that is called with what is being done,
            how much of it is done, and of how much (None: not known).

    Raises:
        UsageError: The task or the format cannot be evaluated, the data is empty, or disagreements
            is below 0.
        RecordError: A record cannot be read, or has a label that the model does not have.
        BundleError: The bundle is damaged or has no such precision.
    """
    if disagreements < 0:
        what = Message(Argument("disagreements"), f" is {disagreements}.")
        raise UsageError(what, tip="Give 0 or more.")
    opened, path = open_bundle(bundle), _file(Path(data))
    scorer = find_scorer(opened, task)
    chosen = _precisions(opened, precisions, device)
    with progress_bar(progress) as report_progress:
        evaluation = _Evaluation(scorer, opened, path, report_progress)
        expected, long = evaluation.survey()
        answered = []
        for precision in chosen:
            with Session(opened, device=device, precision=precision, threads=threads) as session:
                answered.append(evaluation.answer(session, len(expected)))
        return evaluation.report(expected, long, answered, disagreements)


@dataclass(frozen=True, slots=True)
class _Evaluation:
    """The data of an evaluation, and how to read, answer and report it."""

    scorer: Scorer
    bundle: Bundle
    path: Path
    progress: Progress

    def survey(self) -> tuple[list[Any], int]:
        """Read all the data before any of it is answered.

        Returns:
            The correct answer to each example, and how many are over the model's limit.
        """
        encoder = self.scorer.encoder(self.bundle)
        expected: list[Any] = []
        long = 0
        for example in self.scorer.examples(self.path):
            expected.append(example.expected)
            with _numbered(self.path, len(expected)):
                long += self.scorer.is_long(encoder, example.item)
            self.progress("reading", len(expected), None)
        if not expected:
            raise UsageError(
                f"There is nothing to evaluate in {self.path}.", tip="Give data with records."
            )
        return expected, long

    def answer(self, session: Session, total: int) -> PrecisionAnswers:
        """Answer all the data with one precision."""
        precision = session.variant.mode
        items = (example.item for example in self.scorer.examples(self.path))
        stream = self.scorer.answers(session, items)
        answers: list[Any] = []
        while True:
            with _numbered(self.path, len(answers) + 1):
                answer = next(stream, _END)
            if answer is _END:
                break
            answers.append(answer)
            self.progress(f"answering in {precision}", len(answers), total)
        if len(answers) != total:
            raise InputError(
                f"{self.path} had {total} records, and then {len(answers)}.",
                tip="Evaluate a file that is not being written to.",
            )
        layers = mean_layers(session.layer_counts)
        return PrecisionAnswers(
            precision, session.variant.name, session.device.name, answers, layers
        )

    def report(
        self,
        expected: Sequence[Any],
        long: int,
        answered: Sequence[PrecisionAnswers],
        disagreements: int,
    ) -> EvaluateReport:
        """Score and compare the answers."""
        scorer, windows = self.scorer, self.scorer.windows
        results = compare(scorer, expected, answered, self.progress)
        examples = scorer.examples(self.path)
        count, shown = find_disagreements(scorer, answered, examples, disagreements)
        return EvaluateReport(
            bundle=self.bundle.path,
            data=self.path,
            task=scorer.task,
            kind=scorer.kind,
            device=", ".join(dict.fromkeys(answers.device for answers in answered)),
            examples=len(expected),
            truncated=0 if windows else long,
            windowed=long if windows else 0,
            precisions=results,
            confidence=CONFIDENCE,
            resamples=RESAMPLES if len(answered) > 1 else 0,
            disagreeing=count,
            disagreements=shown,
        )


def _file(path: Path) -> Path:
    if path.exists() and not path.is_file():
        raise UsageError(
            f"{path} is not a file.", tip="Data is read several times; save it to a file first."
        )
    return path


def _precisions(bundle: Bundle, wanted: Sequence[str] | None, device: str) -> list[str]:
    """Choose the precisions to evaluate, all of which the bundle has."""
    devices = find_devices(device)
    names = wanted or [name for place in devices for name in offered_precisions(bundle, place)]
    return list(
        dict.fromkeys(_named_precision(bundle, devices, name) for name in names or ["fp32"])
    )


def _named_precision(bundle: Bundle, devices: Sequence[Device], precision: str) -> str:
    """Find a precision that the bundle has for one of the devices; "auto" becomes its name."""
    *others, last = devices
    for device in others:
        with suppress(BundleError):
            return choose_variant(bundle, device, precision).mode
    return choose_variant(bundle, last, precision).mode


@contextmanager
def _numbered(path: Path, number: int) -> Iterator[None]:
    """Name the example in its errors; those about a record that is read name it already."""
    try:
        yield
    except RecordError:
        raise
    except (InputError, TypeError, UnicodeError) as error:
        tip = getattr(error, "tip", "Correct it, or take it out.")
        raise RecordError(f"{path}: example {number}: {error}", tip=tip) from error
