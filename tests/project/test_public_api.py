"""What users of the Python API see: names, types that a checker holds, repr and help."""

from __future__ import annotations

import pydoc
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from support.checkpoints import make_model
from support.paths import DATA, ROOT

import albert_edge
from albert_edge.architecture.heads import HEAD_OF_TASK
from albert_edge.errors import UsageError
from albert_edge.runtime.load import load_pipeline
from albert_edge.runtime.tasks import pipeline_class

# A user's script. Of a line that ends in "# error: TEXT" a checker reports that, of others nothing.
SCRIPT = """
import numpy as np
import numpy.typing as npt
import albert_edge
from albert_edge import AlbertEdgeError, ItemError, Session, pipeline

Floats = npt.NDArray[np.float32]


def text_classification() -> None:
    classify = pipeline("text-classification", model="sst2", device="cpu", precision="int8")
    label: str = classify("a great film")[0]["label"]
    score: float = classify(["one", "two"], progress=True, batch_size=8)[1]["score"]
    pair: str = classify({"text": "one", "text_pair": "two"})["label"]
    every: list[str] = [label["label"] for label in classify("a great film", top_k=None)]
    lists: list[str] = [labels[0]["label"] for labels in classify(["one", "two"], top_k=2)]
    later: list[str] = [label["label"] for label in classify(text for text in ["one", "two"])]
    ranked = pipeline("sentiment-analysis", "sst2", top_k=3, truncation=True)
    best: str = ranked.answer("a great film")[0]["label"]
    for kept in classify(["one", "two"], on_error="record"):
        reason: str = kept.reason if isinstance(kept, ItemError) else kept["label"]
    classify("a great film", on_error="skip")  # error: variant of "__call__"
    classify("a great film")[0]["labl"]  # error: TypedDict "Label" has no key "labl"
    classify("a great film", max_answer_len=3)  # error: argument "max_answer_len"
    classify("a great film", top_k="three")  # error: variant of "__call__"
    classify(3)  # error: variant of "__call__"


def question_answering() -> None:
    answer = pipeline("question-answering", "squad", max_answer_len=20)
    text: str = answer(question="Who?", context="Ann did.", max_answer_len=5)["answer"]
    start: int = answer({"question": "Who?", "context": "Ann did."})["start"]
    several = answer(question=["Who?"], context="Ann did.")
    texts: list[str] = [reply["answer"] for reply in several]
    for reply in answer.stream([{"question": "Who?", "context": "Ann did."}], doc_stride=64):
        end: int = reply["end"]
        reply["ending"]  # error: TypedDict "Answer" has no key "ending"
    pipeline("question-answering", "squad", max_anser_len=5)  # error: variant of "pipeline"
    answer({"question": "Who?", "context": "Did."}, topk=3)  # error: did you mean "top_k"?
    answer.answer({"question": "Who?", "context": "Did."}, max_len=3)  # error: argument "max_len"
    answer.stream([{"question": "Who?", "context": "Did."}], max_len=3)  # error: argument "max_len"
    answer({"qestion": "Who?", "context": "Did."})  # error: variant of "__call__"
    answer(question="Who?", context="Did.", max_answer_len="five")  # error: variant of "__call__"


async def asynchronous() -> None:
    answer = pipeline("question-answering", "squad")
    text: str = (await answer.acall({"question": "Who?", "context": "Ann did."}))["answer"]
    await answer.acall({"question": "", "context": ""}, max_len=3)  # error: argument "max_len"
    find = pipeline("ner", "ner")
    words: list[str] = [entities[0]["word"] for entities in await find.acall(["Ann", "Rome"])]


def other_tasks() -> None:
    token: int = pipeline("fill-mask", "mlm")("a [MASK] film", targets=["good"])[0]["token"]
    embed = pipeline("sentence-embeddings", "minilm")
    vectors: Floats = embed.encode(["one", "two"], normalize=True)
    vector: Floats = embed("one")
    rank = pipeline("text-ranking", "marco")
    place: int = rank.rank("query", ["one", "two"], top_k=1)[0]["corpus_id"]
    score: float = rank(("query", "passage"))
    sort = pipeline("zero-shot-classification", "mnli")
    labels: list[str] = sort("a film", ["art", "sport"], multi_label=True)["labels"]
    find = pipeline("token-classification", "ner")
    word: str = find("Ann lives in Rome", aggregation_strategy="first")[0]["word"]
    features = pipeline("feature-extraction", "base")
    state: float = features("a film")[0][0][0]
    array: Floats = features("a film", return_tensors=True)
    choose = pipeline("multiple-choice", "race")
    index: int = choose({"prompt": "It", "choices": ["rains", "snows"]})["index"]
    order = pipeline("sentence-order", "albert")
    swapped: str = order({"text": "One.", "text_pair": "Two."})["label"]
    both = order({"text": "One.", "text_pair": "Two."}, top_k=2)
    chosen: list[str] = [label["label"] for label in both]
    embed("one", normalise=True)  # error: argument "normalise"
    rank.rank("query", ["one"], topk=1)  # error: argument "topk"
    sort("a film", ["art"], multilabel=True)  # error: argument "multilabel"
    order({"text": "One."})  # error: variant of "__call__"


def everything_else() -> None:
    number: str = albert_edge.__version__
    with Session("sst2", threads=2) as session:
        logits: Floats = session.run({"input_ids": [[2, 3]]})["logits"]
    try:
        albert_edge.quantize("sst2", precision="int8")
    except AlbertEdgeError as error:
        tip: str = error.tip
    fast = albert_edge.specialize("sst2", "fast", texts=["a film"], width=False)
    speedup: float = fast.rows[-1].speedup
    albert_edge.specialize("sst2", "fast", texts=["a film"], depth=False)  # error: "depth"
    albert_edge.qantize("x")  # error: Module has no attribute "qantize"
    albert_edge.quantize("x", nonsense=3)  # error: argument "nonsense"
    pipeline("qestion-answering", "squad")  # error: variant of "pipeline"
    unknown = pipeline(model="sst2")
    unknown("whatever this bundle answers")
"""


