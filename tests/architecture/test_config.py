"""config.json: every value is checked, and malformed files are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.checkpoints import TINY, change_config, drop_fields

from albert_edge.architecture.config import AlbertConfig, read_config
from albert_edge.errors import ConfigError

SIZES = (
    "vocab_size",
    "embedding_size",
    "hidden_size",
    "num_hidden_layers",
    "num_hidden_groups",
    "num_attention_heads",
    "intermediate_size",
    "inner_group_num",
    "max_position_embeddings",
    "type_vocab_size",
)
NOT_A_SIZE: tuple[Any, ...] = (
    0,
    -1,
    10**9,
    10**30,
    True,
    False,
    1.5,
    1e30,
    "12",
    None,
    [12],
    {},
    float("nan"),
)
FAULTS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(SIZES, NOT_A_SIZE),
    "num_attention_heads": (*NOT_A_SIZE, 5, 7, 48),  # no divisors of 24
    "num_hidden_groups": (*NOT_A_SIZE, 5),  # more than the 4 layers
    "hidden_act": (None, 1, True, [], "\ud800"),  # graph/ refuses unknown names
    "layer_norm_eps": (
        *(0, 0.0, -1e-12, 1.5, 10**400, True, "1e-12", None, []),
        *(float("nan"), float("inf"), float("-inf")),
    ),
    "tie_word_embeddings": (None, 0, 1, "true", []),
    "architectures": ("AlbertModel", [1], [None], [["AlbertModel"]], {"a": 1}, 7, True),
    "id2label": (
        {},
        [],
        ["a", "b"],
        "a",
        3,
        {"1": "a"},
        {"0": "a", "2": "b"},
        {"-1": "a"},
        {"0": "a", "x": "b"},
        {"0": "a", "00": "b", "2": "c"},
        {"0": []},
        {"0": {"name": "a"}},
        {"0": float("nan")},
        {"0": float("inf")},
        {"0": 10**400},
        {"0": "\ud800"},
    ),
    "problem_type": (1, True, [], {}, ["regression"]),
    "add_pooling_layer": (None, 0, 1, "false", []),
    "ln_type": ("preln", "", None, 0),
    "pruned_heads": (
        [0],
        1,
        {"0": 1},
        {"0": ["1"]},
        {"0": [1.0]},
        {"0": [3]},
        {"0": [-1]},
        {"0": [1, 1]},
        {"0": [0, 1, 2]},
        {"4": [1]},
        {"-1": [1]},
        {"first": [1]},
        {"\u00b2": [1]},
        {"0": [1], "00": [2]},
        {"9" * 5000: [1]},
    ),
    "model_type": ("bert", "ALBERT", "", None, 1, [], {"albert": 1}),
    "position_embedding_type": ("relative_key", "", None, 1, []),
    "auto_map": ({"AutoModel": "modeling_canary.Canary"}, "modeling_canary.Canary", ["x"], 1, True),
    "custom_pipelines": ({"canary": {"impl": "canary.Canary"}}, "canary", True),
    "trust_remote_code": (True, 1, "yes"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a good config.json, to be changed."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "albert", **TINY}), encoding="utf-8")
    assert isinstance(read_config(path), AlbertConfig)
    return tmp_path


def refuse(folder: Path, match: str) -> ConfigError:
    with pytest.raises(ConfigError, match=match) as caught:
        read_config(folder / "config.json")
    assert str(folder / "config.json") in str(caught.value)
    assert caught.value.tip
    return caught.value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param(field, value, id=f"{field}={str(value)[:40]!a}")
        for field, values in FAULTS.items()
        for value in values
    ],
)
def test_malformed_config(field: str, value: Any, folder: Path) -> None:
    change_config(folder, **{field: value})
    error = refuse(folder, r"config\.json")
    assert field in str(error)
    str(error).encode()  # it can be printed


@pytest.mark.parametrize("num_labels", [0, -1, 10**9, True, "2", 1.5, 0.0, []])
def test_malformed_num_labels(num_labels: Any, folder: Path) -> None:
    """Read only where there is no id2label, as in transformers."""
    change_config(folder, num_labels=num_labels, id2label=None)
    refuse(folder, "num_labels")


# As Google and brightmart published them; none of these fields is read by transformers.
OLD_FILES = {
    "google": {
        "net_structure_type": 0,
        "gap_size": 0,
        "num_memory_blocks": 0,
        "down_scale_factor": 1,
        "attention_probs_dropout_prob": 0,
    },
    "brightmart": {
        "directionality": "bidi",
        "pooler_fc_size": 768,
        "pooler_num_attention_heads": 12,
        "pooler_num_fc_layers": 3,
        "pooler_size_per_head": 128,
        "pooler_type": "first_token_transform",
        "ln_type": "postln",
    },
}


@pytest.mark.reference
@pytest.mark.parametrize("fields", OLD_FILES.values(), ids=list(OLD_FILES))
def test_old_files_are_read_as_by_transformers(fields: dict[str, Any], folder: Path) -> None:
    change_config(folder, **fields)
    drop_fields(folder, "model_type", "architectures")
    found = read_config(folder / "config.json")
    theirs = transformers.AlbertConfig.from_pretrained(folder)
    names = (*SIZES, "hidden_act", "layer_norm_eps", "num_labels", "problem_type")
    assert {n: getattr(found, n) for n in names} == {n: getattr(theirs, n) for n in names}
    assert found.architectures == () and found.labels == ("LABEL_0", "LABEL_1")


def test_sizes_written_as_floats(folder: Path) -> None:
    before = read_config(folder / "config.json")
    floats = {name: float(getattr(before, name)) for name in SIZES}
    change_config(folder, **floats, num_labels=3.0)
    found = read_config(folder / "config.json")
    assert [getattr(found, name) for name in SIZES] == [getattr(before, name) for name in SIZES]
    assert all(type(getattr(found, name)) is int for name in SIZES)
    assert found.num_labels == 3


@pytest.mark.parametrize("count", [None, 2])
def test_absent_labels_are_two(count: int | None, folder: Path) -> None:
    change_config(folder, num_labels=count, id2label=None, label2id={"a": 0, "b": 1, "c": 2})
    assert read_config(folder / "config.json").labels == ("LABEL_0", "LABEL_1")


@pytest.mark.reference
@pytest.mark.parametrize(
    "id2label",
    [
        {"00": "a", "01": "b"},
        {"1": "b", "0": "a"},
        {" 0": "a", "+1": "b", "2_0": "c"} | {str(i): f"{i}" for i in range(2, 20)},
        {"0": "first", "00": "a", "1": "b"},
    ],
    ids=["zeros", "unordered", "python", "twice"],
)
def test_class_ids_are_read_as_by_transformers(id2label: dict[str, str], folder: Path) -> None:
    change_config(folder, id2label=id2label)
    found = read_config(folder / "config.json").labels
    theirs = transformers.AlbertConfig.from_pretrained(folder).id2label
    assert dict(enumerate(found)) == theirs


@pytest.mark.parametrize(("num_labels", "other"), [(7, 7), (7.0, 7), (2, None), (None, None)])
def test_numbers_of_labels_that_contradict_each_other(
    num_labels: Any, other: int | None, folder: Path
) -> None:
    """Transformers 4 takes id2label, 5 num_labels."""
    change_config(folder, id2label={"0": "a", "1": "b"}, num_labels=num_labels)
    found = read_config(folder / "config.json")
    assert (found.labels, found.other_num_labels) == (("a", "b"), other)


@pytest.mark.parametrize("name", ["", "ner", "Regression"])
def test_an_unknown_problem_type_counts_as_absent(name: str, folder: Path) -> None:
    """As in transformers 5; 4.57 refuses it."""
    change_config(folder, problem_type=name)
    assert read_config(folder / "config.json").problem_type is None


def test_labels_of_every_type(folder: Path) -> None:
    labels = ("a", "", 0, -3, 1.5, True, False, None)
    change_config(folder, id2label={str(i): label for i, label in enumerate(labels)})
    found = read_config(folder / "config.json").labels
    assert [(type(label), label) for label in found] == [(type(label), label) for label in labels]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ()),
        ({}, ()),
        ({"0": [], "3": []}, ()),
        ({"2": [2, 0], "1": [1], "3": []}, ((), (1,), (0, 2), ())),
    ],
)
def test_pruned_heads(value: Any, expected: tuple[Any, ...], folder: Path) -> None:
    change_config(folder, pruned_heads=value)
    found = read_config(folder / "config.json")
    assert found.pruned_heads == expected
    shown = json.loads(str(found.geometry.get("pruned_heads", "{}")))
    assert shown == found.width_fields["pruned_heads"]
    change_config(folder, **found.width_fields)
    assert read_config(folder / "config.json") == found


@pytest.mark.parametrize(
    ("field", "value", "tip"),
    [
        ("id2label", {"NEGATIVE": 0, "POSITIVE": 1}, "id2label and label2id"),
        ("ln_type", "preln", "the code that the model was trained with"),
        ("pruned_heads", {"0": [0, 1, 2]}, "Keep a head in every layer"),
        ("pruned_heads", {"4": [1]}, "counted over all groups"),
        ("model_type", "bert", "made for that model"),
    ],
)
def test_what_to_do_about_a_refused_field(field: str, value: Any, tip: str, folder: Path) -> None:
    change_config(folder, **{field: value})
    assert tip in refuse(folder, field).tip


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="cut-short"),
        pytest.param("null", id="null"),
        pytest.param("[]", id="list"),
        pytest.param('"albert"', id="text"),
        pytest.param("{'model_type': 'albert'}", id="python"),
        pytest.param('{"hidden_size": ' + "9" * 10_000 + "}", id="endless-number"),
        pytest.param('{"a": ' * 100_000, id="nested-objects"),
        pytest.param("\ufeff{}", id="byte-order-mark"),
    ],
)
def test_a_config_that_is_not_an_object(text: str, folder: Path) -> None:
    (folder / "config.json").write_text(text, encoding="utf-8")
    refuse(folder, r"config\.json")


@pytest.mark.parametrize("content", [b"\xff\xfe{\x00}\x00", b"\x80", bytes(100)])
def test_a_config_that_is_not_text(content: bytes, folder: Path) -> None:
    (folder / "config.json").write_bytes(content)
    refuse(folder, r"config\.json")


def test_no_config(folder: Path) -> None:
    (folder / "config.json").unlink()
    refuse(folder, "does not exist")


def test_config_is_a_folder(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()
    refuse(folder, r"config\.json")


def test_deep_nesting(folder: Path) -> None:
    """What can just be parsed may be too deep to be shown in the message."""
    path = folder / "config.json"
    text = path.read_text(encoding="utf-8")
    for depth in (*range(800, 1000), 100_000):
        nested = "[" * depth + "]" * depth
        path.write_text(
            text.replace('"hidden_size": 24', f'"hidden_size": {nested}'), encoding="utf-8"
        )
        with pytest.raises(ConfigError, match=r"config\.json"):
            read_config(path)
    refuse(folder, r"config\.json")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=[])),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(), values, max_size=4),
    max_leaves=10,
)
CONFIGS = st.dictionaries(st.sampled_from(sorted(FAULTS)) | st.text(), JSON, max_size=6) | JSON
arbitrary = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def read_or_refuse(path: Path) -> None:
    try:
        config = read_config(path)
    except ConfigError as error:
        assert str(path) in str(error)
        assert error.tip
    else:
        assert isinstance(config, AlbertConfig)
        assert config.hidden_size % config.num_attention_heads == 0
        assert sum(config.layers_of_groups) == config.num_hidden_layers
        assert min(config.layers_of_groups) >= 1
        assert config.num_labels >= 1


@given(config=CONFIGS)
@arbitrary
def test_arbitrary_config(config: Any, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    read_or_refuse(path)


@given(content=st.binary(max_size=100))
@arbitrary
def test_arbitrary_bytes_as_config(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    read_or_refuse(path)


@pytest.mark.parametrize(
    ("layers", "groups", "depths"),
    [
        (4, 1, {1: 1, 2: 1, 3: 1, 4: 1}),
        (4, 2, {1: 1, 2: 1, 3: 2, 4: 2}),  # 0 0 1 1; 3 layers of 2 groups are 0 0 1
        (6, 2, {1: 1, 2: 1, 3: 1, 5: 2, 6: 2}),  # 0 0 0 1 1 1; 4 layers are 0 0 1 1
        (3, 3, {1: 1, 2: 2, 3: 3}),
    ],
)
def test_depths_by_hand(layers: int, groups: int, depths: dict[int, int], tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    fields = {"num_hidden_layers": layers, "num_hidden_groups": groups}
    path.write_text(json.dumps(fields | {"hidden_size": 64}), encoding="utf-8")
    config = read_config(path)
    assert {n: at_depth.num_hidden_groups for n, at_depth in config.depths.items()} == depths
    assert config.depths[layers] == config


@given(layers=st.integers(1, 60), groups=st.integers(1, 60))
@arbitrary
def test_every_group_is_applied(layers: int, groups: int, tmp_path: Path) -> None:
    """However the division is rounded, no group may be left out and no layer lost."""
    path = tmp_path / "config.json"
    fields = {"num_hidden_layers": max(layers, groups), "num_hidden_groups": groups}
    path.write_text(json.dumps(fields), encoding="utf-8")
    read_or_refuse(path)
