"""The pipeline of sentence embeddings: many texts in, one array out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from albert_edge.runtime.pipeline import Pipeline
from albert_edge.runtime.session import Session

if TYPE_CHECKING:
    from albert_edge.runtime.tasks.sentence_embeddings import SentenceEmbeddings


class EmbeddingPipeline(Pipeline):
    """Turns texts into vectors. A call gives an array for each text, `encode` one for all."""

    _task: SentenceEmbeddings

    def __init__(self, task: str, session: Session, **defaults: Any) -> None:
        super().__init__(task, session, **defaults)
        self._encoder = self._task.prepare(self._encoder)

    def encode(
        self, texts: str | Iterable[str], *, batch_size: int | None = None, **parameters: Any
    ) -> npt.NDArray[np.float32]:
        """Embed texts, as `sentence_transformers.SentenceTransformer.encode` does.

        Args:
            texts: One text, or any number of them.
            batch_size: As in a call.
            **parameters: As in a call: normalize, pooling, prompt, prompt_name, truncation,
                max_length; see `SentenceEmbeddings.parameters`.

        Returns:
            The embeddings, (texts, size), or (size,) for one text.

        Raises:
            InputError: A text is over the limit or not valid Unicode.
            TypeError: A text is not a string.
            UsageError: A parameter has no meaning for this checkpoint.
        """
        if not isinstance(texts, Iterable) or isinstance(texts, str | bytes | Mapping):
            one: npt.NDArray[np.float32] = self(texts, batch_size=batch_size, **parameters)
            return one
        answers = self(list(texts), batch_size=batch_size, **parameters)
        if not answers:
            checked = self._task.parameters(**{**self._defaults, **parameters})
            return np.empty((0, self._task.size(checked)), np.float32)
        return np.stack(answers)
