"""How size, memory and time grow from base to xxlarge, in every precision.

    python benchmarks/geometries.py [--geometry NAME] [--against PEERS] [--rounds 3] [--json FILE]

    pip install 'albert-edge[cpu,export]'

By default base and large, without peers; --geometry may be repeated, and xxlarge writes an fp32
file of 0.9 GB into the temporary folder and takes about four times that of memory. Weights are
random, which changes no figure here: what a matrix product takes does not depend on its numbers.
Everything is measured by `albert_edge.benchmark`, each runtime in processes of its own.

What grows with what, for hidden size h and L layers (the feed-forward part is 4 h wide):

    parameters  12 h^2 of the one layer that is stored, 3.9 million of the embeddings, and little
                else: L is not in it, because all layers are the same one
    file        4 bytes a parameter in fp32, about 1 in int8, 0.6 in int4
    memory      the file and the copy that onnxruntime packs for its matrix products, both once,
                whatever L is; with small models what a run needs counts as well
    work        128 L (12 h^2 + 256 h) multiply-accumulates for 1x128: here L does count, so large
                with 24 layers takes 3.5 times as long as base with 12, at 1.5 times the size
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spine import GEOMETRIES, LAYERS, log, make_checkpoint

SHAPE = (1, 128)
PRECISIONS = ("fp32", "int8", "int4")


def make_bundle(folder: Path, geometry: str) -> Path:
    """A bundle of random weights in every precision."""
    import albert_edge

    checkpoint = make_checkpoint(folder / "checkpoint", geometry, LAYERS[geometry])
    bundle = folder / "bundle"
    albert_edge.export(checkpoint, bundle)
    albert_edge.optimize(bundle)
    for precision in ("int8", "int4"):
        # Size and speed are asked for, not quality; random weights have nothing to refuse.
        albert_edge.quantize(
            bundle,
            precision=precision,
            texts=["The quick brown fox jumps over the lazy dog."],
            min_agreement=0.0,
            min_cosine=0.0,
        )
    return bundle


def work(geometry: str) -> float:
    """Multiply-accumulates of one run at `SHAPE`, in 10^9: products with weights, and attention."""
    hidden, tokens = GEOMETRIES[geometry]["hidden_size"], SHAPE[1]
    return LAYERS[geometry] * tokens * (12 * hidden**2 + 2 * tokens * hidden) / 1e9


def measure(geometry: str, against: Sequence[str], rounds: int) -> dict[str, Any]:
    """All figures of one geometry."""
    from albert_edge.benchmark.run import bench
    from albert_edge.inspection.inspect import inspect

    with tempfile.TemporaryDirectory() as folder:
        bundle = make_bundle(Path(folder), geometry)
        log(f"{geometry}: bundle made")
        report = bench(
            bundle, shapes=[SHAPE], precisions=PRECISIONS, against=against, rounds=rounds
        )
        parameters = inspect(bundle).parameters
    log(f"{geometry}: measured")
    return {
        "geometry": geometry,
        "layers": LAYERS[geometry],
        "parameters": parameters,
        "gmac": work(geometry),
        "report": asdict(report),
    }


def show(results: list[dict[str, Any]]) -> None:
    """Print the figures as Markdown."""
    report = results[0]["report"]
    machine, threads = report["machine"], report["runtimes"][0]["latencies"][0]["threads"]
    print(f"random weights; {machine['cpu']}, {threads} threads\n")
    print("| | hidden | layers | parameters | GMAC at 1x128 |\n| --- |" + " ---: |" * 4)
    for result in results:
        hidden = result["report"]["geometry"]["hidden_size"]
        size = f"{result['parameters'] / 1e6:.1f} M | {result['gmac']:.1f}"
        print(f"| {result['geometry']} | {hidden} | {result['layers']} | {size} |")
    columns = ["bytes a parameter", "load s", "grows by MB", "peak MB", "MB grown / file MB"]
    columns += ["1x128 ms (quartiles of the ratio)", "ms a GMAC", "times as fast"]
    print(f"\n| | file MB | {' | '.join(columns)} |\n| --- |" + " ---: |" * (1 + len(columns)))
    for result in results:
        for runtime in result["report"]["runtimes"]:
            print(f"| {result['geometry']}, {runtime['name']} | {_cells(result, runtime)} |")
        for name, reason in result["report"]["skipped"].items():
            print(f"| {result['geometry']}, {name} | {reason} |" + " |" * len(columns))
    print(f"\nTimes as fast as {report['baseline']} of the same geometry.")


def _cells(result: dict[str, Any], runtime: dict[str, Any]) -> str:
    size, (latency,) = runtime["file_bytes"], runtime["latencies"]
    low, high = latency["ratio_low"], latency["ratio_high"]
    cells = [
        f"{size / 1e6:.1f}",
        f"{size / result['parameters']:.2f}",
        f"{runtime['load_s']:.2f}",
        f"{runtime['loaded_mb']:.0f}",
        f"{runtime['peak_mb']:.0f}",
        f"{runtime['loaded_mb'] / size * 1e6:.2f}",
        f"{latency['p50_ms']:.1f} ({low:.2f} to {high:.2f})",
        f"{latency['p50_ms'] / result['gmac']:.1f}",
        f"{latency['ratio']:.2f} x",
    ]
    return " | ".join(cells)


def main() -> None:
    """Measure some geometries and print them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--geometry", choices=GEOMETRIES, action="append")
    parser.add_argument("--against", default="", help="peers, as albert-edge bench takes them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    against = [name for name in arguments.against.split(",") if name]
    results = [
        measure(geometry, against, arguments.rounds)
        for geometry in arguments.geometry or ("base", "large")
    ]
    show(results)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
