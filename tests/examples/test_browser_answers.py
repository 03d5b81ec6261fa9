"""examples/browser answers in node as Python does: both runtimes, on WebAssembly, offline."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import onnx
import pytest
from support import web
from support.web import PRECISIONS, needs_npm

from albert_edge.runtime.self_test import SELF_TEST

pytestmark = [needs_npm, pytest.mark.slow]

TEXTS, PAIRS = web.texts(), web.pairs()
BOTH = ("transformers.js", "albert-edge")
OURS = BOTH[1:]
LONG = [{"text": "Der Zug fährt um zehn Uhr ab. " * 60}]
LACKING = {
    "token-classification": TEXTS + LONG,
    "multiple-choice": web.choices(),
    "pretraining": PAIRS[:40],
}
LONG += [
    {"text": LONG[0]["text"], "text_pair": "The train leaves at ten. " * count} for count in (3, 60)
]


def change_answers(bundle: Path, change: Callable[[Any], None]) -> None:
    stored = json.loads((bundle / SELF_TEST).read_text(encoding="utf-8"))
    change(stored)
    (bundle / SELF_TEST).write_text(json.dumps(stored), encoding="utf-8")
    web.list_again(bundle, SELF_TEST)


def other_answer(bundle: Path) -> None:
    def change(stored: Any) -> None:
        stored["outputs"]["model_quantized"][1]["logits"][0][0] += 0.3

    change_answers(bundle, change)


def more_labels(bundle: Path) -> None:
    change_answers(
        bundle, lambda stored: stored["outputs"]["model_quantized"][0]["logits"][0].append(0.0)
    )


def other_ids(bundle: Path) -> None:
    def change(stored: Any) -> None:
        stored["items"][2]["inputs"]["input_ids"][0][1] += 1

    change_answers(bundle, change)


def newer_answers(bundle: Path) -> None:
    change_answers(bundle, lambda stored: stored.update(schema_version=2))


def other_model(bundle: Path) -> None:
    """Change one bias of the classifier, and the hash with it."""
    name = "onnx/model_quantized.onnx"
    model = onnx.load(bundle / name)
    [bias] = [one for one in model.graph.initializer if one.name == "classifier.bias"]
    values = onnx.numpy_helper.to_array(bias).copy()
    values[0] += 0.3
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    onnx.save(model, bundle / name)
    web.list_again(bundle, name)


def damaged_model(bundle: Path) -> None:
    path = bundle / "onnx/model_quantized.onnx"
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


def newer_bundle(bundle: Path) -> None:
    web.edit_json(bundle / "albert_edge.json", schema_version=3)


# What is changed in a bundle, and what is then said.
TAMPERED: list[tuple[Callable[[Path], None], str]] = [
    (other_answer, "logits of item 1 differs by 0."),
    (more_labels, "logits of item 0 differs by Infinity"),
    (other_ids, "The tokenizer makes other token ids than those in self_test.json, of item 2"),
    (other_model, "logits of item 0 differs by 0."),
    (newer_answers, "self_test.json has schema version 2; update the page"),
    (damaged_model, "differs from its hash in albert_edge.json"),
    (newer_bundle, "albert_edge.json has schema version 3, and this page reads 2"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources, built for node, and bundles beside them."""
    root = tmp_path_factory.mktemp("browser")
    web.copy_sources(root / "sources")
    langid = web.write_bundle(root / "langid")
    for name in LACKING:
        web.write_bundle(root / name, name)
    for tamper, _ in (*TAMPERED, (web.remove_self_test, "")):
        tamper(Path(shutil.copytree(langid, root / tamper.__name__)))
    return root


@pytest.fixture(scope="module")
def answered(folder: Path) -> Any:
    """What node answers to all orders, in one process: by order, runtime and precision."""

    def order(items: list[Any], runtimes: Sequence[str] = BOTH, *precisions: str) -> dict[str, Any]:
        return {"items": items, "runtimes": runtimes, "precisions": precisions or PRECISIONS}

    with web.serve(folder) as address:
        orders = {
            "langid": order(TEXTS + PAIRS),
            "long": order(LONG, BOTH, "int8") | {"address": f"{address}langid/"},
            **{name: order(items, OURS) for name, items in LACKING.items()},
            web.remove_self_test.__name__: order(TEXTS[:1], BOTH, "int8"),
            **{tamper.__name__: order(TEXTS[:1], BOTH, "int8") for tamper, _ in TAMPERED},
        }
        orders = {name: {"address": f"{address}{name}/"} | one for name, one in orders.items()}
        program = web.build_for_node(folder / "sources", Path(__file__).with_name("answers.mjs"))
        return json.loads(web.run_node(folder / "sources", program, stdin=json.dumps(orders)))


