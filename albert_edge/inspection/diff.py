"""What differs between two bundles or variants: sizes, plan, operators, weights and answers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from albert_edge.architecture.config import AlbertConfig
from albert_edge.bundle.bundle import Bundle, open_bundle
from albert_edge.bundle.manifest import PROMISES, Variant
from albert_edge.errors import Argument, Message, UsageError
from albert_edge.inspection.diff_answers import AnswersDiff, compare_answers
from albert_edge.inspection.diff_weights import WeightsDiff, compare_weights
from albert_edge.inspection.weights import Weights
from albert_edge.runtime.self_test import SELF_TEST

_PLAIN_FIELDS = (
    *("precision", "target", "layout", "opset", "exporter", "activations", "weights"),
    *("exits", *PROMISES),
)

_TWO_VARIANTS = Message(
    "two variants with ", Argument("variant"), " and ", Argument("second_variant")
)


@dataclass(frozen=True, slots=True)
class FieldDiff:
    """A field that differs, with its values; None where one side has none."""

    field: str
    first: Any
    second: Any


@dataclass(frozen=True, slots=True)
class VariantDiff:
    """What differs between two variants.

    Attributes:
        first: Name of the first.
        second: Name of the second.
        identical: Whether their files are byte-identical; then nothing else was compared.
        fields: Fields of the manifest that differ: precision, target, layout, matrices, size, ...
        operators: How often each operator occurs, where that differs.
        weights: Differences of their weights, or None if identical.
        answers: Differences of their answers, or None if they were not compared.
        no_answers: Why they were not compared, or None.
    """

    first: str
    second: str
    identical: bool
    fields: list[FieldDiff]
    operators: list[FieldDiff]
    weights: WeightsDiff | None
    answers: AnswersDiff | None
    no_answers: str | None


@dataclass(frozen=True, slots=True)
class DiffReport:
    """What differs between two bundles.

    Attributes:
        first: The first bundle.
        second: The second; the first again if two of its variants are compared.
        equal: Whether nothing differs.
        fields: Task, labels, source and sizes that differ.
        files: Configuration and tokenizer files that differ, with the start of their sha256.
        only_first: Variants that only the first bundle has.
        only_second: Variants that only the second has.
        variants: The pairs of variants that were compared.
    """

    first: Path
    second: Path
    equal: bool
    fields: list[FieldDiff]
    files: list[FieldDiff]
    only_first: list[str]
    only_second: list[str]
    variants: list[VariantDiff]

    def __repr__(self) -> str:
        result = "equal" if self.equal else f"{len(self.variants)} pairs of variants compared"
        return f"DiffReport('{self.first}', '{self.second}': {result})"


def diff(
    first: str | os.PathLike[str],
    second: str | os.PathLike[str] | None = None,
    *,
    variant: str | None = None,
    second_variant: str | None = None,
) -> DiffReport:
    """Compare two bundles, or two variants of one or of both.

    Args:
        first: A bundle.
        second: Another; by default the first, to compare two of its variants.
        variant: Of the first bundle; by default all variants that both have are compared.
        second_variant: Of the second; by default the one named like `variant`.

    Raises:
        BundleError: A bundle is missing or damaged, or has no such variant.
        UsageError: Only one variant is named.
    """
    ours = open_bundle(first)
    theirs = ours if second is None else open_bundle(second)
    pairs = _pairs(ours, theirs, variant, second_variant)
    configs = [bundle.read_config() for bundle in (ours, theirs)]
    fields = _differences(_about(ours, configs[0]), _about(theirs, configs[1]))
    files = _differences(_hashes(ours), _hashes(theirs))
    own_names, their_names = (_names(bundle) for bundle in (ours, theirs))
    if variant or second_variant:
        own_names = their_names = []
    only_first = [name for name in own_names if name not in their_names]
    only_second = [name for name in their_names if name not in own_names]
    variants = [_compare(ours, theirs, configs, *pair) for pair in pairs]
    return DiffReport(
        first=ours.path,
        second=theirs.path,
        equal=all(pair.identical for pair in variants)
        and not (fields or files or only_first or only_second),
        fields=fields,
        files=files,
        only_first=only_first,
        only_second=only_second,
        variants=variants,
    )


def _pairs(
    ours: Bundle, theirs: Bundle, variant: str | None, second_variant: str | None
) -> list[tuple[Variant, Variant]]:
    if variant is None and second_variant is None:
        if ours is theirs:
            raise UsageError(
                "There is nothing to compare the bundle with.",
                tip=Message("Name another with ", Argument("second"), ", or ", _TWO_VARIANTS, "."),
            )
        shared = [name for name in _names(ours) if name in _names(theirs)]
        return [(ours.variant(name), theirs.variant(name)) for name in shared]
    left = variant or second_variant
    right = second_variant or variant
    assert left is not None
    assert right is not None
    if ours is theirs and (variant is None or second_variant is None or left == right):
        raise UsageError(
            f"Variant {left!r} would be compared with itself.",
            tip=Message("Name ", _TWO_VARIANTS, ", or a bundle with ", Argument("second"), "."),
        )
    return [(ours.variant(left), theirs.variant(right))]


def _about(bundle: Bundle, config: AlbertConfig) -> dict[str, Any]:
    manifest = bundle.manifest
    fields = {
        "head": manifest.head,
        "task": manifest.task,
        "labels": list(manifest.labels),
        "problem_type": manifest.problem_type,
        "source": manifest.source,
        "revision": manifest.revision,
    }
    sizes = asdict(config)
    return {**fields, **{name: sizes[name] for name in sizes if name not in fields}}


def _hashes(bundle: Bundle) -> dict[str, str]:
    # Not the stored answers: they follow from the variants, up to how a machine rounds.
    files = (record for record in bundle.manifest.files if record.file != SELF_TEST)
    return {record.file: record.sha256[:12] for record in files}


def _names(bundle: Bundle) -> list[str]:
    return [variant.name for variant in bundle.manifest.variants]


def _differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[FieldDiff]:
    """List the keys whose values differ, in the order of the first mapping."""
    pairs = {name: (first.get(name), second.get(name)) for name in {**first, **second}}
    return [FieldDiff(name, *pair) for name, pair in pairs.items() if pair[0] != pair[1]]


def _plan(variant: Variant) -> dict[str, Any]:
    return {
        **{name: getattr(variant, name) for name in _PLAIN_FIELDS},
        **{f"matrix {name}": value for name, value in variant.matrices.items()},
        **{f"optimization {name}": count for name, count in variant.optimizations.items()},
        "bytes": variant.bytes,
    }


def _compare(
    ours: Bundle, theirs: Bundle, configs: list[AlbertConfig], left: Variant, right: Variant
) -> VariantDiff:
    if [file.sha256 for file in left.records] == [file.sha256 for file in right.records]:
        ours.check(*left.records)
        theirs.check(*right.records)
        return VariantDiff(left.name, right.name, True, [], [], None, None, None)
    weights = [Weights(ours, left), Weights(theirs, right)]
    answers, why = compare_answers(ours, theirs, configs, left, right)
    return VariantDiff(
        first=left.name,
        second=right.name,
        identical=False,
        fields=_differences(_plan(left), _plan(right)),
        operators=_differences(weights[0].operators, weights[1].operators),
        weights=compare_weights(*weights),
        answers=answers,
        no_answers=why,
    )
