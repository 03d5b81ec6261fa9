"""Session: named arrays in, named arrays out; what it refuses; and where it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.checkpoints import TINY, make_model

import albert_edge
from albert_edge.bundle.bundle import Bundle, open_bundle
from albert_edge.errors import BundleError, DeviceError, InputError, UsageError
from albert_edge.runtime import cpus
from albert_edge.runtime.engine import load_engine
from albert_edge.runtime.self_test import check_answers
from albert_edge.runtime.session import Session

VOCAB = int(str(TINY["vocab_size"]))
LONGEST = int(str(TINY["max_position_embeddings"]))
IDS = np.array([[2, 17, 250, 99, 3], [2, 8, 3, 0, 0]])
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
TYPES = np.array([[0, 0, 0, 1, 1], [0, 0, 0, 0, 0]])
VARIANTS = ["model", "model_optimized"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A classifier with a portable and an optimized variant."""
    folder = tmp_path_factory.mktemp("classifier")
    make_model("text-classification").save_pretrained(folder / "checkpoint")
    albert_edge.export(folder / "checkpoint", folder / "bundle")
    albert_edge.optimize(folder / "bundle")
    return open_bundle(folder / "bundle")


@pytest.fixture(scope="module", params=VARIANTS)
def session(request: pytest.FixtureRequest, bundle: Bundle) -> Iterator[Session]:
    with Session(bundle, variant=request.param, threads=2) as opened:
        yield opened


def run(session: Session, **inputs: npt.ArrayLike) -> npt.NDArray[np.float32]:
    return session.run(inputs)["logits"]


# --- arrays in, arrays out ------------------------------------------------------------------


def test_named_arrays_equal_transformers(session: Session) -> None:
    import torch

    wanted = make_model("text-classification")(
        input_ids=torch.from_numpy(IDS),
        attention_mask=torch.from_numpy(MASK),
        token_type_ids=torch.from_numpy(TYPES),
    ).logits
    got = session.run({"input_ids": IDS, "attention_mask": MASK, "token_type_ids": TYPES})
    assert list(got) == list(session.output_names) == ["logits"]
    assert got["logits"].dtype == np.float32
    np.testing.assert_allclose(got["logits"], wanted.detach().numpy(), rtol=0, atol=1e-4)
    assert set(session.input_names) == {"input_ids", "attention_mask", "token_type_ids"}


def test_defaults_are_no_padding_and_one_segment(session: Session) -> None:
    ones, zeros = np.ones_like(IDS), np.zeros_like(IDS)
    wanted = run(session, input_ids=IDS, attention_mask=ones, token_type_ids=zeros)
    np.testing.assert_array_equal(run(session, input_ids=IDS), wanted)
    np.testing.assert_array_equal(run(session, input_ids=IDS, attention_mask=ones), wanted)
    np.testing.assert_array_equal(run(session, input_ids=IDS, token_type_ids=zeros), wanted)
    # And both do something when they are not the default.
    assert abs(run(session, input_ids=IDS, attention_mask=MASK) - wanted).max() > 1e-3
    assert abs(run(session, input_ids=IDS, token_type_ids=TYPES) - wanted).max() > 1e-3


def test_extra_names_are_ignored(session: Session) -> None:
    wanted = run(session, input_ids=IDS)
    extra: dict[str, Any] = {"position_ids": np.zeros(7), "labels": "none of its business"}
    np.testing.assert_array_equal(run(session, input_ids=IDS, **extra), wanted)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int32, np.int64, np.uint64])
def test_every_integer_type_is_taken(session: Session, kind: type[np.integer[Any]]) -> None:
    ids = IDS % 100
    wanted = run(session, input_ids=ids)
    np.testing.assert_array_equal(run(session, input_ids=ids.astype(kind)), wanted)


def test_lists_booleans_and_strided_arrays_are_taken(session: Session) -> None:
    wanted = run(session, input_ids=IDS, attention_mask=MASK)
    np.testing.assert_array_equal(
        run(session, input_ids=IDS.tolist(), attention_mask=MASK.astype(bool)), wanted
    )
    strided = np.repeat(IDS, 2, axis=1)[:, ::2]
    assert not strided.flags.c_contiguous
    np.testing.assert_array_equal(run(session, input_ids=strided, attention_mask=MASK), wanted)


