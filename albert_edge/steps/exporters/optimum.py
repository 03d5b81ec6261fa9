"""optimum's exporter, which traces the model with torch."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from albert_edge.architecture.heads import HEADS, Input
from albert_edge.checkpoint.tensors import Checkpoint
from albert_edge.errors import Argument, CheckpointError, Message, UsageError
from albert_edge.packages import import_extra
from albert_edge.steps.exporters import Report, Writer, Written

OPSET = 17

_NATIVE = Message("Use ", Argument("exporter", "native"), ".")


def require_packages() -> None:
    """Check that optimum is installed.

    Raises:
        MissingExtraError: It is not.
    """
    purpose = Message(Argument("exporter", "optimum"))
    import_extra("optimum.exporters.onnx", extra="optimum", purpose=purpose)


def prepare(checkpoint: Checkpoint, head: str) -> Writer:
    """Check that optimum can export the head.

    Args:
        checkpoint: The checkpoint.
        head: A key of `HEADS`.

    Returns:
        The function that writes the traced model to a path.

    Raises:
        UsageError: optimum cannot export the head.
        CheckpointError: Weights of the head or the last layer are missing, or names have a prefix,
            which transformers does not take off: optimum would trace random weights.
    """
    from optimum.exporters.onnx import main_export

    if head == "pretraining":
        raise UsageError("optimum cannot export pretraining.", tip=_NATIVE)
    folder = checkpoint.folder
    if checkpoint.prefix:
        raise CheckpointError(
            f"{folder}: names of tensors begin with {checkpoint.prefix}, so optimum would not "
            "read them.",
            tip=_NATIVE,
        )
    checkpoint.check_depth()
    if missing := sorted(HEADS[head].biases.keys() - checkpoint.parameters):
        raise CheckpointError(
            f"{folder}: tensor {missing[0]} is missing, so optimum would trace a random head.",
            tip=Message(
                "Choose with ", Argument("task"), " the head this checkpoint was trained with."
            ),
        )

    def write(path: Path, report: Report) -> Written:
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            try:
                main_export(
                    str(folder),
                    scratch,
                    task=head,
                    opset=OPSET,
                    do_validation=False,
                    dtype="fp32",
                    # Otherwise a folder of sentence-transformers gets other outputs.
                    library_name="transformers",
                )
            except Exception as error:  # torch, transformers and optimum raise any class
                raise CheckpointError(
                    f"optimum could not export {folder}: {error}", tip=_NATIVE
                ) from error
            written = sorted(Path(scratch).glob("model.onnx*"))
            files = [Path(shutil.move(file, path.with_name(file.name))) for file in written]
        return Written(files, _inputs(files[0], head), OPSET)

    return write


def _inputs(model: Path, head: str) -> tuple[Input, ...]:
    """Read the inputs of a traced model, with the defaults of its head."""
    import onnx

    known = {expected.name: expected for expected in HEADS[head].inputs}
    inputs = []
    for value in onnx.load(model, load_external_data=False).graph.input:
        tensor = value.type.tensor_type
        axes = tuple(axis.dim_param or str(axis.dim_value) for axis in tensor.shape.dim)
        type_ = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
        default = known[value.name].default if value.name in known else None
        inputs.append(Input(value.name, axes, type_, default))
    return tuple(inputs)
