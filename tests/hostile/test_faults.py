"""Full disks, quotas, read-only and failing disks, at every write of every command."""

from __future__ import annotations

import errno
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

# In CI: a folder that changes as a whole, and a file that a library of its own writes.
SUBSET = {"optimize", "predict-parquet"}

# A full disk stays full, and a disk that became read-only stays so; others fail once.
FAULTS = ((errno.ENOSPC, True), (errno.EIO, False), (errno.EDQUOT, False), (errno.EROFS, True))


def test_a_disk_that_fails_is_one_line_and_changes_nothing(
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
        for turn, (error, lasts) in enumerate(FAULTS):
            calls = disturbed.calls_that_can(error)
            for at in positions(len(calls), how_many(1, 60), turn / len(FAULTS)):
                fault = Fault(at, error, lasts)
                cases += 1
                if what := disturbed.after_error(fault):
                    wrong.append(f"{command.name}, {fault}, {calls[at]}: {what}")
    report(
        Row(
            "On a disk that is full, over its quota, read-only or failing, a command ends with one "
            "line that names the file and the reason, and leaves what was there",
            cases,
            len(wrong),
        )
    )
    assert wrong == []
    assert cases >= how_many(8, 1500)
