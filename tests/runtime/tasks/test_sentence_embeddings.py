"""Sentence embeddings against sentence-transformers: the same folder gives the same vectors."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from huggingface_hub.utils import filter_repo_objects  # type: ignore[attr-defined]
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from support.pipelines import ANY_TEXT, SENTENCES, checkpoint, one_thread
from support.sentence_folders import (
    FLAGS,
    HIDDEN,
    KINDS,
    REFERENCE,
    TEXTS,
    Base,
    Both,
    assert_same,
    base,
    change_json,
    dense,
    embeddings,
    old,
    pair,
    pooling,
    saved,
    write_json,
)

import albert_edge
from albert_edge.bundle.bundle import open_bundle
from albert_edge.bundle.change import digest
from albert_edge.errors import BundleError, CheckpointError, InputError, UsageError
from albert_edge.runtime.session import Session
from albert_edge.runtime.tasks.pooling import POOLINGS

__all__ = ["base", "one_thread"]  # fixtures

pytestmark = pytest.mark.reference

VOCABULARIES = ["spiece.model", "vocab.txt"]
MODES = list(POOLINGS)
SHORT = 12

# --- ways of pooling ------------------------------------------------------------------------


# Every case in English, and one in Chinese.
CHINESE = "vocab.txt"


@pytest.mark.parametrize(
    ("mode", "vocabulary"), [*((mode, "spiece.model") for mode in MODES), ("mean", CHINESE)]
)
def test_every_pooling(base: Base, tmp_path: Path, mode: str, vocabulary: str) -> None:
    one = pair(saved(base(vocabulary), tmp_path / "st", pooling(mode)))
    one.compare()
    one.compare(normalize=True)
    one.compare(SENTENCES[0])
    assert not np.allclose(np.linalg.norm(one.ours.encode(TEXTS), axis=1), 1)
    # The same way, asked of a checkpoint that says nothing of it.
    other = embeddings(plain_bundle(base(vocabulary)))
    assert_same(other.encode(TEXTS, pooling=mode), one.reference(TEXTS))


def plain_bundle(source: Path) -> Path:
    """The bundle of a base checkpoint."""
    return source.with_name("bundle")


@pytest.mark.parametrize(
    ("mode", "vocabulary"),
    [*((mode, "spiece.model") for mode in (*MODES, "two", "all", "none")), ("all", CHINESE)],
)
def test_the_old_layout(base: Base, tmp_path: Path, mode: str, vocabulary: str) -> None:
    modes = {"two": ["cls", "mean"], "all": MODES, "none": []}.get(mode, [mode])
    flags = {flag: name in modes for name, flag in FLAGS.items()}
    both = pair(old(base(vocabulary), tmp_path / "st", flags))
    both.compare()
    both.compare(normalize=True)
    assert both.ours.encode("a").shape == (HIDDEN * max(1, len(modes)),)


@pytest.mark.parametrize("flags", [{}, {"pooling_mode_max_tokens": True}])
def test_the_new_name_wins_over_the_old_ones(
    base: Base, tmp_path: Path, flags: dict[str, bool]
) -> None:
    pair(old(base(), tmp_path / "st", {"pooling_mode": "cls", **flags})).compare()


@pytest.mark.parametrize("modes", [("mean", "cls"), ("lasttoken", "max", "mean_sqrt_len_tokens")])
def test_poolings_are_concatenated_in_their_order(
    base: Base, tmp_path: Path, modes: tuple[str, ...]
) -> None:
    both = pair(saved(base(), tmp_path / "st", pooling(*modes)))
    both.compare()
    assert both.ours.encode([]).shape == (0, HIDDEN * len(modes))


def test_a_plain_checkpoint_gives_the_mean(base: Base) -> None:
    for vocabulary in VOCABULARIES:
        source = base(vocabulary)
        ours = embeddings(plain_bundle(source))
        theirs = REFERENCE.SentenceTransformer(str(source), device="cpu")
        both = Both(plain_bundle(source), ours, theirs)
        both.compare()
        both.compare(normalize=True)


def test_the_pooler_is_that_of_albert(base: Base) -> None:
    bundle = plain_bundle(base())
    embed = embeddings(bundle, pooling="pooler")
    session = Session(bundle)
    for text in TEXTS:
        outputs = session.run(embed.encoder.encode(text))
        np.testing.assert_array_equal(embed(text), outputs["pooler_output"][0])
    assert not np.allclose(embed("a"), embed("a", pooling="cls"), atol=0.01)


# --- what comes after pooling ---------------------------------------------------------------


@pytest.mark.parametrize("layout", ["old", "new"])
def test_a_normalize_module(base: Base, tmp_path: Path, layout: str) -> None:
    if layout == "old":
        source = old(base(), tmp_path / "st", {FLAGS["max"]: True}, normalized=True)
    else:
        source = saved(base(), tmp_path / "st", pooling("max"), KINDS.Normalize())
    both = pair(source)
    both.compare()
    both.compare(normalize=True)
    assert np.allclose(np.linalg.norm(both.ours.encode(TEXTS), axis=1), 1)
    # Left out on request, which sentence-transformers does not offer.
    unscaled = REFERENCE.SentenceTransformer(modules=list(both.theirs)[:2], device="cpu")
    assert_same(both.ours.encode(TEXTS, normalize=False), unscaled.encode(TEXTS))


ACTIVATIONS = [torch.nn.Tanh(), torch.nn.Identity(), torch.nn.ReLU(), torch.nn.Sigmoid()]


@pytest.mark.parametrize(
    ("activation", "bias"),
    [*((activation, True) for activation in ACTIVATIONS), (ACTIVATIONS[1], False)],
    ids=lambda each: str(each),
)
def test_a_dense_module(base: Base, tmp_path: Path, activation: Any, bias: bool) -> None:
    layer = dense(2 * HIDDEN, activation_function=activation, bias=bias)
    normalize = [KINDS.Normalize()] if bias else []
    source = saved(base(), tmp_path / "st", pooling("cls", "mean"), layer, *normalize)
    both = pair(source)
    both.compare()
    both.compare(normalize=True)
    assert both.ours.encode([]).shape == (0, 10)
    with pytest.raises(UsageError, match="takes 48 numbers where there are 24"):
        both.ours("text", pooling="mean")


def test_two_dense_modules_of_halves_in_a_pickle(base: Base, tmp_path: Path) -> None:
    source = saved(base(), tmp_path / "st", pooling("mean"), dense(), dense(10, 7))
    for folder, kind in (("2_Dense", torch.float32), ("3_Dense", torch.bfloat16)):
        path = source / folder / "model.safetensors"
        values = {name: value.to(kind) for name, value in load_file(path).items()}
        torch.save(values, path.with_name("pytorch_model.bin"))
        path.unlink()
    both = pair(source)
    both.compare()
    assert both.ours("text").shape == (7,)


def test_a_dense_module_keeps_its_place_under_another_pooling(base: Base, tmp_path: Path) -> None:
    layer = dense()
    both = pair(saved(base(), tmp_path / "st", pooling("mean"), layer))
    other = REFERENCE.SentenceTransformer(
        modules=[both.theirs[0], pooling("cls"), layer], device="cpu"
    )
    assert_same(both.ours.encode(TEXTS, pooling="cls"), other.encode(TEXTS))


@pytest.mark.parametrize("normalized", [True, False])
def test_truncate_dim(base: Base, tmp_path: Path, normalized: bool) -> None:
    modules = [pooling("mean"), *([KINDS.Normalize()] if normalized else [])]
    both = pair(saved(base(), tmp_path / "st", *modules, truncate_dim=9))
    both.compare()
    both.compare(normalize=True)
    assert both.ours("text").shape == (9,)
    assert both.ours.encode([]).shape == (0, 9)


# --- prompts --------------------------------------------------------------------------------

PROMPTS = {"query": "query: ", "Chinese": "为这个句子生成表示：", "bare": "a b", "empty": ""}


@pytest.mark.parametrize(
    ("vocabulary", "include", "default"),
    [
        ("spiece.model", True, None),
        ("spiece.model", False, "query"),
        (CHINESE, True, "Chinese"),
        (CHINESE, False, "empty"),
    ],
)
def test_prompts(
    base: Base, tmp_path: Path, vocabulary: str, include: bool, default: str | None
) -> None:
    modules = [pooling(*MODES, include_prompt=include)]
    source = saved(
        base(vocabulary), tmp_path / "st", *modules, prompts=PROMPTS, default_prompt_name=default
    )
    both = pair(source)
    both.compare()
    for name in (*PROMPTS, "document"):
        both.compare(prompt_name=name)
    for prompt in ("search: ", ""):
        both.compare(prompt=prompt)
        both.compare(prompt=prompt, prompt_name="query")
    assert_same(
        both.ours("text", prompt="a: "), both.ours("a: text", prompt="")
    ) if include else None
    with pytest.raises(UsageError, match="no prompt 'nothing'") as caught:
        both.ours("text", prompt_name="nothing")
    assert "Chinese" in caught.value.tip


def test_a_prompt_that_leaves_nothing(base: Base, tmp_path: Path) -> None:
    both = pair(saved(base(), tmp_path / "st", pooling("mean", include_prompt=False)))
    # Seven pieces alone, one with its end.
    prompt, text = "unbelievabl", "e"
    alone, whole = (len(both.ours.encoder.encoding(each).ids) for each in (prompt, prompt + text))
    assert whole < alone
    with pytest.raises(InputError, match="No token is left"):
        both.ours(text, prompt=prompt)


# --- limits ---------------------------------------------------------------------------------

LONG = " ".join(SENTENCES)


@pytest.mark.parametrize(
    ("transformer", "limit"),
    [
        ({"max_seq_length": SHORT}, SHORT),
        ({"max_seq_length": None}, 20),  # then the tokenizer's own
        ({"max_seq_length": 30}, 30),  # more than the tokenizer's own
        ({"tokenizer_args": {"model_max_length": SHORT}, "max_seq_length": 30}, SHORT),
    ],
    ids=str,
)
def test_max_seq_length(
    base: Base, tmp_path: Path, transformer: dict[str, Any], limit: int
) -> None:
    folder = tmp_path / "tokenizer-of-20"
    shutil.copytree(base(), folder)
    change_json(folder / "tokenizer_config.json", model_max_length=20)
    both = pair(old(folder, tmp_path / "st", {FLAGS["mean"]: True}, transformer=transformer))
    both.compare([LONG, *TEXTS])
    both.compare([LONG, *TEXTS], prompt="query: ")
    with pytest.raises(InputError, match=f"takes at most {limit}\\.") as caught:
        both.ours.encode(LONG)
    assert "truncation=True" in caught.value.tip
    with pytest.raises(InputError, match="Item 1: "):
        both.ours.encode(["short", LONG])
    shorter = both.ours(LONG, truncation=True, max_length=limit - 1)
    both.theirs.max_seq_length = limit - 1
    assert_same(shorter, both.reference(LONG))


def test_max_seq_length_is_at_most_the_models_positions(base: Base, tmp_path: Path) -> None:
    source = old(base(), tmp_path / "st", {}, transformer={"max_seq_length": 9_999})
    both = pair(source)
    with pytest.raises(InputError, match=r"at most 512\."):
        both.ours(LONG * 9)
    both.theirs.max_seq_length = 512
    both.compare([LONG * 9])


def test_a_prompt_is_cut_with_its_text(base: Base, tmp_path: Path) -> None:
    source = saved(base(), tmp_path / "st", pooling("mean", "cls", include_prompt=False))
    change_json(source / "tokenizer_config.json", model_max_length=SHORT)
    both = pair(source)
    for prompt in ("query: ", "a: " * 3, "a: " * 40):
        both.compare([LONG, *TEXTS], prompt=prompt)


@pytest.mark.parametrize(
    ("vocabulary", "normalizer"),
    [("spiece.model", "own"), ("spiece.model", "cased"), (CHINESE, "cased"), (CHINESE, "none")],
)
def test_do_lower_case(base: Base, tmp_path: Path, vocabulary: str, normalizer: str) -> None:
    folder = tmp_path / "cased"
    shutil.copytree(base(vocabulary), folder)
    path = folder / "tokenizer.json"
    state = json.loads(path.read_text(encoding="utf-8"))
    # transformers' class for such a vocabulary sets its lowercasing itself.
    change_json(folder / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    if normalizer == "cased":
        steps = state["normalizer"].get("normalizers", [state["normalizer"]])
        kept = [{**step, "lowercase": False} for step in steps if step["type"] != "Lowercase"]
        kept = [step if step["type"] == "BertNormalizer" else drop(step) for step in kept]
        state["normalizer"] = {"type": "Sequence", "normalizers": kept}
    elif normalizer == "none":
        state["normalizer"] = None
    write_json(path, state)
    texts = ["HELLO World", "İstanbul [MASK]", *TEXTS]
    upper = pair(old(folder, tmp_path / "upper", {}))
    lower = pair(old(folder, tmp_path / "lower", {}, transformer={"do_lower_case": True}))
    upper.compare(texts)
    lower.compare(texts)
    differs = not np.allclose(upper.ours.encode(texts), lower.ours.encode(texts), atol=1e-3)
    assert differs == (normalizer != "own")


def drop(step: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in step.items() if name != "lowercase"}


# --- generated texts ------------------------------------------------------------------------


@pytest.fixture(scope="module", params=VOCABULARIES)
def everything(request: pytest.FixtureRequest, base: Base, tmp_path_factory: Any) -> Both:
    """All ways of pooling at once, a short limit, and tokens of a prompt left out."""
    folder = tmp_path_factory.mktemp("everything")
    source = saved(
        base(request.param),
        folder / "st",
        pooling(*MODES, include_prompt=False),
        prompts=PROMPTS,
        default_prompt_name="query",
    )
    change_json(source / "tokenizer_config.json", model_max_length=40)
    both = pair(source)
    albert_edge.optimize(both.bundle)
    ours = embeddings(both.bundle)
    assert ours.session.variant.target == "cpu"
    return replace(both, ours=ours)


@given(text=ANY_TEXT, normalize=st.booleans())
@settings(deadline=None, max_examples=80)
def test_any_text_is_embedded_the_same(everything: Both, text: str, normalize: bool) -> None:
    everything.compare(text, normalize=normalize)
    everything.compare(text, normalize=normalize, prompt="")


def test_many_sentences_are_embedded_the_same(everything: Both) -> None:
    everything.compare(SENTENCES)
    one, other = everything.ours.encode(SENTENCES[:2])
    assert not np.allclose(one, other, atol=0.01)  # else the comparisons prove nothing


# --- variants -------------------------------------------------------------------------------


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_int8(base: Base, tmp_path: Path, vocabulary: str) -> None:
    modes = ("cls", "max", "mean", "weightedmean")
    normalize = KINDS.Normalize()
    both = pair(saved(base(vocabulary), tmp_path / "st", pooling(*modes), normalize))
    albert_edge.quantize(both.bundle, precision="int8", min_agreement=0, min_cosine=0)
    ours = embeddings(both.bundle, precision="int8")
    assert ours.session.variant.precision == "int8"
    session = Session(both.bundle, precision="int8")
    for text in (*TEXTS, *SENTENCES):
        inputs = ours.encoder.encode(text)
        hidden = session.run(inputs)["last_hidden_state"].astype(np.float64)
        count = inputs["input_ids"].shape[1]
        assert hidden.shape == (1, count, HIDDEN)
        ramp = np.arange(1, count + 1)
        parts = [
            hidden[0, 0],
            hidden[0].max(axis=0),
            hidden[0].sum(axis=0) / count,
            (hidden[0] * ramp[:, None]).sum(axis=0) / ramp.sum(),
        ]
        wanted = np.concatenate(parts)
        wanted /= np.sqrt((wanted**2).sum())
        np.testing.assert_allclose(ours(text), wanted, rtol=0, atol=1e-6)
    assert not np.allclose(ours.encode(TEXTS), both.ours.encode(TEXTS), atol=1e-6)


@pytest.mark.parametrize("layout", ["unrolled", "loop"])
def test_every_variant_gives_all_tokens(base: Base, layout: Any) -> None:
    bundle = plain_bundle(base())
    albert_edge.optimize(bundle, layout=layout)
    for variant in open_bundle(bundle).manifest.variants:
        assert "first-token" not in variant.optimizations
        outputs = Session(bundle, variant=variant.name).run({"input_ids": [[2, 5, 6, 7, 3]]})
        assert outputs["last_hidden_state"].shape == (1, 5, HIDDEN)


# --- calls ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def embed(base: Base) -> Any:
    return embeddings(plain_bundle(base()))


def test_calls_and_encode_agree(embed: Any) -> None:
    wanted = embed.encode(TEXTS)
    assert wanted.shape == (len(TEXTS), HIDDEN)
    answers = embed(TEXTS)
    assert isinstance(answers, list)
    taken: list[str] = []

    def texts() -> Iterator[str]:
        for text in TEXTS:
            taken.append(text)
            yield text

    stream = embed(texts())
    assert taken == []
    first = next(stream)
    assert taken == TEXTS[:1]
    for one, other, text, row in zip(answers, [first, *stream], TEXTS, wanted, strict=True):
        assert one.shape == (HIDDEN,)
        assert one.dtype == np.float32
        for same in (one, other, embed(text), embed.encode(text), embed.answer(text)):
            np.testing.assert_array_equal(same, row)
    for same in (tuple(TEXTS), (text for text in TEXTS), dict.fromkeys(TEXTS).keys()):
        np.testing.assert_array_equal(embed.encode(same), wanted)
    np.testing.assert_array_equal(embed.encode(np.array(TEXTS)), wanted)
    np.testing.assert_array_equal(embed.encode(TEXTS, batch_size=2), wanted)
    assert embed.encode(TEXTS[:1]).shape == (1, HIDDEN)


@pytest.mark.parametrize("texts", [[], (), iter([])], ids=["list", "tuple", "iterator"])
def test_no_texts_have_no_embeddings(embed: Any, texts: Any) -> None:
    found = embed.encode(texts, batch_size=2, normalize=True)
    assert found.shape == (0, HIDDEN)  # sentence-transformers says (0,)
    assert found.dtype == np.float32
    assert embed([]) == []


def test_defaults_given_when_the_pipeline_is_made(base: Base, embed: Any) -> None:
    bundle = plain_bundle(base())
    options: dict[str, Any] = {"pooling": "max", "normalize": True, "prompt": "a "}
    made = embeddings(bundle, **options)
    np.testing.assert_array_equal(made.encode(TEXTS), embed.encode(TEXTS, **options))
    np.testing.assert_array_equal(
        made("text", normalize=None, prompt=""), embed("text", pooling="max")
    )
    assert made.task == "sentence-embeddings"


def test_feature_extraction_stays_the_default(base: Base, tmp_path: Path) -> None:
    both = pair(saved(base(), tmp_path / "st", pooling("mean")))
    assert both.ours.session.bundle.manifest.head == "feature-extraction"
    assert albert_edge.pipeline(model=both.bundle).task == "feature-extraction"


@pytest.mark.parametrize("item", [5, None, b"text", {"text": "a"}, ["a"], ("a", "b")], ids=repr)
def test_what_is_no_text_is_a_type_error(embed: Any, item: Any) -> None:
    for prompt in ("", "query: "):
        with pytest.raises(TypeError, match="item 1: a text must be a string"):
            embed.encode(["text", item], prompt=prompt)
        with pytest.raises(TypeError, match="item 1: a text must be a string"):
            embed(["text", item], prompt=prompt)
    if not isinstance(item, list | tuple):
        with pytest.raises(TypeError, match="a text must be a string"):
            embed.encode(item)


@pytest.mark.parametrize(
    "options",
    [
        {"pooling": "median"},
        {"pooling": ("mean", "cls")},
        {"normalize": "l2"},
        {"prompt": 5},
        {"prompt_name": "no such"},
        {"truncation": "yes"},
    ],
    ids=str,
)
def test_parameters_without_meaning_are_refused(
    base: Base, embed: Any, options: dict[str, Any]
) -> None:
    (value,) = options.values()
    calls: list[Callable[[], Any]] = [
        lambda: embed("text", **options),
        lambda: embed.encode([], **options),
    ]
    for call in calls:
        with pytest.raises(UsageError, match=re.escape(f"{value!r}")):
            call()
    with pytest.raises(UsageError):
        embeddings(plain_bundle(base()), **options)


def test_bad_unicode_is_an_input_error(embed: Any) -> None:
    for options in ({}, {"prompt": "\ud800"}):
        with pytest.raises(InputError, match="not valid Unicode"):
            embed("a\ud800" if not options else "a", **options)


# --- the bundle -----------------------------------------------------------------------------


def test_the_bundle_lists_what_it_was_given(base: Base, tmp_path: Path) -> None:
    layer, normalize = dense(), KINDS.Normalize()
    both = pair(saved(base(), tmp_path / "st", pooling("mean"), layer, normalize))
    listed = {record.file for record in open_bundle(both.bundle).manifest.files}
    expected = {
        "modules.json",
        "config_sentence_transformers.json",
        "sentence_bert_config.json",
        "1_Pooling/config.json",
        "2_Dense/config.json",
        "2_Dense/model.safetensors",
    }
    assert listed >= expected
    for file in expected - {"modules.json", "2_Dense/model.safetensors"}:
        assert (both.bundle / file).read_bytes() == (tmp_path / "st" / file).read_bytes()
    path = both.bundle / "1_Pooling/config.json"
    path.write_text(path.read_text(encoding="utf-8") + " ", encoding="utf-8")
    with pytest.raises(BundleError, match="is not the file"):
        embeddings(both.bundle)


def test_other_tasks_leave_the_modules_out(base: Base, tmp_path: Path) -> None:
    source = old(base(), tmp_path / "st", {}, in_folder="")
    report = albert_edge.export(source, tmp_path / "out")
    assert report.head == "feature-extraction"
    assert (tmp_path / "out/1_Pooling/config.json").exists()
    other = checkpoint(tmp_path / "other", "fill-mask", "spiece.model")
    for file in ("modules.json", "1_Pooling/config.json"):
        (other / file).parent.mkdir(exist_ok=True)
        shutil.copy(source / file, other / file)
    albert_edge.export(other, tmp_path / "mask")
    assert not (tmp_path / "mask/modules.json").exists()


@pytest.mark.parametrize("layout", ["old", "new"])
def test_sentence_transformers_opens_the_bundle(base: Base, tmp_path: Path, layout: str) -> None:
    pytest.importorskip("optimum.onnxruntime", exc_type=ImportError)
    if layout == "old":
        source = old(base(), tmp_path / "st", {FLAGS["max"]: True}, normalized=True)
    else:
        modules = [pooling("max"), dense(), KINDS.Normalize()]
        source = saved(base(), tmp_path / "st", *modules)
    both = pair(source)
    options = {"file_name": "onnx/model.onnx", "provider": "CPUExecutionProvider"}
    opened = REFERENCE.SentenceTransformer(
        str(both.bundle), backend="onnx", device="cpu", model_kwargs=options
    )
    assert_same(opened.encode(TEXTS), both.ours.encode(TEXTS))


@pytest.mark.parametrize("layout", ["old", "new"])
def test_the_other_exporter(base: Base, tmp_path: Path, layout: str) -> None:
    pytest.importorskip("optimum.onnxruntime", exc_type=ImportError)
    if layout == "old":
        source = old(base(), tmp_path / "st", {FLAGS["max"]: True}, normalized=True)
    else:
        source = saved(base(), tmp_path / "st", pooling("max"), KINDS.Normalize())
    albert_edge.export(source, tmp_path / "out", exporter="optimum", verify=True)
    ours = embeddings(tmp_path / "out")
    theirs = REFERENCE.SentenceTransformer(str(source), device="cpu")
    assert_same(ours.encode(TEXTS), theirs.encode(TEXTS))
    with pytest.raises(UsageError, match="the model has no pooler_output"):
        ours.encode(TEXTS, pooling="pooler")


@pytest.mark.parametrize("name", ["sentence_bert_config.json", "sentence_albert_config.json"])
def test_the_transformers_settings_under_both_names(base: Base, tmp_path: Path, name: str) -> None:
    transformer = {"max_seq_length": SHORT}
    both = pair(old(base(), tmp_path / "st", {}, transformer=transformer, config_file=name))
    both.compare([LONG])
    with pytest.raises(InputError, match=f"at most {SHORT}"):
        both.ours(LONG)


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("layout", ["old", "new"])
def test_what_is_downloaded(
    base: Base,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    layout: str,
    weights: str,
) -> None:
    remote = tmp_path / "remote"
    if layout == "old":
        folder = old(base(), remote, {FLAGS["cls"]: True}, transformer={"max_seq_length": SHORT})
        folder /= "0_Transformer"
    else:
        folder = saved(base(), remote, pooling("cls"), dense())
    if weights == "pytorch_model.bin":
        for path in list(remote.rglob("model.safetensors")):
            torch.save(load_file(path), path.with_name(weights))
            path.unlink()
    else:  # where there are both, the pickle stays where it is
        (folder / "pytorch_model.bin").write_bytes(b"pickle")
    (remote / "train_script.py").write_text("raise SystemExit")
    (remote / "modeling").mkdir()
    (remote / "modeling" / "code.py").write_text("raise SystemExit")

    def snapshot_download(name: str, revision: str | None, allow_patterns: list[str]) -> str:
        files = (
            path.relative_to(remote).as_posix() for path in remote.rglob("*") if path.is_file()
        )
        local = tmp_path / ("f" * 40)
        for file in filter_repo_objects(files, allow_patterns=allow_patterns):
            (local / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(remote / file, local / file)
        return str(local)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    albert_edge.export("owner/name", tmp_path / "out")
    theirs = REFERENCE.SentenceTransformer(str(remote), device="cpu")
    ours = embeddings(tmp_path / "out", truncation=True)
    assert_same(ours.encode([LONG, *TEXTS]), theirs.encode([LONG, *TEXTS]))
    local = tmp_path / ("f" * 40)
    assert not list(local.rglob("*.py"))
    assert {path.name for path in local.rglob("*model.*")} == {weights}


# --- what is refused ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def full(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with every kind of module."""
    folder = tmp_path_factory.mktemp("full")
    modules = [pooling("mean"), dense(), KINDS.Normalize()]
    source = saved(base(), folder / "st", *modules)
    write_json(source / "3_Normalize/config.json", {})  # which not every version writes
    albert_edge.export(source, folder / "bundle")
    return folder / "bundle"


