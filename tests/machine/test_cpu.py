"""The kinds of CPU whose figures can be compared."""

from __future__ import annotations

import pytest

from albert_edge.machine.cpu import cpu_kind


@pytest.mark.parametrize(
    ("architecture", "features", "kind"),
    [
        ("x86_64", {"avx2": True, "avx512": True, "vnni": True}, "x86 AVX-512 VNNI"),
        ("x86_64", {"avx2": True, "avx512": True, "vnni": False}, "x86 AVX-512 without VNNI"),
        ("x86_64", {"avx2": True, "avx512": False, "vnni": True}, "x86 AVX2 VNNI"),
        ("x86_64", {"avx2": True, "avx512": False, "vnni": False}, "x86 AVX2 without VNNI"),
        ("x86_64", {"sse4": True, "avx2": False}, "x86 SSE4 without VNNI"),
        ("x86_64", {}, "x86_64"),  # the system does not say
        ("aarch64", {"dotprod": True, "i8mm": True}, "ARM I8MM"),
        ("aarch64", {"dotprod": True, "i8mm": False}, "ARM dot product"),
        ("aarch64", {"dotprod": False, "i8mm": False}, "ARM without dot product"),
        ("riscv64", {}, "riscv64"),
    ],
)
def test_the_kind_of_a_cpu(architecture: str, features: dict[str, bool], kind: str) -> None:
    assert cpu_kind(architecture, features) == kind
