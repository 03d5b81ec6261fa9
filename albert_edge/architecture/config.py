"""config.json -> AlbertConfig: read by an allow-list, every value checked against its range.

Only the fields that change what the network computes or what its answers are called are read.
Training-time fields (dropout, initializer_range, ...) are ignored; anything that would have a
program run code from the checkpoint is refused.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from albert_edge.errors import ConfigError

ProblemType = Literal["regression", "single_label_classification", "multi_label_classification"]

REMOTE_CODE_FIELDS = ("auto_map", "custom_pipelines", "trust_remote_code")
PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")

# transformers' class for each head -> the task it is trained for.
ARCHITECTURES = {
    "AlbertModel": "feature-extraction",
    "AlbertForMaskedLM": "fill-mask",
    "AlbertForPreTraining": "pretraining",
    "AlbertForSequenceClassification": "text-classification",
    "AlbertForTokenClassification": "token-classification",
    "AlbertForQuestionAnswering": "question-answering",
    "AlbertForMultipleChoice": "multiple-choice",
}

# name -> (default, smallest, largest); the defaults are those of transformers.AlbertConfig.
_SIZES: dict[str, tuple[int, int, int]] = {
    "vocab_size": (30000, 1, 2_000_000),
    "embedding_size": (128, 1, 65_536),
    "hidden_size": (4096, 1, 65_536),
    "num_hidden_layers": (12, 1, 1_000),
    "num_hidden_groups": (1, 1, 1_000),
    "num_attention_heads": (64, 1, 1_024),
    "intermediate_size": (16384, 1, 1_048_576),
    "inner_group_num": (1, 1, 100),
    "max_position_embeddings": (512, 1, 1_048_576),
    "type_vocab_size": (2, 1, 65_536),
}


@dataclass(frozen=True, slots=True)
class AlbertConfig:
    """The geometry of an ALBERT and the names of its answers.

    Sizes are counts of units; `labels` is ordered by class id and has `num_labels` entries.
    """

    vocab_size: int
    embedding_size: int
    hidden_size: int
    num_hidden_layers: int
    num_hidden_groups: int
    num_attention_heads: int
    intermediate_size: int
    inner_group_num: int
    max_position_embeddings: int
    type_vocab_size: int
    hidden_act: str
    layer_norm_eps: float
    tie_word_embeddings: bool
    architectures: tuple[str, ...]
    labels: tuple[str, ...]
    problem_type: ProblemType | None

    @property
    def num_labels(self) -> int:
        """How many classes the classification heads have."""
        return len(self.labels)

    @property
    def layers_of_groups(self) -> tuple[int, ...]:
        """How many times in a row each hidden group is applied, in order of application.

        Layer i belongs to group floor(i / (num_hidden_layers / num_hidden_groups)), as
        transformers computes it, so a remainder is spread over the groups.
        """
        share = self.num_hidden_layers / self.num_hidden_groups
        group_of = [int(layer / share) for layer in range(self.num_hidden_layers)]
        return tuple(group_of.count(group) for group in range(self.num_hidden_groups))


def read_config(path: Path) -> AlbertConfig:
    """Read and check a config.json.

    Args:
        path: The file.

    Returns:
        The configuration, every value within its range.

    Raises:
        ConfigError: The file is missing or not JSON, names another model type or remote code, or
            holds a value of the wrong type or out of range. The message names file and field.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"{path} does not exist.",
            tip="Point at the folder that save_pretrained wrote; it holds config.json.",
        ) from None
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"{path} is not readable JSON: {error}", tip="Copy the checkpoint again."
        ) from error
    if not isinstance(fields, dict):
        raise ConfigError(f"{path} is not a JSON object.", tip="Copy the checkpoint again.")
    return _Reader(path, fields).config()


