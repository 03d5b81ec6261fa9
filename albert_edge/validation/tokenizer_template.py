"""The field "post_processor" of a tokenizer.json: which tokens are put around texts."""

from __future__ import annotations

from albert_edge.json_fields import JsonObject
from albert_edge.validation.tokenizer_models import require_known
from albert_edge.validation.tokenizer_parts import Step, flag, open_sequence, optional_flag

HIGHEST_TYPE = 255
_MOST_ADDED = 32  # tokens


def check_post_processor(tokenizer: JsonObject, vocab_size: int) -> int:
    """Check what is put around texts.

    Args:
        tokenizer: A tokenizer.json.
        vocab_size: The ids of tokens are below this.

    Returns:
        The most tokens that it adds to a text or a pair of texts.
    """
    part = tokenizer.object("post_processor", None)
    if part is None:
        return 0
    steps = [*open_sequence(part, "processors", _PROCESSORS)]
    frames = [step for step in steps if step.values["type"] != "ByteLevel"]
    # A second one would get one text that was made of two.
    if len(frames) > 1 or len(steps) > len(_PROCESSORS):
        raise tokenizer.fault("post_processor", "one step that puts tokens around texts")
    if not frames:
        return 0
    frame = frames[0]
    if frame.values["type"] == "TemplateProcessing":
        return _check_template(frame, vocab_size)
    for name in ("sep", "cls"):
        if not 0 <= frame.values[name][1] < vocab_size:
            raise frame.fault(name, f"a token with an id below {vocab_size:,}")
    return 4  # RobertaProcessing has two between the texts of a pair


def _check_template(frame: JsonObject, vocab_size: int) -> int:
    tokens = frame.object("special_tokens")
    counts: dict[str, int] = {}
    for name in tokens.values:
        token = tokens.object(name)
        require_known(token, ("id", "ids", "tokens"))
        token.choice("id", (name,))
        ids = token.integers("ids")
        if len(ids) != len(token.texts("tokens")) or not all(0 <= at < vocab_size for at in ids):
            raise token.fault("ids", f"an id below {vocab_size:,} for each of its tokens")
        counts[name] = len(ids)
    added = max(
        _check_layout(frame, name, texts, counts)
        for name, texts in (("single", ["A"]), ("pair", ["A", "B"]))
    )
    if added > _MOST_ADDED:
        raise frame.fault("special_tokens", f"at most {_MOST_ADDED} tokens around texts")
    return added


def _check_layout(frame: JsonObject, name: str, texts: list[str], counts: dict[str, int]) -> int:
    """Check one of the two layouts of a template; return how many tokens it adds."""
    sequences, added = [], 0
    for part in frame.objects(name):
        if len(part.values) != 1:
            raise frame.fault(name, "a list of special tokens and sequences")
        (kind,) = part.values
        require_known(part, ("SpecialToken", "Sequence"))
        value = part.object(kind)
        require_known(value, ("id", "type_id"))
        value.integer("type_id", low=0, high=HIGHEST_TYPE)
        if kind == "Sequence":
            sequences.append(value.choice("id", ("A", "B")))
        else:
            added += counts[value.choice("id", (*counts,))]
    if sorted(sequences) != texts:
        raise frame.fault(name, f"a template with {' and '.join(texts)} once")
    return added


def _token_and_id(part: JsonObject, name: str) -> None:
    match part.values.get(name):
        case [str(), bool()]:
            pass
        case [str(), int()]:
            return
    raise part.fault(name, "a token and its id")


def _anything(part: JsonObject, name: str) -> None:
    """Leave a field to `_check_template`."""


_AROUND = {"sep": _token_and_id, "cls": _token_and_id}
_PROCESSORS = {
    "BertProcessing": Step(_AROUND),
    "ByteLevel": Step(
        dict.fromkeys(("add_prefix_space", "trim_offsets", "use_regex"), optional_flag)
    ),
    "RobertaProcessing": Step({**_AROUND, "trim_offsets": flag, "add_prefix_space": flag}),
    "TemplateProcessing": Step(dict.fromkeys(("single", "pair", "special_tokens"), _anything)),
}
