"""`albert-edge verify`: check the files and answers of a bundle."""

from __future__ import annotations

from albert_edge.cli.options import BundleFolder, Checkpoint, Json, PublicKey
from albert_edge.cli.printing import note, print_json, show


def verify(
    bundle: BundleFolder,
    against: Checkpoint = None,
    key: PublicKey = None,
    as_json: Json = False,
) -> None:
    """Check a signature, the hash of every file, and answers against known ones."""
    from albert_edge.inspection.verify import verify

    report = verify(bundle, against=against, key=key)
    if as_json:
        print_json(report)
        return
    if report.signer:
        note(f"Signed with the key {report.signer}.")
    for variant, difference in report.differences.items():
        note(f"{variant}: largest difference from transformers {difference:.1e}.")
    for variant, check in report.answers.items():
        note(f"{variant}: largest difference from its stored answers {check.difference:.1e}.")
    for variant, why in report.unanswered.items():
        note(f"{variant}: answers not checked. {why}")
    show(f"{report.files} files match the manifest.")
