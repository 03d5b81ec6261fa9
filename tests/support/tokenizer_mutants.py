"""Tokenizer files as a stranger might damage them: structured mutations of good ones, by seed."""

from __future__ import annotations

import base64
import copy
import json
import struct
from collections.abc import Callable
from random import Random
from typing import Any

Content = dict[str, Any]
Mutate = Callable[[Random, Content], None]

EVIL_PATTERNS = [
    "(a+)+$",
    "(a|a)*b",
    "(.*)*x",
    " +$",
    "^ +| +$",
    r"(\s*)*x",
    "a*",
    "",
    "(?=a)",
    "(?:a?){64}a{64}",
    "a{100000}",
    "((a{99}){99}){99}",
    "[[:alpha:]]+|[[a-z]&&[^b]]",
    r"(?<n>a)\k<n>*",
    r"\g<0>",
    "(?i:" * 200 + ")" * 200,
    "[" + "a-z" * 100_000,
    "|".join(["a"] * 1000),
    "\ud800",
    ".{1,99}.{1,99}.{1,99}.{1,99}x",
]
_TYPES = [
    *("BertNormalizer", "Strip", "StripAccents", "NFC", "NFD", "NFKC", "NFKD", "Sequence"),
    *("Lowercase", "Nmt", "Precompiled", "Replace", "Prepend", "ByteLevel", "BertPreTokenizer"),
    *("CharDelimiterSplit", "Digits", "Metaspace", "Punctuation", "Split", "UnicodeScripts"),
    *("Whitespace", "WhitespaceSplit", "FixedLength", "BertProcessing", "RobertaProcessing"),
    *("TemplateProcessing", "BPEDecoder", "WordPiece", "CTC", "Fuse", "ByteFallback", "Unigram"),
    *("BPE", "WordLevel", "Delimiter", "Unknown"),
]


def mutant(content: Content, seed: int) -> str:
    """Return the text of a tokenizer.json that one to three mutations have changed."""
    random = Random(seed)
    content = copy.deepcopy(content)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        try:
            random.choice(_MUTATIONS)(random, content)
        except (LookupError, TypeError, AttributeError, ValueError):
            continue  # an earlier mutation took what this one changes
    text = json.dumps(content, ensure_ascii=random.random() < 0.5)
    if random.random() < 0.1:
        text = _damaged_text(random, text)
    return text


def damaged_json(content: Content, random: Random) -> Any:
    """Return an object with one to three values replaced, removed, renamed or copied."""
    content = copy.deepcopy(content)
    for _ in range(random.choice((1, 1, 2, 3))):
        try:
            random.choice((_replace, _replace, _delete, _rename, _copy_over))(random, content)
        except (LookupError, TypeError, AttributeError):
            continue
    return content


