"""Exits of a trained model in int8: the one that ships, on the texts it was tested with."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.command_line import SHIPPED

import albert_edge
from albert_edge.bundle.bundle import Bundle, open_bundle
from albert_edge.check.portable import portable_path
from albert_edge.check.quality import Outputs
from albert_edge.check.sample import Sample, load_sample
from albert_edge.compress.compressor import Compressor, Run
from albert_edge.compress.options import Int8
from albert_edge.exits.agreement import Agreement
from albert_edge.exits.build import AnsweredTexts, build_exits
from albert_edge.exits.promise import Promise
from albert_edge.exits.scores import Scores
from albert_edge.runtime.engine import run_file

PLAN = Int8().plan()


def load(path: Path, *, signed_weights: bool) -> Run:
    return run_file(path)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("exits") / "bundle"
    albert_edge.export(SHIPPED, folder)
    return open_bundle(folder)


@pytest.fixture(scope="module")
def sample(bundle: Bundle) -> Sample:
    with (SHIPPED / "test.tsv").open(encoding="utf-8") as lines:
        texts = [row["text"] for row in csv.DictReader(lines, delimiter="\t", quoting=3)]
    mixed = np.random.default_rng(0).permutation(len(texts))
    return load_sample(bundle, bundle.read_config(), [texts[place] for place in mixed], None)


@pytest.fixture(scope="module")
def models(bundle: Bundle, sample: Sample) -> Compressor:
    few, portable, scratch = sample.every(20), portable_path(bundle), bundle.path.parent
    config, head = bundle.read_config(), bundle.manifest.head
    return Compressor(config, head, portable, few, scratch, load, lambda *step: None)


@pytest.fixture(scope="module")
def traces(models: Compressor, sample: Sample) -> list[Outputs]:
    return [*models.run(replace(PLAN, traced=True), sample.inputs)]


def test_the_graph_ends_where_numpy_predicts_with_the_answers_of_the_exits(
    models: Compressor, sample: Sample, traces: list[Outputs]
) -> None:
    answers = [outputs["logits"] for outputs in traces]
    parts = slice(0, 400), slice(400, 700)
    fit, selection = (AnsweredTexts(sample.inputs[part], answers[part]) for part in parts)
    exits = build_exits(models, PLAN, fit, selection, Promise(0.98))
    assert exits.evidence.mean_layers < 2.0
    assert exits.evidence.agreement_low >= 0.98

    found = [*models.run(exits.plan, sample.inputs, exits.weights)]
    logits = [exits.heads.logits(traced["exit_states"]) for traced in traces]
    scores = Scores.of(zip(logits, answers, answers, strict=True), Agreement("largest"))
    ends = scores.ends(exits.threshold)
    layers = np.where(ends < len(exits.heads), ends + 1, 4)
    assert [int(outputs["layers"][0]) for outputs in found] == layers.tolist()
    assert len(set(layers.tolist())) > 1
    for outputs, of_exits, answer, used in zip(found, logits, answers, layers, strict=True):
        if used < 4:
            np.testing.assert_allclose(outputs["logits"], of_exits[used - 1], rtol=0, atol=1e-4)
        else:
            np.testing.assert_array_equal(outputs["logits"], answer)
