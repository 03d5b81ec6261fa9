"""An .onnx file of a bundle with its external data: what is checked is what is returned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from albert_edge.architecture.config import AlbertConfig
from albert_edge.bundle.manifest import MANIFEST, MODEL, FileRecord, Variant
from albert_edge.bundle.storage import Storage, check, read, unreadable


@dataclass(frozen=True, slots=True)
class BundledModel:
    """An .onnx file of a bundle. External data may not be a link to another file.

    Attributes:
        storage: Where it is.
        head: What the model was trained for.
        variant: The variant it belongs to.
        read_config: Reads the geometry of the model, checked.
        role: Which part of the variant it is.
    """

    storage: Storage
    head: str
    variant: Variant
    read_config: Callable[[], AlbertConfig]
    role: str = MODEL
    _checked: set[str] = field(default_factory=set, compare=False, repr=False)

    @property
    def path(self) -> Path:
        """What errors call it."""
        return self.storage.path / self._records[0].file

    @property
    def size(self) -> int:
        """Bytes of the .onnx file."""
        return self._records[0].bytes

    @property
    def data(self) -> dict[str, FileRecord]:
        """The files of its external data, by name, without that of their folder."""
        return {PurePosixPath(record.file).name: record for record in self._records[1:]}

    @property
    def _records(self) -> tuple[FileRecord, ...]:
        return self.variant.files[self.role]

    def check(self) -> None:
        """Check its files without keeping them in memory.

        Raises:
            BundleError: A file is missing, its sha256 differs, or its external data is a link.
        """
        for record in self._records:
            self._check(record)

    def read(self) -> bytes:
        """Read the .onnx file, checked.

        Raises:
            BundleError: As `check`.
        """
        return read(self.storage, self._records[0])

    def read_data(self) -> dict[str, bytes]:
        """Read all external data, checked, by name.

        Raises:
            BundleError: As `check`.
        """
        return {
            name: read(self.storage, record, follow=False) for name, record in self.data.items()
        }

    def view(self, name: str) -> memoryview:
        """Map the .onnx file or its external data into memory, from the file that was checked.

        Args:
            name: The name of the file, without that of its folder.

        Raises:
            BundleError: As `check`.
            ValueError: The manifest lists no such file for this model.
        """
        record = {self.path.name: self._records[0], **self.data}.get(name)
        if record is None:
            raise ValueError(f"{MANIFEST} lists no {name!r} for this model")
        try:
            view = self.storage.view(record.file)  # before the check, which then reads that file
        except OSError as error:
            raise unreadable(self.storage, record, error) from error
        if name not in self._checked:
            self._check(record)
            self._checked.add(name)
        return view

    def _check(self, record: FileRecord) -> None:
        check(self.storage, record, follow=record is self._records[0])
