"""The documentation works: its snippets run, its links resolve, its tables match the code.

Every ```python, ```console and ```bash block of a guide runs in the order of the page and in one
folder, as a reader would run them. Files that are checked in are small and name no machine.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.checkpoints import make_model
from support.pages import FENCE, blocks, code, table
from support.paths import ROOT

import albert_edge
from albert_edge.architecture.heads import HEAD_OF_TASK
from albert_edge.architecture.precisions import ON_CPU
from albert_edge.benchmark.peers import PEERS
from albert_edge.errors import AlbertEdgeError
from albert_edge.runtime import variants
from albert_edge.runtime.providers import PROVIDERS
from albert_edge.runtime.signature import CALLS, CONSTRUCTION, MODEL_KWARGS, TOKENIZER
from albert_edge.runtime.tasks import find_task, pipeline_class

pytestmark = pytest.mark.slow

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REPOSITORY = PROJECT["urls"]["Repository"] + "/blob/main/"
SHIPPED = ROOT / "models/langid-tiny"
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
SHELLS = ("console", "bash", "sh", "shell")

EXTRAS = re.compile(r"(?:albert-edge|\.)\[([\w,]+)\]")

# Set-up commands: the environment of the tests was created with them.
SET_UP = (
    *("pip", "git", "cd", "source", "python -m venv", "python3 -m venv"),
    *("npm install", "pyinstaller", "python3 -m http.server"),
    *("mkdir", "cp", "scp", "sudo", "venv/bin/albert-edge"),
)


def repository() -> list[Path]:
    """Every file that is checked in, or would be by `git add`."""
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

GUIDES = [path for path in PAGES if not path.is_relative_to(ROOT / "tests")]

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())


def commands(language: str, block: str) -> list[str]:
    """The commands of a shell block: in a console the lines after a prompt, otherwise all lines."""
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
    """The steps of a guide in order: ("python", code) and ("shell", command)."""
    steps = []
    for language, block in blocks(page):
        if language == "python":
            steps.append(("python", block))
        elif language in SHELLS:
            lines = commands(language, block)
            steps += [("shell", line) for line in lines if line.startswith("albert-edge")]
    return steps


# Runs steps one after the other, all Python in one namespace, like a reader in one session.
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
    """Run steps in a folder with the model that ships, as the guides assume."""
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
        timeout=600,
    )


# --- guides ---------------------------------------------------------------------------------


# Bundles that the guides use as placeholders: the head, and settings of the configuration. They
# have random weights and the tokenizer of the model that ships.
STAND_INS: dict[str, tuple[str, dict[str, Any]]] = {
    "choices": ("multiple-choice", {}),
    "entities": ("token-classification", {"num_labels": 5}),
    "features": ("feature-extraction", {}),
    "masked": ("fill-mask", {}),
    "nli": ("text-classification", {"id2label": {0: "ENTAILMENT", 1: "NEUTRAL", 2: "OTHER"}}),
    "pretraining": ("pretraining", {}),
    "ranker": ("text-classification", {"num_labels": 1}),
    "sentences": ("feature-extraction", {}),
    "squad": ("question-answering", {}),
}

# Checks of each guide after its last step, in the variables of the guide.
HOLDS = {
    "pipelines.md": """
pair_of = {"label", "score"}
assert [set(entry) for entry in one] == [pair_of] and one[0]["label"] == "en"
assert [[set(entry) for entry in each] for each in several] == [[pair_of] * 2] * 2
assert set(pair) == pair_of and pair["label"] == "de"
place = {"score", "word", "start", "end"}
assert tokens and all(set(entry) == place | {"entity", "index"} for entry in tokens)
for entities in (groups, long):
    assert entities and all(set(entry) == place | {"entity_group"} for entry in entities)
