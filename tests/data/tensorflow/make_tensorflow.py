"""Write the checkpoints of this folder with TensorFlow, and what it answers on them.

    pip install tensorflow-cpu==2.21.0 && python make_tensorflow.py

Each is a tiny random ALBERT under the names of variables that the program it is called after gives
them. answers.npz has the outputs of TensorFlow's own operators, put together here as those programs
put them together; nothing is taken from albert-edge or transformers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

HERE = Path(__file__).parent
VOCABULARY, EMBEDDING, HIDDEN, HEADS, INTERMEDIATE, LAYERS, POSITIONS = 40, 8, 12, 3, 20, 4, 16
IDS = np.array([[2, 17, 5, 39, 8, 3], [2, 9, 30, 3, 0, 0]])
MASK = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])
TYPES = np.array([[0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0]])
CONFIG = {
    "attention_probs_dropout_prob": 0,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0,
    "embedding_size": EMBEDDING,
    "hidden_size": HIDDEN,
    "initializer_range": 0.02,
    "intermediate_size": INTERMEDIATE,
    "max_position_embeddings": POSITIONS,
    "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS,
    "type_vocab_size": 2,
    "vocab_size": VOCABULARY,
}
GOOGLE_CONFIG = CONFIG | {
    "num_hidden_groups": 2,
    "net_structure_type": 0,
    "gap_size": 0,
    "num_memory_blocks": 0,
    "inner_group_num": 2,
    "down_scale_factor": 1,
}
BRIGHTMART_CONFIG = CONFIG | {
    "directionality": "bidi",
    "pooler_fc_size": HIDDEN,
    "pooler_num_attention_heads": HEADS,
    "pooler_num_fc_layers": 3,
    "pooler_size_per_head": 4,
    "pooler_type": "first_token_transform",
    "ln_type": "postln",
}
Values = dict[str, Any]


class Maker:
    """Makes random variables by name."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(0)
        self.values: Values = {}

    def add(self, name: str, *shape: int, mean: float = 0.0) -> None:
        self.values[name] = self.random.normal(mean, 0.4, shape).astype(np.float32)

    def dense(self, name: str, inputs: int, outputs: int) -> None:
        self.add(f"{name}/kernel", inputs, outputs)
        self.add(f"{name}/bias", outputs)

    def norm(self, name: str, size: int) -> None:
        self.add(f"{name}/beta", size)
        self.add(f"{name}/gamma", size, mean=1.0)

    def output(self, name: str, classes: int) -> None:
        self.add(f"{name}output_weights", classes, HIDDEN)
        self.add(f"{name}output_bias", classes)

    def embeddings(self, width: int) -> None:
        self.add("bert/embeddings/word_embeddings", VOCABULARY, EMBEDDING)
        self.add("bert/embeddings/token_type_embeddings", 2, width)
        self.add("bert/embeddings/position_embeddings", POSITIONS, width)
        self.norm("bert/embeddings/LayerNorm", width)

    def pretraining(self, width: int) -> None:
        self.dense("cls/predictions/transform/dense", HIDDEN, width)
        self.norm("cls/predictions/transform/LayerNorm", width)
        self.add("cls/predictions/output_bias", VOCABULARY)
        self.output("cls/seq_relationship/", 2)


# Where a layer of each program keeps its parts, in the order they are computed.
GOOGLE = (
    "attention_1/self/",
    "attention_1/output/dense",
    "LayerNorm",
    "ffn_1/intermediate/dense",
    "ffn_1/intermediate/output/dense",
    "LayerNorm_1",
)
BRIGHTMART = (
    "attention/self/",
    "attention/output/dense",
    "attention/output/LayerNorm",
    "intermediate/dense",
    "output/dense",
    "output/LayerNorm",
)


def make_layer(maker: Maker, scope: str, parts: tuple[str, ...]) -> None:
    self, output, norm, ffn, ffn_output, last_norm = (scope + part for part in parts)
    for name in ("query", "key", "value"):
        maker.dense(self + name, HIDDEN, HIDDEN)
    maker.dense(output, HIDDEN, HIDDEN)
    maker.norm(norm, HIDDEN)
    maker.dense(ffn, HIDDEN, INTERMEDIATE)
    maker.dense(ffn_output, INTERMEDIATE, HIDDEN)
    maker.norm(last_norm, HIDDEN)


def make_google() -> Maker:
    maker = Maker()
    maker.embeddings(EMBEDDING)
    maker.dense("bert/encoder/embedding_hidden_mapping_in", EMBEDDING, HIDDEN)
    for group in range(2):
        for layer in range(2):
            scope = f"bert/encoder/transformer/group_{group}/inner_group_{layer}/"
            make_layer(maker, scope, GOOGLE)
    maker.dense("bert/pooler/dense", HIDDEN, HIDDEN)
    return maker


