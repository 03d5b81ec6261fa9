"""Write the checkpoints of this folder with transformers' Flax classes, and their answers.

    pip install flax jax transformers==4.57.6 && python make_flax.py

Each holds flax_model.msgpack of a tiny random ALBERT. answers.npz has the outputs of the classes.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
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
    "feature-extraction": "FlaxAlbertModel",
    "fill-mask": "FlaxAlbertForMaskedLM",
    "pretraining": "FlaxAlbertForPreTraining",
    "text-classification": "FlaxAlbertForSequenceClassification",
    "token-classification": "FlaxAlbertForTokenClassification",
    "question-answering": "FlaxAlbertForQuestionAnswering",
    "multiple-choice": "FlaxAlbertForMultipleChoice",
}


def randomized(parameters: Any) -> Any:
    random = np.random.default_rng(0)

    def change(path: Any, values: Any) -> Any:
        mean = float("scale" in str(path[-1]))
        return random.normal(mean, 0.4, values.shape).astype(np.float32)

    return jax.tree_util.tree_map_with_path(change, parameters)


def main() -> None:
    answers: dict[str, Any] = {**INPUTS}
    for head, name in CLASSES.items():
        model = getattr(transformers, name)(transformers.AlbertConfig(**CONFIG))
        model.params = randomized(model.params)
        shutil.rmtree(HERE / head, ignore_errors=True)
        model.save_pretrained(HERE / head)
        if head == "fill-mask":
            model.save_pretrained(HERE / "sharded", max_shard_size="10KB")
        several = head == "multiple-choice"
        inputs = {key: array[:, None] if several else array for key, array in INPUTS.items()}
        for output, values in model(**inputs).items():
            answers[f"{head}/{output}"] = np.asarray(values)
    np.savez(HERE / "answers.npz", **answers)


if __name__ == "__main__":
    main()
