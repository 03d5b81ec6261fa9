"""Shared by tests: data to evaluate, and bundles to evaluate it with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import albert_edge
from albert_edge.checkpoint.recipes import models_folder
from albert_edge.evaluation import EvaluateReport
from support.pipelines import checkpoint

SHIPPED = models_folder() / "langid-tiny"
LINES = (SHIPPED / "everyday.tsv").read_text(encoding="utf-8").splitlines()[1:]
EVERYDAY = [tuple(line.split("\t")) for line in LINES]
# The last two letters are so hard to tell that precisions differ.
HARD = [{"text": text[-2:], "label": label} for text, label in EVERYDAY]
TAGS = ("O", "B-person", "I-person", "B-location", "I-location")


Export = Callable[..., Path]

CONLL = """-DOCSTART- -X- -X- O

# a comment, and what follows is a word
# NN O O
Ada NNP B-NP B-person
Lovelace NNP I-NP I-person

  \t

London NNP B-NP B-location
"""
SENTENCES = [
    (["#", "Ada", "Lovelace"], ["O", "B-person", "I-person"]),
    (["London"], ["B-location"]),
]
CONTEXT = "The Denver Broncos won in 2016."


def squad(*questions: Any, **paragraph: Any) -> str:
    paragraphs = [{"context": CONTEXT, "qas": list(questions), **paragraph}]
    return json.dumps({"version": "1.1", "data": [{"title": "x", "paragraphs": paragraphs}]})


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def jsonl(path: Path, *records: Any) -> Path:
    return write(path, "".join(json.dumps(record) + "\n" for record in records))


def summary(report: EvaluateReport) -> Any:
    return [(each.precision, each.metrics) for each in report.precisions]


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model that ships, in fp32, int8 and int4."""
    folder = tmp_path_factory.mktemp("langid") / "bundle"
    albert_edge.export("langid-tiny", folder)
    albert_edge.quantize(folder)
    albert_edge.quantize(folder, precision="int4", min_agreement=0.5, min_cosine=0.5)
    return folder


@pytest.fixture(scope="session")
def export(tmp_path_factory: pytest.TempPathFactory) -> Export:
    """Makes a random bundle for a task: `export("fill-mask", num_labels=3)`."""

    def make(task: str, **config: Any) -> Path:
        folder = tmp_path_factory.mktemp("bundle")
        source = checkpoint(folder / "checkpoint", task, "spiece.model", **config)
        albert_edge.export(source, folder / "bundle", task=task)
        return folder / "bundle"

    return make


@pytest.fixture(scope="session")
def tagger(export: Export) -> Path:
    names = {"id2label": dict(enumerate(TAGS)), "num_labels": len(TAGS)}
    return export("token-classification", seed=2, **names)  # which finds an entity


@pytest.fixture(scope="session")
def reader(export: Export) -> Path:
    return export("question-answering")
