"""`specialize`: what is left out, what is promised, and what is refused."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.checkpoints import make_model
from support.command_line import SHIPPED, Cli, assert_error
from support.quantizing import make_bundle
from tokenizers import Tokenizer

import albert_edge
from albert_edge.bundle.bundle import open_bundle
from albert_edge.check.sample import Sample
from albert_edge.errors import BundleError, QualityError, UnknownArgumentError, UsageError
from albert_edge.steps.specialize import SpecializeReport, specialize
from albert_edge.steps.specializing.goal import Answered, exaggerated
from albert_edge.steps.specializing.job import Decision, Job, Result
from albert_edge.steps.specializing.parts import cut, texts_needed

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lines() -> list[dict[str, str]]:
    """The labelled test lines of the model that ships, cut to phrases, which are harder."""
    with (SHIPPED / "test.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    draw = np.random.default_rng(0)
    rows = rows[::2] + rows[1::8]  # of every language
    for row in rows:
        words = row["text"].split(" ")
        row["text"] = " ".join(words[: draw.integers(2, 9)])[:60]
    return rows


@pytest.fixture(scope="module")
def texts(lines: list[dict[str, str]]) -> list[str]:
    return [line["text"] for line in lines]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model that ships, in fp32 and int8; not to be changed."""
    bundle = tmp_path_factory.mktemp("full") / "bundle"
    albert_edge.export(SHIPPED, bundle)
    albert_edge.quantize(bundle)
    return bundle


@pytest.fixture(scope="module")
def special(
    full: Path, texts: list[str], tmp_path_factory: pytest.TempPathFactory
) -> SpecializeReport:
    """Specialized to the lines, with a smaller vocabulary; not to be changed."""
    out = tmp_path_factory.mktemp("special") / "bundle"
    return specialize(full, out, texts=texts, vocabulary=True, min_agreement=0.98)


def labels(bundle: Path, texts: list[str], **options: Any) -> list[str]:
    with albert_edge.pipeline(model=bundle, device="cpu", **options) as classify:
        return [answer["label"] for answer in classify(texts)]


# --- what is left out -----------------------------------------------------------------------


def test_every_part_is_left_out_of_a_trained_model(special: SpecializeReport) -> None:
    assert {each.part for each in special.decisions if each.accepted} == {
        *("vocabulary", "width", "exits")
    }
    narrow = open_bundle(special.out).read_config()
    assert narrow.intermediate_size < 512 / 2
    assert narrow.vocab_size < 4000
    first, *_, last = special.rows
    assert (first.name, last.name) == ("full", "vocabulary + width + exits")
    assert first.agreement == 1
    assert first.layers == 4
    assert first.multiply_accumulates > 2 * last.multiply_accumulates
    assert last.layers < 2
    assert last.agreement_low <= last.agreement <= last.agreement_high


def test_the_answers_are_those_of_the_full_model(
    full: Path, special: SpecializeReport, texts: list[str]
) -> None:
    for precision in ("int8-exits", "int8", "fp32-exits", "fp32"):
        expected = labels(full, texts, precision=precision.removesuffix("-exits"))
        answers = labels(special.out, texts, precision=precision)
        agreement = np.mean([a == b for a, b in zip(expected, answers, strict=True)])
        assert agreement >= 0.98, precision


def test_the_bundle_is_like_any_other(special: SpecializeReport, tmp_path: Path) -> None:
    assert albert_edge.verify(special.out).answers.keys() == set(special.variants)
    copy = shutil.copytree(special.out, tmp_path / "bundle")
    albert_edge.quantize(copy, "int4", min_agreement=0, min_cosine=0)
    albert_edge.pack(copy, tmp_path / "packed")
    assert labels(tmp_path / "packed", ["Guten Tag, wie geht es?"]) == ["de"]


def test_the_bundle_it_started_from_stays(full: Path, special: SpecializeReport) -> None:
    assert special.bundle == full
    assert open_bundle(full).read_config().intermediate_size == 512
    open_bundle(full).check_all()


def test_the_manifest_says_what_was_promised(special: SpecializeReport) -> None:
    variants = {variant.mode: variant for variant in open_bundle(special.out).manifest.variants}
    assert special.variants == [v.name for v in open_bundle(special.out).manifest.variants]
    for mode in ("fp32-exits", "int8-exits"):
        variant = variants[mode]
        assert (variant.promised_agreement, variant.promised_max_drop) == (0.98, None)
        measured = variant.measured
        assert measured["texts"] == special.texts["calibration"] == sum(measured["layers"])
        mean = np.average([1, 2, 3, 4], weights=measured["layers"])
        assert measured["mean_layers"] == pytest.approx(mean)
    assert variants["int8"].exits == 0
    assert variants["int8"].measured["sample"] == "the texts given"  # and not a file that is gone


