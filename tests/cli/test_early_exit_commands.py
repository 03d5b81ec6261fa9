"""Every command that knows variants with early exits."""

from __future__ import annotations

import json
import math
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from support.command_line import SENTENCES, Cli, assert_error, predictions, read_table
from support.evaluating import EVERYDAY
from support.exits import NAMES, add_exits
from support.reports import Tables, bench_of
from support.stored_answers import change_stored_answers, read_stored_answers

import albert_edge
from albert_edge.report.write import write_report

LAYERS = 4
COUNTS = [1, 7, 5, 7]
MEASURED = {
    "agreement": 0.995,
    "agreement_low": 0.9912,
    "texts": sum(COUNTS),
    "mean_layers": 2.9,
    "layers": COUNTS,
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model that ships, with exits in fp32 that are promised and in int8 that are not."""
    folder = tmp_path_factory.mktemp("exits") / "langid"
    albert_edge.export("langid-tiny", folder)
    albert_edge.optimize(folder)
    add_exits(folder, "fp32", threshold=math.log(0.5), measured=MEASURED)
    add_exits(folder, "int8", threshold=math.log(0.5), promised_agreement=None)
    return folder


@pytest.fixture(scope="module")
def layers(bundle: Path) -> list[int]:
    """How many layers each of the sentences takes."""
    classify = albert_edge.pipeline(
        "text-classification", bundle, precision="fp32-exits", return_layers=True
    )
    return [classify.answer(text)["layers"] for text in SENTENCES]


def test_predict_shows_layers_everywhere(
    cli: Cli, bundle: Path, layers: list[int], tmp_path: Path
) -> None:
    done = cli("predict", bundle, "--return-layers", "--json", *SENTENCES)
    assert [each["prediction"]["layers"] for each in predictions(done)] == layers
    assert json.loads(done.out)["variant"] == NAMES["fp32"]  # "auto" takes the one promised
    lines = cli("predict", bundle, "--return-layers", *SENTENCES).out.splitlines()
    assert [line.split("\t")[0].rpartition(" (")[2] for line in lines] == [
        f"layers: {count})" for count in layers
    ]
    (tmp_path / "texts.txt").write_text("\n".join(SENTENCES))
    for suffix in (".csv", ".tsv"):
        out = tmp_path / f"answers{suffix}"
        arguments = ("--input", tmp_path / "texts.txt", "--output", out, "--return-layers")
        assert cli("predict", bundle, *arguments).code == 0
        rows = read_table(out)
        assert [*rows[0]] == ["text", "label", "score", "layers"]
        assert [int(row["layers"]) for row in rows] == layers
    done = cli("predict", bundle, "--precision", "fp32", "--return-layers", "--json", "a text")
    assert predictions(done)[0]["prediction"]["layers"] == LAYERS


def test_a_terminal_shows_the_layers_of_every_label(
    cli: Cli, bundle: Path, layers: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    out = cli("predict", bundle, "--return-layers", "--top-k", 2, SENTENCES[0]).out
    title, *entries = out.splitlines()
    assert (title, len(entries)) == (SENTENCES[0], 2)
    assert all(entry.endswith(f"(layers: {layers[0]})") for entry in entries)


def test_layers_of_zero_shot_are_those_of_the_best_label_in_a_table(
    cli: Cli, bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "texts.txt").write_text("\n".join(SENTENCES))
    task = ("--task", "zero-shot-classification", "--parameter", "candidate_labels=travel,food")
    texts = ("--input", tmp_path / "texts.txt", "--return-layers", "--output")
    with pytest.warns(UserWarning, match="entail"):
        assert cli("predict", bundle, *task, *texts, tmp_path / "out.csv").code == 0
        assert cli("predict", bundle, *task, *texts, tmp_path / "out.jsonl").code == 0
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    best = [json.loads(line)["prediction"]["layers"][0] for line in lines]
    assert [int(row["layers"]) for row in read_table(tmp_path / "out.csv")] == best


def test_an_unknown_precision_names_those_with_exits(cli: Cli, bundle: Path) -> None:
    done = cli("predict", bundle, "--precision", "int4", "a text")
    assert_error(done, 1, "int4", "It has: fp32, fp32-exits, int8-exits.")
    done = cli("predict", bundle, "--task", "sentence-embeddings", "--return-layers", "a text")
    assert done.code == 2


def test_evaluate_gives_the_mean_number_of_layers(cli: Cli, bundle: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.tsv"
    data.write_text("text\tlabel\n" + "".join(f"{t}\t{label}\n" for t, label in EVERYDAY[:40]))
    classify = albert_edge.pipeline("text-classification", bundle, return_layers=True)
    mean = sum(classify.answer(text)["layers"] for text, _ in EVERYDAY[:40]) / 40
    arguments = ("evaluate", bundle, data, "--precision", "fp32", "--precision", "fp32-exits")
    results = json.loads(cli(*arguments, "--json").out)["precisions"]
    assert [each["precision"] for each in results] == ["fp32", "fp32-exits"]
    assert [each["mean_layers"] for each in results] == [None, pytest.approx(mean)]
    assert 1 < mean < LAYERS
    rows = [line.split() for line in cli(*arguments).out.splitlines()]
    assert ["layers,", "mean", "fp32-exits", f"{mean:.2f}"] in rows
    every = json.loads(cli("evaluate", bundle, data, "--json").out)["precisions"]
    assert [each["precision"] for each in every] == ["fp32", "int8-exits", "fp32-exits"]


def test_inspect_shows_exits_and_what_was_promised(cli: Cli, bundle: Path) -> None:
    out = cli("inspect", bundle).out
    title = "model_optimized_exits: fp32-exits, cpu, loop"
    assert title in out
    assert (
        "Early exits after 1 to 3 layers; agreement 99.00% promised; 2.90 layers on average on "
        "20 texts.\n"
    ) in out
    assert "Early exits after 1 to 3 layers; no agreement is promised.\n" in out
    variants = json.loads(cli("inspect", bundle, "--json").out)["variants"]
    about = {each["mode"]: (each["precision"], each["exits"]) for each in variants}
    assert about["fp32-exits"] == ("fp32", 3)
    assert about["int8-exits"] == ("int8", 3)
    assert about["fp32"] == ("fp32", 0)


def test_diff_compares_answers_layers_and_exits(cli: Cli, bundle: Path, tmp_path: Path) -> None:
    pair = ("--variant", "model_optimized", "--diff-variant", NAMES["fp32"])
    (found,) = json.loads(cli("inspect", bundle, *pair, "--json").out)["variants"]
    fields = {each["field"]: (each["first"], each["second"]) for each in found["fields"]}
    assert fields["exits"] == (0, 3)
    assert fields["promised_agreement"] == (None, 0.99)
    first, second = found["answers"]["mean_layers"]
    assert first is None
    assert 1 < second < LAYERS
    assert sorted(found["weights"]["only_second"]) == [
        f"exits.{name}" for name in ("bias", "threshold", "weight")
    ]
    out = cli("inspect", bundle, *pair).out
    assert f"{NAMES['fp32']} applied {second:.2f} layers on average.\n" in out
    other = Path(shutil.copytree(bundle, tmp_path / "other"))
    add_exits(other, "fp32", threshold=1.0)
    (found,) = json.loads(
        cli("inspect", bundle, "--diff", other, "--variant", NAMES["fp32"], "--json").out
    )["variants"]
    assert not found["identical"]
    assert found["answers"]["mean_layers"][1] == LAYERS
    changed = [each["name"] for each in found["weights"]["shared"] if each["largest"]]
    assert changed == ["exits.threshold"]


def test_a_limited_loss_of_accuracy_is_no_agreement(cli: Cli, bundle: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(bundle, tmp_path / "own"))
    add_exits(own, "fp32", promised_agreement=None, promised_max_drop=2)
    words = "a loss of accuracy of at most 2.00 points"
    assert f"Early exits after 1 to 3 layers; {words} promised" in cli("inspect", own).out
    variants = json.loads(cli("inspect", own, "--json").out)["variants"]
    (found,) = [each for each in variants if each["mode"] == "fp32-exits"]
    assert (found["promised_agreement"], found["promised_max_drop"]) == (None, 2.0)
    out = cli("inspect", bundle, "--diff", own, "--variant", NAMES["fp32"]).out
    rows = [line.split() for line in out.splitlines()]
    assert ["promised_agreement", "agreement", "99.00%", "-"] in rows
    assert ["promised_max_drop", "-", *words.split()] in rows
    write_report(own, tmp_path / "page.html", bench_of(own))
    tables = Tables((tmp_path / "page.html").read_text(encoding="utf-8")).found
    rows = tables["Early exits, measured on texts held out"]
    assert words in [row[2] for row in rows]
    with albert_edge.pipeline("text-classification", own) as classify:  # "auto" takes it too
        assert classify.session.variant.name == NAMES["fp32"]


def test_verify_compares_layers_exactly(cli: Cli, bundle: Path, tmp_path: Path) -> None:
    for name in NAMES.values():
        stored = read_stored_answers(bundle)["outputs"][name]
        assert all(1 <= answer["layers"][0] <= LAYERS for answer in stored)
    checks = json.loads(cli("verify", bundle, "--json").out)["answers"]
    assert checks[NAMES["fp32"]] == {"difference": 0.0, "tolerance": 1e-4}
    assert checks[NAMES["int8"]]["difference"] == 0.0
    own = Path(shutil.copytree(bundle, tmp_path / "own"))

    def change(stored: Any) -> None:
        stored["outputs"][NAMES["fp32"]][2]["layers"][0] += 1

    change_stored_answers(own, change)
    assert_error(cli("verify", own), 3, f"{NAMES['fp32']} differs by inf")


def test_a_packed_bundle_answers_the_same(
    cli: Cli, bundle: Path, layers: list[int], tmp_path: Path
) -> None:
    assert cli("pack", bundle, "--output", tmp_path / "langid.aepack").code == 0
    packed = albert_edge.pipeline("text-classification", tmp_path / "langid.aepack")
    assert packed.session.variant.name == NAMES["fp32"]
    assert [packed.answer(text, return_layers=True)["layers"] for text in SENTENCES] == layers
    assert cli("unpack", tmp_path / "langid.aepack", tmp_path / "again").code == 0
    variant = json.loads((tmp_path / "again" / "albert_edge.json").read_text())["variants"][2]
    assert (variant["exits"], variant["promised_agreement"]) == (3, 0.99)


def test_report_has_the_histogram(bundle: Path, tmp_path: Path) -> None:
    written = write_report(bundle, tmp_path / "page.html", bench_of(bundle))
    assert "Early exits" in written.sections
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    found = Tables(text).found
    rows = found["Early exits, measured on texts held out"]
    assert rows[1] == [NAMES["fp32"], "3", "agreement 99.00%", "99.50%", "99.12%", "20", "2.90"]
    assert rows[2] == [NAMES["int8"], "3", "none", "", "", "", ""]
    histogram = found[f"Texts by layers applied, {NAMES['fp32']}"]
    assert histogram[1:] == [[str(at), str(count)] for at, count in enumerate(COUNTS, 1)]
    assert text.count('id="layers-0-title"') == 1
    assert "layers-1-title" not in text  # nothing was measured of the other


def test_bench_measures_them_under_their_own_name(cli: Cli, bundle: Path) -> None:
    arguments = ("--precision", "fp32-exits", "--shapes", "2x8", "--rounds", 1, "--threads", 1)
    report = json.loads(cli("bench", bundle, *arguments, "--json").out)
    (runtime,) = report["runtimes"]
    assert (runtime["name"], runtime["precision"]) == ("albert-edge fp32-exits", "fp32-exits")
    (latency,) = runtime["latencies"]
    assert 1 <= latency["mean_layers"] <= LAYERS
    assert "early exits" in report["method"]
