"""Early exits: answers and layers that depend on the text only, and which variant is chosen."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.exits import NAMES, add_exits
from support.pipelines import POSITIONS, SENTENCES, VOCABULARIES, checkpoint

import albert_edge
from albert_edge.architecture.heads import HEADS
from albert_edge.bundle.bundle import Bundle, open_bundle
from albert_edge.bundle.change import change
from albert_edge.bundle.manifest import MANIFEST
from albert_edge.bundle.manifest_reader import read_manifest
from albert_edge.errors import BundleError
from albert_edge.runtime.adaptation import Adaptation
from albert_edge.runtime.device import CPU, Device
from albert_edge.runtime.engine import run_file
from albert_edge.runtime.load import load_pipeline
from albert_edge.runtime.providers import PROVIDERS
from albert_edge.runtime.session import Session
from albert_edge.runtime.variants import choose_variant, offered_precisions

LAYERS = 6
# The seeds are of models that some texts leave early and others do not.
CHECKPOINTS: dict[str, dict[str, Any]] = {
    "text-classification": {
        "num_labels": 3,
        "id2label": {0: "a", 1: "b", 2: "entailment"},
        "seed": 1,
    },
    "regression": {"num_labels": 1, "seed": 2},
    "token-classification": {"num_labels": 3, "seed": 6},
    "multiple-choice": {},
}
Inputs = dict[str, npt.NDArray[np.int64]]
Make = Callable[[str], Path]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """A bundle with exits in fp32 and int8 for each kind of answer, made when first needed."""
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            head = kind if kind in HEADS else "text-classification"
            config = {"num_hidden_layers": LAYERS, "max_position_embeddings": POSITIONS}
            source = checkpoint(
                folder / "checkpoint", head, "spiece.model", **config, **CHECKPOINTS[kind]
            )
            albert_edge.export(source, folder / "bundle")
            for precision in NAMES:
                add_exits(folder / "bundle", precision)
            made[kind] = folder / "bundle"
        return made[kind]

    return make


@pytest.fixture(scope="module")
def sessions(bundles: Make) -> Iterator[Callable[[str, str], Session]]:
    opened: dict[tuple[str, str], Session] = {}

    def session(kind: str, precision: str) -> Session:
        if (kind, precision) not in opened:
            mode = f"{precision}-exits"
            opened[kind, precision] = Session(bundles(kind), precision=mode, threads=1)
        return opened[kind, precision]

    yield session
    for each in opened.values():
        each.close()


# --- arrays in, arrays out ------------------------------------------------------------------


def rows_of(kind: str, lengths: list[int], seed: int = 0) -> list[Inputs]:
    """Random items of these lengths; of choices the second is shorter."""
    random = np.random.default_rng(seed)
    rows = []
    for length in lengths:
        shape = (1, 2, length) if kind == "multiple-choice" else (1, length)
        mask = np.ones(shape, np.int64)
        if kind == "multiple-choice":
            mask[0, 1, max(1, length // 2) :] = 0
        ids = random.integers(5, VOCABULARIES["spiece.model"], shape)
        types = random.integers(0, 2, shape)
        rows.append({"input_ids": ids, "attention_mask": mask, "token_type_ids": types})
    return rows


def batch_of(rows: list[Inputs], length: int) -> Inputs:
    """The rows as one batch, padded to a length with ids that would change an answer."""
    fill = {"input_ids": 7, "attention_mask": 0, "token_type_ids": 1}

    def padded(name: str, array: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        missing = length - array.shape[-1]
        widths = [(0, 0)] * (array.ndim - 1) + [(0, missing)]
        return np.pad(array, widths, constant_values=fill[name])

    return {name: np.concatenate([padded(name, row[name]) for row in rows]) for name in fill}


@pytest.mark.parametrize("precision", NAMES)
@pytest.mark.parametrize("kind", CHECKPOINTS)
@settings(max_examples=3, deadline=None)
@given(
    lengths=st.lists(st.integers(1, POSITIONS), min_size=8, max_size=8),
    longer=st.integers(0, 3),
    seed=st.integers(0, 99),
)
def test_a_batch_equals_its_rows_bit_for_bit(
    sessions: Callable[[str, str], Session],
    kind: str,
    precision: str,
    lengths: list[int],
    longer: int,
    seed: int,
) -> None:
    session = sessions(kind, precision)
    rows = rows_of(kind, lengths, seed)
    singles = [session.run(row) for row in rows]
    length = min(max(lengths) + longer, POSITIONS)
    outputs = session.run(batch_of(rows, length))
    backwards = session.run(batch_of(rows[::-1], length))
    assert outputs["layers"].tolist() == [int(single["layers"][0]) for single in singles]
    assert outputs["layers"].tolist() == backwards["layers"].tolist()[::-1]
    for row, (single, many) in enumerate(zip(singles, outputs["logits"], strict=True)):
        (logits,) = single["logits"]
        if "logits" in session.token_outputs:
            assert len(many) == length
            assert not many[len(logits) :].any()
            many = many[: len(logits)]
        np.testing.assert_array_equal(many, logits)
        np.testing.assert_array_equal(backwards["logits"][-1 - row][: len(many)], many)


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_some_texts_stop_early_and_all_are_counted(
    sessions: Callable[[str, str], Session], kind: str
) -> None:
    session = sessions(kind, "fp32")
    before = dict(session.layer_counts)
    layers = session.run(batch_of(rows_of(kind, [*range(4, 24)]), 24))["layers"]
    assert layers.dtype == np.int64
    assert len(set(layers.tolist())) > 1
    assert layers.min() >= 1
    assert layers.max() <= LAYERS
    counted = dict(session.layer_counts)
    for layer in range(1, LAYERS + 1):
        assert counted.get(layer, 0) - before.get(layer, 0) == (layers == layer).sum()


def test_a_text_that_runs_to_the_end_is_answered_as_without_exits(bundles: Make) -> None:
    folder = bundles("text-classification")
    albert_edge.optimize(folder)
    add_exits(folder, threshold=1.0)  # which no logarithm of a probability reaches
    rows = rows_of("text-classification", [5, 9, 24])
    with (
        Session(folder, precision="fp32", threads=1) as full,
        Session(folder, precision="fp32-exits", threads=1) as exits,
    ):
        assert full.variant.name == "model_optimized"
        assert not full.layer_counts
        for row in rows:
            outputs = exits.run(row)
            assert outputs["layers"].tolist() == [LAYERS]
            np.testing.assert_array_equal(outputs["logits"], full.run(row)["logits"])
    add_exits(folder)


def test_unsigned_weights_give_the_same_answers_and_layers(bundles: Make) -> None:
    """As they are loaded on CPUs that do not add products of signed ones exactly."""
    bundle = open_bundle(bundles("text-classification"))
    file = bundle.model_file(bundle.variant(NAMES["int8"]))
    # The other way is exact only on some CPUs.
    unsigned = run_file(file, adaptation=Adaptation.UNSIGNED_WEIGHTS)
    with Session(bundle, variant=NAMES["int8"], threads=1) as session:
        for row in rows_of("text-classification", [3, 8, 24]):
            outputs = session.run(row)
            for name, values in unsigned(row).items():
                np.testing.assert_array_equal(outputs[name], values)


# --- pipelines ------------------------------------------------------------------------------

WORDS = ["one", "two", "three", "four", "five", "six", "seven"]
TEXTS = [" ".join(SENTENCES[at].split()[:4]) for at in range(3, 9)]
CALLS: dict[str, tuple[str, list[Any], dict[str, Any]]] = {
    "text-classification": ("text-classification", TEXTS, {}),
    "every label": ("text-classification", TEXTS, {"top_k": None}),
    "zero-shot-classification": (
        "text-classification",
        TEXTS,
        {"candidate_labels": ["travel", "food", "a b c d"], "truncation": True},
    ),
    "text-ranking": ("regression", [("where", text) for text in TEXTS], {"truncation": True}),
    "multiple-choice": (
        "multiple-choice",
        [
            {"prompt": word, "choices": [*reversed(WORDS[at:]), "a longer choice"]}
            for at, word in enumerate(WORDS[:6])
        ],
        {},
    ),
    "token-classification": ("token-classification", TEXTS, {"ignore_labels": []}),
}


def task_of(case: str) -> str:
    return "text-classification" if case == "every label" else case


def listed(answer: Any) -> list[Any]:
    return answer if isinstance(answer, list) else [answer]


def layers_of(answer: Any) -> Any:
    return answer[0]["layers"] if isinstance(answer, list) else answer["layers"]


@pytest.mark.parametrize(
    "case, precision", [("text-classification", "fp32"), *((case, "int8") for case in CALLS)]
)
def test_answers_and_layers_are_the_same_however_texts_come(
    bundles: Make, case: str, precision: str
) -> None:
    kind, items, given = CALLS[case]
    given = {**given, "return_layers": True}
    folder, mode = bundles(kind), f"{precision}-exits"
    with load_pipeline(task_of(case), folder, precision=mode, threads=1, **given) as alone:
        wanted = [alone.answer(item) for item in items]
        assert alone(items) == wanted
        assert alone(items[::-1]) == wanted[::-1]
        assert list(alone.stream(iter(items), batch_size=4)) == wanted
        assert alone([item for item in items for _ in range(4)])[::4] == wanted
    with load_pipeline(task_of(case), folder, precision=mode, threads=2, workers=2) as many:
        assert many(items * 4, **given)[-len(items) :] == wanted
        assert many.answer(items[0], **given) == wanted[0]
        counts = many.session.layer_counts
    layers = [count for answer in wanted for count in np.ravel(layers_of(answer))]
    assert set(layers) <= set(range(1, LAYERS + 1))
    assert set(counts) == set(layers)


@pytest.mark.parametrize("case", CALLS)
def test_layers_come_only_when_asked_and_are_all_without_exits(bundles: Make, case: str) -> None:
    kind, items, given = CALLS[case]
    with load_pipeline(task_of(case), bundles(kind), precision="fp32", threads=1) as pipeline:
        plain = pipeline.answer(items[0], **given)
        answer = pipeline.answer(items[0], **given, return_layers=True)
    if case == "text-ranking":
        assert answer == {"score": plain, "layers": LAYERS}
        return
    entries = zip(listed(answer), listed(plain), strict=True)
    for entry, without in entries:
        count = [LAYERS] * 3 if case == "zero-shot-classification" else LAYERS
        assert entry == {**without, "layers": count}


def test_windows_have_a_list_and_labels_their_own_number(bundles: Make) -> None:
    tag = load_pipeline(
        "token-classification",
        bundles("token-classification"),
        precision="fp32-exits",
        aggregation_strategy="simple",
        stride=2,
        return_layers=True,
    )
    entities = tag.answer(" ".join(WORDS * 5))
    assert entities
    assert all(len(entity["layers"]) > 1 for entity in entities)
    sort = load_pipeline(
        "zero-shot-classification", bundles("text-classification"), precision="fp32-exits"
    )
    labels = [f"{one} {other}" for one in WORDS for other in WORDS[:3]]
    answer = sort.answer("nine ten", candidate_labels=labels, return_layers=True)
    alone = {
        label: sort.answer("nine ten", candidate_labels=[label], return_layers=True)["layers"]
        for label in labels
    }
    assert [alone[label] for label in answer["labels"]] == [[each] for each in answer["layers"]]
    assert len(set(answer["layers"])) > 1


def test_rank_adds_layers(bundles: Make) -> None:
    rank = albert_edge.pipeline(
        "text-ranking", bundles("regression"), precision="fp32-exits", truncation=True
    )
    plain = rank.rank("where", TEXTS)
    ranked = rank.rank("where", TEXTS, return_layers=True)
    assert [{**entry} for entry in ranked] == [
        {
            **entry,
            "layers": rank(("where", TEXTS[entry["corpus_id"]]), return_layers=True)["layers"],
        }
        for entry in plain
    ]


def test_choices_are_decided_together(bundles: Make) -> None:
    """One by one each choice would be certain of itself at once."""
    choose = load_pipeline("multiple-choice", bundles("multiple-choice"), precision="fp32-exits")
    items = CALLS["multiple-choice"][1]
    layers = {choose.answer(item, return_layers=True)["layers"] for item in items}
    assert max(layers) > 1


# --- the manifest, and which variant is chosen -----------------------------------------------


def with_promise(folder: Path, promise: float | None) -> Bundle:
    with change(folder) as pending:
        manifest = open_bundle(folder).manifest
        variants = (
            replace(variant, promised_agreement=promise, promised_max_drop=None)
            if variant.exits
            else variant
            for variant in manifest.variants
        )
        pending.manifest = replace(manifest, variants=tuple(variants))
    return open_bundle(folder)


@pytest.fixture
def bundle(bundles: Make) -> Iterator[Path]:
    folder = bundles("text-classification")
    yield folder
    with_promise(folder, 0.99)


def test_auto_takes_exits_only_if_agreement_is_promised(bundle: Path) -> None:
    assert choose_variant(open_bundle(bundle), CPU, "auto").name == NAMES["int8"]
    without = with_promise(bundle, None)
    assert choose_variant(without, CPU, "auto").mode == "fp32"
    assert Session(without, threads=1).variant.mode == "fp32"
    assert choose_variant(without, CPU, "int8-exits").name == NAMES["int8"]
    with pytest.raises(BundleError, match="has no int8 variant for cpu") as caught:
        choose_variant(without, CPU, "int8")
    assert "int8-exits" in caught.value.tip
    assert offered_precisions(without, CPU) == ["fp32", "int8-exits", "fp32-exits"]


def test_a_promised_loss_of_accuracy_is_kept_and_will_do(bundle: Path) -> None:
    document = json.loads((bundle / MANIFEST).read_text())
    assert not any("promised_max_drop" in variant for variant in document["variants"])
    with change(bundle) as pending:
        manifest = open_bundle(bundle).manifest
        for variant in manifest.variants:
            if variant.exits:
                limited = replace(variant, promised_agreement=None, promised_max_drop=1.5)
                manifest = manifest.with_variant(limited)
        pending.manifest = manifest
    opened = open_bundle(bundle)
    assert choose_variant(opened, CPU, "auto").name == NAMES["int8"]
    assert {v.promised_max_drop for v in opened.manifest.variants} == {None, 1.5}


@pytest.mark.parametrize("short", ["cuda", "openvino"])
def test_other_devices_are_offered_none(bundle: Path, short: str) -> None:
    device = Device(short, PROVIDERS[short])
    opened = open_bundle(bundle)
    assert choose_variant(opened, device, "auto").mode == "fp32"
    assert offered_precisions(opened, device) == ["fp32"]
    with pytest.raises(BundleError, match=f"no int8-exits variant for {short}"):
        choose_variant(opened, device, "int8-exits")


def test_a_bundle_without_exits_says_how_to_make_them(tmp_path: Path) -> None:
    albert_edge.export("langid-tiny", tmp_path / "b")
    with pytest.raises(BundleError, match="has no fp32-exits variant") as caught:
        choose_variant(open_bundle(tmp_path / "b"), CPU, "fp32-exits")
    assert "specialize" in caught.value.tip


def test_the_manifest_keeps_exits_and_older_ones_have_none(bundle: Path) -> None:
    manifest = read_manifest(bundle / MANIFEST)
    found = {
        variant.mode: (variant.exits, variant.promised_agreement) for variant in manifest.variants
    }
    assert found["fp32"] == (0, None)
    assert found["int8-exits"] == found["fp32-exits"] == (LAYERS - 1, 0.99)
    document = json.loads(manifest.to_json())
    for variant in document["variants"]:
        del variant["exits"], variant["promised_agreement"]
    (bundle / "older.json").write_text(json.dumps(document))
    older = read_manifest(bundle / "older.json")
    (bundle / "older.json").unlink()
    assert {(v.exits, v.promised_agreement) for v in older.variants} == {(0, None)}
    assert {v.mode for v in older.variants} == {"fp32", "int8"}


@pytest.mark.parametrize(
    "field, value",
    [
        ("exits", -1),
        ("exits", 1.5),
        ("promised_agreement", 2),
        ("promised_max_drop", 101),
        ("exits", None),
    ],
)
def test_a_manifest_with_impossible_exits_is_damaged(
    bundle: Path, tmp_path: Path, field: str, value: Any
) -> None:
    document = json.loads((bundle / MANIFEST).read_text())
    document["variants"][-1][field] = value
    (tmp_path / MANIFEST).write_text(json.dumps(document))
    with pytest.raises(BundleError, match=field):
        read_manifest(tmp_path / MANIFEST)
