"""albert-edge predict: records in, answers out, and what it says of those it cannot answer."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.checkpoints import make_model
from support.command_line import (
    GOOD_RECORD,
    SENTENCES,
    SHIPPED,
    Cli,
    assert_error,
    classify,
    cli,
    langid,
    logits,
    predictions,
    read_table,
)

import albert_edge
from albert_edge.cli.print_answers import print_lines
from albert_edge.labelling.answer_log import Outcome
from albert_edge.records.fields import TEXT, TEXT_OR_PAIR, Fields
from albert_edge.records.inputs import read_records
from albert_edge.records.rows import Row
from albert_edge.runtime.load import load_pipeline

pytestmark = pytest.mark.slow

__all__ = ["classify", "cli", "langid"]  # fixtures


Make = Callable[..., Path]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Makes a bundle with the tokenizer of the shipped model: `make("fill-mask")`."""

    def bundle(task: str, **config: Any) -> Path:
        folder = tmp_path_factory.mktemp(task)
        make_model(task, vocab_size=4000, **config).save_pretrained(folder / "checkpoint")
        for path in SHIPPED.glob("*token*.json"):
            shutil.copyfile(path, folder / "checkpoint" / path.name)
        albert_edge.export(folder / "checkpoint", folder / "bundle")
        return folder / "bundle"

    return bundle


@pytest.fixture(scope="module")
def features(make: Make) -> Path:
    """A bundle whose answers are arrays."""
    return make("feature-extraction")


@pytest.fixture(scope="module")
def choices(make: Make) -> Path:
    return make("multiple-choice")


@pytest.fixture(scope="module")
def order(make: Make) -> Path:
    return make("pretraining")


# --- what goes in ---------------------------------------------------------------------------

CRLF = "text\r\nWhere is the station?\r\nWo ist der Bahnhof?\r\n"
QUOTES = 'She said "no", twice.'
# file name, content, texts in it
INPUTS: dict[str, tuple[str, str, list[str]]] = {
    "txt": ("a.txt", "Hello there\nGuten Tag\n", ["Hello there", "Guten Tag"]),
    "txt-no-last-newline": ("a.txt", "Hello there\nGuten Tag", ["Hello there", "Guten Tag"]),
    "txt-crlf": ("a.txt", "Hello there\r\nGuten Tag\r\n", ["Hello there", "Guten Tag"]),
    # A line is a text, so that answers stay beside their lines.
    "txt-blank": ("a.txt", "Hello there\n\nGuten Tag\n", ["Hello there", "", "Guten Tag"]),
    "txt-quotes": ("a.txt", QUOTES + "\n", [QUOTES]),
    # str.splitlines would end lines at these.
    "txt-separators": ("a.txt", "a\u2028b\x85c\x0cd\n", ["a\u2028b\x85c\x0cd"]),
    "txt-bom": ("a.txt", "\ufeffGuten Tag\n", ["Guten Tag"]),
    "txt-empty": ("a.txt", "", []),
    "txt-upper-case-suffix": ("A.TXT", "Guten Tag\n", ["Guten Tag"]),
    "jsonl": (
        "a.jsonl",
        '{"text": "Guten Tag"}\n{"text": "\\u00a1Hola!"}\n',
        ["Guten Tag", "¡Hola!"],
    ),
    "jsonl-blank": ("a.jsonl", '\n{"text": "Guten Tag"}\n  \n', ["Guten Tag"]),
    "jsonl-crlf": ("a.jsonl", '{"text": "Guten Tag"}\r\n', ["Guten Tag"]),
    "jsonl-newline-inside": ("a.jsonl", '{"text": "Guten\\nTag"}\n', ["Guten\nTag"]),
    "jsonl-bom": ("a.jsonl", '\ufeff{"text": "Guten Tag"}\n', ["Guten Tag"]),
    "jsonl-empty": ("a.jsonl", "", []),
    "csv": ("a.csv", 'id,text\n1,"Ja, gerne"\n2,Oui\n', ["Ja, gerne", "Oui"]),
    "csv-crlf": ("a.csv", CRLF, SENTENCES[:2]),
    "csv-blank": ("a.csv", "text\n\nOui\n\n", ["Oui"]),
    "csv-quotes": ("a.csv", 'text\n"She said ""no"", twice."\n', [QUOTES]),
    "csv-newline-inside": ("a.csv", 'text,id\n"Guten\nTag",1\n', ["Guten\nTag"]),
    # As spreadsheets save "CSV UTF-8".
    "csv-bom": ("a.csv", "\ufefftext\nOui\n", ["Oui"]),
    "csv-header-only": ("a.csv", "text,id\n", []),
    "csv-empty": ("a.csv", "", []),
    "tsv": ("a.tsv", "text\tid\nJa, gerne\t1\n", ["Ja, gerne"]),
    "tsv-crlf": ("a.tsv", CRLF, SENTENCES[:2]),
    "tsv-quotes": ("a.tsv", f'text\n{QUOTES}\n"Ja" sagt sie\n', [QUOTES, '"Ja" sagt sie']),
}


