"""Shared by tests: question answering."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from support.paths import DATA
from support.pipelines import (
    REFERENCE,
    Both,
    checkpoint,
    pair,
)

TASK = "question-answering"

MARKS = [
    pytest.mark.reference,
    pytest.mark.skipif(
        REFERENCE.__version__.startswith("5."), reason="transformers 5 has no question answering"
    ),
    # transformers 4 would rather have keyword arguments.
    pytest.mark.filterwarnings("ignore:Passing a list of SQuAD examples"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


def confident(folder: Path, vocabulary: str = "spiece.model", **config: Any) -> Both:
    """Both pipelines of a random model that is sure of some tokens, so that ties are rare."""
    return pair(TASK, sure_checkpoint(folder, vocabulary, **config), folder / "bundle")


def sure_checkpoint(folder: Path, vocabulary: str, **config: Any) -> Path:
    # Random layers mix a token with the others until all are alike: one is enough.
    layers = {"num_hidden_layers": 1, "num_hidden_groups": 1, "inner_group_num": 1}
    source = checkpoint(folder / "checkpoint", TASK, vocabulary, **config, **layers)
    model = REFERENCE.AutoModelForQuestionAnswering.from_pretrained(source)
    positions = model.config.max_position_embeddings
    with torch.no_grad():
        output = model(torch.randint(5, model.config.vocab_size, (4, positions)))
        logits = torch.stack([output.start_logits, output.end_logits]).flatten(1)
        model.qa_outputs.bias -= logits.mean(1)
        model.qa_outputs.bias *= 3 / logits.std(1)
        model.qa_outputs.weight *= (3 / logits.std(1))[:, None]
    model.save_pretrained(source)
    return source


def read(language: str) -> list[dict[str, Any]]:
    lines = (DATA / "xquad" / f"{language}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


XQUAD = {language: read(language) for language in ("en", "de")}
