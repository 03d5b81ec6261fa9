"""CycloneDX: what an installation consists of, and what the model that ships was made from."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from archives import ROOT
from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from licences import licence_of
from packageurl import PackageURL
from packaging.requirements import Requirement

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def software_bom(wheel: Path, extra: str, packages: Sequence[Mapping[str, Any]], epoch: int) -> str:
    """List the packages that the wheel is installed with.

    Args:
        wheel: The wheel.
        extra: The extra; "base" is none.
        packages: What pip reports on each.
        epoch: The time to write, in seconds since 1970.
    """
    root = _component(
        PROJECT["name"], PROJECT["version"], PROJECT["license"], _sha256(wheel), kind="application"
    )
    components = {
        _normalized(entry["metadata"]["name"]): _component(
            entry["metadata"]["name"],
            entry["metadata"]["version"],
            licence_of(entry["metadata"]),
            entry["download_info"]["archive_info"]["hashes"]["sha256"],
        )
        for entry in packages
    }
    bom = _bom(root, f"{PROJECT['name']}[{extra}]", epoch)
    python = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    bom.metadata.properties.add(Property(name="albert-edge:extra", value=extra))
    bom.metadata.properties.add(Property(name="albert-edge:platform", value=python))
    bom.components.update(components.values())
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"].get(extra, ())]
    bom.register_dependency(root, _needed(wanted, components))
    for entry in packages:
        metadata = entry["metadata"]
        needed = _needed(
            metadata.get("requires_dist", ()), components, entry.get("requested_extras", ())
        )
        bom.register_dependency(components[_normalized(metadata["name"])], needed)
    return _render(bom)


def model_bom(folder: Path, epoch: int) -> str:
    """Describe a model that ships: its files, what it learned from, its accuracy and limits.

    Args:
        folder: The model, with a README that has the front matter and the sections of a model card.
        epoch: The time to write, in seconds since 1970.
    """
    readme = (folder / "README.md").read_text(encoding="utf-8")
    licence = re.findall(r"^license: (.+)$", readme, re.M)[0].upper()
    weights = _sha256(folder / "model.safetensors")
    model = _component(folder.name, PROJECT["version"], licence, weights, kind="model")
    bom = _bom(model, folder.name, epoch)
    files = []
    for path in sorted(folder.iterdir()):
        if path.is_file():
            component = Component(
                name=path.name,
                type=ComponentType.FILE,
                bom_ref=f"file:{path.name}",
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=_sha256(path))],
            )
            files.append(component)
    bom.components.update(files)
    bom.register_dependency(model, files)
    document = json.loads(_render(bom))
    # The library has no classes for this part of CycloneDX yet.
    document["metadata"]["component"]["modelCard"] = _model_card(readme)
    return _validated(json.dumps(document, indent=2) + "\n")


def _model_card(readme: str) -> dict[str, Any]:
    sections = dict(re.findall(r"^## (.+?)\n\n(.+?)(?=^## |\Z)", readme, re.M | re.S))
    accuracy = re.findall(
        r"^\| (.+?) \| (\d+) of (\d+) \| [\d.]+ % \|$", sections["Accuracy"], re.M
    )
    limits = re.findall(r"^- (.+?)(?=^- |\Z)", sections["Limits"], re.M | re.S)
    dataset = {
        "type": "dataset",
        "name": "NTREX-128",
        "contents": {"url": "https://github.com/MicrosoftTranslator/NTREX"},
        "description": " ".join(sections["Data"].split("\n\n")[0].split()),
        "governance": {"owners": [{"organization": {"name": "Microsoft"}}]},
    }
    return {
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": "text-classification",
            "architectureFamily": "ALBERT",
            "modelArchitecture": "AlbertForSequenceClassification",
            "datasets": [dataset],
            "inputs": [{"format": "text"}],
            "outputs": [{"format": "label and score"}],
        },
        "quantitativeAnalysis": {
            "performanceMetrics": [
                {"type": "accuracy", "slice": name, "value": f"{int(right) / int(count):.4g}"}
                for name, right, count in accuracy
            ]
        },
        "considerations": {
            "technicalLimitations": [" ".join(limit.split()) for limit in limits],
        },
    }


def _bom(root: Component, name: str, epoch: int) -> Bom:
    bom = Bom(serial_number=uuid5(NAMESPACE_URL, f"{name}=={PROJECT['version']}@{epoch}"))
    bom.metadata.component = root
    bom.metadata.timestamp = datetime.fromtimestamp(epoch, UTC)
    return bom


def _component(
    name: str, version: str, licence: str | None, sha256: str, kind: str = "library"
) -> Component:
    types = {
        "model": ComponentType.MACHINE_LEARNING_MODEL,
        "application": ComponentType.APPLICATION,
    }
    purl = None if kind == "model" else PackageURL("pypi", name=_normalized(name), version=version)
    return Component(
        name=name,
        version=version,
        type=types.get(kind, ComponentType.LIBRARY),
        bom_ref=f"{_normalized(name)}=={version}",
        purl=purl,
        licenses=[LicenseFactory().make_from_string(licence)] if licence else [],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)],
    )


def _needed(
    requirements: Iterable[str], components: Mapping[str, Component], extras: Iterable[str] = ()
) -> list[Component]:
    """Return the components that requirements name, on this platform."""
    names = set()
    for line in requirements:
        requirement = Requirement(line)
        marker = requirement.marker
        if not marker or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            names.add(_normalized(requirement.name))
    return [component for name, component in components.items() if name in names]


def _render(bom: Bom) -> str:
    return _validated(JsonV1Dot6(bom).output_as_string(indent=2) + "\n")


def _validated(document: str) -> str:
    if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(document):
        raise SystemExit(f"Not CycloneDX 1.6: {error}")
    return document


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
