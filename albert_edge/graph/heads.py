"""The heads of ALBERT, one Module each, as transformers names and computes them.

A head owns the body (`albert`) and maps the model's inputs to its outputs, as its row in
`architecture.heads` declares them.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import onnx_ir as ir
from onnxscript import OpBuilder, nn

from albert_edge.architecture.config import AlbertConfig
from albert_edge.architecture.heads import HEADS
from albert_edge.graph.activations import Activation
from albert_edge.graph.embedding import Table, embedding
from albert_edge.graph.exits import Exits
from albert_edge.graph.floats import LayerNorm
from albert_edge.graph.linear import linear
from albert_edge.graph.model import AlbertModel, Reads
from albert_edge.graph.operators.base import Portable
from albert_edge.graph.plan import Optimization

Outputs = dict[str, ir.Value]


class Head(nn.Module):
    """The body of the model, with the outputs of it that the head reads."""

    reads: ClassVar[Reads]

    def __init__(
        self, config: AlbertConfig, operators: Portable, reads: Reads | None = None
    ) -> None:
        super().__init__()
        self.operators = operators
        self.albert = AlbertModel(config, operators, reads or self.reads)


class FeatureExtraction(Head):
    """transformers.AlbertModel."""

    reads = "both"

    def __init__(self, config: AlbertConfig, operators: Portable) -> None:
        super().__init__(config, operators, None if config.add_pooling_layer else "tokens")

    def forward(self, op: OpBuilder, *inputs: ir.Value) -> Outputs:
        """Return the hidden state of every token and, if there is a pooler, its output."""
        hidden, pooled = self.albert(op, *inputs)
        outputs = {"last_hidden_state": hidden}
        return outputs if pooled is None else {**outputs, "pooler_output": pooled}


class Predictions(nn.Module):
    """The masked-LM layers. The word embeddings are their decoder, unless they were untied."""

    def __init__(self, config: AlbertConfig, operators: Portable) -> None:
        super().__init__()
        self.operators = operators
        size = self.embedding_size = config.embedding_size
        self.dense = linear(operators, "predictions.dense", config.hidden_size, size)
        self.activation = Activation(config.hidden_act)
        self.LayerNorm = LayerNorm(size, config.layer_norm_eps)
        self.bias = nn.Parameter([config.vocab_size])
        self.decoder: Table | None = None
        if not config.tie_word_embeddings:
            self.decoder = embedding(operators, "predictions.decoder", config.vocab_size, size)

    def forward(self, op: OpBuilder, hidden: ir.Value, word_embeddings: Table) -> ir.Value:
        """Map (..., hidden_size) to (rows, vocab_size), the leading dimensions flattened."""
        activated = self.operators.activate(op, self.dense, hidden, self.activation)
        rows = op.Reshape(self.LayerNorm(op, activated), [-1, self.embedding_size])
        return (self.decoder or word_embeddings).score(op, rows, self.bias)


class LanguageModel(Head):
    """A head that scores the vocabulary."""

    def __init__(self, config: AlbertConfig, operators: Portable) -> None:
        super().__init__(config, operators)
        self.predictions = Predictions(config, operators)
        self.vocab_size = config.vocab_size

    def score(self, op: OpBuilder, hidden: ir.Value) -> ir.Value:
        """Map (..., hidden_size) to (rows, vocab_size)."""
        return self.predictions(op, hidden, self.albert.embeddings.word_embeddings)

    def score_tokens(self, op: OpBuilder, hidden: ir.Value) -> ir.Value:
        """Map (batch, sequence, hidden_size) to (batch, sequence, vocab_size)."""
        leading = op.Shape(hidden, start=0, end=2)
        shape = op.Concat(leading, [self.vocab_size], axis=0)
        return op.Reshape(self.score(op, hidden), shape)


class MaskedLM(LanguageModel):
    """transformers.AlbertForMaskedLM."""

    reads = "tokens"

    def forward(self, op: OpBuilder, *inputs: ir.Value) -> Outputs:
        """Return the logits of every token.

        Under `Optimization.MASKED_LOGITS`: the logits of [MASK] tokens only, and their positions
        as (batch, sequence) index pairs in reading order.
        """
        hidden, _ = self.albert(op, *inputs)
        if not self.operators.applies(Optimization.MASKED_LOGITS):
            return {"logits": self.score_tokens(op, hidden)}
        is_mask = op.Equal(inputs[0], self.operators.plan.mask_token_id)
        positions = op.Transpose(op.NonZero(is_mask), perm=[1, 0])
        logits = self.score(op, op.GatherND(hidden, positions))
        return {"mask_positions": positions, "mask_logits": logits}


class SentenceOrder(nn.Module):
    """The sentence-order layer of the pretraining head."""

    def __init__(self, config: AlbertConfig, operators: Portable) -> None:
        super().__init__()
        sizes = config.hidden_size, config.num_labels
        self.classifier = linear(operators, "sop_classifier.classifier", *sizes)

    def forward(self, op: OpBuilder, pooled: ir.Value) -> ir.Value:
        """Map (batch, hidden_size) to (batch, num_labels)."""
        return self.classifier(op, pooled)


class PreTraining(LanguageModel):
    """transformers.AlbertForPreTraining."""

    reads = "both"

    def __init__(self, config: AlbertConfig, operators: Portable) -> None:
        super().__init__(config, operators)
        self.sop_classifier = SentenceOrder(config, operators)

    def forward(self, op: OpBuilder, *inputs: ir.Value) -> Outputs:
        """Return the vocabulary logits of every token and the sentence-order logits."""
        hidden, pooled = self.albert(op, *inputs)
        order = self.sop_classifier(op, pooled)
        return {"prediction_logits": self.score_tokens(op, hidden), "sop_logits": order}


class Classification(Head):
    """A linear layer on every token, or on the pooled first token; possibly with early exits."""

    head: ClassVar[str]
    classes: ClassVar[int | None] = None  # None for the number of labels

    def __init__(self, config: AlbertConfig, operators: Portable) -> None:
        super().__init__(config, operators)
        classes = self.classes or config.num_labels
        self.classifier = linear(operators, "classifier", config.hidden_size, classes)
        self.exits = self._exits(config, classes) if operators.plan.exits else None

    def _exits(self, config: AlbertConfig, classes: int) -> Exits:
        spec = HEADS[self.head]
        return Exits(
            *(self.operators.plan.exits, config.hidden_size, classes),
            decision=spec.decision(config),
            every_token=self.reads == "tokens",
            choices=spec.has_choices,
        )

    def forward(self, op: OpBuilder, *inputs: ir.Value) -> Outputs:
        """Return the logits of the text, or of every token, and what plans with exits add."""
        encoder = self.albert.encoder
        hidden, bias = self.albert.begin(op, *inputs)
        if self.exits:
            finish = partial(self._classify, bias=bias)
            return self.exits(op, encoder, hidden, bias, inputs[1], finish)
        logits = self._classify(op, encoder.repeat(op, hidden, bias), bias)
        traced = {"exit_states": self.albert.trace.states(op)} if self.albert.trace else {}
        return {"logits": logits, **traced}

    def _classify(self, op: OpBuilder, hidden: ir.Value, bias: ir.Value) -> ir.Value:
        """Map the hidden states that `Encoder.repeat` returns to the logits."""
        tokens, pooled = self.albert.finish(op, hidden, bias)
        return self.classifier(op, tokens if self.reads == "tokens" else pooled)


class SequenceClassification(Classification):
    """transformers.AlbertForSequenceClassification: single label, multi label or regression."""

    head = "text-classification"
    reads = "pooled"


class TokenClassification(Classification):
    """transformers.AlbertForTokenClassification."""

    head = "token-classification"
    reads = "tokens"


class MultipleChoice(Classification):
    """transformers.AlbertForMultipleChoice."""

    head = "multiple-choice"
    reads = "pooled"
    classes = 1

    def forward(self, op: OpBuilder, *inputs: ir.Value) -> Outputs:
        """Return one logit per choice."""
        flat_shape = op.Concat([-1], op.Shape(inputs[0], start=2), axis=0)
        outputs = super().forward(op, *(op.Reshape(ids, flat_shape) for ids in inputs))
        shape = op.Shape(inputs[0], start=0, end=2)
        return {**outputs, "logits": op.Reshape(outputs["logits"], shape)}


class QuestionAnswering(Head):
    """transformers.AlbertForQuestionAnswering."""

    reads = "tokens"

    def __init__(self, config: AlbertConfig, operators: Portable) -> None:
        super().__init__(config, operators)
        self.qa_outputs = linear(operators, "qa_outputs", config.hidden_size, 2)

    def forward(self, op: OpBuilder, *inputs: ir.Value) -> Outputs:
        """Return a score for the answer to start, and one to end, at every token."""
        hidden, _ = self.albert(op, *inputs)
        start, end = op.Split(self.qa_outputs(op, hidden), [1, 1], axis=-1, _outputs=2)
        return {"start_logits": op.Squeeze(start, [-1]), "end_logits": op.Squeeze(end, [-1])}


MODULES: dict[str, type[Head]] = {
    "feature-extraction": FeatureExtraction,
    "fill-mask": MaskedLM,
    "pretraining": PreTraining,
    "text-classification": SequenceClassification,
    "token-classification": TokenClassification,
    "question-answering": QuestionAnswering,
    "multiple-choice": MultipleChoice,
}
