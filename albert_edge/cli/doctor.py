"""`albert-edge doctor`: what this machine has, what is missing, what to do about it."""

from __future__ import annotations

from albert_edge.cli.commands import Json
from albert_edge.cli.printing import print_json, print_table


def doctor(as_json: Json = False) -> None:
    """Look at CPU, memory, onnxruntime and its providers, and extras, with a line of advice each.

    It informs: the exit code is 0 whatever is missing.
    """
    from albert_edge.machine.doctor import examine

    report = examine()
    if as_json:
        print_json(report)
        return
    machine = report.machine
    version = machine.packages.get("albert-edge", "of unknown version")
    print_table(
        f"albert-edge {version}, Python {machine.python}, {machine.system}",
        ["what", "found", "advice"],
        [[finding.subject, finding.found, finding.advice] for finding in report.findings],
        words=3,
    )
