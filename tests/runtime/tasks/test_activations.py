"""Activation functions against the classes of torch, made without arguments."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from albert_edge.runtime.tasks.activations import ACTIVATIONS, find_activation

VALUES = np.concatenate(
    [np.linspace(-7, 7, 57), [-3.0, 0.5, -0.5, 3.0, 6.0, 30.0, -30.0, 90.0, -90.0]]
).astype(np.float32)
MATRIX = np.stack([VALUES, VALUES[::-1]])


@pytest.mark.filterwarnings("ignore:Implicit dimension choice")
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_function_is_that_of_torch(name: str) -> None:
    function = getattr(torch.nn, name)().eval()
    with torch.no_grad(), np.errstate(all="raise", under="ignore"):
        for values in (VALUES, MATRIX):
            ours = ACTIVATIONS[name](values)
            # Softmax of one axis acts along it, and of two along the second.
            theirs = function(torch.from_numpy(np.ascontiguousarray(values)))
            assert ours.dtype == np.float32
            np.testing.assert_allclose(ours, theirs.numpy(), rtol=2e-6, atol=2e-6)


def test_every_function_of_torch_that_can_be_loaded_is_there() -> None:
    """Threshold needs arguments, Softmax2d three axes and MultiheadAttention three inputs."""
    every = set(torch.nn.modules.activation.__all__) | {"Identity"}
    assert every - ACTIVATIONS.keys() == {"Threshold", "Softmax2d", "MultiheadAttention"}
    assert ACTIVATIONS.keys() <= every


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("torch.nn.modules.activation.GELU", "GELU"),
        ("torch.nn.modules.linear.Identity", "Identity"),
        ("torch.nn.Tanh", "Tanh"),
        ("torch.nn.modules.activation.Threshold", None),
        ("torch.nn.functional.gelu", None),
        ("torch.nnn.Tanh", None),
        ("transformers.activations.GELUActivation", None),
        ("mine.Tanh", None),
        ("Tanh", None),
        ("function", None),
        ("", None),
    ],
)
def test_the_name_of_a_function(name: str, expected: str | None) -> None:
    assert find_activation(name) == expected
