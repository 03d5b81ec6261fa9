"""`evaluate` and its command: data in every format, several precisions, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.command_line import Cli, cli
from support.pages import blocks, code, table
from support.paths import DATA, ROOT
from support.pipelines import checkpoint

import albert_edge
from albert_edge.bundle.bundle import Bundle, open_bundle
from albert_edge.bundle.manifest import Manifest
from albert_edge.checkpoint.recipes import models_folder
from albert_edge.errors import BundleError, InputError, MissingExtraError, RecordError, UsageError
from albert_edge.evaluation import EvaluateReport, evaluate
from albert_edge.evaluation.answers import Answers
from albert_edge.evaluation.choices import Choices
from albert_edge.evaluation.compare import find_disagreements, show_disagreements
from albert_edge.evaluation.conll import read_sentences
from albert_edge.evaluation.label_sets import LabelSets
from albert_edge.evaluation.labels import Labels
from albert_edge.evaluation.numbers import Numbers
from albert_edge.evaluation.squad import read_questions
from albert_edge.evaluation.subject import Example, Subject
from albert_edge.evaluation.subjects import TASKS_EVALUATED
from albert_edge.evaluation.words import Words

__all__ = ["cli"]  # a fixture of the tests of the command

pytestmark = pytest.mark.filterwarnings("error::UserWarning", "error::RuntimeWarning")

SHIPPED = models_folder() / "langid-tiny"
LINES = (SHIPPED / "everyday.tsv").read_text(encoding="utf-8").splitlines()[1:]
EVERYDAY = [tuple(line.split("\t")) for line in LINES]
# The last two letters are so hard to tell that precisions differ.
HARD = [{"text": text[-2:], "label": label} for text, label in EVERYDAY]
TAGS = ("O", "B-person", "I-person", "B-location", "I-location")


@pytest.fixture(scope="module")
def langid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model that ships, in fp32, int8 and int4."""
    folder = tmp_path_factory.mktemp("langid") / "bundle"
    albert_edge.export("langid-tiny", folder)
    albert_edge.quantize(folder)
    albert_edge.quantize(folder, precision="int4", min_agreement=0.5, min_cosine=0.5)
    return folder


Export = Callable[..., Path]


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Export:
    """Makes a random bundle for a task: `export("fill-mask", num_labels=3)`."""

    def make(task: str, **config: Any) -> Path:
        folder = tmp_path_factory.mktemp("bundle")
        source = checkpoint(folder / "checkpoint", task, "spiece.model", **config)
        albert_edge.export(source, folder / "bundle", task=task)
        return folder / "bundle"

    return make


@pytest.fixture(scope="module")
def tagger(export: Export) -> Path:
    names = {"id2label": dict(enumerate(TAGS)), "num_labels": len(TAGS)}
    return export("token-classification", **names)


@pytest.fixture(scope="module")
def reader(export: Export) -> Path:
    return export("question-answering")


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def jsonl(path: Path, *records: Any) -> Path:
    return write(path, "".join(json.dumps(record) + "\n" for record in records))


def summary(report: EvaluateReport) -> Any:
    return [(each.precision, each.metrics) for each in report.precisions]


# --- labelled texts -------------------------------------------------------------------------


def test_every_format_of_labelled_texts(langid: Path, tmp_path: Path) -> None:
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
    reports = [evaluate(langid, file, precisions=["fp32"]) for file in files]
    assert all(summary(report) == summary(reports[0]) for report in reports)
    assert reports[0].examples == 100
    assert reports[0].precisions[0].metrics["accuracy"] == 0.99


def test_all_precisions_beside_the_first(langid: Path, tmp_path: Path) -> None:
    data = jsonl(tmp_path / "hard.jsonl", *HARD)
    told: list[tuple[str, int, int]] = []
    report = evaluate(langid, data, progress=lambda *state: told.append(state))
    assert [each.precision for each in report.precisions] == ["fp32", "int8", "int4"]
    assert [each.variant for each in report.precisions] == ["model", "model_int8", "model_q4"]
    first, *others = report.precisions
    assert first.differences == []
    for other in others:
        assert [each.metric for each in other.differences] == list(first.metrics)
        for each in other.differences:
            assert each.value == (other.metrics[each.metric] or 0) - (
                first.metrics[each.metric] or 0
            )
            assert each.low is not None and each.high is not None
            assert each.low <= each.value <= each.high
            assert (each.p_value is None) == (each.metric != "accuracy")
    # The texts are those that pipelines answer differently.
    answers = {}
    for name in ("fp32", "int8", "int4"):
        classify = albert_edge.pipeline(model=langid, precision=name, device="cpu")
        answers[name] = [answer["label"] for answer in classify([each["text"] for each in HARD])]
    apart = [place for place in range(100) if len({each[place] for each in answers.values()}) > 1]
    assert report.disagreeing == len(apart) > 0
    for place, shown in zip(apart, report.disagreements, strict=True):
        assert {"text": shown.text, "label": shown.expected} == HARD[place]
        assert shown.number == place + 1
        assert shown.answers == {name: each[place] for name, each in answers.items()}
    assert [state[0] for state in told if state[1] == state[2]][-4:] == [
        *(f"answering in {name}" for name in answers),
        "resampling",
    ]


