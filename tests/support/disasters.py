"""Commands that are disturbed: what they start from, what they make, what may be left of them."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

import albert_edge
from albert_edge.benchmark.checkpoint import write_checkpoint
from albert_edge.bundle.bundle import open_bundle
from albert_edge.cli.app import main
from albert_edge.compress.options import Int8
from albert_edge.errors import AlbertEdgeError
from support.bench_samples import sample
from support.faults import Ending, Fault, run
from support.paths import DATA

# Folders and files that a command may leave, and the next one removes. Nobody else has such names.
_WEIGHTS = "model.safetensors"
_HIDDEN = (".change", ".commit", ".writing", ".part")


@dataclass(frozen=True)
class Command:
    """A command that is disturbed.

    Attributes:
        name: What tests call it.
        arguments: Those of the command line, in the folder that it is run in.
        target: What it writes.
        again: The arguments of the next run, if they are others.
    """

    name: str
    arguments: tuple[str, ...]
    target: str
    again: tuple[str, ...] = ()


def _quantize(*more: str) -> tuple[str, ...]:
    return ("quantize", "bundle", "--min-agreement", "0", "--min-cosine", "0", *more)


_EXPORT = ("export", "new")
_REPORT = ("report", "classify", "--bench", "bench.json")
_PREDICT = ("predict", "classify", "--input", "texts.txt", "--output")

COMMANDS = (
    Command("export", (*_EXPORT, "bundle", "--force"), "bundle"),
    Command("export-first", (*_EXPORT, "fresh"), "fresh", (*_EXPORT, "fresh", "--force")),
    Command("export-merged", ("export", "adapter", "bundle", "--force", "--base", "new"), "bundle"),
    Command("optimize", ("optimize", "bundle", "--layout", "unrolled"), "bundle"),
    Command("quantize", _quantize("--precision", "int8-block"), "bundle"),
    Command(
        "specialize",
        (*("specialize", "classify", "special", "--texts", "many.txt", "--min-agreement", "0.6"),
        *("--no-exits", "--force")),
        "special",
    ),
    Command("pack", ("pack", "bundle", "-o", "file.albert", "--force"), "file.albert"),
    Command("unpack", ("unpack", "new.albert", "bundle", "--force"), "bundle"),
    Command("predict", (*_PREDICT, "out.jsonl", "--resume"), "out.jsonl"),
    Command("predict-gz", (*_PREDICT, "old.csv.gz", "--force"), "old.csv.gz"),
    Command("predict-parquet", (*_PREDICT, "out.parquet", "--resume"), "out.parquet"),
    Command("report", (*_REPORT, "-o", "page.html"), "page.html"),
)  # fmt: skip


def prepare(folder: Path) -> None:
    """Make what the commands start from."""
    write_checkpoint(open_bundle(DATA / "bundles" / "schema2"), folder / "old")
    shutil.copytree(folder / "old", folder / "new")
    weights = {name: array + 0.1 for name, array in load_file(folder / "old" / _WEIGHTS).items()}
    save_file(weights, folder / "new" / _WEIGHTS)
    _write_adapter(folder / "adapter")
    bundle = folder / "bundle"
    albert_edge.export(folder / "old", bundle)
    albert_edge.optimize(bundle, layout="loop")
    albert_edge.quantize(bundle, precision=Int8(), min_agreement=0, min_cosine=0)
    shutil.copytree(bundle, folder / "classify")
    albert_edge.export(folder / "new", folder / "other")
    albert_edge.pack(folder / "other", folder / "new.albert")
    shutil.copy(folder / "new.albert", folder / "file.albert")
    shutil.rmtree(folder / "other")
    words = [*["the", "good", "film", "a", "bad", "of", "day", "was"]]
    texts = [" ".join(words[at] for at in draw) for draw in product(range(4), repeat=3)]
    (folder / "texts.txt").write_text("\n".join(texts) + "\n")
    (folder / "many.txt").write_text("\n".join(texts * 8) + "\n")
    (folder / "old.csv.gz").write_bytes(b"old")
    bench = dataclasses.asdict(dataclasses.replace(sample(), geometry={}))
    (folder / "bench.json").write_text(json.dumps({"schema_version": 1, **bench}))
    (folder / "tmp").mkdir()


def _write_adapter(folder: Path) -> None:
    folder.mkdir()
    settings = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["query"]}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    query = "base_model.model.albert.encoder.albert_layer_groups.0.albert_layers.0.attention.query."
    halves = {"lora_A.weight": np.ones((2, 16)), "lora_B.weight": np.ones((16, 2))}
    tensors = {query + name: half.astype(np.float32) for name, half in halves.items()}
    save_file(tensors, folder / "adapter_model.safetensors")


class Disturbed:
    """A command in a folder of its own, and what it makes if nothing disturbs it.

    Args:
        command: The command.
        prepared: What `prepare` made, which stays as it is.
        folder: Where to work.
    """

    def __init__(self, command: Command, prepared: Path, folder: Path) -> None:
        self._command, self._prepared, self._folder = command, prepared, folder
        self._count = 0
        place = self.fresh()
        self.old = self.state(place)
        ending = self.run(place, None)
        assert ending.code == 0, ending.errors
        self.calls = ending.calls
        self.new = self.state(place)
        self._left = _listing(place)
        assert self.old != self.new
        shutil.rmtree(place)

    def calls_that_can(self, error: int) -> list[str]:
        """Return the calls that can end with an error, in words."""
        return [call for call in self.calls if Fault(0, error).concerns(call)]

    def fresh(self) -> Path:
        """Copy what the command starts from."""
        self._count += 1
        place = self._folder / f"{self._command.name}-{self._count}"
        shutil.copytree(self._prepared, place)
        return place

    def run(self, place: Path, fault: Fault | None, *, again: bool = False) -> Ending:
        """Run the command."""
        arguments = (again and self._command.again) or self._command.arguments
        return run(lambda: _main(arguments, place), [place], fault)

    def state(self, place: Path) -> bytes | None:
        """Return what the target is: its content, or the manifest of a bundle that is complete."""
        target = place / self._command.target
        if target.is_file():
            return target.read_bytes()
        try:
            opened = open_bundle(target)
        except AlbertEdgeError as error:
            assert "is not an albert-edge bundle" in str(error), error
            return None
        opened.check_all()
        return opened.manifest.to_json().encode()

    def after_kill(self, fault: Fault) -> str | None:
        """Disturb the command, and say what is wrong then; None if nothing is."""
        place = self.fresh()
        ending = self.run(place, fault)
        wrong = None if ending.code is None else f"it ended with {ending.code}"
        wrong = wrong or self._look(place, self.hidden(place))
        shutil.rmtree(place)
        return wrong

    def after_error(self, fault: Fault) -> str | None:
        """Let the disk fail, and say what is wrong then; None if nothing is."""
        place = self.fresh()
        ending = self.run(place, fault)
        hidden = self.hidden(place)
        state = self.state(place)
        if ending.code == 0:
            wrong = None if state == self.new else "it reports success"
        else:
            wrong = self._wrong_words(ending, fault, place)
            is_moved = "is complete, but" in ending.errors
            if not wrong and state != (self.new if is_moved else self.old):
                wrong = f"it failed, and yet changed something: {ending.errors}"
        keeps = self._command.name.startswith("predict")  # what is answered, for --resume
        could_remove = not fault.lasts or fault.error not in (30, 5)
        may_stay = keeps or "is complete, but" in ending.errors
        if not wrong and could_remove and fault.lasts and not may_stay and hidden:
            wrong = f"it left {hidden}: {ending.errors}"
        if not wrong and could_remove and fault.lasts and list((place / "tmp").iterdir()):
            wrong = f"it left temporary files: {ending.errors}"
        wrong = wrong or self._look(place, hidden)
        shutil.rmtree(place)
        return wrong

    def hidden(self, place: Path) -> list[str]:
        """Return what a command left that is not its result."""
        return sorted(
            path.relative_to(place).as_posix()
            for path in (*place.iterdir(), *(place / self._command.target).glob(".*"))
            if any(part in path.name for part in _HIDDEN)
        )

    def _look(self, place: Path, hidden: list[str]) -> str | None:
        staged = [name for name in hidden if not name.endswith(".commit")]
        if len(staged) > 1:
            return f"left {staged}"
        if self.state(place) not in (self.old, self.new):
            return "neither old nor new"
        ending = self.run(place, None, again=True)
        if ending.code != 0:
            return f"the next run fails: {ending.errors}"
        if self.state(place) != self.new:
            return "the next run makes something else"
        shutil.rmtree(place / "tmp")
        (place / "tmp").mkdir()
        if (left := _listing(place)) != self._left:
            return f"after the next run there is more or less: {left ^ self._left}"
        return None

    def _wrong_words(self, ending: Ending, fault: Fault, place: Path) -> str | None:
        lines = ending.errors.splitlines()
        if ending.code != 1 or len(lines) < 2:
            return f"exit code {ending.code}: {ending.errors}"
        error, tip = lines[-2:]
        assert fault.error is not None
        names = {self._command.target, "tmp"}
        is_named = any(name in error for name in names)
        if not error.startswith("ERROR ") or not tip.startswith("TIP   ") or len(tip) < 20:
            return f"no error and tip: {lines}"
        if os.strerror(fault.error) not in error or not is_named:
            return f"it does not say what is wrong: {error}"
        if any(part in error for part in _HIDDEN) or "The operating system" in error:
            return f"it names what users do not know: {error}"
        return None


def _main(arguments: Sequence[str], place: Path) -> None:
    os.chdir(place)
    tempfile.tempdir = str(place / "tmp")
    sys.argv = ["albert-edge", *arguments]
    main()


def _listing(place: Path) -> set[str]:
    return {path.relative_to(place).as_posix() for path in place.rglob("*")}
