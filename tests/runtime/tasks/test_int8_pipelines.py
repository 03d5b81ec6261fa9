"""Pipelines of int8 models: what transformers' own pipelines make of the same model outputs.

An int8 model answers a little differently than the checkpoint, so its answers are not those of
transformers. What is made of its outputs is: here the pipelines of transformers run with the
outputs of the int8 session in place of their model's, and have to give the same answers.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.fill_mask import CHINESE_WORDS, ENGLISH_WORDS, MASKED
from support.pipelines import (
    ANY_ITEM,
    ANY_TEXT,
    REFERENCE,
    SENTENCES,
    Both,
    assert_same,
    both,
    by_label,
    one_thread,
)
from support.question_answering import MARKS, XQUAD, confident
from support.token_classification import STRATEGIES, TWEETS, plain, varied

import albert_edge

__all__ = ["one_thread"]  # a fixture of every test here

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The target"),
    pytest.mark.filterwarnings("ignore:Tokenizer does not support real words"),
    *MARKS[2:],
]

LANGUAGES = {"english": "spiece.model", "chinese": "vocab.txt"}
# The tests of each pipeline in fp32 have more.
examples = settings(deadline=None, derandomize=True, max_examples=50)
Make = Callable[[str, Callable[..., Both]], Both]


def in_int8(pipelines: Both) -> Both:
    """Our pipeline in int8, and that of transformers on the outputs of our session."""
    # Models this small round badly; what is made of the outputs is what matters here.
    albert_edge.quantize(
        pipelines.bundle, precision="int8", texts=SENTENCES[::4], min_agreement=0, min_cosine=0
    )
    theirs: Any = pipelines.theirs
    ours = albert_edge.pipeline(theirs.task, model=pipelines.bundle, precision="int8", threads=1)
    assert ours.session.variant.precision == "int8"

    def forward(
        input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor
    ) -> Any:
        # Each row at its true length, as int8 models run here.
        padded = input_ids.shape[1]
        rows = []
        for row in zip(input_ids, attention_mask, token_type_ids, strict=True):
            ids, mask, types = (one.numpy()[None, : int(row[1].sum())] for one in row)
            rows.append(
                ours.session.run(
                    {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
                )
            )
        found = {}
        for name in rows[0]:
            arrays = [one[name] for one in rows]
            if name in ours.session.token_outputs:
                arrays = [
                    np.pad(each, [(0, 0), (0, padded - each.shape[1])] + [(0, 0)] * (each.ndim - 2))
                    for each in arrays
                ]
            found[name] = torch.from_numpy(np.concatenate(arrays))
        return REFERENCE.utils.ModelOutput(found)

    theirs.model.forward = forward
    return Both(pipelines.bundle, ours, theirs)


@pytest.fixture(scope="module", params=LANGUAGES)
def make(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Makes both pipelines in one of the languages, once."""
    made: dict[str, Both] = {}

    def get(task: str, build: Callable[..., Both]) -> Both:
        if task not in made:
            folder = tmp_path_factory.mktemp(task)
            made[task] = in_int8(build(folder, LANGUAGES[request.param]))
        return made[task]

    return get


def classifier(folder: Path, vocabulary: str) -> Both:
    return both(folder, "text-classification", vocabulary, num_labels=5)


def inference(folder: Path, vocabulary: str) -> Both:
    names = ["contradiction", "neutral", "entailment"]
    labels = {"id2label": dict(enumerate(names)), "label2id": {n: i for i, n in enumerate(names)}}
    source = both(folder, "text-classification", vocabulary, **labels, num_labels=3)
    theirs = REFERENCE.pipeline(
        "zero-shot-classification",
        model=str(folder / "checkpoint"),
        tokenizer=REFERENCE.AutoTokenizer.from_pretrained(source.bundle),
        device="cpu",
    )
    return Both(source.bundle, source.ours, theirs)


def extractor(folder: Path, vocabulary: str) -> Both:
    return both(folder, "feature-extraction", vocabulary)


def filler(folder: Path, vocabulary: str) -> Both:
    return both(folder, "fill-mask", vocabulary)


def test_it_is_not_the_checkpoint_that_answers(make: Make) -> None:
    # Else the comparisons are of fp32.
    pipelines = make("text-classification", classifier)
    exact = albert_edge.pipeline(model=pipelines.bundle, precision="fp32", top_k=None)
    assert by_label(exact.answer(SENTENCES[0])) != pytest.approx(
        by_label(pipelines.theirs(SENTENCES[0], top_k=None)), rel=0, abs=1e-4
    )