# --- texts and pairs --------------------------------------------------------------------------


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("runtime", BOTH)
def test_texts_and_pairs_equal(runtime: str, precision: str, answered: Any, folder: Path) -> None:
    bundle, items = folder / "langid", TEXTS + PAIRS
    expected = web.answer_in_python(bundle, precision, items, top_k=None)
    assert len(items) == 200
    assert {each[0]["label"] for each in expected} == {"en", "de", "fr", "es", "zh"}
    found = answered["langid"][runtime][precision]
    assert found["encodings"] == web.encode_in_python(bundle, items)
    web.compare_scores(found["answers"], expected, precision, "label")
    assert found["tested"]["items"] >= 4
    assert found["tested"]["difference"] <= found["tested"]["tolerance"]


def test_a_long_text_is_cut_as_in_python(answered: Any, folder: Path) -> None:
    theirs, ours = (answered["long"][runtime]["int8"] for runtime in BOTH)
    encodings = web.encode_in_python(folder / "langid", LONG)
    assert ours["encodings"] == encodings
    assert all(len(each[0]["ids"]) == 256 and each[0]["ids"][-1] == 3 for each in encodings)
    expected = web.answer_in_python(folder / "langid", "int8", LONG, top_k=None)
    web.compare_scores(ours["answers"], expected, "int8", "label")
    # transformers.js cuts off the last special token, as the README says.
    assert [len(each[0]["ids"]) for each in theirs["encodings"]] == [256] * 3
    assert 3 not in [each[0]["ids"][-1] for each in theirs["encodings"]]


# --- what transformers.js lacks ---------------------------------------------------------------


def test_transformers_js_has_no_class_for_the_others(answered: Any) -> None:
    assert answered["classes"] == ["SequenceClassification", "MaskedLM", "QuestionAnswering"]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_tokens_equal(precision: str, answered: Any, folder: Path) -> None:
    name = "token-classification"
    bundle, items = folder / name, LACKING[name]
    found = answered[name]["albert-edge"][precision]
    assert found["encodings"] == web.encode_in_python(bundle, items)
    expected = web.answer_in_python(bundle, precision, items)
    assert {one["entity"] for each in expected for one in each} == {*web.LABELS[1:]}
    assert [len(each) for each in found["answers"]] == [len(each) for each in expected]
    web.compare_scores(singly(found["answers"]), singly(expected), precision, "entity", "index")
    known = [(a["word"], b["word"]) for a, b in together(found["answers"], expected)]
    assert [pair for pair in known if pair[0] != pair[1] and pair[0] != "<unk>"] == []
    if precision == "int8":
        return  # a label that turned makes other groups
    groups = web.answer_in_python(bundle, precision, items, aggregation_strategy="simple")
    web.compare_scores(singly(found["groups"]), singly(groups), precision, "entity_group")
    words = [(a["word"], b["word"]) for a, b in together(found["groups"], groups)]
    assert [pair for pair in words if pair[0] != pair[1] and "<unk>" not in pair[0]] == []


def singly(answers: list[list[Any]]) -> list[list[Any]]:
    return [[entity] for each in answers for entity in each]


def together(found: list[list[Any]], expected: list[list[Any]]) -> Iterator[tuple[Any, Any]]:
    for ours, theirs in zip(found, expected, strict=True):
        yield from zip(ours, theirs, strict=True)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", ["multiple-choice", "pretraining"])
def test_choices_and_order_equal(name: str, precision: str, answered: Any, folder: Path) -> None:
    found = answered[name]["albert-edge"][precision]
    assert found["encodings"] == web.encode_in_python(folder / name, LACKING[name])
    expected = web.answer_in_python(folder / name, precision, LACKING[name], top_k=None)
    assert len({each[0]["label"] for each in expected}) > 1
    web.compare_scores(found["answers"], expected, precision, "label")


# --- the self-test ----------------------------------------------------------------------------


def test_a_bundle_without_answers_is_not_checked(answered: Any) -> None:
    found = answered[web.remove_self_test.__name__]
    assert [found[runtime]["int8"]["tested"] for runtime in BOTH] == [None, None]


