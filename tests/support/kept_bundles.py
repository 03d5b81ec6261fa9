"""A small bundle and its answers, to be kept: later versions must open it and answer the same.

Run as a program, it makes one: `python -m support.kept_bundles data/bundles/schema2` in tests/,
with the package of the commit whose schema is to be kept on PYTHONPATH.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from support.checkpoints import make_model

ANSWERS = "answers.json"
TEXTS = ("the good film", "a bad film", "good good good", "the film of the day was bad")

SPECIAL = ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")
WORDS = tuple(dict.fromkeys(" ".join(TEXTS).split()))
SIZES: dict[str, Any] = {
    "vocab_size": len(SPECIAL + WORDS),
    "embedding_size": 8,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_hidden_groups": 1,
    "inner_group_num": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 16,
    "id2label": {0: "NEGATIVE", 1: "POSITIVE"},
    "label2id": {"NEGATIVE": 0, "POSITIVE": 1},
}


def make_kept_bundle(folder: Path) -> None:
    """Export, optimize and quantize a random classifier of texts."""
    import albert_edge

    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = Path(scratch) / "kept"
        make_model("text-classification", **SIZES).save_pretrained(checkpoint)
        _write_tokenizer(checkpoint)
        albert_edge.export(checkpoint, folder)
    albert_edge.optimize(folder)
    albert_edge.quantize(
        folder, precision="int8", texts=list(TEXTS), min_agreement=0.0, min_cosine=0.0
    )
    answers = {
        precision: albert_edge.pipeline(model=folder, precision=precision)(list(TEXTS))
        for precision in ("fp32", "int8")
    }
    (folder / ANSWERS).write_text(json.dumps(answers, indent=2) + "\n", encoding="utf-8")


def _write_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    ids = {word: at for at, word in enumerate(SPECIAL + WORDS)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, ids[name]) for name in ("[CLS]", "[SEP]")],
    )
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    special = dict(zip(names, SPECIAL, strict=True))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)


if __name__ == "__main__":
    make_kept_bundle(Path(sys.argv[1]))
