"""Other programs open the files of a bundle: the table of docs/neighbours.md, cell by cell.

The code below the table is what runs here, with another bundle and another file in its place.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from support.paths import ROOT

import albert_edge
from albert_edge.compress.options import Compression, Fp16, Int4, Int8, Int8Block
from albert_edge.runtime.saturation import adds_signed_weights_exactly
from albert_edge.runtime.session import Session

fastembed = pytest.importorskip("fastembed", exc_type=ImportError)

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs" / "neighbours.md"
SCRIPT = ROOT / "tests" / "project" / "neighbours.mjs"
MODULES = ROOT / ".venv" / "npm" / "node_modules"
TOLERANCE, TOLERANCE_OF_INTEGERS = 1e-4, 0.02  # as the page says

Vectors = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class File:
    """A file of a bundle, a row of the table."""

    name: str
    about: str
    variant: str
    unsigned: bool = False

    @property
    def precision(self) -> str:
        return self.about.split(",")[0]


FILES = (
    File("model.onnx", "fp32, portable", "model"),
    File("model_optimized.onnx", "fp32", "model_optimized"),
    File("model_quantized.onnx", "int8, signed weights", "model_quantized"),
    File("model_quantized.onnx", "int8, unsigned weights", "model_quantized", unsigned=True),
    File("model_int8_block.onnx", "int8-block", "model_int8_block"),
    File("model_q4.onnx", "int4", "model_q4"),
    File("model_fp16.onnx", "fp16, portable", "model_fp16"),
)
EQUAL, WITH_VNNI, SAME_LABELS = "equal", "equal with VNNI", "same labels, within 0.05"
INTEGER, BLOCKS = "lacks MatMulIntegerToFloat", "lacks MatMulNBits"
WITH_ONNXRUNTIME = (EQUAL, EQUAL, WITH_VNNI, EQUAL, WITH_VNNI, EQUAL, EQUAL)
# What each neighbour does with each of the files.
CELLS: dict[str, tuple[str, ...]] = {
    "optimum": WITH_ONNXRUNTIME,
    "sentence-transformers": WITH_ONNXRUNTIME,
    "fastembed": WITH_ONNXRUNTIME,
    "transformers.js on WebAssembly": (EQUAL,) * 7,
    "OpenVINO on a CPU": (EQUAL, EQUAL, EQUAL, EQUAL, EQUAL, SAME_LABELS, EQUAL),
    "onnx.reference": (EQUAL, EQUAL, INTEGER, INTEGER, BLOCKS, BLOCKS, EQUAL),
}
JAVASCRIPT = "transformers.js on WebAssembly"
EMBEDS = ("sentence-transformers", "fastembed")
SAME_KERNELS = ("optimum", *EMBEDS)  # those of onnxruntime on this CPU
COMPRESSIONS: tuple[Compression, ...] = (Int8(), Int8Block(), Int4(), Fp16(target="portable"))


def sections() -> dict[str, str]:
    """The text below each heading of the page."""
    first, *rest = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {"": first, **dict(part.split("\n", 1) for part in rest)}


def python(text: str) -> str:
    (block,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return str(block)


def run(code: str, **names: Any) -> dict[str, Any]:
    """Run Python code, and return the names it defines."""
    exec(compile(code, str(PAGE), "exec"), names)
    return names


SECTIONS = sections()
TEXTS: list[str] = run(python(SECTIONS[""]))["texts"]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundles of the page, with all the files, and each once more with unsigned weights."""
    folder = tmp_path_factory.mktemp("neighbours")
    for name, task in (("langid", "auto"), ("sentences", "feature-extraction")):
        bundle = folder / name
        albert_edge.export("langid-tiny", bundle, task=task)
        albert_edge.optimize(bundle)
        quantize(bundle, *COMPRESSIONS)
        quantize(
            Path(shutil.copytree(bundle, folder / f"{name}-unsigned")), Int8(weights="unsigned")
        )
    return folder


def quantize(bundle: Path, *compressions: Compression) -> None:
    for compression in compressions:
        albert_edge.quantize(bundle, compression, texts=TEXTS, min_agreement=0, min_cosine=0)


def bundle_of(bundles: Path, name: str, file: File) -> Path:
    return bundles / (f"{name}-unsigned" if file.unsigned else name)


