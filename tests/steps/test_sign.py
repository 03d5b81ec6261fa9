"""Signatures of bundles: made as RFC 8032 says, kept by pack and unpack, lost by any change."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from support.command_line import Cli, assert_error, contents
from support.keys import VECTORS, write_keys

import albert_edge
from albert_edge.bundle.manifest import MANIFEST, SIGNATURE
from albert_edge.bundle.signature import make_signature
from albert_edge.errors import BundleError, MissingExtraError, UsageError

Keys = Callable[[int], tuple[Path, Path]]


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return lambda number: write_keys(tmp_path, number)


@pytest.mark.parametrize("number", range(len(VECTORS)))
def test_vectors_of_rfc_8032(number: int, keys: Keys) -> None:
    _, public, message, value = map(bytes.fromhex, VECTORS[number])
    signature = make_signature(message, keys(number)[0])
    assert (signature.public_key, signature.value) == (public, value)
    kind, *parts = signature.to_line().split()
    assert (kind, [*map(base64.b64decode, parts)]) == (b"ed25519", [public, value])


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")
def test_openssl_makes_the_keys_and_verifies(own: Path, tmp_path: Path) -> None:
    def openssl(*arguments: object) -> str:
        command = ["openssl", *map(str, arguments)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    openssl("genpkey", "-algorithm", "ed25519", "-out", private)
    openssl("pkey", "-in", private, "-pubout", "-out", public)
    report = albert_edge.sign(own, private)
    assert albert_edge.verify(own, key=public).signer == report.signer
    line = (own / SIGNATURE).read_bytes()
    (tmp_path / "value").write_bytes(base64.b64decode(line.split()[2]))
    told = ["pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin", "-in", own / MANIFEST]
    assert "Success" in openssl(*told, "-sigfile", tmp_path / "value")
    openssl(
        "pkey", "-in", private, "-aes256", "-passout", "pass:x", "-out", tmp_path / "locked.pem"
    )
    with pytest.raises(UsageError, match="locked with a password"):
        albert_edge.sign(own, tmp_path / "locked.pem")
    openssl("genpkey", "-algorithm", "ed448", "-out", tmp_path / "other.pem")
    with pytest.raises(UsageError, match="not a private key of ed25519"):
        albert_edge.sign(own, tmp_path / "other.pem")


def test_a_signature_lasts_as_long_as_the_bundle(
    cli: Cli, own: Path, keys: Keys, tmp_path: Path
) -> None:
    private, public = keys(0)
    before = contents(own)
    done = cli("sign", own, "--key", private)
    assert (done.code, done.out) == (0, f"{own / SIGNATURE}\n")
    after = contents(own)
    assert after.pop(SIGNATURE).startswith(b"ed25519 ")
    assert after == before
    packed, folder = tmp_path / "own.albert", tmp_path / "unpacked"
    assert cli("pack", own, "--output", packed).err.count("signature") == 0
    with zipfile.ZipFile(packed) as archive:  # the members are those that earlier versions expect
        assert set(archive.namelist()) == set(before)
    assert cli("unpack", packed, folder).code == 0
    assert contents(folder) == contents(own)
    signer = base64.b64encode(bytes.fromhex(VECTORS[0][1])).decode()
    for bundle in (own, packed, folder):
        assert json.loads(cli("verify", bundle, "--key", public, "--json").out)["signer"] == signer
        assert f"Signed with the key {signer}." in cli("verify", bundle, "--key", public).err
    assert json.loads(cli("verify", own, "--json").out)["signer"] is None
    done = cli("pack", own, "--output", packed, "--force", "--variant", "model")
    assert "The signature was left out" in done.err
    assert_error(cli("verify", packed, "--key", public), 1, "is not signed")
    done = cli("optimize", own, "--target", "portable")
    assert "The signature was left out" in done.err
    assert not (own / SIGNATURE).exists()
    assert_error(cli("verify", own, "--key", public), 1, "is not signed", f"sign {own} --key")
    assert_error(cli("sign", packed, "--key", private), 2, "never changes", "unpack")


def test_what_is_refused(cli: Cli, own: Path, keys: Keys, tmp_path: Path) -> None:
    (private, public), (_, other) = keys(0), keys(1)
    albert_edge.sign(own, private)
    assert_error(cli("verify", own, "--key", other), 1, "another key")
    assert_error(cli("verify", own, "--key", private), 2, "is a private key", "-pubout")
    assert_error(cli("verify", own, "--key", own / MANIFEST), 2, "not a public key of ed25519")
    assert_error(cli("verify", own, "--key", tmp_path / "none.pem"), 2, "none.pem cannot be read")
    assert_error(cli("sign", own, "--key", public), 2, "not a private key of ed25519")
    signature = (own / SIGNATURE).read_bytes()
    for line in (b"minisign A B", signature[:50], signature * 2, b"\xff", b"ed25519 AA== AA=="):
        (own / SIGNATURE).write_bytes(line)
        assert_error(cli("verify", own, "--key", public), 1, "is damaged")
    (own / SIGNATURE).write_bytes(signature)
    model = own / "onnx" / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    with pytest.raises(BundleError, match="its sha256 is"):
        albert_edge.verify(own, key=public)
    with pytest.raises(BundleError, match="its sha256 is"):
        albert_edge.sign(own, private)


def test_without_the_library(own: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(MissingExtraError) as caught:
        albert_edge.verify(own, key=keys(0)[1])
    assert caught.value.tip == "pip install 'albert-edge[sign]'"
    albert_edge.verify(own)
