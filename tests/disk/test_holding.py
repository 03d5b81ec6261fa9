"""A folder that one process at a time holds: taken over from the dead, never from the living."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from albert_edge.disk import locks
from albert_edge.disk.holding import HeldError, hold
from albert_edge.disk.owner import LEASE, Owner, new_owner, parse_owner

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def no_effect(*_: object) -> None:
    """Lock nothing, and say nothing."""


def not_there(*_: object) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


@pytest.fixture(params=["flock", "no effect", "not there", "windows"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The kinds of locks that there are."""
    if request.param == "windows":
        real = fcntl.flock
        windows = ModuleType("msvcrt")
        windows.LK_NBLCK = 2  # type: ignore[attr-defined]
        flags = fcntl.LOCK_EX | fcntl.LOCK_NB
        windows.locking = lambda descriptor, *_: real(descriptor, flags)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "msvcrt", windows)
        monkeypatch.setattr(locks, "fcntl", None)
    elif request.param != "flock":
        fault = {"no effect": no_effect, "not there": not_there}[request.param]
        monkeypatch.setattr(fcntl, "flock", fault)
    return str(request.param)


def in_child(act: Callable[[], object]) -> int:
    """Run something in a forked process, and return its exit code, or the negative signal."""
    process = os.fork()
    if process == 0:
        try:
            act()
            os._exit(0)
        except HeldError:
            os._exit(1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def take(path: Path) -> None:
    with hold(path) as held:
        assert held.path == path


def die_with(path: Path) -> None:
    with hold(path):
        (path / "staged").mkdir()
        (path / "staged" / "file").write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)


def test_it_is_removed_with_what_is_in_it(tmp_path: Path, system: str) -> None:
    with hold(tmp_path / "held"):
        (tmp_path / "held" / "file").write_text("x")
    with pytest.raises(RuntimeError), hold(tmp_path / "held"):
        raise RuntimeError
    assert [*tmp_path.iterdir()] == []


def test_others_are_refused_while_it_is_held(tmp_path: Path, system: str) -> None:
    with hold(tmp_path / "held"):
        assert in_child(lambda: take(tmp_path / "held")) == 1
        with pytest.raises(HeldError):
            take(tmp_path / "held")
    assert in_child(lambda: take(tmp_path / "held")) == 0
    assert [*tmp_path.iterdir()] == []


def test_the_next_one_takes_it_from_one_that_was_killed(tmp_path: Path, system: str) -> None:
    for _ in range(3):
        assert in_child(lambda: die_with(tmp_path / "held")) == -signal.SIGKILL
        assert (tmp_path / "held" / "staged").exists()
    with hold(tmp_path / "held"):
        assert not (tmp_path / "held" / "staged").exists()
        assert in_child(lambda: take(tmp_path / "held")) == 1
    assert [*tmp_path.iterdir()] == []


def test_what_was_not_removed_to_the_end_is_removed(tmp_path: Path, system: str) -> None:
    aside = tmp_path / "held-18a3f2b47c09d5e1"
    aside.mkdir()
    (aside / "file").write_text("x")
    for mine in ("held-notes", "held-add", "held"[:-1]):
        (tmp_path / mine).write_text("x")
    take(tmp_path / "held")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hel", "held-add", "held-notes"]


def test_a_file_in_place_of_an_owner_is_a_dead_one(tmp_path: Path, system: str) -> None:
    (tmp_path / "held").mkdir(mode=0o700)
    (tmp_path / "held" / "0").write_text("x")
    with hold(tmp_path / "held") as held:
        assert system == "windows" or held.turn == 1
        assert not (tmp_path / "held" / "0").exists()
    assert [*tmp_path.iterdir()] == []


def test_links_that_cannot_be_made_name_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: str, target: str, **_: object) -> None:
        raise OSError(errno.EIO, "Input/output error", source, None, target)

    monkeypatch.setattr(os, "symlink", refuse)
    monkeypatch.setattr(fcntl, "flock", not_there)
    with pytest.raises(OSError, match="Input") as caught:
        take(tmp_path / "held")
    assert (caught.value.filename, caught.value.filename2) == (str(tmp_path / "held"), None)


@pytest.mark.parametrize("whose", ["mine", "of another user", "writable by others"])
@pytest.mark.parametrize("place", ["shared", "own"])
def test_a_folder_that_others_can_change_is_not_used_in_a_shared_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, whose: str
) -> None:
    held = tmp_path / "held"
    held.mkdir()
    held.chmod(0o777 if whose == "writable by others" else 0o700)
    tmp_path.chmod(
        0o1777 if place == "shared" else 0o755
    )  # as the system's folder for temporary files
    if whose == "of another user":
        user = os.geteuid() + 1
        monkeypatch.setattr(os, "geteuid", lambda: user)
    if place == "shared" and whose != "mine":
        with pytest.raises(PermissionError, match="others can change held") as caught:
            take(held)
        assert caught.value.filename == str(held)
    else:
        take(held)
        assert not held.exists()


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine").write_text("x")
    (tmp_path / "held").symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="held"):
        take(tmp_path / "held")
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["mine"]


# --- owners elsewhere -----------------------------------------------------------------------


def owned(path: Path, owner: Owner, seconds_ago: float = 0) -> Path:
    path.mkdir()
    (path / "0").symlink_to(str(owner))
    when = time.time() - seconds_ago
    os.utime(path, (when, when))
    os.utime(path / "0", (when, when), follow_symlinks=False)
    return path


ELSEWHERE = Owner("another-machine", "3f1c/4026531836", 1, "77", 0)


def test_an_owner_on_another_machine_has_ten_minutes(tmp_path: Path) -> None:
    owned(tmp_path / "new", ELSEWHERE, LEASE - 60)
    with pytest.raises(HeldError, match="process 1 on another-machine"):
        take(tmp_path / "new")
    owned(tmp_path / "old", ELSEWHERE, LEASE + 60)
    take(tmp_path / "old")
    working = owned(tmp_path / "working", ELSEWHERE, LEASE + 60)
    (working / "staged").write_text("still growing")
    with pytest.raises(HeldError):
        take(tmp_path / "working")


def test_one_that_was_taken_for_dead_is_told(tmp_path: Path) -> None:
    with hold(tmp_path / "held") as held:
        held.require()
        (tmp_path / "held" / "1").symlink_to(str(ELSEWHERE))
        with pytest.raises(HeldError):
            held.require()
    assert (tmp_path / "held" / "1").is_symlink()  # it is of somebody else now


def test_owners_that_can_be_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def lives(owner: Owner, *, is_locked: bool = True) -> bool:
        return owner.lives(time.time, is_locked=is_locked)

    here = new_owner()
    assert parse_owner(str(here)) == here
    assert parse_owner("lock") is None
    assert not lives(here)  # of this process, and it does not hold it
    here.begin()
    assert lives(here)
    here.end()
    if not here.start:
        pytest.skip("needs /proc")
    parent = Owner(here.host, here.space, os.getppid(), "1", 0)
    assert not lives(parent)  # another process had this id
    kernel = here.space.partition("/")[0]
    container = Owner("container", f"{kernel}/1", 1, "5", 0)
    assert not lives(container, is_locked=True)
    assert lives(container, is_locked=False)
    assert not lives(Owner(here.host, "before/1", 1, "5", 0), is_locked=False)