def rewritten(full: Path, folder: Path, file: str, content: bytes) -> Path:
    """The bundle as an export would have written it with another file in the checkpoint."""
    shutil.copytree(full, folder)
    (folder / file).write_bytes(content)
    manifest = json.loads((full / "albert_edge.json").read_text(encoding="utf-8"))
    for record in manifest["files"]:
        if record["file"] == file:
            record.update(sha256=digest(folder / file), bytes=len(content))
    write_json(folder / "albert_edge.json", manifest)
    return folder


def test_the_bundle_is_fine_as_it_is(full: Path, tmp_path: Path) -> None:
    content = (full / POOLING).read_bytes()
    bundle = rewritten(full, tmp_path / "bundle", POOLING, content)
    assert embeddings(bundle)("text").shape == (10,)


POOLING = "1_Pooling/config.json"
TRANSFORMER = "sentence_bert_config.json"
MODEL = "config_sentence_transformers.json"


@pytest.mark.parametrize(
    ("file", "changes", "told"),
    [
        (POOLING, {"pooling_mode": "attention"}, r"1_Pooling.config.json: .*attention"),
        (POOLING, {"pooling_mode": ["mean", "attention"]}, "attention"),
        (POOLING, {"pooling_mode": {"mean": True}}, "pooling_mode"),
        (POOLING, {"pooling_mode": [["mean"]]}, "pooling_mode"),
        (POOLING, {"include_prompt": "no"}, "include_prompt should be true or false, found 'no'"),
        (TRANSFORMER, {"max_seq_length": 0}, "max_seq_length should be .* at least 1, found 0"),
        (TRANSFORMER, {"max_seq_length": "128"}, "max_seq_length should be .*, found '128'"),
        (TRANSFORMER, {"transformer_task": "fill-mask"}, "fill-mask"),
        (TRANSFORMER, {"processing_kwargs": {"text": {"max_length": 5}}}, "processing_kwargs"),
        (TRANSFORMER, {"processor_kwargs": {"use_fast": False}}, "use_fast"),
        (MODEL, {"model_type": "SparseEncoder"}, "SparseEncoder"),
        (
            MODEL,
            {"default_prompt_name": "none such"},
            "default_prompt_name should be .*, found 'none such'",
        ),
        (MODEL, {"prompts": ["query: "]}, "prompts"),
        (MODEL, {"prompts": {"query": 5}}, r"prompts\.query should be a text, found 5"),
        (MODEL, {"truncate_dim": -1}, "truncate_dim should be .*, found -1"),
        (
            "2_Dense/config.json",
            {"activation_function": "torch.nn.modules.activation.Threshold"},
            "Threshold",
        ),
        ("2_Dense/config.json", {"activation_function": "my.Tanh"}, "my.Tanh"),
        ("2_Dense/config.json", {"use_residual": True}, "shapes .*residual.weight"),
        (
            "2_Dense/config.json",
            {"module_input_name": "token_embeddings"},
            "modules.json: 2_Dense reads token_embeddings",
        ),
        ("2_Dense/config.json", {"out_features": 11}, "shapes"),
        ("2_Dense/config.json", {"bias": False}, "shapes"),
        (
            "3_Normalize/config.json",
            {"module_output_name": "token_embeddings"},
            "modules.json: 3_Normalize reads sentence_embedding and writes token_embeddings",
        ),
    ],
    ids=str,
)
def test_settings_that_are_not_supported(
    full: Path, tmp_path: Path, file: str, changes: dict[str, Any], told: str
) -> None:
    settings = json.loads((full / file).read_text(encoding="utf-8")) | changes
    bundle = rewritten(full, tmp_path / "bundle", file, json.dumps(settings).encode())
    albert_edge.pipeline("feature-extraction", model=bundle)("text")
    with pytest.raises(BundleError, match=told) as caught:
        embeddings(bundle)
    assert "json" in str(caught.value)
    assert "Session" in caught.value.tip


