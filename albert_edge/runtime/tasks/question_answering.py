"""Question answering: find the answer to a question in a context."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypedDict, TypeVar, Unpack, overload

from albert_edge.errors import InputError, UsageError
from albert_edge.records.fields import Fields
from albert_edge.runtime.parameters import CallOptions, Cut, bind, read_count, read_padding
from albert_edge.runtime.pipeline import Pipeline
from albert_edge.runtime.task import Items, Many, Task, WindowOutputs, Windows
from albert_edge.runtime.tasks.spans import Window, read_window
from albert_edge.runtime.text import TextEncoder, token_arrays


class Item(TypedDict):
    """A question, and the context its answer is in."""

    question: str
    context: str


class Answer(TypedDict):
    """An answer, its start and end in the context in characters, and its score."""

    score: float
    start: int
    end: int
    answer: str


class Given(CallOptions, total=False):
    """The parameters of a call, without its inputs and top_k.

    Attributes:
        doc_stride: How many tokens neighbouring windows of a long context share; by default 128,
            or half a window if that is less.
        max_seq_len: The most tokens of a window, including question and special tokens; by default
            384, and never more than the model takes.
        max_answer_len: The most tokens of an answer; by default 15.
        max_question_len: Accepted, without effect, as with every fast tokenizer of transformers:
            questions are never cut. A question that leaves a window no room is an error.
        handle_impossible_answer: Whether "" is one of the possible answers, with the score the
            model gives to a question without an answer; by default not.
        align_to_words: Whether to extend answers to whole words; by default yes.
        padding: Accepted, without effect: each window runs without padding.
    """

    doc_stride: int | None
    max_seq_len: int | None
    max_answer_len: int | None
    max_question_len: int | None
    handle_impossible_answer: bool | None
    align_to_words: bool | None
    padding: bool | str | None


class Parameters(Given, total=False):
    """The parameters of a call.

    Attributes:
        question: The question of a call without inputs, or a list of questions.
        context: The context; for several questions a list, or one context for all of them.
        top_k: How many answers to return, best first; by default 1.
    """

    question: str | list[str] | None
    context: str | list[str] | None
    top_k: int | None


@dataclass(frozen=True, slots=True)
class Checked:
    """The checked parameters of a call; a call without inputs has `question` and `context`."""

    question: Any
    context: Any
    top_k: int
    max_seq_len: int
    doc_stride: int | None
    max_answer_len: int
    handle_impossible_answer: bool
    align_to_words: bool


@dataclass(frozen=True, slots=True)
class Question:
    """A question and its context from the keyword arguments of a call."""

    question: Any
    context: Any


@dataclass(frozen=True, slots=True)
class Context:
    """The context of a question, and its windows."""

    text: str
    windows: tuple[Window, ...]


class QuestionAnswering(Task):
    """See `transformers.QuestionAnsweringPipeline` (transformers 4), whose answers these are."""

    fields = Fields(("question", "context"))
    accepts = Parameters
    answer_columns = ("score", "start", "end", "answer")
    unset_by_none = frozenset(Parameters.__annotations__)

    def parameters(self, given: Parameters) -> Checked:
        read_count(given, "max_question_len")
        read_padding(given)
        align = given.get("align_to_words")
        return Checked(
            question=given.get("question"),
            context=given.get("context"),
            top_k=read_count(given, "top_k") or 1,
            max_seq_len=read_count(given, "max_seq_len") or 384,
            doc_stride=read_count(given, "doc_stride", least=0),
            max_answer_len=read_count(given, "max_answer_len") or 15,
            handle_impossible_answer=bool(given.get("handle_impossible_answer")),
            align_to_words=align is None or bool(align),
        )

    def bind(self, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> dict[str, Any]:
        """Name the positional arguments: a question and its context, or one item or several."""
        if len(arguments) == 2 and all(isinstance(argument, str) for argument in arguments):
            return bind(("question", "context"), arguments, named)
        return super().bind(arguments if len(arguments) < 2 else (list(arguments),), named)

    def arrange(self, inputs: Any, parameters: Checked) -> Any:
        """Return one question, a list or a generator; a list of one is one, as in transformers.

        Raises:
            InputError: There are several contexts, but not one for each question.
        """
        if inputs is None:
            inputs = _questions(parameters.question, parameters.context)
        if isinstance(inputs, list | tuple):
            inputs = inputs[0] if len(inputs) == 1 else list(inputs)
        if isinstance(inputs, dict) and isinstance(inputs.get("question"), list):
            questions = _questions(inputs["question"], inputs.get("context"))
            return [{"question": item.question, "context": item.context} for item in questions]
        return inputs

    def encode(self, encoder: TextEncoder, item: Any, parameters: Checked) -> Windows:
        """Tokenize a {"question": ..., "context": ...}.

        Raises:
            TypeError: It is neither a dict with these two strings, whose other keys are ignored,
                nor a `transformers.SquadExample`.
            InputError: The question or the context is empty or not valid Unicode, or the question
                leaves the windows of a long context no room.
            UsageError: doc_stride is not less than the room in a window, or the call gives
                question and context twice.
        """
        question, context = _texts(item, parameters)
        limit = min(parameters.max_seq_len, encoder.max_length)
        stride = parameters.doc_stride
        stride = min(limit // 2, 128) if stride is None else stride
        # As in transformers, a tokenizer that pads on the left has the question on the right.
        first = encoder.setting("padding_side", "right") == "left"
        strategy = "only_first" if first else "only_second"
        texts = (context, question) if first else (question, context)
        encodings = encoder.pair_windows(*texts, stride, cut=Cut(strategy, limit))
        cls = encoder.tokenizer.token_to_id(encoder.setting("cls_token", "[CLS]"))
        windows = tuple(
            read_window(encoding, context_first=first, cls=cls) for encoding in encodings
        )
        return Windows(tuple(map(token_arrays, encodings)), Context(context, windows))

    def answer(self, outputs: WindowOutputs, parameters: Checked) -> Answer | list[Answer]:
        """Map the start and end logits of each window, (1, sequence), to the best answers.

        Returns:
            The answer, or a list if there are several. A score is the sum of the probabilities of
            all spans with these words, each in its window; over several windows it may exceed 1.
        """
        context: Context = outputs.context
        answers: dict[str, Answer] = {}
        impossible = math.inf
        align, top_k = parameters.align_to_words, parameters.top_k
        for window, logits in zip(context.windows, outputs.outputs, strict=True):
            start = window.probabilities(logits["start_logits"][0])
            end = window.probabilities(logits["end_logits"][0])
            impossible = min(impossible, (start[0] * end[0]).item())
            start[0] = 0.0  # [CLS] is not a span
            count = top_k * 2 + 10 if align else top_k
            spans = window.best_spans(start, end, count=count, longest=parameters.max_answer_len)
            for first, last, score in spans:
                begin, stop = window.characters(first, last, align_to_words=align)
                text = context.text[begin:stop]
                new: Answer = {"score": 0.0, "start": begin, "end": stop, "answer": text}
                answers.setdefault(text.lower(), new)["score"] += score
        ranked = list(answers.values())
        if parameters.handle_impossible_answer:
            ranked.append({"score": impossible, "start": 0, "end": 0, "answer": ""})
        ranked.sort(key=lambda answer: answer["score"], reverse=True)
        return ranked[0] if len(ranked[:top_k]) == 1 else ranked[:top_k]


def _questions(question: Any, context: Any) -> list[Question]:
    """Pair questions with one context for all or one for each."""
    if isinstance(context, list) and not isinstance(question, list):
        raise InputError(
            f"There are {len(context)} contexts and one question.",
            tip="Give the question once for each context, in a list.",
        )
    questions = question if isinstance(question, list) else [question]
    contexts = context if isinstance(context, list) else [context] * len(questions)
    if len(questions) != len(contexts):
        raise InputError(
            f"There are {len(questions)} questions and {len(contexts)} contexts.",
            tip="Give one context for each question, or one for all of them.",
        )
    return list(map(Question, questions, contexts))


def _texts(item: Any, parameters: Checked) -> tuple[str, str]:
    """Return the question and the context of an item."""
    if isinstance(item, Question):
        texts = {"question": item.question, "context": item.context}
    elif parameters.question is not None or parameters.context is not None:
        raise UsageError(
            "The call gives its question and context twice.",
            tip="Give question=... and context=..., or one {'question': ..., 'context': ...}.",
        )
    elif isinstance(item, dict):
        texts = {name: item.get(name) for name in ("question", "context")}
    elif hasattr(item, "question_text") and hasattr(item, "context_text"):
        texts = {"question": item.question_text, "context": item.context_text}
    else:
        raise TypeError(
            f"a question must be a dict with question and context, not {type(item).__name__}"
        )
    for name, text in texts.items():
        if not isinstance(text, str):
            raise TypeError(f"{name} must be a string, not {type(text).__name__}")
        if not text:
            raise InputError(f"The {name} is empty.", tip=f"Give a {name}.")
    return texts["question"], texts["context"]


Result = TypeVar("Result")
K = int | None
Texts = str | list[str]
# A list of answers; if there is only one, the answer itself.
Several = list[Answer] | Any


class QuestionAnsweringPipeline(Pipeline, Generic[Result]):
    """Finds the answer to a question in a context.

    A call takes {"question": ..., "context": ...}, a list or a generator of them, or question and
    context as keyword arguments. See `Parameters` for the other parameters.
    """

    task = "question-answering"
    kind = QuestionAnswering

    if TYPE_CHECKING:

        @overload
        def __call__(self, inputs: Item, **given: Unpack[Given]) -> Result: ...
        @overload
        def __call__(self, inputs: list[Item], **given: Unpack[Given]) -> list[Result]: ...
        @overload
        def __call__(self, inputs: Items[Item], **given: Unpack[Given]) -> Iterator[Result]: ...
        @overload
        def __call__(self, *, question: str, context: str, **given: Unpack[Given]) -> Result: ...
        @overload
        def __call__(
            self, *, question: list[str], context: Texts, **given: Unpack[Given]
        ) -> list[Result]: ...
        @overload
        def __call__(self, inputs: Item, *, top_k: K, **given: Unpack[Given]) -> Several: ...
        @overload
        def __call__(
            self, inputs: list[Item], *, top_k: K, **given: Unpack[Given]
        ) -> list[Several]: ...
        @overload
        def __call__(
            self, inputs: Items[Item], *, top_k: K, **given: Unpack[Given]
        ) -> Iterator[Several]: ...
        @overload
        def __call__(
            self, *, question: str, context: str, top_k: K, **given: Unpack[Given]
        ) -> Several: ...
        @overload
        def __call__(
            self, *, question: list[str], context: Texts, top_k: K, **given: Unpack[Given]
        ) -> list[Several]: ...
        def __call__(self, *inputs: Any, **given: Any) -> Any: ...

        @overload
        async def acall(self, inputs: Item, **given: Unpack[Given]) -> Result: ...
        @overload
        async def acall(self, inputs: Many[Item], **given: Unpack[Given]) -> list[Result]: ...
        @overload
        async def acall(self, *, question: str, context: str, **given: Unpack[Given]) -> Result: ...
        @overload
        async def acall(self, inputs: Item, *, top_k: K, **given: Unpack[Given]) -> Several: ...
        @overload
        async def acall(
            self, inputs: Many[Item], *, top_k: K, **given: Unpack[Given]
        ) -> list[Several]: ...
        @overload
        async def acall(
            self, *, question: str, context: str, top_k: K, **given: Unpack[Given]
        ) -> Several: ...
        async def acall(self, *inputs: Any, **given: Any) -> Any: ...

        @overload
        def answer(self, item: Item, **given: Unpack[Given]) -> Result: ...
        @overload
        def answer(self, item: Item, *, top_k: K, **given: Unpack[Given]) -> Several: ...
        def answer(self, item: Any, **given: Any) -> Any: ...

        @overload
        def stream(self, items: Iterable[Item], **given: Unpack[Given]) -> Iterator[Result]: ...
        @overload
        def stream(
            self, items: Iterable[Item], *, top_k: K, **given: Unpack[Given]
        ) -> Iterator[Several]: ...
        def stream(self, items: Any, **given: Any) -> Any: ...
