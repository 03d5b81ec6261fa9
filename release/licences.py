"""The licences of dependencies, as SPDX expressions, and whether they are among those accepted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from license_expression import AND, ExpressionError, get_spdx_licensing

# Permissive, or with effect on their own files only.
ACCEPTED = {
    *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "HPND", "ISC"),
    *("MIT", "MIT-0", "MIT-CMU", "MPL-2.0", "PSF-2.0", "Python-2.0", "Unlicense", "Zlib"),
    *("Apache-2.0 WITH LLVM-exception", "CNRI-Python", "NCSA", "X11"),
}
# Libraries of NVIDIA, which the extras that use a GPU or torch install from NVIDIA's own packages.
_NVIDIA = ("nvidia-", "cuda-")
_PROPRIETARY = "LicenseRef-NVIDIA-Proprietary"

# Packages whose metadata is silent: this one has no files, and only names others of NVIDIA.
_SILENT = {"cuda-toolkit": _PROPRIETARY}

# What older metadata says, in the field "license" or the classifiers.
_SPDX = {
    "apache": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache 2.0 license": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "3-clause bsd license": "BSD-3-Clause",
    "new bsd": "BSD-3-Clause",
    "bsd": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "isc license": "ISC",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "nvidia proprietary software": _PROPRIETARY,
    "other/proprietary license": _PROPRIETARY,
    "python software foundation license": "PSF-2.0",
    "the unlicense (unlicense)": "Unlicense",
}

_licensing = get_spdx_licensing()


def licence_of(metadata: Mapping[str, Any]) -> str | None:
    """Return the licence of a package as an SPDX expression; None if its metadata has none.

    Args:
        metadata: As pip reports it.
    """
    names = [metadata.get("license_expression"), metadata.get("license")]
    names += [
        classifier.rpartition(" :: ")[2]
        for classifier in metadata.get("classifier", ())
        if classifier.startswith("License :: ")
    ]
    for name in filter(None, names):
        expression = _SPDX.get(name.strip().lower(), name)
        try:
            return str(_licensing.parse(expression, validate=True))
        except ExpressionError:  # the text of a licence, or a name that is not of SPDX
            if expression == _PROPRIETARY:
                return _PROPRIETARY
    return _SILENT.get(metadata["name"])


def is_accepted(package: str, licence: str | None) -> bool:
    """Return whether a package may be a dependency."""
    if licence is None:
        return False
    if licence == _PROPRIETARY:
        return package.lower().startswith(_NVIDIA)
    return _accepts(_licensing.parse(licence))


def _accepts(expression: Any) -> bool:
    if str(expression) in ACCEPTED:
        return True
    parts = [_accepts(part) for part in getattr(expression, "args", ())]
    return bool(parts) and (all if isinstance(expression, AND) else any)(parts)


def refused(packages: Iterable[Mapping[str, Any]]) -> list[str]:
    """Name the packages of a report whose licence is unknown or not accepted, and that licence."""
    found = [(entry["metadata"]["name"], licence_of(entry["metadata"])) for entry in packages]
    return [f"{name}: {licence}" for name, licence in found if not is_accepted(name, licence)]
