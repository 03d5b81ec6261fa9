"""The native exporter: author the graph and fill in the checkpoint's tensors, without torch."""

from __future__ import annotations

from pathlib import Path

from albert_edge.architecture.heads import HEADS
from albert_edge.check.portable import require_onnx
from albert_edge.checkpoint.tensors import Array, open_checkpoint
from albert_edge.steps.exporters import Report, Writer, Written


def prepare(folder: Path, head: str) -> Writer:
    """Check a checkpoint against a head.

    Args:
        folder: The checkpoint.
        head: A key of `HEADS`.

    Returns:
        The function that writes the portable model to a path.

    Raises:
        ConfigError: config.json is bad.
        CheckpointError: The tensors do not fit.
        MissingExtraError: onnx or onnxscript is not installed.
    """
    checkpoint = open_checkpoint(folder)
    checkpoint.check_depth()
    require_onnx("Exporting")
    from albert_edge.graph.build import author
    from albert_edge.graph.plan import Plan
    from albert_edge.graph.writer import write_model

    authored = author(checkpoint.config, head, Plan())
    weights = authored.weights
    unused = checkpoint.fit({name: weight.checkpoint_shape for name, weight in weights.items()})

    def tensor(name: str) -> Array:
        values = checkpoint.tensor(name)
        return values.T if weights[name].transposed else values

    def write(path: Path, report: Report) -> Written:
        files = write_model(authored, tensor, path, report)
        opset = authored.model.opset_imports[""]
        inputs = HEADS[head].inputs
        return Written(files, inputs, opset, authored.weight_bytes, tuple(unused))

    return write
