"""Which extras of albert-edge are complete, read from the metadata of what is installed."""

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
        missing: Its packages that are not, or not in a supported version, as requirements for pip.
    """

    name: str
    installed: dict[str, str]
    missing: list[str]

    @property
    def complete(self) -> bool:
        """Whether everything is there."""
        return not self.missing

    @property
    def pip(self) -> str:
        """The command that installs it."""
        return f"pip install 'albert-edge[{self.name}]'"


def installed_extras(package: str = "albert-edge") -> list[Extra]:
    """The extras of a package, in the order of its metadata; none if it was never installed."""
    try:
        ours = distribution(package)
    except PackageNotFoundError:
        return []
    names = ours.metadata.get_all("Provides-Extra") or []
    return [_look(ours, name) for name in names]


def _look(ours: Distribution, name: str) -> Extra:
    extra = Extra(name, {}, [])
    for requirement in _requirements(ours, name):
        try:
            version = distribution(requirement.name).version
        except PackageNotFoundError:
            extra.missing.append(_told(requirement))
            continue
        extra.installed[requirement.name] = version
        if not _takes(requirement, version):
            extra.missing.append(_told(requirement))
    return extra


def _requirements(owner: Distribution, extra: str) -> Iterator[Requirement]:
    """What an extra needs on this system, and what the extras that it names need."""
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


def _takes(requirement: Requirement, version: str) -> bool:
    try:
        return requirement.specifier.contains(version, prereleases=True)
    except InvalidVersion:
        return True  # a build of somebody's own


def _told(requirement: Requirement) -> str:
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}{requirement.specifier}"
