"""How soon the first answer comes, and what the runtime takes on disk.

    python benchmarks/start.py [--rounds 9] [--no-install] [--json FILE]

The model has albert-base geometry, random weights and ALBERT's English vocabulary of 30,000 pieces,
out of tests/data. Every start is a process of its own, timed from outside, from before the
interpreter starts until it has ended; its file cache is warm. The time that processors spent on it
tells what a busy machine hides. The kinds of start take turns. In the same turns is the time of an
interpreter that does nothing, and of one that imports numpy, onnxruntime and tokenizers and does
nothing with them, which is a floor no program on top of them can get under.

The install is `pip install 'albert-edge[cpu]'` of this tree into a virtual environment without pip
and setuptools, in the versions of constraints/pins.txt; it needs a package index.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from spine import TEXT, timed
from throughput import prepare

ROOT = Path(__file__).resolve().parent.parent
ANSWER = """
import sys, albert_edge
classify = albert_edge.pipeline(model=sys.argv[1], precision=sys.argv[2])
print(classify.answer(sys.argv[3])["label"])
"""
IMPORT = """
import time
start = time.perf_counter()
import albert_edge
print(time.perf_counter() - start)
"""
BARE = "bare interpreter"
STARTS = {
    "int8, first answer": (ANSWER, "int8"),
    "fp32, first answer": (ANSWER, "fp32"),
    "import of the three libraries": ("import numpy, onnxruntime, tokenizers", ""),
    "import albert_edge": ("import albert_edge", ""),
    BARE: ("", ""),
}


def seconds(bundle: Path, code: str, precision: str) -> tuple[float, float]:
    """Wall time of a process, and the time that processors spent on it."""
    command = [sys.executable, "-c", code, str(bundle), precision, TEXT]
    wall, used = timed(command, stdout=subprocess.DEVNULL, env=environment())
    return wall, used.ru_utime + used.ru_stime


def environment() -> dict[str, str]:
    """That of this process, and this tree first."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "ORT_DISABLE_TELEMETRY": "1"}


def starts(folder: Path, rounds: int) -> dict[str, Any]:
    """Seconds of every kind of start: median, best, and processor time."""
    import albert_edge

    prepare(folder, "base")
    bundle = folder / "bundle"
    albert_edge.optimize(bundle)
    # How good the answers are does not matter here, so a few texts do.
    texts = (folder / "calibration.txt").read_text(encoding="utf-8").splitlines()[:8]
    albert_edge.quantize(bundle, precision="int8", texts=texts, min_agreement=0, min_cosine=0)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in STARTS}
    inside = []
    for _ in range(rounds + 1):
        for name, (code, precision) in STARTS.items():
            found[name].append(seconds(bundle, code, precision))
        command = [sys.executable, "-c", IMPORT]
        inside.append(float(subprocess.check_output(command, env=environment())))
    table: dict[str, Any] = {}
    for name, times in found.items():
        walls, used = zip(*times[1:], strict=True)
        table[name] = {"median_s": median(walls), "best_s": min(walls), "cpu_s": median(used)}
    table["import albert_edge, timed inside"] = {
        "median_s": median(inside[1:]),
        "best_s": min(inside[1:]),
    }
    return table


def install(folder: Path) -> dict[str, float]:
    """MB of 10^6 bytes that every package takes in a fresh virtual environment."""
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    pip += ["--python", str(venv), "install"]
    pins = ["--quiet", "--constraint", str(ROOT / "constraints" / "pins.txt")]
    subprocess.run([*pip, *pins, f"{ROOT}[cpu]"], check=True, stdout=sys.stderr)
    packages = next(venv.glob("lib*/**/site-packages"))
    sizes = {each.name: used(each) for each in packages.iterdir()}
    return {"all": used(venv), **dict(sorted(sizes.items(), key=lambda item: -item[1])[:8])}


def used(path: Path) -> float:
    """MB on disk, as du counts them: in whole blocks, a file of several names once."""
    inodes = {}
    for each in (path, *path.rglob("*")):
        status = each.lstat()
        inodes[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(inodes.values()) / 1e6


def show(result: dict[str, Any]) -> None:
    """Print the figures as Markdown."""
    print(f"albert-base, {result['machine']}\n\n| | median s | best s | processors, s |")
    print("| --- | ---: | ---: | ---: |")
    for name, row in result["starts"].items():
        print(f"| {name} | {' | '.join(f'{value:.3f}' for value in row.values())} |")
    for name, size in result.get("install_mb", {}).items():
        whole = f"\ninstalled: {size:.0f} MB of 10^6 bytes, {size / 1.048576:.0f} MiB"
        print(whole if name == "all" else f"    {name} {size:.1f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--no-install", action="store_true", help="leave out the install")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    result: dict[str, Any] = {"machine": f"{platform.machine()}, {os.cpu_count()} cores"}
    with tempfile.TemporaryDirectory() as folder:
        result["starts"] = starts(Path(folder), arguments.rounds)
        if not arguments.no_install:
            result["install_mb"] = install(Path(folder))
    show(result)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
