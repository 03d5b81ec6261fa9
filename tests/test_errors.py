"""Errors carry data, and each interface spells it in its own words."""

from __future__ import annotations

import ast
import pickle
import re
import traceback
from pathlib import Path
from typing import Any

import pytest
from support.paths import ROOT
from typer.main import get_command

from albert_edge.choices import require_choice
from albert_edge.cli.commands import app
from albert_edge.cli.spelling import spell_command_line
from albert_edge.errors import (
    AlbertEdgeError,
    Argument,
    BundleError,
    Call,
    Message,
    MissingExtraError,
    QualityError,
    UsageError,
    spell_python,
)

LIBRARY = ROOT / "albert_edge"


@pytest.fixture
def refusal() -> QualityError:
    return QualityError(
        Message(Argument("min_agreement"), " is out of reach."),
        tip=Message(Call("quantize", Path("my bundle"), precision="int4", data=None), " passes."),
        report=42,
    )


def test_python_users_read_python(refusal: QualityError) -> None:
    assert str(refusal) == "min_agreement is out of reach."
    assert refusal.tip == 'albert_edge.quantize("my bundle", precision="int4") passes.'
    assert refusal.option == "min_agreement"


def test_a_shell_reads_flags_and_commands(refusal: QualityError) -> None:
    tip = "albert-edge quantize 'my bundle' --precision int4 passes."
    assert refusal.message.spell(spell_command_line) == "--min-agreement is out of reach."
    assert refusal.remedy.spell(spell_command_line) == tip


@pytest.mark.parametrize(
    ("part", "python", "shell"),
    [
        (Argument("force", True), "force=True", "--force"),
        (Argument("device", None), "device=None", ""),
        (Argument("max_drop", 0.5), "max_drop=0.5", "--max-drop 0.5"),
        (Argument("data", Path("a b")), 'data="a b"', "--data 'a b'"),
        (Argument("second_variant"), "second_variant", "--diff-variant"),
        (
            Call("export", 'a"b', force=True),
            'albert_edge.export("a\\"b", force=True)',
            "albert-edge export 'a\"b' --force",
        ),
        (
            Call("quantize", "b", texts=["one", "two"], max_drop=1.0),
            'albert_edge.quantize("b", texts=[...], max_drop=1.0)',
            "albert-edge quantize b --max-drop 1.0",
        ),
    ],
)
def test_each_part_in_both_languages(part: Argument | Call, python: str, shell: str) -> None:
    assert spell_python(part) == python
    assert spell_command_line(part) == shell
    if isinstance(part, Call):
        compile(python, "a tip", "eval")


def test_a_traceback_ends_with_the_tip() -> None:
    try:
        raise BundleError("b is damaged.", tip=Call("export", "c", "b"), where=Path("b"))  # type: ignore[arg-type]
    except BundleError as error:
        *_, last = traceback.format_exception(error)
        assert last == 'Tip: albert_edge.export("c", "b")\n'
        assert error.where == "b"
        assert error.option is None


@pytest.mark.parametrize(
    "error",
    [
        UsageError("a", tip="b"),
        QualityError("a", tip=Message("Pass ", Argument("force", True)), report=[1]),
        MissingExtraError("torch", extra="reference", purpose="Comparing"),
    ],
)
def test_an_error_can_leave_a_worker_process(error: AlbertEdgeError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (str(copy), copy.tip) == (str(error), error.tip)
    for part, original in ((copy.message, error.message), (copy.remedy, error.remedy)):
        assert part.spell(spell_command_line) == original.spell(spell_command_line)
    assert getattr(copy, "report", None) == getattr(error, "report", None)


def test_an_unknown_word_gets_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(UsageError, match="layout 'lop' is unsupported") as caught:
        require_choice("layout", "lop", ["unrolled", "loop"])
    assert caught.value.tip == "Choose one of: unrolled, loop. Did you mean 'loop'?"
    assert caught.value.option == "layout"
    require_choice("layout", "loop", ["unrolled", "loop"])


def _messages(path: Path) -> list[tuple[int, str]]:
    """The texts in a module, without docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in docstrings
    ]


def test_the_library_spells_no_flags() -> None:
    """Only the command line does: the messages of a library are read by users of Python too."""
    commands: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
    options = [name for command in commands.values() for one in command.params for name in one.opts]
    flags = {name for name in options if name.startswith("--")}
    forbidden = [*map(re.escape, flags), rf"albert-edge ({'|'.join(commands)})"]
    spelled = re.compile(rf"(?<![\w-])({'|'.join(forbidden)})(?![\w-])")
    faults = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in sorted(LIBRARY.rglob("*.py"))
        if path.parts[-2] != "cli"
        for line, text in _messages(path)
        if spelled.search(text)
    ]
    assert not faults, "\n".join(faults)
