"""Work counted from what runs, against closed formulas for ALBERT; limits; and what is printed."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from support.bench_samples import ROOFLINE
from support.checkpoints import TINY, make_model

import albert_edge
from albert_edge.benchmark import cpu_kinds, rates
from albert_edge.benchmark.cpu_kinds import CpuKind, derive_rates
from albert_edge.benchmark.profile import Array, ModelRun, NodeRun, profile, read_profile
from albert_edge.benchmark.report import OperatorShare, Rates
from albert_edge.benchmark.roofline import (
    BETWEEN,
    compute_seconds,
    count_work,
    measure_roofline,
    operator_shares,
)
from albert_edge.benchmark.shapes import make_inputs
from albert_edge.benchmark.work import INTEGER_PRODUCTS, moved_bytes, multiply_accumulates
from albert_edge.bundle.bundle import open_bundle
from albert_edge.cli.print_roofline import print_roofline
from albert_edge.compress.options import Int8
from albert_edge.errors import BundleError
from albert_edge.runtime import adaptation

pytestmark = pytest.mark.slow

SIZES = {name: value for name, value in TINY.items() if isinstance(value, int)}

# --- one operator ---------------------------------------------------------------------------


def node(operator: str, inputs: list[Any], outputs: list[Any]) -> NodeRun:
    """A run of an operator, from pairs of type and shape."""
    taken, given = (tuple(Array(*one) for one in arrays) for arrays in (inputs, outputs))
    return NodeRun(operator, taken, given, 0.0)


def f(*shape: int) -> tuple[str, tuple[int, ...]]:
    return "float", shape


@pytest.mark.parametrize(
    ("operator", "inputs", "outputs", "macs", "size"),
    [
        # By hand: 2 x 3 rows of 5 times (5, 7) are 6 * 7 values of 5 products each.
        ("MatMul", [f(2, 3, 5), f(5, 7)], [f(2, 3, 7)], 210, 4 * (30 + 35 + 42)),
        ("MatMul", [f(2, 4, 3, 5), f(2, 4, 5, 7)], [f(2, 4, 3, 7)], 840, 4 * (120 + 280 + 168)),
        ("Gemm", [f(3, 5), f(7, 5), f(7)], [f(3, 7)], 105, 4 * (15 + 35 + 7 + 21)),
        ("Gemm", [f(5, 3), f(7, 5)], [f(3, 7)], 105, 4 * (15 + 35 + 21)),  # transA
        (
            "MatMulIntegerToFloat",
            [("uint8", (3, 5)), ("int8", (5, 7)), f(), f(7), ("uint8", ())],
            [f(3, 7)],
            105,
            15 + 35 + 4 + 28 + 1 + 84,
        ),
        # Rows of 32 in one block of 16 bytes, 4 bits each.
        (
            "MatMulNBits",
            [f(3, 32), ("uint8", (7, 1, 16)), f(7, 1)],
            [f(3, 7)],
            3 * 7 * 32,
            4 * 96 + 112 + 28 + 84,
        ),
        # One query of 8 tokens, 6 features: 8 scores of 6 products, and as many to mix.
        ("Attention", [f(1, 1, 6), f(1, 8, 6), f(1, 8, 6)], [f(1, 1, 6)], 96, 4 * (6 + 48 * 2 + 6)),
        (
            "Attention",
            [f(1, 2, 1, 3), f(1, 2, 8, 3), f(1, 2, 8, 3)],
            [f(1, 2, 1, 3)],
            96,
            4 * (6 + 48 * 2 + 6),
        ),
        ("MultiHeadAttention", [f(2, 4, 6)] * 3, [f(2, 4, 6)], 2 * 2 * 4 * 4 * 6, 4 * 48 * 4),
        # com.microsoft's projects too: 8 tokens by (6, 18), then 8 by 8 by 6 twice.
        (
            "Attention",
            [f(1, 8, 6), f(6, 18), f(18)],
            [f(1, 8, 6)],
            8 * 6 * 18 + 2 * 64 * 6,
            4 * (48 + 108 + 18 + 48),
        ),
        ("Add", [f(2, 3), f(3)], [f(2, 3)], 0, 4 * (6 + 3 + 6)),
        ("Cast", [("int64", (2, 3))], [("float16", (2, 3))], 0, 6 * (8 + 2)),
        ("Gather", [f(30000, 128), ("int64", (1, 8))], [f(1, 8, 128)], 0, 2 * 4096 + 64),
        ("Slice", [f(512, 16), ("int64", (1,))], [f(8, 16)], 0, 512 + 8 + 512),
        ("Slice", [f(1, 16), ("int64", (1,))], [f(1, 16)], 0, 64 + 8 + 64),
        ("Reshape", [f(2, 3), ("int64", (1,))], [f(6)], 0, 0),
        ("Shape", [f(512, 512)], [("int64", (2,))], 0, 16),
        ("Loop", [f(2, 3)], [f(2, 3)], 0, 0),
        ("StringNormalizer", [("string", (4,))], [("string", (4,))], 0, 0),
    ],
)
def test_work_of_an_operator(
    operator: str, inputs: list[Any], outputs: list[Any], macs: int, size: int
) -> None:
    one = node(operator, inputs, outputs)
    assert (multiply_accumulates(one), moved_bytes(one)) == (macs, size)


# --- whole models ---------------------------------------------------------------------------

Bundles = Callable[..., Path]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    """Makes bundles of two groups of two inner layers, each once."""
    root = tmp_path_factory.mktemp("roofline")

    def make(task: str, **config: Any) -> Path:
        name = "-".join([task, *map(str, config.values())])
        folder = root / name
        if not folder.exists():
            make_model(task, **config).save_pretrained(root / f"{name}-checkpoint")
            albert_edge.export(root / f"{name}-checkpoint", folder)
        return folder

    return make


def formula(
    config: dict[str, Any],
    task: str,
    batch: int,
    length: int,
    *,
    first_token: bool = False,
    fine: int = 1,
) -> tuple[int, int]:
    """Multiply-accumulates of an ALBERT: of its matrices, and of its attention.

    Written from the paper's description, with nothing but the sizes of the configuration.

    Args:
        config: Sizes.
        task: Which head.
        batch: Texts.
        length: Tokens of each.
        first_token: Whether the last layer is computed for the first token alone.
        fine: How often the matrices of the head are multiplied with.
    """
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    embedding, vocabulary = config["embedding_size"], config["vocab_size"]
    texts = batch * 2 if task == "multiple-choice" else batch
    tokens = texts * length
    matrices, attention = tokens * embedding * hidden, 0
    layers = config["num_hidden_layers"] * config["inner_group_num"]
    for layer in range(layers):
        asking = texts if first_token and layer == layers - 1 else tokens
        matrices += 2 * tokens * hidden**2  # keys and values
        matrices += 2 * asking * hidden**2  # queries, and what comes out of attention
        matrices += 2 * asking * hidden * inner
        attention += 2 * (asking // texts) * length * hidden * texts
    pooler = texts * hidden**2
    words = tokens * hidden * embedding  # and then every word of the vocabulary
    labels = config.get("num_labels", 2)
    heads = {
        "feature-extraction": pooler,
        "fill-mask": words,
        "pretraining": words + pooler + texts * hidden * 2,
        "text-classification": pooler + texts * hidden * labels,
        "token-classification": tokens * hidden * labels,
        "question-answering": tokens * hidden * 2,
        "multiple-choice": pooler + texts * hidden,
    }
    decoder = tokens * embedding * vocabulary if task in ("fill-mask", "pretraining") else 0
    return matrices + fine * heads[task] + decoder, attention


def totals(folder: Path, variant: str, task: str, shape: tuple[int, int]) -> tuple[int, int]:
    """Multiply-accumulates that were counted: of integers, and of floats."""
    bundle = open_bundle(folder)
    config = bundle.read_config()
    path = bundle.model_file(bundle.variant(variant))
    work = count_work(path, make_inputs(shape, config, task))
    integers = sum(macs for name, (_, macs, _) in work.items() if name in INTEGER_PRODUCTS)
    return integers, sum(macs for _, macs, _ in work.values()) - integers


TASKS = [
    "feature-extraction",
    "fill-mask",
    "pretraining",
    "text-classification",
    "token-classification",
    "question-answering",
    "multiple-choice",
]
READS_ONE_TOKEN = {"text-classification", "multiple-choice"}


@pytest.mark.parametrize("task", TASKS)
def test_fp32_is_what_the_formula_says(task: str, bundles: Bundles) -> None:
    folder = bundles(task)
    for shape in ((1, 8), (3, 5)):
        matrices, attention = formula(SIZES, task, *shape)
        assert totals(folder, "model", task, shape) == (0, matrices + attention)


@pytest.mark.parametrize("layout", ["loop", "unrolled"])
@pytest.mark.parametrize("task", TASKS)
def test_optimized_is_what_the_formula_says(
    task: str, layout: Literal["loop", "unrolled"], bundles: Bundles
) -> None:
    folder = bundles(task)
    albert_edge.optimize(folder, layout=layout)
    for shape in ((1, 8), (3, 5)):
        matrices, attention = formula(SIZES, task, *shape, first_token=task in READS_ONE_TOKEN)
        assert totals(folder, "model_optimized", task, shape) == (0, matrices + attention)


def test_sizes_and_repeats_count(bundles: Bundles) -> None:
    changes = {"num_hidden_layers": 6, "num_labels": 5, "intermediate_size": 44}
    folder = bundles("token-classification", **changes)
    matrices, attention = formula({**SIZES, **changes}, "token-classification", 2, 9)
    assert totals(folder, "model", "token-classification", (2, 9)) == (0, matrices + attention)


@pytest.mark.parametrize(
    ("precision", "variant", "fine"), [("int8", "model_quantized", 2), ("int4", "model_q4", 1)]
)
@pytest.mark.parametrize("task", ["text-classification", "fill-mask"])
def test_compressed_is_what_the_formula_says(
    task: str, precision: Any, variant: str, fine: int, bundles: Bundles
) -> None:
    # Its head multiplies twice in int8. Attention stays in floating point.
    folder = bundles(task)
    albert_edge.quantize(folder, precision=precision, min_agreement=0.0, min_cosine=0.0)
    first = task in READS_ONE_TOKEN
    matrices, attention = formula(SIZES, task, 2, 7, first_token=first, fine=fine)
    assert totals(folder, variant, task, (2, 7)) == (matrices, attention)


def test_bytes_of_products_are_what_the_formula_says(bundles: Bundles) -> None:
    """Every product reads x, the matrix, its scale and bias where it has them, and writes y."""
    folder = bundles("token-classification")
    albert_edge.quantize(folder, precision="int8", min_agreement=0.0, min_cosine=0.0)
    bundle, tokens = open_bundle(folder), 2 * 7
    config = bundle.read_config()
    inputs = make_inputs((2, 7), config, "token-classification")
    hidden, inner, embedding = (
        SIZES[f"{name}_size"] for name in ("hidden", "intermediate", "embedding")
    )
    layer = [(hidden, hidden)] * 4 + [(hidden, inner), (inner, hidden)]
    once = [(embedding, hidden), *layer * 8]
    for variant, value, extra, head in (("model", 4, 0, 1), ("model_quantized", 1, 6, 2)):
        matrices: list[Any] = [*once, *[(hidden, 2)] * head]
        expected = sum(
            value * (tokens * k + k * n) + 4 * tokens * n + (extra and 4 * n + extra)
            for k, n in matrices
        )
        work = count_work(bundle.model_file(bundle.variant(variant)), inputs)
        if variant == "model":  # its products of attention are MatMuls too
            expected += 8 * 4 * 2 * (3 * 7 * 7 + 2 * 7 * hidden)
            expected += 8 * 4 * 2 * (3 * 7 * 7 + 2 * 7 * hidden)
        assert work["MatMul" if variant == "model" else "MatMulIntegerToFloat"][2] == expected


# --- profiles -------------------------------------------------------------------------------


def event(operator: str, microseconds: int, cat: str = "Node", **shapes: Any) -> dict[str, Any]:
    told = {"op_name": operator, "input_type_shape": [], "output_type_shape": [], **shapes}
    return {"cat": cat, "name": f"a/{operator}_kernel_time", "dur": microseconds, "args": told}


def run_event(microseconds: int) -> dict[str, Any]:
    return {"cat": "Session", "name": "model_run", "dur": microseconds, "args": {}}


def test_a_profile_is_cut_into_runs() -> None:
    events = [
        {"cat": "Session", "name": "session_initialization", "dur": 9, "args": {}},
        event("Add", 30, input_type_shape=[{"float": [2, 3]}, {"float": []}]),
        {"cat": "Node", "name": "a/Add_fence_before", "dur": 1, "args": {}},  # of older ones
        run_event(100),
        event("Add", 10, output_type_shape=[{"float16": [4]}]),
        event("Loop", 5),
        {"cat": "Session", "name": "SequentialExecutor::Execute", "dur": 18, "args": {}},
        run_event(20),
    ]
    taken = (Array("float", (2, 3)), Array("float", ()))
    assert read_profile(events) == [
        ModelRun((NodeRun("Add", taken, (), 30e-6),), 100e-6),
        ModelRun(
            (NodeRun("Add", (), (Array("float16", (4,)),), 10e-6), NodeRun("Loop", (), (), 5e-6)),
            20e-6,
        ),
    ]


def test_shares_count_what_is_in_a_loop_once() -> None:
    def timed(operator: str, seconds: float) -> NodeRun:
        return NodeRun(operator, (), (), seconds)

    nodes = (timed("Add", 2), timed("MatMul", 3), timed("Add", 1), timed("Loop", 8))
    assert list(operator_shares(ModelRun(nodes, 8.0), {"MatMul": (1, 7, 70)})) == [
        OperatorShare("Add", 2, 0.375, 0, 0),
        OperatorShare("MatMul", 1, 0.375, 7, 70),
        OperatorShare(BETWEEN, 0, 0.25, 0, 0),
    ]


def test_a_loop_is_told_of_turn_by_turn(bundles: Bundles) -> None:
    folder = bundles("feature-extraction", num_hidden_layers=12, num_hidden_groups=1)
    albert_edge.optimize(folder, layout="loop")
    bundle = open_bundle(folder)
    config = bundle.read_config()
    path = bundle.model_file(bundle.variant("model_optimized"))
    inputs = make_inputs((1, 4), config, "feature-extraction")
    runs = profile(path, inputs, threads=1, runs=3)
    assert [[n.operator for n in run.nodes].count("Attention") for run in runs] == [24] * 3
    assert [[n.operator for n in run.nodes].count("Loop") for run in runs] == [1] * 3
    for run in runs:
        inside = sum(n.seconds for n in run.nodes if n.operator != "Loop")
        assert 0 < inside < run.seconds


# --- rates ----------------------------------------------------------------------------------


def test_rates_are_work_over_time(monkeypatch: pytest.MonkeyPatch) -> None:
    meter = rates.Meter(2)  # whose products and copy are real
    clock = iter(range(100))
    monkeypatch.setattr(time, "perf_counter", lambda: 2.0 * next(clock))
    product = 512 * 1024 * 3072 / 2
    assert meter.measure() == Rates(product, product, 2**26, uint8=product)


def test_a_copy_copies() -> None:
    meter = rates.Meter(3)
    (targets, sources) = meter._parts
    assert sum(map(len, targets)) == sum(map(len, sources)) == 2**26
    targets[2][:] = 0
    meter._copy()
    assert all((part == 1).all() for part in targets)


def test_products_of_the_meter_are_products() -> None:
    meter = rates.Meter(1)
    for run in (meter._int8, meter._uint8, meter._fp32):
        (product,) = run()  # type: ignore[misc]
        assert product.shape == (512, 3072) and product.std() > 0  # type: ignore[has-type]


def test_the_best_rates_are_the_highest_of_each() -> None:
    found = [Rates(1, 20, 5, 8), Rates(3, 10, 4, 7), Rates(2, 15, 6, 9)]
    assert rates.best_rates(found) == Rates(3, 20, 6, 9)


# --- kinds of CPU ---------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "signed"), [(CpuKind.VNNI, 4), (CpuKind.AVX2, 2)])
def test_rates_of_a_kind_follow_from_the_rate_of_floats(kind: CpuKind, signed: float) -> None:
    derived = derive_rates(kind, Rates(int8=7e9, fp32=10e9, bandwidth=3e9, uint8=7e9))
    assert derived == Rates(int8=signed * 10e9, fp32=10e9, bandwidth=3e9, uint8=15e9)


def test_weights_in_blocks_are_never_unsigned() -> None:
    work = {
        "MatMulIntegerToFloat": (2, 24, 0),
        "MatMulNBits": (1, 40, 0),
        "MatMul": (1, 6, 0),
        "Add": (9, 0, 0),
    }
    known = Rates(int8=4, fp32=1, bandwidth=1, uint8=2)
    assert compute_seconds(work, known, unsigned=False) == 24 / 4 + 40 / 4 + 6
    assert compute_seconds(work, known, unsigned=True) == 24 / 2 + 40 / 4 + 6


@pytest.fixture
def integer_bundles(bundles: Bundles, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """int8 that may have 7-bit activations, that may not, and with unsigned weights in the file."""
    options = {
        "narrow": Int8(),
        "wide": Int8(activations="per-tensor"),
        "unsigned": Int8(weights="unsigned"),
    }
    root = tmp_path_factory.mktemp("integers")
    for name, chosen in options.items():
        own = shutil.copytree(bundles("text-classification"), root / name)
        albert_edge.quantize(own, chosen, min_agreement=0.0, min_cosine=0.0)
    return {name: root / name for name in options}


def test_the_limit_of_each_kind_of_cpu(
    integer_bundles: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Rates(int8=8e6, fp32=2e6, bandwidth=1e15, uint8=5e6)
    monkeypatch.setattr(rates.Meter, "measure", lambda meter: known)
    # Here, measured, and on the other kind, derived from fp32 by 2, 4, and 1.5 where unsigned.
    expected = {
        (True, "narrow"): (8e3, "x86 without VNNI", 4e3),
        (True, "wide"): (8e3, "x86 without VNNI", 3e3),
        (True, "unsigned"): (5e3, "x86 without VNNI", 3e3),
        (False, "narrow"): (8e3, "x86 with VNNI", 8e3),
        (False, "wide"): (5e3, "x86 with VNNI", 8e3),
        (False, "unsigned"): (5e3, "x86 with VNNI", 3e3),
    }
    for (exact, name), (here, other, there) in expected.items():
        for module in (adaptation, cpu_kinds):
            monkeypatch.setattr(module, "adds_signed_weights_exactly", lambda exact=exact: exact)
        bundle = open_bundle(integer_bundles[name])
        (one,) = measure_roofline(bundle, [(1, 4)], [1], ["int8"])
        assert one.int8_macs > one.fp32_macs > 0
        floats = one.fp32_macs / 2e3
        assert one.compute_ms == pytest.approx(one.int8_macs / here + floats), (exact, name)
        assert one.other_cpu == other
        assert one.other_compute_ms == pytest.approx(one.int8_macs / there + floats), (exact, name)


# --- the whole ------------------------------------------------------------------------------


@pytest.fixture
def known_rates(monkeypatch: pytest.MonkeyPatch) -> Rates:
    known = Rates(int8=4e6, fp32=2e6, bandwidth=1e15, uint8=3e6)
    monkeypatch.setattr(rates.Meter, "measure", lambda meter: known)
    return known


def test_a_bundle_against_the_machine(bundles: Bundles, known_rates: Rates) -> None:
    folder = bundles("text-classification")
    albert_edge.optimize(folder)
    albert_edge.quantize(folder, precision="int8", min_agreement=0.0, min_cosine=0.0)
    found = measure_roofline(open_bundle(folder), [(1, 8), (2, 4)], [1, 2], ["int8", "fp32"])
    keys = [(one.precision, one.threads, one.batch, one.length) for one in found]
    assert keys == [
        (precision, threads, *shape)
        for precision in ("int8", "fp32")
        for threads in (1, 2)
        for shape in ((1, 8), (2, 4))
    ]
    for one in found:
        shape = (one.batch, one.length)
        fine = 2 if one.precision == "int8" else 1
        matrices, attention = formula(
            TINY, "text-classification", *shape, first_token=True, fine=fine
        )
        integers = matrices if one.precision == "int8" else 0
        assert (one.int8_macs, one.fp32_macs) == (integers, matrices - integers + attention)
        assert one.compute_ms == pytest.approx(one.int8_macs / 4e3 + one.fp32_macs / 2e3)
        assert one.bound == "compute"
        assert one.reached == pytest.approx(one.compute_ms / one.ms)
        assert sum(part.share for part in one.operators) == pytest.approx(1)
        assert sum(part.macs for part in one.operators) == one.int8_macs + one.fp32_macs
        assert sum(part.bytes for part in one.operators) == one.bytes
        ranked = [part.share for part in one.operators]
        assert ranked == sorted(ranked, reverse=True)
    assert {one.variant for one in found} == {"model_quantized", "model_optimized"}


def test_bound_by_memory_where_a_copy_is_slow(
    bundles: Bundles, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Rates(int8=1e15, fp32=1e15, bandwidth=1e6)
    monkeypatch.setattr(rates.Meter, "measure", lambda meter: slow)
    (one,) = measure_roofline(open_bundle(bundles("fill-mask")), [(1, 4)], [1], ["fp32"])
    assert one.bound == "memory"
    assert one.memory_ms == pytest.approx(one.bytes / 1e3)
    assert one.reached == pytest.approx(one.memory_ms / one.ms)


def test_a_precision_the_bundle_has_not(bundles: Bundles, known_rates: Rates) -> None:
    with pytest.raises(BundleError, match="no int4 variant") as refused:
        measure_roofline(open_bundle(bundles("pretraining")), [(1, 4)], [1], ["int4"])
    assert "quantize" in refused.value.tip


def test_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    parts = [
        OperatorShare("MatMul", 9, 0.7, 10**9, 5 * 10**6),
        OperatorShare(BETWEEN, 0, 0.285, 0, 0),
        OperatorShare("Cast", 2, 0.01, 0, 0),
        OperatorShare("Shape", 1, 0.005, 0, 0),
    ]
    one = dataclasses.replace(ROOFLINE, operators=parts)
    slower = dataclasses.replace(one.rates, fp32=40e9)
    other = dataclasses.replace(one, length=128, operators=parts[:1], rates=slower)
    print_roofline([one, other])
    told = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "2 200.0 80.0 40.0 to 50.0 10.0" in told
    assert "1x8 1.000 0.000 5.0 5.00 0.50 10.00 50% compute 10.00" in told
    assert "without VNNI, ms (derived)" in " ".join(told)
    assert told[told.index("Share of the time by operator, int8, 2 threads") + 1 :] == [
        "operator 1x8 1x128",
        "MatMul 70.0% 70.0%",
        "(between operators) 28.5% 0.0%",
        "2 others 1.5% 0.0%",
    ]
