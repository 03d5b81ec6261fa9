"""LoRA adapters, merged as peft's merge_and_unload does; other methods are refused by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
import transformers
from safetensors.numpy import load_file, save_file
from support.checkpoints import MODEL_CLASSES, make_model
from support.paths import DATA
from support.pipelines import SENTENCES, checkpoint
from support.sentence_folders import HIDDEN, KINDS, REFERENCE

import albert_edge
from albert_edge.architecture.config import read_config
from albert_edge.check.parity import compare, sample_inputs, torch_run
from albert_edge.checkpoint.source import find_source
from albert_edge.checkpoint.standard_layout import standard_layout
from albert_edge.errors import AlbertEdgeError, CheckpointError, UsageError

pytestmark = [pytest.mark.reference, pytest.mark.slow]

ATTENTION = ["query", "value"]

# Options of LoraConfig besides a rank of 3 and an alpha of 5, and the head.
PLAIN: dict[str, tuple[str, dict[str, Any]]] = {
    "list": ("text-classification", {"target_modules": ATTENTION}),
    "regex": (
        "text-classification",
        {"target_modules": r".*albert_layers\.1\.(attention\.(key|dense)|ffn)"},
    ),
    "all-linear": ("question-answering", {"target_modules": "all-linear"}),
    "layers": ("fill-mask", {"target_modules": ["ffn"], "layers_to_transform": [1]}),
    "exclude": (
        "fill-mask",
        {"target_modules": ["dense"], "exclude_modules": ["predictions.dense"]},
    ),
    "patterns": (
        "token-classification",
        {
            "target_modules": ["query", "key", "ffn"],
            "rank_pattern": {"query": 2, r"^albert.*groups\.1.*\.key": 1},
            "alpha_pattern": {"albert_layers.1.ffn": 7, "query": 0.5},
        },
    ),
    "rslora": (
        "text-classification",
        {"target_modules": ATTENTION, "use_rslora": True, "rank_pattern": {"value": 4}},
    ),
    "bias-all": ("fill-mask", {"target_modules": ATTENTION, "bias": "all"}),
    "bias-lora-only": ("fill-mask", {"target_modules": ATTENTION, "bias": "lora_only"}),
    "bias-of-lora": ("fill-mask", {"target_modules": ["ffn_output"], "lora_bias": True}),
    "modules-to-save": (
        "text-classification",
        {"target_modules": ATTENTION, "modules_to_save": ["pooler", "classifier"]},
    ),
    "fan-in-fan-out": ("fill-mask", {"target_modules": ATTENTION, "fan_in_fan_out": True}),
    "embeddings": (
        "text-classification",
        {"target_modules": ["word_embeddings", "position_embeddings", "query"]},
    ),
    "tied-embeddings": ("fill-mask", {"target_modules": ["word_embeddings"]}),
    "mapping-and-head": (
        "fill-mask",
        {"target_modules": ["embedding_hidden_mapping_in", "predictions.dense"]},
    ),
    "gaussian": ("fill-mask", {"target_modules": ATTENTION, "init_lora_weights": "gaussian"}),
    "body": ("feature-extraction", {"target_modules": ATTENTION}),
    "pretraining": ("pretraining", {"target_modules": ["query", "pooler", "dense"]}),
    "multiple-choice": (
        "multiple-choice",
        {"target_modules": ["query"], "modules_to_save": ["classifier"]},
    ),
    "task-type": ("text-classification", {"target_modules": ATTENTION, "task_type": "SEQ_CLS"}),
}


class Adapted:
    """A checkpoint in `base`, an adapter of it in `adapter`, and the two merged by peft."""

    def __init__(self, folder: Path, head: str, base_head: str | None = None, **options: Any):
        self.base, self.adapter = folder / "base", folder / "adapter"
        make_model(base_head or head).save_pretrained(self.base)
        kind = getattr(transformers, MODEL_CLASSES[head])
        labels = {"num_labels": 4} if base_head else {}
        model = kind.from_pretrained(self.base, dtype=torch.float32, **labels)
        wrapped: Any = peft.get_peft_model(model, peft.LoraConfig(r=3, lora_alpha=5, **options))
        torch.manual_seed(1)
        with torch.no_grad():
            for parameter in wrapped.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn_like(parameter) * 0.2)
        wrapped.save_pretrained(self.adapter)
        self.merged = wrapped.merge_and_unload().eval()

    def tensors(self, **where: Any) -> dict[str, Any]:
        """The tensors that are exported."""
        with standard_layout(find_source(str(self.adapter), **where)) as source:
            return load_file(source.folder / "model.safetensors")


@pytest.mark.parametrize("case", PLAIN)
def test_merged_as_by_peft(case: str, tmp_path: Path) -> None:
    head, options = PLAIN[case]
    adapted = Adapted(tmp_path, head, **options)
    before = make_model(head).state_dict()
    expected = adapted.merged.state_dict()
    tensors = adapted.tensors()
    prefix = "albert." if head == "feature-extraction" else ""
    assert {prefix + name for name in expected} - tensors.keys() <= {
        "predictions.decoder.weight",
        "predictions.decoder.bias",
    }
    for name, values in expected.items():
        if prefix + name in tensors:
            np.testing.assert_allclose(tensors[prefix + name], values.numpy(), rtol=0, atol=1e-6)
    assert any(not torch.equal(before[name], expected[name]) for name in before if name in expected)


def answers_differ_by(adapted: Adapted, bundle: Path, head: str) -> float:
    config = read_config(bundle / "config.json")
    inputs = sample_inputs(config, head)
    with albert_edge.Session(bundle) as session:
        return compare(list(map(torch_run(adapted.merged), inputs)), session.run, inputs).largest


def new_classifier(folder: Path) -> Adapted:
    """As adapters are trained: the base is pretrained, the adapter brings four classes."""
    return Adapted(
        folder,
        "text-classification",
        base_head="pretraining",
        target_modules=ATTENTION,
        task_type="SEQ_CLS",
    )


def test_new_classifier_on_a_pretrained_base(tmp_path: Path) -> None:
    adapted = new_classifier(tmp_path)
    report = albert_edge.export(adapted.adapter, tmp_path / "out", verify=True)
    assert (report.head, report.source, report.base) == ("text-classification", "adapter", "base")
    assert read_config(tmp_path / "out" / "config.json").num_labels == 4
    assert answers_differ_by(adapted, tmp_path / "out", "text-classification") < 1e-5
    assert albert_edge.verify(tmp_path / "out", against=adapted.adapter)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_pickled_adapter(elsewhere: bool, tmp_path: Path) -> None:
    adapted = Adapted(tmp_path, "fill-mask", target_modules=ATTENTION)
    weights = adapted.adapter / "adapter_model.safetensors"
    tensors = {name: torch.from_numpy(values) for name, values in load_file(weights).items()}
    torch.save(tensors, adapted.adapter / "adapter_model.bin")
    weights.unlink()
    base = adapted.base.rename(tmp_path / "elsewhere") if elsewhere else None
    albert_edge.export(adapted.adapter, tmp_path / "out", base=base)
    assert answers_differ_by(adapted, tmp_path / "out", "fill-mask") < 1e-5


def test_adapter_beside_its_base(tmp_path: Path) -> None:
    """The weights beside it are its base, wherever its configuration says that is."""
    adapted = Adapted(tmp_path, "question-answering", target_modules=ATTENTION)
    shutil.copytree(adapted.adapter, adapted.base, dirs_exist_ok=True)
    change(adapted.base, base_model_name_or_path="nobody/has-this")
    report = albert_edge.export(adapted.base, tmp_path / "out")
    assert report.base == "base"
    assert answers_differ_by(adapted, tmp_path / "out", "question-answering") < 1e-5


def test_adapter_beside_what_it_was_merged_into(tmp_path: Path) -> None:
    """It would be merged a second time."""
    adapted = new_classifier(tmp_path)
    adapted.merged.save_pretrained(adapted.adapter)
    with pytest.raises(CheckpointError, match="as if it had been merged") as caught:
        albert_edge.export(adapted.adapter, tmp_path / "out")
    assert "base" in caught.value.tip
    albert_edge.export(adapted.adapter, tmp_path / "out", base=adapted.base)
    assert answers_differ_by(adapted, tmp_path / "out", "text-classification") < 1e-5


def test_half_precision_base(tmp_path: Path) -> None:
    """Merged in float32, as peft does in a model that was loaded in float32."""
    adapted = Adapted(tmp_path, "fill-mask", target_modules=ATTENTION)
    path = adapted.base / "model.safetensors"
    base = {name: values.astype(np.float16) for name, values in load_file(path).items()}
    save_file(base, path, metadata={"format": "pt"})
    model = transformers.AlbertForMaskedLM.from_pretrained(adapted.base, dtype=torch.float32)
    adapted.merged = peft.PeftModel.from_pretrained(model, adapted.adapter).merge_and_unload()
    albert_edge.export(adapted.adapter, tmp_path / "out")
    assert answers_differ_by(adapted, tmp_path / "out", "fill-mask") < 1e-5


def test_base_of_tensorflow(tmp_path: Path) -> None:
    """The base is converted before the adapter is merged into it."""
    google = DATA / "tensorflow" / "google"
    with standard_layout(find_source(str(google))) as source:
        model = transformers.AlbertForPreTraining.from_pretrained(source.folder)
        config = peft.LoraConfig(r=3, target_modules=ATTENTION, init_lora_weights=False)
        wrapped: Any = peft.get_peft_model(model, config)
        wrapped.save_pretrained(tmp_path / "adapter")
    merged = wrapped.merge_and_unload().state_dict()
    with standard_layout(find_source(str(tmp_path / "adapter"), base=str(google))) as source:
        tensors = load_file(source.folder / "model.safetensors")
    for name, values in tensors.items():
        np.testing.assert_allclose(values, merged[name].numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("saved_by", ["sentence-transformers", "peft"])
def test_sentence_transformers(saved_by: str, tmp_path: Path) -> None:
    """Modules after the model are those beside the adapter, or else those of the base."""
    encoder = checkpoint(tmp_path / "encoder", "feature-extraction", "spiece.model")
    layers = [KINDS.Transformer(str(encoder)), KINDS.Pooling(HIDDEN, "max")]
    REFERENCE.SentenceTransformer(modules=layers).save(str(tmp_path / "base"))
    config = peft.LoraConfig(
        r=3, target_modules=ATTENTION, task_type="FEATURE_EXTRACTION", init_lora_weights=False
    )
    adapted = REFERENCE.SentenceTransformer(str(tmp_path / "base"))
    adapted.add_adapter(config)
    adapted.save(str(tmp_path / "adapter"))
    adapter = tmp_path / "adapter"
    if saved_by == "peft":
        adapter = tmp_path / "plain"
        adapter.mkdir()
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            shutil.copy(tmp_path / "adapter" / name, adapter)
    albert_edge.export(
        adapter, tmp_path / "out", base=tmp_path / "base", task="sentence-embeddings"
    )
    with albert_edge.pipeline("sentence-embeddings", model=tmp_path / "out") as embed:
        ours = embed(SENTENCES[:3])
    np.testing.assert_allclose(ours, adapted.encode(SENTENCES[:3]), rtol=0, atol=1e-5)


def test_saved_embeddings_untie_the_decoder(tmp_path: Path) -> None:
    """The new table is the embeddings of the model that peft merged, the old one its decoder."""
    saved = ["word_embeddings"]
    adapted = Adapted(tmp_path, "fill-mask", target_modules=ATTENTION, modules_to_save=saved)
    with pytest.raises(CheckpointError, match=r"decoder\.weight differs"):
        albert_edge.export(adapted.adapter, tmp_path / "out")
    config = json.loads((adapted.base / "config.json").read_text(encoding="utf-8"))
    config["tie_word_embeddings"] = False
    (adapted.adapter / "config.json").write_text(json.dumps(config), encoding="utf-8")
    albert_edge.export(adapted.adapter, tmp_path / "out")
    assert answers_differ_by(adapted, tmp_path / "out", "fill-mask") < 1e-5


def test_the_tokenizer_beside_the_adapter_comes_first(tmp_path: Path) -> None:
    adapted = Adapted(tmp_path, "fill-mask", target_modules=ATTENTION)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    (adapted.base / "vocab.txt").write_text("\n".join([*special, "base"]), encoding="utf-8")
    albert_edge.export(adapted.adapter, tmp_path / "of-base")
    (adapted.adapter / "vocab.txt").write_text("\n".join([*special, "adapter"]), encoding="utf-8")
    albert_edge.export(adapted.adapter, tmp_path / "of-adapter")
    for name, word in (("of-base", "base"), ("of-adapter", "adapter")):
        tokenizer = json.loads((tmp_path / name / "tokenizer.json").read_text(encoding="utf-8"))
        assert word in tokenizer["model"]["vocab"]


# What is refused


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Adapted:
    return Adapted(tmp_path_factory.mktemp("good"), "fill-mask", target_modules=ATTENTION)


@pytest.fixture
def refused(good: Adapted, tmp_path: Path) -> Callable[..., AlbertEdgeError]:
    """Exports a copy of the good adapter after an edit, and asserts that this fails cleanly."""
    folder = Path(shutil.copytree(good.adapter, tmp_path / "adapter"))

    def check(edit: Callable[[Path], Any], error: type[AlbertEdgeError], **options: Any) -> Any:
        edit(folder)
        with pytest.raises(error) as caught:
            albert_edge.export(folder, tmp_path / "out", **options)
        assert caught.value.tip
        assert not (tmp_path / "out").exists()
        shown = f"{caught.value} {caught.value.where}"
        assert "albert-edge-" not in shown, "a temporary folder"
        return caught.value

    return check


def change(folder: Path, **fields: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | fields), encoding="utf-8")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"peft_type": "ADALORA"}, "ADALORA"),
        ({"peft_type": "IA3"}, "IA3"),
        ({"peft_type": "LOHA"}, "LOHA"),
        ({"peft_type": None}, "peft_type"),
        ({"use_dora": True}, "use_dora"),
        ({"use_qalora": True}, "use_qalora"),
        ({"layer_replication": [[0, 2], [1, 3]]}, "layer_replication"),
        ({"trainable_token_indices": [1, 2]}, "trainable_token_indices"),
        ({"target_parameters": ["ffn.weight"]}, "target_parameters"),
        ({"alora_invocation_tokens": [7]}, "alora_invocation_tokens"),
        ({"megatron_config": {"a": 1}}, "megatron_config"),
        ({"loftq_config": {"loftq_bits": 4}}, "loftq_config"),
        ({"init_lora_weights": "pissa_niter_16"}, "init_lora_weights"),
        ({"init_lora_weights": "olora"}, "init_lora_weights"),
        ({"init_lora_weights": ["eva"]}, "init_lora_weights"),
        ({"use_something_new": 1}, "use_something_new"),
        ({"r": 0}, "r should be"),
        ({"r": "3"}, "r should be"),
        ({"r": 4}, "expected floats of shape (4, 24)"),
        ({"rank_pattern": {"query": 2}}, "query does not fit"),
        ({"rank_pattern": {"(": 2}}, "rank_pattern"),
        ({"rank_pattern": {"query": 0}}, "rank_pattern.query should be"),
        ({"rank_pattern": {"query": 10**400}}, "rank_pattern.query should be"),
        ({"alpha_pattern": {r"(\w+\.?)+!": 2}}, "alpha_pattern"),
        ({"alpha_pattern": {r".*a.*b.*c.*d.*e": 2}}, "alpha_pattern"),
        ({"alpha_pattern": {"query": "much"}}, "alpha_pattern.query"),
        ({"lora_alpha": None}, "lora_alpha"),
        ({"use_rslora": "yes"}, "use_rslora"),
        ({"task_type": 3}, "task_type"),
    ],
)
def test_options_of_the_configuration(
    fields: dict[str, Any], named: str, refused: Callable[..., AlbertEdgeError]
) -> None:
    error = refused(lambda folder: change(folder, **fields), CheckpointError)
    assert named in str(error)


def edit_weights(edit: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        tensors = load_file(folder / "adapter_model.safetensors")
        edit(tensors)
        save_file(tensors, folder / "adapter_model.safetensors")

    return apply


LAYER = "albert.encoder.albert_layer_groups.0.albert_layers.1.attention"
FACTOR = f"base_model.model.{LAYER}.query.lora_A.weight"


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        (lambda tensors: tensors.pop(FACTOR), "one of lora_A and lora_B is missing"),
        (lambda tensors: tensors.update({FACTOR: tensors[FACTOR].T.copy()}), "(3, 24)"),
        (lambda tensors: tensors.update({FACTOR: tensors[FACTOR].astype("i4")}), "I32"),
        (
            lambda tensors: tensors.update({FACTOR.replace("query", "nowhere"): tensors[FACTOR]}),
            "nowhere",
        ),
        (
            lambda tensors: tensors.update(
                {f"base_model.model.{LAYER}.query.lora_magnitude_vector": np.ones(24, "f4")}
            ),
            "lora_magnitude_vector",
        ),
        (lambda tensors: tensors[FACTOR].fill(np.nan), "NaN"),
    ],
)
def test_weights_that_do_not_fit(
    edit: Callable[[dict[str, Any]], Any], named: str, refused: Callable[..., AlbertEdgeError]
) -> None:
    assert named in str(refused(edit_weights(edit), CheckpointError))


def test_no_weights(refused: Callable[..., AlbertEdgeError]) -> None:
    error = refused(lambda folder: (folder / "adapter_model.safetensors").unlink(), CheckpointError)
    assert "adapter_model.safetensors" in str(error)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"{"])
def test_damaged_configuration(content: bytes, refused: Callable[..., AlbertEdgeError]) -> None:
    refused(lambda folder: (folder / "adapter_config.json").write_bytes(content), CheckpointError)


def test_a_base_that_is_not_there(refused: Callable[..., AlbertEdgeError]) -> None:
    missing = "/home/somebody/albert-base-v2"
    error = refused(lambda folder: change(folder, base_model_name_or_path=missing), CheckpointError)
    assert missing in str(error)
    assert "base" in error.tip


def test_no_base_named(refused: Callable[..., AlbertEdgeError]) -> None:
    refused(lambda folder: change(folder, base_model_name_or_path=""), UsageError)


def test_a_base_that_is_an_adapter(good: Adapted, refused: Callable[..., AlbertEdgeError]) -> None:
    error = refused(lambda _: None, CheckpointError, base=good.adapter)
    assert "itself an adapter" in str(error)


def test_a_base_for_what_is_not_an_adapter(good: Adapted, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not an adapter"):
        albert_edge.export(good.base, tmp_path / "out", base=good.base)


def test_a_base_without_the_head(tmp_path: Path) -> None:
    """The error names the adapter's folder, not the temporary one of the merged weights."""
    adapted = Adapted(tmp_path, "fill-mask", target_modules=ATTENTION)
    with pytest.raises(CheckpointError, match=f"{adapted.adapter}: tensor qa_outputs"):
        albert_edge.export(adapted.adapter, tmp_path / "out", task="question-answering")