@pytest.mark.parametrize(("name", "text", "texts"), INPUTS.values(), ids=list(INPUTS))
def test_texts_of_a_file(
    name: str,
    text: str,
    texts: list[str],
    cli: Cli,
    langid: Path,
    tmp_path: Path,
    classify: Callable[..., Any],
) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8", newline="")
    found = predictions(cli("predict", langid, "--input", path, "--json"))
    assert [record["text"] for record in found] == texts
    assert [record["prediction"] for record in found] == classify(texts)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_texts_of_stdin(newline: str, cli: Cli, langid: Path, classify: Callable[..., Any]) -> None:
    stdin = newline.join([*SENTENCES, ""]).encode()
    found = predictions(cli("predict", langid, "--input", "-", "--json", stdin=stdin))
    assert [record["text"] for record in found] == SENTENCES
    assert [record["prediction"] for record in found] == classify(SENTENCES)


@pytest.mark.parametrize("texts", [SENTENCES, ["--", "-x"], [""]])
def test_texts_of_the_command_line(
    texts: list[str], cli: Cli, langid: Path, classify: Callable[..., Any]
) -> None:
    found = predictions(cli("predict", langid, "--json", "--", *texts))
    assert [record["text"] for record in found] == texts
    assert [record["prediction"] for record in found] == classify(texts)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv"])
def test_text_pairs(
    suffix: str, cli: Cli, langid: Path, tmp_path: Path, classify: Callable[..., Any]
) -> None:
    pairs = [("Guten Tag", "Where is it?"), ("Guten Tag", ""), ("Where is it?", "Guten Tag")]
    path = tmp_path / f"pairs{suffix}"
    fields = [{"text": text, "text_pair": pair} for text, pair in pairs]
    if suffix == ".jsonl":
        path.write_text("".join(json.dumps(record) + "\n" for record in fields))
    else:
        separator = "," if suffix == ".csv" else "\t"
        rows = [("text", "text_pair"), *pairs]
        path.write_text("".join(separator.join(row) + "\n" for row in rows))
    found = predictions(cli("predict", langid, "--input", path, "--json"))
    expected = [
        classify({"text": text, "text_pair": pair}) if pair else classify(text)[0]
        for text, pair in pairs
    ]
    assert [record["prediction"] for record in found] == expected
    assert expected[0]["score"] != pytest.approx(expected[1]["score"])


@pytest.mark.parametrize("suffix", [".txt", ".jsonl", ".csv", ".tsv"])
def test_a_text_longer_than_csv_allows_by_default(
    suffix: str, cli: Cli, langid: Path, tmp_path: Path, classify: Callable[..., Any]
) -> None:
    long = "Wo ist der Bahnhof? " * 8000
    assert len(long) > 131072
    csv.field_size_limit(131072)  # the default, which earlier tests may have raised
    path = tmp_path / f"long{suffix}"
    head = "" if suffix == ".txt" else "text\n"
    path.write_text(json.dumps({"text": long}) if suffix == ".jsonl" else f"{head}{long}\n")
    assert_error(cli("predict", langid, "--input", path), 1, "256", "--truncate")
    [record] = predictions(cli("predict", langid, "--input", path, "--truncate", "--json"))
    assert record["prediction"] == classify(long, truncation=True)[0]


def test_top_k(cli: Cli, langid: Path, classify: Callable[..., Any]) -> None:
    told = ["predict", langid, SENTENCES[0], "--top-k", 3]
    [record] = predictions(cli(*told, "--json"))
    assert record["prediction"] == classify(SENTENCES[0], top_k=3)
    assert len(record["prediction"]) == 3
    line = cli(*told).out
    assert re.fullmatch(
        r"(\w\w \d\.\d{4}  ?){3}\tWhere is the station\?\n", line.replace("\t", " \t")
    )
    assert [found["label"] for found in record["prediction"]] == re.findall(r"(\w\w) \d", line)


def test_a_line_per_text(cli: Cli, langid: Path) -> None:
    done = cli("predict", langid, *SENTENCES)
    lines = [line.split("\t") for line in done.out.splitlines()]
    assert (done.code, done.err) == (0, "")
    assert [text for _, text in lines] == SENTENCES
    assert [answer.split()[0] for answer, _ in lines] == ["en", "de", "es"]
    assert all(0.5 < float(answer.split()[1]) <= 1 for answer, _ in lines)


def test_arrays_are_answers_too(cli: Cli, features: Path, tmp_path: Path) -> None:
    expected = albert_edge.pipeline(model=features)(SENTENCES[0])
    [record] = predictions(cli("predict", features, SENTENCES[0], "--json"))
    assert record["prediction"] == expected
    assert json.loads(cli("predict", features, SENTENCES[0]).out.split("\t")[0]) == expected
    # but no rows of a table
    table = tmp_path / "out.csv"
    assert_error(cli("predict", features, SENTENCES[0], "--output", table), 2, ".csv", ".jsonl")


