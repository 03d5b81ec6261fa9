"""Folders with any modules in any order: their vectors are those of sentence-transformers."""

from __future__ import annotations

import inspect
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.pipelines import one_thread
from support.sentence_folders import (
    HIDDEN,
    KINDS,
    REFERENCE,
    TEXTS,
    Base,
    assert_same,
    base,
    change_json,
    dense,
    embeddings,
    pair,
    pooling,
    saved,
    write_json,
)

import albert_edge
from albert_edge.errors import BundleError, CheckpointError, UsageError

__all__ = ["base", "one_thread"]  # fixtures

pytestmark = [pytest.mark.reference, pytest.mark.slow]

nn = torch.nn


def layer_norm(size: int) -> Any:
    """A LayerNorm whose weights are not those it starts with."""
    module = KINDS.LayerNorm(size)
    torch.manual_seed(size)
    nn.init.normal_(module.norm.weight)
    nn.init.normal_(module.norm.bias)
    return module


def prelu(slope: float) -> Any:
    module = dense(activation_function=nn.PReLU())
    nn.init.constant_(module.activation_function.weight, slope)
    return module


def of_tokens(outputs: int, **options: Any) -> Any:
    return dense(HIDDEN, outputs, module_input_name="token_embeddings", **options)


def everything() -> list[Any]:
    return [
        of_tokens(20, activation_function=nn.GELU()),
        pooling("cls", "max", "weightedmean"),
        KINDS.Dropout(0.5),
        layer_norm(60),
        dense(60, 16, activation_function=nn.GLU()),
        KINDS.Normalize(),
        dense(8, 6, activation_function=nn.Softplus()),
        KINDS.Normalize(),
        KINDS.Dropout(0.5),
    ]


Modules = Callable[[], list[Any]]
# The modules after the transformer, and the size of an embedding.
CHAINS: dict[str, tuple[int, Modules]] = {
    "LayerNorm": (HIDDEN, lambda: [pooling("mean"), layer_norm(HIDDEN)]),
    "Dropout": (HIDDEN, lambda: [pooling("mean"), KINDS.Dropout(0.9)]),
    "Normalize before Dense": (10, lambda: [pooling("max"), KINDS.Normalize(), dense()]),
    "Normalize twice": (HIDDEN, lambda: [pooling("max"), KINDS.Normalize(), KINDS.Normalize()]),
    "Normalize of nothing": (HIDDEN, lambda: [KINDS.Normalize(), pooling("mean")]),
    "the last Pooling counts": (HIDDEN, lambda: [pooling("cls", "max"), pooling("mean")]),
    "Dense of tokens": (
        2 * 12,
        lambda: [of_tokens(12, activation_function=nn.SiLU()), pooling("mean", "lasttoken")],
    ),
    "Dense beside the embedding": (
        HIDDEN,
        lambda: [pooling("mean"), dense(module_output_name="scores"), KINDS.Normalize()],
    ),
    "Softmax": (10, lambda: [pooling("mean"), dense(activation_function=nn.Softmax())]),
    "PReLU": (10, lambda: [pooling("mean"), prelu(-0.7)]),
    # The slope is not saved, so the folder means torch's default.
    "LeakyReLU": (10, lambda: [pooling("mean"), dense(activation_function=nn.LeakyReLU(0.9))]),
    "everything": (6, everything),
}


@pytest.mark.parametrize("name", CHAINS)
def test_modules_in_any_order(base: Base, tmp_path: Path, name: str) -> None:
    size, make = CHAINS[name]
    both = pair(saved(base(), tmp_path / "st", *make()))
    both.compare()
    both.compare(normalize=True)
    assert both.ours.encode([]).shape == (0, size)
    vectors = both.ours.encode(TEXTS[2:4])
    assert not np.allclose(vectors[0], vectors[1], atol=1e-4)  # else the comparison proves nothing


def test_the_name_of_every_version_is_read(base: Base, tmp_path: Path) -> None:
    source = saved(base(), tmp_path / "st", *everything())
    both = pair(source)
    expected = both.ours.encode(TEXTS)
    entries = json.loads((source / "modules.json").read_text(encoding="utf-8"))
    kinds = [entry["type"].rpartition(".")[2] for entry in entries]
    assert kinds[:2] == ["Transformer", "Dense"]
    for version, name in (
        ("2", "sentence_transformers.models.{kind}"),
        ("5.4", "sentence_transformers.sentence_transformer.modules.{module}.{kind}"),
        ("6", "sentence_transformers.base.modules.{module}.{kind}"),
    ):
        folder = Path(shutil.copytree(source, tmp_path / version))
        named = [
            {**entry, "type": name.format(module=kind.lower(), kind=kind)}
            for entry, kind in zip(entries, kinds, strict=True)
        ]
        write_json(folder / "modules.json", named)
        albert_edge.export(folder, tmp_path / f"{version}-bundle")
        ours = embeddings(tmp_path / f"{version}-bundle")
        np.testing.assert_array_equal(ours.encode(TEXTS), expected)
        if version == "2":
            theirs = REFERENCE.SentenceTransformer(str(folder), device="cpu")
            assert_same(ours.encode(TEXTS), theirs.encode(TEXTS))


