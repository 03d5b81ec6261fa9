r"""Regular expressions that take time in proportion to the text, whatever the text is.

The tokenizers library matches with Oniguruma, which tries all ways to match: `(a+)+b` takes
exponential time, and even ` +$` quadratic time in a run of spaces. Accepted are alternatives of
characters and classes in sequence, of which only the last may repeat without an upper bound:

    [\s\x1c-\x1f]+        {2,}       \p{P}|``       [0-9]{4}

An alternative then never has to give back what it took. TRIM is accepted too, but only right after
a step that left no runs of spaces (see `leaves_no_runs`).
"""

from __future__ import annotations

import re
from functools import cache

TRIM = "^ +| +$"

_LONGEST = 16_384  # characters; the class of all combining marks has about 500
_MOST_ALTERNATIVES = 64
_MOST_REPEATS = 256

_ESCAPE = (
    r"\\(?:[dDhHsSwWtnrfvae]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}"
    r"|[pP]\{\^?[A-Za-z_]{1,32}\}|[^0-9A-Za-z_])"
)
_CLASS = rf"\[\^?(?:{_ESCAPE}|[^\\\[\]&]|&(?!&))+\]"
_ATOM = rf"(?:{_ESCAPE}|{_CLASS}|[^\\\[\](){{}}|^$*+?])"
_PART = re.compile(
    rf"(?P<bar>\|)|{_ATOM}(?:(?P<open>\+)|\{{(?P<low>[1-9][0-9]?)(?P<range>,([1-9][0-9]?)?)?\}})?",
    re.DOTALL,
)


@cache
def shortest_match(pattern: str) -> int:
    """Return how many characters a match has at least; 1 or more.

    Raises:
        ValueError: The pattern is not one of those that are accepted.
    """
    if pattern == TRIM:
        return 1
    lengths, at, is_open = [0], 0, False
    while at < len(pattern) <= _LONGEST:
        part = _PART.match(pattern, at)
        if part is None or (is_open and not part["bar"]):
            break
        if part["bar"]:
            lengths.append(0)
        else:
            lengths[-1] += int(part["low"] or 1)
        is_open = bool(part["open"] or part["range"])
        at = part.end()
    if at < len(pattern) or not min(lengths):
        raise ValueError("could take more time than texts are long")
    if len(lengths) > _MOST_ALTERNATIVES or max(lengths) > _MOST_REPEATS:
        raise ValueError("has too many parts")
    return min(lengths)


def leaves_no_runs(pattern: str, content: str) -> bool:
    """Return whether a text has no two spaces in a row once matches are replaced by `content`."""
    return content == " " and pattern in (" {2,}", r"\s+", r"[\s\x1c-\x1f]+")
