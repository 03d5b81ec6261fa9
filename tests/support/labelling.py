"""A job with a cheap model: the answer to a text is arithmetic on its letters.

Run as a program it labels a file in a process of its own, which a test can kill:
`python -m support.labelling INPUT OUTPUT` in tests/.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from albert_edge.labelling.columns import JsonLayout, TableLayout
from albert_edge.labelling.folder import Existing, is_complete, open_folder
from albert_edge.labelling.formats.choose import PARQUET, make_encoder, output_suffix
from albert_edge.labelling.job import label
from albert_edge.labelling.labeller import Labeller
from albert_edge.labelling.output import Output
from albert_edge.labelling.row_writer import RowWriter
from albert_edge.records.fields import TEXT
from albert_edge.records.inputs import open_inputs
from albert_edge.records.rows import Row
from albert_edge.runtime.item_error import ItemError

FORMATS = (".jsonl", ".csv", ".tsv", ".jsonl.gz", ".csv.zst", ".tsv.gz", ".parquet")
COLUMNS = ("label", "score")


@dataclass(frozen=True)
class Done:
    """How a job ended: records in it, those that failed, those of an earlier run."""

    rows: int
    failed: int
    kept: int


def answer(text: str) -> Any:
    """A label and a score; an error for a text that ends with "bad"."""
    if text.endswith("bad"):
        return ItemError(0, "the text is bad", "Take it out.")
    return {"label": "odd" if len(text) % 2 else "even", "score": sum(map(ord, text[-8:])) / 997}


def run_job(
    source: Path, target: Path, existing: Existing = "resume", *, in_batches: bool = False
) -> Done | None:
    """Label a file of texts; None if the output was complete already."""
    if is_complete(target, existing):
        return None
    suffix = output_suffix(target)

    def answers(items: Iterator[str]) -> Iterator[Any]:
        return map(answer, items)

    with open_inputs([source], TEXT) as inputs:
        layout = (
            JsonLayout()
            if suffix.startswith(".jsonl")
            else TableLayout(
                COLUMNS, with_errors=True, columns=inputs.columns, fixed=suffix != PARQUET
            )
        )
        writer = RowWriter(make_encoder(suffix, inputs.schema), layout, keep_errors=True)
        labeller = Labeller(TEXT.item, answers, in_batches=in_batches, keep_errors=True)
        with open_folder(target, existing, {"model": "arithmetic"}) as (folder, journal):
            output = Output(folder, journal, writer)
            label(inputs.rows(), labeller, output, _ignore)
    return Done(output.rows, output.failed, output.kept)


def _ignore(output: Output, row: Row) -> None:
    pass


if __name__ == "__main__":
    done = run_job(Path(sys.argv[1]), Path(sys.argv[2]))
    # Unlike ru_maxrss, this leaves out the process that started this one.
    [(peak, _)] = re.findall(r"VmHWM:\s+(\d+) (kB)", Path("/proc/self/status").read_text())
    print(peak, done)
