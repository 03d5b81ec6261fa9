"""Latency, throughput, start-up and memory of a bundle, beside its peers in the same run.

`bench` is `albert_edge.benchmark.run.bench`. It is looked up when it is asked for, because the
processes that are measured import from this package too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from albert_edge.benchmark.run import bench

__all__ = ["bench"]


def __getattr__(name: str) -> Any:
    if name == "bench":
        from albert_edge.benchmark.run import bench

        return bench
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
