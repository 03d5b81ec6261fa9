"""Accuracy and other metrics of a bundle's answers on labelled data.

    data ──> examples ──> answers of each precision ──> outcomes ──> metrics, confidence intervals

`run` does all of it; a `Scorer` reads one kind of data and scores the answers to it.
"""

from __future__ import annotations

from albert_edge.evaluation.report import (
    Difference,
    Disagreement,
    EvaluateReport,
    PrecisionResult,
)
from albert_edge.evaluation.run import evaluate

__all__ = ["Difference", "Disagreement", "EvaluateReport", "PrecisionResult", "evaluate"]
