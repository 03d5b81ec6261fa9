"""Evaluations against transformers: its model on the same data, scored by formulas written here.

The models are random and made to vary, so that the scores hang on every prediction; the one that
ships is trained.
"""

from __future__ import annotations

import csv
import itertools
import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from support.metrics import (
    entities_of,
    f1_of,
    macro_f1_of,
    matthews_of,
    mean,
    ranks_of,
)
from support.paths import DATA
from support.pipelines import POSITIONS, REFERENCE, SENTENCES, checkpoint, one_thread
from support.question_answering import sure_checkpoint

import albert_edge
from albert_edge.checkpoint.recipes import models_folder
from albert_edge.evaluation import EvaluateReport, evaluate
from albert_edge.records.table import TSV

__all__ = ["one_thread"]  # a fixture of every test here

pytestmark = [
    pytest.mark.reference,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Passing a list of SQuAD examples"),
]

SHIPPED = models_folder() / "langid-tiny"
WNUT = DATA / "wnut17" / "dev.conll"
KINDS = ("person", "location", "group", "creative-work", "corporation", "product")
TAGS = ("O", *(f"{prefix}-{kind}" for kind in KINDS for prefix in "BI"))
ONE_LAYER = {"num_hidden_layers": 1, "num_hidden_groups": 1, "inner_group_num": 1}
EXACT: dict[str, Any] = {"rel": 0, "abs": 1e-9}
CLOSE: dict[str, Any] = {"rel": 0, "abs": 1e-5}  # where float32 numbers are correlated


@dataclass(frozen=True)
class Reference:
    """A bundle, and the model of transformers it was exported from."""

    bundle: Path
    model: Any
    tokenizer: Any


def load(auto: str, source: Path, bundle: Path, **options: Any) -> Reference:
    albert_edge.export(source, bundle, **options)
    model = getattr(REFERENCE, auto).from_pretrained(source).eval()
    return Reference(bundle, model, REFERENCE.AutoTokenizer.from_pretrained(bundle))


def spread(model: Any, texts: list[Any], tokenizer: Any) -> None:
    """Have each output of a random classifier vary around 0 from text to text."""
    with torch.no_grad():
        logits = torch.cat([logits_of(model, tokenizer, text).flatten(0, -2) for text in texts])
        model.classifier.bias -= logits.mean(0)
        model.classifier.bias /= logits.std(0)
        model.classifier.weight /= logits.std(0)[:, None]


def logits_of(model: Any, tokenizer: Any, text: Any) -> Any:
    """(1, labels) for a text or pair, (1, words' tokens, labels) for a list of words."""
    texts = text if isinstance(text, tuple) else (text,)
    words = isinstance(texts[0], list)
    limit = model.config.max_position_embeddings
    encoded = tokenizer(
        *texts, return_tensors="pt", truncation=True, max_length=limit, is_split_into_words=words
    )
    with torch.inference_mode():
        return model(**encoded).logits


def varied(folder: Path, task: str, auto: str, texts: list[Any], **config: Any) -> Reference:
    source = checkpoint(folder / "checkpoint", task, "spiece.model", **ONE_LAYER, **config)
    found = load(auto, source, folder / "first")
    spread(found.model, texts, found.tokenizer)
    found.model.save_pretrained(source)
    return load(auto, source, folder / "bundle")


def metrics(report: EvaluateReport) -> dict[str, float | None]:
    return report.precisions[0].metrics


# --- the model that ships -------------------------------------------------------------------


