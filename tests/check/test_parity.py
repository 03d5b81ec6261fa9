"""The exported portable model against transformers: every head, every configuration, every output.

Whatever is compared goes the way a user's checkpoint goes: save_pretrained, `albert_edge.export`,
then a `Session` on the bundle. The reference is the transformers model the folder was saved from.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import transformers
from support.checkpoints import MODEL_CLASSES, make_model
from transformers.activations import ACT2CLS

import albert_edge
from albert_edge.runtime.session import Session

pytestmark = pytest.mark.reference

TOLERANCE = 1e-4  # largest absolute difference, as the project promises it
LENGTHS = (1, 2, 7, 512)
MIXED = (7, 1, 12, 3)  # lengths of the texts of one padded batch

# What google-research/albert released, but for the weights.
BASE = {
    "vocab_size": 30000,
    "embedding_size": 128,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_hidden_groups": 1,
    "inner_group_num": 1,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu_new",
}
LARGE = {
    **BASE,
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
}

Arrays = dict[str, npt.NDArray[Any]]
Export = Callable[[Any], Path]

every_head = pytest.mark.parametrize("task", MODEL_CLASSES)


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """Saves a model as transformers does and exports it."""

    def make(model: Any) -> Path:
        model.save_pretrained(tmp_path / "checkpoint")
        albert_edge.export(tmp_path / "checkpoint", tmp_path / "bundle")
        return tmp_path / "bundle"

    return make


def text_batch(model: Any, lengths: Sequence[int], seed: int = 0) -> Arrays:
    """Texts of these lengths in one batch, padded on the right, both segments in use.

    The padding holds arbitrary ids: the mask alone must keep it from being read. For a
    multiple-choice model each length is that of two choices.
    """
    random = np.random.default_rng(seed)
    longest = max(lengths)
    ids = random.integers(0, model.config.vocab_size, (len(lengths), longest))
    types = random.integers(0, model.config.type_vocab_size, ids.shape)
    mask = (np.arange(longest) < np.array(lengths)[:, None]).astype(np.int64)
    arrays = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    if type(model).__name__ == "AlbertForMultipleChoice":
        return {name: np.stack([array, array[::-1]], axis=1) for name, array in arrays.items()}
    return arrays


def run_reference(model: Any, arrays: Arrays) -> Arrays:
    with torch.inference_mode():
        outputs = model(**{name: torch.from_numpy(array) for name, array in arrays.items()})
    return {name: value.numpy() for name, value in outputs.items()}


def largest_difference(model: Any, bundle: Path, batches: Iterable[Arrays]) -> float:
    """How far the bundle is from the model on any output; names and shapes must be equal."""
    apart = 0.0
    with Session(bundle, threads=2) as session:
        for arrays in batches:
            expected, found = run_reference(model, arrays), session.run(arrays)
            assert list(found) == list(expected)
            for name, values in found.items():
                assert values.shape == expected[name].shape
                assert values.dtype == np.float32
                assert np.isfinite(expected[name]).all(), "the reference itself must be sound"
                # Unlike max(), np.maximum lets a NaN through.
                apart = np.maximum(apart, np.abs(values - expected[name]).max())
    return float(apart)


def assert_parity(model: Any, bundle: Path, lengths: Sequence[int] = (7,)) -> None:
    """One text of each length alone, then texts of different lengths padded to one batch."""
    batches = [text_batch(model, [length]) for length in lengths] + [text_batch(model, MIXED)]
    assert largest_difference(model, bundle, batches) <= TOLERANCE


@every_head
def test_every_head(task: str, export: Export) -> None:
    model = make_model(task)
    assert_parity(model, export(model), LENGTHS)


@pytest.mark.parametrize("hidden_act", sorted(ACT2CLS))
def test_every_activation(hidden_act: str, export: Export) -> None:
    """Fill-mask applies it twice, in the layers and in its head."""
    model = make_model("fill-mask", hidden_act=hidden_act).float()  # xielu starts out in bfloat16
    assert_parity(model, export(model))


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({"embedding_size": 24}, id="embedding-as-wide-as-hidden"),
        pytest.param({"embedding_size": 32}, id="embedding-wider-than-hidden"),
        pytest.param({"type_vocab_size": 1}, id="one-segment"),
        pytest.param({"type_vocab_size": 5}, id="five-segments"),
        pytest.param({"num_hidden_layers": 5}, id="layers-not-divisible-by-groups"),
        pytest.param({"num_hidden_layers": 7, "num_hidden_groups": 3}, id="7-layers-3-groups"),
        # 29/22 is not exact in binary, and some layers fall on the border of two groups.
        pytest.param(
            {"num_hidden_layers": 29, "num_hidden_groups": 22, "inner_group_num": 1},
            id="29-layers-22-groups",
        ),
        pytest.param(
            {"num_hidden_layers": 1, "num_hidden_groups": 1, "inner_group_num": 1}, id="one-layer"
        ),
        pytest.param({"num_hidden_groups": 4, "inner_group_num": 1}, id="a-group-per-layer"),
        # transformers 4 cannot run more inner layers than a group has applications.
        pytest.param({"num_hidden_layers": 6, "inner_group_num": 3}, id="three-inner-layers"),
        pytest.param({"layer_norm_eps": 1e-5}, id="layer-norm-eps-1e-5"),
        pytest.param({"layer_norm_eps": 0.1}, id="layer-norm-eps-that-shows"),
        pytest.param({"num_attention_heads": 1}, id="one-attention-head"),
        pytest.param({"max_position_embeddings": 12}, id="few-positions"),
    ],
)
def test_every_geometry(config: dict[str, Any], export: Export) -> None:
    model = make_model("pretraining", **config)
    assert_parity(model, export(model))


@pytest.mark.parametrize("task", ["text-classification", "token-classification", "pretraining"])
@pytest.mark.parametrize("num_labels", [1, 3])
def test_every_number_of_labels(task: str, num_labels: int, export: Export) -> None:
    model = make_model(task, num_labels=num_labels)
    assert_parity(model, export(model))


@pytest.mark.parametrize(
    "problem_type", ["regression", "single_label_classification", "multi_label_classification"]
)
def test_every_problem_type(problem_type: str, export: Export) -> None:
    model = make_model("text-classification", problem_type=problem_type)
    assert_parity(model, export(model))


@pytest.mark.parametrize("task", ["fill-mask", "pretraining"])
def test_untied_decoder(task: str, export: Export) -> None:
    model = make_model(task, tie_word_embeddings=False)
    decoder = model.predictions.decoder.weight
    assert not torch.equal(decoder, model.albert.embeddings.word_embeddings.weight)
    assert_parity(model, export(model))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@every_head
def test_half_precision_checkpoint(task: str, dtype: torch.dtype, export: Export) -> None:
    """Computed in float32 from the weights as they were rounded."""
    model = make_model(task).to(dtype)
    bundle = export(model)
    assert_parity(model.float(), bundle)


def test_inputs_left_out_mean_no_padding_and_one_segment(export: Export) -> None:
    model = make_model("feature-extraction")
    ids = text_batch(model, [7, 7])["input_ids"]
    found = Session(export(model)).run({"input_ids": ids})
    expected = run_reference(model, {"input_ids": ids})
    for name, values in found.items():
        np.testing.assert_allclose(values, expected[name], atol=TOLERANCE)


def test_every_segment_and_the_mask_matter(export: Export) -> None:
    """So that the comparisons above cannot be blind to either input."""
    model = make_model("feature-extraction")
    arrays = text_batch(model, MIXED)
    session = Session(export(model))
    whole = session.run(arrays)["last_hidden_state"]
    for changed in (
        {"token_type_ids": 1 - arrays["token_type_ids"]},
        {"attention_mask": np.ones_like(arrays["attention_mask"])},
    ):
        other = session.run({**arrays, **changed})["last_hidden_state"]
        assert np.abs(other - whole).max() > 0.01


def random_weights(model_class: str, geometry: dict[str, Any]) -> Any:
    """Initialized as transformers does, biases too: at this size make_model would saturate."""
    torch.manual_seed(0)
    config_class: Any = transformers.AlbertConfig  # untyped
    model = getattr(transformers, model_class)(config_class(**geometry)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0.0, 0.05)
    return model


@pytest.mark.parametrize(
    ("model_class", "geometry"),
    [
        ("AlbertForMaskedLM", BASE),
        ("AlbertModel", BASE),
        ("AlbertForSequenceClassification", LARGE),
    ],
    ids=["base-fill-mask", "base-feature-extraction", "large-text-classification"],
)
def test_official_geometry(model_class: str, geometry: dict[str, Any], export: Export) -> None:
    model = random_weights(model_class, geometry)
    assert_parity(model, export(model), (7, 128))


# Negatives: the comparison sees an error in any one weight.

PARAMETERS = [
    name
    for name, _ in make_model("pretraining").named_parameters()
    # Softmax ignores what is added to all scores of a row, and a key's bias is just that.
    if not name.endswith("attention.key.bias")
]


@pytest.fixture(scope="module")
def pretraining(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    # Attention that spreads out makes all tokens alike within a few layers, and what the last
    # queries and keys are hardly shows. So here it is sharp.
    folder = tmp_path_factory.mktemp("pretraining")
    model = make_model("pretraining", seed=2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "query" in name:
                parameter *= 4
    model.save_pretrained(folder / "checkpoint")
    albert_edge.export(folder / "checkpoint", folder / "bundle")
    return model, folder / "bundle"


def test_the_model_that_is_perturbed_below_is_right(pretraining: tuple[Any, Path]) -> None:
    assert_parity(*pretraining)


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_wrong_weight_is_seen(name: str, pretraining: tuple[Any, Path]) -> None:
    model, bundle = pretraining
    wrong = copy.deepcopy(model)
    with torch.no_grad():
        parameter = wrong.get_parameter(name)
        parameter.copy_(parameter.flip(-1))
    assert largest_difference(wrong, bundle, [text_batch(model, MIXED)]) > 100 * TOLERANCE


def test_swapped_groups_are_seen(pretraining: tuple[Any, Path]) -> None:
    """Every tensor fits in either place."""
    model, bundle = pretraining
    wrong = copy.deepcopy(model)
    first, second = wrong.albert.encoder.albert_layer_groups
    wrong.albert.encoder.albert_layer_groups = torch.nn.ModuleList([second, first])
    assert largest_difference(wrong, bundle, [text_batch(model, MIXED)]) > 100 * TOLERANCE


def test_another_output_name_is_seen(pretraining: tuple[Any, Path]) -> None:
    _, bundle = pretraining
    other = make_model("fill-mask")
    with pytest.raises(AssertionError):
        largest_difference(other, bundle, [text_batch(other, MIXED)])
