"""The entry point of the command line. What it needs is imported once signals are handled."""

from __future__ import annotations

import sys

from albert_edge.cli.signals import ended_by_signals
from albert_edge.cli.streams import prepare_streams


def main() -> None:
    """Run the command line."""
    prepare_streams()
    with ended_by_signals():
        try:
            from albert_edge.cli.commands import app
            from albert_edge.cli.error import run_and_report
        except Exception as error:  # of the packages that the command line is made of
            from albert_edge.cli.printing import note
            from albert_edge.packages import explain_import

            explained = explain_import(error)
            note(f"ERROR {explained}", f"TIP   {explained.tip}")
            raise SystemExit(explained.exit_code) from None
        run_and_report(app, sys.argv[1:])