assert [set(entry) for entry in words[0]] == [place | {"entity", "index"}] * len(words[0])
assert long[-1]["end"] > 6000
assert context[answer["start"]:answer["end"]] == answer["answer"]
assert len(three) == 3 and len(both) == 2
assert {*answer, *perhaps, *book} == {"score", "start", "end", "answer"}
filled = {"score", "token", "token_str", "sequence"}
assert len(best) == 5 and all(set(entry) == filled for entry in best)
assert [entry["token_str"] for entry in chosen] != [entry["token_str"] for entry in best]
assert [len(each) for each in two_masks] == [2, 2]
assert array.tolist() == lists and array.ndim == 3
assert sorted(topic["labels"]) == ["cooking", "travel"] and len(topics) == 2
assert abs(sum(topic["scores"]) - 1) < 1e-6 < abs(sum(topics[0]["scores"]) - 1)
assert vectors.shape == (2, one_vector.size) and abs(similarity[0, 0] - 1) < 1e-6
assert isinstance(score, float) and [set(entry) for entry in ranked] == [{"corpus_id", "score"}]
assert choice == order[0] and len(order) == 3 and set(choice) == {"label", "score", "index"}
assert label == both_labels[0]
assert {entry["label"] for entry in both_labels} == {"in-order", "swapped"}
assert a_list == [first, *(next(an_iterator) for _ in range(2))]
assert (classify_here.session.threads, classify_here.device) == (2, "cpu")
""",
    "devices.md": "",
    "quantization.md": """
import albert_edge
variants = albert_edge.open_bundle("langid").manifest.variants
assert {variant.precision for variant in variants} == {"fp32", "int8", "int4"}
""",
    "specialize.md": """
import albert_edge
variants = albert_edge.open_bundle("langid-fast").manifest.variants
assert "int8-exits" in {variant.mode for variant in variants}
assert 1 <= answer["layers"] <= 4 and answer["label"] == "de"
""",
    "troubleshooting.md": """
assert len(albert_edge.open_bundle("langid").manifest.variants) == 1  # nothing was written
""",
    "quickstart.md": """
assert answer[0]["label"] == "en" and [each[0]["label"] for each in answers] == ["de", "zh"]
assert open("langid.html", encoding="utf-8").read().startswith("<!doctype html>")
""",
    "bench.md": "assert report.baseline == 'albert-edge fp32' and latency.ratio == 1",
    "bundle.md": "assert check is not None and check.holds",
    "doctor.md": "assert 'cpu' in [check.name for check in report.providers if check.runs]",
    "evaluate.md": """
assert report.examples == 100 and report.precisions[0].metrics["accuracy"] == 0.99
assert accuracy.metric == "accuracy" and accuracy.low <= accuracy.value <= accuracy.high
""",
    "files.md": """
import csv, os
rows = list(csv.DictReader(open("both.csv", encoding="utf-8", newline="")))
assert [row["label"] for row in rows] == ["en", "de", "fr"] * 100
assert [row["second_label"] for row in rows] == ["en", "de", "fr"] * 100
assert os.path.getsize("answers.parquet") > 1000 and not os.path.exists("answers.csv.part")
""",
    "embedding.md": "assert future.result()[0]['label'] == 'fr' and len(answers) == 30",
}


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the bundles of `STAND_INS`."""
    root = tmp_path_factory.mktemp("stand-ins")
    for name, (task, config) in STAND_INS.items():
        checkpoint = root.parent / f"{root.name}-checkpoints" / name
        make_model(task, vocab_size=4000, **config).save_pretrained(checkpoint)
        for file in SHIPPED.glob("*token*.json"):
            shutil.copyfile(file, checkpoint / file.name)
        albert_edge.export(checkpoint, root / name)
    return root


@pytest.mark.parametrize("name", HOLDS)
def test_guide_works(name: str, stand_ins: Path, tmp_path: Path) -> None:
    steps = program_of(ROOT / "docs" / name)
    assert len(steps) >= 3
    shutil.copytree(stand_ins, tmp_path, dirs_exist_ok=True)
    done = follow([*steps, ("python", HOLDS[name])], tmp_path)
    assert done.returncode == 0, done.stdout
    if name == "pipelines.md":
        assert "takes at most 256." in done.stdout
    if name == "evaluate.md":
        shown = [
            line for line in (ROOT / "docs" / name).read_text().splitlines() if "fp32 " in line
        ]
        printed = [line.rstrip() for line in done.stdout.splitlines()]
        assert len(shown) >= 3  # int4 may round otherwise on other CPUs
        assert [line for line in shown if line.startswith(("accuracy", "matthews"))] == [
            line for line in printed if re.match("(accuracy|matthews) .*fp32", line)
        ][:2]
    if name == "troubleshooting.md":
        assert "BundleError 1" in done.stdout and "cosine" in done.stdout
    if name == "embedding.md":
        assert "not valid Unicode" in done.stdout


def shown_output(page: Path) -> list[str]:
    """The output a page shows: lines after a command, and comments below a print."""
    lines = []
    for language, block in blocks(page):
        if language == "console":
            lines += [line for line in block.splitlines() if not line.startswith("$ ")]
        elif language == "python":
            lines += [line.strip()[2:] for line in block.splitlines() if line.strip()[:2] == "# "]
    return lines


