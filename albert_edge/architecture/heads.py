"""The heads of ALBERT as a table with a row for each, which holds every fact about it.

A head is what a model was trained for; a task is what a pipeline does with it. A new head needs a
row here and a Module in `graph/heads.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from albert_edge.architecture.config import AlbertConfig

Axes = tuple[str, ...]
Decision = Literal["largest", "positive"]

TEXT: Axes = ("batch_size", "sequence_length")
CHOICES: Axes = ("batch_size", "num_choices", "sequence_length")

# The output of a model with early exits that counts the layers applied to each item, (batch_size,).
LAYERS = "layers"

# The outputs that early exits add, and the one that they are fitted on: what an exit would read of
# each text, or of each token, after each application of the layer.
EXIT_OUTPUTS: dict[str, Axes] = {
    LAYERS: ("batch_size",),
    "exit_states": ("num_hidden_layers", "rows", "hidden_size"),
}


@dataclass(frozen=True, slots=True)
class Input:
    """An array that a model takes.

    Attributes:
        name: Its name.
        axes: A name for each dimension; equal names have equal sizes.
        type: The name of its numpy type.
        default: The value that fills it if the caller omits it, or None if it is required.
    """

    name: str
    axes: Axes
    type: str = "int64"
    default: int | float | None = None


def text_inputs(axes: Axes = TEXT) -> tuple[Input, ...]:
    """Return the three inputs of an encoder of text."""
    return (
        Input("input_ids", axes),
        Input("attention_mask", axes, default=1),
        Input("token_type_ids", axes, default=0),
    )


@dataclass(frozen=True, slots=True)
class HeadSpec:
    """The facts about a head.

    Attributes:
        class_name: transformers' class for it.
        outputs: Axes of each output: symbolic names, or fields of the configuration.
        masked_outputs: The same if logits are computed at [MASK] only; empty for heads that do not
            score the vocabulary at a [MASK].
        decisive: Outputs whose largest entry is the model's decision.
        classifies_texts: Whether it scores classes of a whole text; the configuration then says
            whether the decision is one class, several or a number.
        can_exit: Whether graphs of it can have early exits.
        biases: Names of the biases added last, with the outputs they are added to, in order.
        inputs: The inputs of the model.
    """

    class_name: str
    outputs: Mapping[str, Axes]
    masked_outputs: Mapping[str, Axes] = field(default_factory=dict)
    decisive: tuple[str, ...] = ()
    classifies_texts: bool = False
    can_exit: bool = False
    biases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    inputs: tuple[Input, ...] = text_inputs()

    @property
    def has_choices(self) -> bool:
        """Whether an item is several texts from which the model chooses."""
        return "num_choices" in self.inputs[0].axes

    @property
    def reads_first_token(self) -> bool:
        """Whether no output depends on the last hidden state of any token but the first."""
        return not any("sequence_length" in axes for axes in self.outputs.values())

    def ids_shape(self, batch: int, length: int, choices: int = 2) -> tuple[int, ...]:
        """Return the shape of the first input for a batch of items.

        >>> HEADS["multiple-choice"].ids_shape(1, 8)
        (1, 2, 8)
        """
        sizes = {"batch_size": batch, "num_choices": choices, "sequence_length": length}
        return tuple(sizes[axis] for axis in self.inputs[0].axes)

    def decision(self, config: AlbertConfig) -> Decision | None:
        """Return how outputs turn into decisions.

        Returns:
            "largest" (the largest entry), "positive" (every entry above 0), or None for outputs
            without a decision: embeddings, or a regression.
        """
        if self.classifies_texts and config.problem_type == "multi_label_classification":
            return "positive"
        is_regression = config.num_labels == 1 or config.problem_type == "regression"
        is_regression = self.classifies_texts and is_regression
        return "largest" if self.decisive and not is_regression else None


_PER_TOKEN: Axes = (*TEXT, "vocab_size")
_CLASSIFIER = {"classifier.bias": ("logits",)}

HEADS: dict[str, HeadSpec] = {
    "feature-extraction": HeadSpec(
        class_name="AlbertModel",
        outputs={
            "last_hidden_state": (*TEXT, "hidden_size"),
            "pooler_output": ("batch_size", "hidden_size"),
        },
    ),
    "fill-mask": HeadSpec(
        class_name="AlbertForMaskedLM",
        outputs={"logits": _PER_TOKEN},
        masked_outputs={
            "mask_positions": ("masks", "batch_and_sequence"),
            "mask_logits": ("masks", "vocab_size"),
        },
        decisive=("logits",),
        biases={"predictions.bias": ("logits",)},
    ),
    "pretraining": HeadSpec(
        class_name="AlbertForPreTraining",
        outputs={
            "prediction_logits": _PER_TOKEN,
            "sop_logits": ("batch_size", "num_labels"),
        },
        decisive=("prediction_logits", "sop_logits"),
        biases={
            "predictions.bias": ("prediction_logits",),
            "sop_classifier.classifier.bias": ("sop_logits",),
        },
    ),
    "text-classification": HeadSpec(
        class_name="AlbertForSequenceClassification",
        outputs={"logits": ("batch_size", "num_labels")},
        decisive=("logits",),
        classifies_texts=True,
        can_exit=True,
        biases=_CLASSIFIER,
    ),
    "token-classification": HeadSpec(
        class_name="AlbertForTokenClassification",
        outputs={"logits": (*TEXT, "num_labels")},
        decisive=("logits",),
        can_exit=True,
        biases=_CLASSIFIER,
    ),
    "question-answering": HeadSpec(
        class_name="AlbertForQuestionAnswering",
        outputs={"start_logits": TEXT, "end_logits": TEXT},
        decisive=("start_logits", "end_logits"),
        biases={"qa_outputs.bias": ("start_logits", "end_logits")},
    ),
    "multiple-choice": HeadSpec(
        class_name="AlbertForMultipleChoice",
        outputs={"logits": ("batch_size", "num_choices")},
        decisive=("logits",),
        can_exit=True,
        biases=_CLASSIFIER,
        inputs=text_inputs(CHOICES),
    ),
}

# The head that each task needs. A bundle answers the first task of its head by default.
HEAD_OF_TASK: dict[str, str] = {
    "feature-extraction": "feature-extraction",
    "fill-mask": "fill-mask",
    "multiple-choice": "multiple-choice",
    "question-answering": "question-answering",
    "sentence-embeddings": "feature-extraction",
    "sentence-order": "pretraining",
    "text-classification": "text-classification",
    "text-ranking": "text-classification",
    "token-classification": "token-classification",
    "zero-shot-classification": "text-classification",
}


def head_of_class(class_name: str) -> str | None:
    """Return the head of a class of transformers, or None if the class is unknown."""
    return next((name for name, head in HEADS.items() if head.class_name == class_name), None)


def heads_with_biases(names: Collection[str]) -> list[str]:
    """Return the heads that can be meant by a checkpoint with these weights.

    Args:
        names: Names of its weights.

    Returns:
        Of the heads whose biases are all there, those with the most of them; several if they
        have the same names, as the three heads with a classifier.
    """
    possible = [name for name, head in HEADS.items() if head.biases.keys() <= set(names)]
    most = max(len(HEADS[name].biases) for name in possible)
    return [name for name in possible if len(HEADS[name].biases) == most]


def has_row_per_class(name: str) -> bool:
    """Return whether a weight of a head has a row, or a value, for each class.

    >>> [has_row_per_class(name) for name in ("classifier.weight", "qa_outputs.weight")]
    [True, False]
    """
    bias = f"{name.rpartition('.')[0]}.bias"
    return any(
        "num_labels" in head.outputs[output]
        for head in HEADS.values()
        for output in head.biases.get(bias, ())
    )
