"""A config.json that a stranger wrote, of a checkpoint and of a bundle."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.hostile import Row, failures, how_many, judge
from support.json_mutations import mutate_json, seeded
from support.pipelines import checkpoint

import albert_edge
from albert_edge import AlbertEdgeError

Report = Callable[[Row], None]

# Every kind of field, those that save_pretrained leaves out included.
FIELDS: dict[str, Any] = {
    "id2label": {"0": "NEGATIVE", "1": "POSITIVE"},
    "label2id": {"NEGATIVE": 0, "POSITIVE": 1},
    "num_labels": 2,
    "problem_type": "single_label_classification",
    "pruned_heads": {},
    "layer_norm_eps": 1e-12,
    "tie_word_embeddings": True,
    "position_embedding_type": "absolute",
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "checkpoint"
    return checkpoint(folder, "text-classification", "spiece.model")


@pytest.fixture(scope="module")
def bundle(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    albert_edge.export(source, folder)
    return folder


def read(folder: Path) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return fields | FIELDS


def run_once(bundle: Path) -> None:
    """Answer: what is accepted works."""
    with albert_edge.Session(bundle, device="cpu", threads=1) as session:
        ids = np.ones((1, 1), np.int64)
        assert all(np.isfinite(values).all() for values in session.run({"input_ids": ids}).values())


def export(source: Path, out: Path, content: bytes) -> None:
    (source / "config.json").write_bytes(content)
    albert_edge.export(source, out, force=True)
    run_once(out)


def test_of_a_checkpoint(source: Path, tmp_path: Path, report: Report) -> None:
    copy = Path(shutil.copytree(source, tmp_path / "checkpoint"))
    document = read(source)
    decide = partial(export, copy, tmp_path / "out")
    decide(json.dumps(document).encode())
    verdicts = judge(decide, seeded(partial(mutate_json, document), how_many(25, 4_200)), mib=64)
    report(Row.of("A checkpoint's config.json is exported or refused", verdicts))
    assert failures(verdicts) == []
    assert {verdict.outcome for verdict in verdicts} == {"accepted", "refused"}


def use(good: Path, copy: Path, content: bytes) -> None:
    """Do all that reads the configuration, with a manifest that has its hash."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(good, copy)
    (copy / "config.json").write_bytes(content)
    manifest = json.loads((copy / "albert_edge.json").read_text(encoding="utf-8"))
    for record in manifest["files"]:
        if record["file"] == "config.json":
            record["sha256"], record["bytes"] = hashlib.sha256(content).hexdigest(), len(content)
    (copy / "albert_edge.json").write_text(json.dumps(manifest), encoding="utf-8")
    albert_edge.open_bundle(copy).check_all()
    refusals = []
    for action in (
        lambda: albert_edge.pipeline(model=copy, device="cpu", threads=1)("a good film"),
        lambda: albert_edge.inspect(copy),
        lambda: albert_edge.verify(copy),
        lambda: albert_edge.optimize(copy),
    ):
        try:
            action()
        except AlbertEdgeError as error:
            refusals.append(error)
    if refusals:
        raise refusals[0]


def test_of_a_bundle(bundle: Path, tmp_path: Path, report: Report) -> None:
    document = read(bundle)
    decide = partial(use, bundle, tmp_path / "copy")
    decide(json.dumps(document).encode())
    verdicts = judge(
        decide, seeded(partial(mutate_json, document), how_many(10, 800), first=10_000), mib=64
    )
    report(Row.of("A bundle's config.json is read or refused, by every command", verdicts))
    assert failures(verdicts) == []
    assert {verdict.outcome for verdict in verdicts} == {"accepted", "refused"}


@pytest.mark.parametrize(
    ("layers", "inner", "outcome"),
    [
        (96, 1, "accepted"),
        (97, 1, "refused"),
        (1_000, 1, "refused"),
        (2**31, 1, "refused"),
        (10**400, 1, "refused"),
        (96, 2, "refused"),
        (1, 2**62, "refused"),
    ],
)
def test_any_number_of_layers_is_decided_at_once(
    layers: int, inner: int, outcome: str, source: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(source, tmp_path / "checkpoint"))
    fields = read(source) | {"num_hidden_layers": layers, "inner_group_num": inner}
    content = json.dumps(fields | {"num_hidden_groups": 1}).encode()
    single = checkpoint(tmp_path / "one", "text-classification", "spiece.model", **ONE_LAYER)
    shutil.copy(single / "model.safetensors", copy / "model.safetensors")
    (verdict,) = judge(partial(export, copy, tmp_path / "out"), [("layers", content)], mib=64)
    assert verdict.outcome == outcome, verdict


ONE_LAYER = {"num_hidden_groups": 1, "inner_group_num": 1}
