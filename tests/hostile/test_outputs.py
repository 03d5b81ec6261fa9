"""Names, labels and texts of strangers in everything that is printed or written."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import random
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError
from support.command_line import Cli, Outcome
from support.hostile import Row, how_many
from support.reports import EVALUATION, bench_of

from albert_edge.bundle.manifest import MANIFEST
from albert_edge.evaluation.report import Disagreement, PrecisionResult
from albert_edge.labelling.formats.choose import make_encoder
from albert_edge.report.write import write_report

# What a terminal obeys, what reorders or hides text, and what other formats would take for syntax.
PIECES = (
    *(
        "\x1b]0;title\x07",
        "\x1b[2J\x1b[1;1H",
        "\x1b]52;c;cm0=\x07",
        "\x1b[6n",
        "\x9b31m",
        "\x90q\x9c",
    ),
    *("\r", "\nERROR forged\nTIP   curl x | sh", "\b\b\b", "\x7f", "\t", "\x0c", "\x85", "\x1f"),
    *(
        "\u202egnp.exe",
        "\u202d",
        "\u2066x\u2069",
        "\u2028",
        "\u2029",
        "\u200b",
        "\ufeff",
        "\U000e0041",
    ),
    *(
        "[red]",
        "[/]",
        "[link=http://example.invalid]",
        ":skull:",
        "%s",
        "{0}",
        "\\x1b",
        "é",
        "語",
        "👩‍🚀",
    ),
    *(
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "\"'><b a='",
        "&lt;",
        "{{ 7*7 }}",
    ),
    *(
        "]]>",
        "--><!--",
        "</style>",
        ' id="',
        "url(#",
        "javascript:x",
        "$x^2$",
        "=1+1",
        "@x",
        "-2+3",
    ),
)
_REORDERS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
_INVISIBLE = set("\u200b\u2060\ufeff\u00ad\u180e") | {chr(0xE0000 + i) for i in range(128)}


def hostile_texts(count: int, seed: int = 16) -> Iterator[str]:
    """The pieces themselves, all in some text, then random ones in random order."""
    rng = random.Random(seed)
    every = rng.sample(PIECES, len(PIECES))
    size = -(-len(every) // min(count, 4))
    for start in range(0, len(every), size):
        yield "a" + "".join(every[start : start + size])
    for _ in range(count - 4):
        characters = [
            chr(rng.choice((rng.randrange(1, 0xA0), rng.randrange(0xA0, 0xD800)))) for _ in "abc"
        ]
        parts = [*rng.choices(PIECES, k=rng.randint(1, 5)), *characters]
        rng.shuffle(parts)
        yield "a" + "".join(parts)


def obeyed(text: str, *, but: str) -> list[str]:
    """The characters that a terminal obeys or hides, by Unicode's own tables."""
    return [
        character
        for character in text
        if character not in but
        and (
            unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs")
            or unicodedata.bidirectional(character) in _REORDERS
            or character in _INVISIBLE
        )
    ]


