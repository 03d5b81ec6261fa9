"""Sentence embeddings: one vector for a text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

import numpy as np
import numpy.typing as npt

from albert_edge.bundle.bundle import Bundle
from albert_edge.bundle.sentence_layout import bundle_files
from albert_edge.errors import InputError, UsageError
from albert_edge.runtime.item_error import ItemError
from albert_edge.runtime.parameters import (
    Cut,
    Truncation,
    bind,
    invalid,
    read_count,
    read_cut,
    require_known,
)
from albert_edge.runtime.pipeline import Pipeline
from albert_edge.runtime.task import Items, Many, Task, WindowOutputs, Windows
from albert_edge.runtime.tasks.encode import (
    POSITIONAL,
    EncodeForm,
    Texts,
    call_parameters,
    read_results,
    read_texts,
    require_device,
)
from albert_edge.runtime.tasks.pooling import (
    EMBEDDING,
    POOLER,
    POOLINGS,
    TOKENS,
    Features,
    Pooling,
    Vector,
)
from albert_edge.runtime.tasks.sentence_modules import (
    Step,
    embedding_size,
    read_sentence_modules,
)
from albert_edge.runtime.text import TextEncoder
from albert_edge.runtime.vectors import unit

_MODES = (*POOLINGS, POOLER)
OutputValue = Literal["sentence_embedding", "token_embeddings"] | None
_OUTPUT_VALUES = (EMBEDDING, TOKENS, None)
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")
_TIP = (
    "Run the model through albert_edge.Session and pool its outputs as configured, or export "
    "the checkpoint without modules.json and pass pooling and normalize."
)


class Given(Truncation, total=False):
    """The parameters of a call, without output_value.

    `max_length` is at most the checkpoint's max_seq_length.

    Attributes:
        normalize: Whether embeddings are scaled to length 1; by default as the checkpoint says,
            else not.
        pooling: How the tokens' hidden states are pooled: "mean", "cls", "max" or another of
            `POOLINGS`; or "pooler". By default as the checkpoint says, else "mean". Modules of the
            checkpoint after pooling still apply.
        prompt: A text to put before every text.
        prompt_name: The name of one of the checkpoint's prompts, if `prompt` is not given; by
            default its default prompt, if it has one.
        truncate_dim: How many leading elements of an embedding are kept; by default as the
            checkpoint says, else all.
    """

    normalize: bool | None
    pooling: str | None
    prompt: str | None
    prompt_name: str | None
    truncate_dim: int | None


class Parameters(Given, total=False):
    """The parameters of a call.

    Attributes:
        output_value: "sentence_embedding" (the default); "token_embeddings" for a vector of each
            token, (tokens, size); or None for a dict of both and the model's inputs.
    """

    output_value: OutputValue


@dataclass(frozen=True, slots=True)
class Checked:
    """The checked parameters of a call; `normalize` says what follows the modules."""

    steps: tuple[Step, ...]
    normalize: bool
    truncate_dim: int | None
    prompt: str
    output_value: str | None
    cut: Cut


class SentenceEmbeddings(Task):
    """See `sentence_transformers.SentenceTransformer.encode`, whose answers these are."""

    accepts = Parameters

    def __init__(self, bundle: Bundle) -> None:
        config = bundle.read_config()
        self._positions = config.max_position_embeddings
        self._hidden_size = config.hidden_size
        self._has_pooler = config.add_pooling_layer
        self.modules = read_sentence_modules(bundle_files(bundle, _TIP), config.hidden_size)

    def prepare(self, encoder: TextEncoder) -> TextEncoder:
        """Return the tokenizer with the limit and the lowercasing of the checkpoint."""
        return self.modules.tokenizer.apply(encoder, self._positions)

    def parameters(self, given: Parameters) -> Checked:
        pooling, normalize = given.get("pooling"), given.get("normalize")
        if pooling is not None and pooling not in _MODES:
            raise invalid("pooling", pooling, f"It is one of: {', '.join(_MODES)}.")
        if pooling == POOLER and not self._has_pooler:
            raise _no_pooler("the checkpoint has no pooler")
        if normalize not in (None, True, False):
            raise invalid("normalize", normalize, "It is a bool, or left out.")
        output_value = given.get("output_value", EMBEDDING)
        if output_value not in _OUTPUT_VALUES:
            raise invalid("output_value", output_value, f"It is one of: {_OUTPUT_VALUES}.")
        steps = self.modules.chosen(pooling, normalize=normalize in (None, True))
        if pooling is not None:
            try:
                embedding_size(steps, self._hidden_size)
            except ValueError as misfit:
                raise UsageError(
                    f"pooling is {pooling!r}, but {misfit}.", tip="Leave pooling out."
                ) from None
        return Checked(
            steps,
            bool(normalize),
            read_count(given, "truncate_dim") or self.modules.truncate_dim,
            self.modules.prompts.choose(given.get("prompt"), given.get("prompt_name")),
            output_value,
            read_cut(given),
        )

    def size(self, parameters: Checked) -> int:
        """Return the dimension of an embedding."""
        size = embedding_size(parameters.steps, self._hidden_size)
        return min(size, parameters.truncate_dim or size)

    def encode(self, encoder: TextEncoder, item: Any, parameters: Checked) -> Windows:
        """Tokenize a text behind its prompt, and count the tokens that may not be pooled."""
        prompt = parameters.prompt
        # The encoder raises TypeError for an item that is not a string.
        text = prompt + item if isinstance(item, str) else item
        inputs = encoder.encode(text, cut=parameters.cut)
        poolings = (step for step in parameters.steps if isinstance(step, Pooling))
        if not prompt or all(pooling.include_prompt for pooling in poolings):
            return Windows((inputs,), (inputs, 0))
        skipped = _prompt_length(encoder, prompt, parameters.cut)
        if skipped >= len(inputs["input_ids"][0]):
            raise InputError(
                "No token is left of the text after its prompt, whose tokens are not pooled.",
                tip="Use a prompt that ends in a space or a colon.",
            )
        return Windows((inputs,), (inputs, skipped))

    def answer(self, outputs: WindowOutputs, parameters: Checked) -> Any:
        """Map hidden states, (1, sequence, hidden_size), to what output_value names."""
        inputs, skipped = outputs.context
        run = outputs.only
        features: Features = {TOKENS: run["last_hidden_state"][0]}
        if "pooler_output" in run:  # not without a pooler, nor from optimum
            features[POOLER] = run["pooler_output"][0]
        elif any(isinstance(step, Pooling) and POOLER in step.modes for step in parameters.steps):
            raise _no_pooler("the model has no pooler_output")
        for step in parameters.steps:
            step(features, skipped)
        if parameters.output_value == TOKENS:
            return features[TOKENS]
        vector = features[EMBEDDING][: parameters.truncate_dim]
        if parameters.output_value is None:
            features.pop(POOLER, None)
            return {name: ids[0] for name, ids in inputs.items()} | features | {EMBEDDING: vector}
        # As in sentence-transformers, what a call asks for applies after truncate_dim.
        return unit(vector) if parameters.normalize else vector


def _no_pooler(reason: str) -> UsageError:
    return UsageError(
        f"pooling is {POOLER!r}, but {reason}.", tip=f"Choose one of: {', '.join(POOLINGS)}."
    )


def _prompt_length(encoder: TextEncoder, prompt: str, limits: Cut) -> int:
    """Count the tokens of a prompt at the start of a text, including [CLS]."""
    encoding = encoder.encoding(prompt, cut=replace(limits, strategy="longest_first"))
    final_special: int = encoding.special_tokens_mask[-1]
    return len(encoding.ids) - final_special


Array = npt.NDArray[np.float32]


class EncodeArguments(Parameters, EncodeForm, total=False):
    """The arguments of `encode`, under the names of sentence-transformers."""


class SentenceEmbeddingsPipeline(Pipeline):
    """Turns texts into vectors. A call returns an array for each text, `encode` one for all.

    See `Parameters` for the parameters of a call.
    """

    task = "sentence-embeddings"
    kind = SentenceEmbeddings
    _task: SentenceEmbeddings

    @overload
    def encode(self, texts: Texts, /, **given: Unpack[Given]) -> Array: ...
    @overload
    def encode(
        self,
        texts: Texts | None = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        /,
        **given: Unpack[EncodeArguments],
    ) -> Any: ...
    def encode(self, *positional: Any, **given: Any) -> Any:
        """Embed texts, as `sentence_transformers.SentenceTransformer.encode` does.

        Args:
            *positional: The texts, and further arguments in sentence-transformers' order.
            **given: See `EncodeArguments`.

        Returns:
            The embeddings, (texts, size), or (size,) for one text, in float32 unless another
            precision is asked for. A list where output_value or convert_to_numpy ask for it.

        Raises:
            InputError: A text is over the limit or not valid Unicode, or one text is to be int8.
            MissingExtraError: Tensors are asked for, and torch is not installed.
            TypeError: A text is not a string.
            UsageError: An argument is invalid for this checkpoint, or names another device.
        """
        given = bind(POSITIONAL, positional, given)
        require_known("encode", given, tuple(EncodeArguments.__annotations__))
        require_device(given, self.device)
        texts, parameters = read_texts(given), call_parameters(given)
        checked, options = self._read(parameters)
        results = read_results(given, checked.output_value)
        is_one = not isinstance(texts, Iterable) or isinstance(texts, str | bytes | Mapping)
        # A call of one item raises TypeError for what is not a text.
        answers = [self(texts, **parameters)] if is_one else self(list(texts), **parameters)
        valid = [answer for answer in answers if not isinstance(answer, ItemError)]
        if checked.output_value != EMBEDDING:
            collected = list(map(results.features, valid))
        else:
            none = np.empty((0, self._task.size(checked)), np.float32)
            collected = results.embeddings(np.stack(valid) if valid else none)
        if options.get("on_error") == "record":
            embeddings = iter(collected)
            collected = [
                answer if isinstance(answer, ItemError) else next(embeddings) for answer in answers
            ]
        return collected[0] if is_one else collected

    def encode_query(self, *positional: Any, **given: Any) -> Any:
        """Embed queries: `encode` with the prompt "query", unless the call chooses one."""
        return self._encode_behind(("query",), positional, given)

    def encode_document(self, *positional: Any, **given: Any) -> Any:
        """Embed documents: `encode` with the prompt "document", unless the call chooses one."""
        return self._encode_behind(_DOCUMENT_PROMPTS, positional, given)

    def _encode_behind(
        self, names: tuple[str, ...], positional: tuple[Any, ...], given: dict[str, Any]
    ) -> Any:
        """Encode with the first prompt of these names, unless the call chooses one."""
        given = bind(POSITIONAL, positional, given)
        known = [name for name in names if name in self._task.modules.prompts.texts]
        if known and given.get("prompt") is None and given.get("prompt_name") is None:
            given["prompt_name"] = known[0]
        return self.encode(**given)

    if TYPE_CHECKING:

        @overload
        def __call__(self, inputs: str, **given: Unpack[Given]) -> Vector: ...
        @overload
        def __call__(self, inputs: list[str], **given: Unpack[Given]) -> list[Vector]: ...
        @overload
        def __call__(self, inputs: Items[str], **given: Unpack[Given]) -> Iterator[Vector]: ...
        @overload
        def __call__(
            self, inputs: Any, *, output_value: OutputValue, **given: Unpack[Given]
        ) -> Any: ...
        def __call__(self, inputs: Any, **given: Any) -> Any: ...
        @overload
        async def acall(self, inputs: str, **given: Unpack[Given]) -> Vector: ...
        @overload
        async def acall(self, inputs: Many[str], **given: Unpack[Given]) -> list[Vector]: ...
        async def acall(self, inputs: Any, **given: Any) -> Any: ...
        def answer(self, item: str, **given: Unpack[Given]) -> Vector: ...
        def stream(self, items: Iterable[str], **given: Unpack[Given]) -> Iterator[Vector]: ...
