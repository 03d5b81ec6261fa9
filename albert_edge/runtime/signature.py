"""The arguments of transformers.pipeline and of its calls, and what becomes of each here.

The tables cover transformers 4.57 and 5. A name that only one of them takes works as it does there.
The parameters of albert-edge's own stand in the `TypedDict` of each task, as do the names that both
share; type checkers and editors see those only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from albert_edge.errors import UsageError
from albert_edge.runtime.conversions import (
    Given,
    device_of_map,
    device_of_number,
    precision_of_dtype,
    precision_of_torch_dtype,
    rename,
    return_all_scores,
    strategy_of_groups,
)
from albert_edge.runtime.parameters import require_known


@dataclass(frozen=True, slots=True)
class Handling:
    """How an argument is handled.

    Attributes:
        outcome: "used" under its own name; "converted" to other arguments; "no effect", if nothing
            depends on it here; or "refused" unless it is None or False.
        note: What it means here, or the reason.
        tip: What to do instead, if it is refused.
        convert: Makes the other arguments from its value and from all arguments that were given.
        entries: What becomes of its entries, if it is a dict of arguments. "converted" puts them
            among the other arguments, over which they have precedence.
    """

    outcome: Literal["used", "converted", "no effect", "refused"]
    note: str = ""
    tip: str = ""
    convert: Callable[[Any, Given], dict[str, Any]] | None = None
    entries: Mapping[str, Handling] | None = None


Table = Mapping[str, Handling]


def _used(note: str = "", entries: Table | None = None) -> Handling:
    return Handling("used", note, entries=entries)


def _converted(convert: Callable[[Any, Given], dict[str, Any]], note: str) -> Handling:
    return Handling("converted", note, convert=convert)


def _no_effect(note: str) -> Handling:
    return Handling("no effect", note)


def _refused(note: str, tip: str) -> Handling:
    return Handling("refused", note, tip)


def _all(handling: Handling, *names: str) -> dict[str, Handling]:
    return dict.fromkeys(names, handling)


_USED = _used()
_CODE = _refused(
    "albert-edge runs no code of a model repository or of transformers", "Leave it out."
)
_NO_HUB = _no_effect("a bundle is a local folder")
_TEXT_ONLY = _no_effect("texts need none")
_AT_EXPORT = _refused(
    "the weights were read at export", "Prepare the checkpoint with it and export that."
)

MODEL_KWARGS: Table = {
    **_all(_converted(precision_of_dtype, "`precision`"), "dtype", "torch_dtype"),
    "device_map": _converted(device_of_map, "`device`"),
    **_all(
        _NO_HUB,
        *("cache_dir", "force_download", "local_files_only", "mirror", "proxies"),
        *("resume_download", "revision", "token", "use_auth_token", "_commit_hash"),
    ),
    **_all(
        _no_effect("how torch loads, places and runs weights"),
        *("attn_implementation", "device_mesh", "disable_mmap", "distributed_config"),
        *("experts_implementation", "low_cpu_mem_usage", "max_memory", "offload_buffers"),
        *("offload_folder", "offload_state_dict", "tp_plan", "tp_size", "tqdm_class"),
        *("use_safetensors", "weights_only", "_fast_init"),
    ),
    **_all(
        _refused("a bundle's variants are its precisions", "Use albert_edge.quantize."),
        *("fusion_config", "load_in_4bit", "load_in_8bit", "quantization_config"),
    ),
    **_all(
        _AT_EXPORT,
        *("adapter_kwargs", "adapter_name", "config", "from_flax", "from_tf", "generation_config"),
        *("gguf_file", "ignore_mismatched_sizes", "key_mapping", "output_loading_info"),
        *("state_dict", "subfolder", "variant"),
    ),
    **_all(
        _CODE,
        *("allow_all_kernels", "code_revision", "kernel_config", "trust_remote_code"),
        "use_kernels",
    ),
}
"""The entries of model_kwargs."""

CONSTRUCTION: Table = {
    "task": _used("the name of a task; by default the one the bundle was exported for"),
    "model": _used("a bundle, or the path of its folder or packed file"),
    "config": _used("may repeat the bundle's labels and problem type, and not change them"),
    "tokenizer": _used("a fast tokenizer of transformers, or another bundle"),
    **_all(_TEXT_ONLY, "feature_extractor", "image_processor", "video_processor", "processor"),
    "framework": _no_effect("answers are Python objects and numpy arrays"),
    **_all(_NO_HUB, "revision", "token", "use_auth_token", "local_files_only", "_commit_hash"),
    "use_fast": _no_effect("tokenizers are always fast"),
    "device": _converted(
        device_of_number, "a name, a torch.device, or the number of a GPU: the CPU if there is none"
    ),
    "device_map": _converted(device_of_map, "`device`; several devices are refused"),
    "dtype": _converted(precision_of_dtype, "`precision`: float32 is fp32, float16 is fp16"),
    "torch_dtype": _converted(precision_of_torch_dtype, "as dtype, which has precedence"),
    "trust_remote_code": _CODE,
    "model_kwargs": Handling("converted", "its entries, see below", entries=MODEL_KWARGS),
    "pipeline_class": _CODE,
    "code_revision": _CODE,
    "args_parser": _CODE,
    "modelcard": _no_effect("nothing reads it"),
    "binary_output": _no_effect("answers are Python objects"),
    "batch_size": _used("without effect on a CPU"),
    "num_workers": _no_effect("`workers` is how many texts run at once"),
}
"""The arguments of transformers.pipeline, except parameters of calls, which it takes too."""

POSITIONAL = (
    *("task", "model", "config", "tokenizer", "feature_extractor", "image_processor", "processor"),
    *("framework", "revision", "use_fast", "token", "device", "device_map", "dtype"),
    *("trust_remote_code", "model_kwargs", "pipeline_class"),
)
"""Their order. That of transformers 5 differs only in two that have no effect here."""

_OUTPUT = _refused("the model does not take what the tokenizer would add", "Leave it out.")

_TOKENIZER: Table = {
    **_all(
        _used(),
        *("text_pair", "truncation", "max_length", "padding", "pad_to_multiple_of"),
        *("padding_side", "add_special_tokens", "is_split_into_words", "return_token_type_ids"),
        "return_attention_mask",
    ),
    "stride": _no_effect("there are no windows"),
    "verbose": _no_effect("the tokenizer prints nothing"),
    **_all(
        _OUTPUT,
        *("return_length", "return_offsets_mapping", "return_overflowing_tokens"),
        *("return_special_tokens_mask", "text_target", "text_pair_target", "max_target_length"),
    ),
    "return_tensors": _refused("the model takes numpy arrays", "Leave it out."),
    "split_special_tokens": _refused(
        "it is a property of the tokenizer", "Pass a tokenizer that was loaded with it."
    ),
}
TOKENIZER: Table = {
    **_TOKENIZER,
    "tokenizer_kwargs": Handling(
        "converted", "its entries, which have precedence", entries=_TOKENIZER
    ),
}
"""The arguments of a tokenizer's call, which a pipeline passes on."""