class _Reader:
    """One config.json being checked; every complaint names the file and the field."""

    def __init__(self, path: Path, fields: Mapping[str, Any]) -> None:
        self.path = path
        self.fields = fields

    def config(self) -> AlbertConfig:
        self._refuse_what_is_not_albert()
        sizes = {name: self._size(name) for name in _SIZES}
        if sizes["hidden_size"] % sizes["num_attention_heads"]:
            raise self._error(
                "num_attention_heads",
                f"a divisor of hidden_size ({sizes['hidden_size']})",
            )
        if sizes["num_hidden_groups"] > sizes["num_hidden_layers"]:
            raise self._error(
                "num_hidden_groups", f"at most num_hidden_layers ({sizes['num_hidden_layers']})"
            )
        return AlbertConfig(
            **sizes,
            hidden_act=self._hidden_act(),
            layer_norm_eps=self._layer_norm_eps(),
            tie_word_embeddings=self._flag("tie_word_embeddings", default=True),
            architectures=self._architectures(),
            labels=self._labels(),
            problem_type=self._problem_type(),
        )

    def _error(self, field: str, expected: str, *, tip: str | None = None) -> ConfigError:
        found = reprlib.repr(self.fields.get(field))  # short, whatever it is
        return ConfigError(
            f"{self.path}: {field} should be {expected}, found {found}.",
            tip=tip or f"Correct {field} in config.json, or copy the checkpoint again.",
        )

    def _refuse_what_is_not_albert(self) -> None:
        for field in REMOTE_CODE_FIELDS:
            if self.fields.get(field):
                raise self._error(
                    field,
                    "absent: it names code to run, and no code from a checkpoint is ever run",
                    tip="Save the model with transformers' own ALBERT classes.",
                )
        model_type = self.fields.get("model_type", "albert")
        if model_type != "albert":
            raise self._error("model_type", '"albert"', tip="Use a tool made for that model.")
        if self.fields.get("position_embedding_type", "absolute") != "absolute":
            raise self._error(
                "position_embedding_type",
                '"absolute", the only kind ALBERT was published with',
                tip="Relative position embeddings are not supported.",
            )

    def _size(self, name: str) -> int:
        default, smallest, largest = _SIZES[name]
        value = self.fields.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._error(name, "a whole number")
        if not smallest <= value <= largest:
            raise self._error(name, f"between {smallest} and {largest}")
        return value

    def _flag(self, name: str, *, default: bool) -> bool:
        value = self.fields.get(name, default)
        if not isinstance(value, bool):
            raise self._error(name, "true or false")
        return value

    def _hidden_act(self) -> str:
        # Which names can be built is the graph's knowledge; see graph/activations.py.
        value = self.fields.get("hidden_act", "gelu_new")
        if not isinstance(value, str):
            raise self._error("hidden_act", "the name of an activation function")
        return value

    def _layer_norm_eps(self) -> float:
        value = self.fields.get("layer_norm_eps", 1e-12)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
            raise self._error("layer_norm_eps", "a number above 0 and at most 1")
        return float(value)

    def _architectures(self) -> tuple[str, ...]:
        value = self.fields.get("architectures") or []
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise self._error("architectures", "a list of class names")
        return tuple(value)

    def _labels(self) -> tuple[str, ...]:
        by_id = self.fields.get("id2label")
        if by_id is None:
            count = self.fields.get("num_labels", 2)
            if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= 100_000:
                raise self._error("num_labels", "between 1 and 100000")
            return tuple(f"LABEL_{index}" for index in range(count))
        expected = "an object from class ids 0, 1, 2, ... to label texts"
        if not isinstance(by_id, dict) or not by_id:
            raise self._error("id2label", expected)
        labels = [by_id.get(str(index)) for index in range(len(by_id))]
        if not all(isinstance(label, str) and _is_unicode(label) for label in labels):
            raise self._error("id2label", expected)
        return tuple(str(label) for label in labels)

    def _problem_type(self) -> ProblemType | None:
        value = self.fields.get("problem_type")
        if value is not None and value not in PROBLEM_TYPES:
            raise self._error("problem_type", f"one of {', '.join(PROBLEM_TYPES)}, or absent")
        problem_type: ProblemType | None = value
        return problem_type


def _is_unicode(text: str) -> bool:
    """Whether a text can be written as UTF-8, which JSON's escapes do not guarantee."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