PREFIX = "sentence_transformers.models."
CHAINS: dict[str, list[tuple[str, str]]] = {
    "WeightedLayerPooling": [
        (PREFIX + "Transformer", ""),
        (PREFIX + "Pooling", "1_Pooling"),
        (PREFIX + "WeightedLayerPooling", "2_WeightedLayerPooling"),
    ],
    "own.Pooling": [(PREFIX + "Transformer", ""), ("own.Pooling", "1_Pooling")],
    "no module makes a sentence_embedding": [(PREFIX + "Transformer", "")],
    "lists Pooling first": [(PREFIX + "Pooling", ""), (PREFIX + "Transformer", "1_Pooling")],
}


@pytest.mark.parametrize("told", CHAINS)
def test_modules_that_are_not_supported(full: Path, tmp_path: Path, told: str) -> None:
    content = json.dumps([{"type": kind, "path": path} for kind, path in CHAINS[told]]).encode()
    bundle = rewritten(full, tmp_path / "bundle", "modules.json", content)
    with pytest.raises(BundleError, match=told) as caught:
        embeddings(bundle)
    assert "modules.json" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"[" * 100_000, b"\xff", b"5", b"[]"], ids=repr)
@pytest.mark.parametrize("file", ["modules.json", POOLING, "2_Dense/model.safetensors"])
def test_a_file_that_was_damaged_before_it_was_listed(
    full: Path, tmp_path: Path, file: str, content: bytes
) -> None:
    bundle = rewritten(full, tmp_path / "bundle", file, content)
    with pytest.raises(BundleError, match=file.partition("/")[0]):
        embeddings(bundle)


