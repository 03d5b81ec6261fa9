"""The parts of examples/desktop that need no screen: its thread, and its tables of answers."""

from __future__ import annotations

import csv
import queue
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from answers import Row, read_answer, write_answers
from support.checkpoints import make_model
from support.paths import ROOT
from worker import Answered, Event, Failed, FileJob, Opened, Worker

import albert_edge

SHIPPED = ROOT / "models/langid-tiny"
# By the name of a bundle: its head.
TASKS = {
    "entities": "token-classification",
    "masked": "fill-mask",
    "features": "feature-extraction",
    "questions": "question-answering",
}


class Desk:
    """A worker, and what it reported."""

    def __init__(self) -> None:
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.hold_after = ""  # a text, after whose answer the worker waits for `release`
        self.release = threading.Event()
        self.worker = Worker(self._report)

    def _report(self, event: Event) -> None:
        self.events.put(event)
        if isinstance(event, Answered) and event.text == self.hold_after:
            assert self.release.wait(30)

    def next(self) -> Event:
        return self.events.get(timeout=30)

    def ended_file(self) -> FileJob:
        while not (isinstance(job := self.next(), FileJob) and job.ended):
            assert isinstance(job, FileJob)
        return job


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.release.set()
    desk.worker.close()


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Langid in two precisions, and a random model of each of `TASKS`."""
    root = tmp_path_factory.mktemp("desktop")
    albert_edge.export("langid-tiny", root / "langid")
    albert_edge.quantize(root / "langid")
    for name, head in TASKS.items():
        make_model(head, vocab_size=4000).save_pretrained(root / f"{name}-checkpoint")
        for file in SHIPPED.glob("*token*.json"):
            shutil.copyfile(file, root / f"{name}-checkpoint" / file.name)
        albert_edge.export(root / f"{name}-checkpoint", root / name)
    return root


# --- the model ------------------------------------------------------------------------------


def test_model_and_precision_are_switched(desk: Desk, bundles: Path) -> None:
    path = str(bundles / "langid")
    desk.worker.open(path)
    assert desk.next() == Opened(path, "text-classification", "int8", ["fp32", "int8"])
    desk.worker.open(path, "fp32")
    assert desk.next() == Opened(path, "text-classification", "fp32", ["fp32", "int8"])


@pytest.mark.parametrize("name", ["nowhere", "questions"])
def test_a_model_that_does_not_open_leaves_the_earlier_one(
    name: str, desk: Desk, bundles: Path
) -> None:
    desk.worker.open(str(bundles / "langid"))
    desk.next()
    desk.worker.open(str(bundles / name))
    failed = desk.next()
    assert isinstance(failed, Failed) and failed.tip
    named = "question and context" if name == "questions" else "nowhere"
    assert named in failed.message
    desk.worker.ask("Wo ist der Bahnhof?")
    answered = desk.next()
    assert isinstance(answered, Answered) and answered.answer.rows[0].label == "de"


def test_a_text_or_a_file_without_a_model_is_no_error(desk: Desk, bundles: Path) -> None:
    desk.worker.ask("too early")
    desk.worker.ask_file(bundles / "nowhere.txt")
    desk.worker.open(str(bundles / "langid"))
    assert isinstance(desk.next(), Opened)


def test_a_packed_bundle_opens(desk: Desk, bundles: Path) -> None:
    path = str(bundles / "model.albert")
    albert_edge.pack(bundles / "langid", path)
    desk.worker.open(path)
    assert desk.next() == Opened(path, "text-classification", "int8", ["fp32", "int8"])
    desk.worker.ask("Wo ist der Bahnhof?")
    answered = desk.next()
    assert isinstance(answered, Answered) and answered.answer.summary == "de"


# --- typed texts ----------------------------------------------------------------------------


def test_answers_are_those_of_the_pipeline(desk: Desk, bundles: Path) -> None:
    text = "Where is the station?"
    desk.worker.open(str(bundles / "langid"), "fp32")
    desk.worker.ask(text)
    desk.next()
    answered = desk.next()
    assert isinstance(answered, Answered) and answered.text == text
    assert 0 < answered.milliseconds < 10_000
    with albert_edge.pipeline(model=bundles / "langid", precision="fp32") as classify:
        expected = classify(text, top_k=None)
    assert [(row.label, row.score) for row in answered.answer.rows] == [
        (entry["label"], entry["score"]) for entry in expected
    ]


def test_of_what_is_typed_meanwhile_only_the_newest_is_answered(desk: Desk, bundles: Path) -> None:
    desk.worker.open(str(bundles / "langid"))
    desk.next()
    desk.hold_after = "W"
    desk.worker.ask("W")
    desk.next()
    for text in ("Wo", "Wo ist", "Wo ist der", "Wo ist der Bahnhof?"):
        desk.worker.ask(text)
    desk.release.set()
    answered = desk.next()
    assert isinstance(answered, Answered) and answered.text == "Wo ist der Bahnhof?"
    desk.worker.ask("Ende")
    answered = desk.next()
    assert isinstance(answered, Answered) and answered.text == "Ende"


def test_a_text_that_cannot_be_answered_is_an_error_with_a_tip(desk: Desk, bundles: Path) -> None:
    desk.worker.open(str(bundles / "masked"))
    desk.next()
    desk.worker.ask("nothing to fill in")
    failed = desk.next()
    assert isinstance(failed, Failed) and "mask" in failed.message.lower() and failed.tip
    desk.worker.ask("The [MASK] is here.")
    answered = desk.next()
    assert isinstance(answered, Answered) and len(answered.answer.rows) == 5


# --- files ----------------------------------------------------------------------------------


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("Where is the station?\nWo ist der Bahnhof?\n\n车站在哪里?\n", encoding="utf-8")
    return path


def test_a_file_is_answered_and_saved(
    desk: Desk, bundles: Path, texts: Path, tmp_path: Path
) -> None:
    desk.worker.open(str(bundles / "langid"))
    desk.next()
    desk.worker.ask_file(texts)
    job = desk.ended_file()
    assert job.fraction == 1
    lines = texts.read_text(encoding="utf-8").splitlines()
    with albert_edge.pipeline(model=bundles / "langid") as classify:
        expected = [(line, classify(line)[0]) for line in lines]
    write_answers(tmp_path / "answers.csv", job.answers)
    with (tmp_path / "answers.csv").open(encoding="utf-8", newline="") as file:
        saved = list(csv.reader(file))
    assert saved == [
        ["text", "answer", "score"],
        *([line, entry["label"], f"{entry['score']:.6f}"] for line, entry in expected),
    ]
    assert {path.name for path in tmp_path.iterdir()} == {"texts.txt", "answers.csv"}


@pytest.fixture
def long_file(tmp_path: Path) -> Path:
    path = tmp_path / "long.txt"
    path.write_text("Where is the station? I would like to know.\n" * 200_000)
    return path


def test_a_typed_text_does_not_wait_for_a_file(desk: Desk, bundles: Path, long_file: Path) -> None:
    desk.worker.open(str(bundles / "langid"))
    desk.next()
    desk.worker.ask_file(long_file)
    assert isinstance(desk.next(), FileJob)
    desk.worker.ask("Wo ist der Bahnhof?")
    event: Event = desk.next()
    while isinstance(event, FileJob):
        assert not event.ended
        event = desk.next()
    assert isinstance(event, Answered) and event.answer.rows[0].label == "de"
    assert isinstance(desk.next(), FileJob)  # it goes on


@pytest.mark.parametrize("how", ["cancel", "another model", "another file"])
def test_a_file_ends_before_its_end(
    how: str, desk: Desk, bundles: Path, long_file: Path, texts: Path
) -> None:
    desk.worker.open(str(bundles / "langid"))
    desk.next()
    desk.worker.ask_file(long_file)
    first = desk.next()
    assert isinstance(first, FileJob)
    if how == "cancel":
        desk.worker.cancel()
    elif how == "another model":
        desk.worker.open(str(bundles / "langid"), "fp32")
    else:
        desk.worker.ask_file(texts)
    while not (isinstance(event := desk.next(), FileJob) and event.ended):
        pass
    assert event.path == (texts if how == "another file" else long_file)
    assert len(event.answers) == 4 if how == "another file" else 0 < len(event.answers) < 200_000
    assert {answer.summary for _, answer in first.answers} == {"en"}
    assert first.fraction == pytest.approx(len(first.answers) / 200_000, abs=0.01)


def test_files_that_cannot_be_read_are_errors(desk: Desk, bundles: Path, tmp_path: Path) -> None:
    desk.worker.open(str(bundles / "langid"))
    desk.next()
    (tmp_path / "other.csv").write_text("name,age\nAnn,3\n")
    (tmp_path / "latin.txt").write_bytes("gut\nschön\n".encode("latin-1"))
    for name, reason in (
        ("missing.txt", "missing.txt"),
        ("other.csv", "text"),
        ("latin.txt", "UTF-8"),
    ):
        desk.worker.ask_file(tmp_path / name)
        assert desk.ended_file().ended
        failed = desk.next()
        assert isinstance(failed, Failed) and reason in failed.message


# --- the end --------------------------------------------------------------------------------


@pytest.mark.parametrize("busy", ["with a file", "with a model", "with nothing"])
def test_closing_ends_the_thread(busy: str, bundles: Path, long_file: Path) -> None:
    desk = Desk()
    desk.worker.open(str(bundles / "langid"))
    if busy != "with a model":
        desk.next()
    if busy == "with a file":
        desk.worker.ask_file(long_file)
        desk.next()
    desk.worker.close()
    assert [thread for thread in threading.enumerate() if thread.name == "model"] == []


# --- answers as rows ------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in TASKS if name != "questions"])
def test_every_task_with_one_text_fills_a_table(name: str, desk: Desk, bundles: Path) -> None:
    desk.worker.open(str(bundles / name))
    desk.next()
    desk.worker.ask("The [MASK] of Berlin")
    answered = desk.next()
    assert isinstance(answered, Answered)
    if name == "features":
        [row] = answered.answer.rows
        assert row.label.startswith("1 x ") and row.label.endswith(" numbers")
    else:
        assert all(
            row.label and 0 < (row.score or 0) <= 1 and row.part for row in answered.answer.rows
        )


@pytest.mark.parametrize(
    ("task", "answer", "rows", "line"),
    [
        (
            "text-classification",
            [{"label": "de", "score": 0.9}, {"label": "en", "score": 0.1}],
            [Row("de", 0.9), Row("en", 0.1)],
            "de",
        ),
        (
            "token-classification",
            [
                {"entity_group": "PER", "score": 0.9, "word": "ada", "start": 0, "end": 3},
                {"entity_group": "LOC", "score": 0.8, "word": "kiel", "start": 7, "end": 11},
            ],
            [Row("PER", 0.9, "Ada"), Row("LOC", 0.8, "Kiel")],
            "Ada (PER), Kiel (LOC)",
        ),
        (
            "token-classification",
            [{"entity_group": "PER", "score": 0.9, "word": "ada", "start": 0, "end": 3}],
            [Row("PER", 0.9, "Ada")],
            "Ada (PER)",
        ),
        ("token-classification", [], [], ""),
        (
            "fill-mask",
            [
                [{"token_str": "a", "score": 0.6, "sequence": "a [MASK]", "token": 5}],
                [{"token_str": "b", "score": 0.5, "sequence": "[MASK] b", "token": 6}],
            ],
            [Row("a", 0.6, "a [MASK]"), Row("b", 0.5, "[MASK] b")],
            "a, b",
        ),
    ],
)
def test_answers_become_tables(task: str, answer: Any, rows: list[Row], line: str) -> None:
    table = read_answer(task, "Ada in Kiel", answer)
    assert table.rows == rows
    assert table.summary == line
