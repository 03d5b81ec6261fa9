"""albert_edge.json: the list of what is in a bundle. Files that it does not list are ignored.

Schema 2 is written; schema 1, whose variants list one model's files, is read for ever. Optional
fields of a newer version are ignored and listed in `Manifest.unknown_fields`. Changing the bundle
drops them, since this version cannot know whether they still hold.

Standard library only, since the runtime and the exporter both import this module.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from albert_edge.architecture.config import LabelName
from albert_edge.architecture.heads import Input
from albert_edge.architecture.precisions import with_exits

MANIFEST = "albert_edge.json"
# Of the manifest, in a bundle that is signed; the manifest does not list it.
SIGNATURE = f"{MANIFEST}.sig"
# Folders of a bundle that is being changed, see `change`.
CHANGE, COMMIT, STAGING = ".change", ".commit", ".staging-"
SCHEMA_VERSION = 2

# The variant that export writes and all others are authored from.
PORTABLE = "model"

# The role of the one model of an encoder. A model in several parts has a role for each.
MODEL = "model"

# What earlier versions called a variant that a new one of the same precision replaces.
_FORMER_NAMES = {"model_quantized": "model_int8"}

# What may be promised of a variant with exits, in words, by the field that says how much.
PROMISES = {
    "promised_agreement": "agreement {:.2%}",
    "promised_max_drop": "a loss of accuracy of at most {:.2f} points",
}


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file of a bundle: its path inside the folder, its content hash and its size in bytes."""

    file: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Variant:
    """One way of running the model.

    Attributes:
        name: Such as "model" or "model_optimized".
        files: By role, the .onnx file and then its external data, if any.
        inputs: By role, the arrays that the .onnx file takes.
        precision: "fp32" and, once compressed, "int8", "int8-block", "int4", "mixed" or "fp16".
        target: What its operators are for, such as "portable" or "cpu".
        layout: "unrolled" or "loop".
        opset: Version of the ONNX operator set.
        exporter: "native" or "optimum".
        optimizations: How often each rewrite was applied, by name.
        matrices: The precision of each matrix, of a compressed variant.
        activations: What shares a scale if activations are quantized at run time, "per-token" or
            "per-tensor"; else empty.
        weights: If so, how integer weights are stored, "signed" or "unsigned"; else empty. Earlier
            versions, which only knew signed ones, left it out.
        exits: After how many applications of the layer, counted from the first, a text may be
            answered; 0 for a model that applies all of them to every text.
        promised_agreement: The agreement with the full model that was asked for and met on texts
            held out, between 0 and 1; None if `exits` is 0 or it was not promised.
        promised_max_drop: Instead, the loss of accuracy in percentage points that was asked for and
            met on labelled texts held out. Texts that the full model gets wrong may change freely.
        narrow_activations: If so, whether the answers also stay within the limits with activations
            of 7 bits, which CPUs without VNNI multiply faster.
        measured: Measurements made on writing it, such as the largest difference to fp32.
    """

    name: str
    files: Mapping[str, tuple[FileRecord, ...]]
    inputs: Mapping[str, tuple[Input, ...]]
    precision: str
    target: str
    layout: str
    opset: int
    exporter: str = "native"
    optimizations: Mapping[str, int] = field(default_factory=dict)
    matrices: Mapping[str, str] = field(default_factory=dict)
    activations: str = ""
    weights: str = ""
    exits: int = 0
    promised_agreement: float | None = None
    promised_max_drop: float | None = None
    narrow_activations: bool = False
    measured: Mapping[str, Any] = field(default_factory=dict)

    @property
    def records(self) -> tuple[FileRecord, ...]:
        """The files of all roles."""
        return tuple(record for records in self.files.values() for record in records)

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(record.bytes for record in self.records)

    @property
    def file(self) -> str:
        """The path of the .onnx file of the role "model", relative to the bundle."""
        return self.files[MODEL][0].file

    @property
    def multiplies_signed_weights(self) -> bool:
        """Whether it has products of signed weights, whose sums saturate on some CPUs."""
        return bool(self.activations) and self.weights != "unsigned"

    @property
    def mode(self) -> str:
        """What the argument `precision` selects it by, such as "int8" or "int8-exits"."""
        return with_exits(self.precision) if self.exits else self.precision

    @property
    def is_accepted(self) -> bool:
        """Whether it may be chosen unasked: it applies all layers, or something is promised."""
        return not self.exits or any(getattr(self, name) is not None for name in PROMISES)

    @property
    def has_own_outputs(self) -> bool:
        """Whether its outputs are not those of the head, as with logits at [MASK] only."""
        return "masked-logits" in self.optimizations

    def __repr__(self) -> str:
        about = f"{self.mode}, {self.target}, {self.layout}, {self.bytes / 1e6:.1f} MB"
        return f"Variant({self.name!r}: {about})"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is in a bundle.

    Attributes:
        head: What the model was trained for, such as "text-classification".
        labels: Names of the classes, by class id.
        problem_type: As in config.json, or None.
        source: Where the checkpoint came from: a hub id or the name of a folder.
        revision: The commit of the hub, or None for a folder.
        files: Configuration and tokenizer files.
        variants: The ways of running the model.
        task: What a pipeline does with it by default; None is the first task of its head.
        unknown_fields: Fields of the file that this version does not know.
    """

    head: str
    labels: tuple[LabelName, ...]
    problem_type: str | None
    source: str
    revision: str | None
    files: tuple[FileRecord, ...]
    variants: tuple[Variant, ...]
    task: str | None = None
    unknown_fields: tuple[str, ...] = ()

    def records(self) -> Iterator[FileRecord]:
        """Yield every file the manifest lists."""
        yield from self.files
        for variant in self.variants:
            yield from variant.records

    def distinct_records(self) -> list[FileRecord]:
        """Return each file that the manifest lists once, though several roles may share it."""
        return list({record.file: record for record in self.records()}.values())

    def with_variant(self, variant: Variant) -> Manifest:
        """Return a copy with a variant added, in place of one of its name or its former name."""
        replaced = {variant.name, _FORMER_NAMES.get(variant.name)}
        others = tuple(v for v in self.variants if v.name not in replaced)
        return dataclasses.replace(self, variants=(*others, variant))

    def to_json(self) -> str:
        """Return the text of albert_edge.json, without unknown fields."""
        fields = {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(self)}
        del fields["unknown_fields"]
        for variant in fields["variants"]:
            if variant["promised_max_drop"] is None:
                del variant["promised_max_drop"]
        return json.dumps(fields, indent=2, ensure_ascii=False) + "\n"

    def __repr__(self) -> str:
        return f"Manifest({self.head}, {self.source!r}, {list(self.variants)})"