def test_the_model_that_ships(tmp_path: Path) -> None:
    found = load("AutoModelForSequenceClassification", SHIPPED, tmp_path / "langid")
    report = evaluate(found.bundle, SHIPPED / "test.tsv")
    with (SHIPPED / "test.tsv").open(encoding="utf-8", newline="") as file:
        # In batches of nearly one length, or most of what torch computes is padding.
        rows = sorted(csv.DictReader(file, **TSV), key=lambda row: len(row["text"].encode()))
    labels = {label: place for place, label in found.model.config.id2label.items()}
    gold = [labels[row["label"]] for row in rows]
    theirs = []
    for start in range(0, len(rows), 25):
        texts = [row["text"] for row in rows[start : start + 25]]
        encoded = found.tokenizer(
            texts, return_tensors="pt", padding=True, truncation=True, max_length=256
        )
        with torch.inference_mode():
            theirs += found.model(**encoded).logits.argmax(-1).tolist()
    right = sum(one == other for one, other in zip(gold, theirs, strict=True))
    assert (report.examples, right) == (1000, 995)
    assert metrics(report) == {
        "accuracy": pytest.approx(right / 1000, **EXACT),
        "macro_f1": pytest.approx(macro_f1_of(gold, theirs), **EXACT),
        "matthews": pytest.approx(matthews_of(gold, theirs), **EXACT),
    }


# --- WNUT-17 --------------------------------------------------------------------------------


def read_wnut() -> list[tuple[list[str], list[str]]]:
    blocks = WNUT.read_text(encoding="utf-8").strip("\n").split("\n\n")
    lines = [[line.split("\t") for line in block.split("\n")] for block in blocks]
    return [([word for word, _ in each], [tag for _, tag in each]) for each in lines]


SENTENCES_IN_WORDS = read_wnut()
WORDS = [words for words, _ in SENTENCES_IN_WORDS]


def tagger(folder: Path, **config: Any) -> Reference:
    names = {"id2label": dict(enumerate(TAGS)), "num_labels": len(TAGS), **config}
    auto = "AutoModelForTokenClassification"
    return varied(folder, "token-classification", auto, WORDS, **names)


def first_tokens(words: list[Any]) -> dict[int, int]:
    """Where the first token of each word is."""
    places: dict[int, int] = {}
    for place, word in enumerate(words):
        if word is not None:
            places.setdefault(word, place)
    return places


def tags_of(found: Reference, words: list[str]) -> list[str]:
    """The tag of each word's first token, O of a word without one, windows where it must be."""
    ids = found.tokenizer(words, is_split_into_words=True, add_special_tokens=False)
    content, limit = ids["input_ids"], found.model.config.max_position_embeddings
    room = limit - 2
    step = room - room // 2
    starts = [0, *range(step, max(1, len(content) - room + step), step)]
    cls, sep = found.tokenizer.cls_token_id, found.tokenizer.sep_token_id
    tags = []
    places = first_tokens(ids.word_ids())
    for word in range(len(words)):
        if word not in places:
            tags.append("O")
            continue
        place = places[word]
        seen = [start for start in starts if start <= place < start + room]
        # Farthest from both edges; the earlier of two.
        start = max(
            seen, key=lambda s: (min(place - s, min(s + room, len(content)) - 1 - place), -s)
        )
        window = torch.tensor([[cls, *content[start : start + room], sep]])
        with torch.inference_mode():
            logits = found.model(window).logits[0, 1 + place - start]
        tags.append(found.model.config.id2label[int(logits.argmax())])
    return tags


def entity_scores(tagged: list[tuple[list[str], list[str]]]) -> dict[str, Any]:
    """The metrics of (right tags, found tags) of each sentence."""
    right = [(one, other) for gold, found in tagged for one, other in zip(gold, found, strict=True)]
    sets = [tuple(map(entities_of, each)) for each in tagged]
    hits = sum(len(gold & found) for gold, found in sets)
    gold, found = (sum(len(each[side]) for each in sets) for side in (0, 1))
    return {
        "accuracy": pytest.approx(sum(a == b for a, b in right) / len(right), **EXACT),
        "precision": pytest.approx(hits / found, **EXACT),
        "recall": pytest.approx(hits / gold, **EXACT),
        "f1": pytest.approx(mean([f1_of(hits, gold, found)]), **EXACT),
    }


