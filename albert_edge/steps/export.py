"""A checkpoint -> a bundle with the portable fp32 model."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, TypedDict, Unpack

from albert_edge.architecture.heads import (
    HEAD_OF_TASK,
    HEADS,
    head_of_class,
    heads_with_biases,
)
from albert_edge.bundle.bundle import Bundle
from albert_edge.bundle.change import Change, change, refuse_to_overwrite
from albert_edge.bundle.manifest import MODEL, PORTABLE, Manifest, Variant
from albert_edge.bundle.storage import Folder
from albert_edge.checkpoint.source import Source, find_source
from albert_edge.checkpoint.standard_layout import standard_layout
from albert_edge.checkpoint.tensors import Checkpoint, open_checkpoint
from albert_edge.checkpoint.tokenizer import (
    Overrides,
    TokenizerFiles,
    describe,
    read_tokenizer,
    require_harmless,
)
from albert_edge.choices import require_choice
from albert_edge.errors import Argument, Message, UsageError
from albert_edge.progress import Progress, progress_bar
from albert_edge.runtime.parameters import require_known
from albert_edge.runtime.tasks import find_task
from albert_edge.steps.bundle_config import bundle_config
from albert_edge.steps.exporters import Written, native, optimum
from albert_edge.steps.sentence_files import check_sentence_files, write_sentence_files

Exporter = Literal["native", "optimum"]

PORTABLE_FILE = "onnx/model.onnx"

LARGEST_DIFFERENCE = "largest_difference"

_EXPORTERS = {"native": native, "optimum": optimum}


@dataclass(frozen=True, slots=True)
class ExportReport:
    """The result of an export.

    Attributes:
        bundle: The bundle written.
        head: What the model was trained for.
        task: What a pipeline does with it by default, if a task was named.
        source: Where the checkpoint came from.
        revision: The commit of the hub, or None.
        base: Where the base of an adapter came from, or None.
        layers: How many layers the model has.
        exporter: "native" or "optimum".
        weight_bytes: Size of the weights in float32, or None if the exporter does not report it.
        model_bytes: Size of the model and its external data.
        unused: Tensors of the checkpoint's other heads.
        ignored: Tensors of no ALBERT, such as the weights of a loss or the transitions of a CRF.
        prefix: What was taken off the names of tensors, such as "module.", or "".
        lacks_pooler: Whether the model outputs last_hidden_state only, as the body was saved
            without its pooler.
        tokenizer: Whether the bundle has a tokenizer.
        normalization: What the tokenizer does to texts, such as "lower-cases, strips accents", or
            None without one.
        warnings: What may be wrong with the tokenizer.
        largest_difference: Largest difference to transformers, or None if not verified.
    """

    bundle: Path
    head: str
    task: str | None
    source: str
    revision: str | None
    base: str | None
    layers: int
    exporter: Exporter
    weight_bytes: int | None
    model_bytes: int
    unused: tuple[str, ...]
    ignored: tuple[str, ...]
    prefix: str
    lacks_pooler: bool
    tokenizer: bool
    normalization: str | None
    warnings: tuple[Message, ...]
    largest_difference: float | None

    def __repr__(self) -> str:
        size = f"{self.model_bytes / 1e6:.1f} MB"
        return f"ExportReport('{self.bundle}': {self.task or self.head}, {size})"


class Reading(TypedDict, total=False):
    """How to read a checkpoint.

    Attributes:
        base: The checkpoint that the LoRA adapter in the source adapts, in which it is merged; by
            default the weights beside it, or else the base that its adapter_config.json names.
        keep_accents: Whether the tokenizer keeps accents, and other marks of letters such as vowel
            signs; None is as the recipe of a known checkpoint says, or else the tokenizer's files.
        lowercase: Whether the tokenizer lower-cases texts; None means the same.
        layers: How many layers to export, counted from the first; by default all. `inspect BUNDLE
            --depth` shows what each number of them answers. The shallower model is what to
            fine-tune further: a head that was trained on all layers may read fewer badly.
    """

    base: str | os.PathLike[str] | None
    keep_accents: bool | None
    lowercase: bool | None
    layers: int | None


def export(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    task: str = "auto",
    revision: str | None = None,
    exporter: Exporter = "native",
    verify: bool = False,
    force: bool = False,
    progress: bool | Progress = False,
    **reading: Unpack[Reading],
) -> ExportReport:
    """Export an ALBERT checkpoint to a bundle.

    Args:
        source: A folder, the short name of a known checkpoint, or a hub id.
        out: The bundle to write; by default a folder of the source's last name, here.
        task: What the model was trained for, such as "text-classification"; a task of a pipeline,
            such as "sentence-embeddings", which the bundle then answers by default; or "auto" to
            take it from config.json's architectures or, where it has none, from the weights.
        revision: Branch, tag or commit of the hub.
        exporter: "native" writes the graph itself, without torch; "optimum" traces the model of
            transformers with torch.
        verify: Whether to compare the answers with transformers before the bundle is written.
        force: Whether to replace what the folder `out` holds.
        progress: Whether to show a progress bar, or what to call with ("writing weights", bytes
            written, bytes in all).
        **reading: `base`, `keep_accents`, `lowercase` and `layers`, which are those of `Reading`.

    Raises:
        AlbertEdgeError: See `albert_edge.errors`; nothing was written then.
    """
    require_choice("exporter", exporter, Exporter)
    require_known("export", reading, Reading.__annotations__)
    _EXPORTERS[exporter].require_packages()
    base, layers = reading.get("base"), reading.get("layers")
    if layers is not None and exporter != "native":
        raise UsageError(
            f"{exporter} exports all layers.",
            tip=Message("Leave out ", Argument("layers"), " or ", Argument("exporter"), "."),
        )
    found = find_source(os.fspath(source), revision, None if base is None else os.fspath(base))
    folder = Path(out) if out is not None else Path(found.name.rpartition("/")[2])
    refuse_to_overwrite(folder, force=force)
    with standard_layout(found) as converted:
        checkpoint = open_checkpoint(converted.folder)
        if layers is not None:
            checkpoint = checkpoint.first_layers(layers)
        head, chosen_task = _choose_head(task, checkpoint, converted)
        overrides = Overrides(reading.get("keep_accents"), reading.get("lowercase"))
        if recipe := converted.recipe:
            overrides = overrides.or_else(Overrides(recipe.keep_accents, recipe.lowercase))
        tokenizer = read_tokenizer(converted.folder, overrides, require_harmless)
        write_model = _EXPORTERS[exporter].prepare(checkpoint, head)
        job = _Export(
            converted, checkpoint, head, chosen_task, exporter, tokenizer, only_head=task == head
        )
        with change(folder) as pending, progress_bar(progress, unit="bytes") as report:
            neighbours = job.write_neighbours(pending)
            path = pending.path(PORTABLE_FILE)
            written = write_model(path, partial(report, "writing weights"))
            manifest = job.manifest(neighbours, pending, written)
            if verify:
                manifest = job.verify(manifest, pending, written)
            pending.manifest = manifest
    return job.report(folder, written, manifest.variants[0])


@dataclass(frozen=True, slots=True)
class _Export:
    """One export, checked before anything is written.

    `only_head` is whether the user asks for a head only, and not for what sentence-transformers
    does with its outputs.
    """

    source: Source
    checkpoint: Checkpoint
    head: str
    task: str | None
    exporter: Exporter
    tokenizer: TokenizerFiles | None
    only_head: bool

    @property
    def lacks_pooler(self) -> bool:
        """Whether a body has no pooler, so that its model outputs hidden states only."""
        return self.head == "feature-extraction" and not self.checkpoint.config.add_pooling_layer

    def verify(self, manifest: Manifest, pending: Change, written: Written) -> Manifest:
        """Compare the model just written with transformers, and store answers for a self-test.

        Returns:
            The manifest with the largest difference, and with the file of the answers.

        Raises:
            QualityError: They differ by more than float32 rounding.
        """
        from albert_edge.check.parity import compare, sample_inputs, transformers_run
        from albert_edge.check.self_test import AnswerRecorder
        from albert_edge.runtime.engine import run_file

        config = self.checkpoint.config
        inputs = sample_inputs(config, self.head)
        reference = transformers_run(
            self.source.folder,
            self.head,
            num_hidden_layers=config.num_hidden_layers,
            num_hidden_groups=config.num_hidden_groups,
        )
        expected = list(map(reference, inputs))
        run = run_file(written.files[0])
        parity = compare(expected, run, inputs)
        parity.require(
            "The exported model",
            "transformers",
            tip=Message(
                "Please report this checkpoint, and try ", Argument("exporter", "optimum"), "."
            ),
        )
        answers = AnswerRecorder(Bundle(Folder(pending.folder), manifest), self.checkpoint.config)
        answers.record_portable(run)
        (variant,) = manifest.variants
        variant = replace(variant, measured={LARGEST_DIFFERENCE: parity.largest})
        return answers.write(pending, manifest.with_variant(variant))

    def manifest(self, neighbours: list[str], pending: Change, written: Written) -> Manifest:
        """List the model and the files beside it."""
        variant = Variant(
            name=PORTABLE,
            files={MODEL: tuple(map(pending.record, written.files))},
            inputs={MODEL: written.inputs},
            precision="fp32",
            target="portable",
            layout="unrolled",
            opset=written.opset,
            exporter=self.exporter,
        )
        return Manifest(
            head=self.head,
            task=self.task,
            labels=self.checkpoint.config.labels,
            problem_type=self.checkpoint.config.problem_type,
            source=self.source.name,
            revision=self.source.revision,
            files=tuple(pending.record(pending.path(file)) for file in neighbours),
            variants=(variant,),
        )

    def write_neighbours(self, pending: Change) -> list[str]:
        """Write configuration and tokenizer as Hugging Face does, to be beside the model."""
        path = self.source.folder / "config.json"
        config = self.checkpoint.config
        contents = {
            "config.json": bundle_config(path, self.head, config, has_pooler=not self.lacks_pooler)
        }
        if self.tokenizer is not None:
            contents["tokenizer.json"] = self.tokenizer.tokenizer_json.encode()
            contents["tokenizer_config.json"] = _json(self.tokenizer.tokenizer_config)
            contents["special_tokens_map.json"] = _json(self.tokenizer.special_tokens_map)
        for file, content in contents.items():
            pending.write(file, [content])
        files = write_sentence_files(pending, self.source, config, self.head)
        if not self.only_head:
            check_sentence_files(pending, self.source, config, self.head)
        return [*contents, *files]

    def report(self, folder: Path, written: Written, variant: Variant) -> ExportReport:
        """Report what was done."""
        return ExportReport(
            bundle=folder,
            head=self.head,
            task=self.task,
            source=self.source.name,
            revision=self.source.revision,
            base=self.source.base.name if self.source.base else None,
            layers=self.checkpoint.config.num_hidden_layers,
            exporter=self.exporter,
            weight_bytes=written.weight_bytes,
            model_bytes=variant.bytes,
            unused=written.unread.of_heads,
            ignored=written.unread.leftovers,
            prefix=self.checkpoint.prefix,
            lacks_pooler=self.lacks_pooler,
            tokenizer=self.tokenizer is not None,
            normalization=describe(self.tokenizer.tokenizer) if self.tokenizer else None,
            warnings=self.tokenizer.warnings if self.tokenizer else (),
            largest_difference=variant.measured.get(LARGEST_DIFFERENCE),
        )


def _choose_head(task: str, checkpoint: Checkpoint, source: Source) -> tuple[str, str | None]:
    """Choose the head, and the task of a pipeline if `task` names one."""
    if task != "auto":
        name = task
        if task not in HEADS:
            with contextlib.suppress(UsageError):  # require_choice reports an unknown name
                name = find_task(task)
        require_choice("task", name, [*dict.fromkeys([*HEADS, *HEAD_OF_TASK])])
        return (name, None) if name in HEADS else (HEAD_OF_TASK[name], name)
    architectures = checkpoint.config.architectures
    heads = [head for name in architectures if (head := head_of_class(name))]
    if not heads and source.recipe:
        heads = [source.recipe.head]
    if not heads and not architectures:
        heads = heads_with_biases(checkpoint.parameters)
        if len(heads) > 1:
            raise _unknown_head(source, f"its weights fit {', '.join(heads)}")
    if not heads:
        raise _unknown_head(source, f"it names {', '.join(architectures)}")
    return heads[0], None


def _unknown_head(source: Source, why: str) -> UsageError:
    return UsageError(
        f"{source.folder / 'config.json'} names no known architecture; {why}.",
        tip=Message(
            "Name what the model was trained for with ", Argument("task"), f": {', '.join(HEADS)}."
        ),
        where=source.folder,
    )


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
