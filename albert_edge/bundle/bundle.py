"""The bundle: a folder in a layout that other tools read too, with a manifest of its files.

    config.json  tokenizer.json  tokenizer_config.json  special_tokens_map.json
    onnx/model.onnx  onnx/model_optimized.onnx  ...
    albert_edge.json

Only files that the manifest lists are read, after checking their sha256.

Standard library only, since the runtime and the exporter both import this module.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from albert_edge.bundle.change import digest, finish_change
from albert_edge.bundle.manifest import (
    MANIFEST,
    MODEL,
    FileRecord,
    Manifest,
    Variant,
    read_manifest,
)
from albert_edge.errors import BundleError
from albert_edge.json_fields import JsonObject, parse_object


class Bundle:
    """A bundle on disk whose manifest has been read.

    Attributes:
        folder: The folder.
        manifest: What is in it.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest

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
            f"{self.folder} has no variant {name!r}.", tip=f"It has: {names or 'none'}."
        )

    def has(self, file: str) -> bool:
        """Return whether the manifest lists this configuration or tokenizer file."""
        return any(record.file == file for record in self.manifest.files)

    def listed(self, file: str) -> Path:
        """Check a configuration or tokenizer file and return its path.

        Raises:
            BundleError: It is not listed, is missing, or its sha256 differs.
        """
        for record in self.manifest.files:
            if record.file == file:
                return self.checked(record)
        raise BundleError(f"{self.folder} has no {file}.", tip="Export the model again.")

    def checked(self, record: FileRecord) -> Path:
        """Check that a file has the sha256 that the manifest lists, and return its path.

        Raises:
            BundleError: The file is missing or its sha256 differs.
        """
        path = self.folder / record.file
        try:
            sha256 = digest(path)
        except OSError as error:
            raise BundleError(
                f"{path} is listed in {MANIFEST} but cannot be read: {error.strerror}.",
                tip="Export the model again, or restore the file.",
            ) from error
        if sha256 != record.sha256:
            raise BundleError(
                f"{path} is not the file {MANIFEST} lists: its sha256 is {sha256[:12]}..., "
                f"not {record.sha256[:12]}....",
                tip="It was changed or damaged. Export the model again, or restore the file.",
            )
        return path

    def model_file(self, variant: Variant, role: str = MODEL) -> Path:
        """Check the .onnx file of a variant and its external data, and return its path.

        Args:
            variant: The variant.
            role: Which part of a model in several parts.

        Raises:
            BundleError: It has no such part, or a file is missing or its sha256 differs.
        """
        if role not in variant.files:
            raise BundleError(
                f"{variant.name} has no file of the role {role!r}.",
                tip=f"It has: {', '.join(variant.files)}.",
            )
        path, *_ = [self.checked(record) for record in variant.files[role]]
        return path

    def read_text(self, file: str) -> str | None:
        """Read a configuration or tokenizer file, checked; None if it is not listed."""
        if not self.has(file):
            return None
        try:
            return self.listed(file).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise BundleError(
                f"{self.folder / file} is not UTF-8: {error}", tip="Export the model again."
            ) from error

    def read_object(self, file: str, tip: str = "Export the model again.") -> JsonObject:
        """Read a JSON file, checked; an empty object if it is not listed.

        Args:
            file: A configuration or tokenizer file.
            tip: What to do if it is not a JSON object, or a field is not of the type it is read as.

        Raises:
            BundleError: It is not a JSON object, its sha256 differs, or it is missing.
        """
        error = partial(BundleError, tip=tip, where=self.folder / file)
        content = self.listed(file).read_bytes() if self.has(file) else b"{}"
        return parse_object(content, str(self.folder / file), error)

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
            self.checked(record)
            report(done, len(records))
        return records

    def __repr__(self) -> str:
        names = ", ".join(variant.name for variant in self.manifest.variants)
        return f"Bundle({os.fspath(self.folder)!r}: {self.manifest.head}, variants {names})"


def open_bundle(folder: str | os.PathLike[str]) -> Bundle:
    """Open a bundle, first finishing a change that was cut off after it was committed.

    Args:
        folder: A folder that `export` wrote.

    Returns:
        The bundle; files are checked when they are read.

    Raises:
        BundleError: There is no bundle, or its manifest is damaged or of a newer version.
    """
    path = Path(folder)
    finish_change(path)
    return Bundle(path, read_manifest(path / MANIFEST))
