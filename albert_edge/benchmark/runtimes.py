"""Runtimes to measure: how each builds its model, and how a fresh process loads it.

A `Runtime` is sent to other processes, so its functions stand at the top of modules, and import
what they need when they are called.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

Arrays = Mapping[str, "npt.NDArray[Any]"]
Run = Callable[[Arrays], Arrays]

CHECKPOINT = "checkpoint"


@dataclass(frozen=True, slots=True)
class Work:
    """Where models are built.

    Attributes:
        folder: Has a `CHECKPOINT`, as save_pretrained writes it, and room for the models.
        head: What the model was trained for.
    """

    folder: Path
    head: str

    @property
    def checkpoint(self) -> Path:
        """The checkpoint."""
        return self.folder / CHECKPOINT


@dataclass(frozen=True, slots=True)
class Built:
    """A model as a runtime loads it.

    Attributes:
        path: What is loaded.
        bytes: Size of its files.
        head: What the model was trained for.
        note: A remark to show beside its figures, or empty.
    """

    path: Path
    bytes: int
    head: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Runtime:
    """A way to run a model.

    Attributes:
        name: Shown in reports.
        precision: Of its weights.
        build: Builds the model, in a process in which nothing is measured if there is an `extra`.
        prepare: Does what precedes loading a model in a program, imports above all.
        load: Loads what was built, for a number of threads, on a device. What it returns takes
            arrays, or whatever else the benchmark feeds.
        modules: What must be importable.
        extra: The extra of albert-edge that brings it.
        devices: Where it can run.
    """

    name: str
    precision: str
    build: Callable[[Work], Built]
    prepare: Callable[[], object]
    load: Callable[[Built, int, str], Callable[[Any], Any]]
    modules: tuple[str, ...] = ()
    extra: str = ""
    devices: tuple[str, ...] = ("cpu",)

    @property
    def missing(self) -> str:
        """The first module that cannot be found, or nothing."""
        return next((name for name in self.modules if not _is_found(name)), "")

    @property
    def how_to_get_it(self) -> str:
        """What is missing, and the pip line that installs it."""
        return f"{self.missing} is not installed: pip install 'albert-edge[cpu,{self.extra}]'"


def _is_found(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:  # of what it is a part of
        return False


def import_all(*modules: str) -> None:
    """Import modules."""
    for module in modules:
        import_module(module)


def file_sizes(*files: Path) -> int:
    """Bytes of some files together."""
    return sum(file.stat().st_size for file in files)


# albert-edge itself.


def own_runtime(bundle: Path, variant: str, precision: str, file_bytes: int) -> Runtime:
    """A variant of a bundle.

    Args:
        bundle: The folder.
        variant: The name of the variant.
        precision: Its precision; with early exits, its mode, such as "int8-exits".
        file_bytes: Size of its files.
    """
    return Runtime(
        name=f"albert-edge {precision}",
        precision=precision,
        build=partial(_as_it_is, bundle=bundle, file_bytes=file_bytes),
        prepare=prepare_own,
        load=partial(load_own, variant=variant),
    )


def _as_it_is(work: Work, *, bundle: Path, file_bytes: int) -> Built:
    return Built(bundle, file_bytes, work.head)


def prepare_own() -> None:
    """Import what a program that uses albert-edge has imported."""
    import_all("numpy", "onnxruntime", "tokenizers", "albert_edge.runtime.session")


def load_own(built: Built, threads: int, device: str, **options: Any) -> Run:
    """Open a session of a bundle; the options say which variant or precision."""
    from albert_edge.runtime.session import Session

    return Session(built.path, device=device, threads=threads, **options).run
