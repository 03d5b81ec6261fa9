"""Make all that is published of a version: `make release` runs `python release/make.py dist`.

albert_edge-*.whl  albert_edge-*.tar.gz     the same bytes wherever they are built
requirements-EXTRA.txt                      versions and hashes, for pip install --require-hashes
sbom-EXTRA.cdx.json                         CycloneDX 1.6: the packages of an installation
ml-bom-langid-tiny.cdx.json                 CycloneDX 1.6: the model that ships
SHA256SUMS
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
from pathlib import Path

from archives import ROOT, SUMS, build, make_empty
from audit import audit
from dependencies import describe, extras, pin
from licences import refused
from sbom import model_bom, software_bom


def main() -> None:
    """Make everything; end with an error if a licence or a vulnerability is in the way."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path, help="the folder; that of an earlier run is emptied")
    parser.add_argument(
        "--require-audit", action="store_true", help="fail where nobody knows of vulnerabilities"
    )
    arguments = parser.parse_args()
    out: Path = arguments.out.resolve()
    make_empty(out)
    command = ["git", "log", "-1", "--format=%ct"]
    epoch = int(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    wheel, _ = sorted(build(out), key=lambda path: path.suffix != ".whl")
    audits = {}
    for extra in extras():
        requirements = pin(extra, out)
        packages = describe(requirements)
        if problems := refused(packages):
            raise SystemExit(f"Licences that are not accepted, of {extra}: {'; '.join(problems)}")
        bom = software_bom(wheel, extra, packages, epoch)
        (out / f"sbom-{extra}.cdx.json").write_text(bom, encoding="utf-8")
        audits[extra] = audit(requirements)
        print(f"{extra}: {len(packages)} packages, licences accepted", flush=True)
    model = ROOT / "models/langid-tiny"
    bom = model_bom(model, epoch)
    (out / f"ml-bom-{model.name}.cdx.json").write_text(bom, encoding="utf-8")
    _write_sums(out)
    _report(audits, required=arguments.require_audit)


def _write_sums(out: Path) -> None:
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(out.iterdir())
        if path.name != SUMS
    ]
    (out / SUMS).write_text("".join(lines), encoding="utf-8")


def _report(audits: dict[str, bool | None], *, required: bool) -> None:
    vulnerable = [extra for extra, is_clean in audits.items() if is_clean is False]
    unknown = [extra for extra, is_clean in audits.items() if is_clean is None]
    if vulnerable:
        raise SystemExit(f"Known vulnerabilities in the versions of: {', '.join(vulnerable)}")
    if unknown:
        print(f"NOT AUDITED, since the service was not reached: {', '.join(unknown)}")
        sys.exit(1 if required else 0)
    print("No known vulnerabilities in the pinned versions.")


if __name__ == "__main__":
    main()
