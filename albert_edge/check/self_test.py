"""Record the answers that a bundle stores, where they are computed anyway."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from albert_edge.architecture.config import AlbertConfig
from albert_edge.architecture.heads import HEAD_OF_TASK, HEADS
from albert_edge.bundle.bundle import Bundle
from albert_edge.bundle.change import Change
from albert_edge.bundle.manifest import PORTABLE, Manifest
from albert_edge.check.sample import find_mask_token_id, mask_token, side_by_side
from albert_edge.records.fields import Fields
from albert_edge.runtime.inputs import Arrays
from albert_edge.runtime.parameters import Cut
from albert_edge.runtime.self_test import SELF_TEST, Item, SelfTest, answers_keys, read_self_test
from albert_edge.runtime.tasks import pipeline_class
from albert_edge.runtime.text import load_text_encoder

Run = Callable[[Mapping[str, Any]], Mapping[str, npt.NDArray[Any]]]

# Capitals, accents, digits and another script: what tokenizers differ in.
_TEXTS = (
    "The film was a delight, 10 out of 10.",
    "Où est la gare de Zürich?",
    "今天的天气很好。",
    "It rained 3 days, so we stayed at home.",
)
_CUT = Cut("longest_first")
_LENGTHS_OF_RANDOM_ITEMS = (1, 7, 12, 16)

# How many entries along the last axis of an output are stored, and along the others of one with a
# vector per token: the file stays small, however many variants there are.
_ENTRIES = 32
_ENTRIES_OF_A_TOKEN, _TOKENS = 16, 2


class AnswerRecorder:
    """Records the answers of variants to the self-test of a bundle.

    Args:
        bundle: The bundle, whose stored items and answers are kept.
        config: Its configuration.
    """

    def __init__(self, bundle: Bundle, config: AlbertConfig) -> None:
        stored = read_self_test(bundle)
        self._items = stored.items or tuple(_items(bundle, config))
        self._outputs = dict(stored.outputs)

    def record(self, variant: str, run: Run) -> None:
        """Answer the items with a variant, in place of its earlier answers."""
        self._outputs[variant] = tuple(_leading(run(item.inputs)) for item in self._items)

    def record_portable(self, run: Run) -> None:
        """Answer the items with the portable variant, unless its answers are stored already."""
        if PORTABLE not in self._outputs:
            self.record(PORTABLE, run)

    def write(self, pending: Change, manifest: Manifest) -> Manifest:
        """Write the answers of the variants in a manifest, and list the file in it."""
        names = [name for variant in manifest.variants for name in answers_keys(variant)]
        outputs = {name: self._outputs[name] for name in names if name in self._outputs}
        pending.write(SELF_TEST, [SelfTest(self._items, outputs).to_json().encode()])
        others = (record for record in manifest.files if record.file != SELF_TEST)
        return replace(manifest, files=(*others, pending.record(pending.path(SELF_TEST))))


def _leading(outputs: Mapping[str, npt.NDArray[Any]]) -> Arrays:
    return {name: values[_stored_part(values.ndim)] for name, values in outputs.items()}


def _stored_part(axes: int) -> tuple[slice, ...]:
    if axes < 3:
        return (slice(None),) * (axes - 1) + (slice(_ENTRIES),)
    return (slice(_TOKENS),) * (axes - 1) + (slice(_ENTRIES_OF_A_TOKEN),)


def _items(bundle: Bundle, config: AlbertConfig) -> Iterator[Item]:
    head = bundle.manifest.head
    if not bundle.has("tokenizer.json"):
        yield from _random_items(head, config)
        return
    encoder = load_text_encoder(bundle)
    for fields in _fields(bundle):
        first, *others = fields.values()
        seconds = others[0] if others and isinstance(others[0], list) else others or [None]
        encoded = [encoder.encode(first, second, _CUT) for second in seconds]
        yield Item(side_by_side(*encoded) if HEADS[head].has_choices else encoded[0], fields)


def _fields(bundle: Bundle) -> Iterator[dict[str, Any]]:
    """Yield items as the first task of the bundle's head takes them."""
    task = next(task for task, head in HEAD_OF_TASK.items() if head == bundle.manifest.head)
    fields: Fields = pipeline_class(task).kind.fields
    masks = (
        bool(HEADS[bundle.manifest.head].masked_outputs) and find_mask_token_id(bundle) is not None
    )
    for at, text in enumerate(_TEXTS):
        other = _TEXTS[at - 1]
        if fields.lists:
            yield {fields.texts[0]: text, fields.lists[0]: [other, _TEXTS[at - 2]]}
        elif len(fields.texts) == 2:
            yield dict(zip(fields.texts, (text, other), strict=True))
        elif masks:
            yield {"text": f"{mask_token(bundle)} {text}"}
        elif fields.optional and at == 0:
            yield {"text": text, fields.optional[0]: other}
        else:
            yield {"text": text}


def _random_items(head: str, config: AlbertConfig) -> Iterator[Item]:
    random = np.random.default_rng(0)
    for length in _LENGTHS_OF_RANDOM_ITEMS:
        shape = HEADS[head].ids_shape(1, min(length, config.max_position_embeddings))
        yield Item(
            {
                "input_ids": random.integers(0, config.vocab_size, shape),
                "attention_mask": np.ones(shape, np.int64),
                "token_type_ids": random.integers(0, config.type_vocab_size, shape),
            }
        )
