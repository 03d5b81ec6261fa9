"""A base class for objects that hold a model in memory: `close()` and `with`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self


class Closable(ABC):
    """An object whose memory can be freed before it is garbage-collected."""

    @abstractmethod
    def close(self) -> None:
        """Free the memory of the model."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
