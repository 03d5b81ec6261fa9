"""Signed bundles of which something was changed."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

from support.hostile import Row, how_many
from support.keys import write_keys

import albert_edge
from albert_edge.bundle.bundle import open_bundle
from albert_edge.bundle.manifest import MANIFEST, SIGNATURE
from albert_edge.bundle.signature import require_signed
from albert_edge.errors import BundleError


def _mutated(rng: random.Random, content: bytes) -> bytes:
    at = rng.randrange(len(content))
    changes = [
        lambda: content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :],
        lambda: content[:at] + content[at + 1 :],
        lambda: content[:at] + content[at : at + 1] + content[at:],
        lambda: content[:at] + b" " + content[at:],
        lambda: content[:at],
    ]
    return rng.choice(changes)()


def test_any_change_is_noticed(own: Path, tmp_path: Path, report: Callable[[Row], None]) -> None:
    rng = random.Random(8032)
    private, public = write_keys(tmp_path, 2)
    albert_edge.sign(own, private)
    names = (MANIFEST, SIGNATURE)
    original = {name: (own / name).read_bytes() for name in names}
    accepted, cases, worst = [], how_many(300, 10_000), 0.0
    for number in range(cases):
        name = names[number % 2]
        content = _mutated(rng, original[name])
        (own / name).write_bytes(content)
        started = time.process_time()
        try:
            bundle, _ = require_signed(open_bundle(own), public)
        except BundleError:
            pass
        else:
            # White space around the words of the line changes nothing that is signed.
            if name == MANIFEST or content.split() != original[name].split():
                accepted.append((name, content))
        worst = max(worst, time.process_time() - started)
        (own / name).write_bytes(original[name])
    bundle, _ = require_signed(open_bundle(own), public)
    assert bundle.manifest == open_bundle(own).manifest
    promise = "A signature fits one manifest, to the byte"
    report(Row(promise, cases, len(accepted), worst_seconds=worst))
    assert not accepted
