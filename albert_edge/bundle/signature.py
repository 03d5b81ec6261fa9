"""The signature of a bundle: ed25519 over the bytes of its manifest.

The manifest has the sha256 of every file, so whoever signs it signs them all. The signature is one
line, in a folder the file albert_edge.json.sig, in a packed file the comment of the zip:

    ed25519 PUBLIC-KEY SIGNATURE

32 and 64 bytes as base64 (RFC 8032). The public key only says which key it was; what decides is the
key that a verifier has. Keys are files as openssl writes them: PEM, without a password.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from albert_edge.bundle.bundle import Bundle
from albert_edge.bundle.manifest import MANIFEST, SIGNATURE
from albert_edge.bundle.manifest_reader import parse_manifest
from albert_edge.bundle.storage import read_manifest_content
from albert_edge.errors import BundleError, Call, Message, UsageError
from albert_edge.packages import import_extra

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

_ALGORITHM = "ed25519"
_KEY_BYTES, _SIGNATURE_BYTES = 32, 64
_LARGEST = 1000  # bytes of a line or a key; theirs have under 200


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature.

    Attributes:
        public_key: The public key of the one that made it, as 32 bytes.
        value: The signature, as 64 bytes.
    """

    public_key: bytes
    value: bytes

    def to_line(self) -> bytes:
        """Return the line that is stored."""
        return f"{_ALGORITHM} {_text(self.public_key)} {_text(self.value)}\n".encode("ascii")

    @property
    def signer(self) -> str:
        """The public key in base64, which tells signers apart."""
        return _text(self.public_key)


def make_signature(content: bytes, key: Path) -> Signature:
    """Sign content with a private key.

    Raises:
        UsageError: The file is not a private key of ed25519.
        InstallationError: cryptography is not installed, or does not load.
    """
    private = _read_private_key(key)
    return Signature(private.public_key().public_bytes_raw(), private.sign(content))


def require_signed(bundle: Bundle, key: Path) -> tuple[Bundle, str]:
    """Check the signature of a bundle.

    Args:
        bundle: The bundle.
        key: A file with a public key.

    Returns:
        The bundle with the manifest that was signed, and the public key in base64. Its files have
        to be checked against that manifest.

    Raises:
        BundleError: It is not signed, with another key, or was changed since.
        UsageError: The file is not a public key of ed25519.
        InstallationError: cryptography is not installed, or does not load.
    """
    public = _read_public_key(key)
    content = read_manifest_content(bundle.storage)
    signature = _read_signature(bundle)
    expected = public.public_bytes_raw()
    if signature.public_key != expected:
        raise BundleError(
            f"{bundle.path} is signed with another key: {signature.signer}, not {_text(expected)}.",
            tip="Use it only if you trust that key; then name the file of that key.",
            where=bundle.path,
        )
    from cryptography.exceptions import InvalidSignature

    try:
        public.verify(signature.value, content)
    except InvalidSignature as error:
        raise BundleError(
            f"The signature of {bundle.path} is not of its {MANIFEST}: one of them was changed.",
            tip="Do not use this bundle: get it again from the one who signed it.",
            where=bundle.path,
        ) from error
    return Bundle(bundle.storage, parse_manifest(content, bundle.path / MANIFEST)), _text(expected)


def _read_signature(bundle: Bundle) -> Signature:
    line = bundle.storage.read_signature()
    if not line:
        raise BundleError(
            f"{bundle.path} is not signed.",
            tip=Message("Sign it with ", Call("sign", bundle.path, key="PRIVATE.pem"), "."),
            where=bundle.path,
        )
    try:
        _, *parts = line[:_LARGEST].decode("ascii").split()
        public_key, value = (base64.b64decode(part, validate=True) for part in parts)
        signature = Signature(public_key, value)
        lengths = (len(public_key), len(value))
        # base64 has several texts for some contents; only one of them is written.
        is_whole = lengths == (_KEY_BYTES, _SIGNATURE_BYTES) and line.split() == (
            signature.to_line().split()
        )
    except ValueError:
        is_whole = False
    if not is_whole:
        raise BundleError(
            f"The signature of {bundle.path} is damaged: not a line `{_ALGORITHM} KEY SIGNATURE`.",
            tip="Get the bundle again from the one who signed it.",
            where=bundle.path / SIGNATURE,
        )
    return signature


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _read_public_key(path: Path) -> Ed25519PublicKey:
    content = _read_key(path)
    if b"PRIVATE KEY" in content:
        raise UsageError(
            f"{path} is a private key.",
            tip=f"Make the public one: openssl pkey -in {path} -pubout -out PUBLIC.pem",
        )
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise _not_a_key(path, "public")
    return key


def _read_private_key(path: Path) -> Ed25519PrivateKey:
    content = _read_key(path)
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(content, password=None)
    except TypeError as error:
        raise UsageError(
            f"{path} is locked with a password.",
            tip=f"Unlock a copy of it: openssl pkey -in {path} -out PRIVATE.pem",
        ) from error
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise _not_a_key(path, "private")
    return key


def _read_key(path: Path) -> bytes:
    import_extra("cryptography", extra="sign", purpose="A signature")
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}.", tip="Name the file of a key."
        ) from error


def _not_a_key(path: Path, kind: str) -> UsageError:
    make = "openssl genpkey -algorithm ed25519 -out PRIVATE.pem"
    return UsageError(
        f"{path} is not a {kind} key of ed25519, in PEM.",
        tip=f"{make}; openssl pkey -in PRIVATE.pem -pubout -out PUBLIC.pem",
    )