def damaged_bytes(content: bytes, random: Random) -> bytes:
    """Return a binary file with bits flipped, or a part of it cut out, doubled or overwritten."""
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 8))):
        start = random.randrange(len(changed) + 1)
        length = random.choice((1, 4, 100, len(changed) // 3))
        match random.randrange(6):
            case 0 if changed:
                changed[start % len(changed)] ^= 1 << random.randrange(8)
            case 1:
                del changed[start : start + length]
            case 2:
                changed[start:start] = changed[start : start + length]
            case 3:
                changed[start : start + length] = random.randbytes(length)
            case 4:
                changed[start : start + 4] = struct.pack(
                    "<I", random.choice((0, 1, 2**31, 2**32 - 1))
                )
            case _:
                del changed[start:]
    return bytes(changed)


def any_value(random: Random) -> Any:
    """Return a JSON value that hardly any field expects."""
    value: Any = random.choice(
        (
            *(None, True, False, 0, 1, -1, 1.5, -0.0, 2**31, 2**32, 2**63, 2**64, 10**400),
            *(1e308, -1e308, float("nan"), float("inf"), "", "a", "\0", "\ud800", "▁", "é", "ﷺ"),
            *([], {}, [[]], [None], {"": 0}, {"type": None}, "[UNK]", "Sequence", "(a+)+$"),
        )
    )
    match random.randrange(12):
        case 0:
            return "x" * random.choice((1000, 10**6))
        case 1:
            count = random.choice((2, 1000, 10**5))
            return [value] * (2 if value == 10**400 else count)  # not files of 40 MB
        case 2:
            for _ in range(random.choice((5, 100, 400))):
                value = random.choice(([value], {"a": value}))
    return value


def _place(random: Random, content: Any) -> tuple[Any, Any]:
    """Return a container and a key in it, near the root more often than in the vocabulary."""
    while True:
        keys = list(content) if isinstance(content, dict) else list(range(len(content)))
        key = random.choice(keys)
        child = content[key]
        if not isinstance(child, dict | list) or not child or random.random() < 0.3:
            return content, key
        content = child


def _replace(random: Random, content: Content) -> None:
    container, key = _place(random, content)
    container[key] = any_value(random)


def _delete(random: Random, content: Content) -> None:
    container, key = _place(random, content)
    del container[key]


def _rename(random: Random, content: Content) -> None:
    container, key = _place(random, content)
    container[random.choice(("type", "id", "content", "vocab", "new", ""))] = container.pop(key)


def _copy_over(random: Random, content: Content) -> None:
    """Put a value of the file in another place."""
    (container, key), (other, name) = _place(random, content), _place(random, content)
    container[key] = copy.deepcopy(other[name])


def _retype(random: Random, content: Content) -> None:
    parts = [part for part in _parts(content) if "type" in part]
    random.choice(parts)["type"] = random.choice(_TYPES)


def _parts(content: Any) -> list[Content]:
    """Return all objects but those of the vocabulary."""
    if isinstance(content, list):
        return [part for item in content[:100] for part in _parts(item)]
    if not isinstance(content, dict):
        return []
    inner = (part for key, item in content.items() if key != "vocab" for part in _parts(item))
    return [content, *inner]


def _nest(random: Random, content: Content) -> None:
    name = random.choice(("normalizer", "pre_tokenizer", "decoder", "post_processor"))
    field = {"normalizer": "normalizers", "pre_tokenizer": "pretokenizers"}.get(name, "decoders")
    part = content[name]
    for _ in range(random.choice((2, 10, 40, 100))):
        part = {"type": "Sequence", field: [part]}
    content[name] = part


def _step(random: Random, content: Content, step: Content) -> None:
    """Put a step into the normalizer."""
    present = content["normalizer"]
    steps = present["normalizers"] if present and "normalizers" in present else [present]
    steps = [step for step in steps if step]
    steps.insert(random.randrange(len(steps) + 1), step)
    content["normalizer"] = {"type": "Sequence", "normalizers": steps}


def _evil_pattern(random: Random, content: Content) -> None:
    kind = random.choice(("Regex", "Regex", "String"))
    pattern = {kind: random.choice(EVIL_PATTERNS)}
    if random.random() < 0.5:
        _step(random, content, {"type": "Replace", "pattern": pattern, "content": "b"})
        return
    split = {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}
    content["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [split, content["pre_tokenizer"]],
    }


def _growing(random: Random, content: Content) -> None:
    step = random.choice(
        (
            {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"},
            {"type": "Replace", "pattern": {"Regex": "."}, "content": "ﷺ"},
            {"type": "Replace", "pattern": {"String": ""}, "content": "x"},
            {"type": "Prepend", "prepend": "x" * random.choice((1, 32, 10**5))},
            {"type": "ByteLevel"},
            {"type": "NFKD"},
        )
    )
    other = {"type": random.choice(("NFKD", "NFKC", "NFC", "Lowercase"))}
    for _ in range(random.choice((1, 6, 32, 100))):
        _step(random, content, step)
        _step(random, content, other)


def _charsmap(random: Random, content: Content) -> None:
    steps = [part for part in _parts(content["normalizer"]) if "precompiled_charsmap" in part]
    if not steps:
        # One that makes "e" out of "é", in a single block of 256 units.
        units = [0] * 256
        units[0] = 1 << 10
        whole = struct.pack("<I", 1024) + struct.pack("<256I", *units) + b"e\0"
        steps = [{"type": "Precompiled", "precompiled_charsmap": base64.b64encode(whole).decode()}]
        _step(random, content, steps[0])
    whole = base64.b64decode(steps[0]["precompiled_charsmap"])
    size = min(int.from_bytes(whole[:4], "little"), len(whole) - 4) // 4 * 4
    match random.randrange(6):
        case 0:
            changed = struct.pack("<I", random.choice((0, 3, size + 4, 2**32 - 4))) + whole[4:]
        case 1:
            units = list(struct.unpack_from(f"<{size // 4}I", whole, 4))
            for _ in range(random.choice((1, 10, 1000))):
                units[random.randrange(len(units))] = random.getrandbits(32)
            changed = struct.pack(f"<{size // 4 + 1}I", size, *units) + whole[4 + size :]
        case 2:  # every unit leads back to the first block, and has a leaf
            units = [(at & 0xFF) | 1 << 8 for at in range(size // 4)]
            changed = struct.pack(f"<{size // 4 + 1}I", size, *units) + whole[4 + size :]
        case 3:
            changed = whole[: 4 + size] + b"\xed\xa0\x80" * random.choice((1, 1000))
        case 4:
            changed = whole[: 4 + size] + b"x" * random.choice((1, 10**5)) + b"\0"
        case _:
            changed = damaged_bytes(whole, random)
    text = base64.b64encode(changed).decode()
    steps[0]["precompiled_charsmap"] = random.choice((text, text, text, text[:-1], text + "\n"))


def _template(random: Random, content: Content) -> None:
    post = content["post_processor"]
    part = post[random.choice(("single", "pair"))]
    tokens = post["special_tokens"]
    token = tokens[random.choice(list(tokens))]
    match random.randrange(8):
        case 0:
            token["ids"] = [random.choice((2**32 - 1, 2**31, 30_000, -1, 2**40))]
        case 1:
            token[random.choice(("ids", "tokens"))] *= random.choice((0, 2, 1000))
        case 2:
            del tokens[random.choice(list(tokens))]
        case 3:
            part += part * random.choice((1, 10, 10_000))
        case 4:
            part.append({"Sequence": {"id": random.choice("ABC"), "type_id": 0}})
        case 5:
            next(iter(random.choice(part).values()))["type_id"] = random.choice(
                (7, 2**32 - 1, 2**32)
            )
        case 6:
            random.shuffle(part)
            part.pop()
        case _:
            content["post_processor"] = {"type": "Sequence", "processors": [post, post]}


def _vocabulary(random: Random, content: Content) -> None:
    model = content["model"]
    vocab = model["vocab"]
    if isinstance(vocab, list):
        _unigram_vocabulary(random, model, vocab)
        return
    keys = random.sample(sorted(vocab), 2)
    match random.randrange(8):
        case 0:
            vocab[keys[0]] = vocab[keys[1]]
        case 1:
            vocab[keys[0]] = random.choice((-1, 2**31, 2**32 - 1, 2**32, 1.5, None, "0", True))
        case 2:
            vocab["x" * random.choice((300, 10**6))] = vocab.pop(keys[0])
        case 3:
            ids = list(vocab.values())
            random.shuffle(ids)
            model["vocab"] = dict(zip(vocab, ids, strict=True))
        case 4:
            model["vocab"] = random.choice(({}, [], {keys[0]: 0}, None))
        case 5:
            model["max_input_chars_per_word"] = random.choice((0, 1, 10**6, 2**64 - 1, -1))
        case 6:
            model["unk_token"] = random.choice(("", "nope", keys[0]))
        case _:
            model["continuing_subword_prefix"] = random.choice(("", "#" * 10**6, "é"))


def _unigram_vocabulary(random: Random, model: Content, vocab: list[Any]) -> None:
    at, other = random.randrange(len(vocab)), random.randrange(len(vocab))
    match random.randrange(10):
        case 0:
            vocab[at][1] = random.choice((float("nan"), float("-inf"), 1e308, -1e308, "0", None))
        case 1:
            vocab[at][0] = random.choice(("", vocab[other][0], "\0", "\ud800", 5, None))
        case 2:
            vocab[at][0] = "x" * random.choice((257, 10**5, 10**6))
        case 3:
            length = random.choice((50, 250, 3000))
            vocab[:length] = [["a" * count, -1.0] for count in range(1, length + 1)]
        case 4:
            model["unk_id"] = random.choice((len(vocab), -1, 2**32, 2**64, None, at, 1.0))
        case 5:
            random.shuffle(vocab)
        case 6:
            vocab[:] = random.choice(([], vocab[:1], vocab * 3))
        case 7:
            model["byte_fallback"] = random.choice((True, 1, "true"))
        case 8:
            vocab[at] = random.choice(([], ["a"], ["a", 0.0, 0.0], "ab", {"a": 0, "b": 1}, None))
        case _:
            for entry in vocab[10:]:
                entry[0] = "".join(map(chr, random.choices(range(0x4E00, 0x9000), k=24)))


def _added(random: Random, content: Content) -> None:
    tokens = content["added_tokens"]
    token = random.choice(tokens)
    match random.randrange(8):
        case 0:
            token["id"] = random.choice((-1, 2**31, 2**32 - 1, 2**32, 10**6, 0, "0", None))
        case 1:
            token["content"] = random.choice(("", " ", "a", "\0", "\ud800", "x" * 10**6, 5, "é"))
        case 2:
            tokens += [copy.deepcopy(token) for _ in range(random.choice((1, 1000)))]
        case 3:
            count = random.choice((100, 20_000))
            width = random.choice((1, 1, 250))
            tokens += [
                {**token, "id": 10**5 + at, "content": f"<{at:0{width}}>"} for at in range(count)
            ]
        case 4:
            for each in tokens:
                each.update(dict.fromkeys(("lstrip", "rstrip", "single_word", "normalized"), True))
        case 5:
            token["content"] = random.choice(("a", "e", "▁"))
            token[random.choice(("lstrip", "rstrip", "single_word", "normalized"))] = True
        case 6:
            token[random.choice(("special", "normalized", "lstrip"))] = random.choice(
                (1, None, "x")
            )
        case _:
            content["added_tokens"] = random.choice(([], None, {}, tokens[::-1]))


def _lengths(random: Random, content: Content) -> None:
    length = random.choice((0, 1, 3, 512, 2**31, 2**63, 2**64 - 1, -1))
    content["truncation"] = {
        "direction": random.choice(("Left", "Right", "Up")),
        "max_length": length,
        "strategy": random.choice(("LongestFirst", "OnlyFirst", "OnlySecond", "x")),
        "stride": random.choice((0, 1, length, 2**64 - 1)),
    }
    content["padding"] = {
        "strategy": random.choice(("BatchLongest", {"Fixed": length}, {"Fixed": 10**12})),
        "direction": "Right",
        "pad_to_multiple_of": random.choice((None, 0, 8, 2**40)),
        "pad_id": random.choice((0, 2**32 - 1)),
        "pad_type_id": 0,
        "pad_token": random.choice(("[PAD]", "x" * 10**6)),
    }


def _damaged_text(random: Random, text: str) -> str:
    at = random.randrange(len(text))
    match random.randrange(7):
        case 0:
            return text[:at]
        case 1:
            return text[:at] + chr(random.randrange(0xD7FF)) + text[at + 1 :]
        case 2:
            return "\ufeff" + text
        case 3:
            return "[" * random.choice((200, 10**5)) + text
        case 4:
            return text[:-1] + ', "model": {"type": "WordLevel", "vocab": {}, "unk_token": "x"}}'
        case 5:
            return text.replace('"type":', '"type": "NFC", "type":', 1)
        case _:
            return text + random.choice(("\0", "x", "{}"))


_MUTATIONS: tuple[Mutate, ...] = (
    *(_replace, _replace, _delete, _rename, _copy_over, _retype, _nest, _evil_pattern, _growing),
    *(_charsmap, _charsmap, _template, _template, _vocabulary, _vocabulary, _added, _lengths),
)
