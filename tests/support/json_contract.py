"""A fixed script of command-line calls with --json, and what each printed.

Run as a program, it records: `python -m support.json_contract > data/json_contract.json` in
tests/, with the package of the commit to compare with on PYTHONPATH.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from support.checkpoints import make_model
from support.paths import DATA, ROOT

HEADS = {
    "answers": "question-answering",
    "choices": "multiple-choice",
    "features": "feature-extraction",
    "mask": "fill-mask",
    "tags": "token-classification",
    "order": "pretraining",
}

_QUESTION = '{"question": "Where is the station?", "context": "The station is in the old town."}'
_CHOICE = '{"prompt": "The sky is", "choices": ["blue.", "made of old green cheese."]}'
_ORDER = '{"text": "It rained.", "text_pair": "So we stayed at home."}'

# {name} stands for a checkpoint folder of HEADS; all other paths lie in the working folder.
CALLS = (
    "export langid-tiny langid",
    "export {answers} answers",
    "export {choices} choices --force",
    "export {features} features --task feature-extraction",
    "export {mask} mask --exporter native",
    "export {order} order",
    "export {tags} tags",
    "export langid-tiny langid --task auto",
    "export langid-tiny other --task nonsense",
    "export nobody/has-this-model",
    "optimize langid",
    "optimize langid --target portable --layout unrolled",
    "optimize mask --logits masked",
    "optimize langid --target tpu",
    "quantize langid",
    "quantize langid --precision int4 --min-agreement 0.5 --min-cosine 0.5",
    "quantize langid --precision fp16",
    "quantize langid --precision fp16 --target portable",
    "quantize langid --precision int8-block --texts texts.txt",
    "quantize langid --precision mixed --data labelled.tsv --max-drop 5",
    "quantize features --texts texts.txt --min-cosine 1 --precision int4",
    "quantize langid --precision int3",
    "quantize langid --max-drop 1",
    "predict langid|Where is the station?",
    "predict langid --top-k 3|Wo ist der Bahnhof?|¿Dónde está la estación?",
    "predict langid --input texts.txt --output answers.jsonl --workers 1",
    "predict langid --input labelled.tsv --precision int8 --threads 1 --truncate",
    f"predict answers|{_QUESTION}",
    "predict answers --parameter top_k=2 --parameter max_answer_len=5|" + _QUESTION,
    f"predict choices|{_CHOICE}",
    "predict features|A text",
    "predict features --task sentence-embeddings|A text",
    "predict mask --top-k 2|The [MASK] is old.",
    f"predict order --task sentence-order|{_ORDER}",
    "predict tags --parameter aggregation_strategy=simple|Where is the station?",
    "predict langid --task zero-shot-classification|A text",
    "predict langid --parameter nonsense=1|A text",
    "predict langid",
    "predict langid --device tpu|A text",
    "predict nowhere|A text",
    "evaluate langid labelled.tsv --precision fp32 --precision int8",
    "evaluate langid missing.tsv",
    "inspect langid",
    "inspect answers",
    "inspect langid --variant model --diff-variant model_optimized",
    "inspect answers --diff tags",
    "verify langid",
    "verify langid --against langid-tiny",
    "verify damaged",
    "doctor",
    "bench langid --shapes 1x8 --precision fp32 --rounds 1 --threads 1",
    "bench langid --shapes 0x8",
    "report langid --bench bench.json --output page.html",
    "demo",
    "nonsense",
)

VARIES = "<varies>"

# Measurements, hashes and facts of the machine: of these the structure is compared, not the value.
_VARIES = re.compile(
    r"(_ms|_s|_mb|per_s|sha256|seconds_saved|revision|tried|threads|affinity|quota|machine|memory"
    r"|findings|telemetry|packages|method|runtimes|onnxruntime|providers|extras|unsigned_weights)$"
)
# Their names depend on what is installed.
_FREE = ("installed", "packages", "missing", "providers")


@contextlib.contextmanager
def _working_folder() -> Iterator[Path]:
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        try:
            yield Path(name)
        finally:
            os.chdir(before)


def run_script() -> list[dict[str, Any]]:
    """Run every call; for each its command line, exit code and what it printed."""
    with _working_folder() as folder:
        checkpoints = dict(_make_checkpoints(folder))
        sentences = (DATA / "tokenizers" / "sentences.txt").read_text("utf-8").splitlines()
        Path("texts.txt").write_text("\n".join(sentences[:24]) + "\n", encoding="utf-8")
        held_out = ROOT / "models" / "langid-tiny" / "test.tsv"
        lines = held_out.read_text(encoding="utf-8").splitlines()
        Path("labelled.tsv").write_text("\n".join(lines[:41]) + "\n", encoding="utf-8")
        results = []
        for call in CALLS:
            options, *texts = call.split("|")
            arguments = [word.format(**checkpoints) for word in options.split(" ")] + texts
            if arguments[:2] == ["verify", "damaged"]:
                _damage(folder)
            code, out = _run([*arguments, "--json"])
            if arguments[0] == "bench" and code == 0:
                Path("bench.json").write_text(out, encoding="utf-8")
            results.append({"call": call, "code": code, "out": out.replace(str(folder), "FOLDER")})
        return results


def _make_checkpoints(folder: Path) -> Iterator[tuple[str, str]]:
    from transformers import AlbertTokenizerFast

    for name, head in HEADS.items():
        path = folder / "checkpoints" / name
        make_model(head, vocab_size=30_000).save_pretrained(path)
        # The fast tokenizer, as which a spiece.model alone was read before.
        AlbertTokenizerFast(str(DATA / "tokenizers" / "spiece.model")).save_pretrained(path)
        yield name, str(path)


def _damage(folder: Path) -> None:
    """Copy a bundle and flip a bit of its model."""
    import shutil

    shutil.copytree(folder / "langid", folder / "damaged")
    model = folder / "damaged" / "onnx" / "model.onnx"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)


def _run(arguments: list[str]) -> tuple[int, str]:
    """Run `main` in this process; its exit code and what it printed to stdout."""
    from albert_edge.cli.app import main

    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    code: Any = 0
    with (
        mock.patch.object(sys, "argv", ["albert-edge", *arguments]),
        mock.patch.object(sys, "stdout", out),
        mock.patch.object(sys, "stderr", io.StringIO()),
    ):
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
        out.seek(0)
        return int(code), out.read()


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf by its path, such as variants.0.file; what varies is named `VARIES`."""
    if _VARIES.search(path):
        value = _structure(value)
    children: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list):
        children = list(enumerate(value))
    if not children and path:
        yield path, value
    for key, child in children:
        yield from flat(child, f"{path}.{key}" if path else str(key))


def _structure(value: Any) -> Any:
    """The names of a value that varies, and of a list those of its first item."""
    if isinstance(value, dict):
        return {
            key: VARIES if key in _FREE and not isinstance(item, dict | str) else _structure(item)
            for key, item in value.items()
            if key not in _FREE or not isinstance(item, dict)
        }
    if isinstance(value, list):
        return [_structure(item) for item in value[:1]]
    return VARIES


def record() -> list[dict[str, Any]]:
    """What is kept of a run; a call that printed no whole document, as errors once did, has {}."""
    kept = []
    for result in run_script():
        try:
            document = json.loads(result.pop("out"))
        except ValueError:
            document = {}
        kept.append({**result, "document": dict(flat(document))})
    return kept


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    json.dump(record(), sys.stdout, indent=0, ensure_ascii=False)
    print()