@pytest.mark.parametrize("positions", [512, POSITIONS])
def test_wnut17(positions: int, tmp_path: Path) -> None:
    found = tagger(tmp_path, max_position_embeddings=positions, seed=3)
    theirs = [tags_of(found, words) for words in WORDS]
    seen = [first_tokens(found.tokenizer(w, is_split_into_words=True).word_ids()) for w in WORDS]
    assert sum(map(len, WORDS)) > sum(map(len, seen))  # some words have no token
    assert {tag for tags in theirs for tag in tags} == set(TAGS)  # else little is compared
    # A random tagger finds next to nothing: half the sentences get what it says for right.
    gold = [
        tags if place % 2 else own
        for place, ((_, tags), own) in enumerate(zip(SENTENCES_IN_WORDS, theirs, strict=True))
    ]
    data = tmp_path / "half.conll"
    lines = [
        "".join(f"{word}\t{tag}\n" for word, tag in zip(words, tags, strict=True))
        for words, tags in zip(WORDS, gold, strict=True)
    ]
    data.write_text("\n".join(lines), encoding="utf-8")
    report = evaluate(found.bundle, data)
    assert report.examples == len(WORDS) == 62
    assert metrics(report) == entity_scores(list(zip(gold, theirs, strict=True)))
    assert 0.3 < (metrics(report)["f1"] or 0) < 0.9
    over = [
        words
        for words in WORDS
        if len(found.tokenizer(words, is_split_into_words=True)[0]) > positions
    ]
    assert (report.truncated, report.windowed) == (0, len(over))
    assert bool(over) == (positions == POSITIONS)
    # And against the tags of the data set.
    report = evaluate(found.bundle, WNUT)
    tags = [tags for _, tags in SENTENCES_IN_WORDS]
    assert metrics(report) == entity_scores(list(zip(tags, theirs, strict=True)))


# --- XQuAD ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A bundle that answers questions, and the pipeline of transformers."""
    if REFERENCE.__version__.startswith("5."):
        pytest.skip("transformers 5 has no question answering")
    folder = tmp_path_factory.mktemp("reader")
    source = sure_checkpoint(folder, "spiece.model")
    found = load("AutoModelForQuestionAnswering", source, folder / "bundle")
    theirs = REFERENCE.pipeline(
        "question-answering", model=found.model, tokenizer=found.tokenizer, device="cpu"
    )
    return found.bundle, theirs


def squad_scores(pairs: list[tuple[str, list[str]]]) -> dict[str, Any]:
    """Exact match and F1 by the functions of transformers, which are the official script's."""
    from transformers.data.metrics.squad_metrics import (
        compute_exact,
        compute_f1,
        normalize_answer,
    )

    exact, f1 = [], []
    for answer, right in pairs:
        known = [text for text in right if normalize_answer(text)] or [""]
        exact.append(max(compute_exact(text, answer) for text in known))
        f1.append(max(compute_f1(text, answer) for text in known))
    return {
        "exact_match": pytest.approx(sum(exact) / len(exact), **EXACT),
        "f1": pytest.approx(sum(f1) / len(f1), **EXACT),
    }


def questions_of(squad: Any) -> list[tuple[Any, str]]:
    """Every question of a SQuAD file with its context."""
    return [
        (question, paragraph["context"])
        for article in squad["data"]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]