def test_inputs_are_left_as_they_are(session: Session) -> None:
    before = IDS.copy()
    run(session, input_ids=IDS)
    np.testing.assert_array_equal(IDS, before)


@pytest.mark.parametrize("length", [1, 2, LONGEST])
def test_every_length_up_to_the_longest(session: Session, length: int) -> None:
    assert run(session, input_ids=np.full((1, length), 5)).shape == (1, 2)


@pytest.mark.parametrize("name", ["input_ids", "attention_mask", "token_type_ids"])
@pytest.mark.parametrize(
    "array",
    [
        [[]],
        [],
        7,
        None,
        [["2", "3"]],
        [[1.0, 2.0, 3.0, 4.0, 5.0]] * 2,
        [[None] * 5] * 2,
        [[1, 2, 3], [1, 2]],
        np.zeros((2, 5, 1), dtype=np.int64),
        np.zeros((2, 0), dtype=np.int64),
        np.zeros((0, 5), dtype=np.int64),
        np.zeros((2, 5), dtype=np.complex64),
        np.zeros((2, 5), dtype="datetime64[s]"),
    ],
)
def test_arrays_of_another_shape_or_type_are_refused(
    session: Session, name: str, array: Any
) -> None:
    with pytest.raises(InputError, match=name) as caught:
        session.run({"input_ids": IDS, name: array})
    assert caught.value.tip


@pytest.mark.parametrize("name", ["attention_mask", "token_type_ids"])
@pytest.mark.parametrize("shape", [(5, 2), (1, 5), (2, 1), (2, 4), (10,)])
def test_arrays_are_not_broadcast(session: Session, name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=name):
        session.run({"input_ids": IDS, name: np.zeros(shape, dtype=np.int64)})


@pytest.mark.parametrize("inputs", [{}, {"attention_mask": MASK}, {"inputs": IDS}])
def test_missing_input_ids_are_named(session: Session, inputs: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="input_ids is missing"):
        session.run(inputs)


def test_one_dimension_too_few_is_refused(session: Session) -> None:
    with pytest.raises(InputError):
        session.run({"input_ids": [2, 5, 3]})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("input_ids", VOCAB),
        ("input_ids", 2**31),
        ("input_ids", -1),  # onnx counts negative indices from the end, transformers refuses them
        ("input_ids", -VOCAB),
        ("input_ids", np.uint64(2**64 - 1)),
        ("token_type_ids", 2),
        ("token_type_ids", -1),
    ],
)
def test_ids_out_of_range_are_refused(session: Session, name: str, value: Any) -> None:
    array = np.zeros(IDS.shape, dtype=np.asarray(value).dtype)
    array[1, 2] = value
    with pytest.raises(InputError) as caught:
        session.run({"input_ids": IDS, name: array})
    assert caught.value.tip
    assert run(session, input_ids=IDS).shape == (2, 2)  # and it still works


@pytest.mark.parametrize("length", [LONGEST + 1, 2 * LONGEST])
def test_more_tokens_than_positions_are_refused(session: Session, length: int) -> None:
    with pytest.raises(InputError, match=str(length)) as caught:
        session.run({"input_ids": np.full((1, length), 5)})
    assert "max_position_embeddings" in caught.value.tip


ANY_INPUT = (
    st.integers(-5, 400)
    | st.floats()
    | st.none()
    | st.text(max_size=2)
    | st.lists(st.lists(st.integers(-5, 400) | st.floats(), max_size=4), max_size=3)
)


@given(
    inputs=st.dictionaries(
        st.sampled_from(["input_ids", "attention_mask", "token_type_ids"]), ANY_INPUT
    )
)
@settings(deadline=None, max_examples=150)
def test_anything_is_answered_or_an_input_error(session: Session, inputs: dict[str, Any]) -> None:
    try:
        logits = session.run(inputs)["logits"]
    except InputError as error:
        assert error.tip
    else:
        assert logits.shape == (np.shape(inputs["input_ids"])[0], 2)