def test_a_type_checker_accepts_right_uses_and_reports_wrong_ones(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    # mypy would report the same text under the name it had when mypy cached it.
    script.write_text(f"{SCRIPT}# {script}\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--hide-error-context", str(script)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    reported: dict[int, str] = {}
    for line in done.stdout.splitlines():
        if match := re.match(rf"{re.escape(str(script))}:(\d+): error: (.*)", line):
            number = int(match[1])
            reported[number] = f"{reported.get(number, '')} {match[2]}"
    marked = enumerate(SCRIPT.splitlines(), 1)
    expected = {n: line.split("# error: ")[1] for n, line in marked if "# error: " in line}
    assert {*reported} == {*expected}, done.stdout + done.stderr
    assert not [n for n, text in expected.items() if text not in reported[n]], reported


def test_the_version_is_that_of_the_distribution() -> None:
    assert albert_edge.__version__ == version("albert-edge")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("public")
    make_model("text-classification", vocab_size=21_128).save_pretrained(folder / "checkpoint")
    vocabulary = (DATA / "tokenizers" / "vocab.txt").read_bytes()
    (folder / "checkpoint" / "vocab.txt").write_bytes(vocabulary)
    albert_edge.export(folder / "checkpoint", folder / "sst2")
    return folder / "sst2"


@pytest.fixture(scope="module")
def classify(bundle: Path) -> Any:
    return albert_edge.pipeline("text-classification", bundle, device="cpu", threads=2)


def test_repr_says_what_runs_where(classify: Any) -> None:
    where = "'sst2': model (fp32) on cpu, 2 threads"
    assert repr(classify) == f"<text-classification pipeline of {where}>"
    assert repr(classify.session) == f"<Session of {where}>"


def test_help_shows_the_parameters_and_no_lambda(classify: Any) -> None:
    names = [name for name in albert_edge.__all__ if name != "__version__"]
    pages = [pydoc.render_doc(getattr(albert_edge, name)) for name in names]
    pages += [pydoc.render_doc(pipeline_class(task)) for task in HEAD_OF_TASK]
    for page in pages:
        assert "<lambda>" not in page and "<function" not in page


def test_an_unknown_parameter_names_the_nearest_and_all(classify: Any, bundle: Path) -> None:
    for call in (
        lambda: classify("text", topk=3),
        lambda: classify.answer("text", topk=3),
        lambda: classify.stream(["text"], topk=3),
        lambda: load_pipeline("text-classification", bundle, topk=3),
    ):
        with pytest.raises(UsageError, match="Did you mean top_k") as caught:
            call()
        assert "no parameter topk" in str(caught.value)
        assert "function_to_apply" in caught.value.tip and "max_length" in caught.value.tip


def test_a_misspelled_task_names_the_nearest(bundle: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 'text-classification'"):
        load_pipeline("text-clasification", bundle)


def test_call_options_may_be_given_when_the_pipeline_is_made(bundle: Path) -> None:
    calls: list[tuple[str, int, int | None]] = []

    def progress(what: str, done: int, total: int | None) -> None:
        calls.append((what, done, total))

    classify = albert_edge.pipeline("text-classification", bundle, progress=progress, threads=1)
    texts = ["one", "two", "three"]
    wanted = classify(texts, progress=False)
    assert calls == []
    assert classify(texts) == wanted
    assert calls == [("answering", done, 3) for done in (1, 2, 3)]
    calls.clear()
    assert list(classify(text for text in texts)) == wanted
    assert calls == [("answering", done, None) for done in (1, 2, 3)]
    calls.clear()
    assert list(classify.stream(texts, progress=progress)) == wanted
    assert len(calls) == 3
