"""Shared by tests: command line."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from tokenizers import Tokenizer

import albert_edge
from albert_edge.bundle.bundle import open_bundle
from albert_edge.checkpoint.recipes import models_folder
from albert_edge.cli.app import main
from albert_edge.runtime.adaptation import adaptation_of
from albert_edge.runtime.device import CPU
from albert_edge.runtime.engine import run_file

SHIPPED = models_folder() / "langid-tiny"

SENTENCES = ["Where is the station?", "Wo ist der Bahnhof?", "¿Dónde está la estación?"]

GOOD_RECORD = {".txt": b"Guten Tag", ".jsonl": b'{"text": "Guten Tag"}', ".csv": b"Guten Tag,1"}


@dataclass(frozen=True)
class Outcome:
    """How a run ended and what it printed."""

    code: int
    out: str
    err: str


Cli = Callable[..., Outcome]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    """Runs `main` in this process: `cli("inspect", bundle)`."""
    handler = signal.getsignal(signal.SIGINT)

    def run(*arguments: object, stdin: bytes = b"") -> Outcome:
        monkeypatch.setattr(sys, "argv", ["albert-edge", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        code: Any = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
        out, err = capsys.readouterr()
        return Outcome(int(code), out, err)

    yield run
    signal.signal(signal.SIGINT, handler)


def assert_error(outcome: Outcome, code: int, *told: str) -> None:
    """It ended with this code, and stderr has one message and one tip, naming all of `told`."""
    assert outcome.code == code
    assert re.fullmatch(r"ERROR \S.*\nTIP   \S.*\n", outcome.err)
    for word in told:
        assert word in outcome.err


@pytest.fixture(scope="module")
def langid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model, exported and optimized; not to be changed."""
    folder = tmp_path_factory.mktemp("cli") / "langid"
    albert_edge.export(SHIPPED, folder)
    albert_edge.optimize(folder)
    return folder


@pytest.fixture
def own(langid: Path, tmp_path: Path) -> Path:
    """A copy of `langid` to change."""
    return Path(shutil.copytree(langid, tmp_path / "own"))


@pytest.fixture(scope="module")
def classify(langid: Path) -> Callable[..., Any]:
    return albert_edge.pipeline(model=langid)


def predictions(done: Outcome) -> list[dict[str, Any]]:
    """The records of a --json document."""
    assert (done.code, done.err) == (0, "")
    document = json.loads(done.out)
    assert document["schema_version"] == 1
    assert list(document) == ["schema_version", "device", "variant", "predictions"]
    assert document["device"] == "cpu"
    found: list[dict[str, Any]] = document["predictions"]
    return found


def read_table(path: Path) -> list[dict[str, str]]:
    """A table as the formats are read here: .csv as everywhere, .tsv without any quoting."""
    with path.open(encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            return list(csv.DictReader(file))
        rows = [line.rstrip("\r\n").split("\t") for line in file]
        return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def logits(bundle: Path, variant: str, texts: list[str]) -> Any:
    """Logits of texts through onnxruntime and tokenizers alone.

    But for products of integers, whose weights this processor may need as unsigned bytes.
    """
    tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    tokenizer.no_padding()
    path = bundle / "onnx" / f"{variant}.onnx"
    session = ort.InferenceSession(path)
    variants = open_bundle(bundle).manifest.variants
    adaptations = {v.name: adaptation_of(v, CPU) for v in variants}
    integers = variant in ("model_quantized", "model_int8_block")  # of the latter, the head's
    in_int8 = run_file(path, adaptation=adaptations[variant]) if integers else None
    rows = []
    for text in texts:
        encoded = tokenizer.encode(text)
        ids = {
            "input_ids": encoded.ids,
            "attention_mask": [1] * len(encoded.ids),
            "token_type_ids": encoded.type_ids,
        }
        feed = {name: np.array([values], np.int64) for name, values in ids.items()}
        found = in_int8(feed)["logits"] if in_int8 else session.run(["logits"], feed)[0]
        rows.append(found[0])
    return np.array(rows, np.float64)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def strict_json(text: str) -> Any:
    """One JSON document as every parser reads it: NaN is none of JSON's numbers."""

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def write_records(path: Path, fields: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Path:
    """Write records in the format a suffix names."""
    if path.suffix == ".txt":
        lines = [row[0] for row in rows]
    elif path.suffix == ".jsonl":
        lines = [json.dumps(dict(zip(fields, row, strict=True))) for row in rows]
    else:
        separator = {".csv": ",", ".tsv": "\t"}[path.suffix]
        lines = [separator.join(row) for row in (fields, *rows)]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path
