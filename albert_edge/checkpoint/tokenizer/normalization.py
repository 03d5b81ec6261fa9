"""The normalizer of a tokenizer.json, as JSON: what settings and options change in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from albert_edge.checkpoint.tokenizer.settings import Settings

# One step of a normalizer, or several in a step of type "Sequence"; None does nothing.
Step: TypeAlias = Mapping[str, Any]

_BEFORE_CASE = ("Lowercase", "Precompiled")

# What the step "Nmt" of the tokenizers library does: it removes control characters, and makes
# spaces of other white space and of characters without a width.
_NMT: tuple[Step, ...] = (
    {
        "type": "Replace",
        "pattern": {"Regex": "[\u0001-\u0008\u000b\u000e-\u001f\u007f\u008f\u009f]"},
        "content": "",
    },
    {
        "type": "Replace",
        "pattern": {"Regex": "[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]"},
        "content": " ",
    },
)


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the user knows better than the checkpoint; None is as the checkpoint has it.

    Attributes:
        keep_accents: Whether accents, and other marks above or below letters, are kept.
        lowercase: Whether texts are lower-cased.
    """

    keep_accents: bool | None = None
    lowercase: bool | None = None

    def or_else(self, other: Overrides) -> Overrides:
        """Return these and, where these say nothing, those of `other`."""
        return Overrides(
            other.keep_accents if self.keep_accents is None else self.keep_accents,
            other.lowercase if self.lowercase is None else self.lowercase,
        )

    def apply(self, settings: Settings) -> Settings:
        """Return the settings with these in place of the checkpoint's own."""
        changes: dict[str, bool] = {}
        if self.keep_accents is not None:
            changes |= {"keep_accents": self.keep_accents, "strip_accents": not self.keep_accents}
        if self.lowercase is not None:
            changes["do_lower_case"] = self.lowercase
        config = replace(settings.config, values=settings.config.values | changes)
        return replace(settings, config=config)

    def apply_to_json(self, normalizer: Step | None) -> Step | None:
        """Return a normalizer with these in place of what it does."""
        steps = [self._apply_to_bert(step) for step in _steps(normalizer)]
        if self.keep_accents is True:
            steps = _without_stripping(steps)
        elif self.keep_accents is False and not any(map(_strips, steps)):
            steps = _insert(steps, [{"type": "NFKD"}, {"type": "StripAccents"}], _BEFORE_CASE)
        if self.lowercase is False:
            steps = [step for step in steps if not _lowers(step)]
        elif self.lowercase is True and not any(map(_lowers, steps)):
            steps = _insert(steps, [{"type": "Lowercase"}], ("Precompiled",))
        if steps == _steps(normalizer):
            return normalizer
        is_one = len(steps) == 1 and normalizer is not None and "normalizers" not in normalizer
        return steps[0] if is_one else {"type": "Sequence", "normalizers": steps}

    def _apply_to_bert(self, step: Step) -> Step:
        if not is_bert(step):
            return step
        strips = None if self.keep_accents is None else not self.keep_accents
        wanted = {"strip_accents": strips, "lowercase": self.lowercase}
        return {**step, **{name: value for name, value in wanted.items() if value is not None}}


def is_bert(step: Step | None) -> bool:
    """Return whether a normalizer, or a step of one, is BERT's."""
    return step is not None and step.get("type") == "BertNormalizer"


def with_bert_settings(normalizer: Step | None, settings: Settings) -> Step:
    """Return BERT's normalizer as BertTokenizer sets it from its settings and their defaults."""
    return {
        **(normalizer or {}),
        "lowercase": settings.config.flag("do_lower_case", True),
        "strip_accents": settings.config.flag("strip_accents", None),
        "handle_chinese_chars": settings.config.flag("tokenize_chinese_chars", True),
    }


def without_nmt(normalizer: Step | None) -> Step | None:
    """Return a normalizer with other steps in place of "Nmt", which transformers.js lacks."""
    steps = _steps(normalizer)
    if not any(step.get("type") == "Nmt" for step in steps):
        return normalizer
    spelled = [part for step in steps for part in (_NMT if step["type"] == "Nmt" else (step,))]
    return {"type": "Sequence", "normalizers": spelled}


def _steps(normalizer: Step | None) -> list[Step]:
    if normalizer is None:
        return []
    return normalizer["normalizers"] if normalizer.get("type") == "Sequence" else [normalizer]


def _without_stripping(steps: list[Step]) -> list[Step]:
    """Remove what strips accents, and the decomposition that goes before it."""
    kept: list[Step] = []
    for step in steps:
        if not _strips(step):
            kept.append(step)
        elif kept and kept[-1].get("type") in ("NFKD", "NFD"):
            kept.pop()
    return kept


def _strips(step: Step) -> bool:
    if is_bert(step):
        strips = step.get("strip_accents")
        return bool(step["lowercase"] if strips is None else strips)
    if step.get("type") == "Replace":
        return step.get("content") == "" and "\u0300" in str(step["pattern"].get("Regex", ""))
    return step.get("type") == "StripAccents"


def _lowers(step: Step) -> bool:
    if is_bert(step):
        return bool(step["lowercase"])
    return step.get("type") == "Lowercase"


def _insert(steps: list[Step], new: list[Step], before: tuple[str, ...]) -> list[Step]:
    """Insert steps before the first of some types, or at the end."""
    places = (at for at, step in enumerate(steps) if step.get("type") in before)
    at = next(places, len(steps))
    return [*steps[:at], *new, *steps[at:]]
