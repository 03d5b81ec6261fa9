"""The scripts that train models for the benchmarks, with a few texts each."""

from __future__ import annotations

import shutil
import sys
import tarfile
from pathlib import Path

import pytest
from support.paths import DATA, ROOT

import albert_edge

sys.path.insert(0, str(ROOT / "benchmarks/training"))

import entities
import recipe
import sentiment

SNIPPETS = [("I love it", 3.2), ("Dull and far too long", -2.1), ("It is a film", 0.1)]


def run(script: str, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
    monkeypatch.setattr(recipe, "THREADS", 1)


def test_a_sentiment_classifier_is_trained_and_kept_apart_from_its_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "package" / sentiment.ARCHIVE
    archive.parent.mkdir(parents=True)
    with tarfile.open(archive, "w:gz") as snippets:
        for source in sentiment.SOURCES:
            lines = [f"{i}\t{rating}\t{source} {text}" for i, (text, rating) in enumerate(SNIPPETS)]
            file = tmp_path / f"{source}_GroundTruth.txt"
            file.write_text("\n".join(lines), encoding="utf-8")
            snippets.add(file, f"data/{file.name}")
    monkeypatch.setattr(sentiment, "HELD_OUT", 3)
    run("sentiment.py", monkeypatch, "--data", tmp_path / "package", "--out", tmp_path / "model")
    sentiment.main()
    held_out, trained_on = (
        (tmp_path / "model" / name).read_text(encoding="utf-8").splitlines()
        for name in ("held-out.txt", "train.txt")
    )
    assert len(held_out) == 3 and len(trained_on) == 5  # the neutral ones are left out
    assert not {*held_out} & {*trained_on}
    albert_edge.export(tmp_path / "model", tmp_path / "bundle")
    classify = albert_edge.pipeline("text-classification", tmp_path / "bundle")
    assert classify("I love it")[0]["label"] in sentiment.LABELS


def test_an_entity_recognizer_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*entities.TRAINING, *entities.TEST):
        shutil.copyfile(DATA / "wnut17" / "dev.conll", tmp_path / name)
    out = tmp_path / "model"
    run("entities.py", monkeypatch, "--data", tmp_path, "--out", out, "--limit", 4)
    entities.main()
    assert len((out / "held-out.txt").read_text(encoding="utf-8").splitlines()) == 4
    albert_edge.export(out, tmp_path / "bundle")
    label = albert_edge.pipeline("token-classification", tmp_path / "bundle")
    assert all(answer["entity"] in entities.LABELS for answer in label("Empire State Building"))


def test_every_token_has_the_label_of_its_word_and_one_starts_the_entity() -> None:
    words = ["Up", "the", "Empire", "State", "Building", "´", "in", "Sonmarg", "Kashmir"]
    labels = ["O", "O", "B-location", "I-location", "I-location", "O", "O", "B-group", "B-location"]
    tokenizer = recipe.read_english_tokenizer().tokenizer
    example = entities.encode(tokenizer, entities.Sentence(words, labels))
    seen: dict[str, list[str]] = {}
    word = ""
    for token, label in zip(tokenizer.encode(" ".join(words)).tokens, example.label, strict=True):
        if label == recipe.IGNORED:
            assert token in {"[CLS]", "[SEP]"}
            continue
        word = token if token.startswith("▁") else word
        seen.setdefault(word, []).append(entities.LABELS[label])
    assert seen["▁empire"] == ["B-location"] and seen["▁state"] == ["I-location"]
    assert seen["▁in"] == ["O"]
    [first, *rest] = seen["▁son"]
    assert first == "B-group" and rest and {*rest} == {"I-group"}
    assert seen["▁kashmir"] == ["B-location"]
