"""Read config.json into an AlbertConfig: fields on an allow-list, checked against their ranges.

Those are the fields that affect outputs or the names of labels. Training-time fields (dropout,
initializer_range, ...) are ignored; fields that name code in the checkpoint to run are refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from albert_edge.errors import ConfigError
from albert_edge.json_fields import JsonObject, Scalar, parse_object, read_object

# config.json gives a class any of these as its name, and answers carry it unchanged.
LabelName = Scalar
ProblemType = Literal["regression", "single_label_classification", "multi_label_classification"]

REMOTE_CODE_FIELDS = ("auto_map", "custom_pipelines", "trust_remote_code")
# How transformers is to compute attention; with a slash, a repository of the hub to run code from.
_ATTENTION_FIELDS = ("_attn_implementation", "_attn_implementation_internal", "attn_implementation")
MOST_LABELS = 100_000
DEFAULT_NUM_LABELS = 2  # of transformers
PROBLEM_TYPES: tuple[ProblemType, ...] = get_args(ProblemType)

_POST_NORM = "postln"

_as_error = partial(ConfigError, tip="Copy the checkpoint again.")

# How many layers are applied to a text, inner ones counted each; published models have up to 24. A
# graph has all of them one after the other, so a small file could ask for hours of work.
MOST_LAYERS = 96

# name -> (default, smallest, largest); the defaults are those of transformers.AlbertConfig.
_SIZES: dict[str, tuple[int, int, int]] = {
    "vocab_size": (30000, 1, 2_000_000),
    "embedding_size": (128, 1, 65_536),
    "hidden_size": (4096, 1, 65_536),
    "num_hidden_layers": (12, 1, MOST_LAYERS),
    "num_hidden_groups": (1, 1, MOST_LAYERS),
    "num_attention_heads": (64, 1, 1_024),
    "intermediate_size": (16384, 1, 1_048_576),
    "inner_group_num": (1, 1, MOST_LAYERS),
    "max_position_embeddings": (512, 1, 1_048_576),
    "type_vocab_size": (2, 1, 65_536),
}


@dataclass(frozen=True, slots=True)
class AlbertConfig:
    """The geometry of an ALBERT and the names of its labels.

    Sizes are counts of units; `labels` is ordered by class id and has `num_labels` entries.
    `add_pooling_layer` is an argument of transformers' AlbertModel; the config.json of a bundle
    has it where the checkpoint lacks a pooler, and no other known file does. `other_num_labels`
    is the num_labels of a config.json whose id2label has another length; the weights decide.
    `pruned_heads` lists the attention heads that each distinct layer lacks, in the order of
    `distinct_layer`; it is empty where every layer has all of them.
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
    add_pooling_layer: bool
    architectures: tuple[str, ...]
    labels: tuple[LabelName, ...]
    other_num_labels: int | None
    problem_type: ProblemType | None
    pruned_heads: tuple[tuple[int, ...], ...] = ()

    @property
    def num_labels(self) -> int:
        """The number of classes of the classification heads."""
        return len(self.labels)

    @property
    def geometry(self) -> dict[str, int | float | str]:
        """The fields that are one number or text, by name, as reports keep them.

        Where heads are pruned, their numbers by layer are among them, as in config.json.
        """
        fields = asdict(self).items()
        numbers = {name: value for name, value in fields if isinstance(value, int | float | str)}
        pruned = self.width_fields["pruned_heads"]
        return numbers | ({"pruned_heads": json.dumps(pruned)} if pruned else {})

    @property
    def head_size(self) -> int:
        """The features of an attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def distinct_layers(self) -> int:
        """The number of layers with weights of their own."""
        return self.num_hidden_groups * self.inner_group_num

    def distinct_layer(self, group: int, inner: int) -> int:
        """Return the number of an inner layer of a group, by which transformers prunes heads."""
        return group * self.inner_group_num + inner

    def heads(self, layer: int) -> int:
        """Return how many attention heads a distinct layer has."""
        pruned = self.pruned_heads[layer] if self.pruned_heads else ()
        return self.num_attention_heads - len(pruned)

    @property
    def width_fields(self) -> dict[str, Any]:
        """The fields of config.json that pruning neurons and heads changes."""
        pruned = {str(layer): [*heads] for layer, heads in enumerate(self.pruned_heads) if heads}
        return {"intermediate_size": self.intermediate_size, "pruned_heads": pruned}

    @property
    def group_of_layers(self) -> list[int]:
        """The hidden group of each layer, in order of application.

        Layer i belongs to group floor(i / (num_hidden_layers / num_hidden_groups)), as
        transformers computes it, so a remainder is spread over the groups.
        """
        share = self.num_hidden_layers / self.num_hidden_groups
        return [int(layer / share) for layer in range(self.num_hidden_layers)]

    @property
    def layers_of_groups(self) -> tuple[int, ...]:
        """How many times in a row each hidden group is applied, in order of application."""
        group_of = self.group_of_layers
        return tuple(group_of.count(group) for group in range(self.num_hidden_groups))

    @property
    def depths(self) -> dict[int, AlbertConfig]:
        """The configurations of the first layers only, by their number; the last is this one.

        The group of a layer follows from the numbers of layers and groups. With several groups, a
        number of layers is left out where they would not be the first ones of this configuration.
        """
        groups = self.group_of_layers
        depths = {
            layers: replace(
                self,
                num_hidden_layers=layers,
                num_hidden_groups=last + 1,
                pruned_heads=self.pruned_heads[: (last + 1) * self.inner_group_num],
            )
            for layers, last in enumerate(groups, 1)
        }
        return {
            layers: config
            for layers, config in depths.items()
            if config.group_of_layers == groups[:layers]
        }


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
    if not path.exists():
        raise ConfigError(
            f"{path} does not exist.",
            tip="Point at the folder that save_pretrained wrote; it holds config.json.",
        )
    return _check(read_fields(path))


def parse_config(content: bytes, place: str) -> AlbertConfig:
    """Parse and check the content of a config.json, as `read_config` does.

    Args:
        content: The content.
        place: Where it comes from, for errors.
    """
    return _check(parse_object(content, place, _as_error))


def _check(fields: JsonObject) -> AlbertConfig:
    fields = replace(fields, values=with_whole_sizes(fields.values))
    _refuse_other_models(fields)
    sizes = {
        name: fields.integer(name, default, low=low, high=high)
        for name, (default, low, high) in _SIZES.items()
    }
    if sizes["hidden_size"] % sizes["num_attention_heads"]:
        raise fields.fault(
            "num_attention_heads", f"a divisor of hidden_size ({sizes['hidden_size']})"
        )
    if sizes["num_hidden_groups"] > sizes["num_hidden_layers"]:
        raise fields.fault(
            "num_hidden_groups", f"at most num_hidden_layers ({sizes['num_hidden_layers']})"
        )
    applied = sizes["num_hidden_layers"] * sizes["inner_group_num"]
    if applied > MOST_LAYERS:
        raise fields.fault(
            "inner_group_num",
            f"so small that num_hidden_layers * inner_group_num, {applied}, is at most "
            f"{MOST_LAYERS}",
        )
    architectures = fields.texts("architectures", None)
    labels, num_labels = _read_labels(fields), _read_num_labels(fields)
    return AlbertConfig(
        **sizes,
        hidden_act=fields.text(
            "hidden_act", "gelu_new"
        ),  # graph/activations.py refuses unknown ones
        layer_norm_eps=fields.number("layer_norm_eps", 1e-12, above=0, high=1),
        tie_word_embeddings=fields.flag("tie_word_embeddings", True),
        add_pooling_layer=fields.flag("add_pooling_layer", True),
        architectures=architectures or (),
        labels=labels,
        other_num_labels=None if num_labels in (len(labels), None) else num_labels,
        problem_type=_read_problem_type(fields),
        pruned_heads=_read_pruned_heads(
            fields,
            layers=sizes["num_hidden_groups"] * sizes["inner_group_num"],
            heads=sizes["num_attention_heads"],
        ),
    )


def read_fields(path: Path) -> JsonObject:
    """Read the fields of a config.json, without a check of any of them.

    Raises:
        ConfigError: The file cannot be read, or is not a JSON object.
    """
    return read_object(path, _as_error)


def with_whole_sizes(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a config.json with sizes such as 768.0 as the integers they are."""
    sizes = {
        name: int(value)
        for name in (*_SIZES, "num_labels")
        if isinstance(value := values.get(name), float) and value.is_integer()
    }
    return {**values, **sizes}


