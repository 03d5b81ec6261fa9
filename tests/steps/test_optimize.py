"""Every optimization, alone and together, against the portable graph it must not differ from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.checkpoints import MODEL_CLASSES, TINY, make_model
from tokenizers import Tokenizer, models

import albert_edge
from albert_edge import optimize
from albert_edge.architecture.config import read_config
from albert_edge.bundle.bundle import open_bundle
from albert_edge.check import parity
from albert_edge.errors import AlbertEdgeError, BundleError, QualityError, UsageError
from albert_edge.graph.build import author
from albert_edge.graph.operators import base as operators
from albert_edge.graph.operators import cpu, cuda
from albert_edge.graph.plan import Layout, Optimization, Plan, Target
from albert_edge.graph.writer import write_model
from albert_edge.onnx_format.reader import read_onnx
from albert_edge.runtime.engine import run_file
from albert_edge.runtime.session import Session

pytestmark = pytest.mark.slow

TOLERANCE = 1e-5  # these models are tiny; the same arithmetic in another order is this close
VOCABULARY: Any = TINY["vocab_size"]
MASK = 4
TARGETS: tuple[Target, ...] = ("portable", "cpu", "cuda")
LAYOUTS: tuple[Layout, ...] = ("unrolled", "loop")
LENGTHS = ((9, 1, 5), (1,), (2,), (70,))
POOLED = ("text-classification", "multiple-choice")  # heads that read [CLS] alone

# How often a layer occurs in the graph of TINY: each of 2 groups is applied twice, of 2 layers.
LAYERS = {"unrolled": 2 * 2 * 2, "loop": 2 * 2}

every_task = pytest.mark.parametrize("task", MODEL_CLASSES)
every_layout = pytest.mark.parametrize("layout", LAYOUTS)
every_target = pytest.mark.parametrize("target", TARGETS)


def make_bundle(folder: Path, task: str, **config: Any) -> Path:
    """A bundle with a tokenizer that knows [MASK] and hardly anything else."""
    make_model(task, **config).save_pretrained(folder / "checkpoint")
    words = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]", *map(str, range(295))]
    vocabulary = {word: index for index, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="<unk>"))
    tokenizer.add_special_tokens(words[:5])
    tokenizer.save(str(folder / "checkpoint" / "tokenizer.json"))
    albert_edge.export(folder / "checkpoint", folder / "bundle")
    return folder / "bundle"


@pytest.fixture
def bundle(bundles: dict[str, Path], tmp_path: Path) -> Callable[..., Path]:
    """Makes a bundle that a test may change."""

    def make(task: str, **config: Any) -> Path:
        if config:
            return make_bundle(tmp_path, task, **config)
        return Path(shutil.copytree(bundles[task], tmp_path / "bundle"))

    return make


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A bundle for every head, which the tests must leave as they are."""
    return {task: make_bundle(tmp_path_factory.mktemp(task), task) for task in MODEL_CLASSES}


@pytest.fixture(scope="module")
def portable(bundles: dict[str, Path]) -> dict[str, list[parity.Arrays]]:
    """What the portable graph of every head answers for `LENGTHS`."""
    answers: dict[str, list[parity.Arrays]] = {}
    for task, bundle in bundles.items():
        run = run_file(bundle / "onnx" / "model.onnx")
        answers[task] = [run(inputs(task, lengths)) for lengths in LENGTHS]
    return answers


def inputs(task: str, lengths: Iterable[int] = (9, 1, 5), seed: int = 0) -> parity.Arrays:
    """A padded batch with both segments in use and no [MASK]."""
    random = np.random.default_rng(seed)
    lengths = np.array(list(lengths))
    shape = (len(lengths), *((2,) if task == "multiple-choice" else ()), lengths.max())
    ids = random.integers(MASK + 1, VOCABULARY, shape)
    mask = np.arange(shape[-1]) < lengths.reshape(-1, *[1] * (len(shape) - 1))
    return {
        "input_ids": ids,
        "attention_mask": np.broadcast_to(mask, shape).astype(np.int64),
        "token_type_ids": random.integers(0, 2, shape),
    }


def run_plan(bundle: Path, task: str, plan: Plan, path: Path) -> tuple[parity.Run, dict[str, int]]:
    """Author under a plan, from the weights of the portable file; what was applied, with it."""
    store = bundle / "onnx" / "model.onnx"
    tensors = read_onnx(store).tensors
    authored = author(read_config(bundle / "config.json"), task, plan)
    write_model(authored, lambda name: tensors[name].array(), path)
    applied = {str(name): count for name, count in authored.applied.items()}
    return run_file(path), applied


