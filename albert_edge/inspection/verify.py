"""Check the files of a bundle against its manifest, and its answers against the checkpoint."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from albert_edge.architecture.config import AlbertConfig, read_config
from albert_edge.bundle.bundle import Bundle, open_bundle
from albert_edge.check.parity import (
    compare,
    require_transformers,
    sample_inputs,
    transformers_run,
)
from albert_edge.checkpoint.source import find_source
from albert_edge.checkpoint.standard_layout import standard_layout
from albert_edge.checkpoint.tensors import open_checkpoint
from albert_edge.errors import QualityError
from albert_edge.progress import Progress, progress_bar
from albert_edge.runtime.session import Session

# Fields that export takes from the task and from the tensors.
_NOT_GEOMETRY = ("architectures", "add_pooling_layer")


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was checked.

    Attributes:
        bundle: The bundle.
        files: How many files were checked.
        differences: Largest absolute difference of each fp32 variant to the checkpoint.
    """

    bundle: Path
    files: int
    differences: dict[str, float]

    def __repr__(self) -> str:
        compared = f", {len(self.differences)} variants compared" if self.differences else ""
        return f"VerifyReport('{self.bundle}': {self.files} files{compared})"


def verify(
    bundle: str | os.PathLike[str],
    against: str | os.PathLike[str] | None = None,
    *,
    progress: bool | Progress = False,
) -> VerifyReport:
    """Check the files of a bundle and, if a checkpoint is given, its answers.

    Args:
        bundle: The bundle.
        against: A checkpoint folder, short name or hub id to run through transformers.
        progress: Whether to show a progress bar, or what to call with (what, done, total).

    Returns:
        What was checked.

    Raises:
        BundleError: A file is missing or changed.
        QualityError: An answer differs by more than float32 rounding.
        MissingExtraError: Comparing needs torch and transformers.
    """
    opened = open_bundle(bundle)
    with progress_bar(progress) as report:
        records = opened.check_all(partial(report, "checking files"))
        differences = _compare(opened, os.fspath(against), report) if against else {}
    return VerifyReport(opened.folder, len(records), differences)


def _require_same_geometry(bundle: AlbertConfig, checkpoint: AlbertConfig, against: str) -> None:
    for field in dataclasses.fields(AlbertConfig):
        ours, theirs = getattr(bundle, field.name), getattr(checkpoint, field.name)
        if field.name not in _NOT_GEOMETRY and ours != theirs:
            raise QualityError(
                f"{against} is another model: its {field.name} is {theirs}, the bundle's {ours}.",
                tip="Name the checkpoint the bundle was exported from.",
            )


def _compare(bundle: Bundle, against: str, report: Progress) -> dict[str, float]:
    require_transformers()  # before the checkpoint is read, which needs other packages
    head = bundle.manifest.head
    config = read_config(bundle.listed("config.json"))
    inputs = sample_inputs(config, head)
    with standard_layout(find_source(against)) as checkpoint:
        _require_same_geometry(config, open_checkpoint(checkpoint.folder).config, against)
        expected = list(map(transformers_run(checkpoint.folder, head), inputs))
    differences = {}
    variants = [
        variant
        for variant in bundle.manifest.variants
        if variant.precision == "fp32" and not variant.has_own_outputs
    ]
    for done, variant in enumerate(variants, 1):
        with Session(bundle, device="cpu", variant=variant.name) as session:
            parity = compare(expected, session.run, inputs)
        parity.require(
            variant.name,
            against,
            tip="The bundle was made from another checkpoint, or is wrong: export it again.",
        )
        differences[variant.name] = parity.largest
        report("comparing variants", done, len(variants))
    return differences
