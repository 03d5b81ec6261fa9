"""`albert-edge bench` of ALBERT with random weights, in fp32 and int8, beside its peers.

python benchmarks/bench.py [--geometry base] [--against PEERS] [--rounds 5] [--json FILE]

pip install 'albert-edge[cpu,export,openvino]' or [cpu,export,optimum], as the peers need it
"""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

import command

import models
from albert_edge.benchmark.run import bench
from albert_edge.runtime.cpus import usable_cpus


def measure(folder: Path, options: Namespace) -> dict[str, Any]:
    """The document that `albert-edge bench --json` prints."""
    checkpoint = models.make_checkpoint(folder / "checkpoint", options.geometry)
    bundle = models.make_bundle(checkpoint, folder / f"albert-{options.geometry}", "int8")
    report = bench(
        bundle,
        shapes=options.shapes,
        threads=options.threads,
        precisions=("fp32", "int8"),
        against=[name for name in options.against.split(",") if name],
        rounds=options.rounds,
        device="cpu",
        progress=command.log_step,
    )
    return {"schema_version": 1, **asdict(report)}


BENCHMARK = command.Benchmark(
    measure, geometry="base", shapes=models.SHAPES, threads=(usable_cpus(),), against="", rounds=5
)

if __name__ == "__main__":
    command.main("bench")
