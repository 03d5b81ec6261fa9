"""Add to a bundle one of its variants with early exits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt

from albert_edge.bundle.bundle import Bundle
from albert_edge.bundle.change import change
from albert_edge.bundle.manifest import MODEL, Variant
from albert_edge.check.quality import Outputs
from albert_edge.check.sample import Arrays
from albert_edge.check.self_test import AnswerRecorder, Run
from albert_edge.exits.build import Exits
from albert_edge.graph.plan import Plan, plan_of
from albert_edge.onnx_format.stored_weights import StoredWeights
from albert_edge.progress import Progress
from albert_edge.runtime.adaptation import adaptation_of
from albert_edge.runtime.device import CPU
from albert_edge.runtime.engine import run_file
from albert_edge.runtime.model_source import read_checked
from albert_edge.steps.specializing.goal import Goal

Weights = Mapping[str, npt.NDArray[Any]]


class Extended:
    """Writes and runs a variant with exits or traces, whose other weights are those of its file.

    Args:
        bundle: A bundle in a folder.
        variant: One of its variants, for CPUs.
        scratch: A folder for files that are not kept.
        progress: Called with (what, done, total).

    Attributes:
        config: The geometry.
        head: A key of `HEADS`.
        plan: How the variant was authored, in a loop.
    """

    def __init__(self, bundle: Bundle, variant: Variant, scratch: Path, progress: Progress) -> None:
        self.config = bundle.read_config()
        self.head = bundle.manifest.head
        self.plan = replace(plan_of(variant), layout="loop")
        self._bundle = bundle
        # The promise is about activations of 8 bits.
        self._variant = replace(variant, narrow_activations=False)
        stored = bundle.model_file(variant)
        read_checked(stored)
        self._stored = StoredWeights(stored)
        self._scratch = scratch
        self._progress = progress

    def run(
        self, plan: Plan, inputs: Sequence[Arrays], added: Weights | None = None
    ) -> Iterator[Outputs]:
        """Write a model with weights added, and yield its outputs for every text."""
        (path, *_) = self._write(self._scratch / "extended.onnx", plan, added or {})
        run = self._load(path)
        what = "looking for early exits" if plan.traced else "checking early exits"
        for done, arrays in enumerate(inputs, 1):
            yield run(arrays)
            self._progress(f"{what} in {self._variant.precision}", done, len(inputs))

    def add(self, exits: Exits, goal: Goal) -> None:
        """Add the variant with exits to the bundle, and what was promised of it."""
        name = f"{self._variant.name}_exits"
        answers = AnswerRecorder(self._bundle, self.config)
        with change(self._bundle.path) as pending:
            path = pending.path(f"onnx/{name}.onnx")
            files = self._write(path, exits.plan, exits.weights)
            answers.record(name, self._load(path))
            added = replace(
                self._variant,
                name=name,
                layout=exits.plan.layout,
                files={MODEL: tuple(map(pending.record, files))},
                exits=exits.plan.exits,
                promised_agreement=goal.min_agreement,
                promised_max_drop=goal.max_drop,
                measured=asdict(exits.evidence),
            )
            manifest = self._bundle.manifest.with_variant(added)
            pending.manifest = answers.write(pending, manifest)

    def _load(self, path: Path) -> Run:
        return run_file(path, adaptation=adaptation_of(self._variant, CPU))

    def _write(self, path: Path, plan: Plan, added: Weights) -> list[Path]:
        from albert_edge.graph.build import author
        from albert_edge.graph.writer import write_model

        def weight(name: str) -> npt.NDArray[Any]:
            return added[name] if name in added else self._stored[name]

        return write_model(author(self.config, self.head, plan), weight, path)