@pytest.mark.parametrize("task", ["token-classification", "fill-mask"])
def test_answers_of_many_parts(cli: Cli, task: str, make: Make, tmp_path: Path) -> None:
    bundle = make(task, num_labels=3)
    text = "Where is the [MASK]?"
    expected = albert_edge.pipeline(model=bundle)(text)
    assert len(expected) > 3
    [record] = predictions(cli("predict", bundle, text, "--json"))
    assert record["prediction"] == expected
    told, _, shown = cli("predict", bundle, text).out.partition("\t")
    assert (json.loads(told), shown) == (expected, f"{text}\n")
    lines = tmp_path / "out.jsonl"
    assert cli("predict", bundle, text, "--output", lines).code == 0
    assert json.loads(lines.read_text("utf-8"))["prediction"] == expected
    table = tmp_path / "out.tsv"
    assert_error(cli("predict", bundle, text, "--output", table), 2, ".tsv", ".jsonl")


def test_an_option_the_task_does_not_have(cli: Cli, features: Path) -> None:
    assert_error(cli("predict", features, "a", "--top-k", 3), 2, "top")


# --- what an item is made of ----------------------------------------------------------------

ITALY = {"prompt": "In Italy, pizza is", "choices": ["eaten with a fork.", "thrown.", "车站"]}
LUNCH = {"prompt": "At noon we", "choices": ["eat.", "sleep."]}
STORY = [
    {"text": "He sat down.", "text_pair": "Then he ate."},
    {"text": "Then he ate.", "text_pair": "He sat down."},
]


def json_lines(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def test_choices_of_a_file(cli: Cli, choices: Path, tmp_path: Path) -> None:
    source = json_lines(tmp_path / "in.jsonl", [ITALY, {"id": 7, **LUNCH}])
    answers = albert_edge.pipeline(model=choices)([ITALY, LUNCH])
    assert answers[0]["label"] in ITALY["choices"]
    wanted = [{**ITALY, "prediction": answers[0]}, {"id": 7, **LUNCH, "prediction": answers[1]}]
    assert predictions(cli("predict", choices, "--input", source, "--json")) == wanted
    out = tmp_path / "out.jsonl"
    assert cli("predict", choices, "--input", source, "--output", out).code == 0
    assert [json.loads(line) for line in out.read_text("utf-8").splitlines()] == wanted


@pytest.mark.parametrize("where", ["argument", "stdin"])
def test_choices_of_the_command_line(where: str, cli: Cli, choices: Path) -> None:
    lines = [json.dumps(item) for item in (ITALY, LUNCH)]
    told = lines if where == "argument" else ["--input", "-"]
    stdin = "\n".join([*lines, ""]).encode() if where == "stdin" else b""
    done = cli("predict", choices, *told, stdin=stdin)
    answers = albert_edge.pipeline(model=choices)([ITALY, LUNCH])
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        f"{answer['label']} {answer['score']:.4f}\t{item['prompt']}"
        for answer, item in zip(answers, (ITALY, LUNCH), strict=True)
    ]
    every = cli("predict", choices, lines[0], "--top-k", 9).out
    assert every.count("0.") == 3
    assert all(choice in every for choice in ITALY["choices"])


def test_choices_in_a_table_of_answers(cli: Cli, choices: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    assert cli("predict", choices, json.dumps(ITALY), "--output", out).code == 0
    [row] = read_table(out)
    best = albert_edge.pipeline(model=choices)(ITALY)
    assert json.loads(row.pop("choices")) == ITALY["choices"]
    assert row == {
        "prompt": ITALY["prompt"],
        **{key: str(value) for key, value in best.items()},
    }


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv"])
def test_segments_of_a_file(suffix: str, cli: Cli, order: Path, tmp_path: Path) -> None:
    source = tmp_path / f"in{suffix}"
    if suffix == ".jsonl":
        json_lines(source, STORY)
    else:
        separator = {".csv": ",", ".tsv": "\t"}[suffix]
        rows = [list(STORY[0]), *(list(item.values()) for item in STORY)]
        source.write_text("".join(separator.join(row) + "\n" for row in rows))
    answers = albert_edge.pipeline(model=order)(STORY)
    assert answers[0] != answers[1]
    found = predictions(cli("predict", order, "--input", source, "--json"))
    wanted = [{**item, "prediction": answer} for item, answer in zip(STORY, answers, strict=True)]
    assert found == wanted
    lines = cli("predict", order, "--input", source).out.splitlines()
    assert lines == [
        f"{answer['label']} {answer['score']:.4f}\t{item['text']}\t{item['text_pair']}"
        for item, answer in zip(STORY, answers, strict=True)
    ]


QUESTION = {"question": "Who?", "context": "Me."}


@pytest.mark.parametrize(
    ("fields", "record", "item"),
    [
        (Fields(("question", "context")), {"id": 5, **QUESTION}, QUESTION),
        (
            Fields(("query", "passage")),
            {"query": "a", "passage": ""},
            {"query": "a", "passage": ""},
        ),
        (Fields(("prompt",), lists=("choices",)), {**ITALY, "text": "more"}, ITALY),
        (TEXT, {"text": "a", "id": 5}, "a"),
        (TEXT, {"text": "a", "text_pair": ""}, "a"),
        (TEXT, {"text": "a", "text_pair": None}, "a"),
        (TEXT_OR_PAIR, {"text": "a", "text_pair": ""}, "a"),
        (TEXT_OR_PAIR, {"text": "a", "text_pair": "b", "id": 5}, {"text": "a", "text_pair": "b"}),
    ],
    ids=str,
)
def test_an_item_of_a_record(
    fields: Fields, record: dict[str, Any], item: Any, tmp_path: Path
) -> None:
    source = json_lines(tmp_path / "in.jsonl", [record])
    with read_records(source, fields) as records:
        assert list(records) == [record]
    assert fields.item(record) == item


def test_the_example_of_a_tip_is_a_record() -> None:
    fields = Fields(("prompt",), lists=("choices",))
    assert fields.fault(json.loads(fields.example)) is None
    assert fields.fault({"prompt": "..."}) is not None


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({"choices": ["a"]}, 'no prompt: every record needs a field or column "prompt"'),
        ({"prompt": 5, "choices": ["a"]}, "no prompt"),
        ({"prompt": "a"}, 'no choices: every record needs a field "choices", a list of texts'),
        ({"prompt": "a", "choices": "b"}, "no choices"),
        ({"prompt": "a", "choices": ["b", 5]}, "no choices"),
        ({"prompt": "a", "choices": []}, "no choices"),
        ({"prompt": "a", "choices": ["", "b " * 600]}, "Choice 1, with the prompt: The text has"),
        ({"prompt": "a", "choices": ["b"], "text_pair": "c"}, "text_pair"),
        ("Why?", "is not an object with the fields prompt and choices"),
    ],
    ids=str,
)
def test_a_record_without_what_the_task_needs(
    record: Any, told: str, cli: Cli, choices: Path, tmp_path: Path
) -> None:
    source = json_lines(tmp_path / "in.jsonl", [ITALY, record])
    done = cli("predict", choices, "--input", source)
    assert_error(done, 1, "in.jsonl: record 2", told)
    assert len(done.out.splitlines()) == 1
    assert_error(cli("predict", choices, json.dumps(record)), 1, told)


