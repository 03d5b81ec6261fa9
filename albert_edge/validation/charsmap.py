"""The compiled character map of a SentencePiece model, and of the normalizer "Precompiled".

    bytes of the trie, 4 bytes    trie, 4 bytes a unit    replacements, each ended by a zero byte

The trie is a double array, https://github.com/s-yata/darts-clone: a unit has the label of the
edge to it, the distance to its children and whether the first of these is a leaf, whose value is
the place of a replacement. The tokenizers library follows distances and places without a check.
"""

from __future__ import annotations

import unicodedata

import numpy as np

_SIZE = 4
_LEAF = 1 << 31
_LABELS = 0xFF
LONGEST = 20  # characters of a replacement, decomposed; 18 in the maps of SentencePiece


def check_charsmap(content: bytes) -> None:
    """Check that every way through a character map stays in it.

    Raises:
        ValueError: The map is damaged, or replaces a character by a long text.
    """
    size = int.from_bytes(content[:_SIZE], "little")
    if size < _SIZE or size % _SIZE or size > len(content) - _SIZE:
        raise ValueError("its trie does not fit its size")
    units = np.frombuffer(content, "<u4", size // _SIZE, _SIZE)
    replacements = content[_SIZE + size :]
    if not replacements.endswith(b"\0"):
        raise ValueError("its replacements have no end")
    texts = unicodedata.normalize("NFKD", replacements.decode())
    _check_trie(units, np.frombuffer(replacements, np.uint8))
    longest = max(map(len, texts.split("\0")))
    if longest > LONGEST:
        raise ValueError(f"a replacement has {longest} characters")


def _check_trie(units: np.ndarray, replacements: np.ndarray) -> None:
    places = np.flatnonzero(units < _LEAF)
    inner = units[places]
    # Children differ from the first of them in the bits of a label.
    children = places ^ ((inner >> 10) << ((inner & (1 << 9)) >> 6)).astype(np.int64)
    if ((children | _LABELS) >= len(units)).any():
        raise ValueError("its trie points outside itself")
    values = units[children[inner & (1 << 8) != 0]] & ~np.uint32(_LEAF)
    if (values >= len(replacements)).any():
        raise ValueError("it points outside its replacements")
    if (replacements[values] & 0xC0 == 0x80).any():
        raise ValueError("it points inside a character")
