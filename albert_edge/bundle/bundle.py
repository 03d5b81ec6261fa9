"""The bundle: a folder any neighbour can open, and a manifest that says what is in it.

    config.json  tokenizer.json  tokenizer_config.json  special_tokens_map.json
    onnx/model.onnx  onnx/model_optimized.onnx  ...
    albert_edge.json

A file the manifest does not list does not exist; a listed file is read only after its sha256 was
checked.

Standard library only: the runtime and the exporter both stand on this module.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from albert_edge.bundle.change import digest, finish_change
from albert_edge.bundle.manifest import MANIFEST, FileRecord, Manifest, Variant, read_manifest
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
        """The variant of a name.

        Raises:
            BundleError: There is none of that name.
        """
        for variant in self.manifest.variants:
            if variant.name == name:
                return variant
        names = ", ".join(variant.name for variant in self.manifest.variants)
        raise BundleError(
            f"{self.folder} has no variant {name!r}.", tip=f"It has: {names or 'none'}."
        )

    def listed(self, file: str) -> Path:
        """The path of a configuration or tokenizer file, checked.

        Raises:
            BundleError: The manifest does not list it, or `checked` refuses it.
        """
        for record in self.manifest.files:
            if record.file == file:
                return self.checked(record)
        raise BundleError(f"{self.folder} has no {file}.", tip="Export the model again.")

    def checked(self, record: FileRecord) -> Path:
        """The path of a listed file whose content is what the manifest says.

        Raises:
            BundleError: The file is missing or its sha256 differs.
        """
        path = self.folder / record.file
        try:
            found = digest(path)
        except OSError as error:
            raise BundleError(
                f"{path} is listed in {MANIFEST} but cannot be read: {error.strerror}.",
                tip="Export the model again, or restore the file.",
            ) from error
        if found != record.sha256:
            raise BundleError(
                f"{path} is not the file {MANIFEST} lists: its sha256 is {found[:12]}..., "
                f"not {record.sha256[:12]}....",
                tip="It was changed or damaged. Export the model again, or restore the file.",
            )
        return path

    def model_file(self, variant: Variant) -> Path:
        """The .onnx file of a variant, checked with the external data beside it.

        Raises:
            BundleError: One of its files is missing or its sha256 differs.
        """
        path, *_ = [self.checked(record) for record in variant.files]
        return path

    def read_text(self, file: str) -> str | None:
        """The checked content of a configuration or tokenizer file, or None if not listed."""
        if all(record.file != file for record in self.manifest.files):
            return None
        try:
            return self.listed(file).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise BundleError(
                f"{self.folder / file} is not UTF-8: {error}", tip="Export the model again."
            ) from error

    def read_object(self, file: str, tip: str = "Export the model again.") -> JsonObject:
        """The checked content of a JSON file; an empty object if it is not listed.

        Args:
            file: A configuration or tokenizer file.
            tip: What to do if it is not a JSON object, or a field is not of the type it is read as.

        Raises:
            BundleError: It is not a JSON object, its sha256 differs, or it is missing.
        """
        error = partial(BundleError, tip=tip, where=self.folder / file)
        is_listed = any(record.file == file for record in self.manifest.files)
        content = self.listed(file).read_bytes() if is_listed else b"{}"
        return parse_object(content, str(self.folder / file), error)

    def check_all(self) -> list[FileRecord]:
        """Check every listed file; the records checked.

        Raises:
            BundleError: A file is missing or its sha256 differs.
        """
        records = list(self.manifest.records())
        for record in records:
            self.checked(record)
        return records


def open_bundle(folder: str | os.PathLike[str]) -> Bundle:
    """Open a bundle, finishing first a change that was cut off after it was decided.

    Args:
        folder: A folder that `albert-edge export` wrote.

    Returns:
        The bundle; files are checked when they are read.

    Raises:
        BundleError: There is no bundle, or its manifest is damaged or of a newer version.
    """
    path = Path(folder)
    finish_change(path)
    return Bundle(path, read_manifest(path / MANIFEST))
