"""Check the files and the answers of a bundle: against its manifest and against a checkpoint."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from albert_edge.architecture.config import AlbertConfig
from albert_edge.bundle.bundle import Bundle, open_bundle
from albert_edge.bundle.manifest import Variant
from albert_edge.bundle.signature import require_signed
from albert_edge.check.parity import (
    compare,
    require_transformers,
    sample_inputs,
    transformers_run,
)
from albert_edge.checkpoint.source import find_source
from albert_edge.checkpoint.standard_layout import standard_layout
from albert_edge.checkpoint.tensors import open_checkpoint
from albert_edge.errors import DeviceError, InstallationError, QualityError
from albert_edge.progress import Progress, progress_bar
from albert_edge.runtime.model_source import read_checked
from albert_edge.runtime.self_test import AnswerCheck, check_answers, read_self_test
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
        answers: The difference of each variant's answers, here, to the stored ones.
        unanswered: Variants whose answers were not compared with stored ones, and why.
        signer: The public key that the bundle is signed with, in base64; None if none was given.
    """

    bundle: Path
    files: int
    differences: dict[str, float]
    answers: dict[str, AnswerCheck] = field(default_factory=dict)
    unanswered: dict[str, str] = field(default_factory=dict)
    signer: str | None = None

    def __repr__(self) -> str:
        variants = len({*self.differences, *self.answers})
        compared = f", answers of {variants} variants" if variants else ""
        return f"VerifyReport('{self.bundle}': {self.files} files{compared})"


def verify(
    bundle: str | os.PathLike[str],
    against: str | os.PathLike[str] | None = None,
    *,
    key: str | os.PathLike[str] | None = None,
    progress: bool | Progress = False,
) -> VerifyReport:
    """Check the files of a bundle and its answers.

    Every variant is run on this machine, and its answers are compared with those that were stored
    when it was written, so that a kernel that computes something else is noticed. Variants without
    stored answers, or whose device is not here, are not run; nor is any without onnxruntime.

    Args:
        bundle: The bundle.
        against: A checkpoint folder, short name or hub id to run through transformers.
        key: A file with a public key, with which `sign` must have signed the bundle.
        progress: Whether to show a progress bar, or what to call with (what, done, total).

    Returns:
        What was checked.

    Raises:
        BundleError: A file is missing or changed, or has a graph that no exporter writes, or the
            bundle is not signed with the key.
        QualityError: Answers differ from the stored ones, or from the checkpoint's, by more than
            rounding.
        InstallationError: Comparing needs torch and transformers, and signatures need cryptography.
    """
    opened, signer = open_bundle(bundle), None
    if key is not None:
        opened, signer = require_signed(opened, Path(key))
    with progress_bar(progress) as report:
        records = opened.check_all(partial(report, "checking files"))
        for variant in opened.manifest.variants:
            for role in variant.files:
                read_checked(opened.model_file(variant, role))
        differences = _compare(opened, os.fspath(against), report) if against else {}
        answers, unanswered = _check_answers(opened, report)
    return VerifyReport(opened.path, len(records), differences, answers, unanswered, signer)


def _check_answers(
    bundle: Bundle, report: Progress
) -> tuple[dict[str, AnswerCheck], dict[str, str]]:
    answers, unanswered = {}, {}
    stored = read_self_test(bundle).outputs
    variants = bundle.manifest.variants
    for done, variant in enumerate(variants, 1):
        if variant.name not in stored:
            unanswered[variant.name] = "The bundle has none stored for it."
            continue
        try:
            if check := _check(bundle, variant):
                answers[variant.name] = check
        except (DeviceError, InstallationError) as error:
            unanswered[variant.name] = str(error)
        report("comparing with stored answers", done, len(variants))
    wrong = [name for name, check in answers.items() if not check.holds]
    if wrong:
        raise _other_answers(bundle, {name: answers[name] for name in wrong})
    return answers, unanswered


def _other_answers(bundle: Bundle, wrong: dict[str, AnswerCheck]) -> QualityError:
    differences = ", ".join(
        f"{name} differs by {check.difference:.2g}, more than {check.tolerance:g}"
        for name, check in wrong.items()
    )
    return QualityError(
        f"{bundle.path} does not compute its stored answers on this machine: {differences}.",
        tip="Update onnxruntime, use another variant, or make these again on this machine.",
    )


def _check(bundle: Bundle, variant: Variant) -> AnswerCheck | None:
    device = "cuda" if variant.target == "cuda" else "cpu"
    with Session(bundle, device=device, variant=variant.name) as session:
        return check_answers(session)


def _require_same_geometry(bundle: AlbertConfig, checkpoint: AlbertConfig, against: str) -> None:
    for size in dataclasses.fields(AlbertConfig):
        ours, theirs = getattr(bundle, size.name), getattr(checkpoint, size.name)
        if size.name not in _NOT_GEOMETRY and ours != theirs:
            raise QualityError(
                f"{against} is another model: its {size.name} is {theirs}, the bundle's {ours}.",
                tip="Name the checkpoint the bundle was exported from.",
            )


def _compare(bundle: Bundle, against: str, report: Progress) -> dict[str, float]:
    require_transformers()  # before the checkpoint is read, which needs other packages
    head = bundle.manifest.head
    config = bundle.read_config()
    inputs = sample_inputs(config, head)
    with standard_layout(find_source(against)) as checkpoint:
        _require_same_geometry(config, open_checkpoint(checkpoint.folder).config, against)
        expected = list(map(transformers_run(checkpoint.folder, head), inputs))
    differences = {}
    variants = [
        variant
        for variant in bundle.manifest.variants
        if variant.mode == "fp32" and not variant.has_own_outputs
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
