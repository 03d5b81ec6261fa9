"""The differences between the answers of two variants to the same inputs."""

from __future__ import annotations

from dataclasses import dataclass

from albert_edge.architecture.config import AlbertConfig
from albert_edge.architecture.heads import LAYERS
from albert_edge.bundle.bundle import Bundle
from albert_edge.bundle.manifest import Variant
from albert_edge.check.quality import Outputs, Quality, Reference, thin
from albert_edge.check.sample import Sample, load_sample
from albert_edge.errors import InstallationError
from albert_edge.runtime.exits import mean_layers
from albert_edge.runtime.session import Session

_STEP = 4  # every fourth text of the sample is enough to see a difference

_INPUT_SIZES = ("vocab_size", "type_vocab_size", "max_position_embeddings")


@dataclass(frozen=True, slots=True)
class AnswersDiff:
    """The differences between answers.

    Attributes:
        sample: The inputs, in words.
        quality: Cosine, agreement and largest difference of the second's answers to the first's.
        mean_layers: How many layers early exits applied on average, in the first and the second;
            None in place of one without early exits.
    """

    sample: str
    quality: Quality
    mean_layers: tuple[float | None, float | None] = (None, None)


def compare_answers(
    first: Bundle, second: Bundle, configs: list[AlbertConfig], left: Variant, right: Variant
) -> tuple[AnswersDiff | None, str | None]:
    """Compare the answers to the same texts, or to random ids if there is no tokenizer.

    Args:
        first: A bundle.
        second: Another, or the same.
        configs: Their configurations.
        left: A variant of the first.
        right: A variant of the second.

    Returns:
        The differences, or None and why they were not compared.
    """
    why = _why_not(first, second, configs, left, right)
    if why:
        return None, why
    sample = load_sample(first, configs[0], None, None).every(_STEP)
    try:
        expected, layers = _answers(first, left, sample)
        answers, other_layers = _answers(second, right, sample)
    except InstallationError as error:
        return None, f"{error} {error.tip}"
    quality = Reference(configs[0], first.manifest.head, expected).compare(answers)
    origin = f"{len(sample.inputs)} of {sample.origin}"
    return AnswersDiff(origin, quality, (layers, other_layers)), None


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
        return "their tokenizers differ, so the same text has different ids"
    if left.has_own_outputs or right.has_own_outputs:
        return "one of them answers only at [MASK]"
    return None


def _answers(
    bundle: Bundle, variant: Variant, sample: Sample
) -> tuple[list[Outputs], float | None]:
    """Run a variant: its outputs, and the mean number of layers if it may stop early."""
    with Session(bundle, device="cpu", variant=variant.name) as session:
        answers = [thin(_of_head(session.run(inputs))) for inputs in sample.inputs]
        return answers, mean_layers(session.layer_counts)


def _of_head(outputs: Outputs) -> Outputs:
    return {name: values for name, values in outputs.items() if name != LAYERS}
