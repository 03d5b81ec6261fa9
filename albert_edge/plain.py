"""Escape control characters and bidirectional overrides in untrusted text.

Labels, names, texts and messages may contain characters that act and are not shown. A terminal
moves its cursor, changes its title or its clipboard at control characters; bidirectional overrides
reorder the rest of a line (CVE-2021-42574), and invisible characters make two names look alike.
Here such characters are written as escapes. What scripts and emoji need stays as it is: joiners
(U+200C, U+200D) and the marks of right-to-left text (U+061C, U+200E, U+200F).

Standard library only.
"""

from __future__ import annotations

import json
import os
import re

_C0 = "\x00-\x1f"
# DEL and C1, soft hyphen, a vowel separator without width, spaces without width, line and paragraph
# separators, embeddings and overrides, word joiner to isolates, byte order mark, annotations, tags.
_OTHERS = (
    "\x7f-\x9f\xad\u180e\u200b\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff"
)
_SURROGATES = "\ud800-\udfff"
_ESCAPED = re.compile(f"[{_C0}{_OTHERS}{_SURROGATES}]")
_ESCAPED_IN_JSON = re.compile(f"[{_OTHERS}]")

# A token of the Hugging Face hub; a user with a password in a URL; what an HTTP header carries.
_SECRET = re.compile(
    r"\bhf_\w{8,}|(?<=://)[^/\s@]+(?=@)|(?<=bearer )\S+|(?<=authorization: )\S+( \S+)?", re.I
)
_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


def plain(text: str) -> str:
    r"""Escape control characters, bidirectional overrides and invisible characters, in one line.

    >>> plain("[red]\x1b]0;title\x07\n")
    '[red]\\x1b]0;title\\x07\\n'
    """
    return _ESCAPED.sub(lambda found: repr(found[0])[1:-1], text)


def plain_json(document: str) -> str:
    r"""Write such characters as the escapes of JSON, so that the document's values stay the same.

    Args:
        document: JSON, in which control characters below U+0020 are escaped already.

    >>> plain_json('["\x9b31m"]')
    '["\\u009b31m"]'
    """
    return _ESCAPED_IN_JSON.sub(lambda found: json.dumps(found[0])[1:-1], document)


def without_secrets(text: str) -> str:
    """Replace tokens of the hub and passwords in addresses, such as a proxy's, by "***".

    >>> without_secrets("https://me:secret@proxy:8080 refused the token hf_abcdefghij")
    'https://***@proxy:8080 refused the token ***'
    """
    for name in _TOKENS:
        if token := os.environ.get(name, "").strip():
            text = text.replace(token, "***")
    return _SECRET.sub("***", text)
