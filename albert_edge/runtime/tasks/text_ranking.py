"""Text ranking: score how relevant passages are to a query."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict, Unpack, overload

from albert_edge.architecture.heads import LAYERS
from albert_edge.bundle.bundle import Bundle
from albert_edge.bundle.sentence_layout import bundle_files
from albert_edge.errors import UsageError
from albert_edge.records.fields import Fields
from albert_edge.runtime.parameters import (
    Cut,
    LayersUsed,
    Truncation,
    invalid,
    read_count,
    read_cut,
)
from albert_edge.runtime.pipeline import Pipeline
from albert_edge.runtime.task import Items, Task, WindowOutputs, Windows
from albert_edge.runtime.tasks.activations import ACTIVATIONS, Activation
from albert_edge.runtime.tasks.ranking_settings import read_ranking_settings
from albert_edge.runtime.text import TextEncoder

_ACTIVATIONS = {"sigmoid": ACTIVATIONS["Sigmoid"], "none": ACTIVATIONS["Identity"]}
_TIP = (
    "If it is the activation function, pass activation_fn='sigmoid'; or 'none', and apply the "
    "function yourself. Otherwise use the text-classification pipeline."
)


class Passage(TypedDict):
    """A query and a passage."""

    query: str
    passage: str


class RankedPassage(TypedDict):
    """The index of a passage in the list, its score and, if requested, its text and the layers."""

    corpus_id: int
    score: float
    text: NotRequired[str]
    layers: NotRequired[int]


# A score; for a model with several labels, a list of scores.
Score = float | Any


class ScoreAndLayers(TypedDict):
    """The score of a pair, and how many layers of the model were applied to it."""

    score: Score
    layers: int


class Given(Truncation, total=False):
    """The parameters of a call, without return_layers.

    `max_length` is that of query and passage together.

    Attributes:
        activation_fn: Turns logits into scores: "sigmoid" or "none"; by default the function that
            sentence-transformers saved with the model, else "sigmoid" for a model with one label
            and "none" for others.
        prompt: A text to put before every query.
        prompt_name: The name of one of the checkpoint's prompts, if `prompt` is not given; by
            default its default prompt, if it has one.
    """

    activation_fn: str | None
    prompt: str | None
    prompt_name: str | None


class Parameters(Given, LayersUsed, total=False):
    """The parameters of a call; with return_layers, an answer is a `ScoreAndLayers`."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The checked parameters of a call."""

    activation: Activation
    prompt: str
    cut: Cut


class TextRanking(Task):
    """See `sentence_transformers.CrossEncoder`, whose scores these are.

    Texts over the limit are errors without truncation=True; CrossEncoder cuts them.
    """

    fields = Fields(("query", "passage"))
    accepts = Parameters

    def __init__(self, bundle: Bundle) -> None:
        self.num_labels = len(bundle.manifest.labels)
        self._positions = bundle.read_config().max_position_embeddings
        self.settings = read_ranking_settings(bundle_files(bundle, _TIP))

    def prepare(self, encoder: TextEncoder) -> TextEncoder:
        """Return the tokenizer with the limit and the lowercasing of the checkpoint."""
        return self.settings.tokenizer.apply(encoder, self._positions)

    def parameters(self, given: Parameters) -> Checked:
        """Check the parameters of a call.

        Raises:
            UsageError: A parameter is invalid.
            BundleError: activation_fn is left out, and the saved one is unsupported.
        """
        name = given.get("activation_fn")
        if name is not None and name not in _ACTIVATIONS:
            raise invalid("activation_fn", name, f"It is one of: {', '.join(_ACTIVATIONS)}.")
        return Checked(
            self.settings.activation(self.num_labels) if name is None else _ACTIVATIONS[name],
            self.settings.prompts.choose(given.get("prompt"), given.get("prompt_name")),
            read_cut(given),
        )

    def encode(self, encoder: TextEncoder, item: Any, parameters: Checked) -> Windows:
        """Tokenize a (query, passage) pair, or a {"query": ..., "passage": ...} one."""
        query, passage = _query_and_passage(item)
        return Windows((encoder.encode(parameters.prompt + query, passage, parameters.cut),))

    def answer(self, outputs: WindowOutputs, parameters: Checked) -> Any:
        """Map logits, (1, num_labels), to a score, or to a list if there are several labels."""
        scores = parameters.activation(outputs.only["logits"][0]).tolist()
        return scores[0] if self.num_labels == 1 else scores

    def with_layers(self, answer: Any, layers: Sequence[int], parameters: Checked) -> Any:
        return {"score": answer, LAYERS: layers[0]}


