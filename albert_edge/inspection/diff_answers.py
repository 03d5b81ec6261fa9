"""How far the answers of two variants are apart on the same inputs."""

from __future__ import annotations

from dataclasses import dataclass

from albert_edge.architecture.config import AlbertConfig
from albert_edge.bundle.bundle import Bundle
from albert_edge.bundle.manifest import Variant
from albert_edge.check.quality import Judge, Outputs, Quality, thin
from albert_edge.check.sample import Sample, load_sample
from albert_edge.errors import MissingExtraError
from albert_edge.runtime.session import Session

_EVERY = 4  # of the texts of the sample, which is enough to see a difference

_INPUT_SIZES = ("vocab_size", "type_vocab_size", "max_position_embeddings")


@dataclass(frozen=True, slots=True)
class AnswersDiff:
    """How far answers are apart.

    Attributes:
        sample: What was asked.
        quality: Cosine, agreement and largest difference of the second's answers to the first's.
    """

    sample: str
    quality: Quality


def compare_answers(
    first: Bundle, second: Bundle, configs: list[AlbertConfig], left: Variant, right: Variant
) -> tuple[AnswersDiff | None, str | None]:
    """Ask two variants the same: texts if there is a tokenizer, else random ids.

    Args:
        first: A bundle.
        second: Another, or the same.
        configs: Their configurations.
        left: A variant of the first.
        right: A variant of the second.

    Returns:
        How far they are apart, or None and why they were not asked.
    """
    why = _why_not(first, second, configs, left, right)
    if why:
        return None, why
    sample = load_sample(first, configs[0], None, None).every(_EVERY)
    try:
        expected = _answers(first, left, sample)
        found = _answers(second, right, sample)
    except MissingExtraError as error:
        return None, f"{error} {error.tip}"
    judge = Judge(configs[0], first.manifest.head, expected)
    return AnswersDiff(f"{len(sample.inputs)} of {sample.origin}", judge.judge(found)), None


def _why_not(
    first: Bundle, second: Bundle, configs: list[AlbertConfig], left: Variant, right: Variant
) -> str | None:
    ours, theirs = first.manifest, second.manifest
    if ours.head != theirs.head:
        return f"one answers {ours.head}, the other {theirs.head}"
    for name in (*_INPUT_SIZES, "num_labels", "hidden_size"):
        if getattr(configs[0], name) != getattr(configs[1], name):
            return f"their {name} differs"
    tokenizers = [
        [record.sha256 for record in manifest.files if record.file == "tokenizer.json"]
        for manifest in (ours, theirs)
    ]
    if tokenizers[0] != tokenizers[1]:
        return "their tokenizers differ, so a text is other ids to each"
    if left.has_own_outputs or right.has_own_outputs:
        return "one of them answers only at [MASK]"
    return None


def _answers(bundle: Bundle, variant: Variant, sample: Sample) -> list[Outputs]:
    with Session(bundle, device="cpu", variant=variant.name) as session:
        return [thin(session.run(inputs)) for inputs in sample.inputs]
