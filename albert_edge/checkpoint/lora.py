"""Adapters that peft trained with LoRA, merged into the tensors of their base without torch.

An adapted matrix is W + scaling * B A (Hu et al. 2021, https://arxiv.org/abs/2106.09685); names of
fields and tensors, and what each option means, are those of peft's LoraConfig and LoraLayer
(https://github.com/huggingface/peft). An option that changes more than that is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from albert_edge.architecture.heads import HEADS, head_of_class
from albert_edge.checkpoint.formats.base import FLOATS, Format, StoredTensor
from albert_edge.checkpoint.formats.pickle import read_pickle
from albert_edge.checkpoint.formats.safetensors import read_safetensors
from albert_edge.checkpoint.names import TIED, canonical_name
from albert_edge.errors import Argument, CheckpointError, Message
from albert_edge.json_fields import JsonObject, read_object

Values = npt.NDArray[np.float32]

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_FORMATS = (
    Format("adapter_model.safetensors", read_safetensors),
    Format("adapter_model.bin", read_pickle),
)

# The head for each task_type of peft that ALBERT has one for.
_HEADS = {
    "SEQ_CLS": "text-classification",
    "TOKEN_CLS": "token-classification",
    "QUESTION_ANS": "question-answering",
    "FEATURE_EXTRACTION": "feature-extraction",
}

# Fields whose values do not change how an adapter is merged, or that are read below. What peft
# added since, and a file sets, could change it, and is refused.
_PLAIN = frozenset(
    """
    alpha_pattern auto_mapping base_model_name_or_path bias ensure_weight_tying eva_config
    exclude_modules fan_in_fan_out inference_mode init_lora_weights layers_pattern
    layers_to_transform lora_alpha lora_bias lora_dropout megatron_core modules_to_save peft_type
    peft_version qalora_group_size r rank_pattern revision target_modules task_type use_rslora
    """.split()  # noqa: SIM905
)
# Other values, such as "pissa", change the weights of the base too.
_PLAIN_INITIALIZATIONS = (True, False, None, "gaussian", "eva", "orthogonal")

_DECODER = "predictions.decoder.weight"
_WORDS = TIED[_DECODER]

_LORA = re.compile(
    r"(?P<module>.+)\.lora_(?P<part>(?:embedding_)?[AB])(?:\.(?P<leaf>weight|bias))?"
)
_MERGE_FIRST = (
    "Merge it with peft's merge_and_unload, save the result with save_pretrained, and export that."
)


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter whose headers have been read.

    Attributes:
        folder: Its folder.
        config: Its adapter_config.json.
        replaced: Whole tensors, by canonical name: of modules_to_save, and trained biases.
        factors: A, B and a bias of B, if any, by the name of the adapted module and "A", "B",
            "embedding_A", "embedding_B" or "bias".
    """

    folder: Path
    config: JsonObject
    replaced: dict[str, StoredTensor] = field(default_factory=dict)
    factors: dict[str, dict[str, StoredTensor]] = field(default_factory=dict)

    @property
    def class_name(self) -> str | None:
        """The class of transformers that was adapted, or None if it is that of the base."""
        if task_type := self.config.text("task_type", None):
            head = _HEADS.get(task_type)
            return HEADS[head].class_name if head else None
        mapping = self.config.object("auto_mapping", None)
        name = mapping.text("base_model_class", None) if mapping else None
        return name if name and head_of_class(name) else None


def is_adapter(folder: Path) -> bool:
    """Return whether a folder holds an adapter."""
    return (folder / ADAPTER_CONFIG).is_file()


def read_base_name(folder: Path) -> tuple[str | None, str | None]:
    """Read what an adapter calls its base, a hub id or a folder, and the revision of the hub."""
    config = _read_config(folder)
    name, revision = config.text("base_model_name_or_path", None), config.text("revision", None)
    return name or None, revision


def _read_config(folder: Path) -> JsonObject:
    return read_object(folder / ADAPTER_CONFIG, partial(CheckpointError, tip=_MERGE_FIRST))


def read_adapter(folder: Path) -> Adapter:
    """Read the configuration and the headers of an adapter.

    Raises:
        CheckpointError: It is not plain LoRA, or its files are missing, damaged or hostile.
        MissingExtraError: Reading the weights needs a package that is not installed.
    """
    adapter = Adapter(folder, _read_config(folder))
    _require_plain(adapter.config)
    for tensor in _tensors(folder):
        name = tensor.name.removeprefix("base_model.model.")
        if ".original_module." in name:  # the base's own, which modules_to_save replaces
            continue
        name = name.replace(".modules_to_save.", ".").replace(".base_layer.", ".")
        if match := _LORA.fullmatch(name):
            part = "bias" if match["leaf"] == "bias" else match["part"]
            adapter.factors.setdefault(match["module"], {})[part] = tensor
        elif "lora_" in name or ".token_adapter." in name:
            raise CheckpointError(
                f"{folder / tensor.file}: tensor {tensor.name} is not one of plain LoRA.",
                tip=_MERGE_FIRST,
            )
        else:
            adapter.replaced[canonical_name(name)] = tensor
    return adapter


def _tensors(folder: Path) -> list[StoredTensor]:
    for row in ADAPTER_FORMATS:
        if files := row.files(folder):
            return [tensor for file in files for tensor in row.read(file)]
    raise CheckpointError(
        f"{folder} has an {ADAPTER_CONFIG} without weights: no "
        f"{', no '.join(row.file for row in ADAPTER_FORMATS)}.",
        tip="Point at the folder that peft's save_pretrained wrote.",
    )


