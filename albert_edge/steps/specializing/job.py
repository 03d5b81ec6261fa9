"""Decide part by part what a specialized model leaves out, and build it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from albert_edge.architecture.config import AlbertConfig
from albert_edge.architecture.heads import HEADS
from albert_edge.bundle.bundle import open_bundle
from albert_edge.bundle.change import change
from albert_edge.bundle.manifest import Variant
from albert_edge.check.quality import Outputs
from albert_edge.check.sample import Sample
from albert_edge.compress.options import compression
from albert_edge.compress.rounding import Floats
from albert_edge.errors import QualityError, UsageError
from albert_edge.exits.build import AnsweredTexts, build_exits
from albert_edge.progress import Progress
from albert_edge.pruning.vocabulary import (
    ReducedVocabulary,
    VocabularyFiles,
    reduce_vocabulary,
)
from albert_edge.pruning.width import Part, narrow, what_is_kept
from albert_edge.runtime.adaptation import Adaptation, adaptation_of
from albert_edge.runtime.device import CPU
from albert_edge.runtime.engine import run_file
from albert_edge.runtime.variants import choose_variant
from albert_edge.steps.optimize import optimize
from albert_edge.steps.quantize import quantize
from albert_edge.steps.specializing.exit_variant import Extended
from albert_edge.steps.specializing.full_model import FullModel, encode_parts
from albert_edge.steps.specializing.goal import Answered, Goal, answer, as_they_are, exaggerated
from albert_edge.steps.specializing.measure import Candidate, Row, measure
from albert_edge.steps.specializing.parts import Parts, strings
from albert_edge.steps.specializing.rewrite import copy_bundle, write_bundle

LeftOut = Literal["vocabulary", "width", "exits"]

# The precisions of the variants that are written. Each is compared with the full model in the same.
_PRECISIONS = ("fp32", "int8")


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a part of the model is left out.

    Attributes:
        part: Which.
        accepted: Whether it is.
        summary: What is left out, or why it is not, in words.
    """

    part: LeftOut
    accepted: bool
    summary: str


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a model.

    Attributes:
        bundle: The new bundle, or None if nothing can be left out.
        decisions: One for each part that might be left out; for exits, one for each precision.
        rows: What was measured on the test texts.
    """

    bundle: Path | None
    decisions: list[Decision]
    rows: list[Row]


class Job:
    """Builds a specialized bundle.

    Args:
        full: The full model.
        parts: The texts.
        goal: How close the answers must stay.
        scratch: A folder for files that are not kept.
        progress: Called with (what, done, total).
    """

    def __init__(
        self, full: FullModel, parts: Parts, goal: Goal, scratch: Path, progress: Progress
    ) -> None:
        self._full = full
        self._parts = parts
        self._goal = goal
        self._scratch = scratch
        self._bundle = scratch / "bundle"
        self._progress = progress
        self._decisions: list[Decision] = []
        self._restore: Callable[[Outputs], Outputs] = as_they_are

    def run(self, *, width: bool, exits: bool, keep: Sequence[str] | None) -> Result:
        """Leave out what the goal allows.

        Args:
            width: Whether neurons and attention heads may be left out.
            exits: Whether the last applications of the layer may be.
            keep: Texts whose pieces the vocabulary keeps, beside those of the sample; None to keep
                all pieces.
        """
        full = self._full
        reduced = None if keep is None else self._reduce_vocabulary(keep)
        changed = width and self._narrow(reduced)
        if not changed and reduced is not None:
            changed = self._write(full.config, full.floats, reduced, "vocabulary")
            reduced = reduced if changed else None
        if reduced is None:
            self._restore = as_they_are
        if not changed and not exits:
            return Result(None, self._decisions, [])
        if not changed:
            self._copy()
        samples = self._encode(reduced)
        if exits:
            self._add_exits(samples)
        if not any(decision.accepted for decision in self._decisions):
            return Result(None, self._decisions, [])
        return Result(self._bundle, self._decisions, self._measure(samples["test"]))

    def _reduce_vocabulary(self, keep: Sequence[str]) -> ReducedVocabulary | None:
        """Drop the pieces that no text uses, and count how often a held-out text would miss one."""
        source, parts = self._full.source, self._parts
        files = VocabularyFiles(
            source.read_text("tokenizer.json") or "",
            source.read_object("tokenizer_config.json").values,
            source.read_object("config.json").values,
        )
        used = [*strings(parts.fit), *strings(parts.calibration), *keep]
        held_out = [*strings(parts.test)]
        coverage = reduce_vocabulary(files, used).coverage(held_out)
        reduced = reduce_vocabulary(files, [*used, *held_out])
        if reduced.rows == reduced.size:
            self._decide("vocabulary", "every piece is used or has to stay")
            return None
        missing = 1 - coverage.share_of_texts
        self._decide(
            "vocabulary",
            f"{reduced.rows:,} of {reduced.size:,} pieces kept; {missing:.1%} of the test texts "
            "use one that no other text uses: about as many new texts are cut into smaller pieces",
            accepted=True,
        )
        self._restore = partial(reduced.restore, head=self._full.head)
        return reduced

    def _narrow(self, reduced: ReducedVocabulary | None) -> bool:
        """Write a narrower model if one is close enough to the full one."""
        full = self._full
        narrowed = narrow(
            full.config,
            full.head,
            full.floats,
            self._part("fit", exaggerated),
            self._part("calibration", lambda answers, _: answers),
            self._scratch,
            self._progress,
        )
        if not narrowed.gained:
            self._decide("width", narrowed.reason)
            return False
        if not self._write(narrowed.config, narrowed.floats, reduced, "width"):
            return False
        self._decide("width", what_is_kept(full.config, narrowed.config), accepted=True)
        return True

    def _part(
        self, name: str, change: Callable[[Sequence[Outputs], Answered], Sequence[Outputs]]
    ) -> Part:
        """Return a part of the texts, on which fp32 models are judged by answers, changed."""
        full = self._full.answers("fp32", name)

        def judge(answers: Sequence[Outputs]) -> bool:
            return self._holds(self._losses(full, change(answers, full)))

        return Part(name, full.sample.inputs, judge)

    def _write(
        self,
        config: AlbertConfig,
        floats: Mapping[str, Floats],
        reduced: ReducedVocabulary | None,
        part: LeftOut,
    ) -> bool:
        """Write the bundle with its variants without exits, if they keep the promise.

        If they do not, this decides against a part, and removes the bundle.
        """
        try:
            self._author(config, floats, reduced)
            # Narrower models were tested in fp32 already, with the vocabulary that they had.
            precisions = ("int8",) if reduced is None else _PRECISIONS
            reason = self._broken_promise(self._encode(reduced)["calibration"], precisions)
        except QualityError as error:
            reason = str(error)
        if not reason:
            return True
        shutil.rmtree(self._bundle)
        self._decisions = [each for each in self._decisions if each.part != part]
        self._decide(part, reason)
        return False

    def _copy(self) -> None:
        """Write the bundle with the full model as it is."""
        variants = [self._full.variant(precision) for precision in _PRECISIONS]
        copy_bundle(self._bundle, self._full.source, variants)
        if all(variant.target != "cpu" for variant in variants if variant.precision == "fp32"):
            optimize(self._bundle)

    def _author(
        self, config: AlbertConfig, floats: Mapping[str, Floats], reduced: ReducedVocabulary | None
    ) -> None:
        source = self._full.source
        write_bundle(self._bundle, source, config, floats, reduced, self._progress)
        optimize(self._bundle)
        int8 = self._full.variant("int8")
        names = ("activations", "weights", "layout")
        options = {name: getattr(int8, name) or None for name in names}
        # The calibration texts decide, rather than the limits of quantize.
        quantize(
            self._bundle,
            compression("int8", **options),
            texts=self._parts.fit,
            min_agreement=0.0,
            min_cosine=0.0,
            progress=self._progress,
        )

    def _encode(self, reduced: ReducedVocabulary | None) -> dict[str, Sample]:
        """Encode the texts with the tokenizer of the new bundle."""
        full = self._full
        if reduced is None:
            return full.samples
        sample = full.samples["test"]
        labelled = sample.labels is not None
        return encode_parts(
            open_bundle(self._bundle), self._parts, sample.origin, labelled=labelled
        )

    def _add_exits(self, samples: Mapping[str, Sample]) -> None:
        """Add variants with exits, if the model can have them."""
        full = self._full
        if not HEADS[full.head].can_exit:
            self._decide("exits", f"they are not available for {full.head} models")
        elif full.config.num_hidden_layers == 1:
            self._decide("exits", "the layer is applied only once")
        else:
            for precision in _PRECISIONS:
                self._add_exits_in(precision, samples)

    def _add_exits_in(self, precision: str, samples: Mapping[str, Sample]) -> None:
        """Add a variant with exits, if one is close enough to the full model and worth it."""
        opened = open_bundle(self._bundle)
        variant = choose_variant(opened, CPU, precision)
        extended = Extended(opened, variant, self._scratch, self._progress)
        try:
            exits = build_exits(
                extended,
                extended.plan,
                self._answered(precision, "fit", samples),
                self._answered(precision, "calibration", samples),
                self._goal.promise,
            )
        except (QualityError, UsageError) as error:
            self._decide("exits", f"{precision}: {error}")
            return
        extended.add(exits, self._goal)
        mean, every = exits.evidence.mean_layers, extended.config.num_hidden_layers
        summary = f"{precision}: {mean:.1f} of {every} applications of the layer on average"
        self._decide("exits", summary, accepted=True)

    def _answered(self, precision: str, part: str, samples: Mapping[str, Sample]) -> AnsweredTexts:
        """Return texts for the new model, with the answers of the full one."""
        full = self._full.answers(precision, part)
        (output,) = HEADS[self._full.head].decisive
        answers = [outputs[output] for outputs in full.outputs]
        return AnsweredTexts(samples[part].inputs, answers, self._goal.counted(full))

    def _measure(self, sample: Sample) -> list[Row]:
        """Measure int8 on the test texts: the full model, the new one without and with exits."""
        full = self._full
        names = {v.mode: v.name for v in open_bundle(self._bundle).manifest.variants}
        candidates = [
            Candidate("full", full.source.path, full.variant("int8").name, full.samples["test"])
        ]
        plain = [each.part for each in self._decisions if each.accepted and each.part != "exits"]
        if plain:
            candidates.append(
                Candidate(" + ".join(plain), self._bundle, names["int8"], sample, self._restore)
            )
        if exits := names.get("int8-exits"):
            name = " + ".join([*plain, "exits"])
            candidates.append(Candidate(name, self._bundle, exits, sample))
        elif exits := names.get("fp32-exits"):
            name = " + ".join([*plain, "exits in fp32"])
            candidates.append(Candidate(name, self._bundle, exits, sample))
        return measure(candidates, full.config, self._goal, self._progress)

    def _broken_promise(self, sample: Sample, precisions: Sequence[str]) -> str:
        """Return why variants without exits do not keep the promise on calibration texts, or "".

        Whether int8 may compute with activations of 7 bits is decided here too.
        """
        opened = open_bundle(self._bundle)
        for precision in precisions:
            variant = choose_variant(opened, CPU, precision)
            wide = replace(variant, narrow_activations=False)
            losses = self._calibration_losses(wide, adaptation_of(wide, CPU), sample)
            if not self._holds(losses):
                return (
                    f"{precision} would change {losses.mean():.2%} of {len(losses):,} calibration "
                    f"texts, too many to promise at most {1 - self._goal.promise.min_agreement:.2%}"
                )
            if variant.narrow_activations:
                losses = self._calibration_losses(wide, Adaptation.NARROW_ACTIVATIONS, sample)
                if not self._holds(losses):
                    with change(self._bundle) as pending:
                        pending.manifest = opened.manifest.with_variant(wide)
        return ""

    def _calibration_losses(
        self, variant: Variant, adaptation: Adaptation | None, sample: Sample
    ) -> Floats:
        """Return the losses of a variant without exits, in a form in which it is loaded."""
        precision = variant.precision
        run = run_file(self._bundle / variant.file, adaptation=adaptation)
        what = f"answering in {precision}, calibration texts"
        answers = answer(run, sample, what, self._progress, self._restore).outputs
        return self._losses(self._full.answers(precision, "calibration"), answers)

    def _holds(self, losses: Floats) -> bool:
        return self._goal.holds(losses, self._full.config, self._full.head)

    def _losses(self, full: Answered, answers: Sequence[Outputs]) -> Floats:
        return self._goal.losses(self._full.config, self._full.head, full, answers)

    def _decide(self, part: LeftOut, summary: str, *, accepted: bool = False) -> None:
        self._decisions.append(Decision(part, accepted, summary))