@given(item=ANY_ITEM)
@examples
def test_text_classification(make: Make, item: Any) -> None:
    pipelines = make("text-classification", classifier)
    options = {"top_k": None, "truncation": True}
    ours, theirs = pipelines.ours(item, **options), pipelines.theirs(item, **options)
    assert_same(by_label(ours), by_label(theirs))


@given(text=ANY_TEXT.filter(bool), multi_label=st.booleans())
@examples
def test_zero_shot_classification(make: Make, text: str, multi_label: bool) -> None:
    pipelines = make("zero-shot-classification", inference)
    options = {"candidate_labels": ["travel", "food, wine", "天气"], "multi_label": multi_label}
    ours, theirs = (
        pipelines.ours(text, truncation=True, **options),
        pipelines.theirs(text, **options),
    )
    assert ours["scores"] == sorted(ours["scores"], reverse=True)
    # Two labels that differ by rounding alone may change places.
    assert_same(*({**each, **in_one_order(each)} for each in (ours, theirs)))


def in_one_order(answer: dict[str, Any]) -> dict[str, list[Any]]:
    pairs = sorted(zip(answer["labels"], answer["scores"], strict=True))
    return {"labels": [label for label, _ in pairs], "scores": [score for _, score in pairs]}


@given(text=ANY_TEXT)
@examples
def test_feature_extraction(make: Make, text: str) -> None:
    pipelines = make("feature-extraction", extractor)
    theirs = pipelines.theirs(text, truncation=True, return_tensors=True).numpy()
    got = pipelines.ours(text, truncation=True, return_tensors=True)
    np.testing.assert_array_equal(got, theirs)
    assert np.isfinite(got).all()


@given(
    text=MASKED,
    top_k=st.integers(1, 9),
    targets=st.none() | st.lists(st.sampled_from(ENGLISH_WORDS + CHINESE_WORDS), min_size=1),
)
@examples
def test_fill_mask(make: Make, text: str, top_k: int, targets: list[str] | None) -> None:
    pipelines = make("fill-mask", filler)
    options = {"top_k": top_k, "targets": targets}
    assert_same(pipelines.ours(text, **options), pipelines.theirs(text, **options))


@given(text=ANY_TEXT, strategy=st.sampled_from(STRATEGIES))
@examples
def test_token_classification(make: Make, text: str, strategy: str) -> None:
    pipelines = make("token-classification", varied)
    options = {"aggregation_strategy": strategy, "ignore_labels": []}
    theirs = plain(pipelines.theirs(text, **options))
    assert_same(pipelines.ours(text, truncation=True, **options), theirs)


def test_tokens_of_noisy_sentences(make: Make) -> None:
    pipelines = make("token-classification", varied)
    for index, strategy in enumerate(STRATEGIES):
        tweets = TWEETS[index :: len(STRATEGIES)]
        options = {"aggregation_strategy": strategy, "is_split_into_words": True}
        ours = pipelines.ours(tweets, **options)
        assert_same(ours, plain(pipelines.theirs(tweets, **options)))
        assert sum(map(len, ours)) > len(tweets)
    long = " ".join(word for words in TWEETS for word in words)
    for stride in (0, 64):
        options = {"aggregation_strategy": "average", "stride": stride}
        assert_same(pipelines.ours(long, **options), plain(pipelines.theirs(long, **options)))


QUESTION_OPTIONS = st.fixed_dictionaries(
    {"question": ANY_TEXT.filter(bool).map(lambda text: text[:60]), "context": ANY_TEXT},
    optional={
        "max_answer_len": st.integers(1, 30),
        "handle_impossible_answer": st.booleans(),
        "align_to_words": st.booleans(),
    },
)


@given(options=QUESTION_OPTIONS)
@examples
def test_question_answering(make: Make, options: dict[str, Any]) -> None:
    # A context of many tokens: transformers fails where more answers are wanted than there are.
    options["context"] += SENTENCES[len(options["context"]) % len(SENTENCES)]
    pipelines = make("question-answering", confident)
    assert_same(pipelines.ours(**options), pipelines.theirs(**options))


@pytest.mark.parametrize("language", XQUAD)
def test_real_questions(make: Make, language: str) -> None:
    pipelines = make("question-answering", confident)
    for row in XQUAD[language]:
        for options in ({}, {"max_seq_len": 128, "doc_stride": 40, "top_k": 3}):
            call = {"question": row["questions"][:2], "context": row["context"], **options}
            assert_same(pipelines.ours(**call), pipelines.theirs(**call))