def assert_equal_answers(found: parity.Arrays, expected: parity.Arrays) -> None:
    assert list(found) == list(expected)
    for name, values in found.items():
        assert values.shape == expected[name].shape
        np.testing.assert_allclose(values, expected[name], rtol=0, atol=TOLERANCE)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def expected_counts(task: str, target: str, layout: str, wanted: Iterable[str]) -> dict[str, int]:
    """What the report should say, reckoned by hand from the geometry of TINY."""
    counts = {}
    layers = LAYERS[layout]
    if "first-token" in wanted and task in POOLED:
        counts["first-token"] = 1
        # The last group leaves its loop: once with every token, once for [CLS].
        layers = 8 if layout == "unrolled" else 2 + 2 + 2
    if target != "portable" and "fused-attention" in wanted:
        counts["fused-attention"] = layers
    if target != "portable" and "fused-gelu" in wanted:
        counts["fused-gelu"] = layers + (task in ("fill-mask", "pretraining"))
    if target == "cpu" and "no-key-bias" in wanted:
        counts["no-key-bias"] = 4  # two groups of two layers
    if target == "cuda" and "packed-projections" in wanted:
        counts["packed-projections"] = 4
    if target == "cuda" and "fused-norm" in wanted:
        counts["fused-norm"] = 2 * layers
    return counts


ALONE = sorted(set(Optimization) - {Optimization.MASKED_LOGITS})


def alone() -> Iterator[tuple[str, Target, Layout, Optimization | None]]:
    """Every combination of a pooled head and of one with two outputs.

    The other heads differ from these after the layers alone: of them every optimization for every
    target that has operators of its own, the layouts in turn.
    """
    for task in MODEL_CLASSES:
        for index, optimization in enumerate([None, *ALONE]):
            for target, layout in product(TARGETS, LAYOUTS):
                in_turn = target != "portable" and LAYOUTS.index(layout) == index % 2
                if in_turn or task in ("text-classification", "pretraining"):
                    yield task, target, layout, optimization


@pytest.mark.parametrize(("task", "target", "layout", "optimization"), alone())
def test_alone(
    task: str,
    target: Target,
    layout: Layout,
    optimization: Optimization | None,
    bundles: dict[str, Path],
    portable: dict[str, list[parity.Arrays]],
    tmp_path: Path,
) -> None:
    wanted = frozenset({optimization} if optimization else ())
    plan = Plan(target, layout, wanted)
    run, applied = run_plan(bundles[task], task, plan, tmp_path / "model.onnx")
    for lengths, expected in zip(LENGTHS, portable[task], strict=True):
        assert_equal_answers(run(inputs(task, lengths)), expected)
    assert applied == expected_counts(task, target, layout, wanted)


GELUS = ["gelu", "gelu_python", "gelu_accurate", "gelu_fast", "gelu_new", "gelu_pytorch_tanh"]


@pytest.mark.parametrize(
    ("hidden_act", "fused"),
    [*((name, True) for name in GELUS), ("gelu_10", False), ("quick_gelu", False), ("relu", False)],
)
@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_only_what_is_gelu_is_fused_as_gelu(
    target: Target, hidden_act: str, fused: bool, bundle: Callable[..., Path]
) -> None:
    report = optimize(bundle("fill-mask", hidden_act=hidden_act), target=target)
    assert ("fused-gelu" in report.variant.optimizations) == fused
    assert "fused-attention" in report.variant.optimizations
    assert report.largest_difference <= TOLERANCE


@every_layout
@every_target
@every_task
def test_together(
    task: str,
    target: Target,
    layout: Layout,
    bundle: Callable[..., Path],
    portable: dict[str, list[parity.Arrays]],
) -> None:
    folder = bundle(task)
    report = optimize(folder, target=target, layout=layout)

    everything = [str(optimization) for optimization in ALONE]
    assert report.variant.optimizations == expected_counts(task, target, layout, everything)
    assert report.largest_difference <= TOLERANCE
    assert open_bundle(folder).manifest.variants[-1] == report.variant

    optimized = Session(folder, variant=report.variant.name)
    for lengths, expected in zip(LENGTHS, portable[task], strict=True):
        assert_equal_answers(optimized.run(dict(inputs(task, lengths))), expected)


@pytest.mark.parametrize("target", ["cpu", "cuda"])
@every_task
def test_masks_of_all_kinds(task: str, target: Target, bundle: Callable[..., Path]) -> None:
    """Padding on the left and holes in the middle, too."""
    folder = bundle(task)
    variant = optimize(folder, target=target).variant.name
    arrays = dict(inputs(task, (9, 9, 9, 9)))
    arrays["attention_mask"] = np.random.default_rng(1).integers(0, 2, arrays["input_ids"].shape)
    arrays["attention_mask"][..., -1] = 1
    expected = Session(folder, variant="model").run(arrays)
    assert_equal_answers(Session(folder, variant=variant).run(arrays), expected)


