"""The names of the precisions that a variant of a model can have."""

from __future__ import annotations

from typing import Literal

# The precisions of `quantize`: a scale per row or column, a scale per block (8 and 4 bits), half
# floats, or a different precision for each matrix.
Compressed = Literal["int8", "int8-block", "int4", "fp16", "mixed"]

# The order in which "auto" prefers precisions on a CPU, the fastest first. fp16 is for GPUs.
ON_CPU = ("int8", "mixed", "int8-block", "int4", "fp32")
