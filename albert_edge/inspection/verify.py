"""Checking a bundle: its files against the manifest, its answers against the checkpoint."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path

from albert_edge.architecture.config import AlbertConfig, read_config
from albert_edge.bundle.bundle import Bundle, open_bundle
from albert_edge.check.parity import compare, sample_inputs, transformers_run
from albert_edge.checkpoint.source import find_source
from albert_edge.errors import QualityError
from albert_edge.runtime.session import Session


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was checked.

    Attributes:
        bundle: The bundle.
        files: How many files were found as the manifest lists them.
        differences: Largest absolute difference of each fp32 variant to the checkpoint.
    """

    bundle: Path
    files: int
    differences: dict[str, float]


def verify(bundle: str | os.PathLike[str], *, against: str | None = None) -> VerifyReport:
    """Check the files of a bundle and, if a checkpoint is given, its answers.

    Args:
        bundle: The bundle.
        against: A checkpoint folder, short name or hub id to run through transformers.

    Raises:
        BundleError: A file is missing or changed.
        QualityError: An answer differs by more than float32 rounding.
        MissingExtraError: Comparing needs torch and transformers.
    """
    opened = open_bundle(bundle)
    records = opened.check_all()
    differences = _compare(opened, against) if against else {}
    return VerifyReport(opened.folder, len(records), differences)


def _require_same_geometry(bundle: AlbertConfig, checkpoint: AlbertConfig, against: str) -> None:
    for field in dataclasses.fields(AlbertConfig):
        ours, theirs = getattr(bundle, field.name), getattr(checkpoint, field.name)
        if field.name != "architectures" and ours != theirs:
            raise QualityError(
                f"{against} is another model: its {field.name} is {theirs}, the bundle's {ours}.",
                tip="Name the checkpoint the bundle was exported from.",
            )


def _compare(bundle: Bundle, against: str) -> dict[str, float]:
    task = bundle.manifest.head
    config = read_config(bundle.listed("config.json"))
    checkpoint = find_source(against).folder
    _require_same_geometry(config, read_config(checkpoint / "config.json"), against)
    inputs = sample_inputs(config, task)
    expected = list(map(transformers_run(checkpoint, task), inputs))
    differences = {}
    for variant in bundle.manifest.variants:
        if variant.precision != "fp32" or variant.has_own_outputs:
            continue
        with Session(bundle, device="cpu", variant=variant.name) as session:
            parity = compare(expected, session.run, inputs)
        parity.require(
            variant.name,
            against,
            tip="The bundle was made from another checkpoint, or is wrong: export it again.",
        )
        differences[variant.name] = parity.largest
    return differences