def test_the_first_precision_is_the_one_named_first(langid: Path, tmp_path: Path) -> None:
    data = jsonl(tmp_path / "hard.jsonl", *HARD)
    # "auto" is int8 here.
    assert evaluate(langid, data, precisions=["auto"]).precisions[0].precision == "int8"
    ours = evaluate(langid, data, precisions=["int4", "fp32", "int4"], disagreements=1)
    theirs = evaluate(langid, data, precisions=["fp32", "int4"], disagreements=0)
    assert summary(ours) == summary(theirs)[::-1]
    assert ours.disagreeing == theirs.disagreeing and ours.disagreeing
    assert (len(ours.disagreements), len(theirs.disagreements)) == (1, 0)
    for one, other in zip(
        ours.precisions[1].differences, theirs.precisions[1].differences, strict=True
    ):
        assert one.value == -(other.value or 0)


def test_long_texts_are_cut_and_counted(langid: Path, tmp_path: Path) -> None:
    long = " ".join(a for a, b in EVERYDAY if b == "de") * 5
    records = [{"text": text, "label": "de"} for text in (long, "Guten Tag", long)]
    report = evaluate(langid, jsonl(tmp_path / "long.jsonl", *records), precisions=["fp32"])
    assert (report.examples, report.truncated, report.windowed) == (3, 2, 0)
    assert report.precisions[0].metrics["accuracy"] == 1
    assert report.precisions[0].undefined == {"matthews": "every text is de"}
    assert report.precisions[0].metrics["matthews"] is None
    assert (report.disagreeing, report.resamples) == (0, 0)


# --- words ----------------------------------------------------------------------------------

CONLL = """-DOCSTART- -X- -X- O

# a comment, and what follows is a word
# NN O O
Ada NNP B-NP B-person
Lovelace NNP I-NP I-person

  \t

London NNP B-NP B-location
"""
SENTENCES = [
    (["#", "Ada", "Lovelace"], ["O", "B-person", "I-person"]),
    (["London"], ["B-location"]),
]
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
@settings(max_examples=50)
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

CONTEXT = "The Denver Broncos won in 2016."


def squad(*questions: Any, **paragraph: Any) -> str:
    paragraphs = [{"context": CONTEXT, "qas": list(questions), **paragraph}]
    return json.dumps({"version": "1.1", "data": [{"title": "x", "paragraphs": paragraphs}]})


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


# --- what is refused ------------------------------------------------------------------------

TEXTS_REFUSED: dict[str, tuple[str, bytes, str]] = {
    "unknown label": (".tsv", b"text\tlabel\nHi\ten\nHo\txx\n", "record 2 has the label 'xx'"),
    "label out of range": (".tsv", b"text\tlabel\nHi\t5\n", "labels are: en, de, fr, es, zh"),
    "negative label": (".tsv", b"text\tlabel\nHi\t-1\n", "has the label '-1'"),
    "no label": (".jsonl", b'{"text": "Hi"}', "record 1 has no label"),
    "null label": (".jsonl", b'{"text": "Hi", "label": null}', "record 1 has no label"),
    "list for a label": (".jsonl", b'{"text": "Hi", "label": ["en"]}', "has the label"),
    "short row": (".csv", b"text,label\nHi\n", "record 1 has no label"),
    "no text": (".jsonl", b'{"text": 1, "label": "en"}', "record 1 has no text"),
    "no header": (".tsv", b"Hello\ten\nHallo\tde\n", "record 1 has no text"),
    "no JSON": (".jsonl", b'{"text": "Hi", "label": "en"}\n{', "record 2 cannot be read"),
    "no UTF-8": (".tsv", b"text\tlabel\nH\xffi\ten\n", "record 1 is not UTF-8"),
    "lone surrogate": (".jsonl", b'{"text": "\\ud800", "label": "en"}', "example 1: "),
    "nested": (".jsonl", b"[" * 100_000, "record 1 cannot be read"),
}


