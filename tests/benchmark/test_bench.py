"""`albert-edge bench`: its peers, its processes, and what it reports of failures."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file
from support.checkpoints import MODEL_CLASSES, make_model

import albert_edge
from albert_edge.architecture.config import read_config
from albert_edge.benchmark import peers as peers_module
from albert_edge.benchmark.checkpoint import write_checkpoint
from albert_edge.benchmark.outputs import compare_outputs
from albert_edge.benchmark.peers import PEERS
from albert_edge.benchmark.pinning import choose_processors
from albert_edge.benchmark.report import BenchReport, Latency, RuntimeResult
from albert_edge.benchmark.run import bench
from albert_edge.benchmark.runtimes import Runtime, Work, prepare_own
from albert_edge.benchmark.shapes import choose_shapes, make_inputs, parse_shapes
from albert_edge.benchmark.statistics import MARKS
from albert_edge.bundle.bundle import open_bundle
from albert_edge.cli.app import main
from albert_edge.errors import AlbertEdgeError, BundleError, UsageError
from albert_edge.runtime.cpus import usable_cpus
from albert_edge.runtime.session import Session

pytestmark = pytest.mark.slow

ON_A_CPU = {name: peer for name, peer in PEERS.items() if "cpu" in peer.devices}
# Starting one takes seconds; what the others build and load is tested in this process.
AGAINST = [name for name in PEERS if name not in ("torch", "optimum-int8", "openvino")]
SCRIPT = Path(sys.executable).with_name("albert-edge")
SHIPPED = "langid-tiny"


@pytest.fixture(scope="module")
def langid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model in fp32 and int8; not to be changed."""
    folder = tmp_path_factory.mktemp("bench") / "langid"
    albert_edge.export(SHIPPED, folder)
    one = ["Where is the station?"]
    albert_edge.quantize(folder, precision="int8", texts=one, min_agreement=0, min_cosine=0)
    return folder


# --- shapes ---------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(1, 9999), st.integers(1, 9999)), min_size=1))
def test_shapes_are_read_as_they_are_written(shapes: list[tuple[int, int]]) -> None:
    assert parse_shapes(",".join(f"{batch}x{length}" for batch, length in shapes)) == shapes


@pytest.mark.parametrize(
    "text", ["", "8", "1x", "x8", "0x8", "1x0", "-1x8", "1x8,", "1x8;2x8", "1*8", "1x٣", "1x8x2"]
)
def test_what_is_no_shape(text: str) -> None:
    with pytest.raises(UsageError, match="not a shape"):
        parse_shapes(text)


def test_default_shapes_are_those_that_fit(langid: Path) -> None:
    config = read_config(langid / "config.json")
    assert choose_shapes(None, config) == [(1, 8), (1, 32), (1, 128), (8, 128)]  # it takes 256
    short = dataclasses.replace(config, max_position_embeddings=4)
    assert choose_shapes(None, short) == [(1, 4)]
    assert choose_shapes([(1, 8), (2, 9), (1, 8)], config) == [(1, 8), (2, 9)]


def test_inputs_reach_both_segments_and_stay_in_range(langid: Path) -> None:
    config = read_config(langid / "config.json")
    arrays = make_inputs((3, 7), config, "text-classification")
    assert {array.shape for array in arrays.values()} == {(3, 7)}
    assert arrays["input_ids"].max() < config.vocab_size
    assert arrays["token_type_ids"].tolist() == [[0, 0, 0, 0, 1, 1, 1]] * 3
    assert make_inputs((3, 7), config, "multiple-choice")["input_ids"].shape == (3, 2, 7)
    one_type = dataclasses.replace(config, type_vocab_size=1)
    assert not make_inputs((3, 7), one_type, "fill-mask")["token_type_ids"].any()


