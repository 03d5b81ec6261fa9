"""Bundles with early exits: random classifiers, and a threshold at which some texts stop early."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from albert_edge.architecture.heads import HEADS
from albert_edge.bundle.bundle import open_bundle
from albert_edge.bundle.change import change
from albert_edge.bundle.manifest import MODEL, Variant
from albert_edge.check.portable import portable_file
from albert_edge.check.self_test import AnswerRecorder
from albert_edge.compress.options import Int8
from albert_edge.compress.store import CompressedWeights
from albert_edge.graph.build import author
from albert_edge.graph.plan import CPU_OPTIMIZATIONS, Plan
from albert_edge.graph.writer import write_model
from albert_edge.onnx_format.reader import read_onnx
from albert_edge.runtime.adaptation import adaptation_of
from albert_edge.runtime.device import CPU
from albert_edge.runtime.engine import run_file

NAMES = {"fp32": "model_optimized_exits", "int8": "model_quantized_exits"}

_PLANS = {
    "fp32": Plan("cpu", "loop", CPU_OPTIMIZATIONS),
    "int8": replace(Int8().plan(), smoothed=False),
}
# At these some texts stop and others do not; every token has to be certain.
_THRESHOLDS = {"largest": np.log(0.8), "positive": 0.3, None: -0.3}
_THRESHOLD_OF_TOKENS = np.log(0.42)


def add_exits(
    folder: Path,
    precision: str = "fp32",
    *,
    promised_agreement: float | None = 0.99,
    promised_max_drop: float | None = None,
    threshold: float | None = None,
    measured: dict[str, Any] | None = None,
) -> Variant:
    """Add a variant with an exit after every layer but the last, and its stored answers.

    Args:
        folder: The bundle.
        precision: "fp32" or "int8".
        promised_agreement: As in the manifest.
        promised_max_drop: As in the manifest.
        threshold: The certainty at which a text stops; by default one that some texts reach.
        measured: As in the manifest.
    """
    name = NAMES[precision]
    with change(folder) as pending:
        bundle = open_bundle(folder)
        config, head = bundle.read_config(), bundle.manifest.head
        plan = replace(_PLANS[precision], exits=config.num_hidden_layers - 1)
        authored = author(config, head, plan)
        random = np.random.default_rng(0)
        floats = {n: t.array() for n, t in read_onnx(portable_file(bundle)).tensors.items()}
        for weight, spec in authored.weights.items():
            if weight.startswith("exits."):
                scale = 1 / np.sqrt(config.hidden_size)
                floats[weight] = random.normal(0, scale, spec.shape).astype(np.float32)
        if threshold is None:
            threshold = _THRESHOLDS[HEADS[head].decision(config)]
            if head == "token-classification":
                threshold = _THRESHOLD_OF_TOKENS
        floats["exits.threshold"] = np.array([threshold], np.float32)
        path = pending.path(f"onnx/{name}.onnx")
        files = write_model(authored, CompressedWeights(authored, floats, {}, {}), path)
        variant = Variant(
            name=name,
            files={MODEL: tuple(map(pending.record, files))},
            inputs={MODEL: HEADS[head].inputs},
            precision=precision,
            target=plan.target,
            layout=plan.layout,
            opset=authored.model.opset_imports[""],
            activations=plan.activations if plan.quantizes_activations else "",
            weights=plan.weights if plan.quantizes_activations else "",
            exits=plan.exits,
            promised_agreement=promised_agreement,
            promised_max_drop=promised_max_drop,
            measured=measured or {},
        )
        answers = AnswerRecorder(bundle, config)
        answers.record(name, run_file(path, adaptation=adaptation_of(variant, CPU)))
        pending.manifest = answers.write(pending, bundle.manifest.with_variant(variant))
    return variant
