"""Compare the answers of a bundle with the stored ones, on the CPU this is started on.

    python stored_answers.py BUNDLE

Prints {variant: [difference, tolerance], ...}.
"""

from __future__ import annotations

import json
import sys

from albert_edge.bundle.bundle import open_bundle
from albert_edge.runtime.self_test import check_answers
from albert_edge.runtime.session import Session


def main(folder: str) -> None:
    """Run every variant."""
    results = {}
    for variant in open_bundle(folder).manifest.variants:
        with Session(folder, device="cpu", variant=variant.name, threads=1) as session:
            check = check_answers(session)
        results[variant.name] = check and [check.difference, check.tolerance]
    print(json.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
