"""The fields of an item, and which columns of a record hold them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from albert_edge.errors import UsageError

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a record that form an item of a task. A record may have others.

    Attributes:
        texts: Required fields that hold a text.
        lists: Required fields that hold a list of texts, which only .jsonl and .parquet can store.
        optional: Optional fields that hold a text; an empty text counts as absent.
        columns: The column of each field that is in a column of another name.
    """

    texts: tuple[str, ...] = ("text",)
    lists: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def needed(self) -> tuple[str, ...]:
        """The required fields."""
        return self.texts + self.lists

    @property
    def bare(self) -> bool:
        """Whether an item is a single text."""
        return self.needed == ("text",)

    @property
    def example(self) -> str:
        """An example of a record, as a line of .jsonl."""
        texts = {self.column(name): "..." for name in self.texts}
        return json.dumps({**texts, **{self.column(name): ["...", "..."] for name in self.lists}})

    @property
    def plain(self) -> bool:
        """Whether an item is a single text, in a column that was not chosen."""
        return self.bare and not self.columns

    @property
    def required_columns(self) -> tuple[str, ...]:
        """The columns that every record has."""
        return tuple(dict.fromkeys([*map(self.column, self.needed), *self.columns.values()]))

    def column(self, name: str) -> str:
        """Return the column that holds a field."""
        return self.columns.get(name, name)

    def renamed(self, columns: Mapping[str, str]) -> Fields:
        """Return these fields in other columns.

        Args:
            columns: The column of each field, such as {"text": "review"}. If it is not empty, an
                optional field that is not in it is left out.
        """
        if not columns:
            return self
        optional = tuple(name for name in self.optional if name in columns)
        return replace(self, optional=optional, columns=dict(columns))

    def chosen(self, column: str | None, pair_column: str | None) -> Fields:
        """Return these fields with the first, the second or both in chosen columns.

        Args:
            column: The column of the first field; None leaves it in the column of its own name.
            pair_column: The column of the second text.

        Raises:
            UsageError: There is no second text.
        """
        names = self.texts + self.optional
        if pair_column is not None and len(names) < 2:
            raise UsageError(
                f"An item of this task has no second text, only {' and '.join(self.needed)}.",
                tip="Choose a column for the first only.",
            )
        chosen = zip(names, (column, pair_column), strict=False)
        return self.renamed({name: column for name, column in chosen if column is not None})

    def item(self, record: Mapping[str, Any]) -> Any:
        """Return a record as a pipeline takes it: its text, or a dict of these fields."""
        given = tuple(name for name in self.optional if record.get(self.column(name)))
        names = self.needed + given
        if names == ("text",):
            return record[self.column("text")]
        return {name: record[self.column(name)] for name in names}

    def fault(self, record: Any) -> str | None:
        """Say why a record is not an item, or return None if it is one."""
        if not isinstance(record, dict):
            columns = map(self.column, self.needed)
            return f"is not an object with the fields {' and '.join(columns)}"
        for name in map(self.column, self.texts):
            if not isinstance(record.get(name), str):
                has = "" if name in record else f"; it has {', '.join(map(str, record)) or 'none'}"
                return f'has no {name}: every record needs a field or column "{name}"{has}'
        for name in map(self.column, self.lists):
            values = record.get(name)
            if not (isinstance(values, list) and all(isinstance(value, str) for value in values)):
                return f'has no {name}: every record needs a field "{name}", a list of texts'
        for name in map(self.column, self.optional):
            if not isinstance(record.get(name), str | None):
                return f"has a {name} that is not a text"
            if self.columns and name not in record:
                return f"has no {name}, which was chosen"
        # The answer for half a pair would look like one for the pair.
        is_whole = self.columns or "text_pair" in self.needed + self.optional
        if not is_whole and record.get("text_pair"):
            return f"has a text_pair; an item has only {' and '.join(self.needed)}"
        return None


TEXT = Fields()
TEXT_OR_PAIR = Fields(optional=("text_pair",))
