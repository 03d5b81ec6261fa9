"""The ranking pipeline: a query and passages in, the passages best first out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from albert_edge.errors import UsageError
from albert_edge.runtime.pipeline import Pipeline


class RankingPipeline(Pipeline):
    """Scores how relevant passages are to a query, and ranks them.

    A call takes one ("query", "passage") pair, a list of pairs, or a generator of pairs, and gives
    one score, a list, or an iterator. A pair may be {"query": ..., "passage": ...} as well.
    """

    def rank(
        self,
        query: str,
        passages: Iterable[str],
        *,
        top_k: int | None = None,
        return_documents: bool = False,
        **parameters: Any,
    ) -> list[dict[str, Any]]:
        """Rank passages by how relevant they are to a query.

        Args:
            query: The query.
            passages: The passages.
            top_k: How many to return; by default all.
            return_documents: Whether to return the passages too, as "text".
            **parameters: As in a call, such as truncation.

        Returns:
            {"corpus_id": place among the passages, "score"} of each, best first, as
            `sentence_transformers.CrossEncoder.rank` gives them.

        Raises:
            UsageError: The model has several labels, or a parameter has no meaning.
            InputError: A pair is over the model's limit or not valid Unicode; says which.
            TypeError: The query or a passage is not a string, or the passages are one string.
        """
        count = len(self.session.bundle.manifest.labels)
        if count != 1:
            raise UsageError(
                f"{self.session.bundle.folder} gives {count} scores for a pair, and ranking needs "
                "one.",
                tip="Call the pipeline on pairs, and rank by the score that matters.",
            )
        if top_k is not None and (not isinstance(top_k, int) or top_k < 1):
            raise UsageError(f"top_k is {top_k!r}.", tip="Give 1 or more, or None for all.")
        if isinstance(passages, str):
            raise TypeError("passages must be a list of strings, not a string")
        texts = list(passages)
        scores = self([(query, text) for text in texts], **parameters)
        best_first = sorted(range(len(texts)), key=scores.__getitem__, reverse=True)
        ranked = [{"corpus_id": index, "score": scores[index]} for index in best_first[:top_k]]
        if return_documents:
            return [{**entry, "text": texts[entry["corpus_id"]]} for entry in ranked]
        return ranked
