"""kill -9 at every call that changes the disk, of every command that writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.disasters import COMMANDS, Disturbed, prepare
from support.faults import Fault, positions, why_unsupported
from support.hostile import Row, how_many

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_unsupported()), reason=why_unsupported()),
]

# In CI: what has most calls of its own, and one for each way to write.
SUBSET = {"export-merged", "quantize", "pack", "predict-parquet"}


def test_killed_at_any_call_old_or_new_and_the_next_run_succeeds(
    tmp_path: Path, report: Callable[[Row], None]
) -> None:
    (tmp_path / "prepared").mkdir()
    prepare(tmp_path / "prepared")
    cases = 0
    wrong = []
    for command in COMMANDS:
        if not how_many(command.name in SUBSET, True):
            continue
        disturbed = Disturbed(command, tmp_path / "prepared", tmp_path)
        for at in positions(len(disturbed.calls), how_many(3, 10_000)):
            cases += 1
            if fault := disturbed.after_kill(Fault(at)):
                wrong.append(f"{command.name}, killed at {disturbed.calls[at]}: {fault}")
    report(
        Row(
            "A command that is killed at any call that changes the disk leaves the old result or "
            "the new one, and the next run succeeds and removes the rest",
            cases,
            len(wrong),
        )
    )
    assert wrong == []
    assert cases >= how_many(12, 700)