def test_a_residual_connection(base: Base, tmp_path: Path) -> None:
    """Of version 6, and compared with its formula where an earlier one is installed."""
    source = saved(base(), tmp_path / "st", pooling("mean"), dense(), dense(10, 10))
    torch.manual_seed(3)
    projection = torch.randn(10, HIDDEN)
    weights = load_file(source / "2_Dense/model.safetensors")
    save_file({**weights, "residual.weight": projection}, source / "2_Dense/model.safetensors")
    for folder in ("2_Dense", "3_Dense"):
        change_json(source / folder / "config.json", use_residual=True)
    albert_edge.export(source, tmp_path / "bundle")
    ours = embeddings(tmp_path / "bundle").encode(TEXTS)
    if "use_residual" in inspect.signature(KINDS.Dense).parameters:
        theirs = REFERENCE.SentenceTransformer(str(source), device="cpu").encode(TEXTS)
    else:
        pooled = torch.from_numpy(embeddings(base().with_name("bundle")).encode(TEXTS))
        values = pooled @ projection.T + torch.tanh(
            pooled @ weights["linear.weight"].T + weights["linear.bias"]
        )
        second = load_file(source / "3_Dense/model.safetensors")
        theirs = (
            values + torch.tanh(values @ second["linear.weight"].T + second["linear.bias"])
        ).numpy()
    assert_same(ours, theirs)


def test_normalized_tokens(base: Base, tmp_path: Path) -> None:
    """A setting of version 6; an earlier one scales the same tokens in the test."""
    modules = [KINDS.Normalize(), pooling("mean")]
    both = pair(saved(base(), tmp_path / "st", *modules))
    plain = both.ours.encode(TEXTS)
    write_json(
        tmp_path / "st/1_Normalize/config.json",
        {"module_input_name": "token_embeddings", "module_output_name": "token_embeddings"},
    )
    albert_edge.export(tmp_path / "st", tmp_path / "bundle")
    ours = embeddings(tmp_path / "bundle").encode(TEXTS)
    tokens = both.theirs.encode(TEXTS, output_value="token_embeddings")
    theirs = [nn.functional.normalize(states, dim=-1).mean(dim=0).numpy() for states in tokens]
    assert_same(ours, np.stack(theirs))
    assert not np.allclose(ours, plain, atol=1e-3)


def test_what_a_call_chooses(base: Base, tmp_path: Path) -> None:
    both = pair(saved(base(), tmp_path / "st", pooling("mean"), dense(), KINDS.Normalize()))
    transformer, _, layer, normalize = both.theirs
    other = REFERENCE.SentenceTransformer(
        modules=[transformer, pooling("cls"), layer, normalize], device="cpu"
    )
    assert_same(both.ours.encode(TEXTS, pooling="cls"), other.encode(TEXTS))
    unscaled = REFERENCE.SentenceTransformer(modules=list(both.theirs)[:3], device="cpu")
    assert_same(both.ours.encode(TEXTS, normalize=False), unscaled.encode(TEXTS))
    several = pair(saved(base(), tmp_path / "several", pooling("mean", "cls"), layer_norm(48)))
    with pytest.raises(UsageError, match="2_LayerNorm takes 48 numbers where there are 24"):
        several.ours("text", pooling="max")


def test_sentence_transformers_opens_the_bundle_of_every_module(base: Base, tmp_path: Path) -> None:
    pytest.importorskip("optimum.onnxruntime", exc_type=ImportError)
    modules = [*everything()[:-2], prelu_after(6), KINDS.Normalize()]
    both = pair(
        saved(
            base(),
            tmp_path / "st",
            *modules,
            prompts={"query": "query: "},
            default_prompt_name="query",
            truncate_dim=5,
        )
    )
    both.compare()
    options = {"file_name": "onnx/model.onnx", "provider": "CPUExecutionProvider"}
    opened = REFERENCE.SentenceTransformer(
        str(both.bundle), backend="onnx", device="cpu", model_kwargs=options
    )
    assert [type(module).__name__ for module in opened] == [
        type(module).__name__ for module in both.theirs
    ]
    assert_same(both.ours.encode(TEXTS), opened.encode(TEXTS))
    assert_same(both.ours.encode(TEXTS), both.reference(TEXTS))


def prelu_after(size: int) -> Any:
    return dense(size, 7, activation_function=nn.PReLU())


# --- what is refused at export --------------------------------------------------------------

PREFIX = "sentence_transformers.models."


def with_modules(*kinds: str) -> Callable[[Path], None]:
    """Replace the modules after the transformer; those of this package have no prefix."""

    def change(folder: Path) -> None:
        entries = [
            {
                "idx": index,
                "name": str(index),
                "path": f"{index}_{kind.rpartition('.')[2]}" if index else "",
                "type": kind if "." in kind else PREFIX + kind,
            }
            for index, kind in enumerate(("Transformer", *kinds))
        ]
        write_json(folder / "modules.json", entries)

    return change


def in_reverse(folder: Path) -> None:
    """Put the modules after the transformer in the opposite order."""
    first, *others = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    write_json(folder / "modules.json", [first, *reversed(others)])


