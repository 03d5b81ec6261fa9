"""Answers of every task as rows of a table; files of texts in, a table of answers out."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from albert_edge.records.fields import TEXT
from albert_edge.records.inputs import open_inputs


@dataclass(frozen=True, slots=True)
class Row:
    """One line of an answer: a label with its score, and the part of the text it is about."""

    label: str
    score: float | None = None
    part: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of any task: a table, the most important line first, and a summary of it."""

    rows: list[Row]
    summary: str

    @property
    def score(self) -> float | None:
        """The score of the first line."""
        return self.rows[0].score if self.rows else None


# What the calls of a task are given, so that their answers fill a table.
OPTIONS: dict[str, dict[str, Any]] = {
    "text-classification": {"top_k": None, "truncation": True},
    "token-classification": {"aggregation_strategy": "simple", "truncation": True},
    "feature-extraction": {"return_tensors": True, "truncation": True},
}


def read_answer(task: str, text: str, answer: Any) -> Answer:
    """Turn what the pipeline of a task returns for a text into a table."""
    match task:
        case "text-classification":
            rows = [Row(entry["label"], entry["score"]) for entry in answer]
        case "token-classification":
            rows = [
                Row(entry["entity_group"], entry["score"], text[entry["start"] : entry["end"]])
                for entry in answer
            ]
            return Answer(rows, ", ".join(f"{row.part} ({row.label})" for row in rows))
        case "fill-mask":
            masks = answer if isinstance(answer[0], list) else [answer]
            rows = [
                Row(fill["token_str"], fill["score"], fill["sequence"])
                for fills in masks
                for fill in fills
            ]
            return Answer(rows, ", ".join(fills[0]["token_str"] for fills in masks))
        case _:  # embeddings
            rows = [Row(f"{' x '.join(map(str, answer.shape))} numbers")]
    return Answer(rows, rows[0].label)


def read_texts(path: Path) -> Iterator[tuple[str, float]]:
    """Read the texts of a file, as `albert-edge predict` takes it: .txt, .csv, .jsonl, ...

    Yields:
        Each text, and how much of the file has been read, 0 to 1.

    Raises:
        AlbertEdgeError: The file cannot be read, or a record has no text.
    """
    with open_inputs([path], TEXT) as inputs:
        for row in inputs.rows():
            if row.error:
                raise row.error
            assert row.record
            yield row.record["text"], row.bytes_read / (inputs.total_bytes or 1)


def write_answers(path: Path, answers: Iterable[tuple[str, Answer]]) -> None:
    """Write a .csv file with a line for each text, whole or not at all."""
    partial = path.with_name(f"{path.name}.part")
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "answer", "score"])
            for text, answer in answers:
                score = "" if answer.score is None else f"{answer.score:.6f}"
                writer.writerow([text, answer.summary, score])
        os.replace(partial, path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
