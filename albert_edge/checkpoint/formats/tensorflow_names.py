"""Variables of the TensorFlow programs that ALBERT was published with -> canonical names.

Names are those in google-research/albert (modeling.py, run_pretraining.py, classifier_utils.py,
race_utils.py, squad_utils.py), whose TF-Hub modules put "module/" before them, in
brightmart/albert_zh (modeling.py, run_pretraining.py), and in tensorflow/models' AlbertEncoder
(official/nlp/tools/tf2_albert_encoder_checkpoint_converter.py), of which TF-Hub has SavedModels.
"""

from __future__ import annotations

import re

_GOOGLE_LAYER = re.compile(r"bert/encoder/transformer/group_(\d+)/inner_group_(\d+)/(.+)")
_BRIGHTMART_LAYER = "bert/encoder/layer_shared/"
_ENCODER_LAYER = "transformer/"
_LAYER = "albert.encoder.albert_layer_groups.{}.albert_layers.{}.{}"

_MODULES = {
    "bert/embeddings/LayerNorm": "albert.embeddings.LayerNorm",
    "bert/encoder/embedding_hidden_mapping_in": "albert.encoder.embedding_hidden_mapping_in",
    "bert/pooler/dense": "albert.pooler",
    "cls/predictions": "predictions",
    "cls/predictions/transform/dense": "predictions.dense",
    "cls/predictions/transform/LayerNorm": "predictions.LayerNorm",
    "cls/seq_relationship": "sop_classifier.classifier",
    "cls/squad": "qa_outputs",
    "": "classifier",
    # AlbertEncoder
    "embeddings/layer_norm": "albert.embeddings.LayerNorm",
    "embedding_projection": "albert.encoder.embedding_hidden_mapping_in",
    "pooler_transform": "albert.pooler",
    "cls/predictions/output_bias": "predictions",
}
_GOOGLE_MODULES = {
    "attention_1/self/query": "attention.query",
    "attention_1/self/key": "attention.key",
    "attention_1/self/value": "attention.value",
    "attention_1/output/dense": "attention.dense",
    "LayerNorm": "attention.LayerNorm",
    "ffn_1/intermediate/dense": "ffn",
    "ffn_1/intermediate/output/dense": "ffn_output",
    "LayerNorm_1": "full_layer_layer_norm",
}
_BRIGHTMART_MODULES = {
    "attention/self/query": "attention.query",
    "attention/self/key": "attention.key",
    "attention/self/value": "attention.value",
    "attention/output/dense": "attention.dense",
    "attention/output/LayerNorm": "attention.LayerNorm",
    "intermediate/dense": "ffn",
    "output/dense": "ffn_output",
    "output/LayerNorm": "full_layer_layer_norm",
}
_ENCODER_MODULES = {
    "self_attention/query": "attention.query",
    "self_attention/key": "attention.key",
    "self_attention/value": "attention.value",
    "self_attention/attention_output": "attention.dense",
    "self_attention_layer_norm": "attention.LayerNorm",
    "intermediate": "ffn",
    "output": "ffn_output",
    "output_layer_norm": "full_layer_layer_norm",
}
_LEAVES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "output_weights": "weight",
    "output_bias": "bias",
}
WORDS = "albert.embeddings.word_embeddings.weight"
# The second factor of brightmart's word embeddings, (embedding_size, hidden_size).
FACTOR = "albert.embeddings.word_embeddings_2.weight"
_TABLES = {
    "bert/embeddings/word_embeddings": WORDS,
    "bert/embeddings/word_embeddings_2": FACTOR,
    "bert/embeddings/token_type_embeddings": "albert.embeddings.token_type_embeddings.weight",
    "bert/embeddings/position_embeddings": "albert.embeddings.position_embeddings.weight",
    # AlbertEncoder
    "word_embeddings/embeddings": WORDS,
    "type_embeddings/embeddings": "albert.embeddings.token_type_embeddings.weight",
    "position_embedding/embeddings": "albert.embeddings.position_embeddings.weight",
}

_OPTIMIZER = re.compile(r"(?:.+/)?(?:adam_[mv]|Adam(?:_1)?|global_step|beta[12]_power)")
# SQuAD 2: the end is scored after a beam search over starts, which no class of transformers does.
_BEAM_SEARCH = re.compile(r"(?:start_logits|end_logits|answer_class)/.+")


def is_of_optimizer(variable: str) -> bool:
    """Return whether a variable is a state of the training run."""
    return _OPTIMIZER.fullmatch(variable) is not None


def is_of_beam_search(variable: str) -> bool:
    """Return whether a variable is in the head that google-research/albert trains for SQuAD 2."""
    return _BEAM_SEARCH.fullmatch(variable) is not None


def canonical_variable(variable: str) -> str | None:
    """Return the canonical name of a variable, or None if these programs have none of this name.

    >>> canonical_variable("bert/pooler/dense/kernel")
    'albert.pooler.weight'
    >>> canonical_variable("output_weights")
    'classifier.weight'
    """
    variable = variable.removeprefix("module/")
    if variable in _TABLES:
        return _TABLES[variable]
    module, _, leaf = variable.rpartition("/")
    if leaf not in _LEAVES or (name := _canonical_module(module)) is None:
        return None
    return f"{name}.{_LEAVES[leaf]}"


def _canonical_module(module: str) -> str | None:
    if match := _GOOGLE_LAYER.fullmatch(module):
        group, layer, inner = match.groups()
        return _in_layer(_GOOGLE_MODULES.get(inner), group, layer)
    if module.startswith(_BRIGHTMART_LAYER):
        return _in_layer(_BRIGHTMART_MODULES.get(module.removeprefix(_BRIGHTMART_LAYER)))
    if module.startswith(_ENCODER_LAYER):
        return _in_layer(_ENCODER_MODULES.get(module.removeprefix(_ENCODER_LAYER)))
    return _MODULES.get(module.removeprefix("bert/") if "bert/cls" in module else module)


def _in_layer(module: str | None, group: str = "0", layer: str = "0") -> str | None:
    return module and _LAYER.format(group, layer, module)
