"""The native exporter: author the graph and fill in the checkpoint's tensors, without torch."""

from __future__ import annotations

from pathlib import Path

from albert_edge.architecture.heads import HEADS
from albert_edge.check.portable import require_onnx
from albert_edge.checkpoint.tensors import Array, Checkpoint
from albert_edge.steps.exporters import Report, Writer, Written


def require_packages() -> None:
    """Check that the packages that author graphs are installed.

    Raises:
        MissingExtraError: onnx or onnxscript is not.
    """
    require_onnx("Exporting")


def prepare(checkpoint: Checkpoint, head: str) -> Writer:
    """Check a checkpoint against a head.

    Args:
        checkpoint: The checkpoint.
        head: A key of `HEADS`.

    Returns:
        The function that writes the portable model to a path.

    Raises:
        ConfigError: config.json is bad.
        CheckpointError: The tensors do not fit.
    """
    checkpoint.check_depth()
    from albert_edge.graph.build import author
    from albert_edge.graph.plan import Plan
    from albert_edge.graph.writer import write_model

    authored = author(checkpoint.config, head, Plan())
    weights = authored.weights
    unread = checkpoint.fit({name: weight.checkpoint_shape for name, weight in weights.items()})

    def tensor(name: str) -> Array:
        values = checkpoint.tensor(name)
        return values.T if weights[name].transposed else values

    def write(path: Path, report: Report) -> Written:
        files = write_model(authored, tensor, path, report)
        return Written(
            files,
            inputs=HEADS[head].inputs,
            opset=authored.model.opset_imports[""],
            weight_bytes=authored.weight_bytes,
            unread=unread,
        )

    return write
