"""Which extras of albert-edge are complete, read from the metadata of installed packages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.version import InvalidVersion


@dataclass(frozen=True, slots=True)
class Extra:
    """An extra of albert-edge.

    Attributes:
        name: Such as "export".
        installed: Versions of its packages that are installed.
        missing: Packages that are missing or of an unsupported version, as pip requirements.
    """

    name: str
    installed: dict[str, str]
    missing: list[str]

    @property
    def complete(self) -> bool:
        """Whether all its packages are installed."""
        return not self.missing

    @property
    def pip(self) -> str:
        """The command that installs it."""
        return f"pip install 'albert-edge[{self.name}]'"


def installed_extras(package: str = "albert-edge") -> list[Extra]:
    """List the extras of a package, in the order of its metadata; none if it is not installed."""
    try:
        ours = distribution(package)
    except PackageNotFoundError:
        return []
    names = ours.metadata.get_all("Provides-Extra") or []
    return [_examine(ours, name) for name in names]


def _examine(ours: Distribution, name: str) -> Extra:
    extra = Extra(name, installed={}, missing=[])
    for requirement in _requirements(ours, name):
        try:
            version = distribution(requirement.name).version
        except PackageNotFoundError:
            extra.missing.append(_shown(requirement))
            continue
        extra.installed[requirement.name] = version
        if not _accepts(requirement, version):
            extra.missing.append(_shown(requirement))
    return extra


def _requirements(owner: Distribution, extra: str) -> Iterator[Requirement]:
    """Yield the requirements of an extra on this system, and of the extras that they name."""
    for line in owner.requires or []:
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or marker.evaluate({"extra": ""}):
            continue  # needed without any extra
        if not marker.evaluate({"extra": extra}):
            continue
        yield requirement
        try:
            inner = distribution(requirement.name)
        except PackageNotFoundError:
            continue
        for name in sorted(requirement.extras):
            yield from _requirements(inner, name)


def _accepts(requirement: Requirement, version: str) -> bool:
    try:
        return requirement.specifier.contains(version, prereleases=True)
    except InvalidVersion:
        return True  # a custom build


def _shown(requirement: Requirement) -> str:
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}{requirement.specifier}"
