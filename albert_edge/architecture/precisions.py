"""The precisions that a variant of a model can have, by name."""

from __future__ import annotations

from typing import Literal, get_args

# What `quantize` can compress to: a scale per row or column, a scale per block (8 and 4 bits),
# half floats, or a precision of its own for each matrix.
Compressed = Literal["int8", "int8-block", "int4", "fp16", "mixed"]
COMPRESSED: tuple[str, ...] = get_args(Compressed)

# What "auto" takes on a CPU, the first that there is: the fastest of those whose answers were
# checked, then the rest. fp16 is for GPUs.
ON_CPU = ("int8", "mixed", "int8-block", "int4", "fp32")
