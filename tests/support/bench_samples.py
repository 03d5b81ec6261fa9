"""A bench report worked by hand, for what draws and prints such reports."""

from __future__ import annotations

from albert_edge.benchmark.report import (
    BenchReport,
    Latency,
    OperatorShare,
    Rates,
    Roofline,
    RuntimeResult,
)
from albert_edge.machine.machine import Machine

SHAPES = ((1, 8), (1, 32), (1, 128), (1, 384), (8, 128))
# Median milliseconds of each runtime at every shape, bytes of its file, MB it grew by.
FIGURES: dict[str, tuple[list[float], int, float, float]] = {
    "albert-edge int8": ([4.0, 10.5, 40.25, 126.0, 310.0], 11_934_000, 25.0, 40.0),
    "albert-edge fp32": ([13.5, 38.0, 119.0, 372.0, 892.0], 46_700_000, 58.0, 110.0),
    "optimum": ([14.7, 36.3, 143.4, 423.4, 997.5], 47_000_000, 102.0, 180.0),
    "openvino-int8": ([4.6, 12.0, 47.5, 154.1, 323.5], 12_200_000, 56.0, 100.0),
}
BASELINE = "optimum"
MACHINE = Machine(
    cpu="Processor of a test",
    architecture="x86_64",
    system="Linux 6.1, glibc 2.36",
    cores=4,
    usable_cpus=2,
    memory_bytes=8_000_000_000,
    features={"avx2": True, "vnni": False},
    python="3.11.2",
    packages={"onnxruntime": "1.32.0", "numpy": "2.3.0"},
)
ROOFLINE = Roofline(
    precision="int8",
    variant="model_quantized",
    batch=1,
    length=8,
    threads=2,
    int8_macs=10**9,
    fp32_macs=0,
    bytes=5 * 10**6,
    rates=Rates(200e9, 50e9, 10e9, uint8=80e9),
    ms=10.0,
    compute_ms=5.0,
    memory_ms=0.5,
    bound="compute",
    reached=0.5,
    operators=[OperatorShare("MatMulIntegerToFloat", 9, 1.0, 10**9, 5 * 10**6)],
    other_cpu="x86 without VNNI",
    other_compute_ms=10.0,
)
GEOMETRY = {"hidden_size": 24, "num_hidden_layers": 4}


def latency(batch: int, length: int, p50: float, ratio: float | None, threads: int = 2) -> Latency:
    """One latency whose other figures follow from its median."""
    return Latency(
        batch=batch,
        length=length,
        threads=threads,
        p50_ms=p50,
        p95_ms=1.5 * p50,
        best_ms=0.875 * p50,
        runs=20,
        outliers=1,
        sequences_per_s=1e3 * batch / p50,
        ratio=ratio,
        ratio_low=None if ratio is None else 0.75 * ratio,
        ratio_high=None if ratio is None else 1.25 * ratio,
    )


def runtime(name: str, latencies: list[Latency]) -> RuntimeResult:
    """One runtime of `FIGURES`, or one that is like the first."""
    _, size, steady, peak = FIGURES.get(name, FIGURES["albert-edge int8"])
    return RuntimeResult(
        name=name,
        precision="int8" if "int8" in name else "fp32",
        file_bytes=size,
        load_s=0.125,
        cold_start_s=0.375,
        loaded_mb=steady - 5,
        steady_mb=steady,
        peak_mb=peak,
        difference=0.0625,
        cosine=0.99987,
        note="",
        latencies=latencies,
    )


def sample(*names: str, threads: tuple[int, ...] = (2,), **changes: object) -> BenchReport:
    """The report of some runtimes of `FIGURES`, or of all."""
    runtimes = [
        runtime(
            name,
            [
                latency(*shape, own, peer / own, count)
                for count in threads
                for shape, own, peer in zip(
                    SHAPES, FIGURES[name][0], FIGURES[BASELINE][0], strict=True
                )
            ],
        )
        for name in names or FIGURES
    ]
    fields: dict[str, object] = {
        "machine": MACHINE,
        "bundle": "albert-base",
        "model": "text-classification, checkpoint",
        "geometry": GEOMETRY,
        "baseline": BASELINE,
        "rounds": 5,
        "method": {"warm-up": "The first runs of a turn are not timed."},
        "runtimes": runtimes,
        "skipped": {"torch": "pip install 'albert-edge[reference]'"},
        "roofline": None,
    }
    return BenchReport(**{**fields, **changes})  # type: ignore[arg-type]