def make_brightmart() -> Maker:
    maker = Maker()
    maker.embeddings(HIDDEN)
    maker.add("bert/embeddings/word_embeddings_2", EMBEDDING, HIDDEN)
    make_layer(maker, "bert/encoder/layer_shared/", BRIGHTMART)
    maker.dense("bert/pooler/dense", HIDDEN, HIDDEN)
    return maker


# The programs' operations.


def gelu(x: Any) -> Any:
    return x * 0.5 * (1.0 + tf.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def dense(values: Values, name: str, x: Any) -> Any:
    return x @ values[f"{name}/kernel"] + values[f"{name}/bias"]


def norm(values: Values, name: str, x: Any) -> Any:
    mean, variance = tf.nn.moments(x, -1, keepdims=True)
    return tf.nn.batch_normalization(
        x, mean, variance, values[f"{name}/beta"], values[f"{name}/gamma"], 1e-12
    )


def run_layer(values: Values, scope: str, parts: tuple[str, ...], x: Any) -> Any:
    self, output, first_norm, ffn, ffn_output, last_norm = (scope + part for part in parts)
    query, key, value = (
        tf.transpose(tf.reshape(dense(values, self + name, x), (2, 6, HEADS, -1)), (0, 2, 1, 3))
        for name in ("query", "key", "value")
    )
    scores = tf.matmul(query, key, transpose_b=True) / np.sqrt(HIDDEN // HEADS)
    scores += (1.0 - MASK[:, None, None, :].astype(np.float32)) * -10000.0
    mixed = tf.transpose(tf.nn.softmax(scores) @ value, (0, 2, 1, 3))
    attended = dense(values, output, tf.reshape(mixed, (2, 6, HIDDEN)))
    attended = norm(values, first_norm, attended + x)
    inner = dense(values, ffn_output, gelu(dense(values, ffn, attended)))
    return norm(values, last_norm, inner + attended)


def run_embeddings(values: Values) -> Any:
    words = tf.gather(values["bert/embeddings/word_embeddings"], IDS)
    if "bert/embeddings/word_embeddings_2" in values:
        words = words @ values["bert/embeddings/word_embeddings_2"]
    words += tf.gather(values["bert/embeddings/token_type_embeddings"], TYPES)
    words += values["bert/embeddings/position_embeddings"][:6]
    return norm(values, "bert/embeddings/LayerNorm", words)


def run_google(values: Values) -> Any:
    x = dense(values, "bert/encoder/embedding_hidden_mapping_in", run_embeddings(values))
    for index in range(LAYERS):
        for layer in range(2):
            group = int(index / LAYERS * 2)
            scope = f"bert/encoder/transformer/group_{group}/inner_group_{layer}/"
            x = run_layer(values, scope, GOOGLE, x)
    return x


def run_brightmart(values: Values) -> Any:
    x = run_embeddings(values)
    for _ in range(LAYERS):
        x = run_layer(values, "bert/encoder/layer_shared/", BRIGHTMART, x)
    return x


def pool(values: Values, x: Any) -> Any:
    return tf.tanh(dense(values, "bert/pooler/dense", x[:, 0]))


def score(values: Values, name: str, x: Any) -> Any:
    return (
        tf.matmul(x, values[f"{name}output_weights"], transpose_b=True)
        + (values[f"{name}output_bias"])
    )


def predict(values: Values, x: Any) -> Any:
    x = gelu(dense(values, "cls/predictions/transform/dense", x))
    x = norm(values, "cls/predictions/transform/LayerNorm", x)
    if "bert/embeddings/word_embeddings_2" in values:
        x = tf.matmul(x, values["bert/embeddings/word_embeddings_2"], transpose_b=True)
    logits = tf.matmul(x, values["bert/embeddings/word_embeddings"], transpose_b=True)
    return logits + values["cls/predictions/output_bias"]


# The AlbertEncoder of tensorflow/models keeps heads apart, and has one layer.
ENCODER = (
    "transformer/self_attention/",
    "transformer/self_attention/attention_output",
    "transformer/self_attention_layer_norm",
    "transformer/intermediate",
    "transformer/output",
    "transformer/output_layer_norm",
)


def make_encoder() -> Maker:
    maker = Maker()
    maker.add("word_embeddings/embeddings", VOCABULARY, EMBEDDING)
    maker.add("position_embedding/embeddings", POSITIONS, EMBEDDING)
    maker.add("type_embeddings/embeddings", 2, EMBEDDING)
    maker.norm("embeddings/layer_norm", EMBEDDING)
    maker.dense("embedding_projection", EMBEDDING, HIDDEN)
    make_layer(maker, "", ENCODER)
    maker.dense("pooler_transform", HIDDEN, HIDDEN)
    return maker


def run_encoder(values: Values) -> Any:
    words = tf.gather(values["word_embeddings/embeddings"], IDS)
    words += tf.gather(values["type_embeddings/embeddings"], TYPES)
    words += values["position_embedding/embeddings"][:6]
    x = dense(values, "embedding_projection", norm(values, "embeddings/layer_norm", words))
    for _ in range(LAYERS):
        x = run_layer(values, "", ENCODER, x)
    return x


def by_head(name: str, value: Any) -> Any:
    if "self_attention/attention_output/kernel" in name:
        return value.reshape(HEADS, -1, HIDDEN)
    if "self_attention/" in name and "attention_output" not in name:
        return value.reshape(*value.shape[:-1], HEADS, -1)
    return value


# Writing.


def save(values: Values, prefix: Path, scope: str = "") -> None:
    """Write variables as the programs' Saver does, with the states of their optimizer."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for name, value in values.items():
            tf.compat.v1.get_variable(scope + name, initializer=value)
        state = tf.compat.v1.get_variable("bert/pooler/dense/bias/adam_m", initializer=[0.5])
        del state
        tf.compat.v1.train.create_global_step()
        session.run(tf.compat.v1.global_variables_initializer())
        saver = tf.compat.v1.train.Saver()
        saver.save(session, str(prefix), write_meta_graph=False, write_state=False)


def write_config(path: Path, config: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    answers: dict[str, Any] = {"ids": IDS, "mask": MASK, "types": TYPES}

    maker = make_google()
    maker.pretraining(EMBEDDING)
    x = run_google(maker.values)
    answers["google/prediction_logits"] = predict(maker.values, x)
    answers["google/sop_logits"] = score(
        maker.values, "cls/seq_relationship/", pool(maker.values, x)
    )
    save(maker.values, HERE / "google" / "model.ckpt-best")
    write_config(HERE / "google" / "albert_config.json", GOOGLE_CONFIG)

    maker = make_google()
    x = run_google(maker.values)
    answers["hub/last_hidden_state"] = x
    answers["hub/pooler_output"] = pool(maker.values, x)
    save(maker.values, HERE / "hub" / "variables" / "variables", "module/")
    write_config(HERE / "hub" / "assets" / "albert_config.json", GOOGLE_CONFIG)

    maker.output("", 3)
    answers["classifier/logits"] = score(maker.values, "", pool(maker.values, x))
    save(maker.values, HERE / "classifier" / "model.ckpt-10")
    write_config(HERE / "classifier" / "albert_config.json", GOOGLE_CONFIG)

    maker = make_google()
    maker.output("", 1)
    # run_race.py: two choices of one question, whose scores stand side by side.
    answers["race/logits"] = tf.reshape(score(maker.values, "", pool(maker.values, x)), (1, 2))
    save(maker.values, HERE / "race" / "model.ckpt-best")
    write_config(HERE / "race" / "albert_config.json", GOOGLE_CONFIG)

    maker = make_google()
    maker.output("cls/squad/", 2)
    logits = score(maker.values, "cls/squad/", x)
    answers["squad1/start_logits"], answers["squad1/end_logits"] = logits[..., 0], logits[..., 1]
    save(maker.values, HERE / "squad1" / "model.ckpt-best")
    write_config(HERE / "squad1" / "albert_config.json", GOOGLE_CONFIG)

    maker = Maker()
    maker.dense("start_logits/dense", HIDDEN, 1)
    maker.dense("end_logits/dense_0", 2 * HIDDEN, HIDDEN)
    maker.norm("end_logits/LayerNorm", HIDDEN)
    maker.dense("end_logits/dense_1", HIDDEN, 1)
    maker.dense("answer_class/dense_0", 2 * HIDDEN, HIDDEN)
    maker.add("answer_class/dense_1/kernel", HIDDEN, 1)
    save(maker.values, HERE / "squad2" / "model.ckpt-best")
    write_config(HERE / "squad2" / "albert_config.json", GOOGLE_CONFIG)

    maker = make_brightmart()
    maker.pretraining(HIDDEN)
    x = run_brightmart(maker.values)
    answers["brightmart/prediction_logits"] = predict(maker.values, x)
    pooled = pool(maker.values, x)
    answers["brightmart/sop_logits"] = score(maker.values, "cls/seq_relationship/", pooled)
    save(maker.values, HERE / "brightmart" / "albert_model.ckpt")
    write_config(HERE / "brightmart" / "albert_config_tiny.json", BRIGHTMART_CONFIG)

    maker = make_encoder()
    x = run_encoder(maker.values)
    answers["saved-model/last_hidden_state"] = x
    answers["saved-model/pooler_output"] = tf.tanh(dense(maker.values, "pooler_transform", x[:, 0]))
    model = tf.Module()
    model.variables_ = [
        tf.Variable(by_head(name, value), name=name) for name, value in maker.values.items()
    ]
    tf.saved_model.save(model, str(HERE / "saved-model"))
    for name in ("saved_model.pb", "fingerprint.pb"):
        (HERE / "saved-model" / name).unlink()
    (HERE / "saved-model" / "assets").rmdir()
    write_config(HERE / "saved-model" / "albert_config.json", CONFIG)

    np.savez(HERE / "answers.npz", **answers)


if __name__ == "__main__":
    main()
