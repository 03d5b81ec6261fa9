"""Texts as inputs of a model, for calibration and for comparing quality."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from albert_edge.architecture.config import AlbertConfig
from albert_edge.architecture.heads import HEADS
from albert_edge.bundle.bundle import Bundle
from albert_edge.errors import Argument, BundleError, InputError, Message, UsageError
from albert_edge.records.fields import Record
from albert_edge.records.inputs import read_records
from albert_edge.records.labels import find_label
from albert_edge.runtime.exits import join_choices
from albert_edge.runtime.parameters import Cut
from albert_edge.runtime.text import TextEncoder, load_text_encoder

Arrays = Mapping[str, npt.NDArray[Any]]
File = str | os.PathLike[str]
Texts = Sequence[str | Record] | File

_CUT = Cut("longest_first")
_RANDOM_TEXTS = 128


@dataclass(frozen=True, slots=True)
class Sample:
    """Inputs of a model.

    Attributes:
        inputs: One text each, or one pair; for multiple choice two texts, or two pairs, as choices.
        labels: The labelled class of each, if known.
        origin: Where they come from, in words.
    """

    inputs: list[Arrays]
    labels: list[int] | None
    origin: str

    def every(self, step: int) -> Sample:
        """Return the first of every `step` inputs."""
        labels = None if self.labels is None else self.labels[::step]
        return Sample(self.inputs[::step], labels, self.origin)


def load_sample(
    bundle: Bundle, config: AlbertConfig, texts: Texts | None, data: File | None
) -> Sample:
    """Load the texts on which a compressed model is compared with fp32.

    Args:
        bundle: Gives the tokenizer, the head and the labels.
        config: The configuration.
        texts: The user's texts: a list of texts or of records, or a file as `predict` reads it.
        data: A .tsv, .csv or .jsonl file of texts with a "label" each.

    Returns:
        The user's texts; without any, texts in twelve languages that come with this package; and
        where the bundle has no tokenizer, random ids.

    Raises:
        UsageError: Both texts and data are given, they are empty, or there is no tokenizer.
        InputError: A record cannot be read, or has a label the model does not know.
    """
    if texts is None and data is None and not bundle.has("tokenizer.json"):
        return Sample(list(_random(bundle, config)), None, "random ids")
    records, origin = read_texts(bundle, config, texts, data)
    return encode_texts(bundle, records, origin, labelled=data is not None)


def read_texts(
    bundle: Bundle, config: AlbertConfig, texts: Texts | None, data: File | None
) -> tuple[list[Record], str]:
    """Read the records of `load_sample`, and say in words where they come from.

    Raises:
        UsageError: Both texts and data are given, or they are empty.
        InputError: A record cannot be read.
    """
    if texts is not None and data is not None:
        raise UsageError("Give texts or data, not both.", tip="Leave out one of them.")
    if data is not None and not _has_classes(bundle.manifest.head, config):
        raise UsageError(
            f"data gives a label to each text; {bundle.manifest.head} models do not.",
            tip=Message("Compare on texts without labels, with ", Argument("texts", "FILE"), "."),
        )
    records, origin = _records(texts, data)
    if not records:
        raise UsageError(f"There are no texts in {origin}.", tip="Give a file with at least one.")
    return records, origin


def encode_texts(
    bundle: Bundle, records: Sequence[Record], origin: str, *, labelled: bool
) -> Sample:
    """Turn records into inputs of a model.

    Args:
        bundle: Gives the tokenizer, the head and the labels.
        records: With a "text", and "text_pair" and "label" where they have them.
        origin: Where they come from, in words.
        labelled: Whether each has a "label".

    Raises:
        UsageError: There is no tokenizer.
        InputError: A text cannot be encoded, or a label is not one of the model's.
    """
    encoder = load_text_encoder(bundle)
    labels = [_label(bundle, record, origin) for record in records] if labelled else None
    pairs = [(record["text"], record.get("text_pair") or None) for record in records]
    encoded = [_encode(encoder, pair, index, origin) for index, pair in enumerate(pairs, 1)]
    return Sample(list(_fitted(encoded, bundle)), labels, origin)


def texts_per_item(head: str) -> int:
    """Return how many records `encode_texts` makes an input of, for a head of `HEADS`."""
    return 2 if HEADS[head].has_choices else 1


def require_labels(data: object) -> None:
    """Raise UsageError unless labels are given, without which a loss of accuracy has no limit."""
    if data is None:
        raise UsageError(
            Message(Argument("max_drop"), " needs labels to compute the accuracy."),
            tip=Message("Pass ", Argument("data", "FILE"), " with the columns text and label."),
        )


def _has_classes(head: str, config: AlbertConfig) -> bool:
    """Return whether a model assigns every text to one of several classes."""
    spec = HEADS[head]
    return spec.classifies_texts and spec.decision(config) == "largest"


def _records(texts: Texts | None, data: File | None) -> tuple[list[Record], str]:
    if texts is None and data is None:
        sample = resources.files("albert_edge.check").joinpath("sample_texts.txt")
        lines = sample.read_text(encoding="utf-8").splitlines()
        return [{"text": line} for line in lines], "the built-in sample"
    path = data if data is not None else texts
    if isinstance(path, str | os.PathLike):
        with read_records(Path(path)) as records:
            return list(records), str(path)
    given = (text if isinstance(text, dict) else {"text": text} for text in path or ())
    return list(given), "the texts given"


def _label(bundle: Bundle, record: Record, origin: str) -> int:
    """Find the class that a record names, by its label or by its number."""
    known = [*map(str, bundle.manifest.labels)]
    label = record.get("label", "")
    index = find_label(label, known)
    if index is not None:
        return index
    raise InputError(
        f"{origin}: {str(label)!r} is not a label of this model.",
        tip=f'Every record needs a column "label" with one of: {", ".join(known)}.',
    )


def _encode(encoder: TextEncoder, pair: tuple[str, str | None], number: int, origin: str) -> Arrays:
    try:
        return encoder.encode(*pair, _CUT)
    except InputError as error:
        raise error.at(f"{origin}: text {number}: ") from error


def _fitted(encoded: list[Arrays], bundle: Bundle) -> Iterator[Arrays]:
    """Shape texts as the head reads them: choices side by side, a word masked."""
    head = HEADS[bundle.manifest.head]
    if head.has_choices:
        # No text is in two items, which then are as independent as the texts; an odd last one is in
        # none. A text by itself is both choices.
        seconds = encoded[1::2] or encoded[:1]
        for first, second in zip(encoded[::2], seconds, strict=False):
            yield side_by_side(first, second)
    elif head.masked_outputs and (mask := find_mask_token_id(bundle)) is not None:
        for arrays in encoded:
            ids = arrays["input_ids"].copy()
            ids[:, ids.shape[1] // 2] = mask
            yield {**arrays, "input_ids": ids}
    else:
        yield from encoded


def side_by_side(*choices: Arrays) -> Arrays:
    """Stack the inputs of the choices of an item, padded to the longest."""
    return join_choices(
        [{name: array[:, np.newaxis] for name, array in arrays.items()} for arrays in choices]
    )


def _random(bundle: Bundle, config: AlbertConfig) -> Iterator[Arrays]:
    random = np.random.default_rng(0)
    longest = min(64, config.max_position_embeddings)
    for length in random.integers(1, longest + 1, _RANDOM_TEXTS):
        shape = HEADS[bundle.manifest.head].ids_shape(1, length)
        yield {
            "input_ids": random.integers(0, config.vocab_size, shape),
            "attention_mask": np.ones(shape, np.int64),
            "token_type_ids": np.zeros(shape, np.int64),
        }


def find_mask_token_id(bundle: Bundle) -> int | None:
    """Find the id of the mask token, or None if there is none."""
    content = mask_token(bundle)
    added = bundle.read_object("tokenizer.json").objects("added_tokens", ())
    ids = (token.integer("id") for token in added if token.text("content") == content)
    return next(ids, None)


def mask_token_id(bundle: Bundle) -> int:
    """Find the id of the mask token.

    Raises:
        BundleError: The bundle has no tokenizer, or its tokenizer has no mask token.
    """
    token_id = find_mask_token_id(bundle)
    if token_id is None:
        raise BundleError(
            f"{bundle.path} has no tokenizer that knows {mask_token(bundle)}.",
            tip=Message(
                "Export again from a folder with the tokenizer, or leave out ",
                Argument("logits", "masked"),
                ".",
            ),
        )
    return token_id


def mask_token(bundle: Bundle) -> str:
    """Return the mask token that the settings of the tokenizer name."""
    special = bundle.read_object("special_tokens_map.json")
    if isinstance(special.values.get("mask_token"), dict):
        return special.object("mask_token").text("content")
    return special.text("mask_token", "[MASK]")