# transformers drops every keyword argument that these calls do not know. Arguments of the tokenizer
# have no effect there and here; other names are errors here.
_DROPPED = _all(_no_effect("as in transformers"), *TOKENIZER)
_INPUTS = _used("the items")
_ITEMS = _converted(rename("inputs"), "the items")

CALLS: Mapping[str, Table] = {
    "feature-extraction": {
        **_DROPPED,
        "inputs": _INPUTS,
        **_all(_used(), "truncation", "max_length", "return_tensors"),
        "tokenize_kwargs": Handling("converted", "its entries, see below", entries=TOKENIZER),
    },
    "fill-mask": {
        "inputs": _INPUTS,
        **_all(_used(), "top_k", "targets"),
        "tokenizer_kwargs": _used("its entries, see below", entries=TOKENIZER),
    },
    "question-answering": {
        **_DROPPED,
        "inputs": _INPUTS,
        **_all(_ITEMS, "X", "data"),
        **_all(
            _used(),
            *("question", "context", "top_k", "doc_stride", "max_seq_len", "max_answer_len"),
            *("max_question_len", "handle_impossible_answer", "align_to_words", "padding"),
        ),
        "topk": _converted(rename("top_k", replace=False), "`top_k`, which has precedence"),
    },
    "text-classification": {
        **TOKENIZER,
        "inputs": _INPUTS,
        **_all(_used(), "top_k", "function_to_apply"),
        "return_all_scores": _converted(
            return_all_scores,
            "True: all labels in the model's order; False: the best label. `top_k` has precedence",
        ),
    },
    "token-classification": {
        "inputs": _INPUTS,
        **_all(
            _used(),
            *("aggregation_strategy", "ignore_labels", "stride", "is_split_into_words"),
            *("delimiter", "offset_mapping"),
        ),
        "grouped_entities": _converted(
            strategy_of_groups, "`aggregation_strategy`: True is simple, False is none"
        ),
        "ignore_subwords": _converted(
            strategy_of_groups, "`aggregation_strategy`: first, together with grouped_entities=True"
        ),
    },
    "zero-shot-classification": {
        **_DROPPED,
        "inputs": _INPUTS,
        "sequences": _ITEMS,
        **_all(
            _used(),
            *("candidate_labels", "hypothesis_template", "multi_label"),
            *("truncation", "max_length"),
        ),
        "multi_class": _converted(
            rename("multi_label"), "`multi_label`, over which it has precedence"
        ),
    },
}
"""The arguments of a call, by task; tasks that transformers lacks are left out."""


def translate(what: str, table: Table, given: Given, beside: Given | None = None) -> dict[str, Any]:
    """Replace arguments of transformers by those of albert-edge.

    Args:
        what: What they are given to, for messages.
        table: What becomes of them. Arguments of other names are kept.
        given: The arguments of one call.
        beside: The other arguments of that call, if `given` is a dict among them.

    Raises:
        UnknownArgumentError: A dict of arguments has an entry that is not in its table.
        UsageError: An argument is refused, or contradicts another.
    """
    every = {**(beside or {}), **given}
    kept: dict[str, Any] = {}
    converted: dict[str, Any] = {}
    for name, value in given.items():
        handling = table.get(name, _USED)
        if handling.outcome == "refused" and value is not None and value is not False:
            raise UsageError(f"{what} does not take {name}: {handling.note}.", tip=handling.tip)
        if handling.entries is not None:
            value = _entries(name, value, handling.entries, given)
        if handling.outcome == "used":
            kept[name] = value
        elif handling.outcome == "converted":
            made = value if handling.convert is None else handling.convert(value, every)
            _require_agreement(what, converted, made)
            converted |= made
    return kept | converted


def _entries(name: str, value: Any, table: Table, beside: Given) -> dict[str, Any]:
    """Replace the entries of a dict of arguments, which was given beside others."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise UsageError(f"{name} is {value!r}.", tip="Give a dict of arguments.")
    require_known(name, value, table)
    return translate(name, table, value, beside)


def _require_agreement(what: str, made: Given, more: Given) -> None:
    for name in made.keys() & more.keys():
        if made[name] != more[name]:
            raise UsageError(
                f"{what} gets {name} twice: {made[name]!r} and {more[name]!r}.",
                tip="Leave out one of them.",
            )