def test_a_closed_session_is_a_usage_error(bundle: Bundle) -> None:
    with Session(bundle) as session:
        assert run(session, input_ids=IDS).shape == (2, 2)
    with pytest.raises(UsageError, match="closed"):
        session.run({"input_ids": IDS})
    session.close()  # twice does no harm
    with pytest.raises(UsageError, match="closed"):
        session.run({})


def test_many_threads_get_the_serial_answers(session: Session) -> None:
    rng = np.random.default_rng(0)
    inputs = []
    for index in range(96):
        shape = (1 + index % 3, int(rng.integers(1, 60)))
        inputs.append(
            {
                "input_ids": rng.integers(0, VOCAB, shape),
                "token_type_ids": rng.integers(0, 2, shape),
            }
        )
    serial = [session.run(arrays) for arrays in inputs]
    with ThreadPoolExecutor(8) as pool:
        parallel = list(pool.map(session.run, inputs))
    for expected, outputs in zip(serial, parallel, strict=True):
        np.testing.assert_array_equal(outputs["logits"], expected["logits"])


# --- which variant --------------------------------------------------------------------------


def test_the_optimized_variant_is_preferred(bundle: Bundle) -> None:
    assert Session(bundle).variant.name == "model_optimized"
    assert Session(bundle, device="cpu", precision="fp32").variant.name == "model_optimized"
    assert Session(bundle, variant="model").variant.name == "model"


def test_the_order_in_the_manifest_does_not_matter(bundle: Bundle) -> None:
    turned = replace(bundle.manifest, variants=bundle.manifest.variants[::-1])
    assert Session(Bundle(bundle.storage, turned)).variant.name == "model_optimized"


def test_without_an_optimized_variant_the_portable_one_runs(bundle: Bundle) -> None:
    portable = replace(bundle.manifest, variants=bundle.manifest.variants[:1])
    assert Session(Bundle(bundle.storage, portable)).variant.name == "model"


def test_variants_of_other_targets_are_not_chosen(bundle: Bundle) -> None:
    portable, optimized = bundle.manifest.variants
    variants = (portable, replace(optimized, target="cuda"))
    other = Bundle(bundle.storage, replace(bundle.manifest, variants=variants))
    assert Session(other).variant.name == "model"
    only = Bundle(bundle.storage, replace(bundle.manifest, variants=variants[1:]))
    with pytest.raises(BundleError, match="for cpu"):
        Session(only)


def test_masked_logits_are_never_chosen_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_model("fill-mask").save_pretrained(tmp_path / "checkpoint")
    albert_edge.export(tmp_path / "checkpoint", tmp_path / "bundle")
    # The tokenizer is beside the point here: only which id [MASK] has is asked of it.
    monkeypatch.setattr("albert_edge.steps.optimize.mask_token_id", lambda bundle: 4)
    albert_edge.optimize(tmp_path / "bundle", logits="masked")
    opened = open_bundle(tmp_path / "bundle")
    assert [v.name for v in opened.manifest.variants] == ["model", "model_optimized_masked"]
    assert Session(opened).variant.name == "model"
    masked = Session(opened, variant="model_optimized_masked")
    assert set(masked.output_names) == {"mask_positions", "mask_logits"}
    answers = check_answers(masked)  # none of the stored items has a mask
    assert answers is not None and answers.holds
    albert_edge.optimize(tmp_path / "bundle")
    assert Session(tmp_path / "bundle").variant.name == "model_optimized"


def test_an_unknown_variant_or_precision_lists_what_there_is(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="model_quantized") as caught:
        Session(bundle, variant="model_quantized")
    assert "model, model_optimized" in caught.value.tip
    with pytest.raises(BundleError, match="int8") as caught:
        Session(bundle, precision="int8")
    assert "fp32" in caught.value.tip


