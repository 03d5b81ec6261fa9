"""Exits of a trained model in int8: the one that ships, on the texts it was tested with."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from support.command_line import SHIPPED

import albert_edge
from albert_edge.architecture.config import AlbertConfig
from albert_edge.bundle.bundle import Bundle, open_bundle
from albert_edge.check.agreement import Agreement
from albert_edge.check.portable import portable_file
from albert_edge.check.quality import Outputs
from albert_edge.check.sample import Arrays, Sample, load_sample
from albert_edge.compress.compressor import Compressor, Run
from albert_edge.compress.options import Int8
from albert_edge.exits.build import AnsweredTexts, build_exits
from albert_edge.exits.promise import Promise
from albert_edge.exits.scores import Scores
from albert_edge.graph.build import author
from albert_edge.graph.plan import Plan
from albert_edge.graph.writer import write_model
from albert_edge.onnx_format.reader import read_onnx
from albert_edge.runtime.engine import run_file
from albert_edge.runtime.model_source import ModelFile

Array = npt.NDArray[Any]

PLAN = Int8().plan()


class Models:
    """Models whose weights are those of a file, but for the weights of exits."""

    def __init__(self, config: AlbertConfig, head: str, path: Path) -> None:
        self.config = config
        self.head = head
        self._path = path
        self._tensors = read_onnx(path).tensors

    def run(
        self, plan: Plan, inputs: Sequence[Arrays], added: Mapping[str, Array] | None = None
    ) -> Iterator[Outputs]:
        weights = {name: tensor.array() for name, tensor in self._tensors.items()}
        weights.update(added or {})
        path = self._path.with_name("run.onnx")
        write_model(author(self.config, self.head, plan), weights.__getitem__, path)
        return map(run_file(path), inputs)


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
def models(bundle: Bundle, sample: Sample) -> Models:
    def load(model: ModelFile, *, signed_weights: bool) -> Run:
        return run_file(model)

    config, head, scratch = bundle.read_config(), bundle.manifest.head, bundle.path.parent
    few, portable = sample.every(20), portable_file(bundle)
    compressor = Compressor(config, head, portable, few, scratch, load, lambda *step: None)
    compressor.write(scratch / "int8.onnx", PLAN)
    return Models(config, head, scratch / "int8.onnx")


@pytest.fixture(scope="module")
def traces(models: Models, sample: Sample) -> list[Outputs]:
    return [*models.run(replace(PLAN, traced=True), sample.inputs)]


def test_the_graph_ends_where_numpy_predicts_with_the_answers_of_the_exits(
    models: Models, sample: Sample, traces: list[Outputs]
) -> None:
    answers = [outputs["logits"] for outputs in traces]
    parts = slice(0, 400), slice(400, 700)
    fit, selection = (
        AnsweredTexts(sample.inputs[part], answers[part], np.ones(len(answers[part])))
        for part in parts
    )
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
