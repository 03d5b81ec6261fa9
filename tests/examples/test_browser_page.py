"""The page of examples/browser in headless Chromium, offline: it answers as Python does.

With UPDATE_SCREENSHOTS=1 the picture in the documentation is written again.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import web
from support.browser import needs_chromium
from support.devtools import Page, open_browser
from support.paths import ROOT
from support.web import PRECISIONS, needs_npm

import albert_edge
from albert_edge.runtime.self_test import SELF_TEST

pytestmark = [needs_npm, needs_chromium, pytest.mark.browser, pytest.mark.slow]

TEXTS, PAIRS = web.texts(), web.pairs()
# A field of a form has line ends of one kind.
ITEMS: list[web.Item] = json.loads(json.dumps(TEXTS + PAIRS).replace("\\r\\n", "\\n"))
PICTURE = ROOT / "docs" / "images" / "browser.png"

# Types items into the form, and returns what the page answers.
TYPE = """
(async () => {
  const form = document.querySelector("#ask");
  const answers = [];
  for (const item of ITEMS) {
    const answered = new Promise(done => form.addEventListener("answer", done, {once: true}));
    form.querySelector("#text").value = item.text ?? item.prompt;
    form.querySelector("#second").value = item.text_pair ?? (item.choices ?? []).join("\\n");
    form.dispatchEvent(new Event("input"));
    answers.push((await answered).detail);
  }
  return answers;
})()
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a static host has: the page, and three bundles beside it."""
    root = tmp_path_factory.mktemp("page")
    sources = web.copy_sources(root / "sources")
    bundle = web.write_bundle(root / "langid")
    web.run_node(sources, "build.mjs", bundle, root / "site")
    shutil.copytree(bundle, root / "site/tampered")
    _tamper(root / "site/tampered")
    web.remove_self_test(Path(shutil.copytree(bundle, root / "site/unchecked")))
    web.write_bundle(root / "site/entities", "token-classification")
    return root / "site"


def _tamper(bundle: Path) -> None:
    stored = json.loads((bundle / SELF_TEST).read_text(encoding="utf-8"))
    stored["outputs"]["model_quantized"][1]["logits"][0][0] += 0.3
    (bundle / SELF_TEST).write_text(json.dumps(stored), encoding="utf-8")
    web.list_again(bundle, SELF_TEST)


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    with web.serve(site) as address:
        yield address


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with open_browser(tmp_path_factory.mktemp("browser")) as page:
        yield page


def load(page: Page, address: str) -> str:
    """Open the page, wait until it is ready, and return its state."""
    page.requests.clear()
    page.console.clear()
    page.open(address)
    page.wait_for("document.documentElement.dataset.state !== 'loading'")
    state: str = page.evaluate("document.documentElement.dataset.state")
    return state


def facts(page: Page) -> dict[str, str]:
    rows: list[list[str]] = page.evaluate(
        "[...document.querySelectorAll('#facts div')]"
        ".map(row => [...row.children].map(cell => cell.textContent))"
    )
    return dict(rows)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("runtime", ["transformers.js", "albert-edge"])
def test_texts_and_pairs_equal(
    runtime: str, precision: str, page: Page, address: str, site: Path
) -> None:
    assert load(page, f"{address}?runtime={runtime}&precision={precision}") == "ready"
    assert len(ITEMS) == 200
    found = page.evaluate(TYPE.replace("ITEMS", json.dumps(ITEMS)))
    expected = web.answer_in_python(site / "bundle", precision, ITEMS, top_k=None)
    web.compare_scores(found, expected, precision, "label")
    about = facts(page)
    assert (about["runtime"], about["precision"]) == (runtime, precision)
    assert about["device"] == "wasm, threads: 1"
    assert re.match(r"[45] stored answers equal, largest difference \S+", about["self-test"])


def test_the_defaults_fetch_the_int8_file_and_nothing_from_elsewhere(
    page: Page, address: str
) -> None:
    assert load(page, address) == "ready"
    assert page.evaluate("document.querySelector('#status').textContent") == "Ready, and checked."
    names = [request.removeprefix(address) for request in page.requests]
    assert all(request.startswith(address) for request in page.requests)
    assert [name for name in names if name.endswith(".onnx")] == [
        "bundle/onnx/model_quantized.onnx"
    ]
    assert "ort-wasm-simd-threaded.wasm" in names
    assert facts(page)["runtime"] == "transformers.js"
    assert [line for line in page.console if "No available adapters" not in line] == []


def test_without_transformers_js_its_code_is_not_fetched(page: Page, address: str) -> None:
    assert load(page, f"{address}?runtime=albert-edge") == "ready"
    assert [name for name in page.requests if "transformers" in name] == []


def test_the_policy_forbids_other_hosts_and_code_in_the_page(page: Page, address: str) -> None:
    load(page, address)
    blocked = """fetch("http://127.0.0.1:9/x").then(() => "fetched", error => "blocked")"""
    assert page.evaluate(blocked) == "blocked"
    run = "try { new Function('1')(); 'ran' } catch (error) { error.name }"
    assert page.evaluate(run) == "EvalError"
    policy = (web.SOURCE / "index.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in policy and "unsafe-inline" not in policy
    assert "'unsafe-eval'" not in policy and "http:" not in policy and "https:" not in policy


def test_tokens_are_labelled(page: Page, address: str, site: Path) -> None:
    assert load(page, f"{address}?bundle=entities") == "ready"
    assert facts(page)["runtime"] == "albert-edge"
    items = ITEMS[: len(TEXTS)]
    found = page.evaluate(TYPE.replace("ITEMS", json.dumps(items)))
    expected = web.answer_in_python(site / "entities", "int8", items)
    assert [len(each) for each in found] == [len(each) for each in expected]
    web.compare_scores(
        [[entity] for each in found for entity in each],
        [[entity] for each in expected for entity in each],
        "int8",
        *("entity", "index"),
    )
    page.type("#text", "Anna wohnt in Berlin.")
    page.wait_for("document.querySelectorAll('#answer .entity').length > 0")


def test_a_text_is_typed_and_its_answer_read(page: Page, address: str) -> None:
    load(page, address)
    for text, label in (("Wo ist der Bahnhof?", "de"), ("Where is the station?", "en")):
        page.type("#text", text)
        page.wait_for(f"document.querySelector('#answer b')?.textContent === '{label}'")
    words = page.evaluate("document.querySelector('#answer').innerText").split("\n")
    assert words[0] == "en" and re.fullmatch(r"9\d\.\d %", words[1])
    assert re.fullmatch(r"[\d.]+ ms", page.evaluate("document.querySelector('#latency').innerText"))
    page.type("#text", "")
    page.wait_for("document.querySelector('#answer').children.length === 0")


def test_webgpu_answers_in_fp32(address: str, site: Path, tmp_path: Path) -> None:
    """On a GPU that Chromium emulates on the CPU, which the page takes only if it is told to."""
    with open_browser(tmp_path, webgpu=True) as page:
        page.open(f"{address}style.css")  # an address of the host, where pages may use WebGPU
        if not page.evaluate("navigator.gpu?.requestAdapter().then(Boolean) ?? false"):
            pytest.skip("this Chromium emulates no WebGPU")
        assert load(page, f"{address}?runtime=albert-edge&device=webgpu") == "ready"
        about = facts(page)
        assert (about["device"], about["precision"]) == ("webgpu", "fp32")
        assert "bundle/onnx/model.onnx" in [r.removeprefix(address) for r in page.requests]
        found = page.evaluate(TYPE.replace("ITEMS", json.dumps(ITEMS[:2])))
    expected = web.answer_in_python(site / "bundle", "fp32", ITEMS[:2], top_k=None)
    web.compare_scores(found, expected, "fp32", "label")


def test_a_bundle_without_answers_is_not_called_checked(page: Page, address: str) -> None:
    assert load(page, f"{address}?bundle=unchecked") == "unchecked"
    shown = page.evaluate("document.querySelector('#status').textContent")
    assert shown == "Ready, but not checked."
    assert facts(page)["self-test"].startswith("not checked: the bundle stores no answers")


# --- what the build refuses --------------------------------------------------------------------


def test_the_build_removes_nothing_without_a_bundle(site: Path) -> None:
    packed = site.parent / "langid.albert"
    albert_edge.pack(site / "bundle", packed)
    for name in (packed, site.parent / "missing"):
        done = web.build(site.parent / "sources", name, site)
        assert done.returncode == 2
        assert re.search("is not the folder of a bundle: .* albert-edge unpack", done.stderr)
    assert (site / "page.js").exists() and (site / "entities").exists()


def test_the_build_removes_no_folder_of_something_else(site: Path, tmp_path: Path) -> None:
    kept = tmp_path / "letter.txt"
    kept.write_text("Dear", encoding="utf-8")
    done = web.build(site.parent / "sources", site / "bundle", tmp_path)
    assert done.returncode == 2 and "no page.js of an earlier build" in done.stderr
    assert [*tmp_path.iterdir()] == [kept]


# --- what it refuses --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("bundle=tampered", "differs by 0.* in int8 on wasm. Try the other device, precision or"),
        ("bundle=tampered&runtime=albert-edge", "albert-edge computes something else here"),
        ("bundle=missing", "/missing/albert_edge.json could not be read: 404"),
        ("bundle=../etc", r"\.\./etc is not a folder beside this page"),
        ("device=webgpu", "cannot be run on webgpu: .*WebGPU is not available"),
        ("precision=fp16", "cannot be run in fp16"),
        ("runtime=torch", "torch is not a runtime of this page: it has transformers.js and"),
        ("bundle=entities&runtime=transformers.js", "transformers.js has no class for this model"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_answered(
    query: str, words: str, page: Page, address: str
) -> None:
    assert load(page, f"{address}?{query}") == "refused"
    assert re.search(words, page.evaluate("document.querySelector('#status').textContent"))
    assert page.evaluate("document.querySelector('#ask').checkVisibility()") is False


# --- how it looks -----------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "dark"), [(360, False), (1100, False), (360, True)])
def test_it_fits_the_screen(width: int, dark: bool, page: Page, address: str) -> None:
    page.resize(width, 720, dark=dark)
    load(page, address)
    page.type("#text", "Où est la gare de Zürich? " + "x" * 80)
    page.wait_for("document.querySelectorAll('#answer .label').length === 5")
    page.evaluate("document.querySelector('details').open = true")
    assert page.evaluate("innerWidth") == width
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(overflow) == 0
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    shade = sum(map(int, re.findall(r"\d+", background)[:3])) / 3
    assert (shade < 60) is dark
    assert page.evaluate("document.querySelector('#text-label').checkVisibility()")


def test_a_picture_of_it(page: Page, address: str) -> None:
    page.resize(720, 960)
    load(page, f"{address}?runtime=albert-edge")
    page.type("#text", "Wo ist der Bahnhof?")
    page.wait_for("document.querySelectorAll('#answer .label').length === 5")
    page.evaluate("document.querySelector('details').open = true; document.activeElement.blur()")
    picture = page.screenshot()
    assert picture.startswith(b"\x89PNG") and len(picture) > 10_000
    if os.environ.get("UPDATE_SCREENSHOTS"):
        PICTURE.write_bytes(picture)
