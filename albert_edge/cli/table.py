"""Print tables that fit the terminal and break between words, never inside a name.

Cells are printed as `printing.show` prints lines.
"""

from __future__ import annotations

import os
import re
import sys

from albert_edge.cli.streams import STDOUT
from albert_edge.disk.writing import naming
from albert_edge.plain import plain

# When stdout is not a terminal and COLUMNS is not set.
_WIDTH = 160
# A longer name, such as a tensor's, may be broken after a dot or slash; a hash anywhere.
_LONGEST = 56
# rich breaks lines at white space, and this kind has no width; it is not printed.
_BREAK = "\x1f"


def print_table(
    title: str, columns: list[str], rows: list[list[str]], *, words: int = 1, gap: bool = False
) -> None:
    """Print a table to stdout.

    Args:
        title: A line above the table, or "".
        columns: The heads.
        rows: The cells.
        words: How many of the first columns hold words; the others hold numbers.
        gap: Whether a blank line goes before it.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    rows = [[_with_breaks(cell) for cell in row] for row in [columns, *rows]]
    for index, cells in enumerate(zip(*rows, strict=True)):
        longest = max((cell_len(word) for cell in cells for word in cell.split()), default=1)
        table.add_column(
            Text(cells[0]),
            justify="left" if index < words else "right",
            overflow="fold",
            min_width=min(longest, _LONGEST),
            # A column without spaces cannot get narrower; rich does not see that in min_width.
            no_wrap=max(map(cell_len, cells)) == longest <= _LONGEST,
        )
    for row in rows[1:]:
        table.add_row(*map(Text, row))
    terminal = sys.stdout.isatty() or "COLUMNS" in os.environ
    console = Console(width=None if terminal else _WIDTH)
    with naming(STDOUT), console.capture() as capture:
        if gap:
            console.print()
        if title:
            console.print(Text(plain(title), "bold"), soft_wrap=True)
        console.print(table, crop=False)
    with naming(STDOUT):
        for line in capture.get().replace(_BREAK, "").splitlines():
            print(line.rstrip())  # noqa: T201  # with the title in bold; all else is plain


def _with_breaks(text: str) -> str:
    """Allow line breaks after the dots and slashes of long names."""
    text = plain(text)
    long_name = rf"\S{{{_LONGEST + 1},}}"
    return re.sub(long_name, lambda name: re.sub(r"(?<=[./])(?=\w)", _BREAK, name[0]), text)