def _require_plain(config: JsonObject) -> None:
    if config.text("peft_type") != "LORA":
        raise config.fault("peft_type", "'LORA', the only method that is merged")
    for name, value in config.values.items():
        if value and name not in _PLAIN:
            raise config.fault(name, "absent: plain LoRA is merged, without this option")
    initialization = config.values.get("init_lora_weights")
    if initialization not in _PLAIN_INITIALIZATIONS:
        raise config.fault("init_lora_weights", "one that leaves the weights of the base alone")


def merge(
    base: Mapping[str, StoredTensor], adapter: Adapter, *, tied: bool
) -> dict[str, StoredTensor]:
    """Merge an adapter into its base; values are read and added when asked for.

    Args:
        base: The tensors of the base, by canonical name.
        adapter: The adapter.
        tied: Whether the decoder of the base is its word embeddings.

    Returns:
        The merged tensors, by canonical name.

    Raises:
        CheckpointError: The adapter does not fit the base.
    """
    merged = {**base, **adapter.replaced}
    if tied and _WORDS in adapter.replaced and _WORDS in base:
        merged.setdefault(_DECODER, base[_WORDS])  # peft unties the two
    scales = _Scales(adapter.config)
    for module, factors in adapter.factors.items():
        name = canonical_name(f"{module}.weight")
        if tied and name in (_WORDS, _DECODER):
            merged.pop(_DECODER, None)
            name = _WORDS
        if name not in merged:
            raise _misfit(adapter, module, f"the base has no tensor {name}")
        scale = scales.of(module)
        merged[name] = _with_update(merged[name], factors, scale, partial(_misfit, adapter, module))
        if "bias" in factors:
            bias = canonical_name(f"{module}.bias")
            if bias not in merged or merged[bias].shape != factors["bias"].shape:
                raise _misfit(adapter, module, f"the base has no tensor {bias} of its length")
            merged[bias] = _with_bias(merged[bias], factors["bias"], scale.factor)
    return merged


def _with_update(
    base: StoredTensor,
    factors: Mapping[str, StoredTensor],
    scale: _Scale,
    misfit: Callable[[str], CheckpointError],
) -> StoredTensor:
    """Return W + scaling * B A; the product is transposed where W is a table of embeddings."""
    kind = "embedding_" if "embedding_A" in factors else ""
    a, b = factors.get(f"{kind}A"), factors.get(f"{kind}B")
    if a is None or b is None:
        raise misfit("one of lora_A and lora_B is missing")
    if len(base.shape) != 2:
        raise misfit(f"the base has {base.name} of shape {base.shape}, which is not a matrix")
    rows, columns = reversed(base.shape) if kind else base.shape
    for tensor, shape in ((a, (scale.rank, columns)), (b, (rows, scale.rank))):
        if tensor.shape != shape or tensor.dtype not in FLOATS:
            raise misfit(
                f"tensor {tensor.name} holds {tensor.dtype} values of shape {tensor.shape}; "
                f"expected floats of shape {shape}"
            )

    def read() -> Values:
        update = _floats(b) @ _floats(a) * np.float32(scale.factor)
        return np.asarray(_floats(base) + (update.T if kind else update))

    return replace(base, file=f"{base.file} with {a.file}", read=read)


def _with_bias(base: StoredTensor, bias: StoredTensor, factor: float) -> StoredTensor:
    return replace(base, read=lambda: _floats(base) + _floats(bias) * np.float32(factor))


def _floats(tensor: StoredTensor) -> Values:
    return np.asarray(tensor.read(), dtype=np.float32)


def _misfit(adapter: Adapter, module: str, reason: str) -> CheckpointError:
    return CheckpointError(
        f"{adapter.folder}: the adapter of {module} does not fit: {reason}.",
        tip=Message("Name the base that was adapted with ", Argument("base"), "."),
    )


def _read_rank(fields: JsonObject, name: str) -> int:
    return fields.integer(name, low=1, high=65_536)


@dataclass(frozen=True, slots=True)
class _Scale:
    rank: int
    factor: float


class _Scales:
    """The rank and the scaling of every adapted module."""

    def __init__(self, config: JsonObject) -> None:
        self._rank = _read_rank(config, "r")
        self._alpha = config.number("lora_alpha")
        self._root = config.flag("use_rslora", False)
        ranks, alphas = config.object("rank_pattern", None), config.object("alpha_pattern", None)
        self._ranks = _by_pattern(ranks, _read_rank)
        self._alphas = _by_pattern(alphas, JsonObject.number)

    def of(self, module: str) -> _Scale:
        rank = int(_find(self._ranks, module, self._rank))
        alpha = _find(self._alphas, module, self._alpha)
        return _Scale(rank, alpha / (rank**0.5 if self._root else rank))


# What makes a search take time exponential in the length of a name, or a high power of it.
_SLOW = re.compile(r"\)[*+{]|(?:[*+{].*){5}", re.DOTALL)


def _by_pattern(values: JsonObject | None, read: Any) -> dict[re.Pattern[str], float]:
    """Compile the keys of a pattern option, which match the end of a module's name."""
    compiled: dict[re.Pattern[str], float] = {}
    if values is None:
        return compiled
    for key in values.values:
        try:
            if _SLOW.search(key):
                raise re.error("it repeats a group, or has more than four repetitions")
            pattern = re.compile(rf"(.*\.)?({key})$")
        except (re.error, RecursionError, OverflowError) as reason:
            raise values.fault(key, f"under a simple regular expression ({reason})") from reason
        compiled[pattern] = read(values, key)
    return compiled


def _find(patterns: Mapping[re.Pattern[str], float], module: str, default: float) -> float:
    matching = (value for pattern, value in patterns.items() if pattern.match(module))
    return next(matching, default)
