"""A plan that can be constructed can be authored."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import onnx
import onnx_ir as ir
import pytest
from support.checkpoints import make_model

from albert_edge.architecture.config import AlbertConfig, read_config
from albert_edge.architecture.weights import Matrix
from albert_edge.errors import UsageError
from albert_edge.graph.build import author
from albert_edge.graph.plan import (
    OPTIMIZATIONS,
    Activations,
    Layout,
    Optimization,
    Plan,
    Precision,
    Target,
)

HEAD = "pretraining"  # which has every kind of matrix

# All in one precision, one in another, and two beside each other.
PRECISIONS: list[Mapping[Matrix, Precision]] = [
    *(dict.fromkeys(Matrix, precision) for precision in Precision),
    *({matrix: precision} for matrix in Matrix for precision in Precision),
    *(
        {Matrix.FFN: first, Matrix.EMBEDDINGS: second}
        for first, second in itertools.permutations(Precision, 2)
    ),
]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> AlbertConfig:
    folder = tmp_path_factory.mktemp("config")
    make_model(HEAD, num_hidden_layers=2, inner_group_num=1).config.save_pretrained(folder)
    return read_config(Path(folder) / "config.json")


def options() -> Iterator[dict[str, Any]]:
    choices = map(get_args, (Target, Layout, Activations))
    for target, layout, activations in itertools.product(*choices):
        yield {
            "target": target,
            "layout": layout,
            "activations": activations,
            "optimizations": OPTIMIZATIONS[target],
        }


@pytest.mark.parametrize("precisions", PRECISIONS, ids=str)
def test_every_plan_is_authored_or_refused(
    precisions: Mapping[Matrix, Precision], config: AlbertConfig
) -> None:
    accepted = 0
    for some in options():
        try:
            plan = Plan(**some, precisions=precisions)
        except UsageError as error:
            assert error.tip
            continue
        accepted += 1
        onnx.checker.check_model(_with_weights(author(config, HEAD, plan)))
    mixes_fp16 = Precision.FP16 in precisions.values() and len(precisions) < len(Matrix)
    integers = set(precisions.values()) - {Precision.FP16, Precision.FP32}
    assert accepted == (0 if mixes_fp16 else 4 if integers else 12)


def _with_weights(authored: Any) -> onnx.ModelProto:
    """The graph with its weights as inputs, as the checker wants all names to be known."""
    model: onnx.ModelProto = ir.to_proto(authored.model)
    for name, weight in authored.weights.items():
        kind = int(ir.DataType.from_numpy(weight.dtype))
        model.graph.input.append(onnx.helper.make_tensor_value_info(name, kind, weight.shape))
    return model


@pytest.mark.parametrize(
    "wrong", [{"target": "tpu"}, {"layout": "spiral"}, {"activations": "per-row"}]
)
def test_an_unknown_choice_is_refused(wrong: dict[str, Any]) -> None:
    (value,) = wrong.values()
    with pytest.raises(UsageError, match=value):
        Plan(**wrong)


def test_logits_at_masks_need_the_id_of_the_mask() -> None:
    wanted = frozenset({Optimization.MASKED_LOGITS})
    with pytest.raises(UsageError, match="masked-logits"):
        Plan(optimizations=wanted)
    assert Plan(optimizations=wanted, mask_token_id=4).wants(Optimization.MASKED_LOGITS)
