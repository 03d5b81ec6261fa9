"""Read the modules of a sentence-transformers folder, which make an embedding of hidden states.

It reads the files and names of versions 1 to 6. For a folder without them embeddings are the mean
of all tokens, as in sentence-transformers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from albert_edge.bundle.sentence_layout import (
    MODEL_CONFIG,
    MODULE_CONFIG,
    MODULES,
    Module,
    SentenceFiles,
)
from albert_edge.json_fields import JsonObject
from albert_edge.runtime.tasks.layers import (
    Layer,
    read_dense,
    read_dropout,
    read_layer_norm,
    read_normalize,
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
from albert_edge.runtime.tasks.sentence_settings import (
    Prompts,
    TokenizerSettings,
    read_prompts,
    read_tokenizer_settings,
)

# How older versions configure pooling, in the order in which they concatenate.
_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_NORMALIZE = "Normalize"
_READERS: dict[str, Callable[[SentenceFiles, Module], Layer]] = {
    "Dense": read_dense,
    "Dropout": read_dropout,
    "LayerNorm": read_layer_norm,
    _NORMALIZE: read_normalize,
}
_AXES = {TOKENS: 2, EMBEDDING: 1}
_PROMPTS = ("query", "document")  # which sentence-transformers has for every model

Step = Pooling | Layer


@dataclass(frozen=True, slots=True)
class SentenceModules:
    """How embeddings are made from hidden states.

    Attributes:
        steps: The modules after the transformer.
        truncate_dim: How many leading elements are kept at the end, or None for all.
        prompts: Texts to put before a text.
        tokenizer: What replaces the tokenizer's own settings.
    """

    steps: tuple[Step, ...] = (Pooling(),)
    truncate_dim: int | None = None
    prompts: Prompts = field(default_factory=lambda: Prompts(dict.fromkeys(_PROMPTS, "")))
    tokenizer: TokenizerSettings = field(default_factory=TokenizerSettings)

    def chosen(self, pooling: str | None, *, normalize: bool) -> tuple[Step, ...]:
        """Return the steps with what a call chooses.

        Args:
            pooling: A key of `POOLINGS` or `POOLER` for every Pooling, or None to leave them.
            normalize: Whether a Normalize that is the last module is kept.
        """
        last = self.steps[-1]
        if not normalize and isinstance(last, Layer) and last.module.kind == _NORMALIZE:
            return replace(self, steps=self.steps[:-1]).chosen(pooling, normalize=True)
        if pooling is None:
            return self.steps
        return tuple(
            replace(step, modes=(pooling,)) if isinstance(step, Pooling) else step
            for step in self.steps
        )


def read_sentence_modules(files: SentenceFiles, hidden_size: int) -> SentenceModules:
    """Read the configuration, with the defaults of sentence-transformers.

    Args:
        files: The files of the model. Their error is raised if a file is damaged, a module or a
            setting is not supported, or the modules do not fit each other.
        hidden_size: The size of the model's hidden states.
    """
    modules = files.modules()
    if not modules:
        return SentenceModules()
    settings = files.object(MODEL_CONFIG)
    settings.require(model_type="SentenceTransformer")
    steps = _steps(files, modules)
    try:
        embedding_size(steps, hidden_size)
    except ValueError as misfit:
        raise files.error(f"{files.root / MODULES}: {misfit}.") from None
    return SentenceModules(
        steps,
        settings.integer("truncate_dim", None, low=1),
        read_prompts(files, always=_PROMPTS),
        read_tokenizer_settings(files, "feature-extraction"),
    )


def embedding_size(steps: tuple[Step, ...], hidden_size: int) -> int:
    """Return the dimension of the embeddings, by running the modules on a token of zeros.

    Raises:
        ValueError: The modules do not fit the hidden states or each other.
    """
    zeros: Vector = np.zeros((1, hidden_size), np.float32)
    features: Features = {TOKENS: zeros, POOLER: zeros[0]}
    for step in steps:
        if isinstance(step, Layer):
            name = step.module.folder
            if step.source not in features:
                raise ValueError(f"{name} reads {step.source}, which no module before it makes")
            axes, size = features[step.source].ndim, features[step.source].shape[-1]
            if step.inputs not in (None, size):
                raise ValueError(f"{name} takes {step.inputs} numbers where there are {size}")
            if _AXES.get(step.target, axes) != axes:
                raise ValueError(f"{name} reads {step.source} and writes {step.target}")
        step(features, 0)
    if EMBEDDING not in features:
        raise ValueError(f"no module makes a {EMBEDDING}")
    return len(features[EMBEDDING])


def _steps(files: SentenceFiles, modules: tuple[Module, ...]) -> tuple[Step, ...]:
    first, *others = modules
    place = files.root / MODULES
    if first.kind != "Transformer":
        raise files.error(f"{place} lists {first.kind} first; expected Transformer.")
    steps: list[Step] = []
    made = {TOKENS}
    for module in others:
        if module.kind == "Pooling":
            steps.append(_pooling(files.object(f"{module.folder}/{MODULE_CONFIG}")))
            made.add(EMBEDDING)
        elif module.kind in _READERS:
            layer = _READERS[module.kind](files, module)
            # Normalize of a feature that is not there yet changes nothing.
            if module.kind == _NORMALIZE and layer.source not in made:
                continue
            steps.append(layer)
            made.add(layer.target)
        else:
            raise files.error(
                f"{place} lists {module.kind} ({module.folder}), which is not supported; "
                f"supported are Pooling, {', '.join(_READERS)}."
            )
    return tuple(steps)


def _pooling(settings: JsonObject) -> Pooling:
    modes = settings.values.get("pooling_mode") or [
        mode for flag, mode in _FLAGS.items() if settings.values.get(flag)
    ]
    modes = [modes] if isinstance(modes, str) else modes or ["mean"]
    if not isinstance(modes, list) or not all(
        isinstance(mode, str) and mode in POOLINGS for mode in modes
    ):
        raise settings.fault("pooling_mode", f"some of {', '.join(POOLINGS)}")
    return Pooling(tuple(modes), settings.flag("include_prompt", None) is not False)
