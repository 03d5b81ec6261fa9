"""`albert-edge evaluate`: the accuracy of a bundle's answers, in each precision."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from albert_edge.cli.options import (
    BundleFolder,
    Data,
    Device,
    Disagreements,
    Json,
    Precisions,
    Task,
    Threads,
)
from albert_edge.cli.printing import note, print_json, show
from albert_edge.cli.table import print_table

if TYPE_CHECKING:
    from albert_edge.evaluation.report import Difference, EvaluateReport

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
    """Measure the accuracy of the answers to DATA, in each precision."""
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
    (print_json if as_json else _print)(report)


def _print(report: EvaluateReport) -> None:
    if report.truncated:
        note(f"{report.truncated} of {report.examples} are over the model's limit and were cut.")
    if report.windowed:
        note(f"{report.windowed} of {report.examples} were split into several windows.")
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
        blank = [""] * 3 if others else []  # the first is the baseline
        yield [name, first.precision, _number(first.metrics[name]), *blank]
        for other in others:
            (difference,) = (entry for entry in other.differences if entry.metric == name)
            value = _number(other.metrics[name])
            yield ["", other.precision, value, *_difference(difference)]
    for result in report.precisions:
        if result.mean_layers is not None:
            blank = [""] * 3 if others else []
            yield ["layers, mean", result.precision, f"{result.mean_layers:.2f}", *blank]


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
    title = "Largest differences"
    if report.disagreeing is not None:
        share = f"{report.disagreeing} of {report.examples}"
        title = f"Answered differently: {share}"
    if not report.disagreements:
        show("", title)
        return
    if report.disagreeing is not None and len(report.disagreements) < report.disagreeing:
        title += f"; the first {len(report.disagreements)}"
    rows = [
        [
            _shorten(example.text, _TEXT),
            str(example.number),
            *(
                _shorten(answer, _ANSWER)
                for answer in (example.expected, *example.answers.values())
            ),
        ]
        for example in report.disagreements
    ]
    columns = ["text", "number", "label", *(result.precision for result in report.precisions)]
    print_table(title, columns, rows, gap=True)


def _shorten(text: str, longest: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
