"""The arguments of `encode` against those of SentenceTransformer.encode."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers.util.quantization import quantize_embeddings
from support.pipelines import SENTENCES, one_thread
from support.sentence_folders import (
    HIDDEN,
    KINDS,
    TEXTS,
    Base,
    Both,
    base,
    dense,
    embeddings,
    pair,
    pooling,
    saved,
)

from albert_edge.errors import InputError, MissingExtraError, UsageError
from albert_edge.runtime.tasks.encode import PRECISIONS, quantize
from albert_edge.runtime.tasks.sentence_embeddings import EncodeArguments

__all__ = ["base", "one_thread"]  # fixtures

pytestmark = pytest.mark.reference

PROMPTS = {"query": "query: ", "passage": "text: ", "empty": ""}


@pytest.fixture(scope="module")
def both(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tmp_path_factory.mktemp("encode")
    modules = [pooling("mean", "cls"), dense(2 * HIDDEN, 19)]
    return pair(saved(base(), folder / "st", *modules, prompts=PROMPTS))


def assert_same_values(ours: Any, theirs: Any, tolerance: float = 1e-5) -> None:
    """The same types, shapes and nesting; numbers within a tolerance."""
    assert type(ours) is type(theirs)
    if isinstance(ours, list):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_same_values(one, other, tolerance)
        return
    assert ours.dtype == theirs.dtype
    assert tuple(ours.shape) == tuple(theirs.shape)
    difference = np.abs(np.asarray(ours, np.float64) - np.asarray(theirs, np.float64))
    assert difference.max() <= tolerance


ARGUMENTS: list[dict[str, Any]] = [
    {},
    {"normalize_embeddings": True},
    {"normalize_embeddings": False},
    {"prompt_name": "query"},
    {"prompt": "question: "},
    {"prompt": "question: ", "prompt_name": "passage"},
    {"batch_size": 3, "show_progress_bar": None},
    {"output_value": "sentence_embedding", "device": "cpu", "chunk_size": None, "pool": None},
    {"device": torch.device("cpu")},
    {"convert_to_numpy": False},
    {"convert_to_tensor": True},
    {"convert_to_numpy": True, "convert_to_tensor": True},
    {"truncate_dim": 7},
    {"truncate_dim": 7, "normalize_embeddings": True},
    {"truncate_dim": 900},
    {"precision": "float32"},
    {"precision": "binary", "truncate_dim": 16},
    {"precision": "ubinary", "convert_to_tensor": True},
    {"precision": "binary", "convert_to_numpy": False},
]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_the_arguments_of_sentence_transformers(both: Both, arguments: dict[str, Any]) -> None:
    ours, theirs = both.ours.encode, both.theirs.encode
    for texts in (TEXTS, TEXTS[3]):
        assert_same_values(ours(texts, **arguments), theirs(texts, **arguments))


@pytest.mark.parametrize("precision", ["int8", "uint8"])
def test_integers(both: Both, precision: Any) -> None:
    texts = SENTENCES[:40]
    ours = both.ours.encode(texts, precision=precision)
    # A value at the border of two steps may fall on either side of it.
    assert_same_values(ours, both.theirs.encode(texts, precision=precision), tolerance=1)
    assert ours.min() == np.iinfo(precision).min
    assert ours.max() == np.iinfo(precision).max
    with pytest.raises(InputError, match="no range of values") as caught:
        both.ours.encode("one text", precision=precision)
    assert "binary" in caught.value.tip


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_precision_is_that_of_quantize_embeddings(precision: Any) -> None:
    vectors = np.random.default_rng(0).normal(size=(50, 21)).astype(np.float32)
    vectors[:, 3] = 0.25  # a dimension without a range
    vectors[4] = 0
    ours, theirs = quantize(vectors, precision), quantize_embeddings(vectors, precision)
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)
    assert quantize(vectors[:0], precision).shape == (0, ours.shape[1])
    assert quantize(vectors[:0], precision).dtype == ours.dtype


def test_embeddings_of_tokens(both: Both) -> None:
    ours = both.ours.encode(TEXTS, output_value="token_embeddings")
    theirs = both.theirs.encode(TEXTS, output_value="token_embeddings")
    assert all(isinstance(states, np.ndarray) for states in ours)
    # Tensors, which sentence-transformers gives in any case, are given where they are asked for.
    tensors = both.ours.encode(TEXTS, output_value="token_embeddings", convert_to_numpy=False)
    assert_same_values(tensors, theirs)
    assert_same_values(ours, [states.numpy() for states in theirs])
    one = both.ours.encode(TEXTS[2], output_value="token_embeddings")
    assert_same_values(one, ours[2])
    np.testing.assert_array_equal(both.ours(TEXTS[2], output_value="token_embeddings"), ours[2])


def test_all_features(both: Both) -> None:
    texts = TEXTS[2:4]
    ours = both.ours.encode(texts, output_value=None, truncate_dim=5)
    theirs = both.theirs.encode(texts, output_value=None, truncate_dim=5)
    assert ours[0].keys() == {
        "input_ids",
        "attention_mask",
        "token_type_ids",
        "token_embeddings",
        "sentence_embedding",
    }
    for one, other in zip(ours, theirs, strict=True):
        count = len(one["input_ids"])
        assert int(other["attention_mask"].sum()) == count  # the rest is padding
        for name, values in one.items():
            expected = other[name].numpy()
            expected = expected if name == "sentence_embedding" else expected[:count]
            assert_same_values(values, expected)
    single = both.ours.encode(texts[0], output_value=None, convert_to_tensor=True)
    assert torch.equal(single["input_ids"], torch.from_numpy(ours[0]["input_ids"]))


def test_arguments_without_names(both: Both) -> None:
    texts = SENTENCES[:4]
    arguments = ["query", None, 4, False, "sentence_embedding", "float32", False, True]
    arguments += ["cpu", True, 5, None, None]
    for count in range(len(arguments) + 1):
        given = (texts, *arguments[:count])
        assert_same_values(both.ours.encode(*given), both.theirs.encode(*given))
    with pytest.raises(TypeError, match="15 positional arguments, of at most 14"):
        both.ours.encode(texts, *arguments, None)
    with pytest.raises(TypeError, match="prompt_name is given twice"):
        both.ours.encode(texts, "query", prompt_name="query")
    with pytest.raises(TypeError, match="one of the names texts, sentences, inputs"):
        both.ours.encode(texts, sentences=texts)


def test_no_argument_is_missing(both: Both) -> None:
    parameters = inspect.signature(both.theirs.encode).parameters.values()
    named = {each.name for each in parameters if each.kind is not each.VAR_KEYWORD}
    assert named >= {"inputs", "precision", "chunk_size"}
    assert named <= EncodeArguments.__annotations__.keys()


@pytest.mark.parametrize("name", ["texts", "sentences", "inputs"])
def test_texts_by_name(both: Both, name: str) -> None:
    expected = both.ours.encode(TEXTS)
    np.testing.assert_array_equal(both.ours.encode(**{name: TEXTS}), expected)
    np.testing.assert_array_equal(both.ours.encode(**{name: TEXTS[0]}), expected[0])


@pytest.mark.parametrize("method", ["encode_query", "encode_document"])
def test_queries_and_documents(both: Both, method: str) -> None:
    ours, theirs = getattr(both.ours, method), getattr(both.theirs, method)
    for arguments in ({}, {"prompt": "a: "}, {"prompt_name": "passage"}, {"truncate_dim": 3}):
        assert_same_values(ours(TEXTS, **arguments), theirs(TEXTS, **arguments))
    differs = not np.allclose(ours(TEXTS), both.ours.encode(TEXTS), atol=1e-3)
    assert differs == (method == "encode_query")  # the prompt for documents is an empty text


def test_defaults_of_the_pipeline_stay(both: Both) -> None:
    made = embeddings(both.bundle, truncate_dim=4, normalize=True, prompt="a: ")
    expected = both.theirs.encode(TEXTS, truncate_dim=4, normalize_embeddings=True, prompt="a: ")
    assert_same_values(made.encode(TEXTS), expected)
    longer = both.theirs.encode(TEXTS, truncate_dim=5, prompt="b: ")
    ours = made.encode(TEXTS, truncate_dim=5, prompt="b: ", normalize_embeddings=False)
    assert_same_values(ours, longer)


def test_a_normalize_module_stays(base: Base, tmp_path: Path) -> None:
    both = pair(saved(base(), tmp_path / "st", pooling("max"), KINDS.Normalize()))
    for scaled in (True, False):
        arguments = {"normalize_embeddings": scaled, "truncate_dim": 6}
        assert_same_values(
            both.ours.encode(TEXTS, **arguments), both.theirs.encode(TEXTS, **arguments)
        )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"precision": "int4"}, "precision is 'int4'"),
        ({"precision": "int8", "output_value": "token_embeddings"}, "output_value is 'token_emb"),
        ({"output_value": "logits"}, "output_value is 'logits'"),
        ({"truncate_dim": 0}, "truncate_dim is 0"),
        ({"device": "tpu"}, "no device 'tpu'"),
        ({"device": "XNNPACKExecutionProvider:0"}, "no device"),
        ({"device": ["cpu", "cpu"]}, "no texts to other processes"),
        ({"pool": {"processes": []}}, "no texts to other processes"),
        ({"normalise_embeddings": True}, "Did you mean normalize_embeddings"),
        ({"processing_kwargs": {}}, "encode has no parameter processing_kwargs"),
        ({"prompt_name": 32}, "no prompt 32"),
    ],
    ids=str,
)
@pytest.mark.parametrize("texts", [TEXTS, []], ids=["texts", "none"])
def test_what_cannot_be_honoured(
    both: Both, texts: list[str], arguments: dict[str, Any], told: str
) -> None:
    with pytest.raises((UsageError, TypeError), match=told):
        both.ours.encode(texts, **arguments)


def test_tensors_need_torch(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for arguments in ({"convert_to_tensor": True}, {"convert_to_numpy": False}):
        with pytest.raises(MissingExtraError, match="torch") as caught:
            both.ours.encode(TEXTS, **arguments)
        assert "albert-edge[reference]" in caught.value.tip
    assert both.ours.encode(TEXTS).shape == (len(TEXTS), 19)
