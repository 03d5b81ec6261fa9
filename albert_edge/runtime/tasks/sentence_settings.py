"""Read what sentence-transformers does with a text before the model: prompts, limits, lowercasing.

It reads the files and names of versions 1 to 6.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tokenizers import normalizers

from albert_edge.bundle.sentence_layout import MODEL_CONFIG, TRANSFORMER_CONFIG, SentenceFiles
from albert_edge.errors import UsageError
from albert_edge.json_fields import JsonObject
from albert_edge.runtime.text import TextEncoder

# The output of the transformer that modules after it read, and its name in transformers.
_OUTPUTS = {
    "feature-extraction": ("token_embeddings", "last_hidden_state"),
    "sequence-classification": ("scores", "logits"),
}
# Arguments of the tokenizer and of config.json, under the old and the new name.
_TOKENIZER_ARGUMENTS = ("tokenizer_args", "processor_kwargs")
_CONFIG_ARGUMENTS = ("config_args", "config_kwargs")
_TRUST = "trust_remote_code"  # an ALBERT has no code of its own


@dataclass(frozen=True, slots=True)
class Prompts:
    """Texts to put before a text.

    Attributes:
        texts: The prompts by name.
        default: The prompt of a call that does not choose one.
    """

    texts: Mapping[str, str] = field(default_factory=dict)
    default: str = ""

    def choose(self, prompt: object, name: object) -> str:
        """Return the prompt of a call.

        Args:
            prompt: The prompt itself, or None.
            name: The name of one, if `prompt` is None; or None for the default.

        Raises:
            UsageError: There is no prompt of this name, or `prompt` is not a text.
        """
        if prompt is None and name is None:
            return self.default
        if prompt is None:
            prompt = self.texts.get(str(name))
            if prompt is None:
                known = ", ".join(self.texts) or "none"
                raise UsageError(f"There is no prompt {name!r}.", tip=f"The model has: {known}.")
        if not isinstance(prompt, str):
            raise UsageError(f"prompt is {prompt!r}.", tip="It is a text.")
        return prompt


@dataclass(frozen=True, slots=True)
class TokenizerSettings:
    """What replaces the tokenizer's own settings.

    Attributes:
        max_seq_length: The most tokens a text may have, or None for the tokenizer's limit.
        do_lower_case: Whether texts are lowercased before the tokenizer's own steps.
    """

    max_seq_length: int | None = None
    do_lower_case: bool = False

    def apply(self, encoder: TextEncoder, positions: int) -> TextEncoder:
        """Return a tokenizer with these settings, for a model of so many positions."""
        if self.max_seq_length is not None:
            encoder = replace(encoder, max_length=min(self.max_seq_length, positions))
        if self.do_lower_case:
            _lower_first(encoder)
        return encoder


def read_prompts(files: SentenceFiles, *, always: tuple[str, ...] = ()) -> Prompts:
    """Read the prompts of a model.

    Args:
        files: The files of the model.
        always: Names of prompts that are empty texts if the model has none of that name.
    """
    settings = files.object(MODEL_CONFIG)
    prompts = dict.fromkeys(always, "")
    if saved := settings.object("prompts", None):
        for name in saved.values:
            prompt = saved.text(name, None)
            prompts[name] = prompt or ""
    default = settings.text("default_prompt_name", None)
    if default is None:
        return Prompts(prompts)
    if default not in prompts:
        raise settings.fault("default_prompt_name", f"one of {', '.join(prompts)}")
    return Prompts(prompts, prompts[default])


def read_tokenizer_settings(files: SentenceFiles, task: str) -> TokenizerSettings:
    """Read the settings of the transformer, and check that it makes the outputs of a task.

    Args:
        files: The files of the model.
        task: "feature-extraction" or "sequence-classification".
    """
    settings = files.object(TRANSFORMER_CONFIG)
    feature, output = _OUTPUTS[task]
    settings.require(
        transformer_task=task,
        module_output_name=feature,
        modality_config={"text": {"method": "forward", "method_output_name": output}},
        processing_kwargs={},
        query_length=None,
        document_length=None,
        query_expansion=None,
    )
    for name in _CONFIG_ARGUMENTS:
        if _arguments(settings, name).values:
            raise settings.fault(name, "empty, since they would change the model")
    length = settings.integer("max_seq_length", None, low=1)
    for name in _TOKENIZER_ARGUMENTS:
        arguments = _arguments(settings, name)
        length = arguments.integer("model_max_length", None, low=1) or length
        if arguments.values.keys() - {"model_max_length"}:
            raise settings.fault(name, "model_max_length only, other arguments are not supported")
    lowers = settings.flag("do_lower_case", None)
    return TokenizerSettings(length, do_lower_case=bool(lowers))


def _arguments(settings: JsonObject, name: str) -> JsonObject:
    arguments = settings.object(name, None)
    if arguments is None:
        return replace(settings, values={})
    values = {key: value for key, value in arguments.values.items() if key != _TRUST}
    return replace(arguments, values=values)


def _lower_first(encoder: TextEncoder) -> None:
    """Add lowercasing as the first step of a tokenizer that does not lowercase."""
    present = encoder.tokenizer.normalizer
    lower = normalizers.Lowercase()
    if present is None:
        encoder.tokenizer.normalizer = lower
        return
    steps = json.loads(present.__getstate__())
    if not any(step["type"] == "Lowercase" for step in steps.get("normalizers", [steps])):
        encoder.tokenizer.normalizer = normalizers.Sequence([lower, present])
