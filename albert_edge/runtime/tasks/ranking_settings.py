"""Read what CrossEncoder of sentence-transformers saved with a model that scores pairs.

before version 4    config.json: sbert_ce_default_activation_function
before version 5.4  config.json: sentence_transformers: activation_fn
since then          config_sentence_transformers.json, sentence_bert_config.json, modules.json
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from albert_edge.bundle.sentence_layout import MODEL_CONFIG, MODULES, SentenceFiles
from albert_edge.runtime.tasks.activations import ACTIVATIONS, Activation, find_activation
from albert_edge.runtime.tasks.sentence_settings import (
    Prompts,
    TokenizerSettings,
    read_prompts,
    read_tokenizer_settings,
)

CROSS_ENCODER = "CrossEncoder"
"""The model_type of a folder that CrossEncoder reads beyond its config.json."""

# GLU has half as many scores as labels, and RReLU is random, as CrossEncoder never leaves training.
_UNSUPPORTED = ("GLU", "RReLU")
_SUPPORTED = [name for name in ACTIVATIONS if name not in _UNSUPPORTED]


@dataclass(frozen=True, slots=True)
class RankingSettings:
    """How pairs become scores.

    Attributes:
        files: The files it was read from, for errors.
        saved: The name of the activation function that was saved, or None.
        prompts: Texts to put before a query.
        tokenizer: What replaces the tokenizer's own settings.
    """

    files: SentenceFiles
    saved: Any = None
    prompts: Prompts = field(default_factory=Prompts)
    tokenizer: TokenizerSettings = field(default_factory=TokenizerSettings)

    def activation(self, num_labels: int) -> Activation:
        """Return the function that turns the logits of so many labels into scores.

        The error of the files is raised if the saved one is unsupported.
        """
        if self.saved is None:
            return ACTIVATIONS["Sigmoid" if num_labels == 1 else "Identity"]
        name = find_activation(str(self.saved))
        if name not in _SUPPORTED:
            raise self.files.error(
                f"{self.files.root} was saved with the activation function {self.saved!r}; "
                f"supported are, of torch.nn: {', '.join(_SUPPORTED)}."
            )
        return ACTIVATIONS[str(name)]


def read_ranking_settings(files: SentenceFiles) -> RankingSettings:
    """Read the settings, by the precedence of sentence-transformers.

    Args:
        files: The files of the model. Their error is raised if a file is damaged or a setting is
            not supported; for the activation function, when it is used.
    """
    settings = files.object(MODEL_CONFIG)
    saved = _in_config(files)
    if settings.values.get("model_type") != CROSS_ENCODER:
        return RankingSettings(files, saved)
    kinds = [module.kind for module in files.modules()]
    if kinds not in ([], ["Transformer"]):
        raise files.error(
            f"{files.root / MODULES} lists {', '.join(kinds)}; a CrossEncoder that is supported "
            "has only a Transformer, with a head for sequence classification."
        )
    return RankingSettings(
        files,
        settings.values.get("activation_fn") or saved,
        read_prompts(files),
        read_tokenizer_settings(files, "sequence-classification"),
    )


def _in_config(files: SentenceFiles) -> Any:
    """Return the name of the activation function in config.json, or None."""
    config = files.object("config.json").values
    section = config.get("sentence_transformers")
    if isinstance(section, dict) and "activation_fn" in section:
        return section["activation_fn"]
    return config.get("sbert_ce_default_activation_function")