def test_an_answer_says_how_many_layers_it_took(special: SpecializeReport) -> None:
    with albert_edge.pipeline(model=special.out, device="cpu", precision="int8-exits") as classify:
        (answer,) = classify("Guten Tag, wie geht es?", return_layers=True)
    assert 1 <= answer["layers"] <= 4


def test_accuracy_may_be_limited_instead(
    full: Path, lines: list[dict[str, str]], tmp_path: Path
) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    report = specialize(full, tmp_path / "out", data=data, max_drop=2, width=False)
    assert (report.min_agreement, report.max_drop) == (None, 2)
    assert [each.part for each in report.decisions] == ["exits", "exits"]
    assert report.rows[-1].agreement >= 0.96
    promised = {
        (variant.promised_agreement, variant.promised_max_drop)
        for variant in open_bundle(report.out).manifest.variants
        if variant.exits
    }
    assert promised == {(None, 2.0)}


def test_nothing_is_written_for_a_model_that_needs_all_it_has(tmp_path: Path) -> None:
    def fewer(model: Any) -> None:  # decisions that random weights leave to chance
        model.classifier.weight.data *= 5
        model.classifier.bias.data.zero_()

    bundle = make_bundle(tmp_path, "text-classification", fewer, num_labels=16)
    albert_edge.quantize(bundle, "int8", min_agreement=0, min_cosine=0)
    draw = np.random.default_rng(0)
    words = draw.integers(0, 290, (520, 6))
    texts = [" ".join(map(str, row)) for row in words]
    with pytest.raises(QualityError, match="Nothing can be left out") as refused:
        specialize(bundle, tmp_path / "out", texts=texts, min_agreement=0.98, exits=False)
    report = refused.value.report
    assert not report.variants
    assert all(each.summary and not each.accepted for each in report.decisions)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("likely", [True, False])
def test_a_mask_may_be_filled_with_kept_pieces(
    tmp_path: Path, texts: list[str], likely: bool
) -> None:
    tokenizer = Tokenizer.from_file(str(SHIPPED / "tokenizer.json"))
    used = sorted({piece for text in texts for piece in tokenizer.encode(text).ids})
    model = make_model("fill-mask", vocab_size=4000)
    unused = next(
        i for i in range(999, 4000) if i not in used and len(tokenizer.id_to_token(i)) > 5
    )
    model.predictions.bias.data[used if likely else unused] += 100
    model.save_pretrained(tmp_path / "model")
    for file in SHIPPED.glob("*token*.json"):
        shutil.copyfile(file, tmp_path / "model" / file.name)
    bundle = tmp_path / "bundle"
    albert_edge.export(tmp_path / "model", bundle)
    albert_edge.quantize(bundle, "int8", texts=texts[:32], min_agreement=0, min_cosine=0)
    options: Any = {"min_agreement": 0.9, "vocabulary": True, "width": False, "exits": False}
    if likely:
        report = specialize(bundle, tmp_path / "out", texts=texts, **options)
        assert open_bundle(report.out).read_config().vocab_size < 4000
        assert report.rows[-1].agreement >= 0.9
    else:  # what the full model answers is what would be dropped
        with pytest.raises(QualityError, match="vocabulary: fp32 would change"):
            specialize(bundle, tmp_path / "out", texts=texts, **options)


# --- the command line -----------------------------------------------------------------------


def test_the_command_prints_a_table(full: Path, texts: list[str], tmp_path: Path, cli: Cli) -> None:
    file, out = tmp_path / "texts.txt", tmp_path / "out"
    file.write_text("\n".join(texts), encoding="utf-8")
    done = cli("specialize", full, out, "--texts", file, "--no-width", "--min-agreement", "0.98")
    assert done.code == 0
    assert done.out.splitlines()[-1] == str(out)
    assert "agreement with full" in done.out
    assert "Exits: int8: " in done.err
    assert_error(cli("specialize", full, out, "--texts", file), 2, "--force")
    refused = cli("specialize", full, tmp_path / "new", "--texts", file, "--min-agreement", "1")
    assert_error(refused, 2, "--min-agreement")
    few = tmp_path / "few.txt"
    few.write_text("Guten Tag\n", encoding="utf-8")
    assert_error(cli("specialize", full, tmp_path / "new", "--texts", few), 2, "1 texts of")


def test_without_another_width_the_variants_are_those_of_the_full_model(
    full: Path, texts: list[str], tmp_path: Path
) -> None:
    report = specialize(full, tmp_path / "out", texts=texts, width=False, min_agreement=0.98)
    before, after = open_bundle(full).manifest, open_bundle(tmp_path / "out").manifest
    kept = {variant.name: variant.files for variant in before.variants}
    assert kept.items() <= {variant.name: variant.files for variant in after.variants}.items()
    assert [row.name for row in report.rows] == ["full", "exits"]
    exits = open_bundle(tmp_path / "out").variant("model_quantized_exits")
    assert (exits.precision, exits.target, exits.layout) == ("int8", "cpu", "loop")


