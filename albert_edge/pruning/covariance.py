"""A covariance in a file, of which a few rows at a time are in memory.

That of a layer's neurons can be as large as all weights of the model, and is needed again for every
width that is tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from albert_edge.disk.writing import create

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Covariance:
    """Some rows and columns of a symmetric matrix in a file.

    Attributes:
        path: The file: float32, row after row.
        size: Rows of the whole matrix.
        rows: The rows of this part.
        columns: Its columns.
    """

    path: Path
    size: int
    rows: Indices
    columns: Indices

    @classmethod
    def write(cls, path: Path, blocks: Sequence[Floats]) -> Covariance:
        """Write a matrix.

        Args:
            path: The file.
            blocks: Its parts up to the diagonal, row by row: (0, 0), (1, 0), (1, 1), (2, 0) ...
        """
        triangle = [*_rows(blocks)]
        with create(path) as file:
            for index, row in enumerate(triangle):
                after = (later[index].T for later in triangle[index + 1 :])
                file.write(np.concatenate([*row, *after], axis=1).data)
        every = np.arange(sum(len(row[-1]) for row in triangle))
        return cls(path, len(every), every, every)

    def __len__(self) -> int:
        """Return the number of rows of this part."""
        return len(self.rows)

    def __getitem__(self, cut: slice) -> Floats:
        """Read some rows of this part, (rows, columns)."""
        # Mapped anew each time: what was read would stay in memory as long as it is mapped.
        whole = np.memmap(self.path, np.float32, "r", shape=(self.size, self.size))
        return np.array(whole[np.ix_(self.rows[cut], self.columns)])

    def part(self, rows: Indices, columns: Indices) -> Covariance:
        """Return a part of the whole matrix."""
        return replace(self, rows=rows, columns=columns)


def _rows(blocks: Sequence[Floats]) -> Iterator[list[Floats]]:
    """Yield the rows of a triangle of blocks, each with one block more than the one before."""
    left, count = iter(blocks), 1
    while row := [*islice(left, count)]:
        yield row
        count += 1
