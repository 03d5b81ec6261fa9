"""A checkpoint -> a bundle with the portable fp32 model."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from albert_edge.architecture.config import AlbertConfig, read_config
from albert_edge.architecture.heads import HEADS, head_of_class
from albert_edge.bundle.change import Staging, change, is_decided
from albert_edge.bundle.manifest import MANIFEST, MODEL, PORTABLE, Manifest, Variant
from albert_edge.checkpoint.source import Source, find_source
from albert_edge.checkpoint.tokenizer import TokenizerFiles, read_tokenizer
from albert_edge.choices import require_choice
from albert_edge.errors import Argument, Message, UsageError
from albert_edge.steps.exporters import Progress, Written, native, optimum
from albert_edge.steps.sentence_files import write_ranking_files, write_sentence_files

Exporter = Literal["native", "optimum"]

PORTABLE_FILE = "onnx/model.onnx"

TASKS = tuple(HEADS)

LARGEST_DIFFERENCE = "largest_difference"

_EXPORTERS = {"native": native, "optimum": optimum}


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export did.

    Attributes:
        bundle: The bundle written.
        task: What it answers.
        source: Where the checkpoint came from.
        revision: The commit of the hub, or None.
        exporter: "native" or "optimum".
        weight_bytes: Size of the weights in float32, or None if the exporter does not say.
        model_bytes: Size of the model and its external data.
        unused: Tensors of heads the task does not use.
        tokenizer: Whether the bundle has a tokenizer.
        largest_difference: To transformers, if verified, else None.
    """

    bundle: Path
    task: str
    source: str
    revision: str | None
    exporter: Exporter
    weight_bytes: int | None
    model_bytes: int
    unused: tuple[str, ...]
    tokenizer: bool
    largest_difference: float | None


def export(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    task: str = "auto",
    revision: str | None = None,
    exporter: Exporter = "native",
    verify: bool = False,
    force: bool = False,
    progress: Progress = lambda done, total: None,
) -> ExportReport:
    """Export an ALBERT checkpoint to a bundle.

    Args:
        source: A folder, the short name of a known checkpoint, or a hub id.
        out: The bundle to write; by default a folder of the source's last name, here.
        task: One of `TASKS`, or "auto" to take it from config.json's architectures.
        revision: Branch, tag or commit of the hub.
        exporter: "native" writes the graph itself, without torch; "optimum" traces it with
            optimum, for heads that are not one of transformers' own.
        verify: Whether to compare the answers with transformers before the bundle is written.
        force: Whether to replace what the folder `out` holds.
        progress: Called with the bytes of weights written so far and in all.

    Returns:
        What was done.

    Raises:
        AlbertEdgeError: See `albert_edge.errors`; nothing was written then.
    """
    found = find_source(os.fspath(source), revision)
    folder = Path(out) if out is not None else Path(found.name.rpartition("/")[2])
    _refuse_to_overwrite(folder, force=force)
    config = read_config(found.folder / "config.json")
    chosen = _choose_task(task, config, found)
    job = _Job(found, config, chosen, exporter)
    with change(folder) as pending:
        written = job.write_model(pending.staging.path(PORTABLE_FILE), progress)
        measured = job.verify(written) if verify else {}
        pending.manifest = job.manifest(pending.staging, written, measured)
    return job.report(folder, written, pending.manifest.variants[0])