def default_labels(count: int) -> tuple[str, ...]:
    """Return the labels of classes that have no name of their own, as transformers does."""
    return tuple(f"LABEL_{index}" for index in range(count))


def class_ids(names: Iterable[str]) -> dict[int, str] | None:
    """Read the keys of id2label as transformers does, as any spelling of an integer.

    Returns:
        The key of each class id in order, or None if they are not the ids 0, 1, 2, ...
    """
    try:
        key_of = {int(name): name for name in names}
    except ValueError:
        return None
    in_order = dict(sorted(key_of.items()))
    return in_order if [*in_order] == [*range(len(in_order))] else None


def _refuse_other_models(fields: JsonObject) -> None:
    repositories = {name for name in _ATTENTION_FIELDS if "/" in str(fields.values.get(name))}
    for name in (*REMOTE_CODE_FIELDS, *sorted(repositories)):
        if fields.values.get(name):
            raise fields.fault(
                name,
                "absent: it names code to run, and no code from a checkpoint is ever run",
                tip="Save the model with transformers' own ALBERT classes.",
            )
    if fields.values.get("model_type", "albert") != "albert":
        raise fields.fault("model_type", '"albert"', tip="Use a tool made for that model.")
    fields.choice("position_embedding_type", ["absolute"], "absolute")
    # brightmart's and lonePatient's code normalizes before each layer with "preln"; transformers
    # ignores the field and normalizes after it.
    if fields.values.get("ln_type", _POST_NORM) != _POST_NORM:
        raise fields.fault(
            "ln_type",
            f'"{_POST_NORM}", since ALBERT normalizes after each layer',
            tip="Use the code that the model was trained with.",
        )


