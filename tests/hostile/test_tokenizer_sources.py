"""Vocabularies and settings beside them: refused, or a tokenizer that the runtime loads."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from support.hostile import Row, failures, how_many, judge
from support.tokenizer_folders import FOLDERS
from support.tokenizer_mutants import any_value, damaged_bytes, damaged_json

from albert_edge.checkpoint.tokenizer import read_tokenizer
from albert_edge.errors import BundleError
from albert_edge.runtime.parameters import Cut
from albert_edge.runtime.text import TextEncoder
from albert_edge.validation.tokenizer_library import load_tokenizer

TEXTS = [
    "",
    "A good Hotel, isn't it? [MASK] e\u0301\u0323 天气 ﷺ\0\u200d",
    "a" * 3000 + " " * 3000 + "x" + "é" * 1000,
]
Folder = dict[str, bytes]


def decide(files: Folder) -> None:
    """Read a checkpoint's tokenizer as export does, then load and use it as the runtime does."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in files.items():
            (folder / file).write_bytes(content)
        read = read_tokenizer(folder)
    if read is None:
        return
    tokenizer = load_tokenizer(read.tokenizer_json, "-", partial(BundleError, tip=""))
    encoder = TextEncoder(tokenizer, 512)
    for text in TEXTS:
        encoder.encoding(text, TEXTS[1], cut=Cut("longest_first", 512))
    json.dumps([read.tokenizer_config, read.special_tokens_map]).encode()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Folder]:
    """The files of good folders by name."""
    root = tmp_path_factory.mktemp("folders")
    return {
        name: {path.name: path.read_bytes() for path in folder.write(root / name).iterdir()}
        for name, folder in FOLDERS.items()
    }


def with_damaged_file(folder: Folder, file: str, seed: int) -> Folder:
    return {**folder, file: damaged_bytes(folder[file], Random(seed))}


def with_damaged_fields(folder: Folder, seed: int) -> Folder:
    """Change fields of the JSON files beside a vocabulary, or lines of vocab.txt."""
    random = Random(seed)
    names = [name for name in folder if name not in ("tokenizer.json", "spiece.model")]
    name = random.choice(names)
    if name == "vocab.txt":
        return with_damaged_file(folder, name, seed)
    content = json.loads(folder[name])
    if random.random() < 0.5:
        content[random.choice(FIELDS)] = any_value(random)
    text = json.dumps(damaged_json(content, random))
    return {**folder, name: text.encode("utf-8", "surrogatepass")}


FIELDS = [
    *("tokenizer_class", "added_tokens_decoder", "additional_special_tokens", "mask_token"),
    *("extra_special_tokens", "cls_token", "sep_token", "pad_token", "unk_token", "do_lower_case"),
    *("keep_accents", "model_max_length", "truncation_side", "model_input_names", "max_len"),
    *("strip_accents", "vocab_size", "auto_map", "max_position_embeddings", "backend"),
]


def test_spiece(folders: dict[str, Folder], report: Callable[[Row], None]) -> None:
    english, small = folders["spiece-english"], folders["spiece-bare"]
    cases: list[tuple[str, Any]] = [("english", english), ("small", small)]
    for seed in range(how_many(30, 500)):
        folder = english if seed % 10 == 0 else small
        cases.append((str(seed), partial(with_damaged_file, folder, "spiece.model", seed)))
    verdicts = judge(decide, cases, seconds=4, mib=64 + 100)
    report(Row.of("A damaged spiece.model is refused, or gives a tokenizer that loads", verdicts))
    assert [verdict.outcome for verdict in verdicts[:2]] == ["accepted"] * 2
    assert not failures(verdicts)


def test_settings(folders: dict[str, Folder], report: Callable[[Row], None]) -> None:
    usable = {name: files for name, files in folders.items() if "english" not in name}
    names = sorted(name for name in usable if "chinese" not in name)
    cases: list[tuple[str, Any]] = [(name, folders[name]) for name in names[:: how_many(10, 1)]]
    good = len(cases)
    for seed in range(how_many(50, 1200)):
        name = names[seed % len(names)]
        cases.append((f"{name} {seed}", partial(with_damaged_fields, folders[name], seed)))
    verdicts = judge(decide, cases, mib=64 + 32)
    report(
        Row.of(
            "A malformed tokenizer_config.json or vocab.txt is refused, or does no harm", verdicts
        )
    )
    assert [verdict.outcome for verdict in verdicts[:good]] == ["accepted"] * good
    assert not failures(verdicts)