class _Job:
    """One export, all that can be checked ahead checked when it is made."""

    def __init__(self, source: Source, config: AlbertConfig, task: str, exporter: Exporter) -> None:
        self.source = source
        self.config = config
        self.task = task
        self.exporter = exporter
        self.tokenizer = read_tokenizer(source.folder)
        self.write_model = _EXPORTERS[exporter].prepare(source.folder, task)

    def verify(self, written: Written) -> dict[str, float]:
        """Compare the model just written with transformers.

        Raises:
            QualityError: They are further apart than float32 rounding explains.
        """
        from albert_edge.check.parity import compare, sample_inputs, transformers_run
        from albert_edge.runtime.engine import run_file

        inputs = sample_inputs(self.config, self.task)
        expected = list(map(transformers_run(self.source.folder, self.task), inputs))
        parity = compare(expected, run_file(written.files[0]), inputs)
        parity.require(
            "The exported model",
            "transformers",
            tip=Message(
                "Please report this checkpoint; ",
                Argument("exporter", "optimum"),
                " uses another exporter.",
            ),
        )
        return {LARGEST_DIFFERENCE: parity.largest}

    def manifest(self, staging: Staging, written: Written, measured: dict[str, float]) -> Manifest:
        """Write the files beside the model, and list all of them."""
        variant = Variant(
            name=PORTABLE,
            files={MODEL: tuple(map(staging.record, written.files))},
            inputs={MODEL: written.inputs},
            precision="fp32",
            target="portable",
            layout="unrolled",
            opset=written.opset,
            exporter=self.exporter,
            measured=measured,
        )
        return Manifest(
            head=self.task,
            labels=self.config.labels,
            problem_type=self.config.problem_type,
            source=self.source.name,
            revision=self.source.revision,
            files=tuple(staging.record(staging.path(file)) for file in self._neighbours(staging)),
            variants=(variant,),
        )

    def _neighbours(self, staging: Staging) -> list[str]:
        files = _write_neighbours(staging, self.source.folder, self.tokenizer)
        if self.task == "feature-extraction":
            files += write_sentence_files(staging, self.source, self.config)
        if self.task == "text-classification":
            files += write_ranking_files(staging, self.source)
        return files

    def report(self, folder: Path, written: Written, variant: Variant) -> ExportReport:
        """Say what was done."""
        return ExportReport(
            bundle=folder,
            task=self.task,
            source=self.source.name,
            revision=self.source.revision,
            exporter=self.exporter,
            weight_bytes=written.weight_bytes,
            model_bytes=variant.bytes,
            unused=written.unused,
            tokenizer=self.tokenizer is not None,
            largest_difference=variant.measured.get(LARGEST_DIFFERENCE),
        )


def _refuse_to_overwrite(folder: Path, *, force: bool) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UsageError(f"{folder} is a file.", tip="Name another folder for the bundle.")
    if force:
        return
    if (folder / MANIFEST).exists() or is_decided(folder):
        raise UsageError(
            f"{folder} is a bundle already.",
            tip=Message("Replace it with ", Argument("force", True), "."),
        )
    # Hidden entries are what a run that was cut off left behind.
    if any(not path.name.startswith(".") for path in folder.iterdir()):
        raise UsageError(
            f"{folder} is not empty.",
            tip=Message(
                "Name another folder, or write into it with ", Argument("force", True), "."
            ),
        )


def _choose_task(task: str, config: AlbertConfig, source: Source) -> str:
    if task == "auto":
        named = filter(None, map(head_of_class, config.architectures))
        if head := next(named, None):
            return head
        if source.head:
            return source.head
        raise UsageError(
            f"{source.folder / 'config.json'} names no known architecture "
            f"({', '.join(config.architectures) or 'none'}).",
            tip=Message(
                "Say what the model answers with ", Argument("task"), f": {', '.join(TASKS)}."
            ),
        )
    require_choice("task", task, HEADS)
    return task


def _write_neighbours(
    staging: Staging, checkpoint: Path, tokenizer: TokenizerFiles | None
) -> list[str]:
    """Write configuration and tokenizer beside the model, as Hugging Face does."""
    shutil.copyfile(checkpoint / "config.json", staging.path("config.json"))
    files = ["config.json"]
    if tokenizer is not None:
        for name, text in (
            ("tokenizer.json", tokenizer.tokenizer_json),
            ("tokenizer_config.json", _json(tokenizer.tokenizer_config)),
            ("special_tokens_map.json", _json(tokenizer.special_tokens_map)),
        ):
            staging.path(name).write_bytes(text.encode())
            files.append(name)
    return files


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
