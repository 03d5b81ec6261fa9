"""The ways to compress, as values."""

from __future__ import annotations

from typing import Any

import pytest

from albert_edge.architecture.weights import Matrix
from albert_edge.compress.options import (
    COMPRESSIONS,
    Compression,
    Fp16,
    Int4,
    Int8,
    Int8Block,
    Mixed,
    compression,
)
from albert_edge.errors import UsageError
from albert_edge.graph.plan import Precision


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        (Int8, {"activations": "per-row"}),
        (Int8, {"layout": "spiral"}),
        (Int8Block, {"layout": ""}),
        (Int4, {"layout": None}),
        (Fp16, {"target": "cpu"}),
        (Mixed, {"prefer": "prettiest"}),
        (Mixed, {"activations": "none"}),
        (Int8Block, {"weights": "uint8"}),
    ],
)
def test_an_invalid_option_is_refused(kind: Any, option: dict[str, Any]) -> None:
    (name,) = option
    with pytest.raises(UsageError, match=name):
        kind(**option)


def test_plans_are_those_asked_for() -> None:
    plan = Int8(activations="per-tensor", layout="unrolled").plan()
    assert (plan.target, plan.layout, plan.activations) == ("cpu", "unrolled", "per-tensor")
    assert plan.precisions == dict.fromkeys(Matrix, Precision.INT8)
    assert plan.smoothed
    assert Int8Block().plan().precision(Matrix.HEAD) is Precision.INT8
    assert Int8Block().plan().precision(Matrix.FFN) is Precision.INT8_BLOCK
    assert Int8().plan().weights == "signed"
    for kind in (Int8, Int8Block):
        plan = kind(weights="unsigned").plan()
        assert plan.weights == "unsigned" and plan.quantizes_activations
        assert not plan.multiplies_signed_weights and kind().plan().multiplies_signed_weights
    assert Mixed(weights="unsigned").plan().weights == "unsigned"
    assert Int4().plan().layout == "loop"
    assert (Fp16().plan().target, Fp16().plan().layout) == ("cuda", "unrolled")
    assert Fp16(target="portable").plan().target == "portable"
    one = {Matrix.FFN: Precision.INT4}
    assert Mixed(activations="per-tensor").plan(one).precisions == one
    assert set(Mixed().plan().precisions) == set()


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_by_name(name: str) -> None:
    made = compression(name, layout="unrolled", target=None, activations=None, prefer=None)
    assert type(made) is COMPRESSIONS[name]
    assert made.layout == "unrolled"
    assert made.plan().layout == "unrolled"


def test_values_are_compared_by_their_options() -> None:
    assert Int8() == compression("int8")
    assert Int8() != Int8(activations="per-tensor")
    assert len({Int8(), Int8(), Int4()}) == 2


def test_variants_have_a_name_each() -> None:
    kinds: list[Compression] = [kind() for kind in COMPRESSIONS.values()]
    kinds.append(Fp16(target="portable"))
    assert len({kind.variant() for kind in kinds}) == len(kinds)


@pytest.mark.parametrize(
    ("name", "option", "other"),
    [
        ("int4", {"activations": "per-token"}, "int8 or mixed"),
        ("int8", {"target": "cuda"}, "fp16"),
        ("fp16", {"prefer": "smallest"}, "mixed"),
    ],
)
def test_an_option_of_another_is_refused(name: str, option: dict[str, str], other: str) -> None:
    with pytest.raises(UsageError, match=f"{name} does not take {next(iter(option))}") as caught:
        compression(name, **option)
    assert f"or use precision {other}." in caught.value.tip


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UsageError, match="int3") as caught:
        compression("int3")
    assert "int8-block" in caught.value.tip
