"""Calls of the tokenizers library, whose exceptions become errors of this package.

It raises plain Exception, and PanicException, which derives from BaseException only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tokenizers import Tokenizer

from albert_edge.errors import AlbertEdgeError
from albert_edge.json_fields import MakeError
from albert_edge.validation.tokenizer import check_tokenizer_json


def load_tokenizer(
    text: str, place: str, error: MakeError, *, vocab_size: int | None = None
) -> Tokenizer:
    """Load the text of a tokenizer.json once it is checked.

    Args:
        text: The text.
        place: Where it comes from, for errors.
        error: Makes an exception of a message.
        vocab_size: How many tokens the model has embeddings for; None if unknown.

    Raises:
        Exception: What `error` made; see `check_tokenizer_json`.
    """
    check_tokenizer_json(text, place, error, vocab_size=vocab_size)
    return parse_tokenizer(text, place, error)


def parse_tokenizer(text: str | bytes, place: str, error: MakeError) -> Tokenizer:
    """Load the text of a tokenizer.json that `check_tokenizer_json` accepted.

    Raises:
        Exception: What `error` made: the library does not accept it.
    """
    with library_faults(f"{place} is not a tokenizer", error):
        return Tokenizer.from_str(text) if isinstance(text, str) else Tokenizer.from_buffer(text)


@contextmanager
def library_faults(what: str, error: MakeError) -> Iterator[None]:
    """Turn what the library raises into another error.

    Args:
        what: What went wrong; its reason is added.
        error: Makes an exception of a message.
    """
    try:
        yield
    except (AlbertEdgeError, TypeError):  # arguments of a wrong type are the caller's
        raise
    except BaseException as reason:
        if not isinstance(reason, Exception) and type(reason).__module__ != "pyo3_runtime":
            raise  # such as KeyboardInterrupt
        raise error(f"{what}: {reason}") from reason
