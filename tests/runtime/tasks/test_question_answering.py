"""Question answering against transformers.pipeline: the same call gives the same answers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pipelines import (
    ANY_TEXT,
    REFERENCE,
    SENTENCES,
    Both,
    assert_same,
    one_thread,
    pair,
)
from support.question_answering import MARKS, TASK, XQUAD, confident, sure_checkpoint

import albert_edge
from albert_edge.bundle.bundle import open_bundle
from albert_edge.errors import InputError, UsageError
from albert_edge.runtime.session import Session

__all__ = ["one_thread"]  # a fixture of every test here

pytestmark = MARKS


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return confident(tmp_path_factory.mktemp("english"))


@pytest.fixture(scope="module")
def chinese(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return confident(tmp_path_factory.mktemp("chinese"), "vocab.txt", seed=1)


def compare(pipelines: Both, *inputs: Any, **options: Any) -> Any:
    """Answer both ways."""
    ours = pipelines.ours(*inputs, **options)
    assert_same(ours, pipelines.theirs(*inputs, **options))
    return ours


QUESTION = "Where does Wolfgang live?"
CONTEXT = "My name is Wolfgang and I live in Berlin, not in São Paulo; Sarah doesn't."
ITEM = {"question": QUESTION, "context": CONTEXT}
OTHER = {
    "question": "谁? Who?",
    "context": "  今天天气很好。 Café\u3000e\u0301 👍🏽 [MASK] [SEP]\nİstanbul ﬁne",
}
LONG = " ".join(SENTENCES)

# --- calls ----------------------------------------------------------------------------------

POSITIONAL: dict[str, Any] = {
    "dict": ITEM,
    "list of one": [ITEM],
    "list": [ITEM, OTHER, ITEM],
    "tuple": (ITEM, OTHER),
    "no items": [],
    "dict of lists": {"question": [QUESTION, "Who?"], "context": [CONTEXT, "Sarah."]},
    "dict of lists of one": {"question": [QUESTION], "context": [CONTEXT]},
}
KEYWORDS: dict[str, dict[str, Any]] = {
    "strings": ITEM,
    "other": OTHER,
    "lists": {"question": [QUESTION, "Who?"], "context": [CONTEXT, "Sarah."]},
    "lists of one": {"question": [QUESTION], "context": [CONTEXT]},
    "questions of one context": {"question": [QUESTION, "Who?", "Who?"], "context": CONTEXT},
    "one question in a list": {"question": [QUESTION], "context": CONTEXT},
    "no questions": {"question": [], "context": CONTEXT},
}
TOP_K: dict[str, dict[str, Any]] = {
    "absent": {},
    "None": {"top_k": None},
    "1": {"top_k": 1},
    "3": {"top_k": 3},
    "50": {"top_k": 50},
}


@pytest.mark.parametrize("top_k", TOP_K)
@pytest.mark.parametrize("call", POSITIONAL)
def test_every_kind_of_call(english: Both, call: str, top_k: str) -> None:
    compare(english, POSITIONAL[call], **TOP_K[top_k])


@pytest.mark.parametrize("top_k", TOP_K)
@pytest.mark.parametrize("call", KEYWORDS)
def test_calls_by_keyword(english: Both, chinese: Both, call: str, top_k: str) -> None:
    compare(english, **KEYWORDS[call], **TOP_K[top_k])
    compare(chinese, **KEYWORDS[call], **TOP_K[top_k])


def test_an_answer(english: Both) -> None:
    answer = english.ours(ITEM)
    assert list(answer) == ["score", "start", "end", "answer"]
    assert [type(value) for value in answer.values()] == [float, int, int, str]
    assert answer["answer"] == CONTEXT[answer["start"] : answer["end"]] != ""
    # The comparisons prove nothing unless answers differ and some are sure.
    answers = english.ours(ITEM, top_k=3)
    assert answers[0] == pytest.approx(answer, abs=0.05)
    assert len({each["answer"] for each in answers}) == 3
    assert answers[0]["score"] > 2 * answers[2]["score"]


def test_a_generator_is_answered_lazily(english: Both) -> None:
    taken = []

    def items() -> Iterator[Any]:
        for item in (ITEM, OTHER, ITEM):
            taken.append(item)
            yield item

    answers = english.ours(items(), top_k=2)
    assert taken == []
    first = next(answers)
    assert taken == [ITEM]
    theirs = english.theirs((item for item in (ITEM, OTHER, ITEM)), top_k=2)
    assert_same([first, *answers], list(theirs))
    assert_same(list(english.ours(item for item in [ITEM])), [english.theirs(ITEM)])


def test_defaults_given_when_the_pipeline_is_made(english: Both, tmp_path: Path) -> None:
    defaults = {"top_k": 2, "max_answer_len": 3, "handle_impossible_answer": True}
    source = english.bundle.parent / "checkpoint"
    pipelines = pair(TASK, source, tmp_path / "bundle", **defaults)
    assert compare(pipelines, **ITEM) == english.ours(ITEM, **defaults)
    compare(pipelines, [ITEM, OTHER], top_k=1)
    compare(pipelines, ITEM, handle_impossible_answer=False, max_answer_len=8)


def test_a_context_given_when_the_pipeline_is_made(english: Both) -> None:
    ask = albert_edge.pipeline(model=english.bundle, context=CONTEXT, threads=1)
    assert_same(ask(question=QUESTION), english.theirs(**ITEM))


def test_the_answer_of_one_item(english: Both) -> None:
    ask = albert_edge.pipeline(model=english.bundle, threads=1)
    assert ask.task == TASK
    assert_same(ask.answer(ITEM, top_k=2), english.theirs(ITEM, top_k=2))


# --- real questions -------------------------------------------------------------------------


WINDOWED: dict[str, dict[str, Any]] = {
    "default": {"top_k": 2},
    "windows": {
        "max_seq_len": 128,
        "doc_stride": 40,
        "top_k": 3,
        "max_answer_len": 6,
        "handle_impossible_answer": True,
    },
}


@pytest.mark.parametrize("options", WINDOWED)
@pytest.mark.parametrize("language", XQUAD)
def test_real_questions(english: Both, language: str, options: str) -> None:
    answered = 0
    for row in XQUAD[language]:
        answers = compare(
            english, question=row["questions"], context=row["context"], **WINDOWED[options]
        )
        answered += len(answers)
        for answer in (each for several in answers for each in several):
            assert answer["answer"] == row["context"][answer["start"] : answer["end"]]
    assert answered == {"en": 203, "de": 126}[language]


def test_real_questions_need_windows() -> None:
    # Else the comparisons prove less than they seem to.
    for rows in XQUAD.values():
        assert max(len(row["context"]) for row in rows) > 3000


def test_threads_share_a_pipeline(english: Both) -> None:
    # Windows of several lengths at once: a tokenizer that is set to one would mix them up.
    calls = [
        {"question": question, "context": row["context"], "max_seq_len": length, "doc_stride": 20}
        for row in XQUAD["de"][:4]
        for question in row["questions"]
        for length in (70, 80, 120)
    ]
    wanted = [english.ours(**call) for call in calls]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda call: english.ours(**call), calls)) == wanted


# --- parameters -----------------------------------------------------------------------------

ALIGNED = [True, False, None]


@pytest.mark.parametrize("align", ALIGNED)
@pytest.mark.parametrize("impossible", [True, False, None])
@pytest.mark.parametrize("longest", [1, 2, 15, 400, None])
def test_what_is_an_answer(
    english: Both, chinese: Both, longest: int | None, impossible: bool | None, align: bool | None
) -> None:
    for pipelines in (english, chinese):
        for top_k in (1, 4):
            options: dict[str, Any] = {"top_k": top_k, "max_answer_len": longest}
            options |= {"handle_impossible_answer": impossible, "align_to_words": align}
            compare(pipelines, [ITEM, OTHER], **options)
            compare(pipelines, ITEM, max_seq_len=24, doc_stride=5, **options)


@pytest.mark.parametrize("padding", ["longest", "max_length", "do_not_pad", True, False, None])
def test_padding_changes_nothing(english: Both, padding: Any) -> None:
    for options in ({}, {"max_seq_len": 24, "doc_stride": 5}):
        compare(english, ITEM, padding=padding, top_k=3, **options)


@pytest.mark.parametrize("longest", [1, 3, 64, None])
def test_a_question_is_never_cut(english: Both, longest: int | None) -> None:
    # Nor is it by transformers with a tokenizer of the tokenizers library.
    question = "Who? " * 80
    asked = compare(english, question=question, context=LONG, max_question_len=longest, top_k=2)
    assert asked == english.ours(question=question, context=LONG, top_k=2)


@pytest.mark.parametrize("stride", [0, 1, 7, 16])
@pytest.mark.parametrize("length", [30, 31, 64])
def test_windows(english: Both, chinese: Both, stride: int, length: int) -> None:
    for pipelines in (english, chinese):
        for context in (CONTEXT, LONG[:500], "one"):
            options = {"doc_stride": stride, "max_seq_len": length, "top_k": 3}
            compare(pipelines, question=QUESTION, context=context, **options)
            options["handle_impossible_answer"] = True
            compare(pipelines, question="Wo?", context=context, align_to_words=False, **options)


def test_windows_about_as_long_as_the_context(english: Both) -> None:
    tokenizer = REFERENCE.AutoTokenizer.from_pretrained(english.bundle)
    length = len(tokenizer(QUESTION, CONTEXT)["input_ids"])
    for limit in range(length - 2, length + 3):
        compare(english, ITEM, max_seq_len=limit, doc_stride=3, top_k=3)


def test_the_same_words_are_one_answer(english: Both) -> None:
    context = "Berlin. " * 60 + "BERLIN"
    answers = compare(
        english, question="Where?", context=context, top_k=15, max_seq_len=24, doc_stride=12
    )
    texts = [each["answer"].lower() for each in answers]
    assert len(texts) == len(set(texts)) == 15
    assert answers[0]["score"] > 1  # the sum over windows


def test_a_score_for_no_answer(english: Both) -> None:
    options = {"handle_impossible_answer": True, "top_k": 500, "doc_stride": 8, "max_seq_len": 32}
    for item in (ITEM, OTHER):
        answers = compare(english, item, **options)
        assert {"start": 0, "end": 0, "answer": ""}.items() <= max(
            (each for each in answers if not each["answer"]), key=lambda each: each["score"]
        ).items()


@pytest.mark.parametrize("top_k", [1, 2, 4, 7])
@pytest.mark.parametrize("align", ALIGNED)
@pytest.mark.parametrize("context", ["x", "Berlin", "a b", " ", "\n", "今", "e\u0301", "[CLS]"])
def test_contexts_of_a_few_tokens(
    english: Both, chinese: Both, context: str, align: bool | None, top_k: int
) -> None:
    for pipelines in (english, chinese):
        for impossible in (False, True):
            compare(
                pipelines,
                question="Who",
                context=context,
                top_k=top_k,
                align_to_words=align,
                handle_impossible_answer=impossible,
            )


def test_as_many_answers_wanted_as_there_are_spans(chinese: Both) -> None:
    # 6 x 6 spans; transformers fails with numpy's ValueError.
    with pytest.raises(ValueError, match="out of bounds"):
        chinese.theirs(question="Who", context="a b", top_k=13)
    answers = chinese.ours(question="Who", context="a b", top_k=13)
    assert [each["answer"] for each in answers if each["score"]] == sorted(
        ["a", "b", "a b"], key=lambda text: -{e["answer"]: e["score"] for e in answers}[text]
    )


# --- generated questions --------------------------------------------------------------------

TEXT = ANY_TEXT.filter(bool)
OPTIONS = st.fixed_dictionaries(
    {"question": TEXT.map(lambda text: text[:60]), "context": TEXT},
    optional={
        "top_k": st.integers(1, 5),
        "max_answer_len": st.integers(1, 30),
        "handle_impossible_answer": st.booleans(),
        "align_to_words": st.booleans(),
    },
)
WINDOWS = st.sampled_from([{}, {"max_seq_len": 100, "doc_stride": 12}, {"doc_stride": 200}])
# Rounding decides between two answers now and then: the same texts each time, so that it does
# not fail one run in a thousand.
examples = settings(deadline=None, derandomize=True, max_examples=150)


def compare_generated(pipelines: Both, options: dict[str, Any]) -> None:
    try:
        theirs = pipelines.theirs(**options)
    except ValueError as error:
        assert "out of bounds" in str(error)  # as many answers wanted as there are spans
        pipelines.ours(**options)
        return
    assert_same(pipelines.ours(**options), theirs)


@given(options=OPTIONS, windows=WINDOWS)
@examples
def test_any_question(english: Both, options: dict[str, Any], windows: dict[str, Any]) -> None:
    compare_generated(english, {**options, **windows})


@given(options=OPTIONS, windows=WINDOWS)
@examples
def test_any_chinese_question(
    chinese: Both, options: dict[str, Any], windows: dict[str, Any]
) -> None:
    compare_generated(chinese, {**options, **windows})


# --- an independent count -------------------------------------------------------------------


def brute_force(
    session: Session, item: dict[str, str], *, length: int, stride: int, left: bool = False
) -> list[dict[str, Any]]:
    """All answers of at most 15 tokens, not aligned to words, best first."""
    tokenizer = REFERENCE.AutoTokenizer.from_pretrained(session.bundle.path)
    texts = [item["question"], item["context"]]
    encoded = tokenizer(
        *(texts[::-1] if left else texts),
        truncation="only_first" if left else "only_second",
        max_length=length,
        stride=stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    scores: dict[str, float] = {}
    for window, ids in enumerate(encoded["input_ids"]):
        outputs = session.run(
            {
                "input_ids": [ids],
                "attention_mask": [encoded["attention_mask"][window]],
                "token_type_ids": [encoded["token_type_ids"][window]],
            }
        )
        segments = encoded.sequence_ids(window)
        context = [i for i, segment in enumerate(segments) if segment == (0 if left else 1)]
        logits = [outputs[name][0].astype(float) for name in ("start_logits", "end_logits")]
        totals = [math.log(np.exp(each[[0, *context]]).sum()) for each in logits]
        offsets = encoded["offset_mapping"][window]
        for first in context:
            for last in range(first, min(first + 15, context[-1] + 1)):
                text = item["context"][offsets[first][0] : offsets[last][1]].lower()
                score = math.exp(logits[0][first] + logits[1][last] - sum(totals))
                scores[text] = scores.get(text, 0) + score
    return [
        {"answer": text, "score": score}
        for text, score in sorted(scores.items(), key=lambda each: -each[1])
    ]


def assert_counted(ask: Any, item: dict[str, str], *, left: bool = False) -> None:
    length, stride = 40, 10
    wanted = brute_force(ask.session, item, length=length, stride=stride, left=left)
    # More spans than there are, so that none is left out of a sum.
    got = ask(item, top_k=5000, align_to_words=False, max_seq_len=length, doc_stride=stride)
    assert len(wanted) > 100
    # Spans that score 0 are no answers.
    got = [each for each in got if each["score"] > 0]
    found = {each["answer"].lower(): each["score"] for each in got}
    assert len(found) == len(got)
    assert found == pytest.approx({e["answer"]: e["score"] for e in wanted}, rel=1e-4, abs=1e-9)
    assert [e["score"] for e in got] == sorted(found.values(), reverse=True)
    for each in got:
        assert each["answer"] == item["context"][each["start"] : each["end"]]


def test_every_span_counts_in_fp32(english: Both, chinese: Both) -> None:
    for pipelines in (english, chinese):
        with albert_edge.pipeline(model=pipelines.bundle, threads=1) as ask:
            assert_counted(ask, {"question": QUESTION, "context": LONG[:600]})


def test_every_span_counts_in_int8(english: Both, tmp_path: Path) -> None:
    albert_edge.export(english.bundle.parent / "checkpoint", tmp_path / "bundle")
    albert_edge.optimize(tmp_path / "bundle")
    # What matters here is what is made of the outputs, not how well 24 features can be rounded.
    albert_edge.quantize(tmp_path / "bundle", precision="int8", min_agreement=0, min_cosine=0)
    with albert_edge.pipeline(model=tmp_path / "bundle", precision="int8", threads=1) as ask:
        assert ask.session.variant.precision == "int8"
        assert ask(ITEM) != english.ours(ITEM)
        assert_counted(ask, {"question": QUESTION, "context": LONG[:600]})


# --- settings of the tokenizer --------------------------------------------------------------


def test_windows_from_the_side_that_the_tokenizer_cuts(tmp_path: Path) -> None:
    source = sure_checkpoint(tmp_path, "spiece.model")
    (source / "tokenizer_config.json").write_text('{"truncation_side": "left"}')
    pipelines = pair(TASK, source, tmp_path / "bundle")
    assert pipelines.theirs.tokenizer.truncation_side == "left"  # type: ignore[attr-defined]
    for options in ({}, {"max_seq_len": 40, "doc_stride": 7}):
        compare(pipelines, question=QUESTION, context=LONG, top_k=3, **options)


def test_a_tokenizer_that_pads_on_the_left_has_the_context_first(tmp_path: Path) -> None:
    # transformers then takes tokens of the question for answers, and their places for places in
    # the context; the answers here are in the context.
    source = sure_checkpoint(tmp_path, "spiece.model")
    (source / "tokenizer_config.json").write_text('{"padding_side": "left"}')
    albert_edge.export(source, tmp_path / "bundle")
    albert_edge.optimize(tmp_path / "bundle")
    tokenizer = REFERENCE.AutoTokenizer.from_pretrained(tmp_path / "bundle")
    assert tokenizer.padding_side == "left"
    with albert_edge.pipeline(model=tmp_path / "bundle", threads=1) as ask:
        assert_counted(ask, {"question": QUESTION, "context": LONG[:600]}, left=True)
        answers = ask(ITEM, top_k=9)
    encoding = tokenizer(CONTEXT, add_special_tokens=False).encodings[0]
    words = [encoding.word_to_chars(word) for word in encoding.word_ids]
    assert len(answers) == 9
    for each in answers:
        assert each["start"] in {start for start, _ in words}
        assert each["end"] in {end for _, end in words}
        assert each["answer"] == CONTEXT[each["start"] : each["end"]]


def test_a_lower_limit_of_the_tokenizer_is_followed(tmp_path: Path) -> None:
    source = sure_checkpoint(tmp_path, "spiece.model")
    (source / "tokenizer_config.json").write_text('{"model_max_length": 50}')
    pipelines = pair(TASK, source, tmp_path / "bundle")
    assert open_bundle(pipelines.bundle).read_text("tokenizer_config.json")
    compare(pipelines, question=QUESTION, context=LONG, top_k=3)


def test_windows_are_never_longer_than_the_model_takes(english: Both) -> None:
    # transformers makes them as long as it is told, and the model fails.
    wanted = english.ours(question=QUESTION, context=LONG, max_seq_len=512, top_k=3)
    assert_same(wanted, english.theirs(question=QUESTION, context=LONG, max_seq_len=512, top_k=3))
    assert english.ours(question=QUESTION, context=LONG, max_seq_len=9999, top_k=3) == wanted
    compare(english, ITEM, max_seq_len=9999)


# --- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"top_k": 0},
        {"top_k": -1},
        {"top_k": 1.5},
        {"max_answer_len": 0},
        {"max_answer_len": "2"},
        {"max_question_len": 0},
        {"max_seq_len": 0},
        {"doc_stride": -1},
        {"doc_stride": 385},
        {"doc_stride": 33, "max_seq_len": 32},
        {"doc_stride": 30, "max_seq_len": 32},
        {"padding": "sometimes"},
    ],
    ids=str,
)
def test_parameters_without_meaning_are_refused(english: Both, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(options)).removeprefix('doc_')} is"):
        english.ours(**ITEM, **options)


def test_the_longest_stride(english: Both) -> None:
    compare(english, question="Who?", context="Sarah", max_seq_len=32, doc_stride=29)


@pytest.mark.parametrize("name", ["truncate", "k", "datas", "max_len"])
def test_an_unknown_parameter_is_refused(english: Both, name: str) -> None:
    with pytest.raises(UsageError, match=f"no parameter {name}"):
        english.ours(ITEM, **{name: 1})


def test_no_room_beside_the_question(english: Both) -> None:
    question = "one two three four five six seven eight nine ten"
    tokens = len(english.theirs.tokenizer(question)["input_ids"]) - 2  # type: ignore[attr-defined]
    for stride in (0, 5):
        asked = {"question": question, "context": LONG[:300], "doc_stride": stride}
        compare(english, **asked, max_seq_len=tokens + 3 + stride + 1)
        with pytest.raises(
            InputError, match=rf"text of {tokens} tokens .* stride, {stride}\.\nTip: "
        ):
            english.ours(**asked, max_seq_len=tokens + 3 + stride)
    with pytest.raises(InputError, match="room for 0"):
        english.ours(question=question, context=LONG, max_seq_len=tokens, doc_stride=0)
    with pytest.raises(InputError, match="Item 1:"):
        english.ours([ITEM, {"question": "Who? " * 500, "context": CONTEXT}])
    # A context that needs no windows needs no stride either.
    compare(english, question=question, context="a b", max_seq_len=tokens + 10, doc_stride=9)


@pytest.mark.parametrize("name", ["question", "context"])
def test_empty_texts_are_refused(english: Both, name: str) -> None:
    item = {**ITEM, name: ""}
    for call in (english.ours, english.theirs):
        with pytest.raises(ValueError, match="empty"):
            call(**item)
        with pytest.raises(ValueError, match="empty"):
            call([ITEM, item])
    with pytest.raises(InputError, match=f"Item 1: The {name} is empty"):
        list(english.ours(each for each in [ITEM, item]))


def test_texts_that_do_not_pair_are_refused(english: Both) -> None:
    for asked in (
        {"question": QUESTION, "context": [CONTEXT, CONTEXT]},
        {"question": QUESTION, "context": [CONTEXT]},
        {"question": [QUESTION, "Who?"], "context": [CONTEXT]},
        {"question": ["Who?"], "context": [CONTEXT, CONTEXT]},
    ):
        for call in (english.ours, english.theirs):
            with pytest.raises(ValueError):  # each says it in its own words
                call(**asked)
    with pytest.raises(InputError, match="2 contexts and one question"):
        english.ours(question=QUESTION, context=[CONTEXT, CONTEXT])
    with pytest.raises(InputError, match="2 questions and 1 contexts"):
        english.ours({"question": [QUESTION, "Who?"], "context": [CONTEXT]})


@pytest.mark.parametrize("given", [{"question": QUESTION}, {"context": CONTEXT}, ITEM], ids=list)
def test_a_question_given_twice_is_refused(english: Both, given: dict[str, str]) -> None:
    for inputs in (ITEM, [ITEM, OTHER]):
        with pytest.raises(UsageError, match="twice"):
            english.ours(inputs, **given)
    with pytest.raises(UsageError, match="twice"):
        list(english.ours((item for item in [ITEM]), **given))
    with pytest.raises(UsageError, match="twice"):
        english.ours.answer(ITEM, **given)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "item",
    [
        5,
        "Where?",
        ["Where?", CONTEXT],
        {},
        {"question": QUESTION},
        {"context": CONTEXT},
        {"question": QUESTION, "context": None},
        {"question": 5, "context": CONTEXT},
        {"question": [QUESTION], "context": [CONTEXT]},
        {"text": QUESTION, "text_pair": CONTEXT},
    ],
    ids=str,
)
def test_what_is_no_question_is_a_type_error(english: Both, item: Any) -> None:
    with pytest.raises(TypeError, match=r"item 1\b"):
        english.ours([ITEM, item])
    if not (isinstance(item, dict) and isinstance(item.get("question"), list)):
        with pytest.raises(TypeError):
            english.ours(item)


@pytest.mark.parametrize("asked", [{}, {"question": "Who?"}, {"context": "Sarah"}], ids=list)
def test_no_question_is_a_type_error(english: Both, asked: dict[str, str]) -> None:
    with pytest.raises(TypeError, match="must be a string, not NoneType"):
        english.ours(**asked)


@pytest.mark.parametrize("name", ["question", "context"])
def test_lone_surrogates_are_refused(english: Both, name: str) -> None:
    with pytest.raises(InputError, match=r"Item 1: .*Unicode"):
        english.ours([ITEM, {**ITEM, name: "fine \ud800"}])