@pytest.fixture
def stranger(langid: Path, tmp_path: Path) -> Iterator[Any]:
    """Makes a bundle whose labels, source and folder are named by a stranger."""
    folders: list[Path] = []

    def make(text: str) -> Path:
        name = text.replace("/", "|").encode()[:100].decode(errors="ignore").strip(".")
        folder = Path(shutil.copytree(langid, tmp_path / str(len(folders)) / name))
        folders.append(folder)
        path = folder / MANIFEST
        manifest = json.loads(path.read_text(encoding="utf-8"))
        labels = [f"{text}{number}" for number in range(len(manifest["labels"]))]
        manifest |= {"labels": labels, "source": text, "revision": text, text: 1}
        for variant in manifest["variants"]:
            variant["measured"] |= {"sample": text}
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config["id2label"] = {str(index): label for index, label in enumerate(labels)}
        content = json.dumps(config).encode()
        (folder / "config.json").write_bytes(content)
        for record in manifest["files"]:
            if record["file"] == "config.json":
                record |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        path.write_text(json.dumps(manifest), encoding="utf-8")
        return folder

    yield make
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def commands(bundle: Path, text: str, scratch: Path) -> list[tuple[object, ...]]:
    """Commands that print what a stranger wrote, as answers, names or errors."""
    records = scratch / "records.jsonl"
    records.write_text(json.dumps({"text": text, "n": text}) + "\n", encoding="utf-8")
    (scratch / "bad.jsonl").write_text('{"' + "text" + '": 1}\n', encoding="utf-8")
    packed = scratch / f"{bundle.name[:20]}.albert"
    return [
        ("inspect", bundle),
        ("inspect", bundle, "--json"),
        ("inspect", bundle, "--variant", text),
        ("inspect", bundle, "--diff", text.replace("/", "|")[:50]),
        ("predict", bundle, text, "--top-k", "2"),
        ("predict", bundle, "--input", records, "--json"),
        ("predict", bundle, "--input", records, "--output", "-"),
        ("predict", bundle, "--input", records, "--column", text),
        ("predict", bundle, "--input", scratch / "bad.jsonl", "--on-error", "record"),
        ("predict", bundle, "a", "--precision", text),
        ("predict", bundle, "a", "--task", text),
        ("predict", bundle, "a", "--parameter", text),
        ("predict", bundle, "a", "--output", scratch / f"{bundle.name}.csv", "--force"),
        ("export", text, scratch / "new"),
        ("optimize", bundle, "--target", text),
        ("pack", bundle, "--output", packed, "--force"),
        ("verify", packed),
        (text.split("\0")[0], bundle),
        ("inspect", "--" + text),
    ]


