"""Read an albert_edge.json, which a stranger may have written.

Standard library only, since the runtime and the exporter both import this module.
"""

from __future__ import annotations

import dataclasses
import reprlib
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from albert_edge.architecture.config import MOST_LAYERS
from albert_edge.architecture.heads import HEADS, Input, text_inputs
from albert_edge.bundle.manifest import (
    CHANGE,
    COMMIT,
    MANIFEST,
    MODEL,
    SCHEMA_VERSION,
    SIGNATURE,
    STAGING,
    FileRecord,
    Manifest,
    Variant,
)
from albert_edge.disk.reading import open_regular
from albert_edge.errors import BundleError, Call, Message
from albert_edge.json_fields import JsonObject, parse_object

# A bundle has one variant for each precision and target, 20 at the most, and some 10 other files.
# Every command reads all of them, and while a bundle is open so are its files.
LARGEST_MANIFEST = 2**24  # bytes
_MOST_VARIANTS = 100
_MOST_FILES = 250
_LARGEST_COUNT = 2**63 - 1

_INPUT_TYPES = ("int64", "int32", "float32", "float16", "bool")


def read_manifest(path: Path) -> Manifest:
    """Read an albert_edge.json.

    Raises:
        BundleError: It is missing, damaged, of a newer schema version, or lists a path that leads
            out of the bundle.
    """
    with open_manifest(path) as file:
        return parse_manifest(read_content(file, path), path)


def read_content(file: BinaryIO, path: Path) -> bytes:
    """Read an open albert_edge.json.

    Args:
        file: The open file.
        path: Where it comes from, for errors.

    Raises:
        BundleError: It is larger than any manifest.
    """
    content = file.read(LARGEST_MANIFEST + 1)
    if len(content) > LARGEST_MANIFEST:
        raise _damaged(f"{path} has more than {LARGEST_MANIFEST:,} bytes.")
    return content


def open_manifest(path: Path) -> BinaryIO:
    """Open an albert_edge.json.

    Raises:
        BundleError: It is missing or cannot be read.
    """
    try:
        return open(open_regular(path), "rb")
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
        raise BundleError(
            f"{path} cannot be read: {error.strerror}.",
            tip="Check its permissions, and the limits of this process.",
            where=path,
        ) from error


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
    if type(version) is not int or not 1 <= version <= SCHEMA_VERSION:
        shown = version if isinstance(version, str) else reprlib.repr(version)
        raise BundleError(
            f"{path} has schema version {shown}; this albert-edge reads 1 to {SCHEMA_VERSION}.",
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


def _is_reserved(file: str) -> bool:
    """Return whether a path is one that a bundle keeps for itself, on any operating system."""
    first = PurePosixPath(file).parts[0].casefold()
    names = (MANIFEST, SIGNATURE, CHANGE, COMMIT)
    return first in names or first.startswith((f"{CHANGE}-", STAGING))


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
        manifest = Manifest(
            head=head,
            labels=fields.scalars("labels"),
            problem_type=fields.text("problem_type", None),
            source=fields.text("source"),
            revision=fields.text("revision", None),
            files=self._records(fields, "files"),
            variants=self._variants(fields, head),
            task=None if self.version == 1 else fields.text("task", None),
            unknown_fields=tuple(self.unknown),
        )
        if sum(1 for _ in manifest.records()) > _MOST_FILES:
            raise _damaged(f"{fields.place} lists more than {_MOST_FILES} files.")
        return manifest

    def _variants(self, fields: JsonObject, head: str) -> tuple[Variant, ...]:
        items = fields.objects("variants")
        names = {item.text("name") for item in items}
        if len(names) < len(items) or len(items) > _MOST_VARIANTS:
            raise fields.fault("variants", f"up to {_MOST_VARIANTS} of different names")
        return tuple(self._variant(item, head) for item in items)

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
            opset=fields.integer("opset", low=1, high=_LARGEST_COUNT),
            exporter=fields.text("exporter", "native"),
            optimizations={
                name: counts.integer(name, low=0, high=_LARGEST_COUNT) for name in counts.values
            },
            matrices={name: matrices.text(name) for name in matrices.values},
            activations=fields.text("activations", ""),
            weights=fields.text("weights", ""),
            exits=fields.integer("exits", 0, low=0, high=MOST_LAYERS),
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
        if _is_reserved(file):
            raise _damaged(f"{fields.place}: no file of a bundle may have the path {file!r}.")
        return FileRecord(
            file, fields.text("sha256"), fields.integer("bytes", low=0, high=_LARGEST_COUNT)
        )

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
