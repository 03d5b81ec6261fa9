"""Shared by tests: the page of examples/browser, its bundles, and a static host for both."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import albert_edge
from albert_edge.runtime.parameters import Cut
from albert_edge.runtime.self_test import SELF_TEST
from albert_edge.runtime.text import load_text_encoder
from support.checkpoints import change_config
from support.paths import ROOT
from support.quantizing import ANYTHING

SOURCE = ROOT / "examples" / "browser"
SHIPPED = ROOT / "models" / "langid-tiny"
NODE = shutil.which("node")
INSTALLED = ROOT / ".venv" / "npm"

needs_npm = pytest.mark.skipif(
    NODE is None or not (INSTALLED / "ready").exists(),
    reason="npm is not installed, or `make node` was not run, which installs what the page needs",
)

Item = dict[str, Any]

PRECISIONS = ("int8", "fp32")
TOLERANCE = {"int8": 1e-3, "fp32": 1e-4}
LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]

# What tokenizers and the web differ in: scripts, accents, emoji, white space, next to nothing.
HARD = [
    "Où est la gare de Zürich? ¿Dónde está? 车站在哪里?",
    "cafe\u0301 A\u030a ½ ﬁne № ™ ①",
    "👍🏽 ok 👩‍👩‍👧 ❤️ 🇨🇭",
    "tab\there\x07 new\nline\r\n\u200b end\u2028",
    "  leading  and   more  spaces ",
    "``quoted'' ''and'' \"so\"",
    "हिन्दी की और می‌خواهم 한국어 がぎぐ パン",
    "a [MASK] b[MASK]c <mask> d <pad> e <unk>",
    "Привет, мир! Γειά 1.234,56 €",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "\u00a0\u3000ideographic\u3000space\u00ad",
    "ǅ İ ı ß ẞ Ŀ ŉ ſ",
    "x" * 3 + "\u0300" * 9,
    "<script>alert('1')</script> & &amp; %20",
    ".",
    " ",
    "\t",
    "\u200b",
    "\x01",
    "0",
    "字",
    "👩",
]


def texts() -> list[Item]:
    """A hundred texts."""
    lines = (SHIPPED / "test.tsv").read_text(encoding="utf-8").splitlines()[1:]
    plain = [line.partition("\t")[0] for line in lines]
    draw = random.Random(0)
    mixed = [" ".join(draw.sample([*plain, *HARD], 2))[:300] for _ in range(28)]
    return [{"text": text} for text in [*HARD, *mixed, *draw.sample(plain, 50)]]


def pairs() -> list[Item]:
    """A hundred pairs of texts; that of an empty second text is the text alone."""
    items = [item["text"] for item in texts()]
    seconds = [*items[1:], ""]
    return [{"text": one, "text_pair": two} for one, two in zip(items, seconds, strict=True)]


def choices() -> list[Item]:
    """Prompts with two to four choices."""
    items = [item["text"] for item in texts()]
    return [{"prompt": items[at], "choices": items[at + 1 : at + 3 + at % 3]} for at in range(96)]


# --- bundles ----------------------------------------------------------------------------------


def write_bundle(folder: Path, head: str = "text-classification") -> Path:
    """The bundle of the model that ships, or of its encoder under another head, drawn at random."""
    source = SHIPPED
    if head != "text-classification":
        source = folder.parent / f"{folder.name}-checkpoint"
        shutil.copytree(SHIPPED, source)
        _replace_head(source, head)
    albert_edge.export(source, folder)
    albert_edge.quantize(folder, "int8", **ANYTHING)
    return folder


def _replace_head(folder: Path, head: str) -> None:
    draw = np.random.default_rng(1)

    def array(*shape: int) -> Any:
        return draw.normal(0, 0.3, shape).astype(np.float32)

    heads = {
        "token-classification": {"classifier.weight": array(5, 128), "classifier.bias": array(5)},
        "multiple-choice": {"classifier.weight": array(1, 128) / 2, "classifier.bias": array(1)},
        "pretraining": {
            "predictions.bias": array(4000),
            "predictions.dense.weight": array(64, 128),
            "predictions.dense.bias": array(64),
            "predictions.LayerNorm.weight": array(64),
            "predictions.LayerNorm.bias": array(64),
            "sop_classifier.classifier.weight": array(2, 128),
            "sop_classifier.classifier.bias": array(2),
        },
    }
    classes = {
        "token-classification": ("AlbertForTokenClassification", LABELS),
        "multiple-choice": ("AlbertForMultipleChoice", ["LABEL_0", "LABEL_1"]),
        "pretraining": ("AlbertForPreTraining", ["LABEL_0", "LABEL_1"]),
    }
    path = folder / "model.safetensors"
    weights = {name: value for name, value in load_file(path).items() if "classifier" not in name}
    save_file(weights | heads[head], path)
    name, labels = classes[head]
    numbered = {str(number): label for number, label in enumerate(labels)}
    label2id = {label: number for number, label in enumerate(labels)}
    change_config(folder, architectures=[name], id2label=numbered, label2id=label2id)


def edit_json(path: Path, **fields: Any) -> None:
    """Change fields of a JSON file."""
    content = json.loads(path.read_text(encoding="utf-8")) | fields
    path.write_text(json.dumps(content), encoding="utf-8")


def remove_self_test(bundle: Path) -> None:
    """Take the stored answers out of a bundle."""
    path = bundle / "albert_edge.json"
    files = json.loads(path.read_text(encoding="utf-8"))["files"]
    edit_json(path, files=[one for one in files if one["file"] != SELF_TEST])


def list_again(bundle: Path, name: str) -> None:
    """List a file as it is now in the manifest."""
    path = bundle / "albert_edge.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    content = (bundle / name).read_bytes()
    record = {"file": name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    of_models = [one for variant in manifest["variants"] for one in variant["files"]["model"]]
    known = [one for one in [*manifest["files"], *of_models] if one["file"] == name]
    for one in known or [manifest["files"].append(record) or record]:
        one |= record
    path.write_text(json.dumps(manifest), encoding="utf-8")


# --- the page ---------------------------------------------------------------------------------


def copy_sources(folder: Path) -> Path:
    """The sources as a user has them after `npm install`."""
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("node_modules", "site"))
    (folder / "node_modules").symlink_to(INSTALLED / "node_modules")
    return folder


def build_for_node(sources: Path, program: Path) -> Path:
    """Bundle a program with the sources as for a browser, and return what node runs.

    onnxruntime-web itself has files of its own for node.
    """
    shutil.copyfile(program, sources / program.name)
    built = sources / "built" / f"{program.stem}.mjs"
    run_node(
        sources,
        *("node_modules/esbuild/bin/esbuild", program.name, "--bundle", "--format=esm"),
        *("--external:node:*", "--external:onnxruntime-web", "--log-level=warning"),
        *("--alias:onnxruntime-web/webgpu=onnxruntime-web", "--define:process.release=undefined"),
        f"--outfile={built}",
    )
    return built


def run_node(folder: Path, *arguments: str | Path, stdin: str = "") -> str:
    """Run node in a folder, and return what it prints."""
    done = _node(folder, *arguments, stdin=stdin)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(sources: Path, bundle: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Build the page, or fail to."""
    return _node(sources, "build.mjs", bundle, out)


