"""Shared by tests: token classification."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from support.paths import DATA
from support.pipelines import (
    REFERENCE,
    Both,
    checkpoint,
    pair,
)

TASK = "token-classification"

LABELS = dict(enumerate(["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC-A"]))

CONFIG = {"id2label": LABELS, "num_labels": len(LABELS)}

GROUPS = ["simple", "first", "average", "max"]

STRATEGIES = ["none", *GROUPS]

# Sentences of WNUT-17 as lists of words: user names, links, misspellings, emoji.
TWEETS: list[list[str]] = [
    json.loads(line)
    for line in (DATA / "wnut17-words" / "words.jsonl").read_text(encoding="utf-8").splitlines()
]


def varied(folder: Path, vocabulary: str = "spiece.model", **config: Any) -> Both:
    """Both pipelines of a random model that gives every label; most give all tokens one."""
    # Random layers mix a token with the others until all are alike: one is enough.
    layers = {"num_hidden_layers": 1, "num_hidden_groups": 1, "inner_group_num": 1}
    source = checkpoint(folder / "checkpoint", TASK, vocabulary, **config, **CONFIG, **layers)
    model = REFERENCE.AutoModelForTokenClassification.from_pretrained(source)
    positions = model.config.max_position_embeddings
    ids = torch.randint(5, model.config.vocab_size, (512 // positions, positions))
    with torch.no_grad():
        logits = model(ids).logits.flatten(0, 1)
        model.classifier.bias -= logits.mean(0)
        model.classifier.bias /= logits.std(0)
        model.classifier.weight /= logits.std(0)[:, None]
    model.save_pretrained(source)
    return pair(TASK, source, folder / "bundle")


def plain(answer: Any) -> Any:
    """An answer of transformers, its numpy scores as Python's floats."""
    if isinstance(answer, list):
        return [plain(each) for each in answer]
    assert isinstance(answer["score"], np.floating)
    return {**answer, "score": float(answer["score"])}
