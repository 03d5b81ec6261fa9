"""What quantizing takes: seconds, and memory at its peak, from the command to its end.

    python benchmarks/quantize.py [--geometry NAME] [--rounds 3] [--json FILE]

    pip install 'albert-edge[cpu,export]'

By default base; --geometry may be repeated, and xlarge takes minutes. `albert-edge quantize` makes
int8 of a bundle of random weights as it was exported, calibration and the quality gate on the
built-in texts included. Its peer is onnxruntime's quantize_dynamic on the same file, which looks at
no text. Every run is a process of its own, interpreter and imports included, and they take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from spine import GEOMETRIES, LAYERS, log, make_checkpoint, timed

OURS, PEER = "albert-edge quantize", "onnxruntime quantize_dynamic"
INTERPRETER_MB = 120  # that the bar on the peak grants beside the file
MODEL = "onnx/model.onnx"
PEER_CODE = """
import sys
from onnxruntime.quantization import quantize_dynamic
quantize_dynamic(sys.argv[1], sys.argv[2], per_channel=True)
"""


def run(command: Sequence[str | os.PathLike[str]], out: Path) -> tuple[float, float]:
    """Seconds of a process and its peak of resident memory in MB; what it prints goes to `out`."""
    with out.open("wb") as stream:
        seconds, used = timed(command, stdout=stream)
    return seconds, used.ru_maxrss * 1024 / 1e6


def measure(geometry: str, rounds: int) -> dict[str, Any]:
    """All figures of one geometry."""
    import albert_edge

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = make_checkpoint(folder / "checkpoint", geometry, LAYERS[geometry])
        albert_edge.export(checkpoint, folder / "exported")
        size = (folder / "exported" / MODEL).stat().st_size
        found: dict[str, list[tuple[float, float]]] = {OURS: [], PEER: []}
        for count in range(rounds):
            bundle = folder / "bundle"
            shutil.copytree(folder / "exported", bundle)
            # Of random weights many decisions are coin tosses: agreement says nothing of int8.
            options = ("--precision", "int8", "--min-agreement", "0", "--json")
            ours = (sys.executable, "-m", "albert_edge", "quantize", bundle, *options)
            found[OURS].append(run(ours, folder / "report.json"))
            peer = (sys.executable, "-c", PEER_CODE, bundle / MODEL, folder / "peer.onnx")
            found[PEER].append(run(peer, folder / "peer.txt"))
            shutil.rmtree(bundle)
            log(f"{geometry}: round {count + 1} of {rounds}")
        quality = json.loads((folder / "report.json").read_text(encoding="utf-8"))["quality"]
    return {
        "geometry": geometry,
        "fp32_bytes": size,
        "rounds": rounds,
        "quality": quality,
        "runs": {name: sum_up(runs, size) for name, runs in found.items()},
    }


def sum_up(runs: Sequence[tuple[float, float]], size: int) -> dict[str, float]:
    """Median and best seconds; the highest peak, and what of it is no interpreter, in files."""
    seconds, peaks = zip(*runs, strict=True)
    return {
        "median_s": median(seconds),
        "best_s": min(seconds),
        "peak_mb": max(peaks),
        "peak_files": (max(peaks) - INTERPRETER_MB) * 1e6 / size,
    }


def show(results: Sequence[dict[str, Any]]) -> None:
    """Print the figures as Markdown."""
    print("| | median s | best s | peak MB | (peak MB - 120) / fp32 file |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for result in results:
        for name, row in result["runs"].items():
            cells = f"{row['median_s']:.1f} | {row['best_s']:.1f} | {row['peak_mb']:.0f}"
            print(f"| {result['geometry']}, {name} | {cells} | {row['peak_files']:.1f} |")
        ours, peer = (result["runs"][name] for name in (OURS, PEER))
        seconds, peak = (ours[key] / peer[key] for key in ("median_s", "peak_mb"))
        print(f"| {result['geometry']}, ratio | {seconds:.1f} x | | {peak:.2f} x | |")


def main() -> None:
    """Measure some geometries and print them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--geometry", choices=GEOMETRIES, action="append")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    results = [measure(name, arguments.rounds) for name in arguments.geometry or ["base"]]
    show(results)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
