"""The content of a page: plain text, except for the figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first cell of each row is its heading, all others are aligned right.

    Attributes:
        caption: What it shows, with the unit and the baseline if they hold for all columns.
        columns: Headings.
        rows: Cells, as many in each row as there are headings.
        prose: Whether the cells are text, which is aligned left.
        folded: Whether only the caption is shown until the reader opens it.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    prose: bool = False
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """A title, and an SVG element that has it too."""

    title: str
    svg: str


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with sentences, figures and tables below it."""

    anchor: str
    title: str
    text: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """A whole page.

    Attributes:
        title: The title of the page and the window.
        lead: One sentence below the title.
        facts: The few numbers a reader looks for first: pairs of a number and its meaning.
        sections: The rest.
    """

    title: str
    lead: str
    facts: Sequence[tuple[str, str]] = ()
    sections: Sequence[Section] = ()