def test_an_argument_that_is_no_json(cli: Cli, choices: Path) -> None:
    for text in ("Why?", "", "{"):
        done = cli("predict", choices, text)
        assert_error(done, 1, "argument 1", '{"prompt": "...", "choices": ["...", "..."]}')


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".tsv"])
def test_a_format_that_cannot_hold_choices(
    suffix: str, cli: Cli, choices: Path, order: Path, tmp_path: Path
) -> None:
    source = tmp_path / f"in{suffix}"
    source.write_text("prompt,choices\n")
    told = cli("predict", choices, "--input", source)
    assert_error(told, 2, f"A {suffix} file cannot hold prompt and choices", ".jsonl")
    if suffix == ".txt":
        told = cli("predict", order, "--input", source)
        assert_error(told, 2, "cannot hold text and text_pair", ".jsonl or .csv or .tsv")


def test_a_pair_where_an_item_is_one_text(cli: Cli, features: Path, tmp_path: Path) -> None:
    source = json_lines(tmp_path / "in.jsonl", [{"text": "a", "text_pair": ""}, STORY[0]])
    done = cli("predict", features, "--input", source)
    assert_error(done, 1, "record 2", "text_pair")
    assert len(done.out.splitlines()) == 1


# --- tasks and their parameters -------------------------------------------------------------


def test_a_task_by_name(cli: Cli, langid: Path, classify: Callable[..., Any]) -> None:
    for name in ("text-classification", "sentiment-analysis"):
        [record] = predictions(cli("predict", langid, SENTENCES[0], "--json", "--task", name))
        assert record["prediction"] == classify(SENTENCES[0])[0]


@pytest.mark.parametrize(
    ("task", "told"),
    [("fill-mask", "was exported for text-classification"), ("no-such-task", "no-such-task")],
)
def test_a_task_the_bundle_cannot_answer(task: str, told: str, cli: Cli, langid: Path) -> None:
    assert_error(cli("predict", langid, "a", "--task", task), 2, told)


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("top_k=2", {"top_k": 2}),
        ("top_k=null", {"top_k": None}),
        ("return_all_scores=true", {"return_all_scores": True}),  # of transformers 4
        ("function_to_apply=sigmoid", {"function_to_apply": "sigmoid"}),
        ('function_to_apply="sigmoid"', {"function_to_apply": "sigmoid"}),
        ("truncation=only_first", {"truncation": "only_first"}),
        ("truncation=true", {"truncation": True}),
    ],
)
def test_a_parameter(
    value: str, meant: dict[str, Any], cli: Cli, langid: Path, classify: Callable[..., Any]
) -> None:
    text = LONG if "truncation" in meant else SENTENCES[0]
    [record] = predictions(cli("predict", langid, text, "--json", "--parameter", value))
    plain = classify(text, truncation=True)[0]
    wanted = classify([text], **meant)[0]
    assert record["prediction"] == wanted
    assert (wanted == plain) == ("truncation" in meant)


