"""Benchmarks read back from files."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.bench_samples import ROOFLINE, sample

from albert_edge.cli.printing import print_json
from albert_edge.errors import (
    InputError,
)
from albert_edge.report.bench_file import parse_bench, read_bench


def test_a_bench_report_is_read_back_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = sample(threads=(1, 2), roofline=[ROOFLINE])
    print_json(report)
    path = tmp_path / "bench.json"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    assert read_bench(path) == report


def test_numbers_json_has_no_word_for_come_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nan = dataclasses.replace(sample().runtimes[0], peak_mb=math.nan)
    print_json(sample(runtimes=[nan]))
    found = parse_bench(json.loads(capsys.readouterr().out)).runtimes[0]
    assert math.isnan(found.peak_mb)
    assert dataclasses.replace(found, peak_mb=0) == dataclasses.replace(nan, peak_mb=0)


def test_a_roofline_of_before_lacks_the_other_kind_of_cpu() -> None:
    document = json.loads(json.dumps(dataclasses.asdict(sample(roofline=[ROOFLINE]))))
    (roofline,) = document["roofline"]
    del roofline["other_cpu"], roofline["other_compute_ms"], roofline["rates"]["uint8"]
    (read,) = parse_bench(document).roofline or []
    assert (read.other_cpu, read.compute_ms) == ("", ROOFLINE.compute_ms)
    assert math.isnan(read.other_compute_ms) and math.isnan(read.rates.uint8)


def broken() -> Iterator[tuple[str, Any]]:
    document = json.loads(json.dumps(dataclasses.asdict(sample())))
    yield "is not a JSON object", [document]
    yield "runtimes is missing", {k: v for k, v in document.items() if k != "runtimes"}
    yield "rounds should be a whole number, found '5'", {**document, "rounds": "5"}
    yield "rounds should be a whole number, found True", {**document, "rounds": True}
    first = document["runtimes"][0]
    yield (
        "runtimes[0].latencies[0].p50_ms is missing",
        {
            **document,
            "runtimes": [{**first, "latencies": [{"batch": 1, "length": 8, "threads": 1}]}],
        },
    )
    yield (
        "runtimes[0].file_bytes should be a whole number, found 1.5",
        {**document, "runtimes": [{**first, "file_bytes": 1.5}]},
    )


@pytest.mark.parametrize(
    ("words", "document"), list(broken()), ids=[words for words, _ in broken()]
)
def test_an_invalid_field_is_named(words: str, document: Any, tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError) as caught:
        read_bench(path)
    assert words in str(caught.value) and str(path) in str(caught.value)
    assert 'albert_edge.bench("BUNDLE")' in caught.value.tip


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_not_json_is_an_error(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "bench.json").write_bytes(content)
    with pytest.raises(InputError, match=r"is not readable JSON|does not exist"):
        read_bench(tmp_path / "bench.json")