@pytest.mark.parametrize("runtime", BOTH)
@pytest.mark.parametrize(
    ("tamper", "words"), TAMPERED, ids=lambda value: getattr(value, "__name__", "")
)
def test_what_was_tampered_with_is_refused(
    runtime: str, tamper: Callable[[Path], None], words: str, answered: Any
) -> None:
    assert words in answered[tamper.__name__][runtime]["int8"]


# --- the device -------------------------------------------------------------------------------


def variant(name: str, target: str = "portable") -> dict[str, str]:
    return {"name": name, "target": target}


ALL = [variant("model"), variant("model_quantized", "cpu"), variant("model_fp16")]
NO_GPU = {"webgpu": False, "fp16": False, "emulated": False}
GPU = {"webgpu": True, "fp16": False, "emulated": False}
GPU16 = {**GPU, "fp16": True}
EMULATED = {**GPU16, "emulated": True}

CHOICES: list[tuple[list[Any], dict[str, Any], dict[str, str], str]] = [
    (ALL, NO_GPU, {}, "wasm model_quantized"),
    (ALL[:1], NO_GPU, {}, "wasm model"),
    (ALL, NO_GPU, {"precision": "fp32"}, "wasm model"),
    (ALL, GPU16, {}, "webgpu model_fp16"),
    (ALL, GPU, {}, "webgpu model"),
    (ALL, GPU16, {"precision": "fp32"}, "webgpu model"),
    (ALL, GPU16, {"precision": "int8"}, "wasm model_quantized"),
    (ALL, GPU16, {"device": "wasm"}, "wasm model_quantized"),
    (ALL, EMULATED, {}, "wasm model_quantized"),
    (ALL, EMULATED, {"device": "webgpu"}, "webgpu model_fp16"),
    ([variant("model"), variant("model_fp16", "cuda")], GPU16, {}, "webgpu model"),
    (ALL[1:2], GPU16, {}, "wasm model_quantized"),
    (ALL, NO_GPU, {"device": "webgpu"}, "cannot be run on webgpu"),
    (ALL, GPU, {"precision": "fp16"}, "cannot be run in fp16"),
    (ALL, GPU16, {"precision": "int8", "device": "webgpu"}, "cannot be run in int8 on webgpu"),
    (ALL, GPU16, {"precision": "int5"}, "cannot be run in int5"),
    ([variant("model_q4", "cpu")], GPU16, {}, "cannot be run in this browser"),
]

CHOOSE = """
import { readFileSync } from "node:fs";
import { capabilities, choose } from "./device.ts";
const outcomes = JSON.parse(readFileSync(0, "utf8")).map(([variants, can, wish]) => {
  try {
    const choice = choose(variants, can, wish);
    return `${choice.device} ${choice.variant.name}`;
  } catch (error) { return error.message; }
});
const gpu = (adapter) => ({ requestAdapter: async () => adapter });
const features = new Set(["shader-f16"]);
const seen = [
  await capabilities(undefined),
  await capabilities(gpu(null)),
  await capabilities({ requestAdapter: async () => { throw new Error(); } }),
  await capabilities(gpu({ features: new Set() })),
  await capabilities(gpu({ features, info: { isFallbackAdapter: true } })),
];
console.log(JSON.stringify({ outcomes, seen }));
"""


def test_the_device_is_chosen_by_what_the_browser_can_do(folder: Path) -> None:
    order = json.dumps([choice[:3] for choice in CHOICES])
    program = folder / "choose.mjs"
    program.write_text(CHOOSE, encoding="utf-8")
    built = web.build_for_node(folder / "sources", program)
    printed = web.run_node(folder / "sources", built, stdin=order)
    found = json.loads(printed)
    for outcome, choice in zip(found["outcomes"], CHOICES, strict=True):
        assert choice[3] in outcome, choice
    assert found["seen"] == [NO_GPU, NO_GPU, NO_GPU, GPU, EMULATED]


# --- the sources ------------------------------------------------------------------------------


def test_types_are_strict(folder: Path) -> None:
    assert web.run_node(folder / "sources", "node_modules/typescript/bin/tsc") == ""
    assert '"strict": true' in (folder / "sources/tsconfig.json").read_text(encoding="utf-8")


def test_every_package_has_one_version() -> None:
    package = json.loads((web.SOURCE / "package.json").read_text(encoding="utf-8"))
    for group in ("dependencies", "devDependencies"):
        assert all(version[0].isdigit() for version in package[group].values())
