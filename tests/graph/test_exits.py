"""Early exits: the model stops where a classifier is certain, and else answers as without them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator
from support.checkpoints import TINY

from albert_edge.architecture.config import AlbertConfig, parse_config
from albert_edge.architecture.heads import HEADS
from albert_edge.architecture.weights import Matrix
from albert_edge.compress.options import Int8, Int8Block
from albert_edge.compress.store import CompressedWeights
from albert_edge.errors import UsageError
from albert_edge.graph.build import author
from albert_edge.graph.plan import CPU_OPTIMIZATIONS, OPTIMIZATIONS, Plan, Precision
from albert_edge.graph.writer import write_model
from albert_edge.onnx_format.reader import read_onnx

Array = npt.NDArray[Any]
Arrays = dict[str, Array]

PLANS = {
    "portable": Plan("portable", "loop", OPTIMIZATIONS["portable"]),
    "cpu": Plan("cpu", "loop", CPU_OPTIMIZATIONS),
    "int8": Int8().plan(),
    "int8-block": Int8Block().plan(),
}
TEXT, TOKENS, CHOICES = "text-classification", "token-classification", "multiple-choice"
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "classes": (TEXT, {"num_labels": 3}),
    "one-group": (TEXT, {"num_hidden_groups": 1, "num_hidden_layers": 5, "inner_group_num": 1}),
    "groups-applied-once": (TEXT, {"num_hidden_groups": 4}),
    "several-classes": (TEXT, {"num_labels": 4, "problem_type": "multi_label_classification"}),
    "number": (TEXT, {"num_labels": 1}),
    "numbers": (TEXT, {"num_labels": 3, "problem_type": "regression"}),
    "tokens": (TOKENS, {"num_labels": 4}),
    "choices": (CHOICES, {}),
}
# Every case, and every kind of decision in the other plans.
PAIRS = [
    *((case, "cpu") for case in CASES),
    *((case, "int8") for case in ("classes", "one-group", "number", "tokens", "choices")),
    *((case, "portable") for case in ("classes", "several-classes", "number", "tokens", "choices")),
    ("classes", "int8-block"),
]
every_pair = pytest.mark.parametrize(("case", "name"), PAIRS)


@dataclass(frozen=True)
class Model:
    """A model with random weights, among them those of an exit after every application."""

    head: str
    config: AlbertConfig
    floats: Arrays
    folder: Path

    @property
    def exits(self) -> int:
        """The most exits that it can have."""
        return self.config.num_hidden_layers - 1

    def write(self, plan: Plan, threshold: float = np.inf) -> Path:
        """Write it under a plan."""
        authored = author(self.config, self.head, plan)
        exits = {
            name: values[: plan.exits]
            for name, values in self.floats.items()
            if name.startswith("exits.")
        }
        floats = {**self.floats, **exits, "exits.threshold": np.array([threshold], np.float32)}
        path = self.folder / "model.onnx"
        write_model(authored, CompressedWeights(authored, floats, {}, {}), path)
        return path

    def run(
        self, plan: Plan, inputs: Arrays, threshold: float = np.inf, threads: int = 1
    ) -> Arrays:
        """Write it under a plan, and run it."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(self.write(plan, threshold), options)
        names = [value.name for value in session.get_outputs()]
        return dict(zip(names, session.run(names, inputs), strict=True))

    def inputs(self, length: int = 7, batch: int = 1) -> Arrays:
        """Random texts without padding."""
        random = np.random.default_rng(1)
        shape = HEADS[self.head].ids_shape(batch, length, choices=3)
        return {
            "input_ids": random.integers(0, self.config.vocab_size, shape),
            "attention_mask": np.ones(shape, np.int64),
            "token_type_ids": random.integers(0, 2, shape),
        }


@pytest.fixture
def make(tmp_path: Path) -> Callable[[str], Model]:
    """Makes the model of a case."""

    def make(case: str) -> Model:
        head, changes = CASES[case]
        config = parse_config(json.dumps(TINY | changes).encode(), "config.json")
        random = np.random.default_rng(0)
        plan = replace(PLANS["int8"], precisions={}, optimizations=frozenset(), exits=1)
        weights = author(config, head, plan).weights
        floats = {
            name: random.normal(
                1.0 if weight.spec.kind in ("norm", "smoothing") else 0.0, 0.2, weight.shape
            )
            for name, weight in weights.items()
        }
        classes = 1 if head == CHOICES else config.num_labels
        exits = config.num_hidden_layers - 1
        scale = np.geomspace(0.02, 1, exits).reshape(
            -1, 1, 1
        )  # so that later exits are more certain
        shape = exits, config.hidden_size, classes
        floats["exits.weight"] = random.normal(0, scale, shape)
        floats["exits.bias"] = random.normal(0, 0.02, (exits, classes))
        return Model(head, config, {k: v.astype(np.float32) for k, v in floats.items()}, tmp_path)

    return make


# What exits compute, in numpy


def log_softmax(logits: Array, axis: int) -> Array:
    shifted = logits - logits.max(axis, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis, keepdims=True)))


