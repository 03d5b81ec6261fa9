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
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from albert_edge.architecture.config import LabelName
from albert_edge.architecture.heads import HEADS, Input, text_inputs
from albert_edge.architecture.precisions import with_exits
from albert_edge.errors import BundleError, Call, Message
from albert_edge.json_fields import JsonObject, parse_object

MANIFEST = "albert_edge.json"
# Of the manifest, in a bundle that is signed; the manifest does not list it.
SIGNATURE = f"{MANIFEST}.sig"
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

_INPUT_TYPES = ("int64", "int32", "float32", "float16", "bool")


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


def read_manifest(path: Path) -> Manifest:
    """Read an albert_edge.json.

    Raises:
        BundleError: It is missing, damaged, of a newer schema version, or lists a path that leads
            out of the bundle.
    """
    with open_manifest(path) as file:
        return parse_manifest(file.read(), path)


def open_manifest(path: Path) -> BinaryIO:
    """Open an albert_edge.json.

    Raises:
        BundleError: It is missing or cannot be read.
    """
    try:
        return path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        reason = (
            f"it has no {MANIFEST}" if path.parent.is_dir() else "there is no such folder or file"
        )
        raise BundleError(
            f"{path.parent} is not an albert-edge bundle: {reason}.",
            tip=Message("Make one with: ", Call("export", "CHECKPOINT", "BUNDLE")),
            where=path.parent,
        ) from None
    except OSError as error:
        raise _damaged(f"{path} cannot be read: {error.strerror}.") from error


def parse_manifest(content: bytes, path: Path) -> Manifest:
    """Parse the content of an albert_edge.json.

    Args:
        content: The content.
        path: Where it comes from, for errors.

    Raises:
        BundleError: As `read_manifest`.
    """
    fields = parse_object(content, str(path), _damaged)
    if "schema_version" not in fields.values:
        raise fields.fault("schema_version", f"a number up to {SCHEMA_VERSION}")
    version = fields.values["schema_version"]
    if version not in (1, SCHEMA_VERSION):
        raise BundleError(
            f"{path} has schema version {version}; this albert-edge reads 1 to {SCHEMA_VERSION}.",
            tip="Use the albert-edge that wrote it, or export the model again.",
            where=path,
        )
    return _Reader(version).manifest(fields)


def leads_out(file: str) -> bool:
    """Return whether a path is not that of a file inside the bundle, on any operating system."""
    path = PurePosixPath(file)
    return (
        path.is_absolute() or not path.parts or ".." in path.parts or bool(set(file) & set("\\:\0"))
    )


def _damaged(message: str) -> BundleError:
    return BundleError(f"The manifest is damaged: {message}", tip="Export the model again.")


class _Reader:
    """Reads a manifest of one schema version and notes the fields it does not know."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.unknown: list[str] = []

    def manifest(self, fields: JsonObject) -> Manifest:
        self._note_unknown(fields, Manifest, "schema_version")
        head = fields.text("task" if self.version == 1 else "head")
        return Manifest(
            head=head,
            labels=fields.scalars("labels"),
            problem_type=fields.text("problem_type", None),
            source=fields.text("source"),
            revision=fields.text("revision", None),
            files=self._records(fields, "files"),
            variants=tuple(self._variant(item, head) for item in fields.objects("variants")),
            task=None if self.version == 1 else fields.text("task", None),
            unknown_fields=tuple(self.unknown),
        )

    def _variant(self, fields: JsonObject, head: str) -> Variant:
        self._note_unknown(fields, Variant)
        if self.version == 1:  # which only knew encoders, whose inputs follow from their head
            known = HEADS[head].inputs if head in HEADS else text_inputs()
            files, inputs = {MODEL: self._records(fields, "files")}, {MODEL: known}
        else:
            by_role, inputs_by_role = fields.object("files"), fields.object("inputs")
            files = {role: self._records(by_role, role) for role in by_role.values}
            inputs = {role: tuple(map(self._input, inputs_by_role.objects(role))) for role in files}
        if not files or not all(files.values()):
            raise fields.fault("files", "at least one file of each role")
        counts, matrices = (fields.object(n, _empty(fields)) for n in ("optimizations", "matrices"))
        return Variant(
            name=fields.text("name"),
            files=files,
            inputs=inputs,
            precision=fields.text("precision"),
            target=fields.text("target"),
            layout=fields.text("layout"),
            opset=fields.integer("opset"),
            exporter=fields.text("exporter", "native"),
            optimizations={name: counts.integer(name) for name in counts.values},
            matrices={name: matrices.text(name) for name in matrices.values},
            activations=fields.text("activations", ""),
            weights=fields.text("weights", ""),
            exits=fields.integer("exits", 0, low=0),
            promised_agreement=fields.number("promised_agreement", None, high=1),
            promised_max_drop=fields.number("promised_max_drop", None, high=100),
            narrow_activations=fields.flag("narrow_activations", False),
            measured=fields.object("measured", _empty(fields)).values,
        )

    def _records(self, fields: JsonObject, name: str) -> tuple[FileRecord, ...]:
        return tuple(map(self._record, fields.objects(name)))

    def _record(self, fields: JsonObject) -> FileRecord:
        self._note_unknown(fields, FileRecord)
        file = fields.text("file")
        if leads_out(file):
            raise _damaged(f"{fields.place}: the path {file!r} leads out of the bundle.")
        return FileRecord(file, fields.text("sha256"), fields.integer("bytes"))

    def _input(self, fields: JsonObject) -> Input:
        self._note_unknown(fields, Input)
        default = fields.values.get("default")
        if default is not None:
            fields.number("default")
        type_ = fields.choice("type", _INPUT_TYPES)
        return Input(fields.text("name"), fields.texts("axes"), type_, default)

    def _note_unknown(self, fields: JsonObject, kind: Any, *others: str) -> None:
        known = {field.name for field in dataclasses.fields(kind)}.union(others)
        self.unknown += [fields.prefix + name for name in fields.values if name not in known]


def _empty(fields: JsonObject) -> JsonObject:
    return dataclasses.replace(fields, values={})
