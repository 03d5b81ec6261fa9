"""A tokenizer.json of a stranger, checked before the tokenizers library parses it.

On some files that library ends the process, hangs, or takes gigabytes of memory; most of what it
raises is no ordinary exception. Accepted is what tokenizers of ALBERT consist of:

    the whole       size, no field twice, no unknown field, added tokens, truncation and padding
    model           Unigram, WordPiece, BPE or WordLevel, whose ids the model has embeddings for
    steps           normalizers, pre-tokenizers and decoders by type and field, with regular
                    expressions and character maps that cannot run away, and that do not make
                    texts much longer
    template        what is put around texts, once each
"""

from __future__ import annotations

from albert_edge.json_fields import JsonObject, MakeError, parse_object
from albert_edge.validation.tokenizer_models import LONGEST_PIECE, check_model, require_known
from albert_edge.validation.tokenizer_parts import check_steps, short_text
from albert_edge.validation.tokenizer_template import HIGHEST_TYPE, check_post_processor

_LARGEST = 32 * 2**20  # characters; 200,000 pieces take 8 to 20 million
MOST_ADDED = 10_000
MOST_ADDED_CHARACTERS = 200_000  # the library's automaton takes 200 bytes for each
_LONGEST_PADDED = 2**16
_DIRECTIONS = ("Left", "Right")
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")


def check_tokenizer_json(
    text: str, place: str, error: MakeError, *, vocab_size: int | None = None
) -> None:
    """Check the text of a tokenizer.json.

    Args:
        text: The text.
        place: Where it comes from, for errors.
        error: Makes an exception of a message.
        vocab_size: How many tokens the model has embeddings for; None if unknown. An added token
            may have an id beyond; a text with it is refused.

    Raises:
        Exception: What `error` made: the file is malformed, or has parts that no tokenizer of
            ALBERT has.
    """
    if len(text) > _LARGEST:
        raise error(f"{place} has {len(text):,} characters, over the limit of {_LARGEST:,}.")
    tokenizer = parse_object(text, place, error, unique=True)
    require_known(
        tokenizer,
        (
            *("version", "truncation", "padding", "added_tokens", "normalizer"),
            *("pre_tokenizer", "post_processor", "decoder", "model"),
        ),
    )
    tokenizer.require(version="1.0")
    pieces = check_model(tokenizer.object("model"), vocab_size)
    check_steps(tokenizer)
    _check_added_tokens(tokenizer)
    around = check_post_processor(tokenizer, vocab_size or pieces + MOST_ADDED)
    _check_truncation(tokenizer, around)
    _check_padding(tokenizer)


def _check_added_tokens(tokenizer: JsonObject) -> None:
    tokens = tokenizer.objects("added_tokens", None) or ()
    if len(tokens) > MOST_ADDED:
        raise tokenizer.fault("added_tokens", f"at most {MOST_ADDED:,} tokens")
    for token in tokens:
        require_known(token, ("id", "content", *_FLAGS))
        token.integer("id", low=0, high=2**31)
        if not 0 < len(token.text("content")) <= LONGEST_PIECE:
            raise token.fault("content", f"1 to {LONGEST_PIECE} characters")
        for name in _FLAGS:
            token.flag(name)
    if sum(len(token.values["content"]) for token in tokens) > MOST_ADDED_CHARACTERS:
        raise tokenizer.fault("added_tokens", f"at most {MOST_ADDED_CHARACTERS:,} characters")
    for name in ("id", "content"):
        if len({token.values[name] for token in tokens}) != len(tokens):
            raise tokenizer.fault("added_tokens", f"tokens of which no two have the same {name}")


def _check_truncation(tokenizer: JsonObject, around: int) -> None:
    truncation = tokenizer.object("truncation", None)
    if truncation is None:
        return
    require_known(truncation, ("direction", "max_length", "strategy", "stride"))
    truncation.choice("direction", _DIRECTIONS, None)
    truncation.choice("strategy", ("LongestFirst", "OnlyFirst", "OnlySecond"))
    stride = truncation.integer("stride", low=0, high=2**31)
    truncation.integer("max_length", low=stride + around + 1, high=2**62)


def _check_padding(tokenizer: JsonObject) -> None:
    padding = tokenizer.object("padding", None)
    if padding is None:
        return
    names = ("strategy", "direction", "pad_to_multiple_of", "pad_id", "pad_type_id", "pad_token")
    require_known(padding, names)
    if padding.values.get("strategy") != "BatchLongest":
        strategy = padding.object("strategy")
        require_known(strategy, ("Fixed",))
        strategy.integer("Fixed", low=0, high=_LONGEST_PADDED)
    padding.choice("direction", _DIRECTIONS)
    padding.integer("pad_to_multiple_of", None, low=0, high=_LONGEST_PADDED)
    padding.integer("pad_id", low=0, high=2**31)
    padding.integer("pad_type_id", low=0, high=HIGHEST_TYPE)
    short_text(padding, "pad_token")