def _read_pruned_heads(
    fields: JsonObject, *, layers: int, heads: int
) -> tuple[tuple[int, ...], ...]:
    """Read which heads transformers 4 pruned from each distinct layer; () if none from any."""
    by_layer = fields.object("pruned_heads", None)
    if by_layer is None:
        return ()
    pruned: dict[int, tuple[int, ...]] = {}
    for key in by_layer.values:
        layer = int(key) if key.isascii() and key.isdigit() and len(key) < 10 else layers
        if layer >= layers or layer in pruned:
            raise fields.fault(
                "pruned_heads",
                f"an object whose keys are different layers from 0 to {layers - 1}",
                tip="Correct it in config.json: layers are counted over all groups.",
            )
        pruned[layer] = tuple(sorted(by_layer.integers(key)))
        if {*pruned[layer]} - {*range(heads)} or len({*pruned[layer]}) < len(pruned[layer]):
            raise by_layer.fault(key, f"a list of different heads from 0 to {heads - 1}")
        if len(pruned[layer]) == heads:
            raise by_layer.fault(
                key,
                f"at most {heads - 1} heads: a layer needs one",
                tip="Keep a head in every layer, and save the model again.",
            )
    return tuple(pruned.get(layer, ()) for layer in range(layers)) if any(pruned.values()) else ()


def _read_problem_type(fields: JsonObject) -> ProblemType | None:
    """Read problem_type; one that transformers 5 does not know counts as absent, as there."""
    name = fields.text("problem_type", None)
    return name if name in PROBLEM_TYPES else None


def _read_labels(fields: JsonObject) -> tuple[LabelName, ...]:
    by_id = fields.object("id2label", None)
    if by_id is None:
        return default_labels(_read_num_labels(fields) or DEFAULT_NUM_LABELS)
    keys = class_ids(by_id.values)
    if not keys:
        raise fields.fault(
            "id2label",
            "an object from class ids 0, 1, 2, ... to labels",
            tip="Correct it in config.json; id2label and label2id may have been confused.",
        )
    return tuple(by_id.scalar(key) for key in keys.values())


def _read_num_labels(fields: JsonObject) -> int | None:
    return fields.integer("num_labels", None, low=1, high=MOST_LABELS)
