"""Files that appear as a whole, and errors that name what could not be written."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path

import pytest

from albert_edge.disk.writing import create, replaced, scratch_folder
from albert_edge.errors import AlbertEdgeError, BundleError


def full() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write(path: Path) -> None:
    with replaced(path) as file:
        file.write(b"new")


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with replaced(path) as file:
        file.write(b"old")
        assert not path.exists()
    with pytest.raises(RuntimeError), replaced(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert [*tmp_path.iterdir()] == [path]


def test_a_file_that_only_its_owner_may_read_stays_so(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    for mode in (0o600, 0o640, 0o755):
        path.chmod(mode)
        write(path)
        assert path.read_bytes() == b"new"
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_errors_name_the_target(tmp_path: Path) -> None:
    path = tmp_path / "file"
    expected = f"{path} cannot be written: No space left on device."
    with pytest.raises(BundleError) as caught, replaced(path, kind=BundleError):
        raise full()
    assert str(caught.value) == expected
    with replaced(path), pytest.raises(AlbertEdgeError, match="Another process is writing"):
        write(path)
    with pytest.raises(AlbertEdgeError, match="No such file or directory"):
        write(tmp_path / "missing" / "file")


def test_a_write_that_fails_names_its_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space") as caught, create(tmp_path / "file"):
        raise full()
    assert caught.value.filename == str(tmp_path / "file")


def test_temporary_files_without_room_name_their_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    expected = f"written to {tmp_path}: No space"
    with (
        pytest.raises(AlbertEdgeError, match=expected) as caught,
        scratch_folder() as folder,
        create(folder / "file"),
    ):
        raise full()
    assert "TMPDIR" in caught.value.tip
    with pytest.raises(FileNotFoundError), scratch_folder():
        (tmp_path / "of others").read_bytes()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    expected = "Temporary files cannot be written"
    with pytest.raises(AlbertEdgeError, match=expected), scratch_folder():
        pass
    monkeypatch.setattr(tempfile, "tempdir", None)
    assert [*tmp_path.iterdir()] == []
