"""A large file is labelled in bounded memory, by a process that is killed 20 times.

`make million` runs this with 1,000,000 records.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.paths import ROOT

from albert_edge.labelling.output import SEGMENT_ROWS

pytestmark = pytest.mark.slow

ROWS = int(os.environ.get("ROWS", "60000"))
KILLS = 20
COMMAND = [sys.executable, "-m", "support.labelling"]


def write_csv(path: Path, rows: int) -> Path:
    with path.open("w", encoding="utf-8") as file:
        file.write("id,text\n")
        file.writelines(
            f'{n},"text number {n}, {n * 7919 % 10007}{" bad" * (n % 97 == 5)}"\n'
            for n in range(rows)
        )
    return path


def start(source: Path, target: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, str(source), str(target)],
        cwd=ROOT / "tests",
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
        stdout=subprocess.PIPE,
        text=True,
    )


def finish(source: Path, target: Path) -> tuple[float, str]:
    """Run a job to its end; return the peak of its memory in MB, and what it did."""
    process = start(source, target)
    out, _ = process.communicate(timeout=600)
    assert process.returncode == 0
    peak, _, done = out.partition(" ")
    return int(peak) / 1024, done


def sizes(folder: Path) -> dict[str, int]:
    return (
        {entry.name: entry.stat().st_size for entry in os.scandir(folder)}
        if folder.exists()
        else {}
    )


def kill(process: subprocess.Popen[str], folder: Path, delay: float, *, at_once: bool) -> None:
    """Kill a job some time after its start, or after the first answer it adds."""
    before = sizes(folder)
    while not at_once and sizes(folder) == before and process.poll() is None:
        time.sleep(0.005)
    time.sleep(delay)
    process.kill()
    process.communicate()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_job_that_is_killed_gives_what_an_undisturbed_one_gives(
    suffix: str, tmp_path: Path
) -> None:
    dice = random.Random(suffix)
    source = write_csv(tmp_path / "in.csv", ROWS)
    undisturbed, target = tmp_path / f"undisturbed{suffix}", tmp_path / f"killed{suffix}"
    begin = time.monotonic()
    peak, done = finish(source, undisturbed)
    seconds = time.monotonic() - begin
    assert f"rows={ROWS}, failed={len(range(5, ROWS, 97))}, kept=0" in done

    killed = 0
    for attempt in itertools.count():
        at_once = attempt % 4 == 3  # also while it starts and reads again
        delay = dice.uniform(0, seconds / KILLS / 2)
        kill(start(source, target), Path(f"{target}.part"), delay, at_once=at_once)
        if target.exists():  # the machine has become faster than it was undisturbed
            assert target.read_bytes() == undisturbed.read_bytes()
            target.unlink()
            continue
        killed += 1
        if killed == KILLS:
            break
    again, done = finish(source, target)
    assert int(re.search(r"kept=(\d+)", done)[1]) > 0  # type: ignore[index]
    assert target.read_bytes() == undisturbed.read_bytes()
    assert again < peak + 12
    print(
        f"{suffix}: {ROWS:,} records, {seconds:.1f} s, peak {peak:.0f} MB; resumed {again:.0f} MB"
    )


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_memory_does_not_grow_with_the_file(suffix: str, tmp_path: Path) -> None:
    peaks = []
    for rows in (ROWS // 6, ROWS):
        source = write_csv(tmp_path / "in.csv", rows)
        peaks.append(finish(source, tmp_path / f"{rows}{suffix}")[0])
    assert peaks[1] - peaks[0] < 12
    if suffix == ".parquet":
        file = pq.ParquetFile(tmp_path / f"{ROWS}.parquet")
        groups = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
        assert groups[:-1] == [SEGMENT_ROWS] * (len(groups) - 1)
        assert file.schema_arrow.field("score").type == pa.float64()
