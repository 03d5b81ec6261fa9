"""What each number of layers answers, against bundles exported with as many."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import binomtest
from support.checkpoints import make_model
from support.command_line import Cli, assert_error

import albert_edge
from albert_edge.bundle.bundle import open_bundle
from albert_edge.check.sample import load_sample
from albert_edge.errors import BundleError
from albert_edge.inspection.depth import compare_depths
from albert_edge.runtime.engine import run_file


def make(folder: Path, head: str = "text-classification", **config: Any) -> Path:
    make_model(head, **config).save_pretrained(folder / "checkpoint")
    albert_edge.export(folder / "checkpoint", folder / "bundle")
    return folder / "bundle"


def answers(bundle: Path, layers: int) -> list[Any]:
    """The logits of a bundle exported with so many layers, on the sample of random ids."""
    shallow = bundle.parent / f"{layers}-layers"
    albert_edge.export(bundle.parent / "checkpoint", shallow, layers=layers)
    opened = open_bundle(bundle)
    sample = load_sample(opened, opened.read_config(), None, None)
    run = run_file(shallow / "onnx/model.onnx")
    return [run(arrays)["logits"] for arrays in sample.inputs]


def share_of_the_same(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> float:
    """Of a text's decisions; [CLS] and [SEP] have none."""
    same = first.argmax(-1) == second.argmax(-1)
    same = same[:, 1:-1] if first.ndim == 3 else same
    return float(same.mean()) if same.size else 1.0


@pytest.mark.parametrize("head", ["text-classification", "token-classification"])
def test_agreement_is_that_of_exported_models(head: str, tmp_path: Path) -> None:
    bundle = make(tmp_path, head, num_labels=5)
    report = compare_depths(bundle)
    assert (report.variant, report.precision, report.sample) == ("model", "fp32", "random ids")
    assert [depth.layers for depth in report.depths] == [1, 2, 3, 4]
    first, *_, last = report.depths
    pairs = zip(answers(bundle, 1), answers(bundle, 4), strict=True)
    same = [share_of_the_same(a, b) for a, b in pairs]
    # Of a text of many tokens, 17 are compared.
    tolerance = 1e-12 if head == "text-classification" else 0.03
    assert first.agreement == pytest.approx(np.mean(same), abs=tolerance)
    assert first.agreement != last.agreement == 1.0
    assert last.cosine == pytest.approx(1.0, abs=1e-6)
    assert min(depth.milliseconds for depth in report.depths) > 0
    assert "1, 2, 3, 4 layers" in repr(report)


def test_the_interval_is_that_of_clopper_and_pearson(tmp_path: Path) -> None:
    report = compare_depths(make(tmp_path, num_labels=5))
    for depth in report.depths:
        result = binomtest(round(depth.agreement * report.texts), report.texts)
        exact = result.proportion_ci(0.95, "exact")
        found = depth.agreement_low, depth.agreement_high
        assert found == pytest.approx((exact.low, exact.high), abs=1e-6)


def test_numbers_agree_within_a_tolerance(tmp_path: Path) -> None:
    first, *_, last = compare_depths(make(tmp_path, num_labels=1)).depths
    assert first.agreement < 0.9 < last.agreement == 1.0
    assert first.cosine < last.cosine


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_variant_that_pipelines_take(precision: str, own: Path) -> None:
    texts = [f"text number {index} über alles" for index in range(40)]
    albert_edge.quantize(own, precision="int8", texts=texts, min_agreement=0, min_cosine=0)
    bundle = open_bundle(own)
    report = compare_depths(own, texts=texts, precision=precision)
    expected = "model_optimized" if precision == "fp32" else "model_quantized"
    assert report.variant == expected
    assert report.texts == 40
    assert bundle.variant(expected).precision == report.precision
    assert [depth.layers for depth in report.depths] == [1, 2, 3, 4]


def test_a_precision_that_the_bundle_lacks(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no int8 variant"):
        compare_depths(make(tmp_path), precision="int8")


def test_progress_is_reported(tmp_path: Path) -> None:
    steps: list[tuple[str, int, int | None]] = []
    compare_depths(make(tmp_path), progress=lambda *step: steps.append(step))
    assert steps[0] == ("answering with 1 layers", 1, 128)
    assert steps[-1] == ("answering with 4 layers", 128, 128)
    assert len(steps) == 4 * 128


def test_the_table(cli: Cli, langid: Path, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("Where is the station?\nWo ist der Bahnhof?\n", encoding="utf-8")
    done = cli("inspect", langid, "--depth", "--texts", texts)
    assert done.code == 0
    assert re.search(
        r"^4 +100\.00% +15\.8% to 100\.0% +1\.00000 +[\d.]+ +100%$", done.out, re.MULTILINE
    )
    assert len(re.findall(r"^\d ", done.out, re.MULTILINE)) == 4
    assert "2 texts of" in done.err
    document = json.loads(cli("inspect", langid, "--depth", "--texts", texts, "--json").out)
    assert document["schema_version"] == 1
    assert [depth["layers"] for depth in document["depths"]] == [1, 2, 3, 4]
    assert document["depths"][-1]["agreement"] == 1.0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--texts", "x.txt"), "--texts needs --depth"),
        (("--precision", "int8"), "--precision needs --depth"),
        (("--depth", "--variant", "model"), "--variant excludes --depth"),
        (("--depth", "--diff", "other"), "--diff excludes --depth"),
    ],
)
def test_options_that_do_not_fit(
    options: tuple[str, ...], told: str, cli: Cli, langid: Path
) -> None:
    assert_error(cli("inspect", langid, *options), 2, told)
