"""The judge of hostile input sees every way in which a case can end."""

from __future__ import annotations

import os
import time

from support.hostile import Row, failures, judge

from albert_edge.errors import BundleError


def _decide(how: str) -> str:
    match how:
        case "refused":
            raise BundleError("no", tip="none")
        case "foreign":
            raise ValueError("of no class of ours")
        case "interrupted":
            raise KeyboardInterrupt
        case "signal":
            os.abort()
        case "sleep":
            time.sleep(60)
        case "burn":
            while time.process_time() < 3600:
                pass
        case "memory":
            return str(len(bytearray(100 * 2**20)))
        case "too much memory":
            bytearray(2**45)
    return how


def test_every_way_a_case_can_end() -> None:
    expected = {
        "accepted": "accepted",
        "refused": "refused",
        "foreign": "foreign",
        "interrupted": "foreign",
        "signal": "signal",
        "sleep": "hang",
        "burn": "hang",
        "memory": "memory",
        "too much memory": "foreign",
        "accepted after the others": "accepted",
    }
    cases = [(name, (lambda name=name: name)) for name in expected]
    verdicts = judge(_decide, cases, seconds=0.2, mib=64)
    assert {verdict.name: verdict.outcome for verdict in verdicts} == expected
    assert verdicts[0].value == "accepted"
    assert len(failures(verdicts)) == len(expected) - 3
    row = Row.of("", verdicts)
    assert (row.cases, row.failures) == (10, 7)
    assert row.worst_mib is not None
    assert 99 < row.worst_mib < 102