# --- where it runs --------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_runs_on_the_cpu_only(
    bundle: Bundle, variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = []

    def load(*arguments: Any, **options: Any) -> Any:
        engines.append(load_engine(*arguments, **options))
        return engines[-1]

    monkeypatch.setattr("albert_edge.runtime.session.load_engine", load)
    with Session(bundle, variant=variant) as session:
        assert session.device.name == "cpu"
    # What onnxruntime reports, not what was requested.
    assert [engine.get_providers() for engine in engines] == [["CPUExecutionProvider"]]


@pytest.mark.parametrize("name", ["auto", "cpu"])
def test_devices_that_are_the_cpu(bundle: Bundle, name: str) -> None:
    assert Session(bundle, device=name).device.name == "cpu"


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:1"])
def test_no_silent_fallback_from_cuda(bundle: Bundle, name: str) -> None:
    with pytest.raises(DeviceError, match=name) as caught:
        Session(bundle, device=name)
    assert caught.value.exit_code == 4
    assert caught.value.tip


@pytest.mark.parametrize("name", ["tpu", "CPU", "", "cudax", "cpu:0"])
def test_unknown_devices_are_a_usage_error(bundle: Bundle, name: str) -> None:
    with pytest.raises(UsageError, match=repr(name)) as caught:
        Session(bundle, device=name)
    assert caught.value.exit_code == 2
    assert "cpu" in caught.value.tip


@pytest.mark.parametrize("threads", [0, -1])
def test_threads_below_one_are_a_usage_error(bundle: Bundle, threads: int) -> None:
    with pytest.raises(UsageError, match=str(threads)):
        Session(bundle, threads=threads)


def outcome(code: str, *args: str, **environment: str) -> str:
    """What a fresh interpreter prints."""
    kept = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


