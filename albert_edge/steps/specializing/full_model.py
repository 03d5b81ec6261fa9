"""The full model: what it answers to each part of the texts, in each precision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import cached_property

from albert_edge.architecture.config import AlbertConfig
from albert_edge.bundle.bundle import Bundle
from albert_edge.bundle.manifest import Variant
from albert_edge.check.portable import portable_file
from albert_edge.check.sample import Sample, encode_texts
from albert_edge.compress.rounding import Floats
from albert_edge.onnx_format.stored_weights import StoredWeights
from albert_edge.progress import Progress
from albert_edge.runtime.device import CPU
from albert_edge.runtime.session import Session
from albert_edge.runtime.variants import choose_variant
from albert_edge.steps.specializing.goal import Answered, answer
from albert_edge.steps.specializing.parts import Parts


class FullModel:
    """The model that a specialized one is compared with.

    Args:
        source: Its bundle.
        parts: The texts.
        origin: Where they come from, in words.
        labelled: Whether each has a label.
        progress: Called with (what, done, total).

    Attributes:
        source: The bundle.
        config: Its configuration.
        head: What it was trained for.
        samples: The texts of each part, encoded.
    """

    def __init__(
        self, source: Bundle, parts: Parts, origin: str, *, labelled: bool, progress: Progress
    ) -> None:
        self.source = source
        self.config: AlbertConfig = source.read_config()
        self.head = source.manifest.head
        self.samples = encode_parts(source, parts, origin, labelled=labelled)
        self._progress = progress
        self._answers: dict[tuple[str, str], Answered] = {}

    @cached_property
    def floats(self) -> Mapping[str, Floats]:
        """The weights in float32 by name, in memory only while they are used."""
        return StoredWeights(portable_file(self.source))

    def variant(self, precision: str) -> Variant:
        """Return the variant that answers in a precision."""
        return choose_variant(self.source, CPU, precision)

    def answers(self, precision: str, part: str) -> Answered:
        """Return the answers in a precision; each part is answered once."""
        key = precision, part
        if key not in self._answers:
            name = self.variant(precision).name
            with Session(self.source, device="cpu", variant=name) as session:
                what = f"answering in {precision}, {part} texts"
                self._answers[key] = answer(session.run, self.samples[part], what, self._progress)
        return self._answers[key]


def encode_parts(bundle: Bundle, parts: Parts, origin: str, *, labelled: bool) -> dict[str, Sample]:
    """Encode each part of the texts with the tokenizer of a bundle."""
    return {
        each.name: encode_texts(bundle, getattr(parts, each.name), origin, labelled=labelled)
        for each in fields(parts)
    }
