"""Label a large file with `albert-edge predict`, undisturbed and killed many times.

    python benchmarks/label_large_file.py [--rows 1000000] [--kills 20] [--suffix .csv]

The model is langid-tiny, which ships, in int8; texts are those of `soak.py`, in a .csv. Each kill
is a SIGKILL at a random moment, after which `--resume` continues. Both outputs must have the same
bytes. Peak memory is that of the process (VmHWM).
"""

from __future__ import annotations

import csv
import random
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from pathlib import Path

import soak

import albert_edge


def write_rows(path: Path, rows: int) -> Path:
    """Write a table of texts, the same each time."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text"])
        writer.writerows(enumerate(soak.texts(rows)))
    return path


class Run:
    """One process of `predict`, whose memory is watched."""

    def __init__(self, bundle: Path, source: Path, target: Path) -> None:
        options = ["--input", source, "--output", target, "--truncate", "--resume"]
        program = [sys.executable, "-m", "albert_edge", "predict", bundle, *options]
        self._process = subprocess.Popen([*map(str, program)], stderr=subprocess.PIPE, text=True)
        self.peak = 0.0

    def watch(self, seconds: float = float("inf")) -> bool:
        """Watch it until it ends, or for some seconds; return whether it ended."""
        end = time.monotonic() + seconds
        while self._process.poll() is None and time.monotonic() < end:
            self.peak = max(self.peak, _peak(self._process.pid))
            time.sleep(min(0.2, max(0.0, end - time.monotonic())))
        return self._process.poll() is not None

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.communicate()

    def finish(self) -> str:
        """Wait for its end, and return its last line."""
        self.watch()
        _, messages = self._process.communicate()
        if self._process.returncode:
            raise RuntimeError(messages)
        return messages.strip().splitlines()[-1]


def _peak(pid: int) -> float:
    """Read the peak of the memory of a process, in MB; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM"))


def compare(rows: int, most_kills: int, suffix: str) -> bool:
    """Label a file twice, and return whether both outputs are equal."""
    dice = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        bundle, source = Path(folder, "langid"), write_rows(Path(folder, "in.csv"), rows)
        albert_edge.export("langid-tiny", bundle)
        albert_edge.quantize(bundle, precision="int8")
        whole, killed = Path(folder, f"whole{suffix}"), Path(folder, f"killed{suffix}")

        begin = time.monotonic()
        run = Run(bundle, source, whole)
        summary = run.finish()
        seconds, peak = time.monotonic() - begin, run.peak
        print(summary, f"peak memory {peak:.0f} MB", flush=True)

        kills = 0
        while kills < most_kills:
            run = Run(bundle, source, killed)
            if run.watch(dice.uniform(0, 2 * seconds / most_kills)):
                break
            run.kill()
            kills += 1
        run = Run(bundle, source, killed)
        print(f"killed {kills} times;", run.finish(), f"peak memory {run.peak:.0f} MB", flush=True)
        return whole.read_bytes() == killed.read_bytes()


def main() -> None:
    """Read the options; the exit code is 1 if the outputs differ."""
    parser = ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--suffix", default=".csv")
    options = parser.parse_args()
    is_equal = compare(options.rows, options.kills, options.suffix)
    print("the outputs are equal" if is_equal else "the outputs differ")
    sys.exit(not is_equal)


if __name__ == "__main__":
    main()
