"""Tokenizing texts of any length, with tokenizers that fail."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from support import paths
from tokenizers import Tokenizer, pre_tokenizers

import albert_edge
from albert_edge.benchmark.memory import forget_peak, read_memory
from albert_edge.errors import BundleError, UsageError
from albert_edge.runtime.parameters import Cut
from albert_edge.runtime.text import TextEncoder
from albert_edge.validation.tokenizer_library import library_faults

LANGID = paths.ROOT / "models" / "langid-tiny" / "tokenizer.json"
CLS, SEP = 2, 3


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_long_pair_is_cut_in_little_memory(side: str) -> None:
    """All parts of one text were paired with those of the other: 5 GB for two texts of 75 kB."""
    tokenizer = Tokenizer.from_file(str(LANGID))
    texts = "the cat sat on the mat. " * 2000, "yes " * 2000
    encoder = TextEncoder(tokenizer, 10_000, side)
    forget_peak()
    before, _ = read_memory()
    ids = encoder.encoding(*texts, cut=Cut("longest_first", 503)).ids
    assert read_memory()[1] - before < 100
    whole = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    first, second = (part[:250] if side == "right" else part[-250:] for part in whole)
    assert ids == [CLS, *first, SEP, *second, SEP]


def test_what_the_library_raises_at_a_text_names_the_tokenizer() -> None:
    content = json.loads(LANGID.read_text(encoding="utf-8"))
    content["post_processor"]["special_tokens"].pop("[SEP]")
    encoder = TextEncoder(Tokenizer.from_str(json.dumps(content)), 512, place="a/tokenizer.json")
    with pytest.raises(BundleError, match=r"^a/tokenizer\.json fails on a text: ") as caught:
        encoder.encode("a")
    assert not isinstance(caught.value.__cause__, Exception)  # a panic


def test_an_interrupt_is_left_as_it_is() -> None:
    with pytest.raises(KeyboardInterrupt), library_faults("-", BundleError):
        raise KeyboardInterrupt


KEPT = paths.DATA / "bundles" / "schema2"


def with_file(name: str, content: object, folder: Path) -> Path:
    """A bundle with another file. The hashes match: whoever changes the file changes these too."""
    bundle = Path(shutil.copytree(KEPT, folder / "bundle"))
    changed = json.dumps(content).encode()
    (bundle / name).write_bytes(changed)
    manifest = json.loads((bundle / "albert_edge.json").read_text(encoding="utf-8"))
    for record in manifest["files"]:
        if record["file"] == name:
            record.update(sha256=hashlib.sha256(changed).hexdigest(), bytes=len(changed))
    (bundle / "albert_edge.json").write_text(json.dumps(manifest), encoding="utf-8")
    return bundle


@pytest.mark.parametrize(
    ("name", "value"),
    [("padding_side", "up"), ("truncation_side", "up"), ("model_max_length", -5)],
)
def test_settings_of_a_tokenizer_without_a_meaning_are_refused(
    name: str, value: object, tmp_path: Path
) -> None:
    settings = json.loads((KEPT / "tokenizer_config.json").read_text(encoding="utf-8"))
    bundle = with_file("tokenizer_config.json", {**settings, name: value}, tmp_path)
    with pytest.raises(BundleError, match=rf"tokenizer_config\.json: {name} should be"):
        albert_edge.pipeline(model=bundle)


def test_a_bundle_whose_tokenizer_could_crash_is_refused(tmp_path: Path) -> None:
    content = json.loads((KEPT / "tokenizer.json").read_text(encoding="utf-8"))
    content["post_processor"]["special_tokens"].popitem()
    folder = with_file("tokenizer.json", content, tmp_path)
    with pytest.raises(BundleError, match=r"tokenizer\.json: post_processor\.") as caught:
        albert_edge.pipeline(model=folder)
    assert str(folder) in str(caught.value)
    with pytest.raises(BundleError, match=r"tokenizer\.json: post_processor\."):
        albert_edge.pipeline(model=KEPT, tokenizer=folder)
    with pytest.raises(BundleError, match=r"tokenizer\.json: post_processor\."):
        albert_edge.bench(folder, shapes=[(1, 8)], rounds=1)


def test_a_tokenizer_in_place_of_the_bundles_is_checked() -> None:
    backend = Tokenizer.from_file(str(KEPT / "tokenizer.json"))
    given = SimpleNamespace(
        backend_tokenizer=backend,
        special_tokens_map={},
        model_max_length=16,
        truncation_side="right",
    )
    assert albert_edge.pipeline(model=KEPT, tokenizer=given)("a good film")
    backend.pre_tokenizer = pre_tokenizers.FixedLength(5)
    with pytest.raises(UsageError, match=r"tokenizer: pre_tokenizer\.type should be"):
        albert_edge.pipeline(model=KEPT, tokenizer=given)
