"""Run .onnx files with onnxruntime only, as another program would, on the CPU this is started on.

    python raw.py INPUTS.npz OUTPUTS.npz MODEL.onnx...

An input named "3/input_ids" belongs to run 3; of its outputs one is named "MODEL.onnx/3/logits".
"""

from __future__ import annotations

import os
import sys

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime


def main(inputs_file: str, outputs_file: str, *models: str) -> None:
    """Run every model on every input."""
    runs: dict[str, dict[str, np.ndarray]] = {}
    with np.load(inputs_file) as arrays:
        for key in arrays:
            run, name = key.split("/")
            runs.setdefault(run, {})[name] = arrays[key]
    outputs = {}
    for model in models:
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        for run, inputs in runs.items():
            for name, values in zip(names, session.run(names, inputs), strict=True):
                outputs[f"{model}/{run}/{name}"] = values
    np.savez(outputs_file, allow_pickle=False, **outputs)


if __name__ == "__main__":
    main(*sys.argv[1:])
