"""`albert-edge evaluate`: how right the answers of a bundle are, in each precision."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from albert_edge.cli.commands import BundleFolder, Json
from albert_edge.cli.predict import Task, Threads
from albert_edge.cli.printing import note, print_json, print_table

if TYPE_CHECKING:
    from albert_edge.evaluation.report import Difference, EvaluateReport

Data = Annotated[
    Path,
    typer.Argument(
        metavar="DATA", help="Texts with what is right: .tsv, .csv, .jsonl, CoNLL, SQuAD's .json."
    ),
]
Precisions = Annotated[
    list[str] | None,
    typer.Option(
        "--precision",
        help="One to evaluate; repeatable. The first is what others are compared with. "
        "By default all the bundle has for the device.",
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, ... as predict takes them.")]
Disagreements = Annotated[
    int, typer.Option(help="How many texts to show that precisions answer differently.")
]

_TEXT = 60
_ANSWER = 30


def evaluate(
    bundle: BundleFolder,
    data: Data,
    task: Task = None,
    precision: Precisions = None,
    device: Device = "auto",
    threads: Threads = None,
    disagreements: Disagreements = 10,
    as_json: Json = False,
) -> None:
    """Say how right the answers to DATA are, in each precision."""
    from albert_edge.evaluation import evaluate

    report = evaluate(
        bundle,
        data,
        task=task,
        precisions=precision,
        device=device,
        threads=threads,
        disagreements=disagreements,
        progress=not as_json,
    )
    if as_json:
        print_json(report)
    else:
        _print(report)


def _print(report: EvaluateReport) -> None:
    if report.truncated:
        note(f"{report.truncated} of {report.examples} are over the model's limit and were cut.")
    if report.windowed:
        note(f"{report.windowed} of {report.examples} were seen through several windows.")
    columns = ["metric", "precision", "value"]
    if len(report.precisions) > 1:
        columns += ["difference", f"{report.confidence:.0%} interval", "p"]
    print_table(
        f"{report.task}, {report.examples} examples of {report.data}", columns, [*_rows(report)]
    )
    reasons = {
        f"No {name} of {result.precision}: {why}."
        for result in report.precisions
        for name, why in result.undefined.items()
    }
    for reason in sorted(reasons):
        note(reason)
    _print_disagreements(report)


def _rows(report: EvaluateReport) -> Iterator[list[str]]:
    first, *others = report.precisions
    for name in first.metrics:
        yield [name, first.precision, _number(first.metrics[name])]
        for other in others:
            (difference,) = (each for each in other.differences if each.metric == name)
            value = _number(other.metrics[name])
            yield ["", other.precision, value, *_difference(difference)]


def _difference(difference: Difference) -> list[str]:
    interval = ""
    if difference.low is not None and difference.high is not None:
        interval = f"{difference.low:+.4f} to {difference.high:+.4f}"
    value = "" if difference.value is None else f"{difference.value:+.4f}"
    return [value, interval, "" if difference.p_value is None else f"{difference.p_value:.3g}"]


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def _print_disagreements(report: EvaluateReport) -> None:
    if len(report.precisions) < 2:
        return
    title = "Farthest apart"
    if report.disagreeing is not None:
        share = f"{report.disagreeing} of {report.examples}"
        title = f"Not answered alike: {share}"
    if not report.disagreements:
        print(f"\n{title}")
        return
    if report.disagreeing is not None and len(report.disagreements) < report.disagreeing:
        title += f"; the first {len(report.disagreements)}"
    rows = [
        [
            _short(each.text, _TEXT),
            str(each.number),
            *(_short(answer, _ANSWER) for answer in (each.expected, *each.answers.values())),
        ]
        for each in report.disagreements
    ]
    columns = ["text", "number", "right", *(result.precision for result in report.precisions)]
    print_table(f"\n{title}", columns, rows)


def _short(text: str, longest: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
