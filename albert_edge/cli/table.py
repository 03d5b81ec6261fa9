"""Print tables that fit the terminal, broken at spaces and after punctuation, never in a name."""

from __future__ import annotations

import os
import re
import shutil
import sys

# Where nobody looks at a terminal and COLUMNS says nothing.
_WIDTH = 160
_GAP = "  "
# Longer than any name; a longer word, such as a hash, is broken anywhere.
_LONGEST_NAME = 56


def print_table(title: str, columns: list[str], rows: list[list[str]], *, words: int = 1) -> None:
    """Print a table to stdout.

    Args:
        title: A line above the table, or "".
        columns: The heads.
        rows: The cells.
        words: How many of the first columns hold words; the others hold numbers.
    """
    if title:
        bold = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        print(f"\x1b[1m{title}\x1b[0m" if bold else title)
    widths = _widths(list(zip(columns, *rows, strict=True)))
    for row in [columns, *rows]:
        cells = [_wrap(cell, width) for cell, width in zip(row, widths, strict=True)]
        for index in range(max(map(len, cells))):
            parts = [
                _pad(lines[index] if index < len(lines) else "", width, right=column >= words)
                for column, (lines, width) in enumerate(zip(cells, widths, strict=True))
            ]
            print(_GAP.join(parts).rstrip())


def _widths(columns: list[tuple[str, ...]]) -> list[int]:
    """The width of each column: its longest cell, or less if the terminal is narrower.

    No column gets narrower than its longest name, even if the table is then wider than the
    terminal; the others share what is left, the narrowest served first.
    """
    terminal = sys.stdout.isatty() or "COLUMNS" in os.environ
    left = shutil.get_terminal_size((_WIDTH, 0)).columns if terminal else _WIDTH
    left -= len(_GAP) * (len(columns) - 1)
    wanted = [max(map(_width, cells)) for cells in columns]
    widths = [max(_width(piece) for cell in cells for piece in _pieces(cell)) for cells in columns]
    while widths != wanted and sum(widths) < left:
        _, narrowest = min((w, i) for i, w in enumerate(widths) if w < wanted[i])
        widths[narrowest] += 1
    return widths


def _wrap(text: str, width: int) -> list[str]:
    lines = [""]
    for piece in _pieces(text):
        if lines[-1] and _width(lines[-1] + piece) > width:
            lines.append("")
        lines[-1] += piece
    return lines


def _pieces(text: str) -> list[str]:
    """The parts of a text that stay whole, each with the spaces and punctuation that follow it.

    >>> _pieces("embeddings, ffn-output: a/b.onnx")
    ['embeddings, ', 'ffn-output: ', 'a/', 'b.onnx']
    """
    words = re.split(r"(?<=\s)(?=\S)|(?<=[,;:/|=])(?=[^\s\d,;:/|=])", text)
    return [
        word[start : start + _LONGEST_NAME]
        for word in words
        for start in range(0, max(len(word), 1), _LONGEST_NAME)
    ]


def _pad(text: str, width: int, *, right: bool) -> str:
    text = text.rstrip()
    space = " " * (width - _width(text))
    return space + text if right else text + space


def _width(text: str) -> int:
    """The columns a text takes on a terminal, where a Chinese character takes two."""
    from rich.cells import cell_len

    return cell_len(text.rstrip())
