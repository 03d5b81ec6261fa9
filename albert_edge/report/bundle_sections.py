"""The sections about the bundle itself: agreement with fp32, the model, and its files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from albert_edge.bundle.manifest import Manifest
from albert_edge.inspection.inspect import Inspection, VariantContent
from albert_edge.report.page import Section, Table


def agreement_section(inspection: Inspection) -> Section:
    """Show how close each variant's answers were to the reference when it was written."""
    columns = [
        *("variant", "reference", "texts", "cosine (mean)", "cosine (lowest)"),
        *("agreement", "largest difference of a logit", "accuracy", "accuracy of the reference"),
    ]
    text = ["Measured when each variant was written, and kept in the bundle."]
    if inspection.unsigned_weights:
        text.append(
            "This CPU adds int8 products exactly with unsigned weights or 7-bit activations only."
        )
    rows = [_agreement(variant) for variant in inspection.variants]
    table = Table("Answers compared with the reference", columns, rows)
    return Section("agreement", "Agreement with fp32", text, tables=[table])


def _agreement(variant: VariantContent) -> list[str]:
    formats = {
        **{"texts": ",.0f", "cosine": ".5f", "worst_cosine": ".5f", "agreement": ".2%"},
        **{"largest_difference": ".1e", "accuracy": ".2%", "reference_accuracy": ".2%"},
    }
    measured = variant.measured
    return [
        variant.name,
        _reference(variant),
        *(_text(measured, key, form) for key, form in formats.items()),
    ]


def _reference(variant: VariantContent) -> str:
    if not variant.measured:
        return "not measured"
    if variant.exits:
        return f"the full model, {variant.measured.get('sample') or 'a sample'}"
    if "cosine" in variant.measured:
        return f"fp32, {variant.measured.get('sample') or 'a sample'}"
    return "the portable variant" if variant.name != "model" else "transformers"


def _text(measured: Mapping[str, Any], key: str, form: str) -> str:
    """Format a value; a manifest may hold what this version did not write."""
    value = measured.get(key)
    if value is None:
        return ""
    return format(value, form) if isinstance(value, int | float) else str(value)


def model_section(inspection: Inspection) -> Section:
    """Show the task, labels and source, and folded the geometry and the weights."""
    labels = ", ".join(map(str, inspection.labels))
    model = [["head", inspection.head], ["labels", labels], ["source", inspection.source]]
    geometry = [[name, f"{value}"] for name, value in inspection.geometry.items()]
    groups = [
        [group.name, f"{group.parameters:,}", f"{group.bytes:,}"] for group in inspection.groups
    ]
    total = sum(group.bytes for group in inspection.groups)
    groups.append(["total", f"{inspection.parameters:,}", f"{total:,}"])
    columns = ["tensors", "parameters", "size, bytes"]
    return Section(
        "model",
        "Model",
        tables=[
            Table("Model", ["property", "value"], model, prose=True),
            Table("Geometry, as in config.json", ["field", "value"], geometry, folded=True),
            Table("Weights, each counted once", columns, groups, folded=True),
        ],
    )


def files_section(inspection: Inspection, manifest: Manifest) -> Section:
    """Show the variants, and folded the precision of each matrix and the hash of each file."""
    variants = [
        [
            variant.name,
            variant.mode,
            variant.target,
            variant.layout,
            f"{variant.opset}",
            f"{variant.bytes:,}",
        ]
        for variant in inspection.variants
    ]
    files = [[record.file, f"{record.bytes:,}", record.sha256] for record in manifest.records()]
    columns = ["variant", "precision", "target", "layout", "opset", "size, bytes"]
    tables = [
        Table("Variants", columns, variants),
        *_matrices(inspection.variants),
        Table("Files and hashes", ["file", "size, bytes", "sha256"], files, folded=True),
    ]
    return Section("files", "Files", tables=tables)


def _matrices(variants: list[VariantContent]) -> list[Table]:
    compressed = [variant for variant in variants if variant.matrices]
    names = list(dict.fromkeys(name for variant in compressed for name in variant.matrices))
    rows = [[name, *(variant.matrices.get(name, "") for variant in compressed)] for name in names]
    columns = ["matrix", *(variant.name for variant in compressed)]
    return [Table("Precision of each matrix", columns, rows, folded=True)] if rows else []
