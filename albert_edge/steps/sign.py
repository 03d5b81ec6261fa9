"""A bundle -> the same bundle, signed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from albert_edge.bundle.bundle import Bundle, open_bundle
from albert_edge.bundle.change import change
from albert_edge.bundle.manifest import MANIFEST, SIGNATURE
from albert_edge.bundle.manifest_reader import parse_manifest
from albert_edge.bundle.signature import make_signature
from albert_edge.bundle.storage import Folder
from albert_edge.progress import Progress, progress_bar


@dataclass(frozen=True, slots=True)
class SignReport:
    """The result of signing.

    Attributes:
        bundle: The bundle.
        file: The signature, relative to the bundle.
        files: How many files it covers, with the manifest.
        signer: The public key, in base64.
    """

    bundle: Path
    file: str
    files: int
    signer: str

    def __repr__(self) -> str:
        return f"SignReport('{self.bundle}': {self.files} files, by {self.signer})"


def sign(
    bundle: str | os.PathLike[str],
    key: str | os.PathLike[str],
    *,
    progress: bool | Progress = False,
) -> SignReport:
    """Sign a bundle, so that whoever has the public key can check offline that it is as it was.

    The signature is of the manifest, which has the sha256 of every file. `pack` and `unpack` keep
    it; whatever changes the bundle removes it.

    Args:
        bundle: The bundle, a folder.
        key: A private key of ed25519 (RFC 8032), as `openssl genpkey -algorithm ed25519` writes it.
        progress: Whether to show a progress bar, or what to call with (what, done, total).

    Raises:
        BundleError: A file is missing or changed.
        UsageError: The bundle is a packed file, or the file is no such key.
        InstallationError: cryptography is not installed, or does not load.
    """
    folder = open_bundle(bundle).require_folder("Signing")
    with change(folder) as pending, progress_bar(progress) as report:
        content = (folder / MANIFEST).read_bytes()
        signature = make_signature(content, Path(key))
        current = Bundle(Folder(folder), parse_manifest(content, folder / MANIFEST))
        records = current.check_all(lambda done, total: report("checking files", done, total))
        pending.write(SIGNATURE, [signature.to_line()])
        pending.manifest = content
    return SignReport(folder, SIGNATURE, 1 + len(records), signature.signer)
