"""Text ranking against sentence-transformers' CrossEncoder: the same pairs, the same scores."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import sentence_transformers
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pipelines import (
    ANY_TEXT,
    POSITIONS,
    REFERENCE,
    SENTENCES,
    WORDS,
    checkpoint,
    one_thread,
    words,
)

import albert_edge
from albert_edge.bundle.bundle import open_bundle
from albert_edge.bundle.change import digest
from albert_edge.bundle.manifest import MANIFEST, FileRecord
from albert_edge.errors import BundleError, CheckpointError, InputError, UsageError
from albert_edge.runtime.session import Session
from albert_edge.runtime.vectors import sigmoid

__all__ = ["one_thread"]  # a fixture of every test here

pytestmark = pytest.mark.reference

TASK: Final = "text-ranking"
QUERY = "What did Hurricane Rosa bring?"
PAIRS = [(QUERY, sentence) for sentence in SENTENCES[:6]]
# Names under which sentence-transformers saves what CrossEncoder applies to logits.
IDENTITY = "torch.nn.modules.linear.Identity"
SIGMOID = "torch.nn.modules.activation.Sigmoid"
TORCH = {"none": torch.nn.Identity(), "sigmoid": torch.nn.Sigmoid()}


@dataclass(frozen=True, repr=False)
class Rankers:
    """Our pipeline on a bundle, and the CrossEncoder of its checkpoint."""

    bundle: Path
    reference: Path
    ours: Any
    theirs: Any


def rankers(folder: Path, vocabulary: str = "spiece.model", **config: Any) -> Rankers:
    """Both on a random model, of one label if `config` says no other number."""
    config = {"num_labels": 1, **config}
    source = checkpoint(folder / "checkpoint", "text-classification", vocabulary, **config)
    albert_edge.export(source, folder / "bundle")
    albert_edge.optimize(folder / "bundle")
    return loaded(folder)


def loaded(folder: Path) -> Rankers:
    bundle, reference = folder / "bundle", folder / "reference"
    if not reference.exists():
        # The bundle's tokenizer, which is compared elsewhere.
        shutil.copytree(bundle, reference, ignore=shutil.ignore_patterns("onnx", MANIFEST))
        shutil.copy(folder / "checkpoint" / "model.safetensors", reference)
    theirs = sentence_transformers.CrossEncoder(str(reference), device="cpu")
    return Rankers(bundle, reference, albert_edge.pipeline(TASK, bundle, threads=1), theirs)


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Rankers:
    return rankers(tmp_path_factory.mktemp("english"), seed=2)


@pytest.fixture(scope="module")
def chinese(tmp_path_factory: pytest.TempPathFactory) -> Rankers:
    return rankers(tmp_path_factory.mktemp("chinese"), "vocab.txt", seed=1)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Rankers:
    return rankers(tmp_path_factory.mktemp("three"), num_labels=3, seed=2)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Rankers:
    folder = tmp_path_factory.mktemp("short")
    return rankers(folder, max_position_embeddings=POSITIONS, seed=3)


@pytest.fixture(params=["english", "chinese"])
def both(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def assert_same(ours: Any, theirs: Any) -> None:
    """The same nesting, in plain Python; numbers within 1e-5."""
    theirs = np.asarray(theirs)
    assert np.asarray(ours).shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)
    leaves = ours
    for _ in theirs.shape:
        assert isinstance(leaves, list)
        leaves = leaves[0]
    assert type(leaves) is float


# --- calls ----------------------------------------------------------------------------------


def test_a_pair_a_list_and_a_generator(both: Rankers) -> None:
    assert_same(both.ours(PAIRS[0]), both.theirs.predict(PAIRS[0]))
    assert_same(both.ours(PAIRS), both.theirs.predict(PAIRS))
    assert_same(both.ours(PAIRS[:1]), both.theirs.predict(PAIRS[:1]))
    assert both.ours([]) == []
    taken = []

    def pairs() -> Iterator[tuple[str, str]]:
        for pair in PAIRS:
            taken.append(pair)
            yield pair

    answers = both.ours(pairs())
    assert taken == []
    first = next(answers)
    assert taken == PAIRS[:1]
    assert [first, *answers] == both.ours(PAIRS)


def test_every_way_to_write_a_pair(english: Rankers) -> None:
    wanted = english.ours(PAIRS)
    dicts = [{"passage": passage, "query": query, "id": 5} for query, passage in PAIRS]
    assert english.ours(dicts) == english.ours([list(pair) for pair in PAIRS]) == wanted
    assert english.ours(dicts[0]) == english.ours.answer(PAIRS[0]) == wanted[0]
    assert english.ours(PAIRS, batch_size=2, num_workers=0) == wanted


def test_empty_texts(both: Rankers) -> None:
    pairs = [(QUERY, ""), ("", SENTENCES[0]), ("", "")]
    assert_same(both.ours(pairs), both.theirs.predict(pairs))


def test_scores_tell_passages_queries_and_their_order_apart(both: Rankers) -> None:
    # Else the comparisons prove nothing.
    scores = both.ours([*PAIRS, ("Who laughed?", SENTENCES[0]), (SENTENCES[0], QUERY)])
    assert len({round(score, 4) for score in scores}) == len(scores)


def test_several_labels_give_several_scores(three: Rankers) -> None:
    assert_same(three.ours(PAIRS[0]), three.theirs.predict(PAIRS[0]))
    assert_same(three.ours(PAIRS), three.theirs.predict(PAIRS))
    assert len(three.ours(PAIRS[0])) == 3


@pytest.mark.parametrize("name", TORCH)
def test_activation_fn(english: Rankers, three: Rankers, name: str) -> None:
    for each in (english, three):
        theirs = each.theirs.predict(PAIRS, activation_fn=TORCH[name])
        assert_same(each.ours(PAIRS, activation_fn=name), theirs)
        made = albert_edge.pipeline(TASK, each.bundle, activation_fn=name)
        assert_same(made(PAIRS), theirs)
    scores = english.ours(PAIRS, activation_fn="none")
    assert scores != pytest.approx(english.ours(PAIRS, activation_fn="sigmoid"), abs=0.1)


def test_sigmoid() -> None:
    logits = np.array([0, 1, -1, 20, -20, 90, -90, 1e4, -1e4, np.inf, -np.inf], np.float32)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        scores = sigmoid(logits)
    assert scores.dtype == np.float32
    torch.testing.assert_close(torch.tensor(scores), torch.sigmoid(torch.tensor(logits)))


def test_the_task_is_asked_for_by_name(english: Rankers) -> None:
    assert english.ours.task == TASK
    assert albert_edge.pipeline(model=english.bundle).task == "text-classification"


# --- the activation function a model was saved with -----------------------------------------


def new(name: str | None) -> dict[str, Any]:
    return {"sentence_transformers": {"activation_fn": name, "version": "4.1.0"}}


def old(name: str | None) -> dict[str, Any]:
    return {"sbert_ce_default_activation_function": name}


SAVED: dict[str, dict[str, Any]] = {
    "identity": new(IDENTITY),
    "sigmoid": new(SIGMOID),
    "identity before version 4": old(IDENTITY),
    "sigmoid before version 4": old(SIGMOID),
    "short": new("torch.nn.Identity"),
    "tanh": new("torch.nn.modules.activation.Tanh"),
    "softplus before version 4": old("torch.nn.modules.activation.Softplus"),
    "both": {**new(IDENTITY), **old(SIGMOID)},
    "none, and an old one": {**new(None), **old(IDENTITY)},
    "none": new(None),
    "an old none": old(None),
    "a version alone, and an old one": {"sentence_transformers": {"version": "4"}, **old(IDENTITY)},
}


@pytest.mark.parametrize("num_labels", [1, 2])
def test_the_saved_activation_is_applied(tmp_path: Path, num_labels: int) -> None:
    source = rankers(tmp_path / "plain", num_labels=num_labels).bundle.parent / "checkpoint"
    config = json.loads((source / "config.json").read_text())
    found = set()
    for case, fields in SAVED.items():
        folder = tmp_path / case
        shutil.copytree(source, folder / "checkpoint")
        (folder / "checkpoint" / "config.json").write_text(json.dumps(config | fields))
        albert_edge.export(folder / "checkpoint", folder / "bundle")
        made = loaded(folder)
        assert_same(made.ours(PAIRS[:2]), made.theirs.predict(PAIRS[:2]))
        found.add(json.dumps(made.ours(PAIRS[:2])))
    assert len(found) == 4


def add_file(folder: Path, content: str) -> None:
    """Add the file in which sentence-transformers says how it made a model."""
    name = "config_sentence_transformers.json"
    for place in ("bundle", "reference"):
        (folder / place / name).write_text(content)
    path = folder / "bundle" / name
    manifest = open_bundle(folder / "bundle").manifest
    record = FileRecord(name, digest(path), path.stat().st_size)
    others = tuple(each for each in manifest.files if each.file != name)
    manifest = dataclasses.replace(manifest, files=(*others, record))
    (folder / "bundle" / MANIFEST).write_text(manifest.to_json())


def test_the_activation_saved_in_a_file_of_its_own_comes_first(tmp_path: Path) -> None:
    made = rankers(tmp_path, **new(IDENTITY))
    logits = made.ours(PAIRS)
    scores = (1 / (1 + np.exp(-np.array(logits)))).tolist()
    # CrossEncoder reads the file of a model that it saved itself.
    made.theirs.activation_fn = TORCH["sigmoid"]
    made.theirs.save_pretrained(str(tmp_path / "saved"))
    shutil.rmtree(made.reference)
    (tmp_path / "saved").rename(made.reference)
    saved = json.loads((made.reference / "config_sentence_transformers.json").read_text())
    assert saved["activation_fn"] == SIGMOID
    for content, wanted in (
        (saved, scores),
        (saved | {"activation_fn": IDENTITY}, logits),
        (saved | {"activation_fn": None}, logits),
        ({name: saved[name] for name in saved if name != "activation_fn"}, logits),
    ):
        add_file(tmp_path, json.dumps(content))
        made = loaded(tmp_path)
        assert_same(made.ours(PAIRS), made.theirs.predict(PAIRS))
        assert_same(made.ours(PAIRS), wanted)


def test_a_section_that_is_no_object_says_nothing(tmp_path: Path, english: Rankers) -> None:
    source = tmp_path / "checkpoint"
    shutil.copytree(english.bundle.parent / "checkpoint", source)
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps(config | {"sentence_transformers": 5}))
    albert_edge.export(source, tmp_path / "bundle")
    assert_same(albert_edge.pipeline(TASK, tmp_path / "bundle")(PAIRS), english.ours(PAIRS))


@pytest.mark.parametrize("content", ["{", "[5]", "5"])
def test_a_damaged_file_of_sentence_transformers(tmp_path: Path, content: str) -> None:
    rankers(tmp_path)
    add_file(tmp_path, content)
    with pytest.raises(
        BundleError, match=r"config_sentence_transformers.*is not (a JSON object|readable JSON)"
    ):
        albert_edge.pipeline(TASK, tmp_path / "bundle")


@pytest.mark.parametrize(
    "name",
    [
        "torch.nn.modules.activation.Threshold",
        "torch.nn.modules.activation.RReLU",  # random where CrossEncoder applies it
        "mine.Sigmoid",
        5,
        ["x"],
    ],
)
def test_another_activation_is_refused_if_no_known_one_is_asked_for(
    tmp_path: Path, name: Any
) -> None:
    source = checkpoint(
        tmp_path / "checkpoint", "text-classification", "spiece.model", num_labels=1, **new(name)
    )
    bundle = tmp_path / "bundle"
    for task in ("auto", TASK):
        with pytest.raises(
            CheckpointError, match=r"activation function .*supported are"
        ) as refused:
            albert_edge.export(source, bundle, task=task)
        assert repr(name) in str(refused.value)
        assert 'task="text-classification"' in refused.value.tip
        assert not bundle.exists()
    albert_edge.export(source, bundle, task="text-classification")
    with pytest.raises(BundleError, match=r"activation function .*supported are") as caught:
        albert_edge.pipeline(TASK, bundle)
    assert "activation_fn='sigmoid'" in caught.value.tip
    score = albert_edge.pipeline(TASK, bundle, activation_fn="sigmoid")(PAIRS[0])
    logit = albert_edge.pipeline(TASK, bundle, activation_fn="none")(PAIRS[0])
    assert score == pytest.approx(1 / (1 + np.exp(-logit)), rel=0, abs=1e-6)


def test_a_model_that_sentence_transformers_saved(tmp_path: Path, english: Rankers) -> None:
    for name, activation in TORCH.items():
        theirs = sentence_transformers.CrossEncoder(
            str(english.reference), device="cpu", activation_fn=activation
        )
        theirs.save_pretrained(str(tmp_path / name))
        albert_edge.export(tmp_path / name, tmp_path / f"{name}-bundle")
        ours = albert_edge.pipeline(TASK, tmp_path / f"{name}-bundle")
        assert_same(ours(PAIRS), theirs.predict(PAIRS))
        assert_same(ours(PAIRS), english.theirs.predict(PAIRS, activation_fn=activation))


def saved_by_sentence_transformers(english: Rankers, folder: Path, **options: Any) -> Path:
    theirs = sentence_transformers.CrossEncoder(str(english.reference), device="cpu", **options)
    theirs.save_pretrained(str(folder))
    return folder


def test_the_prompts_and_limits_of_a_saved_model(tmp_path: Path, english: Rankers) -> None:
    folder = saved_by_sentence_transformers(
        english,
        tmp_path / "saved",
        prompts={"web": "web search: ", "empty": ""},
        default_prompt_name="web",
        activation_fn=torch.nn.Tanh(),
    )
    path = folder / "sentence_bert_config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps({**settings, "max_seq_length": 16, "do_lower_case": True}))
    albert_edge.export(folder, tmp_path / "bundle")
    ours: Any = albert_edge.pipeline(TASK, tmp_path / "bundle", truncation=True)
    theirs = sentence_transformers.CrossEncoder(str(folder), device="cpu")
    pairs = [(QUERY.upper(), LONG), *PAIRS]
    for options in ({}, {"prompt_name": "empty"}, {"prompt": "question: "}):
        assert_same(ours(pairs, **options), theirs.predict(pairs, **options))
    assert ours(PAIRS) != pytest.approx(ours(PAIRS, prompt=""), abs=1e-4)
    with pytest.raises(InputError, match="at most 16"):
        ours(PAIRS[0], truncation=False)
    with pytest.raises(UsageError, match="no prompt 'other'"):
        ours(PAIRS[0], prompt_name="other")


@pytest.mark.parametrize("version", ["2", "4", "newest"])
def test_cross_encoder_opens_the_bundle(tmp_path: Path, english: Rankers, version: str) -> None:
    pytest.importorskip("optimum.onnxruntime", exc_type=ImportError)
    tanh = "torch.nn.modules.activation.Tanh"
    if version == "newest":
        folder = saved_by_sentence_transformers(
            english,
            tmp_path / "saved",
            activation_fn=torch.nn.Tanh(),
            prompts={"web": "web search: "},
            default_prompt_name="web",
        )
    else:
        folder = Path(shutil.copytree(english.bundle.parent / "checkpoint", tmp_path / "saved"))
        config = json.loads((folder / "config.json").read_text())
        fields = old(tanh) if version == "2" else new(tanh)
        (folder / "config.json").write_text(json.dumps(config | fields))
    albert_edge.export(folder, tmp_path / "bundle")
    options = {"file_name": "onnx/model.onnx", "provider": "CPUExecutionProvider"}
    opened = sentence_transformers.CrossEncoder(
        str(tmp_path / "bundle"), backend="onnx", device="cpu", model_kwargs=options
    )
    ours = albert_edge.pipeline(TASK, tmp_path / "bundle")
    assert isinstance(opened.activation_fn, torch.nn.Tanh)
    assert_same(ours(PAIRS), opened.predict(PAIRS))
    assert ours(PAIRS) != pytest.approx(ours(PAIRS, activation_fn="sigmoid"), abs=1e-3)


def test_a_cross_encoder_of_several_modules_is_refused(tmp_path: Path, english: Rankers) -> None:
    folder = saved_by_sentence_transformers(english, tmp_path / "saved")
    path = folder / "modules.json"
    entry = {"name": "1", "path": "1_Dense", "type": "sentence_transformers.models.Dense"}
    path.write_text(json.dumps([*json.loads(path.read_text()), entry]))
    with pytest.raises(CheckpointError, match="lists Transformer, Dense; a CrossEncoder"):
        albert_edge.export(folder, tmp_path / "bundle")
    albert_edge.export(folder, tmp_path / "bundle", task="text-classification")
    with pytest.raises(BundleError, match="lists Transformer, Dense; a CrossEncoder"):
        albert_edge.pipeline(TASK, tmp_path / "bundle")


def test_the_file_of_another_kind_of_model_says_nothing(tmp_path: Path, english: Rankers) -> None:
    """CrossEncoder ignores prompts and activation of a folder that is not its own."""
    folder = saved_by_sentence_transformers(
        english,
        tmp_path / "saved",
        prompts={"web": "web: "},
        default_prompt_name="web",
        activation_fn=torch.nn.Identity(),
    )
    path = folder / "config_sentence_transformers.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps({**settings, "model_type": "SentenceTransformer"}))
    albert_edge.export(folder, tmp_path / "bundle")
    assert not (tmp_path / "bundle" / path.name).exists()
    ours = albert_edge.pipeline(TASK, tmp_path / "bundle")
    theirs = sentence_transformers.CrossEncoder(str(folder), device="cpu")
    assert_same(ours(PAIRS), theirs.predict(PAIRS))


# --- generated pairs ------------------------------------------------------------------------

ANY_PAIR = st.tuples(ANY_TEXT, ANY_TEXT)
examples = settings(deadline=None, max_examples=120)


@given(pair=ANY_PAIR)
@examples
def test_any_pair(english: Rankers, pair: tuple[str, str]) -> None:
    assert_same(english.ours(pair, truncation=True), english.theirs.predict(pair))


@given(pair=ANY_PAIR)
@examples
def test_any_chinese_pair(chinese: Rankers, pair: tuple[str, str]) -> None:
    assert_same(chinese.ours(pair, truncation=True), chinese.theirs.predict(pair))


@given(pair=ANY_PAIR)
@examples
def test_any_pair_over_the_limit(short: Rankers, pair: tuple[str, str]) -> None:
    assert_same(short.ours(pair, truncation=True), short.theirs.predict(pair))


# --- ranking --------------------------------------------------------------------------------


def assert_same_ranks(ours: Any, theirs: Any) -> None:
    """The same entries in the same order, in plain Python; scores within 1e-5."""
    assert [entry | {"score": None} for entry in ours] == [
        entry | {"score": None} for entry in theirs
    ]
    for one, other in zip(ours, theirs, strict=True):
        assert list(one) == list(other)
        assert [type(value) for value in one.values()] == [int, float, str][: len(one)]
        assert one["score"] == pytest.approx(float(other["score"]), rel=0, abs=1e-5)


@pytest.mark.parametrize("return_documents", [False, True])
@pytest.mark.parametrize("top_k", [None, 1, 3, 99])
def test_ranks(both: Rankers, top_k: int | None, return_documents: bool) -> None:
    passages = SENTENCES[:12]
    options: dict[str, Any] = {"top_k": top_k, "return_documents": return_documents}
    ours = both.ours.rank(QUERY, passages, **options)
    assert len(ours) == min(top_k or 12, 12)
    assert_same_ranks(ours, both.theirs.rank(QUERY, passages, **options))
    assert both.ours.rank(QUERY, (text for text in passages), **options) == ours


def test_the_ranks_compared_are_no_accident(both: Rankers) -> None:
    ours = both.ours.rank(QUERY, SENTENCES[:12])
    scores = [entry["score"] for entry in ours]
    assert scores == sorted(scores, reverse=True)
    assert -np.diff(scores).max() > 2e-5  # else rounding would decide
    assert [entry["corpus_id"] for entry in ours] != list(range(12))
    assert [entry["corpus_id"] for entry in both.ours.rank("Wer?", SENTENCES[:12])] != [
        entry["corpus_id"] for entry in ours
    ]


def test_equal_passages_keep_their_order(both: Rankers) -> None:
    passages = [SENTENCES[0], SENTENCES[1], SENTENCES[0], SENTENCES[1], SENTENCES[0]]
    ours = both.ours.rank(QUERY, passages, return_documents=True)
    # Of equal passages torch may give those further down a batch another last bit, and their order
    # is then its; here equal passages have equal scores, and the first comes first.
    for own, their in zip(
        ours, both.theirs.rank(QUERY, passages, return_documents=True), strict=True
    ):
        assert own["text"] == their["text"] == passages[own["corpus_id"]]
        assert own["score"] == pytest.approx(float(their["score"]), abs=1e-5)
    ids = [entry["corpus_id"] for entry in ours]
    assert ids in ([0, 2, 4, 1, 3], [1, 3, 0, 2, 4])
    assert len({entry["score"] for entry in ours}) == 2


def test_ranks_with_options(english: Rankers) -> None:
    ours = english.ours.rank(QUERY, SENTENCES[:5], activation_fn="none")
    theirs = english.theirs.rank(QUERY, SENTENCES[:5], activation_fn=TORCH["none"])
    assert_same_ranks(ours, theirs)
    assert english.ours.rank(QUERY, []) == english.theirs.rank(QUERY, []) == []


def test_several_scores_are_no_ranks(three: Rankers) -> None:
    with pytest.raises(ValueError, match="num_labels=1"):
        three.theirs.rank(QUERY, SENTENCES[:2])
    with pytest.raises(UsageError, match="3 scores"):
        three.ours.rank(QUERY, SENTENCES[:2])


@pytest.mark.parametrize("top_k", [0, -1, 1.5, "2"], ids=repr)
def test_a_top_k_without_meaning_is_refused(english: Rankers, top_k: Any) -> None:
    with pytest.raises(UsageError, match="top_k is"):
        english.ours.rank(QUERY, SENTENCES[:2], top_k=top_k)


def test_what_is_no_list_of_passages_is_a_type_error(english: Rankers) -> None:
    with pytest.raises(TypeError, match="must be a list of strings"):
        english.ours.rank(QUERY, "one passage")
    with pytest.raises(TypeError, match=r"item 1: .*two strings"):
        english.ours.rank(QUERY, ["fine", None])
    with pytest.raises(TypeError, match=r"item 0: .*two strings"):
        english.ours.rank(None, ["fine"])


# --- int8 -----------------------------------------------------------------------------------


def test_int8(english: Rankers, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    albert_edge.export(english.bundle.parent / "checkpoint", bundle)
    # What matters here is what is made of the outputs, not how far they are from those of fp32.
    albert_edge.quantize(bundle, precision="int8", min_agreement=0.5, min_cosine=0.5)
    ours = albert_edge.pipeline(TASK, bundle, precision="int8")
    session = Session(bundle, precision="int8")
    tokenizer = REFERENCE.AutoTokenizer.from_pretrained(bundle)
    scores = []
    for query, passage in PAIRS:
        inputs = {name: [ids] for name, ids in tokenizer(query, passage).items()}
        logit = session.run(inputs)["logits"].astype(np.float64).item()
        scores.append(1 / (1 + np.exp(-logit)))
    assert ours(PAIRS) == pytest.approx(scores, rel=0, abs=1e-5)
    ranked = [entry["corpus_id"] for entry in ours.rank(QUERY, SENTENCES[:6])]
    assert ranked == np.argsort(scores)[::-1].tolist()


# --- truncation and what is refused ---------------------------------------------------------

LONG = " ".join(WORDS)


def test_a_pair_over_the_limit_is_cut_only_if_asked(short: Rankers) -> None:
    fits = ("one two", " ".join(WORDS[: POSITIONS - 5]))
    assert_same(short.ours(fits), short.theirs.predict(fits))
    over = ("one two", " ".join(WORDS[: POSITIONS - 4]))
    with pytest.raises(InputError, match=f"{POSITIONS + 1} tokens.*at most {POSITIONS}") as caught:
        short.ours(over)
    assert "truncation=True" in caught.value.tip
    with pytest.raises(InputError, match="Item 1:"):
        short.ours([fits, over])
    with pytest.raises(InputError, match="Item 2:"):
        short.ours.rank("one two", ["fine", "fine", over[1]])
    assert short.ours(over, truncation=True) == short.ours(fits)
    pairs = [(LONG, "one"), ("one", LONG), (LONG, LONG), (words(9), LONG), fits, ("", LONG)]
    assert_same(short.ours(pairs, truncation=True), short.theirs.predict(pairs))


def test_a_lower_limit(short: Rankers) -> None:
    reference = sentence_transformers.CrossEncoder(
        str(short.reference), device="cpu", max_length=POSITIONS // 2
    )
    pairs = [(LONG, "one"), ("one", LONG), (LONG, LONG)]
    ours = short.ours(pairs, truncation=True, max_length=POSITIONS // 2)
    assert_same(ours, reference.predict(pairs))
    assert ours != pytest.approx(short.ours(pairs, truncation=True), abs=1e-3)


@pytest.mark.parametrize(
    "item",
    [
        5,
        None,
        "text",
        ("query",),
        ("query", None),
        (None, "passage"),
        ("a", "b", "c"),
        {},
        {"query": "a"},
        {"query": "a", "passage": 5},
        {"text": "a", "text_pair": "b"},
        b"ab",
    ],
    ids=repr,
)
def test_what_is_no_pair_is_a_type_error(english: Rankers, item: Any) -> None:
    with pytest.raises(TypeError, match="two strings"):
        english.ours(item)
    with pytest.raises(TypeError, match=r"item 1: .*two strings"):
        english.ours([PAIRS[0], item])


def test_a_list_of_two_texts_is_no_pair(english: Rankers) -> None:
    with pytest.raises(TypeError, match=r'item 0: .*\("query", "passage"\)'):
        english.ours(["query", "passage"])


def test_lone_surrogates_are_refused(english: Rankers) -> None:
    for pair in (("\ud800", "fine"), ("fine", "\ud800")):
        with pytest.raises(InputError, match=r"Item 1: .*Unicode"):
            english.ours([PAIRS[0], pair])


@pytest.mark.parametrize("name", ["Sigmoid", "softmax", "", SIGMOID, torch.nn.Sigmoid()], ids=str)
def test_an_unknown_activation_is_refused(english: Rankers, name: Any) -> None:
    with pytest.raises(UsageError, match="activation_fn is") as caught:
        english.ours(PAIRS[0], activation_fn=name)
    assert "sigmoid, none" in caught.value.tip
    with pytest.raises(UsageError, match="activation_fn is"):
        albert_edge.pipeline(TASK, english.bundle, activation_fn=name)


@pytest.mark.parametrize("name", ["truncate", "top_k", "apply_softmax"])
def test_an_unknown_parameter_is_refused(english: Rankers, name: str) -> None:
    with pytest.raises(UsageError, match=f"no parameter {name}"):
        english.ours(PAIRS[0], **{name: True})