@pytest.mark.parametrize(
    "entries",
    [
        {},
        [],
        5,
        None,
        [5],
        [{"type": "sentence_transformers.models.Transformer"}],
        [{"type": 5, "path": ""}],
        [
            {"type": "sentence_transformers.models.Transformer", "path": ""},
            {"type": "sentence_transformers.models.Dense", "path": ""},
        ],
        [{"type": "sentence_transformers.models.Transformer", "path": 5}],
        *(
            [{"type": "sentence_transformers.models.Transformer", "path": path}]
            for path in ("..", "../other", "/etc", "a/../..", "C:\\", "onnx/", "config.json", "\0")
        ),
    ],
    ids=repr,
)
def test_a_damaged_or_hostile_list_of_modules(base: Base, tmp_path: Path, entries: Any) -> None:
    source = old(base(), tmp_path / "st", {}, in_folder="")
    write_json(source / "modules.json", entries)
    with pytest.raises(CheckpointError, match=r"modules\.json(: | is not | lists no )"):
        albert_edge.export(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(path.read_bytes()[:-4]),
        lambda path: path.write_bytes(b""),
    ],
    ids=["missing", "cut", "empty"],
)
def test_damaged_weights_of_a_dense_module(
    base: Base, tmp_path: Path, damage: Callable[[Path], Any]
) -> None:
    source = saved(base(), tmp_path / "st", pooling("mean"), dense())
    damage(source / "2_Dense/model.safetensors")
    with pytest.raises(CheckpointError, match="2_Dense"):
        albert_edge.export(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
