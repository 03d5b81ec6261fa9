"""The data of `evaluate`: every format, and what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.evaluating import (
    CONLL,
    CONTEXT,
    EVERYDAY,
    SENTENCES,
    SHIPPED,
    TAGS,
    Export,
    jsonl,
    squad,
    summary,
    write,
)
from support.paths import DATA

from albert_edge.errors import RecordError, UsageError
from albert_edge.evaluation import evaluate
from albert_edge.evaluation.conll import read_sentences
from albert_edge.evaluation.squad import read_questions

pytestmark = [
    pytest.mark.filterwarnings("error::UserWarning", "error::RuntimeWarning"),
    pytest.mark.slow,
]


def test_every_format_of_labelled_texts(shipped: Path, tmp_path: Path) -> None:
    names = ["en", "de", "fr", "es", "zh"]
    files = [
        SHIPPED / "everyday.tsv",
        write(tmp_path / "a.csv", "label,text\n" + "\n".join(f'{b},"{a}"' for a, b in EVERYDAY)),
        jsonl(tmp_path / "a.jsonl", *({"text": a, "label": b, "more": 1} for a, b in EVERYDAY)),
        jsonl(tmp_path / "b.jsonl", *({"text": a, "label": names.index(b)} for a, b in EVERYDAY)),
        write(
            tmp_path / "b.tsv",
            "\ufefftext\tlabel\r\n" + "\r\n".join(f"{a}\t{names.index(b)}" for a, b in EVERYDAY),
        ),
    ]
    reports = [evaluate(shipped, file, precisions=["fp32"]) for file in files]
    assert all(summary(report) == summary(reports[0]) for report in reports)
    assert reports[0].examples == 100
    assert reports[0].precisions[0].metrics["accuracy"] == 0.99


# --- words ----------------------------------------------------------------------------------

TABS = "#tag\tO\n# no tab, no word\nAda L.\tB-person\r\n\t\r\n\t\n-DOCSTART-\tO\nParis\tB-location"


def test_conll_with_spaces_and_with_tabs(tmp_path: Path) -> None:
    for name in ("eng.testa", "a.conll", "a.txt"):
        found = read_sentences(write(tmp_path / name, CONLL))
        assert [(words, tags) for _, words, tags in found] == SENTENCES
    found = read_sentences(write(tmp_path / "a.tsv", "\ufeff" + TABS))
    assert [(words, tags) for _, words, tags in found] == [
        (["#tag", "Ada L."], ["O", "B-person"]),
        (["Paris"], ["B-location"]),
    ]


def test_wnut17_is_read_whole() -> None:
    sentences = list(read_sentences(DATA / "wnut17" / "dev.conll"))
    lines = (DATA / "wnut17" / "dev.conll").read_text(encoding="utf-8").split("\n")
    assert len(sentences) == 62
    assert sum(len(words) for _, words, _ in sentences) == sum("\t" in line for line in lines)


@pytest.mark.parametrize("name", ["labels", "tags", "ner_tags"])
def test_words_in_records(name: str, tagger: Path, tmp_path: Path) -> None:
    conll = write(tmp_path / "a.conll", CONLL)
    records = jsonl(
        tmp_path / "a.jsonl",
        {"tokens": SENTENCES[0][0], name: [0, 1, "I-person"]},
        {"tokens": SENTENCES[1][0], name: SENTENCES[1][1]},
    )
    assert summary(evaluate(tagger, records)) == summary(evaluate(tagger, conll))


@given(
    st.lists(
        st.lists(
            st.tuples(
                st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\r\n"))
                .map(lambda word: word.strip(" "))
                .filter(lambda word: word and not word.startswith("-DOCSTART-")),
                st.sampled_from(TAGS),
            ),
            min_size=1,
            max_size=4,
        ),
        max_size=4,
    )
)
@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
def test_any_words_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, sentences: list[list[tuple[str, str]]]
) -> None:
    text = "\n".join("".join(f"{word}\t{tag}\n" for word, tag in each) for each in sentences)
    path = write(tmp_path_factory.mktemp("any") / "a.conll", "\ufeff" + text)
    found = [list(zip(words, tags, strict=True)) for _, words, tags in read_sentences(path)]
    assert found == sentences


def test_an_empty_sentence(tagger: Path, tmp_path: Path) -> None:
    data = jsonl(tmp_path / "a.jsonl", {"tokens": [], "labels": []})
    report = evaluate(tagger, data)
    assert report.examples == 1
    assert report.precisions[0].undefined["f1"] == "there are no words"


# --- questions ------------------------------------------------------------------------------


def test_every_form_of_answers(reader: Path, tmp_path: Path) -> None:
    one = {"question": "Who won?", "answers": [{"text": "Denver Broncos", "answer_start": 4}]}
    none: dict[str, Any] = {"question": "Who lost?", "answers": [], "is_impossible": True}
    files = [
        write(tmp_path / "a.json", squad(one, none)),
        jsonl(
            tmp_path / "a.jsonl",
            {"question": "Who won?", "context": CONTEXT, "answers": ["Denver Broncos"]},
            {"question": "Who lost?", "context": CONTEXT, "answers": {"text": []}},
        ),
    ]
    assert [[(each.question, each.answers) for each in read_questions(file)] for file in files] == [
        [("Who won?", ("Denver Broncos",)), ("Who lost?", ())]
    ] * 2
    reports = [evaluate(reader, file) for file in files]
    assert summary(reports[0]) == summary(reports[1])
    assert {"has_answer_f1", "no_answer_exact"} < set(reports[0].precisions[0].metrics)


def test_records_in_parquet_and_compressed(
    shipped: Path, tagger: Path, reader: Path, tmp_path: Path
) -> None:
    """As the datasets library stores GLUE, CoNLL and SQuAD."""
    answers = {"text": ["Denver Broncos"], "answer_start": [4]}
    cases: list[tuple[Path, list[dict[str, Any]]]] = [
        (shipped, [{"text": "Hi", "label": 0, "idx": 1}, {"text": "Hallo", "label": 1, "idx": 2}]),
        (tagger, [{"id": "0", "tokens": SENTENCES[0][0], "ner_tags": [0, 1, 2]}]),
        (reader, [{"question": "Who won?", "context": CONTEXT, "answers": answers}]),
    ]
    for bundle, records in cases:
        lines = jsonl(tmp_path / "a.jsonl", *records)
        wanted = summary(evaluate(bundle, lines))
        pq.write_table(pa.Table.from_pylist(records), tmp_path / "a.parquet")
        assert summary(evaluate(bundle, tmp_path / "a.parquet")) == wanted
        (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines.read_bytes()))
        assert summary(evaluate(bundle, tmp_path / "a.jsonl.gz")) == wanted


# --- what is refused ------------------------------------------------------------------------

TEXTS_REFUSED: dict[str, tuple[str, bytes, str]] = {
    "unknown label": (".tsv", b"text\tlabel\nHi\ten\nHo\txx\n", "record 2 has the label 'xx'"),
    "label out of range": (".tsv", b"text\tlabel\nHi\t5\n", "labels are: en, de, fr, es, zh"),
    "negative label": (".tsv", b"text\tlabel\nHi\t-1\n", "has the label '-1'"),
    "no label": (".jsonl", b'{"text": "Hi"}', "record 1 has no label"),
    "null label": (".jsonl", b'{"text": "Hi", "label": null}', "record 1 has no label"),
    "list for a label": (".jsonl", b'{"text": "Hi", "label": ["en"]}', "has the label"),
    "short row": (".csv", b"text,label\nHi\n", "record 1 has 1 cell, and the header has 2"),
    "no text": (".jsonl", b'{"text": 1, "label": "en"}', "record 1 has no text"),
    "no header": (".tsv", b"Hello\ten\nHallo\tde\n", 'has no column "text"; it has: Hello, en'),
    "no JSON": (".jsonl", b'{"text": "Hi", "label": "en"}\n{', "record 2 cannot be read"),
    "no UTF-8": (".tsv", b"text\tlabel\nH\xffi\ten\n", "record 1 is not UTF-8"),
    "lone surrogate": (
        ".jsonl",
        b'{"text": "\\ud800", "label": "en"}',
        "record 1 is not valid Unicode",
    ),
    "nested": (".jsonl", b"[" * 100_000, "record 1 cannot be read"),
}


@pytest.mark.parametrize("case", TEXTS_REFUSED)
def test_texts_that_are_refused(case: str, shipped: Path, tmp_path: Path) -> None:
    suffix, content, message = TEXTS_REFUSED[case]
    with pytest.raises(RecordError) as caught:
        evaluate(shipped, write(tmp_path / f"data{suffix}", content))
    assert message in str(caught.value) and str(tmp_path) in str(caught.value)
    assert caught.value.tip


CONLL_REFUSED: dict[str, tuple[bytes, str]] = {
    "unknown tag": (b"Ada\tO\n\nBob\tB-dog\n", "the sentence at line 3: 'Bob' has the label"),
    "no tag": (b"Ada\tO\nBob\n", "line 2 is not a word with a label: 'Bob'"),
    "empty tag": (b"Ada\tO\nBob\t\n", "line 2 is not a word with a label"),
    "empty word": (b"Ada\tO\n\tO\n", "line 2 is not a word with a label"),
    "a column too many": (b"Ada NNP O\nBob Jones NNP O\n", "line 2 is not a word with a label"),
    "one column": (b"Ada\nBob\n", "line 1 is not a word with a label"),
    "no UTF-8": (b"Ada\tO\nB\xffb\tO\n", "not UTF-8"),
}


@pytest.mark.parametrize("case", CONLL_REFUSED)
def test_words_that_are_refused(case: str, tagger: Path, tmp_path: Path) -> None:
    content, message = CONLL_REFUSED[case]
    with pytest.raises(RecordError) as caught:
        evaluate(tagger, write(tmp_path / "data.conll", content))
    assert message in str(caught.value) and str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    "record",
    [
        {"tokens": ["Ada"]},
        {"tokens": ["Ada"], "labels": []},
        {"tokens": ["Ada"], "labels": "O"},
        {"tokens": ["Ada", 1], "labels": ["O", "O"]},
        {"tokens": "Ada", "labels": ["O"]},
        {"tokens": ["Ada"], "labels": [None]},
        {"tokens": ["\ud800"], "labels": ["O"]},
    ],
    ids=repr,
)
def test_word_records_that_are_refused(record: Any, tagger: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"(record|example) 1"):
        evaluate(tagger, jsonl(tmp_path / "data.jsonl", record))


GOOD = {"question": "Who won?", "answers": [{"text": "Denver"}]}
SQUAD_REFUSED: dict[str, tuple[str, str]] = {
    "not JSON": ("{", "is not readable JSON"),
    "nested": ("[" * 100_000, "is not readable JSON"),
    "a list": ("[]", "is not a JSON object"),
    "no paragraphs": ('{"data": [{}]}', "data[0].paragraphs is missing"),
    "no questions": (
        '{"data": [{"paragraphs": [1]}]}',
        "data[0].paragraphs should be",
    ),
    "no question": (squad(GOOD, {"answers": []}), "qas[1].question is missing"),
    "a number": (squad(GOOD, 5), "paragraphs[0].qas should be a list of objects"),
    "no context": (squad(GOOD, context=None), "paragraphs[0].context should be a text"),
    "blank context": (squad(GOOD, context=" "), "context should be a text that is not blank"),
    "no answers": (squad({"question": "Who?"}), "qas[0].answers is missing"),
    "answers without text": (
        squad({"question": "Who?", "answers": [{}]}),
        "answers should be",
    ),
    "lone surrogate": (
        squad({"question": "\ud800", "answers": []}),
        "qas[0].question should be",
    ),
}


@pytest.mark.parametrize("case", SQUAD_REFUSED)
def test_questions_that_are_refused(case: str, reader: Path, tmp_path: Path) -> None:
    content, message = SQUAD_REFUSED[case]
    with pytest.raises(RecordError) as caught:
        evaluate(reader, write(tmp_path / "data.json", content))
    assert message in str(caught.value) and str(tmp_path) in str(caught.value)


def test_a_question_longer_than_a_window_names_itself(reader: Path, tmp_path: Path) -> None:
    long = {**GOOD, "question": "Who won? " * 400}
    with pytest.raises(RecordError, match="example 2: Beside a text of"):
        evaluate(reader, write(tmp_path / "data.json", squad(GOOD, long)))


@pytest.mark.parametrize("number", ["", "x", "nan", "1e999", None, True, [1]])
def test_numbers_that_are_refused(number: Any, export: Export, tmp_path: Path) -> None:
    bundle = export("text-classification", num_labels=1)
    data = jsonl(tmp_path / "data.jsonl", {"text": "Hi", "label": number})
    with pytest.raises(RecordError, match=r"record 1 has the label .* not a number"):
        evaluate(bundle, data)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data.txt", "Hi", "unsupported file format"),
        ("data.json", "{}", "unsupported file format"),
        ("data.tsv", "", "nothing to evaluate"),
        ("data.tsv", "text\tlabel\n", "nothing to evaluate"),
        ("data.jsonl", "\n\n", "nothing to evaluate"),
        ("none.tsv", None, "cannot be opened"),
        (".", None, "is not a file"),
    ],
)
def test_files_that_are_refused(
    name: str, content: str | None, message: str, shipped: Path, tmp_path: Path
) -> None:
    if content is not None:
        write(tmp_path / name, content)
    with pytest.raises(UsageError, match=message):
        evaluate(shipped, tmp_path / name)


@pytest.mark.parametrize("content", ["", "\n\n", "# comment\n", "-DOCSTART-\tO\n"])
def test_no_words_at_all(content: str, tagger: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to evaluate"):
        evaluate(tagger, write(tmp_path / "data.conll", content))
