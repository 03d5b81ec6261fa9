"""transformers.js makes the same of a bundle's tokenizer files as the runtime does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support import web
from support.tokenizer_folders import FOLDERS, PAIRS, TEXTS, write_bundle

from albert_edge.checkpoint.tokenizer import TokenizerFiles, read_tokenizer

pytestmark = web.needs_npm

INPUTS = [*((text, None) for text in TEXTS), *((text, pair or None) for text, pair in PAIRS)]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TokenizerFiles]:
    """The tokenizer files of every folder, by where they were written."""
    root = tmp_path_factory.mktemp("bundles")
    written = {}
    for name, folder in FOLDERS.items():
        files = read_tokenizer(folder.write(root / "in" / name))
        assert files is not None
        written[str(write_bundle(files, root / name))] = files
    return written


@pytest.fixture(scope="module")
def encodings(
    bundles: dict[str, TokenizerFiles], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[Any]]:
    """What transformers.js makes of them, in one process."""
    sources = web.copy_sources(tmp_path_factory.mktemp("node") / "sources")
    program = web.build_for_node(sources, Path(__file__).with_name("tokenize.mjs"))
    order = json.dumps({"folders": list(bundles), "texts": INPUTS})
    answers: dict[str, list[Any]] = json.loads(web.run_node(sources, program, stdin=order))
    return {Path(folder).name: answer for folder, answer in answers.items()}


@pytest.mark.parametrize("name", FOLDERS)
def test_ids_and_types_equal(
    name: str, bundles: dict[str, TokenizerFiles], encodings: dict[str, list[Any]]
) -> None:
    if FOLDERS[name].in_javascript:
        pytest.skip(FOLDERS[name].in_javascript)
    [files] = (files for folder, files in bundles.items() if Path(folder).name == name)
    typed = any(files.tokenizer.encode("a", "b").type_ids)
    for (text, pair), theirs in zip(INPUTS, encodings[name], strict=True):
        ours = files.tokenizer.encode(text, pair)
        assert ours.ids == theirs["input_ids"], (text, pair)
        # Without types the model gets zeros, and so it does from ours.
        assert ("token_type_ids" in theirs) == typed
        assert not typed or ours.type_ids == theirs["token_type_ids"], (text, pair)
