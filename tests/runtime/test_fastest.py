"""What "auto" takes for a small model, by times that the tests make up."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from support.exits import add_exits
from support.quantizing import ANYTHING, TEXTS

import albert_edge
from albert_edge.bundle.bundle import open_bundle
from albert_edge.runtime import fastest
from albert_edge.runtime.device import CPU
from albert_edge.runtime.session import Session

IDS = {"input_ids": np.array([[2, 17, 250, 3]])}

Timing = Callable[..., list[Any]]

# The real one, which conftest.py replaces while tests run.
run_times = fastest.run_times


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fastest") / "langid"
    albert_edge.export("langid-tiny", folder)
    albert_edge.quantize(folder, "int8", texts=TEXTS[:2], **ANYTHING)
    return folder


@pytest.fixture
def timing(monkeypatch: pytest.MonkeyPatch) -> Timing:
    """Sets the times of int8 and fp32; returns what was measured with."""

    def set_times(int8: float, fp32: float) -> list[Any]:
        measured: list[Any] = []

        def times(engines: Sequence[Any], feeds: Sequence[Any]) -> list[float]:
            measured.extend(feeds)
            return [int8, fp32]

        monkeypatch.setattr(fastest, "run_times", times)
        monkeypatch.setattr(fastest, "_DECIDED", {})
        return measured

    return set_times


@pytest.mark.parametrize(
    ("int8", "fp32", "chosen"),
    [(8e-4, 4.8e-4, "model"), (1e-3, 0.95e-3, "model_quantized"), (1e-3, 3e-3, "model_quantized")],
)
def test_auto_is_the_faster_one_if_it_is_clearly_faster(
    int8: float, fp32: float, chosen: str, bundle: Path, timing: Timing
) -> None:
    feeds = timing(int8, fp32)
    with Session(bundle, threads=1) as session:
        assert session.variant.name == chosen
        assert session.choice == f"int8 {1e3 * int8:.2f} ms and fp32 {1e3 * fp32:.2f} ms"
        assert session.choice in session.summary
        assert session.sibling(2).variant.name == chosen
        answer = session.run(IDS)["logits"]
    assert [feed["input_ids"].shape for feed in feeds] == [(1, 8), (1, 8)]
    with Session(bundle, variant=chosen, threads=1) as named:
        assert named.choice == ""
        np.testing.assert_array_equal(named.run(IDS)["logits"], answer)


@pytest.mark.parametrize(
    ("means", "times", "chosen"),
    [
        ((3.0, 2.0), (3e-3, 1.5e-3), "fp32"),  # leaves after the first of 4 layers, and the last
        ((1.0, 4.0), (1e-3, 3e-3), "int8"),
        ((None, None), (1e-3, 3e-3), "int8"),
    ],
)
def test_of_exits_the_usual_text_counts_rather_than_the_one_measured(
    means: tuple[float | None, float | None],
    times: tuple[float, float],
    chosen: str,
    bundle: Path,
    tmp_path: Path,
    timing: Timing,
) -> None:
    own = Path(shutil.copytree(bundle, tmp_path / "own"))
    for precision, mean, threshold in zip(("int8", "fp32"), means, (-np.inf, np.inf), strict=True):
        measured = {} if mean is None else {"mean_layers": mean}
        add_exits(own, precision, threshold=threshold, measured=measured)
    timing(1e-3, 3e-3)
    with Session(own, threads=1) as session:
        assert session.variant.mode == f"{chosen}-exits"
        int8, fp32 = times
        expected = f"int8-exits {1e3 * int8:.2f} ms and fp32-exits {1e3 * fp32:.2f} ms"
        assert session.choice == expected


def test_it_is_measured_once_in_a_process(bundle: Path, timing: Timing) -> None:
    feeds = timing(2e-3, 1e-3)
    sessions = [Session(bundle, threads=1) for _ in range(3)]
    assert {session.variant.name for session in sessions} == {"model"}
    assert len(feeds) == 2


def test_a_named_precision_is_not_measured(bundle: Path, timing: Timing) -> None:
    feeds = timing(2e-3, 1e-3)
    with Session(bundle, precision="int8") as session:
        assert (session.variant.name, session.choice) == ("model_quantized", "")
    assert not feeds


def test_large_models_are_not_measured(
    bundle: Path, timing: Timing, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_bundle(bundle)
    int8, fp32 = (opened.variant(name) for name in ("model_quantized", "model"))
    assert fastest.find_rival(opened, CPU, int8) == fp32
    assert fastest.find_rival(opened, CPU, fp32) is None
    monkeypatch.setattr(fastest, "_SMALL", fp32.bytes - 1)
    assert fastest.find_rival(opened, CPU, int8) is None


def test_a_damaged_file_that_nobody_asked_for(bundle: Path, tmp_path: Path, timing: Timing) -> None:
    timing(2e-3, 1e-3)
    own = Path(shutil.copytree(bundle, tmp_path / "own"))
    (own / "onnx" / "model.onnx").unlink()
    with Session(own) as session:
        assert (session.variant.name, session.choice) == ("model_quantized", "")


def test_real_times_are_positive_and_in_order(bundle: Path) -> None:
    engines = [
        onnxruntime.InferenceSession(bundle / "onnx" / f"{name}.onnx")
        for name in ("model", "model_quantized")
    ]
    feed = {name: np.zeros((1, 8), np.int64) for name in ("input_ids", "token_type_ids")}
    feed["attention_mask"] = np.ones((1, 8), np.int64)

    class Slow:
        def run(self, names: None, arrays: Any) -> Any:
            for _ in range(20):
                engines[0].run(names, arrays)

    quick, slow = run_times([engines[1], Slow()], [feed, feed])
    assert 0 < quick < slow