@pytest.mark.parametrize("language", ["en", "de"])
def test_xquad(language: str, reader: tuple[Path, Any], tmp_path: Path) -> None:
    bundle, answer = reader
    squad = json.loads((DATA / "xquad" / f"{language}.json").read_text(encoding="utf-8"))
    entries = questions_of(squad)
    theirs = [
        answer(question=entry["question"], context=context, max_answer_len=30)["answer"]
        for entry, context in entries
    ]
    assert len(set(theirs)) > len(theirs) / 2
    report = evaluate(bundle, DATA / "xquad" / f"{language}.json")
    right = [[each["text"] for each in entry["answers"]] for entry, _ in entries]
    assert metrics(report) == squad_scores(list(zip(theirs, right, strict=True)))
    assert report.windowed > 0
    # A random model hits next to nothing: some questions get what it says, or half of it, as one
    # of two right answers.
    for place, ((entry, _), own) in enumerate(zip(entries, theirs, strict=True)):
        half = " ".join(own.split()[: -(-len(own.split()) // 2)])
        entry["answers"] += [{"text": (own, half, "nothing")[place % 3], "answer_start": 0}]
    data = tmp_path / "some.json"
    data.write_text(json.dumps(squad), encoding="utf-8")
    right = [[each["text"] for each in entry["answers"]] for entry, _ in entries]
    report = evaluate(bundle, data)
    assert metrics(report) == squad_scores(list(zip(theirs, right, strict=True)))
    assert 0.3 < (metrics(report)["exact_match"] or 0) < (metrics(report)["f1"] or 0) < 0.9


def test_questions_without_answers(reader: tuple[Path, Any], tmp_path: Path) -> None:
    bundle, answer = reader
    squad = json.loads((DATA / "xquad" / "en.json").read_text(encoding="utf-8"))
    entries = questions_of(squad)
    theirs = [
        answer(
            question=entry["question"],
            context=context,
            max_answer_len=30,
            handle_impossible_answer=True,
        )["answer"]
        for entry, context in entries
    ]
    for place, ((entry, _), own) in enumerate(zip(entries, theirs, strict=True)):
        entry["is_impossible"] = place % 3 == 0
        if place % 3 == 0:
            entry["answers"] = []
        elif place % 3 == 1:
            entry["answers"] = [{"text": own or "words", "answer_start": 0}]
    data = tmp_path / "v2.json"
    data.write_text(json.dumps({"version": "v2.0", **squad}), encoding="utf-8")
    report = evaluate(bundle, data)
    pairs = [
        (own, [each["text"] for each in entry["answers"]])
        for (entry, _), own in zip(entries, theirs, strict=True)
    ]
    answered = squad_scores([pair for pair in pairs if pair[1]])
    impossible = squad_scores([pair for pair in pairs if not pair[1]])
    assert metrics(report) == {
        **squad_scores(pairs),
        "has_answer_exact": answered["exact_match"],
        "has_answer_f1": answered["f1"],
        "no_answer_exact": impossible["exact_match"],
    }


# --- texts and pairs ------------------------------------------------------------------------

TEXTS = [*SENTENCES, *(text[: len(text) // 2] for text in SENTENCES)]
PAIRS = list(itertools.pairwise(TEXTS))


def write_jsonl(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def test_a_number_for_a_pair(tmp_path: Path) -> None:
    auto = "AutoModelForSequenceClassification"
    config = {"num_labels": 1, "max_position_embeddings": 64}
    found = varied(tmp_path, "text-classification", auto, PAIRS, **config)
    theirs = [float(logits_of(found.model, found.tokenizer, pair)) for pair in PAIRS]
    assert len({round(each, 3) for each in theirs}) > 60
    gold = [round(each) + place % 3 for place, each in enumerate(theirs)]
    records = [
        {"text": one, "text_pair": other, "label": number if number % 2 else str(number)}
        for (one, other), number in zip(PAIRS, gold, strict=True)
    ]
    report = evaluate(found.bundle, write_jsonl(tmp_path / "pairs.jsonl", records))
    assert (report.kind, report.examples) == ("number", len(PAIRS))
    assert metrics(report) == {
        "pearson": pytest.approx(statistics.correlation(gold, theirs), **CLOSE),
        "spearman": pytest.approx(
            statistics.correlation(ranks_of(gold), ranks_of(theirs)), **EXACT
        ),
    }
    long = sum(len(found.tokenizer(*pair)["input_ids"]) > 64 for pair in PAIRS)
    assert 0 < long < len(PAIRS)
    assert (report.truncated, report.windowed) == (long, 0)


def test_several_labels_for_a_text(tmp_path: Path) -> None:
    names = ["toxic", "rude", "threat"]
    found = varied(
        tmp_path,
        "text-classification",
        "AutoModelForSequenceClassification",
        TEXTS,
        id2label=dict(enumerate(names)),
        num_labels=3,
        problem_type="multi_label_classification",
    )
    theirs = [
        (torch.sigmoid(logits_of(found.model, found.tokenizer, text))[0] > 0.5).tolist()
        for text in TEXTS
    ]
    assert len({tuple(row) for row in theirs}) > 4
    # Right is what it says, but for one label of every other text.
    gold = [
        [value != (place % 2 == 0 and column == place % 3) for column, value in enumerate(row)]
        for place, row in enumerate(theirs)
    ]
    records = []
    for place, (text, row) in enumerate(zip(TEXTS, gold, strict=True)):
        given = [name for name, value in zip(names, row, strict=True) if value]
        records.append({"text": text, "labels": ", ".join(given) if place % 3 else given})
    report = evaluate(found.bundle, write_jsonl(tmp_path / "sets.jsonl", records))
    counts = [
        [sum(map(all, zip(a, b, strict=True))), sum(a), sum(b)]
        for a, b in zip(zip(*gold, strict=True), zip(*theirs, strict=True), strict=True)
    ]
    assert report.kind == "labels"
    assert metrics(report) == {
        "micro_f1": pytest.approx(mean([f1_of(*map(sum, zip(*counts, strict=True)))]), **EXACT),
        "macro_f1": pytest.approx(mean([f1_of(*each) for each in counts]), **EXACT),
        "subset_accuracy": pytest.approx(
            sum(a == b for a, b in zip(gold, theirs, strict=True)) / len(TEXTS), **EXACT
        ),
    }


def test_choices(tmp_path: Path) -> None:
    source = checkpoint(tmp_path / "checkpoint", "multiple-choice", "spiece.model", **ONE_LAYER)
    found = load("AutoModelForMultipleChoice", source, tmp_path / "bundle")
    theirs, records = [], []
    for place in range(0, len(TEXTS) - 4):
        prompt, *choices = TEXTS[place : place + 4]
        encoded = found.tokenizer([prompt] * 3, choices, return_tensors="pt", padding=True)
        with torch.inference_mode():
            logits = found.model(**{name: each[None] for name, each in encoded.items()}).logits
        theirs.append(int(logits.argmax()))
        label: Any = choices[theirs[-1]] if place % 2 else place % 3
        records.append({"prompt": prompt, "choices": choices, "label": label})
    assert set(theirs) == {0, 1, 2}
    right = sum(place % 2 or own == place % 3 for place, own in enumerate(theirs))
    report = evaluate(found.bundle, write_jsonl(tmp_path / "choices.jsonl", records))
    assert metrics(report) == {"accuracy": pytest.approx(right / len(theirs), **EXACT)}


def test_similarities(tmp_path: Path) -> None:
    source = checkpoint(tmp_path / "checkpoint", "feature-extraction", "spiece.model", **ONE_LAYER)
    found = load("AutoModel", source, tmp_path / "bundle")

    def embed(text: str) -> Any:
        with torch.inference_mode():
            output = found.model(**found.tokenizer(text, return_tensors="pt"))
        return output.last_hidden_state[0].mean(0)

    theirs = [
        float(torch.nn.functional.cosine_similarity(embed(one), embed(other), dim=0))
        for one, other in PAIRS
    ]
    gold = [float(place % 6) for place in range(len(PAIRS))]
    data = tmp_path / "pairs.tsv"
    rows = [f"{a}\t{b}\t{score}" for (a, b), score in zip(PAIRS, gold, strict=True)]
    data.write_text("\n".join(["text\ttext_pair\tscore", *rows]), encoding="utf-8")
    report = evaluate(found.bundle, data)
    assert (report.task, report.kind) == ("sentence-embeddings", "similarity")
    assert metrics(report) == {
        "pearson": pytest.approx(statistics.correlation(gold, theirs), **CLOSE),
        "spearman": pytest.approx(
            statistics.correlation(ranks_of(gold), ranks_of(theirs)), **EXACT
        ),
    }
