"""albert_edge.json: what a bundle says is in it, and nothing it does not say is.

Standard library only: the runtime and the exporter both stand on this module.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from albert_edge.errors import BundleError, Call, Message

MANIFEST = "albert_edge.json"
SCHEMA_VERSION = 1

# The variant that export writes and all others are authored from.
PORTABLE = "model"


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file of a bundle: its path inside the folder, its content hash and its size in bytes."""

    file: str
    sha256: str
    bytes: int

    def __post_init__(self) -> None:
        _check(self, file=str, sha256=str, bytes=int)
        path = PurePosixPath(self.file)
        leaves = path.is_absolute() or ".." in path.parts or not path.parts
        self.file.encode()  # a lone surrogate is no file name everywhere
        if leaves or set(self.file) & set("\\:\0"):
            raise ValueError(f"the path {self.file!r} leads out of the bundle")


@dataclass(frozen=True, slots=True)
class Variant:
    """One way of running the model.

    Attributes:
        name: How it is asked for, such as "model" or "model_optimized".
        files: The .onnx file first, then its external data, if any.
        precision: "fp32" and, once compressed, "int8", "int8-block", "int4", "mixed" or "fp16".
        target: Whose operators it uses, such as "portable" or "cpu".
        layout: "unrolled" or "loop".
        opset: Version of the ONNX operator set.
        exporter: "native" or "optimum".
        optimizations: Names of the rewrites applied, with how often each was.
        matrices: The precision of each matrix, of a compressed variant.
        activations: What shares a scale where activations are quantized at run time, "per-token"
            or "per-tensor"; empty where they are not.
        measured: What was measured when it was written, such as the largest difference to fp32.
    """

    name: str
    files: tuple[FileRecord, ...]
    precision: str
    target: str
    layout: str
    opset: int
    exporter: str = "native"
    optimizations: Mapping[str, int] = field(default_factory=dict)
    matrices: Mapping[str, str] = field(default_factory=dict)
    activations: str = ""
    measured: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check(self, name=str, precision=str, target=str, layout=str, opset=int, exporter=str)
        _check(self, optimizations=Mapping, matrices=Mapping, activations=str, measured=Mapping)
        if not self.files:
            raise ValueError(f"variant {self.name} has no files")

    @property
    def has_own_outputs(self) -> bool:
        """Whether its outputs are not those of the task, as with logits at [MASK] alone."""
        return "masked-logits" in self.optimizations


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is in a bundle.

    Attributes:
        task: What the model answers, such as "text-classification".
        labels: Names of the classes, by class id.
        problem_type: As in config.json, or None.
        source: Where the checkpoint came from: a hub id or the name of a folder.
        revision: The commit of the hub, or None for a folder.
        files: Configuration and tokenizer files.
        variants: The ways of running the model.
    """

    task: str
    labels: tuple[str, ...]
    problem_type: str | None
    source: str
    revision: str | None
    files: tuple[FileRecord, ...]
    variants: tuple[Variant, ...]

    def __post_init__(self) -> None:
        optional = (str, type(None))
        _check(self, task=str, problem_type=optional, source=str, revision=optional)
        if not all(isinstance(label, str) for label in self.labels):
            raise TypeError("labels are not all texts")

    def records(self) -> Iterator[FileRecord]:
        """Every file the manifest lists."""
        yield from self.files
        for variant in self.variants:
            yield from variant.files

    def with_variant(self, variant: Variant) -> Manifest:
        """The same manifest with a variant added, or replaced if it has one of that name."""
        others = tuple(v for v in self.variants if v.name != variant.name)
        return dataclasses.replace(self, variants=(*others, variant))

    def to_json(self) -> str:
        """The text of albert_edge.json."""
        fields = {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(self)}
        return json.dumps(fields, indent=2, ensure_ascii=False) + "\n"


def read_manifest(path: Path) -> Manifest:
    """Read an albert_edge.json.

    Raises:
        BundleError: It is missing, damaged, of another schema version, or lists a path that leads
            out of the bundle.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        version = fields.pop("schema_version")
    except (FileNotFoundError, NotADirectoryError):
        raise BundleError(
            f"{path.parent} is not an albert-edge bundle: it has no {MANIFEST}.",
            tip=Message("Make one with: ", Call("export", "CHECKPOINT", "BUNDLE")),
        ) from None
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise _damaged(path, error) from error
    if version != SCHEMA_VERSION:
        raise BundleError(
            f"{path} has schema version {version}; this albert-edge reads {SCHEMA_VERSION}.",
            tip="Use the albert-edge that wrote it, or export the model again.",
        )
    try:
        return _parse_manifest(fields)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> BundleError:
    return BundleError(
        f"{path} is damaged: {type(error).__name__}: {error}", tip="Export the model again."
    )


def _parse_manifest(fields: dict[str, Any]) -> Manifest:
    variants = tuple(
        Variant(**{**variant, "files": _parse_records(variant["files"])})
        for variant in fields.pop("variants")
    )
    files = _parse_records(fields.pop("files"))
    labels = tuple(fields.pop("labels"))
    return Manifest(**fields, labels=labels, files=files, variants=variants)


def _parse_records(items: list[dict[str, Any]]) -> tuple[FileRecord, ...]:
    return tuple(FileRecord(**item) for item in items)


def _check(owner: object, **kinds: Any) -> None:
    for name, kind in kinds.items():
        if not isinstance(getattr(owner, name), kind):
            raise TypeError(f"{name} is {getattr(owner, name)!r}")