@pytest.mark.parametrize("case", TEXTS_REFUSED)
def test_texts_that_are_refused(case: str, langid: Path, tmp_path: Path) -> None:
    suffix, content, message = TEXTS_REFUSED[case]
    with pytest.raises(RecordError) as caught:
        evaluate(langid, write(tmp_path / f"data{suffix}", content))
    assert message in str(caught.value) and str(tmp_path) in str(caught.value)
    assert caught.value.tip


CONLL_REFUSED: dict[str, tuple[bytes, str]] = {
    "unknown tag": (b"Ada\tO\n\nBob\tB-dog\n", "the sentence at line 3: 'Bob' has the label"),
    "no tag": (b"Ada\tO\nBob\n", "line 2 is no word with a label: 'Bob'"),
    "empty tag": (b"Ada\tO\nBob\t\n", "line 2 is no word with a label"),
    "empty word": (b"Ada\tO\n\tO\n", "line 2 is no word with a label"),
    "a column too many": (b"Ada NNP O\nBob Jones NNP O\n", "line 2 is no word with a label"),
    "one column": (b"Ada\nBob\n", "line 1 is no word with a label"),
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
    "no JSON": ("{", "is no JSON"),
    "nested": ("[" * 100_000, "is no JSON"),
    "a list": ("[]", 'has no list "data"'),
    "no paragraphs": ('{"data": [{}]}', 'has no list "paragraphs"'),
    "no questions": ('{"data": [{"paragraphs": [1]}]}', 'has no list "qas"'),
    "no question": (squad(GOOD, {"answers": []}), "question 2 has no question"),
    "a number": (squad(GOOD, 5), "question 2 has no question"),
    "no context": (squad(GOOD, context=None), "question 1 has no context"),
    "blank context": (squad(GOOD, context=" "), "question 1 has no context"),
    "no answers": (squad({"question": "Who?"}), "question 1 has no answers"),
    "answers without text": (squad({"question": "Who?", "answers": [{}]}), "has no answers"),
    "lone surrogate": (squad({"question": "\ud800", "answers": []}), "example 1: "),
}


@pytest.mark.parametrize("case", SQUAD_REFUSED)
def test_questions_that_are_refused(case: str, reader: Path, tmp_path: Path) -> None:
    content, message = SQUAD_REFUSED[case]
    with pytest.raises(RecordError) as caught:
        evaluate(reader, write(tmp_path / "data.json", content))
    assert message in str(caught.value)


def test_a_question_longer_than_a_window_names_itself(reader: Path, tmp_path: Path) -> None:
    long = {**GOOD, "question": "Who won? " * 400}
    with pytest.raises(RecordError, match="example 2: Beside a text of"):
        evaluate(reader, write(tmp_path / "data.json", squad(GOOD, long)))


@pytest.mark.parametrize("number", ["", "x", "nan", "1e999", None, True, [1]])
def test_numbers_that_are_refused(number: Any, export: Export, tmp_path: Path) -> None:
    bundle = export("text-classification", num_labels=1)
    data = jsonl(tmp_path / "data.jsonl", {"text": "Hi", "label": number})
    with pytest.raises(RecordError, match=r"record 1 has the label .* no number"):
        evaluate(bundle, data)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data.txt", "Hi", "none of the formats"),
        ("data.json", "{}", "none of the formats"),
        ("data.tsv", "", "nothing to evaluate"),
        ("data.tsv", "text\tlabel\n", "nothing to evaluate"),
        ("data.jsonl", "\n\n", "nothing to evaluate"),
        ("none.tsv", None, "cannot be opened"),
        (".", None, "is no file"),
    ],
)
def test_files_that_are_refused(
    name: str, content: str | None, message: str, langid: Path, tmp_path: Path
) -> None:
    if content is not None:
        write(tmp_path / name, content)
    with pytest.raises(UsageError, match=message):
        evaluate(langid, tmp_path / name)