def rounded(text: str) -> str:
    """A text with its numbers to two decimals: the last ones differ between kinds of CPU."""
    return re.sub(r"\d+\.\d{3,}", lambda match: f"{float(match[0]):.2f}", text)


def test_readme_works_and_prints_what_it_shows(tmp_path: Path) -> None:
    steps = program_of(ROOT / "README.md")
    # Both interfaces are shown: the command line and Python.
    assert {kind for kind, _ in steps} == {"python", "shell"}
    done = follow(steps, tmp_path)
    assert done.returncode == 0, done.stdout
    printed = [rounded(line) for line in done.stdout.splitlines()]
    expected = shown_output(ROOT / "README.md")
    assert len(expected) >= 6
    assert [line for line in expected if rounded(line) not in printed] == []


def test_readme_begins_with_the_two_commands_and_shows_the_main_ones() -> None:
    first, second, *_ = shown(ROOT / "README.md")
    assert (first.split()[:2], second.split()[:2]) == (["make", "demo"], ["make", "test"])
    verbs = {shlex.split(line)[1] for line in shown(ROOT / "README.md") if "albert-edge " in line}
    assert {"export", "quantize", "predict"} <= verbs


def test_a_guide_that_is_wrong_is_noticed(tmp_path: Path) -> None:
    """Otherwise the test above would prove nothing."""
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
    """Also commands that the tests do not run: the target, extra or script exists."""
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for line in shown(page):
        command = shlex.split(line, comments=True)
        if command[0] == "make":
            assert set(command[1:]) <= set(targets), line
        elif command[0].endswith(("python", "python3", "node")) and "." in command[1]:
            assert (ROOT / command[1]).exists() or (page.parent / command[1]).exists(), line
        else:
            assert line.startswith((*SET_UP, "albert-edge", ".venv/", ".ci/run")), line
        for extras in EXTRAS.findall(line):
            assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"]), line


@each_page
def test_installs_work_without_a_package_index_that_has_albert_edge(page: Path) -> None:
    """Commands install from the folder; an extra may be added to what is installed already."""
    online = [line for line in shown(page) if "pip install" in line and "--no-index" not in line]
    assert [line for line in online if "albert-edge[" in line] == []
    text = page.read_text(encoding="utf-8")
    if "pip install 'albert-edge[" in text:
        assert page.name == "quickstart.md" or "quickstart.md#install" in text


@each_page
def test_python_shown_compiles(page: Path) -> None:
    for language, block in blocks(page):
        if language == "python":
            assert compile(block, str(page), "exec")
    text = page.read_text(encoding="utf-8")
    assert text.count("\n```") % 2 == 0  # every fence is closed


# --- tables ---------------------------------------------------------------------------------


def test_every_pipeline_is_in_the_table_with_its_parameters() -> None:
    everywhere = {"truncation", "max_length", "padding"}
    found = []
    for names, head, _, _, parameters, _ in table(ROOT / "docs/pipelines.md", "task | head"):
        task, *aliases = code(names)
        found.append(task)
        assert [find_task(alias) for alias in aliases] == [task] * len(aliases)
        assert head == HEAD_OF_TASK[task]
        taken = pipeline_class(task).kind.parameter_names()
        assert set(code(parameters)) == {*taken} - everywhere
        if task == "question-answering":
            assert everywhere & {*taken} == {"padding"}
        else:
            assert everywhere <= {*taken}
    assert sorted(found) == sorted(HEAD_OF_TASK)


def argument_rows() -> Iterator[str]:
    """The rows of transformers' arguments; those that share name and meaning stand elsewhere."""
    tables = {"`pipeline(...)`": CONSTRUCTION, "`model_kwargs`": MODEL_KWARGS}
    for scope, handlings in {**tables, "the tokenizer": TOKENIZER, **CALLS}.items():
        alike: dict[tuple[str, str], list[str]] = {}
        for name, handling in handlings.items():
            passed_on = handlings is not TOKENIZER and TOKENIZER.get(name) is handling
            if not passed_on and (handling.note or handling.outcome != "used"):
                alike.setdefault((handling.outcome, handling.note), []).append(f"`{name}`")
        for (outcome, note), names in alike.items():
            dropped = note == "as in transformers"
            shown = "arguments of the tokenizer" if dropped else ", ".join(names)
            yield f"| {scope} | {shown} | {outcome} | {note} |"