def _node(
    folder: Path, *arguments: str | Path, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(NODE), *arguments],
        cwd=folder,
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """A static host of a folder on loopback, as `python -m http.server` is; gives its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as host:
        thread = threading.Thread(target=host.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{host.server_port}/"
        finally:
            host.shutdown()
            thread.join()


# --- what Python answers ----------------------------------------------------------------------


def answer_in_python(bundle: Path, precision: str, items: list[Item], **given: Any) -> list[Any]:
    """What the runtime in Python answers to items, cut to the limit of the model."""
    with albert_edge.pipeline(model=bundle, precision=precision, threads=1, truncation=True) as ask:
        plain = [item["text"] if len(item) == 1 else item for item in items]
        return [ask.answer(item, **given) for item in plain]


def encode_in_python(bundle: Path, items: list[Item]) -> list[list[dict[str, Any]]]:
    """The token ids and types of each item, or of each of its choices."""
    encoder = load_text_encoder(albert_edge.open_bundle(bundle))
    found = []
    for item in items:
        first, second, *_ = *item.values(), None
        # As in Python, an empty second text is left out, but not an empty choice.
        seconds = second if isinstance(second, list) else [second or None]
        arrays = [encoder.encode(first, other, Cut("longest_first")) for other in seconds]
        found.append(
            [
                {"ids": one["input_ids"][0].tolist(), "types": one["token_type_ids"][0].tolist()}
                for one in arrays
            ]
        )
    return found


def compare_scores(found: list[Any], expected: list[Any], precision: str, *keys: str) -> None:
    """Check that answers have the same labels, best first, and scores within the tolerance.

    In int8 other processors round an activation to another integer now and then. Two answers of a
    hundred may show this in their scores, up to five times as much, and one of a thousand in its
    label where two labels are as close as that.
    """
    apart = []
    turned = 0
    for ours, theirs in zip(found, expected, strict=True):
        scores, expected_scores = (
            {tuple(entry[key] for key in keys): entry["score"] for entry in one}
            for one in (ours, theirs)
        )
        turned += next(iter(scores)) != next(iter(expected_scores))
        assert len(scores) == len(expected_scores) == 1 or scores.keys() == expected_scores.keys()
        pairs = [(ours[0]["score"], theirs[0]["score"])]
        pairs += [(scores[name], expected_scores[name]) for name in scores if len(scores) > 1]
        apart.append(max(abs(one - other) for one, other in pairs))
    beyond = [difference for difference in apart if difference > TOLERANCE[precision]]
    rounded = len(apart) if precision == "int8" else 0
    assert turned <= rounded // 1000, turned
    assert len(beyond) <= rounded // 50, beyond
    assert max(apart) <= 5 * TOLERANCE[precision]