@pytest.mark.parametrize("content", ["", "\n\n", "# comment\n", "-DOCSTART-\tO\n"])
def test_no_words_at_all(content: str, tagger: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to evaluate"):
        evaluate(tagger, write(tmp_path / "data.conll", content))


@pytest.mark.parametrize(
    ("task", "config", "asked"),
    [
        ("fill-mask", {}, None),
        ("pretraining", {}, None),
        ("feature-extraction", {}, "feature-extraction"),
        ("text-classification", {}, "zero-shot-classification"),
        ("text-classification", {}, "text-ranking"),
    ],
)
def test_tasks_that_cannot_be_evaluated(
    task: str, config: Any, asked: str | None, export: Export, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="no way here to say") as caught:
        evaluate(export(task, **config), tmp_path / "data.tsv", task=asked)
    assert all(name in caught.value.tip for name in TASKS_EVALUATED)


def test_other_arguments_that_are_refused(langid: Path, export: Export, tmp_path: Path) -> None:
    data = SHIPPED / "everyday.tsv"
    with pytest.raises(UsageError, match="was exported for text-classification"):
        evaluate(langid, data, task="ner")
    with pytest.raises(UsageError, match="no pipeline for 'nonsense'"):
        evaluate(langid, data, task="nonsense")
    with pytest.raises(BundleError, match="no int8-block variant"):
        evaluate(langid, data, precisions=["fp32", "int8-block"])
    with pytest.raises(UsageError, match="disagreements is -1"):
        evaluate(langid, data, disagreements=-1)
    several = export("text-classification", num_labels=3, problem_type="regression")
    with pytest.raises(UsageError, match="answers 3 numbers at once"):
        evaluate(several, data)


@pytest.mark.parametrize("module", ["sklearn", "scipy", "seqeval"])
def test_a_missing_library_is_found_before_anything_is_answered(
    module: str, langid: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("albert_edge.evaluation.run.Session", refuse)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError) as caught:
        evaluate(langid, SHIPPED / "everyday.tsv")
    assert caught.value.tip == "pip install 'albert-edge[evaluate]'"


def test_all_of_the_data_is_checked_before_anything_is_answered(
    langid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("albert_edge.evaluation.run.Session", refuse)
    data = write(tmp_path / "data.tsv", "text\tlabel\n" + "Hi\ten\n" * 500 + "Hi\txx\n")
    with pytest.raises(RecordError, match="record 501"):
        evaluate(langid, data)


@pytest.mark.parametrize("moment", ["answering in fp32", "answering in int8"])
def test_data_that_changes_meanwhile(moment: str, langid: Path, tmp_path: Path) -> None:
    records = HARD[:40]
    data = jsonl(tmp_path / "data.jsonl", *records)

    def shorten(what: str, done: int, total: int) -> None:
        if what == moment and done == total:
            jsonl(data, *records[:-1])

    with pytest.raises(InputError, match="had 40 records, and then 39"):
        evaluate(langid, data, precisions=["fp32", "int8", "int4"], progress=shorten)


# --- the command ----------------------------------------------------------------------------


def test_the_command_prints_a_table(cli: Cli, langid: Path, tmp_path: Path) -> None:
    data = jsonl(tmp_path / "hard.jsonl", *HARD)
    done = cli("evaluate", langid, data, "--disagreements", 1)
    assert done.code == 0 and done.err == ""
    lines = done.out.splitlines()
    assert lines[0] == f"text-classification, 100 examples of {data}"
    columns = ["metric", "precision", "value", "difference", "95%", "interval", "p"]
    assert lines[1].split() == columns
    assert lines[2].split()[:2] == ["accuracy", "fp32"] and lines[3].split()[0] == "int8"
    report = evaluate(langid, data)
    assert f"{report.precisions[2].metrics['accuracy']:.4f}" in lines[4]
    assert f"Not answered alike: {report.disagreeing} of 100; the first 1" in done.out
    assert len(lines[-1].split()) >= 5


def test_the_command_prints_json(cli: Cli, langid: Path) -> None:
    data = SHIPPED / "everyday.tsv"
    done = cli("evaluate", langid, data, "--json", "--precision", "int8", "--precision", "fp32")
    found = json.loads(done.out)
    assert (done.code, done.err, found["schema_version"]) == (0, "", 1)
    assert [each["precision"] for each in found["precisions"]] == ["int8", "fp32"]
    assert found["precisions"][0]["metrics"]["accuracy"] == 0.99
    assert set(found) == {"schema_version", *EvaluateReport.__slots__}


def test_the_command_says_what_is_undefined_and_cut(cli: Cli, langid: Path, tmp_path: Path) -> None:
    long = " ".join(a for a, b in EVERYDAY if b == "de") * 5
    data = jsonl(tmp_path / "one.jsonl", {"text": long, "label": "de"})
    done = cli("evaluate", langid, data, "--precision", "fp32")
    assert "1 of 1 are over the model's limit and were cut." in done.err
    assert "No matthews of fp32: every text is de." in done.err
    assert "none" in done.out and "Not answered alike" not in done.out
    both = json.loads(cli("evaluate", langid, data, "--json").out)
    assert both["precisions"][1]["differences"][2] == {
        "metric": "matthews",
        **dict.fromkeys(("value", "low", "high", "p_value")),
    }


def test_the_command_on_words(cli: Cli, tagger: Path, tmp_path: Path) -> None:
    done = cli("evaluate", tagger, write(tmp_path / "a.conll", CONLL))
    assert done.code == 0, done.err
    assert [line.split()[0] for line in done.out.splitlines()] == [
        *("token-classification,", "metric", "accuracy", "precision", "recall", "f1"),
    ]


def test_numbers_farthest_apart(
    cli: Cli, langid: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of precisions that answer with numbers, the texts they are farthest apart on are shown."""
    subject = Numbers(open_bundle(langid))
    answers = {"fp32": [0.5, 1.0, 2.0, 3.0], "int8": [0.5, 1.25, 2.0, 2.5]}
    count, places = find_disagreements(subject, list(answers.values()), 3)
    assert (count, places) == (None, [3, 1])
    assert find_disagreements(subject, [answers["fp32"]], 3) == (None, [])
    examples = [Example(f"text {place}", float(place), f"text {place}\nb") for place in range(4)]
    found = show_disagreements(subject, iter(examples), places, answers)
    assert [(each.number, each.expected, each.answers) for each in found] == [
        (4, "3", {"fp32": "3.0000", "int8": "2.5000"}),
        (2, "1", {"fp32": "1.0000", "int8": "1.2500"}),
    ]
    report = evaluate(langid, SHIPPED / "everyday.tsv", precisions=["fp32", "int8"])
    numbers = dataclasses.replace(report, disagreeing=None, disagreements=found)
    monkeypatch.setattr("albert_edge.evaluation.evaluate", lambda *_, **__: numbers)
    lines = cli("evaluate", langid, "data").out.splitlines()
    assert lines[-4:-2] == ["Farthest apart", lines[-3]]
    assert lines[-2].split() == ["text", "3", "b", "4", "3", "3.0000", "2.5000"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["data.tsv"], 2),
        (["data.tsv", "--precision", "int8-block"], 1),
        (["data.tsv", "--disagreements", "-1"], 2),
        (["bad.tsv"], 1),
    ],
)
def test_exit_codes(
    arguments: list[str], code: int, cli: Cli, langid: Path, tmp_path: Path
) -> None:
    write(tmp_path / "bad.tsv", "text\tlabel\nHi\txx\n")
    first, *rest = arguments
    done = cli("evaluate", langid, tmp_path / first, *rest)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("ERROR") and "TIP" in done.err


# --- the guide ------------------------------------------------------------------------------

PAGE = ROOT / "docs" / "evaluate.md"


def test_the_data_that_the_guide_shows_is_read(tmp_path: Path) -> None:
    shown = {kind: block for kind, block in blocks(PAGE) if kind not in ("console", "python")}
    files = {kind: write(tmp_path / f"shown.{kind}", block) for kind, block in shown.items()}
    labels = ("en", "de", "fr", *TAGS)
    bundle = Bundle(tmp_path, Manifest("", labels, None, "", None, (), ()))
    kinds: dict[str, type[Subject]] = {
        "tsv": Labels,
        "jsonl": LabelSets,
        "conll": Words,
        "json": Answers,
    }
    golds = {
        kind: [example.gold for example in subject(bundle).examples(files[kind])]
        for kind, subject in kinds.items()
    }
    assert set(golds) == set(files)
    assert golds == {
        "tsv": [0, 1],
        "jsonl": [(0, 2), ()],
        "conll": [(4, 5, 3), (6,)],
        "json": [("Denver Broncos",), ()],
    }


def test_the_metrics_that_the_guide_lists_are_those_computed() -> None:
    bundle = Bundle(PAGE, Manifest("", ("O", "B-x"), None, "", None, (), ()))
    parts = Bundle(PAGE, Manifest("", ("NOUN", "VERB"), None, "", None, (), ()))
    with_none = Answers(bundle)
    with_none._impossible = True
    examples: list[tuple[str, Any, Any]] = [
        ("text-classification", Labels(bundle), 0),
        ("with several labels a text", LabelSets(bundle), (0,)),
        ("with a number", Numbers(bundle), 0.0),
        ("token-classification", Words(bundle), (0,)),
        ("with labels that make no entities", Words(parts), (0,)),
        ("question-answering", Answers(bundle), ("x",)),
        ("with questions that have no answer", with_none, ("x",)),
        ("multiple-choice", Choices(bundle), 0),
        ("sentence-embeddings", Numbers(bundle), 0.0),
    ]
    assert [[name, code(metrics)] for name, metrics, _ in table(PAGE, "task | metrics")] == [
        [name, list(subject.score([gold], ["x" if gold == ("x",) else gold]))]
        for name, subject, gold in examples
    ]
    assert {name for name, _, _ in examples if not name.startswith("with")} == {*TASKS_EVALUATED}