def exit_logits(model: Model, states: Array) -> Array:
    """Logits of every exit, (exits, rows, classes), from the states of every application."""
    weight, bias = model.floats["exits.weight"], model.floats["exits.bias"]
    return np.asarray(states[: model.exits].astype(np.float64) @ weight + bias[:, None])


def certainties(model: Model, logits: Array) -> Array:
    """How certain each exit is, (exits,)."""
    decision = HEADS[model.head].decision(model.config)
    if decision is None:
        steps = np.abs(np.diff(logits[:, 0], axis=0)).sum(axis=1)
        return np.concatenate([[-np.inf], -steps])
    if decision == "positive":
        return np.asarray(np.abs(logits).min(axis=(1, 2)))
    if model.head == CHOICES:
        return np.asarray(log_softmax(logits, axis=1).max(axis=(1, 2)))
    rows = slice(1, -1) if model.head == TOKENS else slice(None)  # not of [CLS] and [SEP]
    return np.asarray(log_softmax(logits[:, rows], axis=2).max(axis=2).min(axis=1))


def stops_after(certain: Array, threshold: float) -> int:
    """After how many applications a threshold is met; all, if by no exit."""
    met = certain >= threshold
    return int(met.argmax()) + 1 if met.any() else len(certain) + 1


def thresholds(*certain: Array) -> list[float]:
    """From one that every exit meets to one that none meets, with all between that differ."""
    levels = np.unique(np.concatenate(certain))
    return [-np.inf, *((levels[1:] + levels[:-1]) / 2), np.inf]


# Where the model stops, and what it answers


@every_pair
def test_stops_where_the_first_exit_is_certain(
    case: str, name: str, make: Callable[[str], Model]
) -> None:
    model, plan = make(case), PLANS[name]
    inputs = model.inputs()
    full = model.run(plan, inputs)["logits"]
    traced = model.run(replace(plan, traced=True), inputs)
    np.testing.assert_array_equal(traced["logits"], full)
    logits = exit_logits(model, traced["exit_states"])
    stops = Counter[int]()
    certain = certainties(model, logits)
    for threshold in thresholds(certain):
        layers = stops_after(certain, threshold)
        found = model.run(replace(plan, exits=model.exits), inputs, threshold)
        assert found["layers"].tolist() == [layers]
        assert found["layers"].dtype == np.int64
        if layers <= model.exits:
            expected = logits[layers - 1].reshape(full.shape)
            np.testing.assert_allclose(found["logits"], expected, rtol=0, atol=1e-5)
        else:
            np.testing.assert_array_equal(found["logits"], full)
        stops[layers] += 1
    assert len(stops) > 2  # the first, the last, and one between


@pytest.mark.parametrize("case", ["one-group", "tokens"])
def test_any_number_of_exits(case: str, make: Callable[[str], Model]) -> None:
    model, plan = make(case), PLANS["cpu"]
    inputs = model.inputs()
    full = model.run(plan, inputs)["logits"]
    for exits in range(1, model.exits + 1):
        found = model.run(replace(plan, exits=exits), inputs)
        np.testing.assert_array_equal(found["logits"], full)
        assert found["layers"].tolist() == [model.config.num_hidden_layers]


@pytest.mark.parametrize(("case", "name"), [("classes", "int8"), ("tokens", "cpu")])
def test_threads_change_no_bit(case: str, name: str, make: Callable[[str], Model]) -> None:
    model = make(case)
    plan, inputs = replace(PLANS[name], exits=model.exits), model.inputs(40)
    traced = model.run(replace(PLANS[name], traced=True), inputs)
    certain = certainties(model, exit_logits(model, traced["exit_states"]))
    for threshold in thresholds(certain):
        single, several = (model.run(plan, inputs, threshold, threads) for threads in (1, 3))
        for output, values in single.items():
            np.testing.assert_array_equal(several[output], values)


def test_padding_has_no_say(make: Callable[[str], Model]) -> None:
    model, plan = make("tokens"), PLANS["cpu"]
    inputs = {name: np.pad(array, [(0, 0), (0, 9)]) for name, array in model.inputs(3).items()}
    logits = exit_logits(model, model.run(replace(plan, traced=True), inputs)["exit_states"])
    certain, with_padding = (certainties(model, rows) for rows in (logits[:, :3], logits))
    differs = False
    for threshold in thresholds(certain, with_padding):
        layers = stops_after(certain, threshold)
        assert model.run(replace(plan, exits=model.exits), inputs, threshold)["layers"] == layers
        differs |= layers != stops_after(with_padding, threshold)
    assert differs


def test_the_first_and_the_last_token_have_no_say(make: Callable[[str], Model]) -> None:
    model, plan = make("tokens"), PLANS["cpu"]
    differs = False
    for length in range(3, 9):
        inputs = model.inputs(length)
        logits = exit_logits(model, model.run(replace(plan, traced=True), inputs)["exit_states"])
        certain = certainties(model, logits)
        of_all = log_softmax(logits, axis=2).max(axis=2).min(axis=1)
        for threshold in thresholds(certain, of_all):
            layers = stops_after(certain, threshold)
            found = model.run(replace(plan, exits=model.exits), inputs, threshold)["layers"]
            assert found == layers
            differs |= layers != stops_after(of_all, threshold)
    assert differs


