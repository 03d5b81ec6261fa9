"""What a page is made of. Everything is plain text, but for the figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first cell of each row is its heading, and all others are aligned right.

    Attributes:
        caption: What it shows, units included.
        columns: Headings.
        rows: Cells, as many in each row as there are headings.
        prose: Whether the cells are words, which are aligned left.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    prose: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """A title, and an SVG element that bears it too."""

    title: str
    svg: str


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with what stands below it: sentences, figures, tables."""

    anchor: str
    title: str
    text: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """A whole page.

    Attributes:
        title: Of the page and the window.
        lead: One sentence below the title.
        facts: The few figures one looks for first: pairs of a figure and what it is.
        sections: The rest.
    """

    title: str
    lead: str
    facts: Sequence[tuple[str, str]] = ()
    sections: Sequence[Section] = field(default_factory=list)
