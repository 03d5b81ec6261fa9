"""The scripts that train models for the benchmarks, with a few texts each."""

from __future__ import annotations

import sys
import tarfile
from pathlib import Path

import pytest
from support.paths import ROOT

import albert_edge

sys.path.insert(0, str(ROOT / "benchmarks/training"))

import languages
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


def test_a_tagger_of_languages_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for language, name in languages.FILES.items():
        lines = [f"{language} {number} one two three four" for number in range(1997)]
        (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
    out = tmp_path / "model"
    run("languages.py", monkeypatch, "--data", tmp_path, "--out", out, "--limit", 4)
    languages.main()
    assert len((out / "held-out.txt").read_text(encoding="utf-8").splitlines()) == 4
    albert_edge.export(out, tmp_path / "bundle")
    label = albert_edge.pipeline("token-classification", tmp_path / "bundle")
    assert all(answer["entity"] in languages.LABELS for answer in label("Empire State Building"))


def test_phrases_keep_their_language_and_their_part_of_the_lines() -> None:
    lines = {language: [f"{language}{n} " * 12 for n in range(20)] for language in languages.LABELS}
    texts = list(languages.mix(lines, range(5, 9), 50, seed=0))
    assert len(texts) == 50
    words = [pair for text in texts for pair in zip(text.words, text.labels, strict=True)]
    assert {label for _, label in words} == {*languages.LABELS}
    assert all(word.startswith(label) and 5 <= int(word[2:]) < 9 for word, label in words)


def test_every_token_has_the_label_of_its_word() -> None:
    words = ["Where", "ist", "Schmetterling", "´", "aquí"]
    labels = ["en", "de", "de", "es", "es"]
    tokenizer = recipe.read_english_tokenizer().tokenizer
    example = languages.encode(tokenizer, languages.Sentence(words, labels))
    seen: dict[str, list[str]] = {}
    word = ""
    for token, label in zip(tokenizer.encode(" ".join(words)).tokens, example.label, strict=True):
        if label == recipe.IGNORED:
            assert token in {"[CLS]", "[SEP]"}
            continue
        word = token if token.startswith("▁") else word
        seen.setdefault(word, []).append(languages.LABELS[label])
    assert seen["▁where"] == ["en"]
    [butterfly] = [found for piece, found in seen.items() if piece.startswith("▁sch")]
    assert len(butterfly) > 1 and {*butterfly} == {"de"}
    assert {*seen["▁a"]} == {"es"}
