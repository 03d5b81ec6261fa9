"""Links that someone planted where commands write."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from support.command_line import Cli, contents
from support.hostile import Row, how_many
from support.labelling import run_job

import albert_edge
from albert_edge.bundle.bundle import open_bundle
from albert_edge.bundle.change import change
from albert_edge.bundle.manifest import MANIFEST
from albert_edge.disk.writing import create
from albert_edge.errors import AlbertEdgeError
from albert_edge.report.whole_file import write_whole

ReportRow = Callable[[Row], None]
Work = Callable[[], object]

# What may lie beside an output, and in the folders that it is prepared in.
PLACES = (
    *("{0}", "{0}.part", "{0}.part/segments", "{0}.part/journal.json", "{0}.part/journal.json.new"),
    *("{0}.part/answers-0.log", "{0}.part/result", "{0}.part/held", ".{0}.writing"),
    *(".{0}.writing/new", ".{0}.writing/0"),
)


def _writers(langid: Path, here: Path, cli: Cli) -> dict[str, Work]:
    """What writes the file `here / "out.SUFFIX"`, by suffix."""
    source = here.parent / "texts.txt"
    source.write_text("one\ntwo\n", encoding="utf-8")
    return {
        "jsonl": lambda: run_job(source, here / "out.jsonl", "replace"),
        "csv": lambda: run_job(source, here / "out.csv", "resume"),
        "tsv": lambda: run_job(source, here / "out.tsv", "refuse"),
        "parquet": lambda: run_job(source, here / "out.parquet", "replace"),
        "albert": lambda: albert_edge.pack(langid, here / "out.albert", force=True),
        "html": lambda: write_whole(here / "out.html", b"page"),
        "txt.csv": lambda: cli("predict", langid, "a", "--output", here / "out.txt.csv", "--force"),
    }


def test_files(cli: Cli, langid: Path, tmp_path: Path, report: ReportRow) -> None:
    """The target, what is written before it gets its name, and what is kept beside it."""
    elsewhere = tmp_path / "elsewhere"
    precious = ("file", "folder/segments", "folder/answers-0.log", "folder/mine")
    broken, cases = [], 0
    kinds = ("file", "nothing", "folder")
    for number, place in enumerate(PLACES):
        for kind in (kinds[number % 3 :] + kinds)[: how_many(1, 3)]:
            here = tmp_path / str(cases)
            for suffix, work in _writers(langid, here, cli).items():
                link = here / place.format(f"out.{suffix}")
                link.parent.mkdir(parents=True, exist_ok=True)
                (elsewhere / "folder").mkdir(parents=True, exist_ok=True)
                for name in precious:
                    (elsewhere / name).write_text("precious")
                link.symlink_to(elsewhere / kind)
                with contextlib.suppress(AlbertEdgeError):
                    work()
                if contents(elsewhere) != dict.fromkeys(precious, b"precious"):
                    broken.append((place, kind, suffix))
                cases += 1
    report(Row("No file is written or removed through a planted link", cases, len(broken)))
    assert not broken


def test_second_names(tmp_path: Path) -> None:
    """A second name of another file, which is no symbolic link."""
    source, precious = tmp_path / "texts.txt", tmp_path / "precious"
    source.write_text("one\n")
    precious.write_text("precious")
    (tmp_path / "out.csv.part").mkdir()
    os.link(precious, tmp_path / "out.csv.part" / "segments")
    run_job(source, tmp_path / "out.csv", "resume")
    for name in ("second", "symbolic"):
        link = tmp_path / name
        os.link(precious, link) if name == "second" else link.symlink_to(precious)
        with pytest.raises(OSError), create(link) as file:
            file.write(b"other")
    assert precious.read_text() == "precious"


def _refused(work: Work) -> bool:
    try:
        work()
    except AlbertEdgeError:
        return True
    return False


def test_folders(own: Path, tmp_path: Path, report: ReportRow) -> None:
    """A link to a folder inside the bundle, or as the bundle; files are moved and removed there."""
    elsewhere = tmp_path / "elsewhere"

    def prepare() -> None:
        for folder in ("", "onnx", "commit/onnx"):
            (elsewhere / folder).mkdir(parents=True, exist_ok=True)
        for name in ("onnx/model.onnx", "onnx/model_optimized.onnx", "mine", "commit/onnx/x.onnx"):
            (elsewhere / name).write_text("precious")
        (elsewhere / "commit" / MANIFEST).write_bytes((own / MANIFEST).read_bytes())

    def edit() -> None:
        with change(own) as pending:
            pending.write("onnx/model_new.onnx", [b"new"])
            pending.manifest = (own / MANIFEST).read_bytes()

    def replace_folder(name: str) -> None:
        os.rename(own / name, tmp_path / f"was-{name}")
        (own / name).symlink_to(elsewhere / name)

    def finish() -> None:
        """A stranger's bundle with a change to finish, whose new file goes through a link."""
        (own / ".commit" / "onnx").mkdir(parents=True)
        (own / ".commit" / "onnx" / "evil.onnx").write_text("evil")
        (own / ".commit" / MANIFEST).write_bytes((own / MANIFEST).read_bytes())
        open_bundle(own)

    def export() -> None:
        albert_edge.export("langid-tiny", tmp_path / "linked", force=True)

    prepare()
    before = contents(elsewhere)
    broken = []
    (tmp_path / "linked").symlink_to(elsewhere)
    cases: list[tuple[str, Work]] = [("export", export)]
    (own / ".commit").symlink_to(elsewhere / "commit")
    cases.append(("commit", lambda: open_bundle(own)))
    for name, work in cases:
        # A link in place of the hidden folder is as if there were none.
        if _refused(work) != (name == "export") or contents(elsewhere) != before:
            broken.append(name)
        prepare()
    (own / ".commit").unlink()
    replace_folder("onnx")
    for name, work in (("edit", edit), ("finish", finish)):
        if not _refused(work) or contents(elsewhere) != before:
            broken.append(name)
        prepare()
    report(Row("Bundles are never changed through a planted link", 4, len(broken)))
    assert not broken


def test_private_until_complete(
    cli: Cli, langid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is being written is for this user only; the complete file has the usual permissions."""
    seen: dict[str, int] = {}
    fsync = os.fsync

    def look(descriptor: int) -> None:
        for path in tmp_path.iterdir():
            seen[path.name] = stat.S_IMODE(path.stat().st_mode)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    before = os.umask(0o022)
    try:
        cli("predict", langid, "a", "--output", tmp_path / "out.jsonl")
        cli("pack", langid, "--output", tmp_path / "out.albert")
        write_whole(tmp_path / "out.html", b"page")
    finally:
        os.umask(before)
    hidden = {"out.jsonl.part", ".out.albert.writing", ".out.html.writing"}
    assert {name: mode for name, mode in seen.items() if name in hidden} == dict.fromkeys(
        hidden, 0o700
    )
    final = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert final == dict.fromkeys(("out.jsonl", "out.albert", "out.html"), 0o644)