def test_the_optimized_variant_is_the_one_that_runs(bundle: Callable[..., Path]) -> None:
    folder = bundle("text-classification")
    assert Session(folder).variant.name == "model"
    report = optimize(folder)
    assert report.bundle == folder
    assert Session(folder).variant == report.variant
    assert report.nodes_after < report.nodes_before


@pytest.mark.parametrize(
    ("target", "layout"), [("portable", "loop"), ("cpu", "loop"), ("cuda", "unrolled")]
)
def test_each_target_has_its_layout_and_its_name(
    target: Target, layout: Layout, bundle: Callable[..., Path]
) -> None:
    folder = bundle("text-classification")
    variant = optimize(folder, target=target).variant
    names = {"portable": "model_optimized_portable", "cpu": "model_optimized"}
    assert variant.name == names.get(target, f"model_optimized_{target}")
    assert (variant.target, variant.layout) == (target, layout)
    # A CPU runs what is for a GPU when it is named, and never of its own accord.
    assert Session(folder, variant=variant.name).variant == variant
    assert (Session(folder).variant == variant) == (target == "cpu")


def test_optimizing_again_replaces_the_variant(bundle: Callable[..., Path]) -> None:
    folder = bundle("text-classification")
    optimize(folder, layout="unrolled")
    optimize(folder, layout="loop")
    manifest = open_bundle(folder).manifest
    assert [(v.name, v.layout) for v in manifest.variants] == [
        ("model", "unrolled"),
        ("model_optimized", "loop"),
    ]
    open_bundle(folder).check_all()


@pytest.mark.parametrize(("layout", "growth"), [("loop", 1), ("unrolled", 3)])
def test_only_an_unrolled_graph_grows_with_the_layers(
    layout: Layout, growth: int, tmp_path: Path
) -> None:
    reports = [
        optimize(
            make_bundle(tmp_path / str(layers), "fill-mask", num_hidden_layers=layers),
            layout=layout,
        )
        for layers in (4, 12)
    ]
    few, many = (report.variant.optimizations["fused-attention"] for report in reports)
    assert (few, many) == (LAYERS[layout], growth * LAYERS[layout])
    few, many = (report.nodes_after for report in reports)
    assert (many > few) == (growth > 1)
    assert many <= growth * few


