"""A bundle -> one that does less work for texts like a sample, with the same answers.

Nothing is trained but the small classifiers of early exits, and torch is not needed. Every decision
is judged against the full model, on texts that it was not made on (see `specializing.parts`).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, Unpack

from albert_edge.bundle.bundle import Bundle, open_bundle
from albert_edge.bundle.change import Change, change, refuse_to_overwrite
from albert_edge.check.agreement import is_binary
from albert_edge.check.portable import portable_file, require_onnx
from albert_edge.check.sample import File, Texts, read_texts, texts_per_item
from albert_edge.errors import Argument, BundleError, Call, Message, QualityError, UsageError
from albert_edge.progress import Progress, progress_bar
from albert_edge.records.fields import Record
from albert_edge.runtime.memory import large_blocks_returned
from albert_edge.runtime.parameters import require_known
from albert_edge.steps.specializing.full_model import FullModel
from albert_edge.steps.specializing.goal import Goal, goal
from albert_edge.steps.specializing.job import Decision, Job
from albert_edge.steps.specializing.measure import Row
from albert_edge.steps.specializing.parts import cut, strings, texts_needed


class LeftOut(TypedDict, total=False):
    """What a specialized model may leave out.

    Attributes:
        width: Neurons and attention heads of the layer; by default yes.
        exits: The last applications of the layer, where a text is certain before; by default yes.
        vocabulary: The pieces of the vocabulary that no text uses; by default no.
        keep_texts: Further texts whose pieces are kept.
    """

    width: bool
    exits: bool
    vocabulary: bool
    keep_texts: Texts | None


@dataclass(frozen=True, slots=True)
class SpecializeReport:
    """The result of specializing, or why it was refused.

    Attributes:
        bundle: The bundle that it started from.
        out: The bundle written.
        sample: The texts, in words.
        texts: How many texts are in each part of the sample.
        min_agreement: The agreement with the full model that is promised, or None.
        max_drop: The loss of accuracy that is allowed instead, in percentage points, or None.
        decisions: One for each part that might be left out.
        rows: What was measured on the test texts, the full int8 model first.
        variants: The names of the variants written; none if it was refused.
    """

    bundle: Path
    out: Path
    sample: str
    texts: Mapping[str, int]
    min_agreement: float | None
    max_drop: float | None
    decisions: list[Decision]
    rows: list[Row]
    variants: list[str]

    def __repr__(self) -> str:
        done = f"{self.rows[-1].speedup:.2f} x as fast" if self.variants else "refused"
        return f"SpecializeReport('{self.out}': {done})"


def specialize(
    bundle: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    texts: Texts | None = None,
    data: File | None = None,
    min_agreement: float | None = None,
    max_drop: float | None = None,
    force: bool = False,
    progress: bool | Progress = False,
    **parts: Unpack[LeftOut],
) -> SpecializeReport:
    """Write a bundle that does less work for texts like these, if its answers stay the same.

    Args:
        bundle: A bundle with an int8 variant.
        out: The bundle to write.
        texts: Texts like those that it will answer, without labels: a list, or a file as
            `predict` reads it. They are cut into parts at random.
        data: Instead, a .tsv, .csv or .jsonl file of texts with a "label" each.
        min_agreement: The agreement with the full model of the same precision that each variant
            has on texts like these, with a confidence of 95 %; by default 0.99.
        max_drop: Instead, with `data`, the largest loss of accuracy in percentage points.
        force: Whether to replace what the folder `out` holds.
        progress: Whether to show a progress bar, or what to call with (what, done, total).
        **parts: `width`, `exits`, `vocabulary` and `keep_texts`, which are those of `LeftOut`.

    Raises:
        QualityError: Nothing can be left out. Its `report` is a `SpecializeReport`; nothing was
            written.
        AlbertEdgeError: See `albert_edge.errors`; nothing was written then either.
    """
    require_known("specialize", parts, LeftOut.__annotations__)
    target = goal(min_agreement, max_drop, data)
    _check_parts(parts)
    require_onnx("Specializing")
    opened, folder = open_bundle(bundle), Path(out)
    _check_source(opened, folder)
    refuse_to_overwrite(folder, force=force)
    records, origin = _read(opened, texts, data, target)
    cut_records = cut(records)
    with (
        large_blocks_returned(),
        change(folder) as pending,
        progress_bar(progress) as step,
        tempfile.TemporaryDirectory(dir=pending.scratch, ignore_cleanup_errors=True) as scratch,
    ):
        full = FullModel(opened, cut_records, origin, labelled=data is not None, progress=step)
        result = Job(full, cut_records, target, Path(scratch), step).run(
            width=parts.get("width", True),
            exits=parts.get("exits", True),
            keep=_kept(opened, parts),
        )
        variants = [] if result.bundle is None else _move(result.bundle, pending)
        report = SpecializeReport(
            bundle=opened.path,
            out=folder,
            sample=origin,
            texts=cut_records.counts,
            min_agreement=target.min_agreement,
            max_drop=target.max_drop,
            decisions=result.decisions,
            rows=result.rows,
            variants=variants,
        )
        if not variants:
            raise _refusal(report)
    return report


def _check_parts(parts: LeftOut) -> None:
    given = {"width": True, "exits": True, "vocabulary": False, **parts}
    if not any(given[name] for name in ("width", "exits", "vocabulary")):
        raise UsageError(
            "There is nothing to leave out.",
            tip=Message(
                *("Allow at least one of ", Argument("width", True), ", ", Argument("exits", True)),
                *(" and ", Argument("vocabulary", True), "."),
            ),
        )
    if given.get("keep_texts") is not None and not given["vocabulary"]:
        raise UsageError(
            Message(Argument("keep_texts"), " only says which pieces of the vocabulary to keep."),
            tip=Message("Pass ", Argument("vocabulary", True), " too, or leave it out."),
        )


def _check_source(source: Bundle, out: Path) -> None:
    portable_file(source)
    if all(variant.mode != "int8" for variant in source.manifest.variants):
        raise BundleError(
            f"{source.path} has no int8 variant to start from.",
            tip=Message("Make one with: ", Call("quantize", source.path, precision="int8")),
            where=source.path,
        )
    if any(variant.exits for variant in source.manifest.variants):
        raise BundleError(
            f"{source.path} is specialized: its answers are no longer those of the full model.",
            tip="Start from the bundle that it was made from.",
            where=source.path,
        )
    if source.path.resolve() in (out.resolve(), *out.resolve().parents):
        raise UsageError(
            f"{out} is in the bundle to start from, which stays as it is.",
            tip="Name another folder for the specialized bundle.",
        )


def _read(
    source: Bundle, texts: Texts | None, data: File | None, target: Goal
) -> tuple[list[Record], str]:
    """Read the texts, and check that there are enough for the promise."""
    if texts is None and data is None:
        raise UsageError(
            "Specializing needs texts like those that the model will answer.",
            tip=Message("Pass ", Argument("texts", "FILE"), "; they need no labels."),
        )
    config, head = source.read_config(), source.manifest.head
    records, origin = read_texts(source, config, texts, data)
    items = target.promise.texts_needed(binary=is_binary(config, head))
    needed = texts_needed(texts_per_item(head) * items)
    if len(records) < needed:
        name = "max_drop" if target.by_labels else "min_agreement"
        limit = Argument(name, getattr(target, name))
        raise UsageError(
            Message(
                f"{len(records):,} texts of {origin} are too few: ",
                *(limit, f" takes at least {needed:,}, and more if some of them disagree."),
            ),
            tip=Message("Give more texts, or relax the limit with ", Argument(name), "."),
        )
    return records, origin


def _kept(source: Bundle, parts: LeftOut) -> list[str] | None:
    """Return the further texts whose pieces are kept, or None if the vocabulary stays."""
    if not parts.get("vocabulary"):
        return None
    keep = parts.get("keep_texts")
    if keep is None:
        return []
    records, _ = read_texts(source, source.read_config(), keep, None)
    return list(strings(records))


def _move(bundle: Path, pending: Change) -> list[str]:
    """Move the files of a bundle into a change of another, and return the names of variants."""
    manifest = open_bundle(bundle).manifest
    for record in manifest.distinct_records():
        (bundle / record.file).replace(pending.path(record.file))
    pending.manifest = manifest
    return [variant.name for variant in manifest.variants]


def _refusal(report: SpecializeReport) -> QualityError:
    # The message of an error that decided is a sentence.
    reasons = (f"{each.part}: {each.summary.removesuffix('.')}" for each in report.decisions)
    limit = Argument("min_agreement" if report.max_drop is None else "max_drop")
    return QualityError(
        f"Nothing can be left out for texts like {report.sample} ({'; '.join(reasons)}).",
        tip=Message("Give more texts, or relax the limit with ", limit, "."),
        report=report,
    )
