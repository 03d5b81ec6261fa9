"""A bundle and its peers, measured side by side."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from albert_edge.benchmark.benchmark_run import BenchmarkRun
from albert_edge.benchmark.method import describe_method
from albert_edge.benchmark.plan import make_plan
from albert_edge.benchmark.report import BenchReport
from albert_edge.benchmark.shapes import Shape
from albert_edge.bundle.bundle import Bundle, open_bundle
from albert_edge.disk.writing import scratch_folder
from albert_edge.errors import UsageError
from albert_edge.machine.machine import describe_machine
from albert_edge.progress import Progress, progress_bar
from albert_edge.runtime.providers import load_onnxruntime


def bench(
    bundle: Bundle | str | os.PathLike[str],
    *,
    shapes: Sequence[Shape] | None = None,
    precisions: Sequence[str] | None = None,
    threads: Sequence[int] | None = None,
    against: Sequence[str] = (),
    rounds: int = 5,
    device: str = "auto",
    progress: bool | Progress = False,
) -> BenchReport:
    """Measure latency, throughput, start-up and memory of a bundle; and of its peers likewise.

    Every runtime runs in processes of its own, kept to the same processors. Peers run the weights
    of the bundle, and their answers are compared with albert-edge's in fp32. In every round each
    runtime has one turn, in random order; ratios are taken within a round.

    Args:
        bundle: A bundle, or the folder or the packed file of one.
        shapes: Pairs of batch and length; by default 1x8, 1x32, 1x128, 1x384 and 8x128, those of
            them that the model can take.
        precisions: Which of the bundle's; by default all that it has for the device.
        threads: Numbers of threads, each of which everything is measured with; by default the
            processors this process may use.
        against: Peers: "torch", "torch-int8", "optimum", "optimum-int8", "openvino" or
            "openvino-int8" on a CPU, "torch-fp16" or "torch-fp16-compiled" on a GPU. A peer that is
            not installed, runs elsewhere or fails is reported as skipped.
        rounds: Turns each runtime has at every shape.
        device: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1", ... On a GPU, memory is
            that of the device, as nvidia-smi reports it.
        progress: True for a progress bar, or a function that is called with what is being done,
            and how many steps of how many are done.

    Returns:
        The report. The baseline of its ratios is optimum if that was measured, otherwise the first
        peer, otherwise albert-edge in fp32.

    Raises:
        BundleError: The bundle is missing or damaged, has no variant of a precision, cannot be run,
            or, if peers were asked for, has no weights to give them.
        DeviceError: onnxruntime as it is installed has no such device.
        MissingExtraError: onnxruntime is not installed.
        UsageError: An argument is invalid, or this is a program frozen by PyInstaller.
    """
    if getattr(sys, "frozen", False):
        raise UsageError(
            "bench starts Python processes, and a frozen program has no Python to start.",
            tip="Run it where albert-edge is installed with pip.",
        )
    opened = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    load_onnxruntime()  # fails here, with what to install
    plan = make_plan(
        opened,
        shapes=shapes,
        precisions=precisions,
        threads=threads,
        against=against,
        rounds=rounds,
        device=device,
    )
    with (
        progress_bar(progress) as report,
        scratch_folder() as scratch,
        BenchmarkRun(plan, scratch, report) as run,
    ):
        results, baseline = run.measure(), run.baseline
    return BenchReport(
        machine=describe_machine(),
        bundle=str(opened.path),
        model=f"{opened.manifest.head}, {opened.manifest.source}",
        geometry=plan.config.geometry,
        baseline=baseline,
        rounds=rounds,
        method=describe_method(plan, run.processors, run.starts),
        runtimes=results,
        skipped=plan.skipped | run.failed,
        roofline=None,
    )
