"""The two kinds of x86 CPU, and how fast the kind that this machine is not would multiply bytes.

Instructions for 32 multiply-accumulates in the inner loops of onnxruntime's kernels, with vectors
of 256 bits (`SgemmKernelFma3` and `QgemmU8X8KernelAvx2` in `onnxruntime/core/mlas/lib/x86_64`):

| product | multiplications | additions | cycles | rate over fp32 |
| --- | --- | --- | --- | --- |
| fp32 | 4 VFMADD231PS | | 2 | 1 |
| bytes, signed weights, with VNNI | 1 VPDPBUSDS | | 1/2 | 4 |
| bytes, signed weights, without | VPMADDUBSW, VPMADDWD | 1 VPADDD | 1 | 2 |
| bytes, unsigned weights | 2 VPMADDWD | 2 VPADDD | 4/3 | 1.5 |

A cycle takes three such instructions, two of them multiplications, as on Intel since Skylake. AMD
since Zen 2 takes a fourth, so unsigned weights may come closer to 2 there. Loads and widening,
which many rows share, are left out.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from albert_edge.benchmark.report import Rates
from albert_edge.bundle.manifest import Variant
from albert_edge.runtime.saturation import adds_signed_weights_exactly


class CpuKind(StrEnum):
    """How a CPU sums products of bytes: in 32 bits, or two at a time in 16."""

    VNNI = "x86 with VNNI"
    AVX2 = "x86 without VNNI"


def _cycles(multiplications: int, additions: int = 0) -> float:
    return max(multiplications / 2, (multiplications + additions) / 3)


_FP32 = _cycles(4)
_SIGNED = {CpuKind.VNNI: _cycles(1), CpuKind.AVX2: _cycles(2, 1)}
_UNSIGNED = _cycles(2, 2)


def other_kind() -> CpuKind:
    """Return the kind that this machine is not; every CPU that is exact as it is counts as VNNI."""
    return CpuKind.AVX2 if adds_signed_weights_exactly() else CpuKind.VNNI


def derive_rates(kind: CpuKind, measured: Rates) -> Rates:
    """Return the rates of a CPU of a kind that multiplies floats and copies as fast as measured."""
    return replace(
        measured,
        int8=measured.fp32 * _FP32 / _SIGNED[kind],
        uint8=measured.fp32 * _FP32 / _UNSIGNED,
    )


def has_unsigned_weights(variant: Variant, kind: CpuKind) -> bool:
    """Return whether a variant multiplies unsigned weights on a CPU of a kind.

    It does if they are stored so, or if sums of products of signed ones would overflow.
    """
    if not variant.multiplies_signed_weights:
        return variant.weights == "unsigned"
    return kind is CpuKind.AVX2 and not variant.narrow_activations
