"""albert-edge: ALBERT from a checkpoint to a small folder that runs anywhere onnxruntime runs.

    import albert_edge

    albert_edge.export("path/or/hub-id", "sst2")
    albert_edge.quantize("sst2")
    classify = albert_edge.pipeline("text-classification", model="sst2")
    classify("a great film")

Importing this package imports nothing heavy; each name loads what it needs at its first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = [
    "AlbertEdgeError",
    "ItemError",
    "Session",
    "__version__",
    "bench",
    "evaluate",
    "export",
    "inspect",
    "open_bundle",
    "optimize",
    "pack",
    "pipeline",
    "quantize",
    "sign",
    "specialize",
    "unpack",
    "verify",
]

if TYPE_CHECKING:
    from albert_edge.benchmark.run import bench
    from albert_edge.bundle.bundle import open_bundle
    from albert_edge.errors import AlbertEdgeError
    from albert_edge.evaluation.run import evaluate
    from albert_edge.inspection.inspect import inspect
    from albert_edge.inspection.verify import verify
    from albert_edge.runtime.item_error import ItemError
    from albert_edge.runtime.load import pipeline
    from albert_edge.runtime.session import Session
    from albert_edge.steps.export import export
    from albert_edge.steps.optimize import optimize
    from albert_edge.steps.pack import pack, unpack
    from albert_edge.steps.quantize import quantize
    from albert_edge.steps.sign import sign
    from albert_edge.steps.specialize import specialize

    __version__: str
else:
    # Hidden from type checkers, which would accept any name of a module that has it.

    _HOMES = {
        "AlbertEdgeError": "albert_edge.errors",
        "ItemError": "albert_edge.runtime.item_error",
        "Session": "albert_edge.runtime.session",
        "bench": "albert_edge.benchmark.run",
        "evaluate": "albert_edge.evaluation.run",
        "export": "albert_edge.steps.export",
        "inspect": "albert_edge.inspection.inspect",
        "open_bundle": "albert_edge.bundle.bundle",
        "optimize": "albert_edge.steps.optimize",
        "pack": "albert_edge.steps.pack",
        "pipeline": "albert_edge.runtime.load",
        "quantize": "albert_edge.steps.quantize",
        "sign": "albert_edge.steps.sign",
        "specialize": "albert_edge.steps.specialize",
        "unpack": "albert_edge.steps.pack",
        "verify": "albert_edge.inspection.verify",
    }

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            from importlib import metadata  # takes 10 ms, which a first answer does not spend

            try:
                return metadata.version("albert-edge")
            except metadata.PackageNotFoundError:  # a source tree that is not installed
                return "unknown"
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
