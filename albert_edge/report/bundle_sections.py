"""What a page says of the bundle itself: the model, its files, and how good they were measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from albert_edge.bundle.manifest import Manifest
from albert_edge.inspection.inspect import Inspection, VariantContent
from albert_edge.report.page import Section, Table


def model_section(inspection: Inspection) -> Section:
    """Task, labels, geometry, and where the weights are."""
    labels = ", ".join(inspection.labels)
    model = [["task", inspection.task], ["labels", labels], ["source", inspection.source]]
    geometry = [[name, f"{value}"] for name, value in inspection.geometry.items()]
    groups = [[one.name, f"{one.parameters:,}", f"{one.bytes:,}"] for one in inspection.groups]
    total = sum(one.bytes for one in inspection.groups)
    groups.append(["total", f"{inspection.parameters:,}", f"{total:,}"])
    return Section(
        "model",
        "Model",
        tables=[
            Table("What it answers", ["property", "value"], model, prose=True),
            Table("Geometry, as in config.json", ["field", "value"], geometry),
            Table("Weights, each counted once", ["tensors", "parameters", "bytes"], groups),
        ],
    )


def files_section(inspection: Inspection, manifest: Manifest) -> Section:
    """Each way of running the model, and each file with its hash."""
    variants = [
        [one.name, one.precision, one.target, one.layout, f"{one.opset}", f"{one.bytes:,}"]
        for one in inspection.variants
    ]
    files = [[one.file, f"{one.bytes:,}", one.sha256] for one in manifest.records()]
    columns = ["variant", "precision", "operators of", "layout", "opset", "bytes"]
    tables = [
        Table("Ways of running the model", columns, variants),
        Table("Files", ["file", "bytes", "sha256"], files),
    ]
    if matrices := _matrices(inspection.variants):
        tables.insert(1, matrices)
    return Section("files", "Files and sizes", tables=tables)


def _matrices(variants: list[VariantContent]) -> Table | None:
    compressed = [one for one in variants if one.matrices]
    if not compressed:
        return None
    names = list(dict.fromkeys(name for one in compressed for name in one.matrices))
    rows = [[name, *(one.matrices.get(name, "") for one in compressed)] for name in names]
    return Table("Precision of each matrix", ["matrix", *(one.name for one in compressed)], rows)


def quality_section(inspection: Inspection) -> Section:
    """What the manifest says was measured when each variant was written."""
    rows = [_quality(one) for one in inspection.variants]
    columns = [
        *("variant", "compared with", "texts", "cosine, mean", "cosine, worst"),
        *("decisions that agree", "largest difference", "accuracy (reference's)"),
    ]
    text = ["Measured when each variant was written, and kept in the bundle."]
    if inspection.unsigned_weights:
        text.append("This CPU gets int8 weights as unsigned bytes, whose products it adds exactly.")
    return Section(
        "quality", "Quality", text, tables=[Table("Answers beside the reference's", columns, rows)]
    )


def _quality(variant: VariantContent) -> list[str]:
    measured = variant.measured
    return [
        variant.name,
        _reference(variant),
        _text(measured, "texts", ",.0f"),
        _text(measured, "cosine", ".5f"),
        _text(measured, "worst_cosine", ".5f"),
        _text(measured, "agreement", ".2%"),
        _text(measured, "largest_difference", ".1e"),
        _accuracy(measured),
    ]


def _reference(variant: VariantContent) -> str:
    if not variant.measured:
        return "nothing"
    if "cosine" in variant.measured:
        return f"fp32, {variant.measured.get('sample') or 'a sample'}"
    return "the portable variant" if variant.name != "model" else "transformers"


def _accuracy(measured: Mapping[str, Any]) -> str:
    if measured.get("accuracy") is None:
        return ""
    return f"{_text(measured, 'accuracy', '.2%')} ({_text(measured, 'reference_accuracy', '.2%')})"


def _text(measured: Mapping[str, Any], key: str, form: str) -> str:
    """A figure in words; a manifest may hold what this version did not write."""
    value = measured.get(key)
    if value is None:
        return ""
    return format(value, form) if isinstance(value, int | float) else str(value)
