"""An albert_edge.json that a stranger wrote, and listed files that are no files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.hostile import Row, failures, how_many, judge
from support.json_mutations import mutate_json, seeded
from support.pipelines import checkpoint
from support.special_files import SPECIAL, replace_file

import albert_edge
from albert_edge import AlbertEdgeError

Report = Callable[[Row], None]
MANIFEST = "albert_edge.json"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    source = checkpoint(folder / "checkpoint", "text-classification", "spiece.model")
    albert_edge.export(source, folder / "bundle")
    return folder / "bundle"


def use(bundle: Path) -> None:
    """Do all that opens a bundle; raise the first refusal."""
    refusals: list[AlbertEdgeError] = []
    for action in (
        lambda: albert_edge.open_bundle(bundle).check_all(),
        lambda: repr(albert_edge.open_bundle(bundle)),
        lambda: albert_edge.pipeline(model=bundle, device="cpu", threads=1)("a good film"),
        lambda: albert_edge.Session(bundle, device="cpu", threads=1),
        lambda: str(albert_edge.inspect(bundle)),
        lambda: str(albert_edge.verify(bundle)),
        lambda: albert_edge.pack(bundle, bundle.with_suffix(".packed"), force=True),
        lambda: albert_edge.optimize(bundle),
    ):
        try:
            action()
        except AlbertEdgeError as error:
            refusals.append(error)
    if refusals:
        raise refusals[0]


def with_manifest(good: Path, copy: Path, content: bytes) -> None:
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(good, copy)
    (copy / MANIFEST).write_bytes(content)
    use(copy)


def test_mutants(bundle: Path, tmp_path: Path, report: Report) -> None:
    document = json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))
    document["variants"][0] |= {"promised_agreement": 0.99, "matrices": {"a": "int8"}}
    decide = partial(with_manifest, bundle, tmp_path / "copy")
    decide(json.dumps(document).encode())
    cases = seeded(partial(mutate_json, document), how_many(12, 1_000))
    verdicts = judge(decide, cases, mib=64)
    report(Row.of("A manifest is read or refused, by every command", verdicts))
    assert failures(verdicts) == []
    assert {verdict.outcome for verdict in verdicts} == {"accepted", "refused"}


def many(what: str, count: int) -> Callable[[Any], None]:
    """Lists so many variants, or files."""

    def change(manifest: Any) -> None:
        first = manifest["variants"][0]
        if what == "no variants":
            manifest["variants"] = []
        elif what == "variants":
            manifest["variants"] += [{**first, "name": f"v{n}"} for n in range(count)]
        elif what == "equal variants":
            manifest["variants"] += [first]
        else:
            manifest["files"] += [{**manifest["files"][0], "file": f"f{n}"} for n in range(count)]

    return change


@pytest.mark.parametrize(
    "change",
    [
        many("no variants", 0),
        many("variants", 1_000),
        many("equal variants", 1),
        many("files", 1_000),
    ],
    ids=["no variants", "variants", "equal variants", "files"],
)
def test_more_or_less_than_any_bundle_has(
    change: Callable[[Any], None], bundle: Path, tmp_path: Path
) -> None:
    """Every listed file may be held open, and every command reads every variant."""
    manifest = json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))
    change(manifest)
    decide = partial(with_manifest, bundle, tmp_path / "copy")
    (verdict,) = judge(decide, [("many", json.dumps(manifest).encode())])
    assert verdict.outcome == "refused", verdict


def test_files_that_are_no_files(bundle: Path, tmp_path: Path, report: Report) -> None:
    files = [path.relative_to(bundle) for path in bundle.rglob("*") if path.is_file()]

    def decide(case: tuple[Path, str]) -> None:
        file, kind = case
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(bundle, copy)
        replace_file(copy / file, kind)
        use(copy)

    kinds = list(SPECIAL)[: how_many(1, 4)]
    cases = [(f"{file} is a {kind}", (file, kind)) for file in sorted(files) for kind in kinds]
    verdicts = judge(decide, cases, mib=64)
    report(Row.of("A bundle with a pipe, a device or a folder for a file is refused", verdicts))
    assert [verdict for verdict in verdicts if verdict.outcome != "refused"] == []