def with_setting(file: str, **settings: Any) -> Callable[[Path], None]:
    return lambda folder: change_json(folder / file, **settings)


DENSE = "2_Dense/config.json"
ACTIVATION = "torch.nn.modules.activation."
REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "WordWeights": (
        with_modules("WordWeights", "Pooling"),
        r"WordWeights \(1_WordWeights\), which is not supported",
    ),
    "WeightedLayerPooling": (with_modules("WeightedLayerPooling", "Pooling"), "WeightedLayerPool"),
    "a sparse encoder": (
        with_modules("sentence_transformers.sparse_encoder.models.SpladePooling"),
        "SpladePooling",
    ),
    "code of its own": (with_modules("mine.Pooling"), r"lists mine\.Pooling"),
    "no Pooling": (with_modules(), "no module makes a sentence_embedding"),
    "Dense before there is an embedding": (
        in_reverse,
        "2_Dense reads sentence_embedding, which no module before it makes",
    ),
    "a pooling of its own": (
        with_setting("1_Pooling/config.json", pooling_mode="attention"),
        "pooling_mode should be some of cls, max, .* found 'attention'",
    ),
    "needs arguments": (
        with_setting(DENSE, activation_function=f"{ACTIVATION}Threshold"),
        r"activation_function is '[\w.]+Threshold'; .* need no arguments: CELU, ",
    ),
    "a function": (
        with_setting(DENSE, activation_function="function"),
        "activation_function is 'function'",
    ),
    "a function of transformers": (
        with_setting(DENSE, activation_function="transformers.activations.GELUActivation"),
        r"activation_function is 'transformers\.activations\.GELUActivation'",
    ),
    "an odd size for GLU": (
        with_setting(DENSE, activation_function=f"{ACTIVATION}GLU", out_features=9),
        "out_features should be an even number",
    ),
    "other sizes": (
        with_setting("1_Pooling/config.json", pooling_mode=["cls", "mean"]),
        "2_Dense takes 24 numbers where there are 48",
    ),
    "other weights": (with_setting(DENSE, out_features=11), r"has the shapes .*\(11, 24\)"),
    "tokens that are pooled": (
        with_setting(DENSE, module_input_name="token_embeddings"),
        "2_Dense reads token_embeddings and writes sentence_embedding",
    ),
    "a softmax over the texts of a batch": (
        with_setting(
            DENSE, module_input_name="token_embeddings", activation_function=f"{ACTIVATION}Softmax"
        ),
        "its values depend on the batch",
    ),
    "a feature of nobody": (
        with_setting(DENSE, module_input_name="input_ids"),
        "2_Dense reads input_ids, which no module before it makes",
    ),
    "a CrossEncoder": (
        with_setting("config_sentence_transformers.json", model_type="CrossEncoder"),
        "model_type should be 'SentenceTransformer', found 'CrossEncoder'",
    ),
    "another model": (
        with_setting("sentence_bert_config.json", config_kwargs={"hidden_act": "relu"}),
        "config_kwargs should be empty",
    ),
}


@pytest.fixture(scope="module")
def simple(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a Dense module."""
    return saved(base(), tmp_path_factory.mktemp("simple") / "st", pooling("mean"), dense())


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_supported_is_refused_at_export(
    simple: Path, tmp_path: Path, name: str
) -> None:
    change, told = REFUSED[name]
    folder = Path(shutil.copytree(simple, tmp_path / "st"))
    change(folder)
    with pytest.raises(CheckpointError, match=told) as caught:
        albert_edge.export(folder, tmp_path / "bundle")
    assert str(folder) in str(caught.value)
    assert 'task="feature-extraction"' in caught.value.tip
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("name", ["../2_Dense", "a/b", "a" * 61, "一" * 20_000])
def test_folders_of_modules_have_plain_names(simple: Path, tmp_path: Path, name: str) -> None:
    folder = Path(shutil.copytree(simple, tmp_path / "st"))
    entries = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    entries[-1]["path"] = name
    write_json(folder / "modules.json", entries)
    with pytest.raises(CheckpointError, match="folder named by up to 60 letters"):
        albert_edge.export(folder, tmp_path / "bundle")


def test_only_the_model_is_exported_on_request(simple: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(simple, tmp_path / "st"))
    with_setting(DENSE, activation_function="mine.Swish")(folder)
    for task in ("auto", "sentence-embeddings"):
        with pytest.raises(CheckpointError, match=r"mine\.Swish"):
            albert_edge.export(folder, tmp_path / "bundle", task=task)
    albert_edge.export(folder, tmp_path / "bundle", task="feature-extraction")
    features = albert_edge.pipeline("feature-extraction", tmp_path / "bundle")
    assert np.array(features("text")).shape[-1] == HIDDEN
    # No other embedding is made in its place.
    with pytest.raises(BundleError, match=r"mine\.Swish"):
        embeddings(tmp_path / "bundle")


def test_the_same_folder_without_the_change_is_exported(simple: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(simple, tmp_path / "st"))
    with_setting(DENSE, activation_function=f"{ACTIVATION}Mish")(folder)
    pair(folder).compare()
