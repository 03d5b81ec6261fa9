"""Token classification against transformers.pipeline: the same call gives the same entities."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pipelines import (
    ANY_TEXT,
    POSITIONS,
    SENTENCES,
    WORDS,
    Both,
    assert_same,
    both,
    checkpoint,
    one_thread,
    pair,
    words,
)
from support.token_classification import (
    CONFIG,
    GROUPS,
    LABELS,
    STRATEGIES,
    TASK,
    TWEETS,
    plain,
    varied,
)

import albert_edge
from albert_edge.errors import InputError, UsageError

__all__ = ["one_thread"]  # a fixture of every test here

pytestmark = [
    pytest.mark.reference,
    pytest.mark.filterwarnings("ignore:Tokenizer does not support real words"),
]

IGNORED: list[Any] = [None, [], ["O"], ["PER"], ["O", "I-LOC", "LOC", "A"], ("B-PER",)]
LONG = " ".join(SENTENCES)


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return varied(tmp_path_factory.mktemp("english"))


@pytest.fixture(scope="module")
def chinese(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return varied(tmp_path_factory.mktemp("chinese"), "vocab.txt", seed=1)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tmp_path_factory.mktemp("short")
    return varied(folder, max_position_embeddings=POSITIONS, seed=2)


@pytest.fixture(scope="module")
def short_chinese(tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tmp_path_factory.mktemp("short")
    return varied(folder, "vocab.txt", max_position_embeddings=POSITIONS, seed=3)


def compare(pipelines: Both, inputs: Any, **options: Any) -> Any:
    """Answer `inputs` both ways."""
    ours = pipelines.ours(inputs, **options)
    options.pop("truncation", None)  # transformers cuts every text and has no such parameter
    assert_same(ours, plain(pipelines.theirs(inputs, **options)))
    return ours


# --- calls ----------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_sentence(english: Both, chinese: Both, strategy: str) -> None:
    for pipelines in (english, chinese):
        for text in SENTENCES:
            compare(pipelines, text, aggregation_strategy=strategy)
        compare(pipelines, SENTENCES[:9], aggregation_strategy=strategy)


def test_the_comparisons_see_every_label_and_long_groups(english: Both, chinese: Both) -> None:
    # Else they prove nothing.
    for pipelines in (english, chinese):
        tokens = pipelines.ours(LONG[:1000], ignore_labels=[], truncation=True)
        assert {entity["entity"] for entity in tokens} == set(LABELS.values())
        counts = []
        for strategy in GROUPS:
            groups = pipelines.ours(SENTENCES, aggregation_strategy=strategy, ignore_labels=[])
            flat = [entity for answer in groups for entity in answer]
            assert {entity["entity_group"] for entity in flat} == {"O", "PER", "LOC", "A"}
            assert max(entity["end"] - entity["start"] for entity in flat) > 10
            counts.append([entity["score"] for entity in flat])
        assert all(one != other for i, one in enumerate(counts) for other in counts[:i])


def test_the_answer_of_a_token(english: Both) -> None:
    text = "Café São Paul"
    entities = english.ours(text, ignore_labels=[])
    for entity in entities:
        assert list(entity) == ["entity", "score", "index", "word", "start", "end"]
        assert [type(value) for value in entity.values()] == [str, float, int, str, int, int]
    assert [entity["index"] for entity in entities] == list(range(1, len(entities) + 1))
    assert text[entities[-1]["start"] : entities[-1]["end"]].strip() == "Paul"
    grouped = english.ours(text, ignore_labels=[], aggregation_strategy="simple")
    assert list(grouped[0]) == ["entity_group", "score", "word", "start", "end"]


@pytest.mark.parametrize(
    "inputs", ["", " \n", ["", ""], [SENTENCES[0]], [SENTENCES[0], "", SENTENCES[1]]], ids=repr
)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_nesting(english: Both, chinese: Both, inputs: Any, strategy: str) -> None:
    compare(english, inputs, aggregation_strategy=strategy)
    compare(chinese, inputs, aggregation_strategy=strategy)


def test_a_generator_is_answered_lazily(english: Both) -> None:
    taken = []

    def texts() -> Iterator[str]:
        for text in SENTENCES[:3]:
            taken.append(text)
            yield text

    answers = english.ours(texts(), aggregation_strategy="simple")
    assert taken == []
    first = next(answers)
    assert taken == SENTENCES[:1]
    theirs = english.theirs((text for text in SENTENCES[:3]), aggregation_strategy="simple")
    assert_same([first, *answers], plain(list(theirs)))


@pytest.mark.parametrize("strategy", [*STRATEGIES, "SIMPLE", "Max", None])
@pytest.mark.parametrize("ignored", IGNORED, ids=repr)
def test_ignored_labels(english: Both, ignored: Any, strategy: str | None) -> None:
    compare(english, SENTENCES[:2], aggregation_strategy=strategy, ignore_labels=ignored)


def test_defaults_given_when_the_pipeline_is_made(english: Both, tmp_path: Path) -> None:
    defaults = {"aggregation_strategy": "average", "ignore_labels": ["LOC"]}
    pipelines = pair("ner", english.bundle.parent / "checkpoint", tmp_path / "bundle", **defaults)
    assert compare(pipelines, SENTENCES[:3]) == english.ours(SENTENCES[:3], **defaults)
    compare(pipelines, SENTENCES[:3], aggregation_strategy="none")
    compare(pipelines, SENTENCES[0], ignore_labels=[])


@pytest.mark.parametrize("labels", [["A", "B"], ["B-", "I-"], ["X-B-PER", "I-B-PER", "-"]], ids=str)
def test_labels_of_other_forms(tmp_path: Path, labels: list[str]) -> None:
    named = dict(enumerate(labels))
    pipelines = both(tmp_path, TASK, id2label=named, num_labels=len(labels))
    for strategy in STRATEGIES:
        compare(pipelines, SENTENCES[:8], aggregation_strategy=strategy)


# --- real sentences -------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_noisy_sentences(english: Both, chinese: Both, strategy: str) -> None:
    assert len(TWEETS) == 220
    # Half of them as texts and the others as words; with the next strategy, the other way round.
    half = STRATEGIES.index(strategy) % 2
    texts = [" ".join(words) for words in TWEETS[half::2]]
    found = compare(english, texts, aggregation_strategy=strategy)
    assert sum(map(len, found)) > len(texts)
    compare(chinese, texts[::4], aggregation_strategy=strategy)
    options = {"aggregation_strategy": strategy, "is_split_into_words": True}
    compare(english, TWEETS[1 - half :: 2], **options)
    compare(chinese, TWEETS[1 - half :: 8], **options)


def test_noisy_sentences_through_windows(short: Both) -> None:
    text = " ".join(word for words in TWEETS[:60] for word in words)
    for strategy in GROUPS:
        compare(short, text, aggregation_strategy=strategy, stride=6)
        compare(
            short, TWEETS[:60], aggregation_strategy=strategy, stride=6, is_split_into_words=True
        )


# --- generated texts ------------------------------------------------------------------------

OPTIONS = st.fixed_dictionaries(
    {"aggregation_strategy": st.sampled_from(STRATEGIES), "ignore_labels": st.sampled_from(IGNORED)}
)
# A rounding difference decides between two labels about once in a million tokens: the same
# texts each time, so that it does not fail one run in a thousand.
examples = settings(deadline=None, derandomize=True, max_examples=100)


@given(text=ANY_TEXT, options=OPTIONS)
@examples
def test_any_text(english: Both, text: str, options: dict[str, Any]) -> None:
    compare(english, text, truncation=True, **options)


@given(text=ANY_TEXT, options=OPTIONS)
@examples
def test_any_chinese_text(chinese: Both, text: str, options: dict[str, Any]) -> None:
    compare(chinese, text, truncation=True, **options)


# --- texts over the limit -------------------------------------------------------------------

STRIDES = [0, 1, 5, 12, POSITIONS - 3]
WINDOWS = st.fixed_dictionaries(
    {
        "aggregation_strategy": st.sampled_from(GROUPS),
        "ignore_labels": st.sampled_from(IGNORED),
        "stride": st.sampled_from(STRIDES),
    }
)


@pytest.mark.parametrize("strategy", [*GROUPS, None])
@pytest.mark.parametrize("stride", STRIDES)
def test_windows(short: Both, short_chinese: Both, stride: int, strategy: str | None) -> None:
    for pipelines in (short, short_chinese):
        for text in (LONG[:250], words(POSITIONS), words(POSITIONS + 1), ""):
            for ignored in IGNORED[:2]:
                compare(
                    pipelines,
                    text,
                    stride=stride,
                    aggregation_strategy=strategy,
                    ignore_labels=ignored,
                )


def test_windows_cover_the_text(short: Both) -> None:
    text = " ".join(WORDS)
    found = short.ours(text, stride=4, aggregation_strategy="simple", ignore_labels=[])
    assert found[0]["start"] == 0
    assert found[-1]["end"] == len(text)
    listed = short.ours(["a", text], stride=4, aggregation_strategy="simple", ignore_labels=[])
    assert listed[1] == found


@given(text=ANY_TEXT, options=WINDOWS)
@examples
def test_windows_of_any_text(short: Both, text: str, options: dict[str, Any]) -> None:
    compare(short, text, **options)


@given(text=ANY_TEXT, options=WINDOWS)
@examples
def test_windows_of_any_chinese_text(
    short_chinese: Both, text: str, options: dict[str, Any]
) -> None:
    compare(short_chinese, text, **options)


def test_windows_from_the_side_that_the_tokenizer_cuts(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    source = checkpoint(folder, TASK, "spiece.model", max_position_embeddings=POSITIONS, **CONFIG)
    (source / "tokenizer_config.json").write_text('{"truncation_side": "left"}')
    pipelines = pair(TASK, source, tmp_path / "bundle")
    assert pipelines.theirs.tokenizer.truncation_side == "left"  # type: ignore[attr-defined]
    compare(pipelines, LONG[:300], stride=5, aggregation_strategy="simple", ignore_labels=[])
    compare(pipelines, LONG[:300], truncation=True, ignore_labels=[])


def test_a_text_over_the_limit_is_cut_only_if_asked(short: Both) -> None:
    long = words(POSITIONS + 1)
    with pytest.raises(InputError, match=f"{POSITIONS + 1} tokens.*at most {POSITIONS}"):
        short.ours(long)
    with pytest.raises(InputError, match="Item 1:"):
        short.ours(["fine", long], aggregation_strategy="simple")
    with pytest.raises(InputError, match="tokens"):
        short.ours(WORDS, is_split_into_words=True)
    for strategy in STRATEGIES:
        compare(short, [long, LONG], truncation=True, aggregation_strategy=strategy)
    compare(short, words(POSITIONS))


# --- words ----------------------------------------------------------------------------------

SPLIT = ["Café", "São-Paulo", "İstanbul", "e\u0301", "👍🏽", "今天", "don't", ",", "a  b", "x"]


@pytest.mark.parametrize("delimiter", [None, " ", "", ", "], ids=repr)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_words(english: Both, chinese: Both, strategy: str, delimiter: str | None) -> None:
    options = {"aggregation_strategy": strategy, "is_split_into_words": True, "ignore_labels": []}
    if delimiter is not None:
        options["delimiter"] = delimiter
    for pipelines in (english, chinese):
        alone = compare(pipelines, SPLIT, **options)
        assert len(alone) == 1
        assert compare(pipelines, [SPLIT, ["one"], [""]], **options)[0] == alone[0]


@given(
    text=st.lists(ANY_TEXT, min_size=1, max_size=6),
    options=WINDOWS,
    delimiter=st.sampled_from([" ", "", "\n\n"]),
)
@examples
def test_windows_of_any_words(
    short: Both, text: list[str], options: dict[str, Any], delimiter: str
) -> None:
    compare(short, text, is_split_into_words=True, delimiter=delimiter, **options)


def test_a_generator_of_words(english: Both) -> None:
    # transformers uses the generator up before it answers any, and answers none.
    texts = [SPLIT, SPLIT[:3]]
    ours = english.ours((text for text in texts), is_split_into_words=True)
    assert_same(list(ours), plain(english.theirs(texts, is_split_into_words=True)))


def test_words_as_a_default(english: Both) -> None:
    # transformers takes it when the pipeline is made, and then forgets it.
    ours = albert_edge.pipeline(model=english.bundle, is_split_into_words=True, delimiter="-")
    wanted = english.ours(SPLIT, is_split_into_words=True, delimiter="-")
    assert ours(SPLIT) == wanted
    assert [ours.answer(SPLIT)] == wanted


# --- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"aggregation_strategy": "best"},
        {"aggregation_strategy": 1},
        {"ignore_labels": "O"},
        {"ignore_labels": 5},
        {"stride": -1, "aggregation_strategy": "simple"},
        {"stride": "2", "aggregation_strategy": "simple"},
        {"stride": 2, "aggregation_strategy": "none"},
        {"stride": POSITIONS - 2, "aggregation_strategy": "simple"},
        {"stride": POSITIONS, "aggregation_strategy": "simple"},
        {"stride": 1, "max_length": 2, "aggregation_strategy": "simple"},
        {"truncation": "sometimes"},
        {"offset_mapping": 3},
        {"offset_mapping": [[0, 2], [2, 4]]},
        {"offset_mapping": [(0, 2), (2,)]},
        {"offset_mapping": [(0, 2)], "stride": 1, "aggregation_strategy": "simple"},
    ],
    ids=str,
)
def test_parameters_without_meaning_are_refused(short: Both, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        short.ours("text", **options)
    assert next(iter(options)) in str(caught.value)


@pytest.mark.parametrize("item", [5, None, b"bytes", {"text": "a"}, ["a", "b"], ("a",)], ids=repr)
@pytest.mark.parametrize("options", [{}, {"stride": 2, "aggregation_strategy": "max"}], ids=str)
def test_what_is_no_text_is_a_type_error(short: Both, item: Any, options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"item 1\b"):
        short.ours(["fine", item], **options)
    if not isinstance(item, list):
        with pytest.raises(TypeError):
            short.ours(item, **options)


@pytest.mark.parametrize("item", ["text", 5, None, [5], ["fine", None], [["a"], [["b"]]]], ids=repr)
def test_what_are_no_words_is_a_type_error(short: Both, item: Any) -> None:
    with pytest.raises(TypeError):
        short.ours(item, is_split_into_words=True)
    with pytest.raises(TypeError):
        short.ours([["fine"], item], is_split_into_words=True)


@pytest.mark.parametrize("make", [str, list], ids=["text", "words"])
def test_lone_surrogates_are_refused(short: Both, make: Callable[[str], Any]) -> None:
    item = make("fine \ud800")
    options: dict[str, Any] = {"is_split_into_words": make is list}
    for windows in ({}, {"stride": 2, "aggregation_strategy": "first"}):
        with pytest.raises(InputError, match=r"Item 1: .*Unicode"):
            short.ours([make("fine"), item], **options, **windows)