# --- the parts of the texts -----------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 7, 100, 1999])
def test_every_text_is_in_one_part(count: int) -> None:
    parts = cut([{"text": str(index)} for index in range(count)])
    together = [*parts.fit, *parts.calibration, *parts.test]
    assert sorted(int(record["text"]) for record in together) == list(range(count))
    assert parts.counts["calibration"] == pytest.approx(0.4 * count, abs=1)


@pytest.mark.parametrize("needed", [1, 10, 399])
def test_as_many_texts_are_asked_for_as_calibration_needs(needed: int) -> None:
    count = texts_needed(needed)
    records = [{"text": "a"}] * count
    assert cut(records).counts["calibration"] >= needed
    assert cut(records[1:]).counts["calibration"] < needed


def test_width_leaves_room_for_three_times_the_difference() -> None:
    full = [{"logits": np.array([[1.0, 2.0]])}, {"logits": np.array([[0.0, -4.0]])}]
    answers = [{"logits": np.array([[1.0, 2.0]])}, {"logits": np.array([[1.0, -2.0]])}]
    found = exaggerated(answers, Answered(Sample([], None, "two texts"), full))
    assert [each["logits"].tolist() for each in found] == [[[1.0, 2.0]], [[3.0, 2.0]]]


# --- refusals -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"texts": None}, UsageError, "needs texts"),
        ({"min_agreement": 1.0}, UsageError, "min_agreement is 1.0"),
        ({"min_agreement": float("nan")}, UsageError, "min_agreement is nan"),
        ({"max_drop": 1.0}, UsageError, "needs labels"),
        ({"max_drop": 0.0, "texts": None, "data": "x.tsv"}, UsageError, "max_drop is 0"),
        ({"max_drop": 1.0, "min_agreement": 0.9}, UsageError, "exclude each other"),
        ({"width": False, "exits": False}, UsageError, "nothing to leave out"),
        ({"keep_texts": ["a"]}, UsageError, "which pieces of the vocabulary"),
        ({"texts": ["a"] * 50}, UsageError, "50 texts of the texts given are too few"),
        ({"texts": []}, UsageError, "There are no texts"),
        ({"depth": True}, UnknownArgumentError, "depth"),
    ],
)
def test_bad_arguments_are_refused(
    full: Path,
    texts: list[str],
    tmp_path: Path,
    options: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        specialize(full, tmp_path / "out", **{"texts": texts, **options})
    assert not (tmp_path / "out").exists()


def test_a_bundle_without_int8_is_refused(tmp_path: Path, texts: list[str]) -> None:
    bundle = tmp_path / "bundle"
    albert_edge.export(SHIPPED, bundle)
    with pytest.raises(BundleError, match="no int8 variant"):
        specialize(bundle, tmp_path / "out", texts=texts)


@pytest.mark.parametrize(("head", "needed"), [("text-classification", 11), ("multiple-choice", 25)])
def test_as_many_texts_are_needed_as_items_have(head: str, needed: int, tmp_path: Path) -> None:
    """At 50 %, 5 decisions that agree prove it; 40 % of the texts decide, two in each choice."""
    bundle = make_bundle(tmp_path, head)
    albert_edge.quantize(bundle, "int8", min_agreement=0, min_cosine=0)
    texts = [f"{number} {number + 1}" for number in range(10)]
    with pytest.raises(UsageError, match=f"takes at least {needed}, "):
        specialize(bundle, tmp_path / "out", texts=texts, min_agreement=0.5)


def test_a_bundle_is_not_replaced_by_itself(full: Path, texts: list[str]) -> None:
    with pytest.raises(UsageError, match="the bundle to start from"):
        specialize(full, full, texts=texts, force=True)


def test_the_reasons_of_a_refusal_are_one_sentence(
    full: Path, texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decisions = [Decision("width", False, "no"), Decision("exits", False, "fp32: It is slow.")]
    monkeypatch.setattr(Job, "run", lambda *_, **__: Result(None, decisions, []))
    with pytest.raises(QualityError) as refused:
        specialize(full, tmp_path / "out", texts=texts, min_agreement=0.98)
    assert str(refused.value).endswith("(width: no; exits: fp32: It is slow).")


def test_an_interrupt_leaves_nothing(full: Path, texts: list[str], tmp_path: Path) -> None:
    def interrupt(what: str, done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        specialize(full, tmp_path / "out", texts=texts, min_agreement=0.98, progress=interrupt)
    assert not (tmp_path / "out").exists()
