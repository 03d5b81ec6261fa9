"""albert-edge: ALBERT from a checkpoint to a small folder that runs anywhere onnxruntime runs.

    import albert_edge

    albert_edge.export("path/or/hub-id", "sst2")
    albert_edge.quantize("sst2")
    classify = albert_edge.pipeline("text-classification", model="sst2")
    classify("a great film")

Importing this package imports nothing heavy; each name loads what it needs at its first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from albert_edge.bundle.bundle import open_bundle
    from albert_edge.errors import AlbertEdgeError
    from albert_edge.runtime.load import pipeline
    from albert_edge.steps.export import export
    from albert_edge.steps.optimize import optimize
    from albert_edge.steps.quantize import quantize

__all__ = ["AlbertEdgeError", "export", "open_bundle", "optimize", "pipeline", "quantize"]

_HOMES = {
    "AlbertEdgeError": "albert_edge.errors",
    "export": "albert_edge.steps.export",
    "open_bundle": "albert_edge.bundle.bundle",
    "optimize": "albert_edge.steps.optimize",
    "pipeline": "albert_edge.runtime.load",
    "quantize": "albert_edge.steps.quantize",
}


def __getattr__(name: str) -> Any:
    if name == "runtime":  # so that albert_edge.runtime.session.Session can be written out
        import_module("albert_edge.runtime.session")
        return import_module("albert_edge.runtime")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