def test_many_parameters(cli: Cli, make: Make, tmp_path: Path) -> None:
    bundle = make("token-classification", num_labels=3)
    text = "a = b. " * 200
    told = ["aggregation_strategy=simple", "stride=8", "max_length=24", 'ignore_labels=["LABEL_1"]']
    options = [word for one in told for word in ("--parameter", one)]
    [record] = predictions(cli("predict", bundle, text, "--json", *options))
    parameters: dict[str, Any] = {
        "aggregation_strategy": "simple",
        "stride": 8,
        "max_length": 24,
    }
    ask = albert_edge.pipeline(model=bundle)
    assert record["prediction"] == ask(text, **parameters, ignore_labels=["LABEL_1"])
    assert record["prediction"] != ask(text, **parameters)


def test_a_value_with_an_equals_sign(cli: Cli, make: Make) -> None:
    bundle = make("token-classification", num_labels=2, id2label={0: "a", 1: "b=c"})
    told = ["predict", bundle, SENTENCES[0], "--json", "--parameter"]
    [every] = predictions(cli(*told, "ignore_labels=[]"))
    [some] = predictions(cli(*told, 'ignore_labels=["b=c"]'))
    assert "b=c" in {entry["entity"] for entry in every["prediction"]}
    assert "b=c" not in {entry["entity"] for entry in some["prediction"]}


def test_arrays_are_written_as_lists(cli: Cli, features: Path, tmp_path: Path) -> None:
    told = ["predict", features, SENTENCES[0], "--parameter", "return_tensors=true"]
    expected = albert_edge.pipeline(model=features)(SENTENCES[0])
    [record] = predictions(cli(*told, "--json"))
    assert record["prediction"] == expected
    assert json.loads(cli(*told).out.split("\t")[0]) == expected
    out = tmp_path / "out.jsonl"
    assert cli(*told, "--output", out).code == 0
    assert json.loads(out.read_text("utf-8"))["prediction"] == expected


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--parameter", "topk=3"], ("text-classification has no parameter topk", "top_k, ")),
        (["--parameter", "device=cpu"], ("no parameter device",)),
        (["--parameter", "self=1"], ("no parameter self",)),
        (["--parameter", "top_k"], ("'top_k' is not NAME=VALUE", "max_length=64")),
        (["--parameter", "=3"], ("'=3' is not NAME=VALUE",)),
        (["--parameter", ""], ("'' is not NAME=VALUE",)),
        (["--parameter", "top_k=1", "--parameter", "top_k=2"], ("top_k is given twice",)),
        (["--parameter", "top_k=1", "--top-k", "1"], ("top_k is given twice",)),
        (["--parameter", "truncation=false", "--truncate"], ("truncation is given twice",)),
        (["--parameter", "top_k=0"], ("top_k is 0",)),
        (["--parameter", "truncation=shortest"], ("truncation is 'shortest'", "only_first")),
        (["--parameter", "max_length=long"], ("max_length is 'long'", "1 or more")),
        (["--parameter", "function_to_apply=5"], ("function_to_apply is 5", "softmax")),
    ],
    ids=lambda value: " ".join(value),
)
def test_parameters_that_cannot_be_meant(
    options: list[str], told: tuple[str, ...], cli: Cli, langid: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("yesterday's answers\n")
    done = cli("predict", langid, "a", "--output", out, "--force", *options)
    assert_error(done, 2, *told)
    assert out.read_text() == "yesterday's answers\n"


def test_a_parameter_of_a_type_the_task_does_not_expect(cli: Cli, make: Make) -> None:
    bundle = make("token-classification", num_labels=3)
    done = cli("predict", bundle, "a", "--parameter", "offset_mapping=5")
    assert_error(done, 2, "offset_mapping is 5", "(start, end)")
    done = cli("predict", make("fill-mask"), "[MASK]", "--parameter", "tokenizer_kwargs=5")
    assert_error(done, 2, "tokenizer_kwargs is 5", "dict")


def test_a_parameter_that_wants_other_items(cli: Cli, make: Make) -> None:
    bundle = make("token-classification", num_labels=3)
    done = cli("predict", bundle, "a", "--parameter", "is_split_into_words=true")
    assert_error(done, 1, "argument 1: ", "must be a list")


# --- what comes out -------------------------------------------------------------------------


def test_output_jsonl_keeps_the_record(
    cli: Cli, langid: Path, tmp_path: Path, classify: Callable[..., Any]
) -> None:
    records: list[dict[str, Any]] = [
        {"id": 7, "text": "Guten Tag"},
        {"text": "¿Dónde?", "tags": ["a", None]},
    ]
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps(record) + "\n" for record in records))
    done = cli("predict", langid, "--input", source, "--output", out)
    assert (done.code, done.out) == (0, "")
    assert re.fullmatch(rf"2 texts answered; [\d.]+ s, [\d,]+ texts/s: {out}\n", done.err)
    text = out.read_text(encoding="utf-8")
    assert "¿Dónde?" in text
    assert [json.loads(line) for line in text.splitlines()] == [
        {**record, "prediction": classify(record["text"])[0]} for record in records
    ]


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
@pytest.mark.parametrize("text", ["Guten Tag", "Ja, gerne", QUOTES, '"Ja" sagt sie', "¿Qué?"])
def test_output_tables_hold_the_text_as_it_is(
    suffix: str, text: str, cli: Cli, langid: Path, tmp_path: Path, classify: Callable[..., Any]
) -> None:
    out = tmp_path / f"out{suffix}"
    assert cli("predict", langid, text, "--output", out).code == 0
    best = classify(text)[0]
    assert read_table(out) == [{"text": text, "label": best["label"], "score": str(best["score"])}]
    # What was written can be read again.
    [again] = predictions(cli("predict", langid, "--input", out, "--json"))
    assert again["text"] == text