COUNT_THREADS = """
import os, sys
from albert_edge.runtime.session import Session
Session(sys.argv[1], threads=1).run({"input_ids": [[2, 3]]})
before = len(os.listdir("/proc/self/task"))
session = Session(sys.argv[1], threads=int(sys.argv[2]))
print(session.threads, len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_onnxruntime_starts_as_many_threads_as_asked(bundle: Bundle, threads: int) -> None:
    # The calling thread works too.
    got = outcome(COUNT_THREADS, str(bundle.path), str(threads))
    assert got == f"{threads} {threads - 1}"


def test_by_default_it_uses_the_usable_processors(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("albert_edge.runtime.session.usable_cpus", lambda: 3)
    assert Session(bundle).threads == 3
    assert Session(bundle, threads=1).threads == 1


SPY = """
import importlib.abc, os, sys
seen = []
class Spy(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "onnxruntime":
            seen.append(os.environ.get("ORT_DISABLE_TELEMETRY"))
sys.meta_path.insert(0, Spy())
from albert_edge.runtime.session import Session
Session(sys.argv[1])
assert "onnxruntime" in sys.modules
print(seen)
"""


@pytest.mark.parametrize("environment", [{}, {"ORT_DISABLE_TELEMETRY": "0"}])
def test_telemetry_is_off_before_onnxruntime_is_imported(
    bundle: Bundle, environment: dict[str, str]
) -> None:
    assert outcome(SPY, str(bundle.path), **environment) == "['1']"


# --- processors -----------------------------------------------------------------------------


def lay_out(root: Path, files: dict[str, str]) -> tuple[Path, Path]:
    """A fake /proc/self/cgroup, and the tree of control groups beside it."""
    for name, text in {"proc": "", **files}.items():
        path = root / ("proc" if name == "proc" else f"sys/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root / "proc", root / "sys"


V1 = "9:memory:/a/b\n4:cpu,cpuacct:/a/b\n1:name=systemd:/a/b\n"


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        pytest.param({}, np.inf, id="no groups at all"),
        pytest.param({"proc": "0::/\n"}, np.inf, id="v2 root has no cpu.max"),
        pytest.param({"proc": "0::/\n", "cpu.max": "150000 100000\n"}, 1.5, id="v2 container"),
        pytest.param({"proc": "0::/a\n", "a/cpu.max": "max 100000\n"}, np.inf, id="v2 max"),
        pytest.param({"proc": "0::/a\n", "a/cpu.max": "20000 50000\n"}, 0.4, id="v2 below one"),
        pytest.param(
            {"proc": "0::/a/b\n", "a/cpu.max": "300000 100000\n", "a/b/cpu.max": "max 100000\n"},
            3.0,
            id="v2 only the parent limits",
        ),
        pytest.param(
            {
                "proc": "0::/a/b/c\n",
                "cpu.max": "max 100000\n",
                "a/cpu.max": "200000 100000\n",
                "a/b/cpu.max": "800000 100000\n",
                "a/b/c/cpu.max": "125000 50000\n",
            },
            2.0,
            id="v2 least of the nested",
        ),
        pytest.param(
            {"proc": "0::/a\n", "a/cpu.max": "max 100000\n", "b/cpu.max": "100000 100000\n"},
            np.inf,
            id="v2 neighbours do not count",
        ),
        pytest.param({"proc": "0::/a\n", "a/cpu.max": "garbage"}, np.inf, id="v2 unreadable"),
        pytest.param(
            {
                "proc": V1,
                "cpu/a/b/cpu.cfs_quota_us": "250000\n",
                "cpu/a/b/cpu.cfs_period_us": "100000\n",
            },
            2.5,
            id="v1",
        ),
        pytest.param(
            {
                "proc": V1,
                "cpu/cpu.cfs_quota_us": "-1\n",
                "cpu/cpu.cfs_period_us": "100000\n",
                "cpu/a/cpu.cfs_quota_us": "350000\n",
                "cpu/a/cpu.cfs_period_us": "50000\n",
                "cpu/a/b/cpu.cfs_quota_us": "-1\n",
                "cpu/a/b/cpu.cfs_period_us": "100000\n",
            },
            7.0,
            id="v1 only the parent limits",
        ),
        pytest.param(
            {
                "proc": V1,
                "cpu/a/b/cpu.cfs_quota_us": "-1\n",
                "cpu/a/b/cpu.cfs_period_us": "100000\n",
            },
            np.inf,
            id="v1 -1",
        ),
        pytest.param(
            # In a container the path is the host's; only the root is mounted.
            {
                "proc": "4:cpu,cpuacct:/docker/0123\n",
                "cpu/cpu.cfs_quota_us": "50000\n",
                "cpu/cpu.cfs_period_us": "100000\n",
            },
            0.5,
            id="v1 container",
        ),
        pytest.param(
            {
                "proc": "6:cpuset:/a\n0::/a\n",
                "cpu/a/cpu.cfs_quota_us": "100000\n",
                "cpu/a/cpu.cfs_period_us": "100000\n",
                "a/cpu.max": "600000 100000\n",
            },
            6.0,
            id="cpuset is not cpu",
        ),
    ],
)
def test_cgroup_quota(tmp_path: Path, files: dict[str, str], wanted: float) -> None:
    assert cpus.cpu_quota(*lay_out(tmp_path, files)) == wanted


def test_no_proc_means_no_quota(tmp_path: Path) -> None:
    assert cpus.cpu_quota(tmp_path / "none", tmp_path) == np.inf


@pytest.mark.parametrize(
    ("quota", "affinity", "wanted"),
    [("150000", 8, 2), ("10000", 8, 1), ("800000", 3, 3), ("max", 8, 8), ("200000", 1, 1)],
)
def test_usable_cpus_is_the_smaller_rounded_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, affinity: int, wanted: int
) -> None:
    proc, cgroups = lay_out(tmp_path, {"proc": "0::/\n", "cpu.max": f"{quota} 100000\n"})
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(affinity)), raising=False)
    assert cpus.usable_cpus(proc, cgroups) == wanted


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_a_pinned_process_has_one_processor(bundle: Bundle) -> None:
    code = (
        "import os, sys; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from albert_edge.runtime.session import Session;"
        "print(Session(sys.argv[1]).threads)"
    )
    assert outcome(code, str(bundle.path)) == "1"
