"""The bundle: a folder in a layout that other tools read too, with a manifest of its files.

    config.json  tokenizer.json  tokenizer_config.json  special_tokens_map.json
    onnx/model.onnx  onnx/model_optimized.onnx  ...
    albert_edge.json

Or all of them in one file, see `albert_edge.bundle.packed`. Only files that the manifest lists are
read, and only after their sha256 is checked.

Standard library only, since the runtime and the exporter both import this module.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO

from albert_edge.architecture.config import AlbertConfig, parse_config
from albert_edge.bundle.change import finish_change, is_committed
from albert_edge.bundle.manifest import COMMIT, MANIFEST, MODEL, FileRecord, Manifest, Variant
from albert_edge.bundle.manifest_reader import open_manifest, parse_manifest, read_content
from albert_edge.bundle.model_file import BundledModel
from albert_edge.bundle.storage import Folder, Storage, check, read
from albert_edge.disk.reading import LARGEST_TEXT
from albert_edge.errors import BundleError, Call, Message, UsageError
from albert_edge.json_fields import JsonObject, parse_object

_CONFIG = "config.json"
_ATTEMPTS = 1000  # to open a bundle while it is changed, a millisecond apart


class Bundle:
    """A bundle whose manifest has been read.

    Args:
        storage: Where its files are.
        manifest: What is in it.

    Attributes:
        storage: Where its files are.
        manifest: What is in it.
    """

    def __init__(self, storage: Storage, manifest: Manifest) -> None:
        self.storage = storage
        self.manifest = manifest

    @property
    def path(self) -> Path:
        """The folder or the packed file."""
        return self.storage.path

    @property
    def is_packed(self) -> bool:
        """Whether it is one file, which never changes."""
        return not isinstance(self.storage, Folder)

    def require_folder(self, purpose: str) -> Path:
        """Return the folder of a bundle that is to be changed.

        Args:
            purpose: What changes it, such as "Quantizing", for the error.

        Raises:
            UsageError: It is a packed file.
        """
        if not self.is_packed:
            return self.path
        raise UsageError(
            f"{purpose} changes a bundle, and {self.path} is a packed file, which never changes.",
            tip=Message(
                *("Unpack it with ", Call("unpack", self.path, "BUNDLE")),
                *(", change that, and pack it again."),
            ),
            where=self.path,
        )

    def variant(self, name: str) -> Variant:
        """Return the variant called `name`.

        Raises:
            BundleError: There is no such variant.
        """
        for variant in self.manifest.variants:
            if variant.name == name:
                return variant
        names = ", ".join(variant.name for variant in self.manifest.variants)
        raise BundleError(
            f"{self.path} has no variant {name!r}.", tip=f"It has: {names or 'none'}."
        )

    def holding(self, variant: Variant) -> Bundle:
        """Return the same bundle, which holds open no files of other variants.

        A process may have few files open at once, 256 on macOS. Files of other variants are opened
        again when they are read.
        """
        records = (*self.manifest.files, *variant.records)
        return Bundle(self.storage.holding(record.file for record in records), self.manifest)

    def has(self, file: str) -> bool:
        """Return whether the manifest lists this configuration or tokenizer file."""
        return any(record.file == file for record in self.manifest.files)

    def read(self, file: str) -> bytes:
        """Read a configuration or tokenizer file, checked.

        Raises:
            BundleError: It is not listed, is missing or too large, or its sha256 differs.
        """
        for record in self.manifest.files:
            if record.file == file:
                if record.bytes > LARGEST_TEXT:
                    raise BundleError(
                        f"{self.path / file} has {record.bytes:,} bytes, over the limit of "
                        f"{LARGEST_TEXT:,}.",
                        tip="Export the model again.",
                    )
                return read(self.storage, record)
        raise BundleError(f"{self.path} has no {file}.", tip="Export the model again.")

    def read_config(self) -> AlbertConfig:
        """Read config.json, checked.

        Raises:
            BundleError: It is not listed, is missing, or its sha256 differs.
            ConfigError: It is not the configuration of an ALBERT.
        """
        return parse_config(self.read(_CONFIG), str(self.path / _CONFIG))

    def model_file(self, variant: Variant, role: str = MODEL) -> BundledModel:
        """Return the .onnx file of a variant, whose content is checked when it is read.

        Args:
            variant: The variant.
            role: Which part of a model in several parts.

        Raises:
            BundleError: It has no such part.
        """
        if role not in variant.files:
            raise BundleError(
                f"{variant.name} has no file of the role {role!r}.",
                tip=f"It has: {', '.join(variant.files)}.",
            )
        return BundledModel(self.storage, self.manifest.head, variant, self.read_config, role)

    def read_text(self, file: str) -> str | None:
        """Read a configuration or tokenizer file, checked; None if it is not listed."""
        if not self.has(file):
            return None
        try:
            return self.read(file).decode("utf-8")
        except UnicodeDecodeError as error:
            raise BundleError(
                f"{self.path / file} is not UTF-8: {error}", tip="Export the model again."
            ) from error

    def read_object(self, file: str, tip: str = "Export the model again.") -> JsonObject:
        """Read a JSON file, checked; an empty object if it is not listed.

        Args:
            file: A configuration or tokenizer file.
            tip: What to do if it is not a JSON object, or a field is not of the type it is read as.

        Raises:
            BundleError: It is not a JSON object, its sha256 differs, or it is missing.
        """
        error = partial(BundleError, tip=tip, where=self.path / file)
        content = self.read(file) if self.has(file) else b"{}"
        return parse_object(content, str(self.path / file), error)

    def check(self, *records: FileRecord) -> None:
        """Check that files have the sha256 that the manifest lists.

        Raises:
            BundleError: A file is missing or its sha256 differs.
        """
        for record in records:
            check(self.storage, record)

    def check_all(
        self, report: Callable[[int, int], object] = lambda done, total: None
    ) -> list[FileRecord]:
        """Check every listed file and return the records.

        Args:
            report: Called after each file with how many are checked, and of how many.

        Raises:
            BundleError: A file is missing or its sha256 differs.
        """
        records = list(self.manifest.records())
        for done, record in enumerate(records, 1):
            self.check(record)
            report(done, len(records))
        return records

    def __repr__(self) -> str:
        names = ", ".join(variant.name for variant in self.manifest.variants)
        return f"Bundle({os.fspath(self.path)!r}: {self.manifest.head}, variants {names})"


def open_bundle(bundle: str | os.PathLike[str]) -> Bundle:
    """Open a bundle, first finishing a change that was cut off after it was committed.

    Args:
        bundle: A folder that `export` wrote, or a file that `pack` wrote, whatever its name.

    Returns:
        The bundle; files are checked when they are read. A packed file stays open as long as the
        bundle is in use, so that replacing the file does not change the answers.

    Raises:
        BundleError: There is no bundle, or its manifest is damaged or of a newer version.
    """
    path = Path(bundle)
    if path.is_file():
        from albert_edge.bundle.packed import open_packed  # zipfile takes 7 ms to import

        packed, manifest = open_packed(path)
        return Bundle(packed, manifest)
    finish_change(path)
    return _open_folder(path)


def _open_folder(path: Path) -> Bundle:
    """Open a complete version of a bundle, while other processes may be changing it.

    The files of a version are in place before its manifest is, and they are replaced only while a
    `.commit` with the next manifest is there. So the files that were opened between two looks at
    the same manifest belong to it.
    """
    for _ in range(_ATTEMPTS):
        with _open_newest(path) as file:
            manifest = parse_manifest(read_content(file, path / MANIFEST), path / MANIFEST)
            storage = Folder(path, (record.file for record in manifest.distinct_records()))
            with _open_newest(path) as again:
                if os.path.samestat(os.fstat(file.fileno()), os.fstat(again.fileno())):
                    return Bundle(storage, manifest)
        time.sleep(0.001)
    raise BundleError(
        f"Other processes change {path} faster than it can be read.",
        tip="Wait for them to end, then try again.",
        where=path,
    )


def _open_newest(path: Path) -> BinaryIO:
    """Open the manifest of the newest version that is complete."""
    if is_committed(path):
        with contextlib.suppress(OSError):  # all of it is in place but this folder
            return (path / COMMIT / MANIFEST).open("rb")
    return open_manifest(path / MANIFEST)


def is_bundle(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is that of a folder with a manifest, or of a packed file."""
    from albert_edge.bundle.packed import is_packed

    return (Path(path) / MANIFEST).is_file() or is_packed(Path(path))
