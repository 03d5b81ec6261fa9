"""Run bundles on the CPU this is started on: inputs from one file, outputs to another.

    python forward.py BUNDLES INPUTS.npz OUTPUTS.npz PRECISION...

`BUNDLES` is a folder of bundles. An input named "tiny/3/input_ids" goes to the bundle "tiny"; of
its outputs in fp32, one is named "fp32/tiny/3/logits". "fp32/tiny/variant" says what was run,
"fp32/tiny/adaptation" how the runtime changed the model for the CPU ("None": not at all), and
"cpu/machine", "cpu/known" and "cpu/has" where: instructions numpy looks for, and those found.
"integers/x", "integers/weights" and "integers/product" are a product of bytes, as the kernel of
int8 variants computes it with signed weights.

The precision "int8-forced" is int8 with signed weights, whatever the runtime knows of the CPU.
"""

from __future__ import annotations

import platform
import sys
from importlib import import_module
from pathlib import Path
from unittest import mock

import numpy as np
import numpy.typing as npt

from albert_edge.onnx_format.one_node import MICROSOFT, one_node_model
from albert_edge.runtime import adaptation
from albert_edge.runtime.providers import load_onnxruntime
from albert_edge.runtime.session import Session

Arrays = dict[str, npt.NDArray[np.generic]]

FORCED = "-forced"


def main(bundles: str, inputs_file: str, outputs_file: str, *precisions: str) -> None:
    """Run every input in every precision."""
    inputs = grouped(inputs_file)
    outputs = cpu() | integers()
    for precision in precisions:
        for name in inputs:
            # Where a run dies of an instruction the CPU lacks, this is the last that is known.
            print(f"{precision} {name}", file=sys.stderr, flush=True)
            with open_session(Path(bundles) / name, precision) as session:
                outputs[f"{precision}/{name}/variant"] = np.array(session.variant.name)
                outputs[f"{precision}/{name}/adaptation"] = np.array(str(session.adaptation))
                for index, arrays in inputs[name].items():
                    for output, values in session.run(arrays).items():
                        outputs[f"{precision}/{name}/{index}/{output}"] = values
    np.savez(outputs_file, allow_pickle=False, **outputs)


def open_session(bundle: Path, precision: str) -> Session:
    """Load a bundle, for "int8-forced" as a runtime would that never asks what the CPU can do."""
    if not precision.endswith(FORCED):
        return Session(bundle, precision=precision, threads=1)
    with mock.patch.object(adaptation, "adds_signed_weights_exactly", lambda: True):
        return Session(bundle, precision=precision.removesuffix(FORCED), threads=1)


def grouped(path: str) -> dict[str, dict[str, Arrays]]:
    """The arrays of a file by bundle and by input."""
    groups: dict[str, dict[str, Arrays]] = {}
    with np.load(path) as arrays:
        for key in arrays:
            bundle, index, name = key.split("/")
            groups.setdefault(bundle, {}).setdefault(index, {})[name] = arrays[key]
    return groups


def cpu() -> Arrays:
    """What the CPU is, and what numpy found on it."""
    features: dict[str, bool] = import_module("numpy._core._multiarray_umath").__cpu_features__
    return {
        "cpu/machine": np.array(platform.machine()),
        "cpu/known": np.array(sorted(features)),
        "cpu/has": np.array(sorted(name for name, found in features.items() if found)),
    }


def integers() -> Arrays:
    """A product of bytes whose sums are below 2^24, so that float32 holds them exactly."""
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (17, 500), np.uint8)
    weights = random.integers(-127, 128, (500, 33), np.int8)
    names = ["x", "weights", "one", "one"]
    given = {"weights": weights, "one": np.array(1, np.float32)}
    model = one_node_model(
        "MatMulIntegerToFloat",
        names,
        weights.shape,
        dtype=np.uint8,
        weights=given,
        domain=MICROSOFT,
    )
    engine = load_onnxruntime().InferenceSession(model, providers=["CPUExecutionProvider"])
    (product,) = engine.run(None, {"x": x})
    return {"integers/x": x, "integers/weights": weights, "integers/product": product}


if __name__ == "__main__":
    main(*sys.argv[1:])
