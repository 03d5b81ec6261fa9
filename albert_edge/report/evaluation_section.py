"""What a page says of an evaluation: metrics, differences, texts that are answered otherwise."""

from __future__ import annotations

from albert_edge.evaluation.report import Difference, EvaluateReport
from albert_edge.report.page import Section, Table

_MOST_TEXTS = 20


def evaluation_section(report: EvaluateReport) -> Section:
    """Metrics of every precision on the data, and how they differ from the first one's."""
    names = list(dict.fromkeys(name for one in report.precisions for name in one.metrics))
    rows = [
        [one.precision, *(_number(one.metrics.get(name)) for name in names)]
        for one in report.precisions
    ]
    tables = [Table("Metrics", ["precision", *names], rows)]
    first = report.precisions[0].precision
    differing = [one for one in report.precisions if one.differences]
    if differing:
        caption = f"Difference to {first}, with its {report.confidence:.0%} interval"
        rows = [
            [one.precision, *(_difference(one.differences, name) for name in names)]
            for one in differing
        ]
        tables.append(Table(caption, ["precision", *names], rows))
    if report.disagreements:
        tables.append(_disagreements(report))
    text = [f"{report.examples:,} examples of {report.data}."]
    if report.disagreeing == 0:
        text.append("All are answered alike by all precisions.")
    elif report.disagreeing is not None:
        text.append(f"{report.disagreeing:,} of them are not answered alike by all precisions.")
    return Section("evaluation", "Quality on data", text, tables=tables)


def _disagreements(report: EvaluateReport) -> Table:
    names = [one.precision for one in report.precisions]
    rows = [
        [f"{one.number}", one.text, one.expected, *(one.answers.get(name, "") for name in names)]
        for one in report.disagreements[:_MOST_TEXTS]
    ]
    caption = "Examples that are not answered alike"
    return Table(caption, ["number", "text", "right", *names], rows, prose=True)


def _difference(differences: list[Difference], metric: str) -> str:
    for one in differences:
        if one.metric == metric and one.value is not None:
            interval = (
                f" ({_signed(one.low)} to {_signed(one.high)})" if one.low is not None else ""
            )
            return f"{_signed(one.value)}{interval}"
    return ""


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.4f}"