def test_the_arguments_of_transformers_are_in_the_table() -> None:
    page = (ROOT / "docs/pipelines.md").read_text(encoding="utf-8")
    rows = page.partition("| argument of | name |")[2].splitlines()[2:]
    assert list(itertools.takewhile(bool, rows)) == [*argument_rows()]


def test_every_stand_in_is_explained() -> None:
    rows = table(ROOT / "docs/pipelines.md", "bundle")
    assert {name for cell, _ in rows for name in code(cell)} == {*STAND_INS}
    recipes = {path.stem for path in (ROOT / "models").glob("*.toml")}
    shown = [code(source)[:1] for _, source in rows]
    assert sum(name in recipes for names in shown for name in names) >= 5


def test_every_device_is_in_the_table_with_what_brings_it() -> None:
    rows = table(ROOT / "docs/devices.md", "device | execution provider")
    assert [code(names)[0] for names, _, _ in rows] == list(PROVIDERS)
    for (names, provider, how), known in zip(rows, PROVIDERS.values(), strict=True):
        assert provider == known.name
        assert known.numbered == (len(code(names)) == 2)
        package = known.plugin or known.package or "albert-edge[cpu]"
        assert how.startswith("an onnxruntime") or package in how


def test_every_peer_is_in_the_table_with_its_extra() -> None:
    rows = table(ROOT / "docs/bench.md", "peer | what it is")
    assert [code(name) + code(extra) for name, _, extra in rows] == [
        [peer.name, peer.extra] for peer in PEERS.values()
    ]


def test_precisions_are_listed_in_the_order_of_auto() -> None:
    page = (ROOT / "docs/devices.md").read_text(encoding="utf-8")
    assert f"| `cpu` | {', '.join(ON_CPU)} |" in page
    assert f"| all others | {', '.join(variants._ELSEWHERE)} |" in page


def rooms() -> set[str]:
    """The packages and modules right inside `albert_edge`."""
    entries = (ROOT / "albert_edge").iterdir()
    return {
        path.stem
        for path in entries
        if path.suffix == ".py" or (path / "__init__.py").exists()
        if not path.name.startswith("__")
    }


def test_the_map_has_every_room_and_every_folder() -> None:
    mapped = [path for cell, _ in table(ROOT / "CONTRIBUTING.md", "path") for path in code(cell)]
    inside = [path for path in mapped if path.startswith("albert_edge/")]
    assert sorted(Path(path).stem for path in inside) == sorted(rooms())
    folders = {path.relative_to(ROOT).parts[0] for path in FILES if path.parent != ROOT}
    kept = {name for name in folders if not name.startswith(".")} - {"albert_edge"}
    others = {path.strip("/") for path in mapped if path not in inside}
    assert {path for path in others if not path.startswith(".")} == kept


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_paths_that_are_named_are_there(name: str) -> None:
    page = (ROOT / name).read_text(encoding="utf-8")
    named = re.findall(r"`((?:albert_edge|models|benchmarks|docs|tests)/[\w./]*)`", page)
    assert len(named) > 15
    assert [path for path in named if not (ROOT / path).exists()] == []


