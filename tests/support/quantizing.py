"""Shared by tests: quantizing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, processors

import albert_edge
from support.checkpoints import make_model

Change = Callable[[Any], None]

ANYTHING: dict[str, Any] = {"min_agreement": 0.0, "min_cosine": 0.0}

TEXTS = [f"{i} {7 * i % 90} {i * i % 80} {3 * i + 1}" for i in range(1, 9)]


def nothing(model: Any) -> None:
    pass


def make_bundle(
    folder: Path, task: str, change: Change = nothing, *, tokenizer: bool = True, **config: Any
) -> Path:
    """A bundle whose words are numbers; CHECKPOINT lies beside it."""
    import torch

    model = make_model(task, **config)
    with torch.no_grad():
        change(model)
    model.save_pretrained(folder / "checkpoint")
    if tokenizer:
        special = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
        words = [*special, *map(str, range(model.config.vocab_size - 5))]
        vocabulary = {word: index for index, word in enumerate(words)}
        made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
        made.pre_tokenizer = pre_tokenizers.Whitespace()
        made.add_special_tokens(special)
        made.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
        )
        made.save(str(folder / "checkpoint" / "tokenizer.json"))
    albert_edge.export(folder / "checkpoint", folder / "bundle")
    return folder / "bundle"
