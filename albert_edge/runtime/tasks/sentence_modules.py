"""What sentence-transformers' configuration in a bundle says -> how embeddings are made.

Read are the files and names of its versions 1 to 6; a bundle without them is treated as
sentence-transformers treats a checkpoint without them: the mean of all tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

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
from albert_edge.runtime.tasks.dense import Dense, read_dense
from albert_edge.runtime.tasks.pooling import POOLINGS

T = TypeVar("T")
Settings = Mapping[str, Any]

# How older versions say it, in the order in which they concatenate.
_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_TOKENS = {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}
# What of the transformer's settings has one meaning here.
_FIXED = {
    "transformer_task": "feature-extraction",
    "module_output_name": "token_embeddings",
    "modality_config": _TOKENS,
    "processing_kwargs": {},
}
_EMBEDDING = {
    "module_input_name": "sentence_embedding",
    "module_output_name": "sentence_embedding",
}


@dataclass(frozen=True, slots=True)
class SentenceModules:
    """How a checkpoint wants its embeddings made.

    Attributes:
        pooling: Keys of `POOLINGS`, whose vectors are concatenated.
        include_prompt: Whether the tokens of a prompt are pooled with the text's.
        dense: Layers after pooling.
        normalized: Whether the result is scaled to length 1.
        truncate_dim: How many leading elements are kept in the end, or None for all.
        prompts: What is put before texts, by name.
        default_prompt: The one to put before texts where none is asked for.
        max_seq_length: The most tokens a text may have, or None for the tokenizer's limit.
        do_lower_case: Whether texts are lowercased, whatever the tokenizer does.
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
    """Read what the bundle says, with sentence-transformers' defaults.

    Raises:
        BundleError: A file is damaged, or names a module or a setting not supported here.
    """
    reader = _Reader(bundle)
    try:
        text = bundle.read_text(MODULES)
        return reader.modules(parse_modules(text)) if text is not None else SentenceModules()
    except (ValueError, RecursionError) as error:
        raise BundleError(
            f"{bundle.folder / reader.file}: {error}.",
            tip="Pool the outputs of albert_edge.runtime.session.Session as it asks for, or "
            "export a checkpoint without modules.json and pass pooling and normalize.",
        ) from error


class _Reader:
    """The files of one bundle; `file` is the one being read, for the error that names it."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.file = MODULES

    def modules(self, modules: tuple[Module, ...]) -> SentenceModules:
        """Put together what all files say."""
        kinds = [module.kind for module in modules]
        if kinds[:2] != ["Transformer", "Pooling"]:
            raise ValueError(f"it lists {', '.join(kinds)}; expected Transformer, Pooling first")
        _, pooling, *after = modules
        dense = tuple(self._after_pooling(after))
        normalized = kinds[-1] == "Normalize"
        return SentenceModules(
            dense=dense,
            normalized=normalized,
            **self._pooling(pooling),
            **self._model(),
            **self._transformer(),
        )

    def _after_pooling(self, modules: list[Module]) -> Iterator[Dense]:
        for number, module in enumerate(modules, 1):
            settings = self._settings(f"{module.folder}/{MODULE_CONFIG}")
            if module.kind == "Dense":
                weights = self.bundle.listed(f"{module.folder}/{MODULE_WEIGHTS}")
                yield read_dense(settings, weights.read_bytes())
            elif module.kind == "Normalize" and number == len(modules):
                _require(settings, _EMBEDDING)
            else:
                self.file = MODULES
                raise ValueError(
                    f"it lists {module.kind} ({module.folder}) after Pooling; supported are "
                    "Dense modules and a last Normalize"
                )

    def _pooling(self, module: Module) -> dict[str, Any]:
        settings = self._settings(f"{module.folder}/{MODULE_CONFIG}")
        modes = settings.get("pooling_mode") or [
            mode for flag, mode in _FLAGS.items() if settings.get(flag)
        ]
        modes = [modes] if isinstance(modes, str) else modes or ["mean"]
        if not isinstance(modes, list) or not all(
            isinstance(mode, str) and mode in POOLINGS for mode in modes
        ):
            raise ValueError(f"pooling_mode is {modes!r}; supported are {', '.join(POOLINGS)}")
        include_prompt = _get(settings, "include_prompt", bool, True)
        return {"pooling": tuple(modes), "include_prompt": include_prompt}

    def _model(self) -> dict[str, Any]:
        settings = self._settings(MODEL_CONFIG)
        _require(settings, {"model_type": "SentenceTransformer"})
        saved = _get(settings, "prompts", dict, {})
        # These two names sentence-transformers knows for every model.
        prompts = {"query": "", "document": ""}
        prompts |= {name: _get(saved, name, str, "") for name in saved}
        default = _get(settings, "default_prompt_name", str, None)
        if default is not None and default not in prompts:
            raise ValueError(f"default_prompt_name is {default!r}; prompts are {list(prompts)}")
        return {
            "prompts": prompts,
            "default_prompt": "" if default is None else prompts[default],
            "truncate_dim": _positive(settings, "truncate_dim"),
        }

    def _transformer(self) -> dict[str, Any]:
        settings = self._settings(TRANSFORMER_CONFIG)
        _require(settings, _FIXED)
        # Arguments of the tokenizer, under both names they have had.
        arguments = {
            **_get(settings, "tokenizer_args", dict, {}),
            **_get(settings, "processor_kwargs", dict, {}),
        }
        length = _positive(settings, "max_seq_length")
        limit = _positive(arguments, "model_max_length")
        arguments.pop("model_max_length", None)
        if arguments:
            raise ValueError(f"it has {list(arguments)} for the tokenizer, which is not supported")
        return {
            "max_seq_length": limit or length,
            "do_lower_case": _get(settings, "do_lower_case", bool, False),
        }

    def _settings(self, file: str) -> Settings:
        """The content of a JSON file; nothing where the bundle does not have it."""
        self.file = file
        text = self.bundle.read_text(file)
        settings = json.loads("{}" if text is None else text)
        if not isinstance(settings, dict):
            raise ValueError("it is not a JSON object")
        return settings


def _get(settings: Settings, name: str, kind: type[T], default: Any) -> Any:
    value = settings.get(name)
    if value is None:
        return default
    if not isinstance(value, kind):
        raise ValueError(f"{name} is {value!r}, expected a {kind.__name__}")
    return value


def _positive(settings: Settings, name: str) -> int | None:
    value: int | None = _get(settings, name, int, None)
    if value is not None and value < 1:
        raise ValueError(f"{name} is {value}, expected 1 or more")
    return value


def _require(settings: Settings, expected: Settings) -> None:
    for name, value in expected.items():
        if settings.get(name) not in (value, None):
            raise ValueError(f"{name} is {settings[name]!r}, expected {value!r}")