def test_output_table_has_the_best_of_top_k(cli: Cli, langid: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    assert cli("predict", langid, *SENTENCES, "--top-k", 2, "--output", out).code == 0
    assert [row["label"] for row in read_table(out)] == ["en", "de", "es"]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_output_of_no_texts_is_empty(suffix: str, cli: Cli, langid: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").touch()
    out = tmp_path / f"out{suffix}"
    assert cli("predict", langid, "--input", tmp_path / "in.txt", "--output", out).code == 0
    assert out.read_text() == ""


def test_output_keeps_a_column_named_as_one_of_the_answer(
    cli: Cli, langid: Path, tmp_path: Path
) -> None:
    """Labelled data has a column "label"; whoever compares needs both."""
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("text,label\nWo ist der Bahnhof?,gold\n")
    assert cli("predict", langid, "--input", source, "--output", out).code == 0
    [row] = read_table(out)
    assert {"gold", "de"} <= set(row.values())


def test_output_table_of_records_with_other_fields(cli: Cli, langid: Path, tmp_path: Path) -> None:
    """The header is written with the first record; a later one that does not fit is an error."""
    source, out = tmp_path / "in.jsonl", tmp_path / "out.csv"
    source.write_text('{"text": "a"}\n{"text": "b", "id": 1}\n')
    assert_error(cli("predict", langid, "--input", source, "--output", out), 1, "record 2", "id")
    assert not out.exists()


def test_a_row_with_more_cells_than_the_header(cli: Cli, langid: Path, tmp_path: Path) -> None:
    """Most likely an unquoted comma in the text: half a text must not be answered."""
    source = tmp_path / "in.csv"
    source.write_text("id,text\n1,Ja\n2,Nein, danke\n")
    assert_error(cli("predict", langid, "--input", source), 1, "record 2")


def test_input_is_never_overwritten_by_output(cli: Cli, langid: Path, tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text('{"text": "Guten Tag"}\n')
    assert_error(cli("predict", langid, "--input", path, "--output", path), 2, str(path))
    assert path.read_text() == '{"text": "Guten Tag"}\n'


@pytest.fixture(scope="module")
def compressed(langid: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model in several precisions; not to be changed."""
    folder = Path(shutil.copytree(langid, tmp_path_factory.mktemp("compressed") / "langid"))
    albert_edge.quantize(folder, precision="int8")
    albert_edge.quantize(folder, precision="int4", min_cosine=0.99)
    return folder


@pytest.mark.parametrize(
    ("precision", "variant"),
    [("fp32", "model_optimized"), ("int8", "model_quantized"), ("int4", "model_q4")],
)
def test_precision(
    precision: str, variant: str, cli: Cli, compressed: Path, classify: Callable[..., Any]
) -> None:
    told = ["predict", compressed, *SENTENCES, "--json", "--precision", precision]
    answers = [record["prediction"] for record in predictions(cli(*told))]
    assert [answer["label"] for answer in answers] == ["en", "de", "es"]
    rows = logits(compressed, variant, SENTENCES)
    chances = np.exp(rows) / np.exp(rows).sum(axis=1, keepdims=True)
    assert [answer["score"] for answer in answers] == pytest.approx(chances.max(axis=1), abs=1e-3)
    exact = [answer["score"] for answer in classify(SENTENCES)]
    assert ([answer["score"] for answer in answers] == exact) == (precision == "fp32")


def test_the_precision_of_choice_is_int8(cli: Cli, compressed: Path) -> None:
    told = ["predict", compressed, *SENTENCES, "--json"]
    assert cli(*told).out == cli(*told, "--precision", "int8").out
    assert cli(*told).out != cli(*told, "--precision", "int4").out


@pytest.mark.parametrize("precision", ["int3", "int8-block", ""])
def test_a_precision_the_bundle_does_not_have(precision: str, cli: Cli, compressed: Path) -> None:
    done = cli("predict", compressed, "a", "--precision", precision)
    assert_error(done, 1, precision, "fp32, int4, int8")
    known = precision == "int8-block"
    assert (f"albert-edge quantize {compressed} --precision {precision}" in done.err) == known
    assert done.out == ""


FOUND = {"score": 0.75, "start": 2, "end": 9, "answer": "in\nItaly"}
ZERO_SHOT = {"sequence": "Ciao", "labels": ["it", "de"], "scores": [0.75, 0.25]}


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (FOUND, "in Italy 0.7500"),
        ([FOUND, {**FOUND, "score": 0.25, "answer": ""}], "in Italy 0.7500   0.2500"),
        (ZERO_SHOT, "it 0.7500  de 0.2500"),
        (np.array([[0.5, 0.25]], np.float32), "[[0.5, 0.25]]"),
        ([0.5, np.float32(0.25)], "[0.5, 0.25]"),
        ([{"word": "a\u2028b", "score": 1.0}], r'[{"word": "a\u2028b", "score": 1.0}]'),
    ],
    ids=["answer", "answers", "zero-shot", "array", "numbers", "entities"],
)
def test_forms_of_answers(answer: Any, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    row = Row(1, {"question": "Where\nis it?", "context": "It is."}, None, 0)
    print_lines(["question", "context"])(row, Outcome(answer))
    assert capsys.readouterr().out == f"{line}\tWhere is it?\tIt is.\n"


# --- errors ---------------------------------------------------------------------------------

LONG = "Wo ist der Bahnhof? " * 100
# name of the input, its last record, words of the message
BAD_RECORDS: dict[str, tuple[str, bytes, str]] = {
    "txt-too-long": (".txt", LONG.encode(), "256"),
    "txt-utf8": (".txt", b"caf\xe9", "UTF-8"),
    "jsonl-too-long": (".jsonl", json.dumps({"text": LONG}).encode(), "256"),
    "jsonl-syntax": (".jsonl", b'{"text": ', "cannot be read"),
    "jsonl-nested": (".jsonl", b'{"text": ' + b"[" * 50_000, "cannot be read"),
    "jsonl-null-record": (".jsonl", b"null", "object"),
    "jsonl-list": (".jsonl", b'["Guten Tag"]', "text"),
    "jsonl-no-text": (".jsonl", b'{"texts": "Guten Tag"}', "text"),
    "jsonl-null": (".jsonl", b'{"text": null}', "text"),
    "jsonl-number": (".jsonl", b'{"text": 5}', "text"),
    "jsonl-pair-number": (".jsonl", b'{"text": "a", "text_pair": 5}', "text_pair"),
    "jsonl-surrogate": (".jsonl", b'{"text": "\\ud800"}', "Unicode"),
    "jsonl-utf8": (".jsonl", b'{"text": "caf\xe9"}', "UTF-8"),
    "csv-too-long": (".csv", f'"{LONG}",1'.encode(), "256"),
    "csv-utf8": (".csv", b"caf\xe9,1", "UTF-8"),
}


@pytest.mark.parametrize(("suffix", "bad", "told"), BAD_RECORDS.values(), ids=list(BAD_RECORDS))
def test_a_bad_record_is_named_or_becomes_an_error_in_its_place(
    suffix: str, bad: bytes, told: str, cli: Cli, langid: Path, tmp_path: Path
) -> None:
    good = 30
    head = [b"text,id"] if suffix == ".csv" else []
    source, out = tmp_path / f"in{suffix}", tmp_path / "out.jsonl"
    source.write_bytes(b"\n".join([*head, *[GOOD_RECORD[suffix]] * good, bad, b""]))
    told_to = ["predict", langid, "--input", source, "--output", out]
    done = cli(*told_to)
    assert_error(done, 1, told, f"Answers kept for --resume: {good}.")
    assert re.search(rf"record {good + 1}\b", done.err)
    assert not out.exists()

    done = cli(*told_to, "--force", "--on-error", "record")
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith(f"{good} texts answered, 1 not; ")
    *answered, failed = map(json.loads, out.read_text(encoding="utf-8").splitlines())
    assert [record["prediction"]["label"] for record in answered] == ["de"] * good
    assert failed["error"]["record"] == good + 1
    assert re.search(rf"record {good + 1}\b.*{told}", failed["error"]["message"])


def test_a_bad_text_on_stdin_is_named(cli: Cli, langid: Path) -> None:
    done = cli("predict", langid, "--input", "-", stdin=b"Guten Tag\n" + LONG.encode())
    assert_error(done, 1, "record 2")
    assert done.out.endswith("\tGuten Tag\n")


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_a_table_without_a_text_column(name: str, cli: Cli, langid: Path, tmp_path: Path) -> None:
    (tmp_path / name).write_text("sentence\nGuten Tag\n")
    done = cli("predict", langid, "--input", tmp_path / name)
    assert_error(done, 1, name, '"text"')
    assert done.out == ""


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ([], 2, "--input"),
        (["a", "--input", "in.txt"], 2, "--input"),
        (["--input", "in.docx"], 2, "in.docx"),
        (["--input", "in"], 2, "in cannot be opened"),
        (["--input", "missing.txt"], 2, "missing.txt"),
        (["--input", "folder.txt"], 2, "folder.txt"),
        (["a", "--output", "out.txt"], 2, "out.txt"),
        (["a", "--output", "missing/out.csv"], 2, "missing/out.csv"),
        (["a", "--top-k", "0"], 2, "top_k"),
        (["a", "--threads", "0"], 2, "threads"),
        (["a", "--device", "cuda"], 4, "cuda"),
        (["a", "--device", "toaster"], 2, "toaster"),
        (["a", "--precision", "int8"], 1, "int8"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_predict_errors(
    arguments: list[str],
    code: int,
    told: str,
    cli: Cli,
    langid: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.txt").write_text("Guten Tag\n")
    (tmp_path / "folder.txt").mkdir()
    done = cli("predict", langid, *arguments)
    assert_error(done, code, told)
    assert done.out == ""


def test_a_wrong_option_does_not_empty_the_output(cli: Cli, langid: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("yesterday's answers\n")
    assert cli("predict", langid, "a", "--top-k", 0, "--output", out, "--force").code == 2
    assert out.read_text() == "yesterday's answers\n"


# --- devices --------------------------------------------------------------------------------


def test_verbose_says_what_answers(cli: Cli, langid: Path) -> None:
    done = cli("predict", langid, "Guten Tag", "--verbose")
    assert done.code == 0
    assert done.err == "cpu (this onnxruntime is for CPUs), model_optimized\n"
    done = cli("predict", langid, "Guten Tag", "--verbose", "--device", "cpu")
    assert done.err == "cpu (as asked), model_optimized\n"


def test_the_report_says_what_answered(cli: Cli, langid: Path, tmp_path: Path) -> None:
    done = cli("predict", langid, "Guten Tag", "--output", tmp_path / "out.jsonl", "--json")
    assert json.loads(done.out)["device"] == "cpu"
    assert json.loads(done.out)["variant"] == "model_optimized"


@pytest.mark.parametrize(
    "options, code, told",
    [
        (["--device", "cuda"], 4, "albert-edge[gpu]"),
        (["--device", "openvino"], 4, "onnxruntime-openvino"),
        (["--device", "tpu"], 2, "Devices are"),
        (["--device", "AzureExecutionProvider"], 4, "took no operator"),
        (["--provider-option", "device_id=1"], 2, "Name the device"),
        (["--device", "cuda", "--provider-option", "1"], 2, "device_type=GPU"),
        (["--workers", "0"], 2, "workers is 0"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_devices_that_are_not_there(
    cli: Cli, langid: Path, tmp_path: Path, options: list[str], code: int, told: str
) -> None:
    out = tmp_path / "out.jsonl"
    done = cli("predict", langid, "Guten Tag", "--output", out, *options)
    assert (done.code, done.out) == (code, "")
    assert told in done.err
    assert not out.exists()


@pytest.mark.parametrize("workers", ["1", "3"])
def test_workers_answer_a_file_in_order(
    cli: Cli, langid: Path, tmp_path: Path, workers: str
) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("".join(f"Guten Tag {i}\n" for i in range(100)), encoding="utf-8")
    out = tmp_path / "out.jsonl"
    done = cli("predict", langid, "--input", texts, "--output", out, "--workers", workers)
    assert done.code == 0
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [line["text"] for line in lines] == [f"Guten Tag {i}" for i in range(100)]
    alone = albert_edge.pipeline(model=langid)
    assert [line["prediction"] for line in lines] == [alone.answer(line["text"]) for line in lines]


# --- the other tasks ------------------------------------------------------------------------

QUESTION = {"question": "Who sat?", "context": "A cat sat on the mat. A dog stood."}
RANKED = {"query": "cats", "passage": "A cat sat on the mat."}
LABELS = {"candidate_labels": "animal, city", "hypothesis_template": "It is {}."}
# The task, the head its bundle has, a record, the parameters.
OTHERS: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("question-answering", "question-answering", QUESTION, {}),
    ("question-answering", "question-answering", QUESTION, {"top_k": 2, "max_seq_len": 24}),
    ("zero-shot-classification", "text-classification", {"text": "A cat."}, LABELS),
    ("text-ranking", "text-classification", RANKED, {}),
    ("sentence-embeddings", "feature-extraction", {"text": "A cat."}, {"normalize": True}),
]


@pytest.mark.parametrize(("task", "head", "record", "parameters"), OTHERS)
def test_every_task_is_answered_as_its_pipeline_answers(
    task: str,
    head: str,
    record: dict[str, Any],
    parameters: dict[str, Any],
    cli: Cli,
    make: Make,
    tmp_path: Path,
) -> None:
    labels = {0: "ENTAILMENT", 1: "NEUTRAL"} if task.startswith("zero") else {0: "RELEVANT"}
    bundle = make(head, id2label=labels) if head == "text-classification" else make(head)
    source = tmp_path / "records.jsonl"
    source.write_text(json.dumps(record) + "\n" + json.dumps({**record, "id": 7}) + "\n")
    given = [f"--parameter={name}={json.dumps(value)}" for name, value in parameters.items()]
    done = cli("predict", bundle, "--task", task, "--input", source, "--json", *given)
    item = record.get("text", record)
    wanted = load_pipeline(task, bundle, **parameters).answer(item)
    found = predictions(done)
    assert [each.pop("prediction") for each in found] == [
        wanted.tolist() if hasattr(wanted, "tolist") else wanted
    ] * 2
    assert found == [record, {**record, "id": 7}]


def test_a_task_of_another_head_says_how_to_export(cli: Cli, features: Path) -> None:
    done = cli("predict", features, "text", "--task", "text-ranking")
    assert done.code == 2
    assert "--task text-classification" in done.err
