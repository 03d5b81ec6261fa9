"""How right the answers of a bundle are on data that says what is right."""

from __future__ import annotations

from albert_edge.measure.evaluate.report import (
    Difference,
    Disagreement,
    EvaluateReport,
    PrecisionResult,
)

__all__ = ["Difference", "Disagreement", "EvaluateReport", "PrecisionResult"]
