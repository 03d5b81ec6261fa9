"""The table of transformers' arguments is complete, and says what is true."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest
from support.pipelines import REFERENCE

from albert_edge.runtime.load import LoadOptions
from albert_edge.runtime.parameters import CALL_OPTIONS, Tokenizing
from albert_edge.runtime.signature import (
    CALLS,
    CONSTRUCTION,
    MODEL_KWARGS,
    POSITIONAL,
    TOKENIZER,
    Table,
)
from albert_edge.runtime.tasks import pipeline_class

pytestmark = pytest.mark.reference

FIVE = REFERENCE.__version__.startswith("5.")

CLASSES = {
    "feature-extraction": "FeatureExtractionPipeline",
    "fill-mask": "FillMaskPipeline",
    "question-answering": "QuestionAnsweringPipeline",
    "text-classification": "TextClassificationPipeline",
    "token-classification": "TokenClassificationPipeline",
    "zero-shot-classification": "ZeroShotClassificationPipeline",
}
if FIVE:  # which has no question answering
    del CLASSES["question-answering"]


def declared(function: Callable[..., Any]) -> set[str]:
    """The names in a signature."""
    variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    parameters = inspect.signature(function).parameters.values()
    return {p.name for p in parameters if p.kind not in variadic} - {"self"}


def documented(thing: Any) -> set[str]:
    """The names that a docstring explains: indented, with a type in brackets."""
    lines = (inspect.getdoc(thing) or "").splitlines()
    return {match[1] for line in lines if (match := re.match(r" +(\w+) \((`|\[).*:$", line))}


def read(function: Any, holder: str) -> set[str]:
    """The names that a function looks up in a dict of arguments."""
    source = inspect.getsource(function)
    looked_up = (
        rf'(?<!\w){holder}(?:\.(?:get|pop)\("(\w+)"|\["(\w+)"\](?! = ))|"(\w+)" in {holder}\b'
    )
    return {name for names in re.findall(looked_up, source) for name in names if name}


def test_every_argument_of_the_construction_is_known() -> None:
    pipeline = REFERENCE.pipeline
    names = declared(pipeline) | documented(pipeline) | read(pipeline, "kwargs")
    assert {"model", "device_map", "torch_dtype", "code_revision", "dtype"} <= names
    for name in CLASSES.values():
        kind = getattr(REFERENCE, name)
        names |= declared(kind.__init__) | declared(REFERENCE.Pipeline.__init__)
        names |= read(REFERENCE.Pipeline.__init__, "kwargs")
        names |= documented(REFERENCE.Pipeline)
    generation = {"assistant_model", "assistant_tokenizer"}  # of pipelines that generate text
    assert names - generation - {"kwargs"} <= CONSTRUCTION.keys()


def test_positional_arguments_have_the_order_of_transformers() -> None:
    theirs = [name for name in inspect.signature(REFERENCE.pipeline).parameters if name != "kwargs"]
    assert FIVE or theirs == list(POSITIONAL)
    for name, their_name in zip(POSITIONAL, theirs, strict=True):
        handlings = {CONSTRUCTION[name].outcome, CONSTRUCTION[their_name].outcome}
        assert name == their_name or handlings == {"no effect"}


def test_every_entry_of_model_kwargs_is_known() -> None:
    load = REFERENCE.PreTrainedModel.from_pretrained
    names = declared(load) | read(load, "kwargs") | read(REFERENCE.pipeline, "model_kwargs")
    assert {"config", "torch_dtype", "variant", "quantization_config"} <= names
    internal = {"pretrained_model_name_or_path", "_from_pipeline", "_from_auto"}
    assert names - internal <= MODEL_KWARGS.keys()


def test_every_argument_of_the_tokenizer_is_known() -> None:
    call = REFERENCE.PreTrainedTokenizerBase.__call__
    names = declared(call) | documented(call) | read(call, "kwargs")
    assert {"padding", "text_pair", "return_length", "padding_side"} <= names
    assert names - {"text", "kwargs"} <= TOKENIZER.keys()  # the text is the item


@pytest.mark.parametrize("task", CLASSES)
def test_every_argument_of_a_call_is_known(task: str) -> None:
    kind = getattr(REFERENCE, CLASSES[task])
    sanitize, call = kind._sanitize_parameters, kind.__call__
    names = declared(sanitize) | read(sanitize, "kwargs")
    names |= declared(call) | read(call, "kwargs") | documented(call)
    names |= declared(REFERENCE.Pipeline.__call__) | documented(kind)
    for handler in ("QuestionAnsweringArgumentHandler", "TokenClassificationArgumentHandler"):
        if CLASSES[task][:8] == handler[:8]:
            names |= read(getattr(inspect.getmodule(kind), handler).__call__, "kwargs")
    assert len(names) > 4
    known = {*CALLS[task], *CALL_OPTIONS, *CONSTRUCTION, "args"}
    assert names <= known
    if any(p.kind is p.VAR_KEYWORD for p in inspect.signature(sanitize).parameters.values()):
        assert TOKENIZER.keys() <= CALLS[task].keys()  # passed on, or dropped in silence


@pytest.mark.parametrize("task", CALLS)
def test_what_the_table_calls_used_is_a_parameter(task: str) -> None:
    used = {name for name, handling in CALLS[task].items() if handling.outcome == "used"}
    typed = {*pipeline_class(task).kind.parameter_names(), *CALL_OPTIONS}
    assert used - {"inputs"} <= typed
    own = {"truncation", "max_length", "padding", "return_layers"}  # not in every call there
    assert typed - CALL_OPTIONS - own <= CALLS[task].keys()


def test_what_the_other_tables_call_used_is_an_argument() -> None:
    for table, known in (
        (CONSTRUCTION, {*LoadOptions.__annotations__, *CALL_OPTIONS, "task", "model", "config"}),
        (TOKENIZER, {*Tokenizing.__annotations__}),
        (MODEL_KWARGS, set()),
    ):
        assert {name for name, handling in table.items() if handling.outcome == "used"} <= known


@pytest.mark.parametrize("table", [CONSTRUCTION, MODEL_KWARGS, TOKENIZER, *CALLS.values()], ids=len)
def test_a_handling_has_what_its_outcome_needs(table: Table) -> None:
    for name, handling in table.items():
        converts = handling.convert is not None or handling.entries is not None
        assert converts or handling.outcome != "converted", name
        assert handling.outcome == "used" or handling.note, name
        assert bool(handling.tip) == (handling.outcome == "refused"), name
