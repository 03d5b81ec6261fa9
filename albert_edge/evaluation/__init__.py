"""How right the answers of a bundle are on data that says what is right.

    data ──> examples ──> answers of each precision ──> outcomes ──> metrics, intervals

`run` is the way through; a subject knows one kind of data and how answers to it are scored.
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
