"""Folders with quirks: ids and token types are those of transformers, before and after export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import transformers
from support.tokenizer_folders import FOLDERS, PAIRS, TEXTS, write_bundle

from albert_edge.checkpoint.tokenizer import TokenizerFiles, read_tokenizer

pytestmark = pytest.mark.reference

VERSION = int(transformers.__version__.split(".")[0])


def read(folder: Path) -> TokenizerFiles:
    files = read_tokenizer(folder)
    assert files is not None
    return files


def assert_same(files: TokenizerFiles, reference: Any, *, types: bool = True) -> None:
    """Compare the ids and token types of every text and pair."""
    for text, pair in [*((text, None) for text in TEXTS), *PAIRS]:
        ours = files.tokenizer.encode(text, pair or None)
        theirs = reference(text, pair or None)
        assert ours.ids == theirs["input_ids"], (text, pair)
        if types:
            zeros = [0] * len(ours.ids)  # what a model gets without types
            assert ours.type_ids == theirs.get("token_type_ids", zeros), (text, pair)


@pytest.mark.parametrize("name", FOLDERS)
def test_ids_and_types_equal_transformers(name: str, tmp_path: Path) -> None:
    folder = FOLDERS[name]
    reason = folder.in_4 if VERSION == 4 else folder.in_5
    if reason:
        pytest.skip(reason)
    path = folder.write(tmp_path)
    slow = name.startswith("spiece")  # as Google trained, see docs/checkpoints.md
    reference = transformers.AutoTokenizer.from_pretrained(path, use_fast=not slow)
    assert_same(read(path), reference, types=VERSION == 4 or folder.types_in_5)


@pytest.mark.parametrize("name", FOLDERS)
def test_transformers_reads_the_same_from_the_bundle(name: str, tmp_path: Path) -> None:
    files = read(FOLDERS[name].write(tmp_path / "in"))
    bundle = write_bundle(files, tmp_path / "out")
    assert_same(files, transformers.AutoTokenizer.from_pretrained(bundle))
    assert read(bundle) == files
