"""What is published: equal bytes of two builds, accepted licences, workflows that are pinned."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from support.paths import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def _release(code: str) -> str:
    """Run code that imports the scripts of release/."""
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, 'release'); {code}"]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize(
    ("metadata", "licence", "accepted"),
    [
        ({"license_expression": "MIT", "license": "text"}, "MIT", True),
        ({"license": "Apache 2.0"}, "Apache-2.0", True),
        ({"license": "3-Clause BSD License"}, "BSD-3-Clause", True),
        ({"classifier": ["License :: OSI Approved :: MIT License"]}, "MIT", True),
        ({"license": "Copyright (c)\nPermission is...", "classifier": []}, None, False),
        ({}, None, False),
        ({"license_expression": "GPL-3.0-only"}, "GPL-3.0-only", False),
        ({"license_expression": "GPL-2.0-only OR MIT"}, "GPL-2.0-only OR MIT", True),
        ({"license_expression": "GPL-2.0-only AND MIT"}, "GPL-2.0-only AND MIT", False),
        ({"license": "Other/Proprietary License"}, "LicenseRef-NVIDIA-Proprietary", False),
    ],
    ids=str,
)
def test_licences(metadata: dict[str, Any], licence: str | None, accepted: bool) -> None:
    pytest.importorskip("license_expression")
    metadata = {"name": "package", **metadata}
    code = f"import licences as l; m = {metadata!r}; e = l.licence_of(m); import json; "
    found = json.loads(_release(f"{code}print(json.dumps([e, l.is_accepted('package', e)]))"))
    assert found == [licence, accepted]


def test_only_the_folder_of_an_earlier_run_is_emptied(tmp_path: Path) -> None:
    """Also of one that failed before it wrote the sums."""
    own, other = tmp_path / "own", tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").touch()
    code = "from archives import make_empty; from pathlib import Path; "
    _release(f"{code} p = Path({str(own)!r}); make_empty(p); (p / 'wheel').touch(); make_empty(p)")
    assert [path.name for path in own.iterdir()] == ["SHA256SUMS"]
    with pytest.raises(subprocess.CalledProcessError) as caught:
        _release(f"{code} make_empty(Path({str(other)!r}))")
    assert "has no SHA256SUMS. Nothing was removed." in caught.value.stderr
    assert (other / "thesis.txt").is_file()


def test_builds_are_the_same(tmp_path: Path) -> None:
    """The script builds twice and compares; here, what else may not depend on the builder."""
    pytest.importorskip("hatchling")
    code = f"from archives import build; from pathlib import Path; build(Path({str(tmp_path)!r}))"
    _release(code)
    [sdist], [wheel] = tmp_path.glob("*.tar.gz"), tmp_path.glob("*.whl")
    with tarfile.open(sdist) as tar:
        members = tar.getmembers()
    epoch = subprocess.run(
        ["git", "log", "-1", "--format=%ct"], cwd=ROOT, check=True, capture_output=True
    ).stdout
    assert {member.mtime for member in members} == {int(epoch)}
    assert {(member.uid, member.gid, member.uname) for member in members} == {(0, 0, "")}
    names = zipfile.ZipFile(wheel).namelist()
    assert "albert_edge/cli/app.py" in names
    assert not [name for name in names if re.match(r"(tests|release|\.github)/", name)]


def test_workflows_are_pinned_and_have_no_rights_they_do_not_need() -> None:
    """As far as plain text shows; `make workflows` runs the linters."""
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "release.yml"]
    for path in WORKFLOWS:
        text = path.read_text(encoding="utf-8")
        uses = re.findall(r"uses: (\S+)(.*)", text)
        assert uses
        for action, comment in uses:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action), action
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action
        assert "\npermissions: {}\n" in text
        assert "pull_request_target" not in text and "secrets." not in text
        # What others choose, such as the name of a branch, is not pasted into a shell.
        for script in re.findall(r"run: (?:\|\n(?: {10}.*\n)+|.*)", text):
            assert "${{" not in script


def test_the_release_tests_every_system_and_version() -> None:
    text = (ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8")
    assert "os: [ubuntu-24.04, ubuntu-24.04-arm, windows-2025, macos-15]" in text
    assert 'python: ["3.11", "3.12", "3.13", "3.14"]' in text
    assert re.search(r"publish:\n.*\n    needs: test\n", text)
