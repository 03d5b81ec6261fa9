"""Token classification: a label for each token, or for each group of tokens with one label."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from tokenizers import Encoding, Tokenizer

from albert_edge.bundle.bundle import Bundle
from albert_edge.errors import UsageError
from albert_edge.runtime.tasks.base import WindowOutputs, Windows
from albert_edge.runtime.tasks.entities import (
    STRATEGIES,
    Entity,
    Join,
    Token,
    find_entities,
    merge_windows,
)
from albert_edge.runtime.text import Cut, TextEncoder, cut, token_arrays
from albert_edge.runtime.vectors import softmax


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a call; `delimiter` is None for a text that is not split into words."""

    aggregation_strategy: str
    ignore_labels: Collection[str]
    stride: int | None
    delimiter: str | None
    cut: Cut


@dataclass(frozen=True, slots=True)
class Context:
    """The tokens of each window, and what joins their pieces into a text."""

    windows: tuple[tuple[Token, ...], ...]
    join: Join


class TokenClassification:
    """See `transformers.TokenClassificationPipeline`, whose answers these are."""

    def __init__(self, bundle: Bundle) -> None:
        self.labels = bundle.manifest.labels

    def parameters(
        self,
        *,
        aggregation_strategy: str | None = None,
        ignore_labels: Collection[str] | None = None,
        stride: int | None = None,
        is_split_into_words: bool = False,
        delimiter: str | None = None,
        truncation: bool | str = False,
        max_length: int | None = None,
        padding: bool | str = False,
    ) -> Parameters:
        """Check the parameters of a call.

        Args:
            aggregation_strategy: "none", the default, answers each token; the others answer
                groups of neighbours with one label. "simple" groups tokens; "first", "average"
                and "max" group words, whose label is that of their first token, of the mean of
                their tokens' scores, or of their surest token.
            ignore_labels: What is left out of the answer, groups by the label without its B- or
                I-; ["O"] by default.
            stride: How many tokens the windows share that a text over the limit is seen through.
                By default there are no windows, and such a text is an error.
            is_split_into_words: Whether an item is a list of words instead of a text.
            delimiter: What is between two words in the text that start and end refer to; one
                space by default.
            truncation: See `albert_edge.runtime.text.cut`, as the next two. Without effect beside
                a stride.
            max_length: A limit below the model's own, in tokens.
            padding: Taken, and without effect.

        Raises:
            UsageError: A parameter has no meaning.
        """
        strategy = str(aggregation_strategy or "none").lower()
        if strategy not in STRATEGIES:
            raise UsageError(
                f"aggregation_strategy is {aggregation_strategy!r}.",
                tip=f"It is one of: {', '.join(STRATEGIES)}.",
            )
        if isinstance(ignore_labels, str) or not isinstance(ignore_labels, Collection | None):
            raise UsageError(f"ignore_labels is {ignore_labels!r}.", tip="Give a list of labels.")
        if stride is not None and (not isinstance(stride, int) or stride < 0):
            raise UsageError(f"stride is {stride!r}.", tip="Give a number of tokens, 0 or more.")
        if stride is not None and aggregation_strategy is not None and strategy == "none":
            raise UsageError(
                "A stride needs groups to merge, and aggregation_strategy is 'none'.",
                tip="Choose another aggregation_strategy.",
            )
        return Parameters(
            aggregation_strategy=strategy,
            ignore_labels=["O"] if ignore_labels is None else ignore_labels,
            stride=stride,
            delimiter=(" " if delimiter is None else delimiter) if is_split_into_words else None,
            cut=cut(truncation, max_length, padding),
        )

    def arrange(self, inputs: Any, parameters: Parameters) -> Any:
        """Words in a list are one item, answered as a list of one."""
        words = parameters.delimiter is not None and isinstance(inputs, list)
        return [inputs] if words and not all(isinstance(item, list) for item in inputs) else inputs

    def encode(self, encoder: TextEncoder, item: Any, parameters: Parameters) -> Windows:
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
        windows = tuple(tuple(_tokens(encoder, each, text, starts)) for each in encodings)
        context = Context(windows, _joiner(encoder.tokenizer))
        return Windows(tuple(token_arrays(each) for each in encodings), context)

    def answer(self, outputs: WindowOutputs, parameters: Parameters) -> list[Entity]:
        """Map the logits of each window, (1, sequence, num_labels), to entities."""
        context: Context = outputs.context
        entities: list[Entity] = []
        for tokens, window in zip(context.windows, outputs.outputs, strict=True):
            scores = softmax(window["logits"][0])
            strategy = parameters.aggregation_strategy
            found = find_entities(tokens, scores, self.labels, strategy, context.join)
            entities += (entity for entity in found if _kept(entity, parameters.ignore_labels))
        return merge_windows(entities) if len(context.windows) > 1 else entities

    def single(self, item: Any, answer: Any, given: Mapping[str, Any]) -> Any:
        """The bare answer, a list already."""
        return answer


def _tokens(
    encoder: TextEncoder, encoding: Encoding, text: str, starts: list[int] | None
) -> Iterator[Token]:
    """The tokens of a window; the offsets of words count from their `starts` in the text."""
    # WordPiece marks the pieces inside a word. With another vocabulary a token continues a word
    # if no space is before it, as transformers has it.
    marks_pieces = bool(getattr(encoder.tokenizer.model, "continuing_subword_prefix", None))
    unknown = encoder.tokenizer.token_to_id(encoder.setting("unk_token", ""))
    columns = (encoding.ids, encoding.special_tokens_mask, encoding.offsets, encoding.word_ids)
    for index, (token, special, (start, end), word) in enumerate(zip(*columns, strict=True)):
        if special:
            continue
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


def _kept(entity: Entity, ignored: Collection[str]) -> bool:
    return entity.get("entity", entity.get("entity_group")) not in ignored
