"""`albert-edge doctor`: what this machine has and lacks, with advice."""

from __future__ import annotations

from albert_edge.cli.options import Json
from albert_edge.cli.printing import print_json
from albert_edge.cli.spelling import spell_command_line
from albert_edge.cli.table import print_table
from albert_edge.errors import Message


def doctor(as_json: Json = False) -> None:
    """Check CPU, memory, onnxruntime, execution providers and extras, with advice.

    Always exits with 0.
    """
    from albert_edge.machine.doctor import examine

    report = examine()
    if as_json:
        print_json(report)
        return
    machine = report.machine
    version = machine.packages.get("albert-edge", "of unknown version")
    rows = [
        [finding.subject, finding.found, Message(finding.advice).spell(spell_command_line)]
        for finding in report.findings
    ]
    title = f"albert-edge {version}, Python {machine.python}, {machine.system}"
    print_table(title, ["subject", "found", "advice"], rows, words=3)
