"""Write the checkpoints of this folder with transformers' TensorFlow classes, and their answers.

    pip install tensorflow-cpu==2.21.0 tf-keras==2.21.0 transformers==4.57.6 && python make_keras.py

Each holds a tiny random ALBERT: tf_model.h5 as save_pretrained writes it and, for one of them, a
checkpoint as save_weights writes it. answers.npz has the outputs of the TensorFlow classes.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tensorflow as tf
import transformers

HERE = Path(__file__).parent
INPUTS = {
    "input_ids": np.array([[2, 17, 5, 39, 8, 3], [2, 9, 30, 3, 0, 0]]),
    "attention_mask": np.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]]),
    "token_type_ids": np.array([[0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0]]),
}
CONFIG = {
    "vocab_size": 40,
    "embedding_size": 8,
    "hidden_size": 12,
    "num_hidden_layers": 4,
    "num_hidden_groups": 2,
    "inner_group_num": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 16,
}
CLASSES = {
    "feature-extraction": "TFAlbertModel",
    "fill-mask": "TFAlbertForMaskedLM",
    "pretraining": "TFAlbertForPreTraining",
    "text-classification": "TFAlbertForSequenceClassification",
    "token-classification": "TFAlbertForTokenClassification",
    "question-answering": "TFAlbertForQuestionAnswering",
    "multiple-choice": "TFAlbertForMultipleChoice",
}


def randomize(model: Any) -> None:
    random = np.random.default_rng(0)
    for variable in model.variables:
        mean = float("gamma" in variable.name)
        variable.assign(random.normal(mean, 0.4, variable.shape).astype(np.float32))


def main() -> None:
    answers: dict[str, Any] = {**INPUTS}
    for head, name in CLASSES.items():
        model = getattr(transformers, name)(transformers.AlbertConfig(**CONFIG))
        several = head == "multiple-choice"
        inputs = {key: array[:, None] if several else array for key, array in INPUTS.items()}
        model(inputs)
        randomize(model)
        folder = HERE / head
        shutil.rmtree(folder, ignore_errors=True)
        model.save_pretrained(folder)
        for output, values in model(inputs).items():
            answers[f"{head}/{output}"] = np.asarray(values)
        if head == "fill-mask":
            model.save_weights(str(HERE / "checkpoint" / "model.ckpt"), save_format="tf")
            shutil.copy(folder / "config.json", HERE / "checkpoint" / "config.json")
            (HERE / "checkpoint" / "checkpoint").unlink()
            model.save_pretrained(HERE / "sharded", max_shard_size="10KB")
    np.savez(HERE / "answers.npz", **answers)


if __name__ == "__main__":
    tf.keras.backend.clear_session()
    main()
