"""How much work the encoder is, from the geometry: multiply-accumulates of its matrix products."""

from __future__ import annotations

from albert_edge.architecture.config import AlbertConfig
from albert_edge.architecture.heads import HEADS


def multiply_accumulates(
    config: AlbertConfig, head: str, length: int, applications: int | None = None
) -> int:
    """Count the multiply-accumulates of the encoder for one text.

    Those of the head are not counted: they are the same however narrow or short the encoder is.
    If the head reads [CLS] only, the last application is computed for that token only
    (`Optimization.FIRST_TOKEN`).

    Args:
        config: The geometry.
        head: A key of `HEADS`.
        length: Tokens of the text.
        applications: Applications of the layer, counted from the first, after which an early exit
            ends; None for all of them.
    """
    count = config.num_hidden_layers if applications is None else applications
    groups = config.group_of_layers
    total = length * config.embedding_size * config.hidden_size
    for application, group in enumerate(groups[:count], 1):
        for inner in range(config.inner_group_num):
            is_last = application == len(groups) and inner == config.inner_group_num - 1
            queries = 1 if is_last and HEADS[head].reads_first_token else length
            total += _layer(config, config.distinct_layer(group, inner), queries, length)
    return total


def _layer(config: AlbertConfig, layer: int, queries: int, length: int) -> int:
    hidden, mixed = config.hidden_size, config.heads(layer) * config.head_size
    keys_and_values = 2 * length * hidden * mixed
    queries_and_output = 2 * queries * hidden * mixed
    scores_and_mixing = 2 * queries * length * mixed
    feed_forward = 2 * queries * hidden * config.intermediate_size
    return keys_and_values + queries_and_output + scores_and_mixing + feed_forward