# --- processors -----------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs Linux")
@pytest.mark.parametrize(
    ("twins", "count", "chosen"),
    [
        (["0-1", "0-1", "2-3", "2-3"], 2, [0, 2]),  # twins side by side
        (["0,2", "1,3", "0,2", "1,3"], 2, [0, 1]),  # twins apart
        (["0-1", "0-1", "2-3", "2-3"], 3, [0, 1, 2]),
        ([], 2, [0, 1]),  # nobody tells
    ],
)
def test_each_thread_gets_a_core_of_its_own(
    twins: list[str], count: int, chosen: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2, 3})
    for cpu, text in enumerate(twins):
        file = tmp_path / f"cpu{cpu}/topology/thread_siblings_list"
        file.parent.mkdir(parents=True)
        file.write_text(f"{text}\n")
    assert choose_processors(count, tmp_path) == chosen


# --- the checkpoint that peers get ----------------------------------------------------------


@pytest.fixture(scope="module", params=[*MODEL_CLASSES, "untied"])
def work(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Work:
    """A bundle of every task beside the checkpoint it came from and the one written from it."""
    folder = tmp_path_factory.mktemp(request.param)
    task, config = request.param, {}
    if task == "untied":
        task, config = "fill-mask", {"tie_word_embeddings": False}
    make_model(task, **config).save_pretrained(folder / "original")
    albert_edge.export(folder / "original", folder / "bundle")
    write_checkpoint(open_bundle(folder / "bundle"), folder / "checkpoint")
    return Work(folder, task)


def test_the_checkpoint_of_peers_is_the_original(work: Work) -> None:
    original = load_file(work.folder / "original/model.safetensors")
    written = load_file(work.checkpoint / "model.safetensors")
    for name, values in written.items():
        stored = name if name in original else name.removeprefix("albert.")
        np.testing.assert_array_equal(values, original.pop(stored), err_msg=name)
    # Left are twins of what was written, and a pooler that no output reads.
    assert all("decoder" in name or "pooler" in name for name in original)
    config = json.loads((work.checkpoint / "config.json").read_text())
    assert config["architectures"] == [MODEL_CLASSES[work.head]]


# Tracing and converting take seconds: of the tasks those with two outputs, three dimensions, or a
# table that is a matrix too.
SLOW = {
    "optimum-int8": {"question-answering", "multiple-choice"},
    "openvino": {"question-answering", "multiple-choice", "fill-mask"},
    "openvino-int8": {"question-answering", "multiple-choice", "fill-mask"},
}


@pytest.mark.parametrize("name", ON_A_CPU)
@pytest.mark.filterwarnings("ignore")  # of tracing, by torch and those who call it
def test_every_peer_answers_every_task(
    name: str, work: Work, request: pytest.FixtureRequest
) -> None:
    peer = PEERS[name]
    if peer.missing:
        pytest.skip(f"needs {peer.missing}")
    if name in SLOW and request.node.callspec.params["work"] not in SLOW[name]:
        pytest.skip("takes seconds, and shows nothing that other tasks do not")
    if peer.extra == "optimum" and work.head == "pretraining":
        with pytest.raises(ValueError, match="no exporter for the pretraining head"):
            peer.build(work)
        return
    peer = pickle.loads(pickle.dumps(peer))  # as other processes get it
    peer.prepare()
    built = peer.build(work)
    assert built.bytes > 0
    run = peer.load(built, 1, "cpu")
    arrays = make_inputs((2, 9), read_config(work.checkpoint / "config.json"), work.head)
    with Session(work.folder / "bundle", threads=1, precision="fp32") as session:
        expected = session.run(arrays)
    difference = compare_outputs(expected, run(arrays))
    if peer.precision == "fp32":
        assert difference.difference <= 1e-4
    else:
        assert difference.difference > 0
        assert difference.cosine >= 0.95


# --- all of it ------------------------------------------------------------------------------


def command(*arguments: object) -> tuple[int, str, str]:
    """Run the command line in this process: exit code, stdout, stderr."""
    handler, argv = signal.getsignal(signal.SIGINT), sys.argv
    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["albert-edge", *map(str, arguments)]
    code: Any = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
    sys.argv = argv
    signal.signal(signal.SIGINT, handler)
    return int(code), out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def document(langid: Path) -> dict[str, Any]:
    """What a run against a peer of every extra, and against those for a GPU, prints."""
    told = ["--shapes", "1x8,2x16", "--threads", 1, "--rounds", 1, "--against", ",".join(AGAINST)]
    code, out, err = command("bench", langid, *told, "--json")
    assert (code, err) == (0, "")
    found: dict[str, Any] = json.loads(out)
    return found


def test_document_has_every_field(document: dict[str, Any], langid: Path) -> None:
    def fields(kind: type) -> set[str]:
        return {field.name for field in dataclasses.fields(kind)}

    assert document["schema_version"] == 1
    assert set(document) == {"schema_version", *fields(BenchReport)}
    assert document["bundle"] == str(langid)
    assert document["model"] == f"text-classification, {SHIPPED}"
    assert document["geometry"]["hidden_size"] == 128
    assert document["machine"]["usable_cpus"] == usable_cpus()
    assert {"warm-up", "outliers", "order", "threads"} <= set(document["method"])
    for runtime in document["runtimes"]:
        assert set(runtime) == fields(RuntimeResult)
        for latency in runtime["latencies"]:
            assert set(latency) == fields(Latency)


def test_every_peer_is_measured_or_says_why(document: dict[str, Any]) -> None:
    missing = {name for name in AGAINST if PEERS[name].missing}
    names = [runtime["name"] for runtime in document["runtimes"]]
    there = [name for name in AGAINST if name in ON_A_CPU and name not in missing]
    assert names == ["albert-edge fp32", "albert-edge int8", *there]
    elsewhere = {*AGAINST} - {*ON_A_CPU}
    assert set(document["skipped"]) == missing | elsewhere
    for name in elsewhere - missing:
        assert document["skipped"][name] == "it runs on cuda, not on cpu"
    if "optimum" in there:
        assert document["baseline"] == "optimum"


def test_figures_are_possible(document: dict[str, Any]) -> None:
    for runtime in document["runtimes"]:
        assert runtime["file_bytes"] > 100_000
        assert 0 < runtime["load_s"] < runtime["cold_start_s"]
        assert runtime["peak_mb"] >= runtime["steady_mb"] - 1
        shapes = [(latency["batch"], latency["length"]) for latency in runtime["latencies"]]
        assert shapes == [(1, 8), (2, 16)]
        for latency in runtime["latencies"]:
            assert 0 < latency["best_ms"] <= latency["p50_ms"] <= latency["p95_ms"]
            assert latency["threads"] == 1
            assert 2 <= latency["runs"] <= 32
            assert 0 <= latency["outliers"] <= latency["runs"] / 4
            # The mean of the kept runs lies between the fastest and four times the 95th percentile.
            least = 1e3 * latency["batch"] / (4 * latency["p95_ms"])
            assert (
                least <= latency["sequences_per_s"] <= 1e3 * latency["batch"] / latency["best_ms"]
            )
            assert latency["ratio_low"] == latency["ratio"] == latency["ratio_high"]  # one round
            if runtime["name"] == document["baseline"]:
                assert latency["ratio"] == 1


def test_runtimes_answer_alike(document: dict[str, Any]) -> None:
    for runtime in document["runtimes"]:
        if runtime["precision"] == "fp32":
            assert runtime["difference"] <= 1e-4
            assert runtime["cosine"] == pytest.approx(1, abs=1e-6)
        else:
            assert runtime["difference"] > 0
            assert 0.9 < runtime["cosine"] < 1


def test_all_runtimes_of_a_shape_run_as_often(document: dict[str, Any]) -> None:
    for index in range(2):
        assert len({one["latencies"][index]["runs"] for one in document["runtimes"]}) == 1


def test_table_is_plain_where_it_is_piped(langid: Path) -> None:
    threads = sorted({1, usable_cpus()})
    options = [option for count in threads for option in ("--threads", count)]
    code, out, err = command("bench", langid, "--shapes", "1x8", "--rounds", 2, *options)
    assert (code, err) == (0, "")
    assert "\x1b" not in out
    assert out.count("speed-up over albert-edge fp32") == len(threads)
    [line] = [line for line in out.splitlines() if line.startswith("outliers: ")]
    assert "counted" in line
    rows = [line.split() for line in out.splitlines() if line.startswith("1x8")]
    assert [row[1:3] for row in rows] == [["albert-edge", "fp32"]] * len(threads)
    assert all(row[7:10] == ["1.00", "x", "(1.00-1.00)"] for row in rows)


def test_ratios_that_cannot_be_relied_on_are_marked(langid: Path) -> None:
    options = ["--shapes", "1x8", "--rounds", 1, "--threads", 1]
    code, out, err = command("bench", langid, *options)
    assert (code, err) == (0, "")
    [line] = [line for line in out.splitlines() if "albert-edge int8" in line and "(n=1)" in line]
    assert " x (n=1) (" in line
    assert MARKS in out.replace("\n", " ")


def test_plot_shows_what_was_measured(langid: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    told = ["--shapes", "1x8", "--threads", 1, "--precision", "fp32", "--rounds", 1]
    code, out, err = command("bench", langid, *told, "--plot", tmp_path / "figure.svg")
    assert (code, err) == (0, "")
    assert "albert-edge fp32" in out
    figure = (tmp_path / "figure.svg").read_text(encoding="utf-8")
    assert "<svg" in figure
    assert "albert-edge fp32" in figure


def test_without_fp32_answers_are_still_compared_with_it(langid: Path) -> None:
    report = bench(langid, shapes=[(1, 8)], precisions=["int8"], threads=[1], rounds=1)
    [own] = report.runtimes
    assert report.baseline == own.name == "albert-edge int8"
    assert own.difference > 0


def test_a_report_has_a_short_repr(langid: Path) -> None:
    report = bench(
        langid, shapes=[(1, 8)], precisions=["int8"], threads=[1], rounds=1, device="cpu"
    )
    runtime = "albert-edge int8"
    assert repr(report) == f"<BenchReport of {langid}: {runtime} at 1x8; baseline {runtime}>"


def test_progress_counts_every_step(langid: Path) -> None:
    steps: list[tuple[str, int, int | None]] = []
    bench(
        langid,
        shapes=[(1, 8)],
        precisions=["fp32"],
        threads=[1],
        rounds=2,
        progress=lambda what, done, total: steps.append((what, done, total)),
    )
    assert [done for _, done, _ in steps] == [*range(5)]  # built, started twice, two turns
    assert {total for _, _, total in steps} == {5}
    assert steps[0][0] == "building albert-edge fp32"


def test_a_device_that_is_not_there_is_an_error(langid: Path) -> None:
    with pytest.raises(UsageError, match="tpu"):
        bench(langid, device="tpu")


def test_torch_in_fp16_runs_where_it_is_told(work: Work) -> None:
    """On the CPU here; on a GPU it is a peer."""
    peer = PEERS["torch-fp16"]
    if peer.missing:
        pytest.skip(f"needs {peer.missing}")
    run = peer.load(peer.build(work), 1, "cpu")
    arrays = make_inputs((2, 9), read_config(work.checkpoint / "config.json"), work.head)
    with Session(work.folder / "bundle", threads=1, precision="fp32") as session:
        difference = compare_outputs(session.run(arrays), run(arrays))
    assert 0 < difference.difference < 0.05
    assert difference.cosine > 0.999


def test_every_choice_is_measured_once(langid: Path) -> None:
    report = bench(
        langid, shapes=[(1, 8), (1, 8)], precisions=["fp32", "fp32"], threads=[1, 1], rounds=1
    )
    [own] = report.runtimes
    assert len(own.latencies) == 1


# --- peers that are missing or fail ---------------------------------------------------------


def test_missing_extra_is_skipped_with_the_pip_line(
    langid: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("openvino", "optimum", "transformers", "nncf"):
        monkeypatch.setitem(sys.modules, module, None)  # which makes an import fail
    report = bench(
        langid, shapes=[(1, 8)], precisions=["fp32"], threads=[1], rounds=1, against=[*PEERS]
    )
    assert [one.name for one in report.runtimes] == ["albert-edge fp32"]
    assert report.baseline == "albert-edge fp32"
    extras = {"torch": "reference", "optimum": "optimum", "openvino": "openvino"}
    for name in PEERS:
        line = f"pip install 'albert-edge[cpu,{extras[name.partition('-')[0]]}]'"
        assert report.skipped[name].endswith(line)
    assert report.skipped["openvino"].startswith("openvino is not installed")


ODD = """
import os, signal, time
import numpy as np
from albert_edge.benchmark.runtimes import Built, load_own

def as_it_is(work):
    return Built({bundle!r}, 1, work.head)

def fails(work):
    raise ValueError("no such thing\\nand more")

def exits(work):
    print("I give up")
    os._exit(3)

def killed(work):
    os.kill(os.getpid(), signal.SIGKILL)

def right(built, threads, device):
    return load_own(built, threads, device, variant="model")

def other_weights(built, threads, device):
    run = right(built, threads, device)
    return lambda arrays: {{name: values + 1 for name, values in run(arrays).items()}}

def other_outputs(built, threads, device):
    run = right(built, threads, device)
    return lambda arrays: {{"scores": values for values in run(arrays).values()}}

def not_sixteen_wide(built, threads, device):
    run = right(built, threads, device)
    def odd(arrays):
        if arrays["input_ids"].shape == (2, 16):
            raise MemoryError
        return run(arrays)
    return odd

def heavy(built, threads, device):
    run = right(built, threads, device)
    kept, gone = np.full(50_000_000, 1, np.uint8), np.full(90_000_000, 1, np.uint8)
    time.sleep(0.2)
    def slow(arrays):
        time.sleep(0.02)
        assert kept[0]
        return run(arrays)
    return slow
"""


@pytest.fixture
def odd(langid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A module of peers that fail in all ways; its functions travel to other processes."""
    (tmp_path / "odd_peers.py").write_text(ODD.format(bundle=str(langid)))
    monkeypatch.syspath_prepend(str(tmp_path))
    import odd_peers  # type: ignore[import-not-found]

    def add(name: str, **functions: Any) -> None:
        told = {"build": odd_peers.as_it_is, "prepare": prepare_own, "load": odd_peers.right}
        told |= functions
        peer = Runtime(name=name, precision="fp32", extra="odd", **told)
        monkeypatch.setitem(peers_module.PEERS, name, peer)

    odd_peers.add = add
    yield odd_peers
    del sys.modules["odd_peers"]


def test_a_failing_peer_is_reported_and_the_others_go_on(odd: Any, langid: Path) -> None:
    odd.add("fails", build=odd.fails)
    odd.add("exits", build=odd.exits)
    odd.add("killed", build=odd.killed)
    odd.add("not loading", load=odd.fails)
    odd.add("other weights", load=odd.other_weights)
    odd.add("other outputs", load=odd.other_outputs)
    odd.add("not everything", load=odd.not_sixteen_wide)
    odd.add("good")
    names = ["fails", "exits", "killed", "not loading", "other weights", "other outputs"]
    report = bench(
        langid,
        shapes=[(1, 8), (2, 16), (1, 4)],
        precisions=["fp32"],
        threads=[1],
        rounds=1,
        against=[*names, "not everything", "good"],
    )
    assert [one.name for one in report.runtimes] == ["albert-edge fp32", "good"]
    assert report.baseline == "good"
    assert all(len(one.latencies) == 3 for one in report.runtimes)
    skipped = report.skipped
    assert list(skipped) == [*names, "not everything"]
    assert skipped["fails"] == "failed: ValueError: no such thing"
    assert skipped["exits"] == "failed: its process ended with exit code 3: I give up"
    assert skipped["killed"] == "failed: its process was killed by signal 9"
    assert skipped["not loading"].startswith("failed: TypeError: fails() takes 1")
    assert "not those of the same weights: largest difference 1" in skipped["other weights"]
    assert "its outputs are scores (1, " in skipped["other outputs"]
    assert skipped["not everything"] == "failed: 2x16: MemoryError"


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")
def test_time_and_memory_are_those_of_the_runtime(odd: Any, langid: Path) -> None:
    """A model that is known to take 50 MB, 90 MB more while it loads, and 20 ms a run."""
    odd.add("heavy", load=odd.heavy)
    report = bench(
        langid, shapes=[(1, 8)], precisions=["fp32"], threads=[1], rounds=1, against=["heavy"]
    )
    own, heavy = report.runtimes
    assert heavy.load_s >= 0.2
    assert 49 < heavy.loaded_mb - own.loaded_mb < 55
    assert 49 < heavy.steady_mb - own.steady_mb < 55
    assert 139 < heavy.peak_mb - own.loaded_mb < 145
    [latency] = heavy.latencies
    assert latency.best_ms >= 20
    assert latency.sequences_per_s <= 50


def test_a_variant_that_cannot_be_run_is_an_error(langid: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "damaged"
    subprocess.run(["cp", "-r", langid, bundle], check=True)
    (bundle / "onnx/model_quantized.onnx").write_bytes(b"no model")
    with pytest.raises(BundleError, match=r"albert-edge int8 .* not the file") as caught:
        bench(bundle, shapes=[(1, 8)], threads=[1], rounds=1)
    assert "albert_edge.verify(" in caught.value.tip


def test_a_traced_bundle_has_no_weights_for_peers(langid: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "traced"
    subprocess.run(["cp", "-r", langid, bundle], check=True)
    manifest = bundle / "albert_edge.json"
    manifest.write_text(manifest.read_text().replace('"native"', '"optimum"'))
    with pytest.raises(BundleError, match="hides its weights"):
        bench(bundle, shapes=[(1, 8)], threads=[1], rounds=1, against=["torch"])


# --- what cannot be meant -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--shapes", "8"], "not a shape"),
        (["--shapes", "1x8,"], "not a shape"),
        (["--shapes", "1x257"], "1 to 256 tokens"),
        (["--precision", "int3"], "int3"),
        (["--threads", "0"], "--threads 0"),
        (["--threads", "100000"], "--threads 100000"),
        (["--against", "torch,tensorflow"], "tensorflow"),
        (["--rounds", "0"], "--rounds 0 is less than 1"),
        (["--plot", "figure.pdf"], "figure.pdf"),
        (["--plot", "figure"], "figure"),
        (["--plot", "no-such-folder/figure.svg"], "no-such-folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_usage_errors_come_before_anything_is_measured(
    arguments: list[str], told: str, langid: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)  # no process is started
    code, out, err = command("bench", langid, *arguments)
    assert (code, out) == (2, "")
    message, tip = err.splitlines()
    assert message.startswith("ERROR ")
    assert told in message
    assert tip.startswith("TIP ")


@pytest.mark.parametrize("precision", ["int4", "fp16"])
def test_a_precision_that_is_not_there_says_how_to_make_it(precision: str, langid: Path) -> None:
    with pytest.raises(AlbertEdgeError) as caught:
        bench(langid, precisions=[precision])
    made = {"fp16": "precision=Fp16(target='portable')"}  # for the CPU
    assert made.get(precision, f'precision="{precision}"') in caught.value.tip


# --- how it ends ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [(signal.SIGINT, 130, "Interrupted.\n"), (signal.SIGKILL, -9, "")],
    ids=["SIGINT", "SIGKILL"],
)
def test_no_process_is_left_behind(
    number: signal.Signals, code: int, words: str, langid: Path, tmp_path: Path
) -> None:
    told = ["bench", langid, "--shapes", "1x128", "--threads", "1", "--rounds", "100000"]
    process = subprocess.Popen(
        [str(SCRIPT), *map(str, told)],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    children: list[psutil.Process] = []
    deadline = time.monotonic() + 60
    while len(children) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
        children = psutil.Process(process.pid).children()
    assert len(children) == 2
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (code, "", words)
    gone, left = psutil.wait_procs(children, timeout=60)
    assert len(gone) == 2
    assert left == []
    if number == signal.SIGINT:
        assert list(tmp_path.iterdir()) == []


def test_nan_is_never_alike() -> None:
    right = {"logits": np.ones((1, 2), np.float32)}
    wrong = {"logits": np.array([[1, math.nan]], np.float32)}
    assert math.isnan(compare_outputs(right, wrong).difference)
