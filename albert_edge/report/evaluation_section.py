"""The section about an evaluation: metrics, differences, and texts with different answers."""

from __future__ import annotations

from albert_edge.evaluation.report import Difference, EvaluateReport
from albert_edge.report.page import Section, Table

_MOST_TEXTS = 20


def evaluation_section(report: EvaluateReport) -> Section:
    """Show the metrics of every precision on the data, and their differences from the first."""
    names = list(dict.fromkeys(name for result in report.precisions for name in result.metrics))
    columns = ["precision", *names]
    first, *others = report.precisions
    rows = [
        [result.precision, *(_number(result.metrics.get(name)) for name in names)]
        for result in report.precisions
    ]
    tables = [Table("Metrics", columns, rows)]
    layers = [
        [result.precision, f"{result.mean_layers:.2f}"]
        for result in report.precisions
        if result.mean_layers is not None
    ]
    if layers:
        tables.append(Table("Layers applied", ["precision", "layers (mean)"], layers))
    if others:
        caption = f"Difference from {first.precision} ({report.confidence:.0%} confidence interval)"
        rows = [
            [result.precision, *(_difference(result.differences, name) for name in names)]
            for result in others
        ]
        tables.append(Table(caption, columns, rows))
    if report.disagreements:
        tables.append(_disagreements(report))
    text = [f"{report.examples:,} examples of {report.data}."]
    if report.disagreeing == 0:
        text.append("All precisions give the same answers.")
    elif report.disagreeing is not None:
        text.append(f"Precisions disagree on {report.disagreeing:,} of them.")
    return Section("evaluation", "Accuracy on labelled data", text, tables=tables)


def _disagreements(report: EvaluateReport) -> Table:
    names = [result.precision for result in report.precisions]
    rows = [
        [
            f"{example.number}",
            example.text,
            example.expected,
            *(example.answers.get(name, "") for name in names),
        ]
        for example in report.disagreements[:_MOST_TEXTS]
    ]
    columns = ["number", "text", "expected", *names]
    return Table("Examples that precisions answer differently", columns, rows, prose=True)


def _difference(differences: list[Difference], metric: str) -> str:
    for difference in differences:
        if difference.metric == metric and difference.value is not None:
            known = difference.low is not None and difference.high is not None
            interval = f" ({difference.low:+.4f} to {difference.high:+.4f})" if known else ""
            return f"{difference.value:+.4f}{interval}"
    return ""


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
