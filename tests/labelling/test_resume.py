"""A job that was cut off anywhere is resumed, and its output is that of an undisturbed run."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.labelling import FORMATS, Done, answer, run_job

from albert_edge.errors import AlbertEdgeError, RecordError, UsageError
from albert_edge.labelling import labeller, output
from albert_edge.labelling.folder import open_folder
from albert_edge.labelling.labeller import Labeller
from albert_edge.records.fields import TEXT
from albert_edge.records.rows import Row

# What a job writes with; each call is a place where it can be cut off.
CALLS = ("write", "fsync", "replace", "ftruncate")


class PowerCut(BaseException):
    """Nothing runs after it in this process, so also no clean-up."""


@contextmanager
def cut_off_at(
    call: int, error: BaseException, *, writes: bool = False, once: bool = False
) -> Iterator[list[str]]:
    """Let the call of that number fail, and all after it unless `once`.

    With `writes` it writes half of what it should.
    """
    made: list[str] = []

    def wrap(name: str) -> Any:
        genuine = getattr(os, name)

        def wrapped(*arguments: Any) -> Any:
            made.append(name)
            if len(made) > call and not (once and len(made) > call + 1):
                if writes and name == "write" and len(made) == call + 1:
                    genuine(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                raise error
            return genuine(*arguments)

        return mock.patch.object(os, name, wrapped)

    with wrap("write"), wrap("fsync"), wrap("replace"), wrap("ftruncate"):
        yield made


@pytest.fixture(autouse=True)
def small_segments() -> Iterator[None]:
    with mock.patch.object(output, "SEGMENT_ROWS", 7), mock.patch.object(output, "_SYNC", 0.0):
        yield


def write_texts(path: Path, count: int) -> Path:
    texts = (f"text {number}{' bad' * (number % 5 == 3)}" for number in range(count))
    path.write_text("".join(json.dumps({"id": n, "text": t}) + "\n" for n, t in enumerate(texts)))
    return path


@given(
    suffix=st.sampled_from(FORMATS),
    count=st.integers(0, 30),
    cuts=st.lists(st.tuples(st.integers(0, 120), st.booleans()), max_size=4),
    in_batches=st.booleans(),
)
@settings(max_examples=50, deadline=None)
def test_the_output_is_that_of_an_undisturbed_run(
    suffix: str, count: int, cuts: list[tuple[int, bool]], in_batches: bool
) -> None:
    with TemporaryDirectory() as folder:
        source = write_texts(Path(folder, "in.jsonl"), count)
        undisturbed, target = Path(folder, f"a{suffix}"), Path(folder, f"b{suffix}")
        assert run_job(source, undisturbed) == Done(count, len(range(3, count, 5)), 0)
        for call, writes in cuts:
            with cut_off_at(call, PowerCut(), writes=writes), suppress(PowerCut):
                run_job(source, target, in_batches=in_batches)
            assert not target.exists() or target.read_bytes() == undisturbed.read_bytes()
        run_job(source, target, in_batches=in_batches)
        assert target.read_bytes() == undisturbed.read_bytes()
        assert sorted(os.listdir(folder)) == sorted(["in.jsonl", undisturbed.name, target.name])


@pytest.mark.parametrize(
    ("suffix", "once"), [(".csv", True), (".csv", False), (".jsonl.gz", True), (".parquet", False)]
)
def test_a_full_disk_at_any_moment_leaves_a_job_to_resume(
    suffix: str, once: bool, tmp_path: Path
) -> None:
    source = write_texts(tmp_path / "in.jsonl", 9)
    undisturbed = tmp_path / f"undisturbed{suffix}"
    with cut_off_at(1000, PowerCut()) as calls:
        run_job(source, undisturbed)
    assert len(calls) > 20
    for call in range(len(calls)):
        target = tmp_path / f"{call}{suffix}"
        full = OSError(errno.ENOSPC, "No space left on device")
        with (
            cut_off_at(call, full, writes=True, once=once),
            pytest.raises(AlbertEdgeError) as caught,
        ):
            run_job(source, target)
        assert f"{target} cannot be written: No space left on device." in str(caught.value)
        assert "resume" in caught.value.tip
        assert not target.exists() or target.read_bytes() == undisturbed.read_bytes()
        kept = re.search(r"Answers kept: ([\d,]+)", str(caught.value))
        done = run_job(source, target)
        assert done is None or done.kept == (int(kept.group(1)) if kept else 0)
        assert target.read_bytes() == undisturbed.read_bytes()


def test_a_changed_input_is_noticed(tmp_path: Path) -> None:
    source, target = write_texts(tmp_path / "in.jsonl", 30), tmp_path / "out.csv"
    with cut_off_at(60, PowerCut()), pytest.raises(PowerCut):
        run_job(source, target)
    lines = source.read_text().splitlines(keepends=True)
    journal = json.loads((tmp_path / "out.csv.part" / "journal.json").read_text())
    assert 7 <= journal["rows"] < 28
    kept = None
    for place in range(30):
        source.write_text(
            "".join([*lines[:place], '{"id": 0, "text": "new"}\n', *lines[place + 1 :]])
        )
        shutil.copytree(tmp_path / "out.csv.part", tmp_path / f"{place}.csv.part")
        try:
            done = run_job(source, tmp_path / f"{place}.csv")
            kept = done and done.kept
        except UsageError as error:
            assert "The input has changed" in str(error)
            assert kept is None
    assert kept and journal["rows"] <= kept < 30


def test_two_processes_cannot_write_one_output(tmp_path: Path) -> None:
    source, target = write_texts(tmp_path / "in.jsonl", 3), tmp_path / "out.csv"
    with (
        open_folder(target, "resume", {"model": "arithmetic"}),
        pytest.raises(UsageError, match="Another process is writing"),
    ):
        run_job(source, target)
    assert run_job(source, target) == Done(3, 0, 0)


def test_a_folder_that_others_can_change_is_not_used_in_a_shared_place(tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    folder = tmp_path / "out.jsonl.part"
    folder.mkdir()
    folder.chmod(0o777)
    tmp_path.chmod(0o1777)  # as the system's folder for temporary files
    expected = r"others can change out\.jsonl\.part"
    with pytest.raises(AlbertEdgeError, match=expected), open_folder(target, "replace", {}):
        pass
    assert [*folder.iterdir()] == []
    folder.chmod(0o700)
    with open_folder(target, "replace", {}):
        assert folder.is_dir()
    assert not folder.exists()


def test_a_damaged_job_is_started_anew(tmp_path: Path) -> None:
    source, target = write_texts(tmp_path / "in.jsonl", 30), tmp_path / "out.csv"
    with cut_off_at(60, PowerCut()), pytest.raises(PowerCut):
        run_job(source, target)
    (tmp_path / "out.csv.part" / "segments").write_bytes(b"")
    with pytest.raises(AlbertEdgeError, match="is damaged") as caught:
        run_job(source, target)
    assert "force" in caught.value.tip
    assert run_job(source, target, "replace") == Done(30, 6, 0)
    with pytest.raises(UsageError, match="exists already"):
        run_job(source, target, "refuse")
    assert run_job(source, target) is None


@given(st.lists(st.sampled_from(["good", "bad", "invalid"]), max_size=30))
def test_answers_and_errors_keep_the_order_of_the_records(kinds: list[str]) -> None:
    def rows() -> Iterator[Row]:
        for number, kind in enumerate(kinds, 1):
            error = RecordError("It is invalid.", tip="") if kind == "invalid" else None
            yield Row(number, None if error else {"text": f"a {kind}"}, error, 0)

    with mock.patch.object(labeller, "STREAM_ROWS", 4):
        maker = Labeller(TEXT.item, lambda items: map(answer, items), keep_errors=True)
        outcomes = list(maker.outcomes(rows()))
    assert [row.number for row, _ in outcomes] == list(range(1, len(kinds) + 1))
    for kind, (_, outcome) in zip(kinds, outcomes, strict=True):
        assert (outcome.answer is not None) == (kind == "good")
        assert (outcome.error is None) == (kind == "good")