@pytest.mark.parametrize("length", [1, 2])
def test_a_text_without_tokens_is_certain_at_once(
    length: int, make: Callable[[str], Model]
) -> None:
    model = make("tokens")
    plan = replace(PLANS["cpu"], exits=model.exits)
    assert model.run(plan, model.inputs(length), 0.0)["layers"] == [1]


@pytest.mark.parametrize("case", ["classes", "choices"])
def test_another_batch_size_than_one_is_refused(case: str, make: Callable[[str], Model]) -> None:
    model = make(case)
    with pytest.raises(Exception, match="invalid dimensions"):
        model.run(replace(PLANS["cpu"], exits=1), model.inputs(batch=2))
    assert len(model.run(replace(PLANS["cpu"], traced=True), model.inputs(batch=2))["logits"]) == 2


# The graph


def bodies(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """All graphs inside of a graph, at any depth."""
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield attribute.g
                yield from bodies(attribute.g)


@pytest.mark.parametrize("case", ["classes", "several-classes", "number", "tokens", "choices"])
def test_other_runtimes_agree(case: str, make: Callable[[str], Model]) -> None:
    """The checker of onnx and its evaluator in numpy take them: nothing leans on onnxruntime."""
    model = make(case)
    plan, inputs = replace(PLANS["portable"], exits=model.exits), model.inputs()
    traced = model.run(replace(PLANS["portable"], traced=True), inputs)
    certain = certainties(model, exit_logits(model, traced["exit_states"]))
    # The evaluator cannot skip a loop, so the last exit answers, or none.
    late = [at for at in thresholds(certain) if stops_after(certain, at) >= model.exits]
    threshold = late[0]
    path = model.write(plan, threshold)
    onnx.checker.check_model(str(path), full_check=True)
    loaded = onnx.load(path)
    assert [(opset.domain, opset.version) for opset in loaded.opset_import] == [("", 17)]
    expected = model.run(plan, inputs, threshold)
    found = ReferenceEvaluator(str(path)).run(None, inputs)
    for values, (name, reference) in zip(found, expected.items(), strict=True):
        np.testing.assert_allclose(values, reference, rtol=0, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("case", ["classes", "several-classes", "number", "tokens", "choices"])
def test_an_exit_costs_few_operators(case: str, make: Callable[[str], Model]) -> None:
    model, plan = make(case), PLANS["cpu"]

    def operators(plan: Plan) -> int:
        """Return their number in the first body, which applies the first hidden group."""
        authored = author(model.config, model.head, plan)
        return len(next(bodies(ir.to_proto(authored.model).graph)).node)

    without = operators(replace(plan, traced=True)) - 1  # which reads the states
    assert operators(replace(plan, exits=1)) <= without + 8


def test_every_weight_is_stored_once(make: Callable[[str], Model]) -> None:
    model, plan = make("one-group"), PLANS["int8"]
    before = read_onnx(model.write(plan)).tensors
    path = model.write(replace(plan, exits=model.exits))
    after = read_onnx(path).tensors
    added = {name: tensor.shape for name, tensor in after.items() if tensor.bytes > 16}
    for name in before:
        added.pop(name, None)
    size, classes = model.config.hidden_size, model.config.num_labels
    exits = {"exits.weight": (model.exits, size, classes), "exits.bias": (model.exits, classes)}
    assert added == exits
    assert not any(body.initializer for body in bodies(onnx.load(path).graph))


# What cannot be


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"exits": -1}, "negative"),
        ({"exits": 2, "traced": True}, "not both"),
        ({"exits": 2, "layout": "unrolled"}, "unrolled"),
        ({"traced": True, "target": "cuda"}, "cuda"),
        ({"exits": 2, "precisions": dict.fromkeys(Matrix, Precision.FP16)}, "fp16"),
    ],
)
def test_a_plan_that_cannot_have_exits(wrong: dict[str, Any], match: str) -> None:
    with pytest.raises(UsageError, match=match) as caught:
        Plan(**{"layout": "loop", **wrong})
    assert caught.value.tip


@pytest.mark.parametrize("head", [head for head, spec in HEADS.items() if not spec.can_exit])
@pytest.mark.parametrize("plan", [{"exits": 1}, {"traced": True}], ids=str)
def test_a_head_without_exits(
    head: str, plan: dict[str, Any], make: Callable[[str], Model]
) -> None:
    with pytest.raises(UsageError, match=head):
        author(make("classes").config, head, Plan(layout="loop", **plan))


def test_exits_are_fewer_than_applications(make: Callable[[str], Model]) -> None:
    config = make("classes").config
    author(config, TEXT, Plan(layout="loop", exits=config.num_hidden_layers - 1))
    with pytest.raises(UsageError, match=r"exits=4: .* 4 times"):
        author(config, TEXT, Plan(layout="loop", exits=config.num_hidden_layers))
