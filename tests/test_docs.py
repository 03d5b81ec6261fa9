"""What the documents show works, what they link to is there, and what is checked in is fit to be.

Every ```python, ```console and ```bash block of a guide runs, in the order of the page and in one
folder, as a reader would run them.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "models/langid-tiny"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
SHELLS = ("console", "bash", "sh", "shell")

# Set-up commands: the environment the tests run in was made by them already.
SET_UP = ("pip", "git", "cd", "source", "python -m venv", "python3 -m venv")


def repository() -> list[Path]:
    """Every file that is checked in or would be."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


FILES = repository()
PAGES = [path for path in FILES if path.suffix == ".md"]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())


def blocks(page: Path) -> list[tuple[str, str]]:
    """The fenced blocks of a page: language and content."""
    return FENCE.findall(page.read_text(encoding="utf-8"))


def commands(language: str, block: str) -> list[str]:
    """The commands of a shell block; in a console those after the prompt, else every line."""
    lines = re.sub(r"\\\n\s*", "", block).splitlines()
    if language == "console":
        return [line[2:].strip() for line in lines if line.startswith("$ ")]
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def shown(page: Path) -> list[str]:
    """Every shell command of a page."""
    return [
        line for kind, block in blocks(page) if kind in SHELLS for line in commands(kind, block)
    ]


def program_of(page: Path) -> list[tuple[str, str]]:
    """The steps of a guide that run, in order: ("python", code) and ("shell", command)."""
    steps = []
    for language, block in blocks(page):
        if language == "python":
            steps.append(("python", block))
        elif language in SHELLS:
            lines = commands(language, block)
            steps += [("shell", line) for line in lines if line.startswith("albert-edge")]
    return steps


# Runs steps one after the other: all Python in one namespace, as in one session of a reader.
DRIVER = """
import json, subprocess, sys
namespace = {"__name__": "__main__"}
for number, (kind, text) in enumerate(json.load(open(sys.argv[1]))):
    print(f"step {number}: {text.strip()}", flush=True)
    if kind == "python":
        exec(compile(text, f"step {number}", "exec"), namespace)
    else:
        subprocess.run(["bash", "-c", text], check=True)
"""


def follow(steps: list[tuple[str, str]], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run steps in a folder that has what the guides speak of: the models folder."""
    shutil.copytree(SHIPPED, folder / "models/langid-tiny")
    (folder / "steps.json").write_text(json.dumps(steps))
    programs = Path(sys.executable).parent
    return subprocess.run(
        [sys.executable, "-c", DRIVER, "steps.json"],
        cwd=folder,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=120,
    )


# --- guides ---------------------------------------------------------------------------------


def test_readme_works(tmp_path: Path) -> None:
    steps = program_of(ROOT / "README.md")
    # Both roads are shown: the command line and Python.
    assert {kind for kind, _ in steps} == {"python", "shell"}
    done = follow(steps, tmp_path)
    assert done.returncode == 0, done.stdout


def test_readme_shows_the_main_commands() -> None:
    told = {shlex.split(line)[1] for line in shown(ROOT / "README.md") if "albert-edge " in line}
    assert {"export", "optimize", "predict"} <= told


def test_a_guide_that_is_wrong_is_noticed(tmp_path: Path) -> None:
    """Else the test above would prove nothing."""
    wrong = tmp_path / "guide.md"
    for block in (
        "```console\n$ albert-edge export langid-tiny\n$ albert-edge predict other 'a'\n```\n",
        "```python\nx = 1\n```\n\n```python\nassert x == 2\n```\n",
    ):
        wrong.write_text(block)
        assert follow(program_of(wrong), tmp_path / str(len(block))).returncode != 0


def test_model_card_works(tmp_path: Path) -> None:
    steps = [step for step in program_of(SHIPPED / "README.md") if step[0] == "python"]
    assert steps
    answer = "print(classify('Wo ist der Bahnhof?')[0]['label'])"
    done = follow([*steps, ("python", answer)], tmp_path)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == "de"


@each_page
def test_commands_shown_are_known(page: Path) -> None:
    """Those that are not run: make has the target, pip the extra, python the script."""
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for line in shown(page):
        command = shlex.split(line, comments=True)
        if command[0] == "make":
            assert set(command[1:]) <= set(targets), line
        elif command[0].endswith(("python", "python3")) and command[1].endswith(".py"):
            assert (ROOT / command[1]).exists() or (page.parent / command[1]).exists(), line
        else:
            assert line.startswith((*SET_UP, "albert-edge", ".venv/", ".ci/run")), line
        for extras in re.findall(r"(?:albert-edge|\.)\[([\w,]+)\]", line):
            assert set(extras.split(",")) <= set(project["optional-dependencies"]), line


@each_page
def test_python_shown_compiles(page: Path) -> None:
    for language, block in blocks(page):
        if language == "python":
            assert compile(block, str(page), "exec")
    text = page.read_text(encoding="utf-8")
    assert text.count("\n```") % 2 == 0  # every fence is closed


# --- links ----------------------------------------------------------------------------------


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for link in LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, heading = link.partition("#")
        target = page.parent / path if path else page
        assert target.resolve().is_relative_to(ROOT)
        assert target.exists(), link
        if heading:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", h).strip().lower().replace(" ", "-") for h in headings}
            assert heading in slugs, link


# --- examples -------------------------------------------------------------------------------


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_example_runs(example: Path, tmp_path: Path) -> None:
    here, scratch = tmp_path / "here", tmp_path / "scratch"
    here.mkdir()
    scratch.mkdir()
    done = subprocess.run(
        [sys.executable, str(example)],
        cwd=here,
        env={**os.environ, "TMPDIR": str(scratch)},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()
    # It cleans up after itself.
    assert not [*here.iterdir(), *scratch.iterdir()]


def test_examples_are_listed() -> None:
    page = (ROOT / "examples/README.md").read_text(encoding="utf-8")
    assert EXAMPLES
    assert set(LINK.findall(page)) >= {path.name for path in EXAMPLES}
    assert all(
        link in {path.name for path in EXAMPLES} for link in re.findall(r"\((\w+\.py)\)", page)
    )


# --- what is checked in ---------------------------------------------------------------------

# Pieced together, so that this file does not itself hold what it looks for.
MACHINE_PATHS = re.compile(
    r"(?<![\w./<])/(?:" + "|".join(("work", "root", "tmp")) + r")(?=[/\s\"'`])"
)
INDEX_HOSTS = re.compile(r"(?:pypi|pythonhosted|download\.pytorch|anaconda)" + r"\.(?:org|com)")


def test_files_are_small() -> None:
    assert {path.name for path in FILES if path.stat().st_size >= 4_000_000} == set()


def test_files_hold_no_path_of_a_machine_and_no_package_index() -> None:
    assert MACHINE_PATHS.search("cd /" + "work/main")
    assert INDEX_HOSTS.search("https://pypi" + ".org/simple")
    found = []
    for path in FILES:
        text = path.read_bytes().decode("utf-8", errors="replace")
        for pattern in (MACHINE_PATHS, INDEX_HOSTS):
            found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in pattern.finditer(text)]
    assert not found


def test_pins_name_no_address() -> None:
    """A constraint is a name and a version; where to download it from is the user's affair."""
    for path in (ROOT / "constraints").glob("*.txt"):
        for line in path.read_text().splitlines():
            entry = line.partition("#")[0].strip()
            allowed = r"|[\w.-]+==[\w.+!]+( ;.*)?|-[cr] \w+\.txt|--constraint \w+\.txt"
            assert re.fullmatch(allowed, entry), f"{path.name}: {line}"