def _query_and_passage(item: Any) -> tuple[str, str]:
    match item:
        case {"query": str(query), "passage": str(passage)} | (str(query), str(passage)):
            return query, passage
    raise TypeError(
        'a pair must be ("query", "passage") or {"query": ..., "passage": ...}, two strings, not '
        f"{reprlib.repr(item)}"
    )


Pair = tuple[str, str] | Passage
Pairs = list[tuple[str, str]] | list[Passage] | list[Pair]


class TextRankingPipeline(Pipeline):
    """Scores how relevant passages are to a query, and ranks them.

    A call takes one ("query", "passage") pair, a list of pairs, or a generator of pairs. It returns
    one score, a list, or an iterator. A pair may also be {"query": ..., "passage": ...}.
    See `Parameters` for the parameters of a call.
    """

    task = "text-ranking"
    kind = TextRanking

    def rank(
        self,
        query: str,
        passages: Iterable[str],
        *,
        top_k: int | None = None,
        return_documents: bool = False,
        return_layers: bool = False,
        **parameters: Unpack[Given],
    ) -> list[RankedPassage]:
        """Rank passages by relevance to a query.

        Args:
            query: The query.
            passages: The passages.
            top_k: How many to return; by default all.
            return_documents: Whether to return the passages too, as "text".
            return_layers: Whether to return how many layers each pair took, as "layers".
            **parameters: As in a call, such as truncation.

        Returns:
            {"corpus_id": index of the passage, "score": float}, best first, as
            `sentence_transformers.CrossEncoder.rank` returns them.

        Raises:
            UsageError: The model has several labels, or a parameter is invalid.
            InputError: A pair is over the model's limit or not valid Unicode.
            TypeError: The query or a passage is not a string, or the passages are one string.
        """
        folder, count = self.session.bundle.path, len(self.session.bundle.manifest.labels)
        if count != 1:
            raise UsageError(
                f"{folder} gives {count} scores for a pair, and ranking needs one.",
                tip="Call the pipeline on pairs, and rank by the score that matters.",
            )
        limit = read_count({"top_k": top_k}, "top_k")
        # Without its score a passage has no rank.
        parameters["on_error"] = "raise"
        if isinstance(passages, str):
            raise TypeError("passages must be a list of strings, not a string")
        texts = list(passages)
        pairs = [(query, text) for text in texts]
        answers = self(pairs, return_layers=True, **parameters)
        best_first = sorted(range(len(texts)), key=lambda at: answers[at]["score"], reverse=True)
        ranked: list[RankedPassage] = []
        for index in best_first[:limit]:
            entry: RankedPassage = {"corpus_id": index, "score": answers[index]["score"]}
            if return_documents:
                entry["text"] = texts[index]
            if return_layers:
                entry["layers"] = answers[index]["layers"]
            ranked.append(entry)
        return ranked

    if TYPE_CHECKING:

        @overload
        def __call__(
            self, inputs: Pair, *, return_layers: Literal[True], **given: Unpack[Given]
        ) -> ScoreAndLayers: ...
        @overload
        def __call__(
            self, inputs: Pairs, *, return_layers: Literal[True], **given: Unpack[Given]
        ) -> list[ScoreAndLayers]: ...
        @overload
        def __call__(self, inputs: Pair, **given: Unpack[Parameters]) -> Score: ...
        @overload
        def __call__(self, inputs: Pairs, **given: Unpack[Parameters]) -> list[Score]: ...
        @overload
        def __call__(self, inputs: Items[Pair], **given: Unpack[Parameters]) -> Iterator[Score]: ...
        def __call__(self, inputs: Any, **given: Any) -> Any: ...
        @overload
        async def acall(self, inputs: Pair, **given: Unpack[Parameters]) -> Score: ...
        @overload
        async def acall(
            self, inputs: Pairs | Items[Pair], **given: Unpack[Parameters]
        ) -> list[Score]: ...
        async def acall(self, inputs: Any, **given: Any) -> Any: ...
        def answer(self, item: Pair, **given: Unpack[Parameters]) -> Score: ...
        def stream(self, items: Iterable[Pair], **given: Unpack[Parameters]) -> Iterator[Score]: ...
