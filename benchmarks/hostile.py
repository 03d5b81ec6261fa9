"""The promises of docs/security.md: every case of the hostile suite, counted.

    python benchmarks/hostile.py [--tests tests/hostile] [--part] [--json FILE]

Runs the tests of tests/hostile with all their cases (`make hostile` does the same without keeping
the figures), or with --part as many as `make test` runs. The soak among them takes an hour.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import command

ROOT = command.HERE.parent
PYTEST = ["-m", "pytest", "-q", "--numprocesses", "2", "--dist", "loadfile"]


def measure(folder: Path, options: Namespace) -> dict[str, Any]:
    """The rows of the suite, and whether its tests passed."""
    rows = folder / "rows.json"
    environment = os.environ | {
        "HOSTILE": "part" if options.part else "whole",
        "SOAK_MINUTES": "0" if options.part else "60",
        "HOSTILE_JSON": str(rows),
        "OMP_NUM_THREADS": "1",
    }
    suite = [sys.executable, *PYTEST, options.tests]
    done = subprocess.run(suite, cwd=ROOT, env=environment, stdout=sys.stderr)
    counted = json.loads(rows.read_text(encoding="utf-8")) if rows.exists() else []
    return {"rows": counted, "passed": done.returncode == 0}


def problems(figures: dict[str, Any]) -> list[str]:
    """The promises that were broken."""
    broken = [f"{row['promise']}: {row['failures']}" for row in figures["rows"] if row["failures"]]
    return broken if figures["passed"] else [*broken, "tests failed"]


BENCHMARK = command.Benchmark(measure, problems, tests="tests/hostile", part=False)

if __name__ == "__main__":
    command.main("hostile")
