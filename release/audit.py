"""Ask whether pinned versions have known vulnerabilities."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def audit(requirements: Path) -> bool | None:
    """Audit pinned versions with pip-audit.

    Returns:
        Whether there is none; None if the service could not be asked.
    """
    command = [sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip", "--strict"]
    command += ["--progress-spinner", "off", "--requirement", str(requirements)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    if done.returncode == 0:
        return True
    if "known vulnerabilit" in done.stderr:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
        return False
    print(done.stderr.strip().rpartition("\n")[2][:300], file=sys.stderr)
    return None