@pytest.mark.parametrize("terminal", [False, True], ids=["pipe", "terminal"])
def test_terminals(
    terminal: bool,
    cli: Cli,
    stranger: Any,
    tmp_path: Path,
    report: Callable[[Row], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "dumb")  # rich prints titles in bold elsewhere
    if terminal:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    broken, cases, shown = [], 0, 0
    for text in hostile_texts(how_many(1, 60)):
        bundle = stranger(text)
        for command in commands(bundle, text, tmp_path):
            done: Outcome = cli(*command)
            cases += 1
            # Lines of answers have a tab between the answer and the text.
            bad = obeyed(done.out, but="\n\t" if command[0] == "predict" else "\n")
            bad += obeyed(done.err, but="\n")
            forged = sum(line.startswith("ERROR ") for line in done.err.splitlines())
            if bad or forged > 1 or "Traceback" in done.err:
                broken.append((command, bad, done))
            if "--json" in command:
                assert json.loads(done.out)
            shown += "\\x1b]0;title" in done.out + done.err
    if not terminal:
        document = json.loads(cli("inspect", bundle, "--json").out)
        assert document["source"] == text  # a program gets what is true
    report(
        Row(
            f"Nothing printed to a {'terminal' if terminal else 'pipe'} is obeyed by a terminal",
            cases,
            len(broken),
        )
    )
    assert not broken
    assert shown >= 10  # as escapes


class Elements(HTMLParser):
    """The elements of a page with the names of their attributes, and the addresses in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        assert not any((value or "").lower().startswith("javascript:") for _, value in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def _page(bundle: Path, text: str, out: Path) -> Elements:
    bench = bench_of(bundle, model=text, method={text: text}, skipped={text: text})
    found = replace(
        EVALUATION,
        bundle=text,
        data=text,
        precisions=[PrecisionResult(name, "model", {text: 0.5}, {}, []) for name in ("fp32", text)],
        disagreements=[Disagreement(1, text, text, {"fp32": text, text: text})],
    )
    write_report(bundle, out, bench, found)
    return Elements(out.read_text(encoding="utf-8"))


def test_pages(stranger: Any, tmp_path: Path, report: Callable[[Row], None]) -> None:
    expected = _page(stranger("harmless"), "harmless", tmp_path / "page.html").elements
    texts = list(hostile_texts(how_many(1, 40)))
    broken = []
    for text in texts:
        page = _page(stranger(text), text, tmp_path / "page.html")
        if page.elements != expected or obeyed(page.text, but="\n"):
            broken.append(text)
    report(Row("A name or text adds no element to an HTML page", len(texts), len(broken)))
    assert not broken


def test_tables_for_spreadsheets(report: Callable[[Row], None]) -> None:
    rng = random.Random(9)
    starts = [
        "=",
        "+",
        "-",
        "@",
        "\t=",
        "\r=",
        "\n=",
        "＝",
        "＋",
        "－",
        "＠",
        "'=",
        "''+",
        "",
        "a",
        "'a",
    ]
    ends = ["1+1", "cmd|' /C calc'!A0", "", "2", "x", '"', ",=1", "\n=1", *PIECES]
    texts = [rng.choice(starts) + rng.choice(ends) for _ in range(how_many(500, 20_000))]
    broken = []
    for suffix in (".csv", ".tsv"):
        for text in texts:
            if suffix == ".tsv" and set(text) & set("\t\r\n"):
                continue  # which no .tsv can hold
            encoder = make_encoder(suffix, for_spreadsheets=True)
            encoder.begin(first=True)
            row = {"name": text, text: -0.5, "n": "-12", "plus": "+1.5e3"}
            encoder.add(row)
            content = encoder.take().decode()
            if suffix == ".csv":
                head, cells = csv.reader(io.StringIO(content, newline=""))
            else:
                head, cells = (
                    line.split("\t") for line in content.removesuffix("\r\n").split("\r\n")
                )
            first = {cell[:1] for cell in (head[1], cells[0])}
            back = cells[0][1:] if cells[0] != text else cells[0]
            is_number = text.lstrip("+-").isdigit()
            harmless = is_number or not first & set("=+-@\t\r\n＝＋－＠")
            if not harmless or back != text or cells[1:] != ["-0.5", "-12", "+1.5e3"]:
                broken.append(text)
    report(Row("With --csv-safe no text in a table is a formula", 2 * len(texts), len(broken)))
    assert not broken


def test_a_table_for_spreadsheets_is_asked_for(cli: Cli, langid: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text('text,"=1+1"\n"=cmd()",-3\nHallo,+49 30\n', encoding="utf-8")
    told = ["predict", langid, "--input", tmp_path / "in.csv", "--output", tmp_path / "out.csv"]
    assert cli(*told).code == 0
    assert list(csv.reader((tmp_path / "out.csv").open()))[1][0] == "=cmd()"
    assert cli(*told, "--force", "--csv-safe").code == 0
    head, first, second = csv.reader((tmp_path / "out.csv").open())
    assert (head[:2], first[:2], second[:2]) == (
        ["text", "'=1+1"],
        ["'=cmd()", "-3"],
        ["Hallo", "'+49 30"],
    )
    for other in ([], ["--output", tmp_path / "out.jsonl"], ["--output", "-"]):
        done = cli("predict", langid, "a", "--csv-safe", *other)
        assert done.code == 2
        assert "ERROR --csv-safe concerns .csv and .tsv" in done.err


SECRET = "sekret-Pa55word"
REFUSALS = (
    "401 for url https://me:{}@hub.example/api, token hf_{}",
    "Cannot connect to proxy http://user:{}@127.0.0.1:3128",
    "headers: Authorization: Bearer {}",
    "authorization: {} refused",
    "the token {} is invalid",
)


def test_secrets(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, report: Callable[[Row], None]
) -> None:
    monkeypatch.setenv("HF_TOKEN", SECRET)
    monkeypatch.setenv("https_proxy", f"http://me:{SECRET}@127.0.0.1:9")
    source, broken = "owner/name", []
    for words in (*REFUSALS, ""):

        def fail(*_: Any, words: str = words, **__: Any) -> None:
            raise LocalEntryNotFoundError(words.replace("{}", SECRET))

        monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
        if not words:
            source = f"https://me:{SECRET}@hub.example/a/b"
        for options in ([], ["--json"]):
            done = cli("export", source, tmp_path / "out", *options)
            assert done.code == (5 if words else 1)
            if SECRET in done.out + done.err:
                broken.append(words)
    report(Row("A token or a password is in no message", 2 * len(REFUSALS) + 2, len(broken)))
    assert not broken
