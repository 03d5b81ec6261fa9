"""`albert-edge sign`: sign a bundle; and a remark where a signature is lost."""

from __future__ import annotations

from pathlib import Path

from albert_edge.cli.options import BundleFolder, Json, PrivateKey
from albert_edge.cli.printing import note, print_json, show
from albert_edge.errors import AlbertEdgeError


def sign(bundle: BundleFolder, key: PrivateKey, as_json: Json = False) -> None:
    """Sign a bundle, so that `verify --key` can check that it is as it was."""
    from albert_edge.steps.sign import sign

    report = sign(bundle, key, progress=not as_json)
    if as_json:
        print_json(report)
        return
    note(f"Signed {report.files} files. The public key is {report.signer}.")
    show(bundle / report.file)


def is_signed(bundle: Path) -> bool:
    """Return whether a bundle has a signature, by whatever key."""
    from albert_edge.bundle.bundle import open_bundle

    try:
        return bool(open_bundle(bundle).storage.read_signature())
    except AlbertEdgeError:  # which the command itself reports
        return False


def note_lost_signature(was_signed: bool, bundle: Path) -> None:
    """Report that a signature is lost, since what was signed is another bundle now."""
    if was_signed and not is_signed(bundle):
        note("The signature was left out, since it is of the bundle as it was: sign this one.")
