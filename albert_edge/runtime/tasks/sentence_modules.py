"""Read the sentence-transformers configuration of a bundle.

It reads the files and names of versions 1 to 6. For a bundle without them embeddings are the mean
of all tokens, as in sentence-transformers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from albert_edge.bundle.bundle import Bundle
from albert_edge.bundle.sentence_layout import (
    MODEL_CONFIG,
    MODULE_CONFIG,
    MODULE_WEIGHTS,
    MODULES,
    TRANSFORMER_CONFIG,
    Module,
    parse_modules,
)
from albert_edge.errors import BundleError
from albert_edge.json_fields import JsonObject
from albert_edge.runtime.tasks.dense import EMBEDDING, Dense, read_dense
from albert_edge.runtime.tasks.pooling import POOLINGS

# How older versions configure pooling, in the order in which they concatenate.
_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_TOKENS = {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}
# Settings of the transformer that have one supported value.
_FIXED = {
    "transformer_task": "feature-extraction",
    "module_output_name": "token_embeddings",
    "modality_config": _TOKENS,
    "processing_kwargs": {},
}
_TIP = (
    "Run the model through albert_edge.Session and pool its outputs as configured, or export "
    "the checkpoint without modules.json and pass pooling and normalize."
)


@dataclass(frozen=True, slots=True)
class SentenceModules:
    """How embeddings are made from hidden states.

    Attributes:
        pooling: Keys of `POOLINGS`, whose vectors are concatenated.
        include_prompt: Whether the tokens of a prompt are pooled too.
        dense: Layers after pooling.
        normalized: Whether embeddings are scaled to length 1.
        truncate_dim: How many leading elements are kept at the end, or None for all.
        prompts: Texts to put before a text, by name.
        default_prompt: The prompt of a call that does not choose one.
        max_seq_length: The most tokens a text may have, or None for the tokenizer's limit.
        do_lower_case: Whether texts are lowercased before the tokenizer's own steps.
    """

    pooling: tuple[str, ...] = ("mean",)
    include_prompt: bool = True
    dense: tuple[Dense, ...] = ()
    normalized: bool = False
    truncate_dim: int | None = None
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str = ""
    max_seq_length: int | None = None
    do_lower_case: bool = False


def read_sentence_modules(bundle: Bundle) -> SentenceModules:
    """Read the configuration, with the defaults of sentence-transformers.

    Raises:
        BundleError: A file is damaged, or a module or a setting is not supported.
    """
    text = bundle.read_text(MODULES)
    if text is None:
        return SentenceModules()
    place = str(bundle.folder / MODULES)
    error = partial(BundleError, tip=_TIP, where=place)
    modules = parse_modules(text, place, error)
    kinds = [module.kind for module in modules]
    if kinds[:2] != ["Transformer", "Pooling"]:
        raise error(f"{place} lists {', '.join(kinds)}; expected Transformer, Pooling first.")
    _, pooling, *others = modules
    return SentenceModules(
        dense=tuple(_dense_modules(bundle, others)),
        normalized=kinds[-1] == "Normalize",
        **_pooling(_settings(bundle, pooling)),
        **_model(bundle.read_object(MODEL_CONFIG, _TIP)),
        **_transformer(bundle.read_object(TRANSFORMER_CONFIG, _TIP)),
    )


def _dense_modules(bundle: Bundle, modules: list[Module]) -> Iterator[Dense]:
    """Read the modules after pooling, except a final Normalize."""
    for number, module in enumerate(modules, 1):
        settings = _settings(bundle, module)
        if module.kind == "Dense":
            weights = bundle.listed(f"{module.folder}/{MODULE_WEIGHTS}")
            yield read_dense(settings, weights)
        elif module.kind == "Normalize" and number == len(modules):
            settings.require(**EMBEDDING)
        else:
            raise settings.error(
                f"{bundle.folder / MODULES} lists {module.kind} ({module.folder}) after Pooling; "
                "supported are Dense modules and a last Normalize."
            )


def _settings(bundle: Bundle, module: Module) -> JsonObject:
    return bundle.read_object(f"{module.folder}/{MODULE_CONFIG}", _TIP)


def _pooling(settings: JsonObject) -> dict[str, Any]:
    modes = settings.values.get("pooling_mode") or [
        mode for flag, mode in _FLAGS.items() if settings.values.get(flag)
    ]
    modes = [modes] if isinstance(modes, str) else modes or ["mean"]
    if not isinstance(modes, list) or not all(
        isinstance(mode, str) and mode in POOLINGS for mode in modes
    ):
        raise settings.fault("pooling_mode", f"some of {', '.join(POOLINGS)}")
    include_prompt = settings.flag("include_prompt", None) is not False
    return {"pooling": tuple(modes), "include_prompt": include_prompt}


def _model(settings: JsonObject) -> dict[str, Any]:
    settings.require(model_type="SentenceTransformer")
    # sentence-transformers has these two prompts for every model.
    prompts = {"query": "", "document": ""}
    if saved := settings.object("prompts", None):
        for name in saved.values:
            prompt = saved.text(name, None)
            prompts[name] = prompt or ""
    default = settings.text("default_prompt_name", None)
    if default is not None and default not in prompts:
        raise settings.fault("default_prompt_name", f"one of {', '.join(prompts)}")
    return {
        "prompts": prompts,
        "default_prompt": "" if default is None else prompts[default],
        "truncate_dim": settings.integer("truncate_dim", None, low=1),
    }


def _transformer(settings: JsonObject) -> dict[str, Any]:
    settings.require(**_FIXED)
    length = settings.integer("max_seq_length", None, low=1)
    # Arguments of the tokenizer, under the old and the new name.
    for name in ("tokenizer_args", "processor_kwargs"):
        arguments = settings.object(name, None)
        if arguments is None:
            continue
        length = arguments.integer("model_max_length", None, low=1) or length
        if arguments.values.keys() - {"model_max_length"}:
            raise settings.fault(name, "model_max_length only, other arguments are not supported")
    return {
        "max_seq_length": length,
        "do_lower_case": settings.flag("do_lower_case", None) or False,
    }
