"""Checkpoints that tests share: tiny, random, made by transformers' own classes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# Two hidden groups of two inner layers each, and no two sizes alike.
TINY = {
    "vocab_size": 300,
    "embedding_size": 16,
    "hidden_size": 24,
    "num_hidden_layers": 4,
    "num_hidden_groups": 2,
    "inner_group_num": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
}

MODEL_CLASSES = {
    "feature-extraction": "AlbertModel",
    "fill-mask": "AlbertForMaskedLM",
    "pretraining": "AlbertForPreTraining",
    "text-classification": "AlbertForSequenceClassification",
    "token-classification": "AlbertForTokenClassification",
    "question-answering": "AlbertForQuestionAnswering",
    "multiple-choice": "AlbertForMultipleChoice",
}

MakeModel = Callable[..., Any]


def make_model(task: str, seed: int = 0, **config: Any) -> Any:
    """A random model of transformers; no parameter is zero or one, so that none can be ignored.

    Args:
        task: A key of `MODEL_CLASSES`.
        seed: Seed of the random weights.
        **config: Changes to `TINY`.
    """
    import torch
    import transformers

    torch.manual_seed(seed)
    settings = transformers.AlbertConfig(**{**TINY, **config})
    model = getattr(transformers, MODEL_CLASSES[task])(settings).float().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "LayerNorm.weight" in name or "layer_norm.weight" in name:
                parameter.normal_(1.0, 0.2)
            elif "activation" not in name:
                parameter.normal_(0.0, 0.3 if parameter.shape[-1] < 100 else 0.05)
    return model


def hidden_states(model: Any, tensors: Mapping[str, Any]) -> Any:
    """The hidden states before the first layer and after each.

    transformers 5 gives those after every inner layer too.
    """
    states = model(**tensors, output_hidden_states=True).hidden_states
    return states[:: (len(states) - 1) // model.config.num_hidden_layers]


def save_tensors(path: Path, tensors: Mapping[str, Any]) -> None:
    """Write tensors of torch as transformers writes model.safetensors."""
    from safetensors.torch import save_file

    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(contiguous, path, metadata={"format": "pt"})


def change_config(folder: Path, **fields: Any) -> None:
    """Change fields of a checkpoint's config.json."""
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | fields
    path.write_text(json.dumps(config), encoding="utf-8")


def drop_fields(folder: Path, *names: str) -> None:
    """Take fields out of a checkpoint's config.json."""
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({k: v for k, v in config.items() if k not in names}))
