"""What --json prints, call by call, beside what it printed before the packages were rearranged.

Whoever renames a field or an option adds it here and to CHANGELOG; nothing else may differ.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from support.json_contract import CALLS, VARIES, flat, run_script
from support.paths import DATA

# (pattern of calls, path before, path now); * is any one part of a path, and what follows the
# path is kept. None as the path now: the field is gone.
RENAMES: tuple[tuple[str, str, str | None], ...] = (
    ("optimize|quantize", "variant.files", "variant.files.model"),
    ("export|inspect", "task", "head"),
)

# (pattern of calls, path) of fields that are new.
ADDED: tuple[tuple[str, str], ...] = (
    ("optimize|quantize", "variant.inputs"),
    ("quantize", "error"),
    ("optimize|quantize", "variant.weights"),
    (r"inspect \w+$", "variants.*.weights"),
    ("optimize|quantize", "variant.narrow_activations"),
    ("quantize", "variant.measured.narrow_activations"),
    (r"inspect \w+$", "variants.*.narrow_activations"),
    (r"inspect \w+$", "variants.*.measured.narrow_activations"),
    ("quantize", "tuning"),
    ("predict", "failed"),
    ("export|inspect", "task"),
    ("inspect", "unknown_fields"),
    ("export", "base"),
    ("export", "layers"),
    ("export", "ignored"),
    ("export", "prefix"),
    ("export", "lacks_pooler"),
    ("export", "normalization"),
    ("export", "warnings"),
    ("verify", "answers"),
    ("verify", "unanswered"),
    ("verify", "signer"),
    ("inspect|bench", "geometry.add_pooling_layer"),
    ("optimize|quantize", "variant.exits"),
    ("optimize|quantize", "variant.promised_agreement"),
    ("optimize|quantize", "variant.promised_max_drop"),
    (r"inspect \w+$", "variants.*.mode"),
    (r"inspect \w+$", "variants.*.exits"),
    (r"inspect \w+$", "variants.*.promised_agreement"),
    (r"inspect \w+$", "variants.*.promised_max_drop"),
    ("inspect", "variants.*.answers.mean_layers"),
    ("evaluate", "precisions.*.mean_layers"),
    ("bench", "runtimes.*.latencies.*.mean_layers"),
    ("doctor", "bits"),
    ("doctor", "board"),
    ("doctor", "throttling"),
    ("doctor", "memory.swap"),
    ("doctor", "onnxruntime.tip"),
)

# (pattern of calls, path) of fields whose value is another: a text reworded, a rule changed.
CHANGED: tuple[tuple[str, str], ...] = (
    ("inspect answers --diff", "fields.0.field"),
    ("quantize features", "tip"),
    ("inspect .*diff", "variants.0.operators"),  # a loop has one operator less
    # Sizes of files, which the names of nodes inside change.
    ("inspect .*diff", "variants.0.fields.0.first"),
    ("inspect .*diff", "variants.0.fields.0.second"),
    ("inspect .*diff", "variants.0.fields.3.first"),
    ("inspect .*diff", "variants.0.fields.3.second"),
    ("verify", "files"),  # and the stored answers
    # The page leads with quality and speed.
    ("report", "bytes"),
    ("report", "sections"),
)

pytestmark = pytest.mark.slow

# Calls whose results integers make, which processors round a little differently.
_INTEGERS = re.compile("quantize|int8|--variant|bench")


@pytest.fixture(scope="module")
def before() -> dict[str, dict[str, Any]]:
    text = (DATA / "json_contract.json").read_text(encoding="utf-8")
    kept = json.loads(re.sub(r"model_int8\b", "model_quantized", text))  # its name before
    return {result["call"]: result for result in kept}


@pytest.fixture(scope="module")
def now() -> dict[str, dict[str, Any]]:
    return {result["call"]: result for result in run_script()}


def test_every_call_is_kept(before: dict[str, dict[str, Any]]) -> None:
    assert tuple(before) == CALLS


@pytest.mark.parametrize("call", CALLS)
def test_a_call_prints_what_it_printed(
    call: str, before: dict[str, dict[str, Any]], now: dict[str, dict[str, Any]]
) -> None:
    assert now[call]["code"] == before[call]["code"]
    if now[call]["code"]:
        assert json.loads(now[call]["out"])["error"]["exit_code"] == now[call]["code"]
    if not before[call]["document"]:  # an error, which printed no document before
        return
    expected = dict(_renamed(call, before[call]["document"]))
    document = dict(flat(json.loads(now[call]["out"])))
    new = {path for path in document if _is_listed(ADDED, call, path)}
    assert list(expected) == [path for path in document if path not in new]
    rel, absolute = (5e-2, 5e-3) if _INTEGERS.search(call) else (1e-3, 1e-4)
    for path, value in expected.items():
        if _is_listed(CHANGED, call, path):
            continue
        if "bytes" in path and isinstance(value, int):  # the names inside a file may change
            assert document[path] == pytest.approx(value, rel=0.02), path
        elif isinstance(value, float):
            assert document[path] == pytest.approx(value, rel=rel, abs=absolute), path
        else:
            assert document[path] == value, path


def _renamed(call: str, document: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """A document of before under the names of now."""
    for path, value in document.items():
        name: str | None = path
        for calls, old, new in RENAMES:
            if name is not None and re.match(calls, call) and (parts := _match(old, name)):
                *stars, rest = parts
                for star in stars:
                    new = new and new.replace("*", star, 1)
                name = new and new + rest
        if name is not None:
            yield name, value


def _is_listed(listed: tuple[tuple[str, str], ...], call: str, path: str) -> bool:
    return any(re.match(calls, call) and _match(pattern, path) for calls, pattern in listed)


def _match(pattern: str, path: str) -> list[str] | None:
    """What stands for each *, and what follows the pattern; None if the path does not match."""
    found = re.fullmatch(re.escape(pattern).replace(r"\*", "([^.]+)") + r"((?:\..*)?)", path)
    return list(found.groups()) if found else None


def test_varying_values_keep_their_names() -> None:
    machine = {"machine": {"cpu": "a", "cores": 2}, "files": 3}
    assert dict(flat(machine)) == {"machine.cpu": VARIES, "machine.cores": VARIES, "files": 3}
