"""The journal of a job: what it was started with and how much of it is done."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from albert_edge.errors import AlbertEdgeError, Argument, Message, UsageError
from albert_edge.json_fields import read_object
from albert_edge.labelling.durable import write_whole


@dataclass(frozen=True, slots=True)
class Journal:
    """How far a job is. It is written when a segment of the output is complete.

    Attributes:
        started_with: What the answers depend on, such as the bundle, by name.
        rows: How many records are in complete segments.
        failed: How many of them could not be answered.
        size: The bytes of these segments.
        digest: The hash of these records.
        output: The file of the folder that is the complete output; "" if none is.
    """

    started_with: Mapping[str, str] = field(default_factory=dict)
    rows: int = 0
    failed: int = 0
    size: int = 0
    digest: str = ""
    output: str = ""

    def write(self, path: Path) -> None:
        """Write the journal, completely or not at all."""
        write_whole(path, json.dumps(dataclasses.asdict(self), indent=2).encode())

    def require_same(self, now: Mapping[str, str]) -> None:
        """Check that a job is continued with what it was started with.

        Raises:
            UsageError: The answers would not fit those that there are.
        """
        then = self.started_with
        changed = [name for name in {**then, **now} if then.get(name) != now.get(name)]
        if not changed:
            return
        differences = "; ".join(
            f"{name} was {then.get(name) or 'not given'}, now {now.get(name) or 'not given'}"
            for name in changed
        )
        raise UsageError(
            Message(
                *("The unfinished job was started differently, so ", Argument("resume")),
                f" would mix two kinds of answers: {differences}.",
            ),
            tip=Message("Start it as before, or anew with ", Argument("force"), "."),
        )


def read_journal(path: Path) -> Journal | None:
    """Read the journal of a job; None if there is none.

    Raises:
        AlbertEdgeError: It is damaged.
    """
    if not path.exists():
        return None
    tip = Message("Start the job anew with ", Argument("force"), ".")
    fields = read_object(path, partial(AlbertEdgeError, tip=tip, where=path))
    started_with = fields.object("started_with")
    return Journal(
        started_with={name: started_with.text(name) for name in started_with.values},
        rows=fields.integer("rows", low=0),
        failed=fields.integer("failed", low=0),
        size=fields.integer("size", low=0),
        digest=fields.text("digest"),
        output=fields.text("output"),
    )
