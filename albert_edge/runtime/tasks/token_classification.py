"""Token classification: label tokens, or groups of tokens with one label."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Unpack, overload

from tokenizers import Encoding, Tokenizer

from albert_edge.architecture.config import LabelName
from albert_edge.bundle.bundle import Bundle
from albert_edge.errors import InputError, UsageError
from albert_edge.runtime.parameters import (
    Cut,
    LayersUsed,
    Truncation,
    invalid,
    read_choice,
    read_count,
    read_cut,
)
from albert_edge.runtime.pipeline import Pipeline
from albert_edge.runtime.task import Items, Task, WindowOutputs, Windows
from albert_edge.runtime.tasks.entities import (
    STRATEGIES,
    Entity,
    Join,
    Token,
    find_entities,
    merge_windows,
)
from albert_edge.runtime.text import TextEncoder, token_arrays
from albert_edge.runtime.vectors import softmax

Offsets = Sequence[tuple[int, int]]


class Parameters(Truncation, LayersUsed, total=False):
    """The parameters of a call. With a stride, `max_length` is that of a window.

    Attributes:
        aggregation_strategy: "none", the default, labels tokens; the others label groups of
            neighbouring tokens. "simple" groups tokens; "first", "average" and "max" group
            words, whose label is that of their first token, of the mean of their tokens' scores,
            or of their surest token.
        ignore_labels: Labels to leave out of the answer, for groups without B- or I-; by default
            ["O"].
        stride: How many tokens neighbouring windows of a text over the limit share. By default
            there are no windows, and such a text is an error.
        is_split_into_words: Whether an item is a list of words instead of a text.
        delimiter: Joins the words to the text that start and end refer to; by default one space.
        offset_mapping: Where each token begins and ends in the text, special tokens included, in
            place of what the tokenizer found; for a call with one text.
    """

    aggregation_strategy: str | None
    ignore_labels: Collection[str] | None
    stride: int | None
    is_split_into_words: bool
    delimiter: str | None
    offset_mapping: Offsets | list[Offsets] | None


@dataclass(frozen=True, slots=True)
class Checked:
    """The checked parameters of a call; `delimiter` is None for a text not split into words."""

    aggregation_strategy: str
    ignore_labels: Collection[str]
    stride: int | None
    delimiter: str | None
    offsets: Offsets | None
    cut: Cut


@dataclass(frozen=True, slots=True)
class Context:
    """The tokens of each window, and the function that joins tokens to a text."""

    windows: tuple[tuple[Token, ...], ...]
    join: Join


class TokenClassification(Task):
    """See `transformers.TokenClassificationPipeline`, whose answers these are."""

    accepts = Parameters
    unset_by_none = frozenset(Parameters.__annotations__)

    def __init__(self, bundle: Bundle) -> None:
        self.labels = bundle.manifest.labels

    def parameters(self, given: Parameters) -> Checked:
        strategy = read_choice(given, "aggregation_strategy", "none", STRATEGIES)
        ignored = given.get("ignore_labels")
        if isinstance(ignored, str) or not isinstance(ignored, Collection | None):
            raise invalid("ignore_labels", ignored, "Give a list of labels.")
        stride = read_count(given, "stride", least=0)
        named = given.get("aggregation_strategy") is not None
        if stride is not None and named and strategy == "none":
            raise UsageError(
                "A stride needs groups to merge, and aggregation_strategy is 'none'.",
                tip="Choose another aggregation_strategy.",
            )
        delimiter = given.get("delimiter")
        delimiter = " " if delimiter is None else delimiter
        return Checked(
            aggregation_strategy=strategy,
            ignore_labels=["O"] if ignored is None else ignored,
            stride=stride,
            delimiter=delimiter if given.get("is_split_into_words") else None,
            offsets=_read_offsets(given.get("offset_mapping"), stride),
            cut=read_cut(given),
        )

    def arrange(self, inputs: Any, parameters: Checked) -> Any:
        """Turn the words of one text into a list with one item."""
        words = parameters.delimiter is not None and isinstance(inputs, list)
        if words and not all(isinstance(item, list) for item in inputs):
            return [inputs]
        if parameters.offsets is not None and isinstance(inputs, list) and len(inputs) > 1:
            raise invalid("offset_mapping", "given", "Call once for each text that has offsets.")
        return inputs

    def encode(self, encoder: TextEncoder, item: Any, parameters: Checked) -> Windows:
        """Tokenize a text, or a list of words."""
        split = parameters.delimiter is not None
        if parameters.stride is None:
            encodings = [encoder.encoding(item, cut=parameters.cut, split=split)]
        else:
            encodings = encoder.windows(item, parameters.stride, cut=parameters.cut, split=split)
        text, starts = item, None
        if parameters.delimiter is not None:
            text = parameters.delimiter.join(item)
            lengths = (len(word) + len(parameters.delimiter) for word in item)
            starts = list(accumulate(lengths, initial=0))
        windows = tuple(
            tuple(_tokens(encoder, window, parameters.offsets, text, starts))
            for window in encodings
        )
        context = Context(windows, _joiner(encoder.tokenizer))
        return Windows(tuple(map(token_arrays, encodings)), context)

    def answer(self, outputs: WindowOutputs, parameters: Checked) -> list[Entity]:
        """Map the logits of each window, (1, sequence, num_labels), to entities."""
        context: Context = outputs.context
        entities: list[Entity] = []
        ignored = parameters.ignore_labels
        for tokens, window in zip(context.windows, outputs.outputs, strict=True):
            scores = softmax(window["logits"][0])
            strategy = parameters.aggregation_strategy
            in_window = find_entities(tokens, scores, self.labels, strategy, context.join)
            entities += (entity for entity in in_window if _label(entity) not in ignored)
        return merge_windows(entities) if len(context.windows) > 1 else entities


def _read_offsets(given: Any, stride: int | None) -> Offsets | None:
    """Check offset_mapping: the offsets of a text, or a list with those of one text."""
    if not given:
        return None
    tip = "Give a (start, end) for each token, and no stride."
    try:
        offsets = given if isinstance(given[0], tuple) else given[0]
        pairs = [(int(start), int(end)) for start, end in offsets]
    except (LookupError, TypeError, ValueError):
        raise invalid("offset_mapping", given, tip) from None
    if stride is not None:
        raise invalid("offset_mapping", given, tip)
    return pairs


def _tokens(
    encoder: TextEncoder,
    encoding: Encoding,
    offsets: Offsets | None,
    text: str,
    starts: list[int] | None,
) -> Iterator[Token]:
    """Yield the tokens of a window; offsets in words are moved by the `starts` of the words."""
    # WordPiece marks pieces inside a word. With other vocabularies a token without a space before
    # it continues a word, as in transformers.
    marks_pieces = bool(getattr(encoder.tokenizer.model, "continuing_subword_prefix", None))
    unknown = encoder.tokenizer.token_to_id(encoder.setting("unk_token", ""))
    columns = (encoding.ids, encoding.special_tokens_mask, encoding.offsets, encoding.word_ids)
    for index, (token, special, found, word) in enumerate(zip(*columns, strict=True)):
        if special:
            continue
        if offsets is not None and index >= len(offsets):
            raise InputError(
                f"The text has {len(encoding.ids)} tokens, and offset_mapping {len(offsets)}.",
                tip="Give the offsets of every token, also of special tokens.",
            )
        start, end = found if offsets is None else offsets[index]
        if starts is not None and word is not None:
            start, end = start + starts[word], end + starts[word]
        if token == unknown:
            yield Token(text[start:end], index, start, end, continues=False)
            continue
        piece = encoder.tokenizer.id_to_token(token)
        if marks_pieces:
            continues = len(piece) != end - start
        else:
            continues = start > 0 and " " not in text[start - 1 : start + 1]
        yield Token(piece, index, start, end, continues)


def _joiner(tokenizer: Tokenizer) -> Join:
    decoder = tokenizer.decoder
    return " ".join if decoder is None else decoder.decode


def _label(entity: Entity) -> LabelName:
    return entity.get("entity", entity.get("entity_group"))


Answer = list[Entity]
Item = str | list[str]
Texts = list[str] | list[list[str]]
Given = Parameters


class TokenClassificationPipeline(Pipeline):
    """Labels the tokens of a text, or groups of neighbouring tokens with one label.

    See `Parameters` for the parameters of a call. A list of strings is a list of texts, unless
    is_split_into_words is set; then it is one text split into words.
    """

    task = "token-classification"
    kind = TokenClassification

    if TYPE_CHECKING:

        @overload
        def __call__(self, inputs: str, **given: Unpack[Given]) -> Answer: ...
        @overload
        def __call__(self, inputs: Texts, **given: Unpack[Given]) -> list[Answer]: ...
        @overload
        def __call__(self, inputs: Items[Item], **given: Unpack[Given]) -> Iterator[Answer]: ...
        def __call__(self, inputs: Any, **given: Any) -> Any: ...
        @overload
        async def acall(self, inputs: str, **given: Unpack[Given]) -> Answer: ...
        @overload
        async def acall(
            self, inputs: Texts | Items[Item], **given: Unpack[Given]
        ) -> list[Answer]: ...
        async def acall(self, inputs: Any, **given: Any) -> Any: ...
        def answer(self, item: Item, **given: Unpack[Given]) -> Answer: ...
        def stream(self, items: Iterable[Item], **given: Unpack[Given]) -> Iterator[Answer]: ...