def expected(bundle: Path, variant: str) -> Vectors:
    """Logits, or mean token vectors of length 1, as the runtime of this package gives them."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    rows = []
    with Session(bundle, device="cpu", variant=variant) as session:
        for text in TEXTS:
            outputs = session.run({"input_ids": [tokenizer.encode(text).ids]})
            if "logits" in outputs:
                rows.append(outputs["logits"][0])
            else:
                mean = outputs["last_hidden_state"][0].mean(axis=0)
                rows.append(mean / np.linalg.norm(mean))
    return np.array(rows, np.float64)


def answer(neighbour: str, bundles: Path, file: File) -> Vectors:
    """Run the code of the page with a bundle and a file."""
    code = python(SECTIONS[neighbour]).replace("model.onnx", file.name)
    for name in ("langid", "sentences"):
        path = bundle_of(bundles, name, file)
        code = re.sub(rf'"{name}(?=["/])', f'"{path}', code)
    return np.array(run(code, texts=TEXTS)["answers"], np.float64)


def assert_equal(found: Vectors, ours: Vectors, tolerance: float) -> None:
    assert found.shape == ours.shape
    assert (found.argmax(axis=1) == ours.argmax(axis=1)).all()
    assert np.abs(found - ours).max() / max(1.0, np.abs(ours).max()) <= tolerance


def tolerance(neighbour: str, file: File, cell: str = EQUAL) -> float:
    if cell == WITH_VNNI and not adds_signed_weights_exactly():
        return np.inf  # tests/emulation/test_trained_model.py says by how much these are off
    if cell == SAME_LABELS:
        return 0.05
    is_exact = neighbour in SAME_KERNELS or file.precision == "fp32"
    return TOLERANCE if is_exact else TOLERANCE_OF_INTEGERS


def cells() -> Iterator[Any]:
    """Yield neighbour, file and cell."""
    for neighbour, row in CELLS.items():
        for file, cell in zip(FILES, row, strict=True):
            if neighbour != JAVASCRIPT:
                yield pytest.param(neighbour, file, cell, id=f"{neighbour}-{file.about}")


@pytest.mark.parametrize(("neighbour", "file", "cell"), [*cells()])
def test_a_cell_of_the_table(neighbour: str, file: File, cell: str, bundles: Path) -> None:
    if cell.startswith("lacks "):
        with pytest.raises(NotImplementedError, match=cell.removeprefix("lacks ")):
            answer(neighbour, bundles, file)
        return
    bundle = bundle_of(bundles, "sentences" if neighbour in EMBEDS else "langid", file)
    found, ours = answer(neighbour, bundles, file), expected(bundle, file.variant)
    assert_equal(found, ours, tolerance(neighbour, file, cell))


def options(file: File) -> Any:
    """What the page says to give transformers.js for a file."""
    (found,) = re.findall(rf"^\| `{file.name}` \| `(.*)` \|$", SECTIONS[JAVASCRIPT], re.MULTILINE)
    return json.loads(found)


def test_the_column_of_transformers_js(bundles: Path) -> None:
    node = shutil.which("node")
    if node is None or not (MODULES.parent / "ready").exists():
        pytest.skip("`make node` installs transformers.js")
    models = [(str(bundle_of(bundles, "langid", file)), options(file)) for file in FILES]
    done = subprocess.run(
        [node, SCRIPT, MODULES],
        input=json.dumps({"texts": TEXTS, "models": models}),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    labels = [str(label) for label in albert_edge.open_bundle(models[0][0]).manifest.labels]
    for file, found in zip(FILES, json.loads(done.stdout), strict=True):
        assert isinstance(found, list), f"{file.name}: {found}"
        scores = np.log([[score[label] for label in labels] for score in found])
        logits = expected(bundle_of(bundles, "langid", file), file.variant)
        ours = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        assert_equal(scores, ours, tolerance(JAVASCRIPT, file))


def test_other_answers_are_not_equal(bundles: Path) -> None:
    """That the cells above would notice another file."""
    fp32 = expected(bundles / "langid", "model")
    for file in FILES[2:]:
        other = expected(bundle_of(bundles, "langid", file), file.variant)
        with pytest.raises(AssertionError):
            assert_equal(other, fp32, TOLERANCE)
    with pytest.raises(AssertionError):
        assert_equal(fp32 + 0.2, fp32, TOLERANCE_OF_INTEGERS)


def test_fastembed_does_not_know_the_model_itself() -> None:
    with pytest.raises(ValueError, match="not supported"):
        fastembed.TextEmbedding("albert-edge/langid-tiny")


def test_the_page_has_this_table() -> None:
    head, _, *rows = re.findall(r"^\|(.*)\|$", SECTIONS[""], re.MULTILINE)
    table = [[cell.strip() for cell in line.split("|")] for line in (head, *rows)]
    names = [f"`{file.name}` ({file.about})" for file in FILES]
    assert table == [["file", *CELLS], *map(list, zip(names, *CELLS.values(), strict=True))]
    assert list(SECTIONS)[1:] == list(CELLS)