def floors() -> list[set[str]]:
    """The rooms of each floor of import-linter's contract, the top floor first."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [set(layer.split(" | ")) for layer in layers]


def test_the_architecture_page_has_the_floors_of_the_contract() -> None:
    rows = table(ROOT / "docs/architecture.md", "floor")
    by_floor: dict[int, set[str]] = {}
    for floor, room, _ in rows:
        by_floor.setdefault(int(floor), set()).update(code(room))
    assert [by_floor[floor] for floor in sorted(by_floor, reverse=True)] == floors()


def test_the_picture_of_the_architecture_has_the_floors_of_the_contract() -> None:
    picture = (ROOT / "docs/images/architecture.svg").read_text(encoding="utf-8")
    by_height: dict[int, set[str]] = {}
    for height, room in re.findall(r'<text class="room" x="\d+" y="(\d+)">(\w+)</text>', picture):
        by_height.setdefault(int(height), set()).add(room)
    assert [by_height[height] for height in sorted(by_height)] == floors()


def subclasses(error: type[AlbertEdgeError]) -> list[type[AlbertEdgeError]]:
    below = [one for child in error.__subclasses__() for one in subclasses(child)]
    return [*error.__subclasses__(), *below]


def test_every_error_has_a_section_with_its_exit_code_causes_and_cures() -> None:
    page = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    sections = dict(
        re.findall(r"^## (\w+Error)\n\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    )
    known = {
        error for error in subclasses(AlbertEdgeError) if error.__module__ == "albert_edge.errors"
    }
    assert set(sections) == {error.__name__ for error in known}
    for error in known:
        section = sections[error.__name__]
        assert section.startswith(f"Exit code {error.exit_code}")
        assert "| cause | cure |" in section


def test_the_api_page_has_every_public_name() -> None:
    page = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    public = {name for name in albert_edge.__all__ if not name.startswith("__")}
    named = set(re.findall(r"^::: albert_edge\.(\w+)$", page, re.MULTILINE))
    assert named - {"errors"} == public - {"AlbertEdgeError"}


# --- language -------------------------------------------------------------------------------


@pytest.mark.parametrize("page", GUIDES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_paragraph_is_a_sentence_of_its_own(page: Path) -> None:
    """None goes on where a block of code or a table interrupted a sentence."""
    text = re.sub(r"\A---\n.*?\n---\n", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = re.sub(r"^(```+)\w*\n.*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    paragraphs = [part.lstrip("\n") for part in re.split(r"\n\s*\n", text)]
    names = ("albert-edge", "int", "fp16", "optimum", "onnxruntime", "transformers.js", "fill-mask")
    assert [
        part[:60] for part in paragraphs if part[:1].islower() and not part.startswith(names)
    ] == []


@each_page
def test_heads_of_tables_name_unit_and_baseline(page: Path) -> None:
    """A figure's unit and baseline stand in the head of its column."""
    text = page.read_text(encoding="utf-8")
    heads = re.findall(r"^(\|.*\|)\n\|[ :|-]+\|$", text, re.MULTILINE)
    assert [
        head
        for head in heads
        if re.search(r"\bis 1\b|times as fast|the best peer|a second\b", head)
    ] == []


# --- links ----------------------------------------------------------------------------------


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for link in LINK.findall(text):
        if link.startswith(REPOSITORY):
            path, _, heading = link.removeprefix(REPOSITORY).partition("#")
            target = ROOT / path
        elif re.match(r"[a-z]+:", link):
            continue
        else:
            path, _, heading = link.partition("#")
            target = page.parent / path if path else page
        assert target.resolve().is_relative_to(ROOT)
        assert target.exists(), link
        if heading:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", h).strip().lower().replace(" ", "-") for h in headings}
            assert heading in slugs, link


def test_links_of_the_readme_are_absolute() -> None:
    """It is also shown where the files beside it are not."""
    text = FENCE.sub("", (ROOT / "README.md").read_text(encoding="utf-8"))
    links = re.findall(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)", text)
    assert len(links) > 20
    assert [link for link in links if not link.startswith(REPOSITORY)] == []


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
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()
    # It removes its files.
    assert not [*here.iterdir(), *scratch.iterdir()]


def test_examples_are_listed() -> None:
    page = (ROOT / "examples/README.md").read_text(encoding="utf-8")
    assert EXAMPLES
    assert set(LINK.findall(page)) >= {path.name for path in EXAMPLES}
    assert all(
        link in {path.name for path in EXAMPLES} for link in re.findall(r"\((\w+\.py)\)", page)
    )


def test_examples_in_folders_are_listed_and_tested() -> None:
    page = (ROOT / "examples/README.md").read_text(encoding="utf-8")
    inside = [path.relative_to(ROOT).parts for path in FILES]
    folders = {parts[1] for parts in inside if parts[0] == "examples" and len(parts) > 2}
    assert "desktop" in folders
    assert {f"{name}/README.md" for name in folders} <= set(LINK.findall(page))
    tests = [path.read_text(encoding="utf-8") for path in FILES if path.name.startswith("test_")]
    for name in folders:
        assert any(f"examples/{name}" in text for text in tests), name


# --- what is checked in ---------------------------------------------------------------------

# Concatenated, so that this file does not contain what it searches for.
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
    """A constraint is a name and a version; the user decides where to download it from."""
    for path in (ROOT / "constraints").glob("*.txt"):
        for line in path.read_text().splitlines():
            entry = line.partition("#")[0].strip()
            allowed = r"|[\w.-]+==[\w.+!]+( ;.*)?|-[cr] \w+\.txt|--constraint \w+\.txt"
            assert re.fullmatch(allowed, entry), f"{path.name}: {line}"
