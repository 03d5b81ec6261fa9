"""Configuration and tokenizer beside a TensorFlow checkpoint, as its program names and means them.

The programs are google-research/albert and brightmart/albert_zh; a TF-Hub module has the files in
assets/.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from albert_edge.architecture.heads import HEADS, heads_with_biases
from albert_edge.checkpoint.formats.base import StoredTensor
from albert_edge.checkpoint.formats.tensorflow_names import WORDS
from albert_edge.errors import CheckpointError
from albert_edge.json_fields import JsonObject

_CONFIGS = "albert_config*.json"
# Their pattern -> what transformers calls them.
_TOKENIZERS = {"*.model": "spiece.model", "vocab*.txt": "vocab.txt"}
ORIGINAL_FILES = (_CONFIGS, *_TOKENIZERS)


def find_config(folder: Path) -> Path | None:
    """Find the configuration, or return None if there is none.

    Raises:
        CheckpointError: There are several.
    """
    return _only(folder, _CONFIGS)


def find_tokenizer_files(folder: Path) -> dict[str, Path]:
    """Find the files of the tokenizer, by the names that transformers gives them.

    Raises:
        CheckpointError: There are several of a kind.
    """
    found = {
        name: _only(folder, pattern)
        for pattern, name in _TOKENIZERS.items()
        if not (folder / name).is_file()
    }
    return {name: path for name, path in found.items() if path}


def _only(folder: Path, pattern: str) -> Path | None:
    places = (folder, folder / "assets")
    found = sorted(path for place in places for path in place.glob(pattern))
    if len(found) > 1:
        raise CheckpointError(
            f"{folder} has several files {pattern}: {', '.join(path.name for path in found)}.",
            tip="Keep the one that belongs to the weights.",
        )
    return next(iter(found), None)


def as_transformers_config(
    fields: JsonObject, tensors: Mapping[str, StoredTensor]
) -> dict[str, Any]:
    """Return the fields of config.json for a configuration of these programs.

    Args:
        fields: Its fields.
        tensors: The weights that it belongs to, by canonical name.

    Raises:
        ConfigError: Nothing says which of two programs the weights belong to.
    """
    config = {**fields.values, "model_type": "albert"}
    # get_activation() in both programs: their gelu is the approximation by tanh.
    if str(config.setdefault("hidden_act", "gelu")).lower() == "gelu":
        config["hidden_act"] = "gelu_new"
    words = tensors.get(WORDS)
    if words and len(words.shape) == 2 and words.shape[1] != config.get("embedding_size"):
        _require_known_normalization(fields)  # only brightmart's are as wide as hidden states
        config["embedding_size"] = words.shape[1]
    classifier = tensors.get("classifier.bias")
    # With one class it is STS-B's regression, or RACE's choice; the user knows.
    if classifier is None or classifier.shape != (1,):
        # Of the heads with the same classifier, these programs train that of whole texts.
        head, *_ = heads_with_biases(tensors)
        config["architectures"] = [HEADS[head].class_name]
    return config


def _require_known_normalization(fields: JsonObject) -> None:
    """Refuse brightmart's xlarge, unless ln_type says that its layers normalize as ALBERT's do.

    While it was trained, modeling_preln.py, which normalizes before each layer under the same
    names of variables, came beside modeling.py; neither its weights nor its configuration say
    which of them is meant. Everything smaller is of modeling.py.
    """
    if fields.values.get("hidden_size") == 2048 and "ln_type" not in fields.values:
        raise fields.fault(
            "ln_type",
            "'postln' or 'preln', since brightmart's xlarge may normalize before each layer",
            tip='Add "ln_type": "postln" if modeling.py trained it, and not modeling_preln.py.',
        )
