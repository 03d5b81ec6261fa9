"""What compressed answers are off by on average, and the biases that take it back."""

from __future__ import annotations

import numpy as np
import pytest
from support.checkpoints import MODEL_CLASSES
from support.quantizing import ANYTHING, TEXTS, make_bundle

from albert_edge import quantize
from albert_edge.architecture.config import read_config
from albert_edge.bundle.bundle import open_bundle
from albert_edge.check.sample import load_sample
from albert_edge.compress.offset import correct, offsets, without
from albert_edge.runtime.session import Session

pytestmark = pytest.mark.slow


def test_by_hand() -> None:
    weights = {"classifier.bias": np.array([1, 2], np.float32)}
    expected = [{"logits": np.zeros((1, 2))}, {"logits": np.array([[1.0, 1.0]])}]
    found = [{"logits": np.array([[3.0, 0.0]])}, {"logits": np.array([[2.0, 0.0]])}]
    off = offsets("text-classification", weights, expected, found)
    assert off["logits"].tolist() == [2, -0.5]
    assert without(found[0], off)["logits"].tolist() == [[1, 0.5]]
    assert correct("text-classification", weights, off)["classifier.bias"].tolist() == [-1, 2.5]


def test_spans_share_a_bias_of_two() -> None:
    weights = {"qa_outputs.bias": np.array([1, 2], np.float32)}
    expected = [{"start_logits": np.zeros((1, 3)), "end_logits": np.zeros((1, 3))}]
    found = [{"start_logits": np.array([[1.0, 2.0, 6.0]]), "end_logits": np.full((1, 3), -4.0)}]
    off = offsets("question-answering", weights, expected, found)
    assert (off["start_logits"].tolist(), off["end_logits"].tolist()) == ([3], [-4])
    assert without(found[0], off)["start_logits"].tolist() == [[-2, -1, 3]]
    assert correct("question-answering", weights, off)["qa_outputs.bias"].tolist() == [-2, 6]


def test_hidden_states_have_no_bias_of_their_own() -> None:
    found = {"last_hidden_state": np.ones((1, 2, 3)), "pooler_output": np.ones((1, 3))}
    off = offsets("feature-extraction", {}, [found], [found])
    assert (off, correct("feature-extraction", {}, off)) == ({}, {})
    assert without(found, off) == found


@pytest.mark.parametrize("precision", ["int8", "int4"])
@pytest.mark.parametrize("task", sorted(MODEL_CLASSES.keys() - {"feature-extraction"}))
def test_compressed_models_are_right_on_average(
    task: str, precision: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bundle = make_bundle(tmp_path_factory.mktemp("offset"), task)
    report = quantize(bundle, precision=precision, texts=TEXTS, **ANYTHING)  # type: ignore[arg-type]
    opened = open_bundle(bundle)
    config = read_config(bundle / "config.json")
    sample = load_sample(opened, config, TEXTS, None)
    errors: dict[str, list[np.ndarray]] = {}
    with Session(bundle, precision="fp32") as floats, Session(bundle, precision=precision) as ours:
        for arrays in sample.inputs:
            expected, found = (session.run(arrays) for session in (floats, ours))
            for name, values in expected.items():
                shared = task in ("multiple-choice", "question-answering")  # by all of an output
                features = 1 if shared else values.shape[-1]
                errors.setdefault(name, []).append((found[name] - values).reshape(-1, features))
    largest = 0.0
    for rows in map(np.concatenate, errors.values()):
        assert np.abs(rows.mean(axis=0)).max() < 2e-6
        largest = max(largest, float(np.abs(rows).max()))
    # What was judged is what was written.
    assert report.quality is not None and largest > 1e-4
    assert report.quality.largest_difference == pytest.approx(largest, abs=1e-5)