# Logits at [MASK]


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fill-mask bundle with the masked variants of all targets."""
    folder = make_bundle(tmp_path_factory.mktemp("masked"), "fill-mask")
    for target in TARGETS:
        report = optimize(folder, target=target, logits="masked")
        assert report.variant.optimizations["masked-logits"] == 1
    return folder


@pytest.mark.parametrize(
    "variant",
    ["model_optimized_masked", "model_optimized_portable_masked", "model_optimized_cuda_masked"],
)
@pytest.mark.parametrize(
    "positions",
    [
        pytest.param([(0, 3)], id="one"),
        pytest.param([(0, 0), (0, 8), (2, 4)], id="several"),
        pytest.param([(0, 2), (0, 3), (0, 4)], id="in-a-row"),
        pytest.param([(1, 7)], id="in-the-padding"),
        pytest.param(list(product(range(3), range(9))), id="everywhere"),
        pytest.param([], id="none"),
    ],
)
def test_logits_at_masks(variant: str, positions: list[tuple[int, int]], masked: Path) -> None:
    arrays = dict(inputs("fill-mask"))
    for position in positions:
        arrays["input_ids"][position] = MASK
    logits = Session(masked, variant="model").run(arrays)["logits"]
    expected = {
        "mask_positions": np.array(positions, dtype=np.int64).reshape(-1, 2),
        "mask_logits": np.array([logits[at] for at in positions]).reshape(-1, VOCABULARY),
    }
    found = Session(masked, variant=variant).run(arrays)
    assert found["mask_positions"].dtype == np.int64
    assert_equal_answers(found, expected)


def test_masked_variant_runs_only_when_named(masked: Path) -> None:
    """Its outputs are others, so whoever asks for fp32 must not be given it."""
    assert Session(masked).variant.name == "model"
    assert Session(masked, variant="model_optimized_masked").output_names == (
        "mask_positions",
        "mask_logits",
    )


# What is refused, and that it leaves no trace


def mark_as_optimum(folder: Path) -> None:
    """The manifest of a bundle that came over the other road."""
    path = folder / "albert_edge.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["variants"][0]["exporter"] = "optimum"
    path.write_text(json.dumps(manifest), encoding="utf-8")


def damage_model(folder: Path) -> None:
    path = folder / "onnx" / "model.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")


def untouched(folder: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("task", "prepare", "options", "error", "message"),
    [
        pytest.param(
            "fill-mask", mark_as_optimum, {}, BundleError, "exported by optimum", id="optimum"
        ),
        pytest.param(
            "fill-mask", damage_model, {}, BundleError, r"model\.onnx.*sha256", id="damaged"
        ),
        *(
            pytest.param(
                task, untouched, {"logits": "masked"}, UsageError, task, id=f"masked-{task}"
            )
            for task in MODEL_CLASSES
            if task != "fill-mask"
        ),
        *(
            pytest.param(
                "fill-mask", untouched, {option: "abacus"}, UsageError, "abacus", id=option
            )
            for option in ("target", "layout", "logits")
        ),
    ],
)
def test_refused(
    task: str,
    prepare: Callable[[Path], None],
    options: dict[str, Any],
    error: type[AlbertEdgeError],
    message: str,
    bundle: Callable[..., Path],
) -> None:
    folder = bundle(task)
    prepare(folder)
    before = snapshot(folder)
    with pytest.raises(error, match=message) as caught:
        optimize(folder, **options)
    assert caught.value.tip
    assert snapshot(folder) == before


def test_masked_logits_need_a_tokenizer(checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    albert_edge.export(checkpoint("fill-mask"), tmp_path / "bundle")
    with pytest.raises(BundleError, match=r"\[MASK\]"):
        optimize(tmp_path / "bundle", logits="masked")


def test_not_a_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not an albert-edge bundle"):
        optimize(tmp_path)
    assert not any(tmp_path.iterdir())


def assert_quality_error(folder: Path, **options: Any) -> None:
    before = snapshot(folder)
    with pytest.raises(QualityError, match="differs from the portable model") as caught:
        optimize(folder, **options)
    assert caught.value.exit_code == 3
    assert snapshot(folder) == before
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("logits", ["all", "masked"])
def test_a_difference_above_the_tolerance_leaves_the_bundle_as_it_was(
    logits: str, bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bundle("fill-mask")
    optimize(folder)  # so that there is a variant that must survive
    monkeypatch.setattr(parity, "TOLERANCE", -1.0)
    assert_quality_error(folder, logits=logits)


PORTABLE_BIAS = operators.Portable.attention_bias
CUDA_ATTENTION = cuda.Cuda.attention


@pytest.fixture
def fresh_graphs() -> Iterator[None]:
    """Take no graph from before the test, and leave none of those it gets wrong."""
    author.cache_clear()
    yield
    author.cache_clear()


def forget_mask(self: Any, op: Any, attention_mask: Any) -> Any:
    return PORTABLE_BIAS(self, op, op.Equal(attention_mask, attention_mask))


def other_activation(self: Any, op: Any, linear: Any, x: Any, activation: Any) -> Any:
    return op.Gelu(linear(op, x), approximate="tanh")  # at most 0.0005 off the one wanted


def not_a_number(self: Any, op: Any, linear: Any, x: Any, activation: Any) -> Any:
    return op.Sqrt(op.Sub(op.Mul(linear(op, x), 0.0), 1.0))


def one_key_for_another(self: Any, op: Any, projected: Any, bias: Any) -> Any:
    query, key, value = projected
    return CUDA_ATTENTION(self, op, (query, value, key), bias)


def forget_bias(self: Any, op: Any, linear: Any, x: Any, residual: Any, norm: Any) -> Any:
    return norm(op, op.Add(linear.product(op, x), residual))


@pytest.mark.parametrize(
    ("target", "written_by", "method", "mistake"),
    [
        ("cpu", operators.Portable, "attention_bias", forget_mask),
        ("cpu", cpu.Cpu, "activate", other_activation),
        ("cpu", cpu.Cpu, "activate", not_a_number),
        ("cuda", operators.Portable, "attention_bias", forget_mask),
        ("cuda", cuda.Cuda, "normalize", forget_bias),
    ],
)
@every_task
@pytest.mark.usefixtures("fresh_graphs")
def test_a_wrong_graph_is_caught(
    task: str,
    target: Target,
    written_by: type[operators.Portable],
    method: str,
    mistake: Callable[..., Any],
    bundle: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = bundle(task)
    monkeypatch.setattr(written_by, method, mistake)
    assert_quality_error(folder, target=target)


@pytest.mark.usefixtures("fresh_graphs")
def test_a_wrong_last_layer_is_caught(
    bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one token asks, the cuda target has an operator of its own."""
    monkeypatch.setattr(cuda.Cuda, "attention", one_key_for_another)
    assert_quality_error(bundle("text-classification"), target="cuda")
