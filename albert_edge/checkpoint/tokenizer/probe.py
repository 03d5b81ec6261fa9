"""Use a tokenizer once in a process of its own, with bounded time and memory.

The tokenizers library can end the process, and a check of the file may miss what makes it do so.
A program frozen by PyInstaller has no Python to start; there the check is all there is.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from albert_edge.cleanup import child_process
from albert_edge.errors import CheckpointError

_SECONDS = 60  # it takes 0.2, but not on a busy or an emulated machine
_BYTES = 4 * 2**30
# Nothing of this package, whose import takes longer than all of this. A character of every script
# is among those that are 37 apart.
_PROGRAM = """
import sys
from tokenizers import Tokenizer
print("started", flush=True)
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
except (ImportError, OSError, ValueError):
    pass
tokenizer = Tokenizer.from_str(sys.stdin.buffer.read().decode())
tokenizer.no_padding()
tokenizer.no_truncation()
scripts = [chr(at) for at in range(0, 0x30000, 37) if not 0xD800 <= at < 0xE000]
texts = ["", " ", "A good text, isn't it? (2010) [MASK]", "\\0", " ".join(scripts),
         "".join(scripts), "e\\u0301\\u0323" * 300, "x" * 5000, " " * 5000, "\\u5929" * 1000]
for text in texts:
    for pair in (None, texts[2], ""):
        encoding = tokenizer.encode(text, pair)
        tokenizer.decode(encoding.ids)
del encoding, tokenizer
print("done", flush=True)
"""


def require_harmless(text: str, path: Path) -> None:
    """Use a tokenizer on texts of many kinds, in a separate process.

    Args:
        text: The text of a tokenizer.json.
        path: The file it was read or built from, for errors.

    Raises:
        CheckpointError: The process failed, or took too much time or memory.
    """
    fault = _fault(text)
    if fault:
        raise CheckpointError(
            f"{path} is a tokenizer that fails when it is used: {fault}.",
            tip="Copy the file again, or save the tokenizer with transformers.",
            where=path,
        )


@lru_cache(maxsize=4)
def _fault(text: str) -> str | None:
    if getattr(sys, "frozen", False):
        return None
    command = [sys.executable, "-c", _PROGRAM, str(_BYTES)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    try:
        with child_process(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        ) as process:
            out, err = process.communicate(text.encode(), timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        return f"it takes more than {_SECONDS} s"
    except OSError:  # such as on an emulated machine; the check of the file is all there is
        return None
    words = out.split()
    if b"done" in words or b"started" not in words:
        return None
    code = process.returncode
    if code < 0:
        return f"it ends the process with signal {-code}"
    lines = err.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"it ends the process with code {code}"
