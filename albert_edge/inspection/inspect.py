"""What is in a bundle, read from the files themselves. Needs nothing beyond the base install."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from albert_edge.architecture.config import AlbertConfig, LabelName
from albert_edge.architecture.weights import find_weight, scale_name
from albert_edge.bundle.bundle import open_bundle
from albert_edge.bundle.manifest import PROMISES, Manifest, Variant
from albert_edge.bundle.model_file import BundledModel
from albert_edge.errors import BundleError, InstallationError
from albert_edge.inspection.weights import count_weights
from albert_edge.onnx_format.reader import OnnxFile, read_onnx
from albert_edge.runtime.model_source import read_checked


@dataclass(frozen=True, slots=True)
class TensorGroup:
    """Weights that belong together: their number of values and their bytes in the file."""

    name: str
    parameters: int
    bytes: int


@dataclass(frozen=True, slots=True)
class VariantContent:
    """One variant: its fields in the manifest, and the operators in its file.

    `mode` is what selects it: its precision, with "-exits" if it may stop early.
    """

    name: str
    bytes: int
    precision: str
    mode: str
    target: str
    layout: str
    opset: int
    optimizations: dict[str, int]
    matrices: dict[str, str]
    activations: str
    weights: str
    exits: int
    promised_agreement: float | None
    promised_max_drop: float | None
    narrow_activations: bool
    measured: dict[str, Any]
    operators: dict[str, int]

    @property
    def promised(self) -> str:
        """What is promised of its answers, in words; empty if nothing is."""
        values = ((getattr(self, name), words) for name, words in PROMISES.items())
        return ", ".join(words.format(value) for value, words in values if value is not None)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is in a bundle.

    Attributes:
        head: What the model was trained for.
        task: What a pipeline does with it by default, if a task was named on export.
        labels: Names of its classes.
        source: Where the checkpoint came from.
        geometry: Sizes and activation, as in config.json.
        parameters: Number of weights, each counted once.
        groups: The weights of the first variant by the module they belong to.
        variants: The ways of running the model.
        unsigned_weights: Whether this CPU does not sum products of signed int8 weights exactly, so
            that they are loaded as uint8 or, in variants with `narrow_activations`, multiplied by
            7-bit activations; None if no variant has such products or onnxruntime is not installed.
        unknown_fields: Fields of the manifest that this version does not know and ignored.
    """

    head: str
    task: str | None
    labels: tuple[LabelName, ...]
    source: str
    geometry: dict[str, Any]
    parameters: int
    groups: list[TensorGroup]
    variants: list[VariantContent]
    unsigned_weights: bool | None
    unknown_fields: tuple[str, ...]

    def __repr__(self) -> str:
        names = ", ".join(variant.name for variant in self.variants)
        return f"Inspection({self.head}, {self.parameters:,} parameters, variants {names})"


def inspect(bundle: str | os.PathLike[str]) -> Inspection:
    """Look into a bundle.

    Raises:
        BundleError: The bundle is missing or damaged.
    """
    opened = open_bundle(bundle)
    manifest = opened.manifest
    config = opened.read_config()
    if not manifest.variants:
        raise BundleError(
            f"{opened.path} lists no model.", tip="Export the model again.", where=opened.path
        )
    files = {variant.name: _read(opened.model_file(variant)) for variant in manifest.variants}
    groups = _groups(next(iter(files.values())), config)
    return Inspection(
        head=manifest.head,
        task=manifest.task,
        labels=manifest.labels,
        source=manifest.source,
        geometry=config.geometry,
        parameters=sum(group.parameters for group in groups),
        groups=groups,
        variants=[_content(variant, files[variant.name]) for variant in manifest.variants],
        unsigned_weights=_unsigned_weights(manifest),
        unknown_fields=manifest.unknown_fields,
    )


def _read(model: BundledModel) -> OnnxFile:
    read_checked(model)
    return read_onnx(model)


def _unsigned_weights(manifest: Manifest) -> bool | None:
    if not any(variant.multiplies_signed_weights for variant in manifest.variants):
        return None
    from albert_edge.runtime.saturation import adds_signed_weights_exactly

    try:
        return not adds_signed_weights_exactly()
    except InstallationError:
        return None


def _groups(file: OnnxFile, config: AlbertConfig) -> list[TensorGroup]:
    """Sum up weights by module: a layer's attention, its feed-forward part, a head, ..."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    scales = {scale_name(name) for name in file.tensors}
    for name, tensor in file.tensors.items():
        spec = find_weight(name)
        is_constant = name.startswith("const_") or tensor.dtype.kind != "f" or not tensor.shape
        if spec is None and name not in scales and is_constant:
            continue  # of the graph itself
        total = sums[name.rpartition(".")[0] or name]
        if name not in scales and (spec is None or spec.kind != "smoothing"):
            total[0] += count_weights(tensor, config)
        total[1] += tensor.bytes
    return [TensorGroup(name, count, size) for name, (count, size) in sums.items()]


def _content(variant: Variant, file: OnnxFile) -> VariantContent:
    return VariantContent(
        name=variant.name,
        bytes=variant.bytes,
        precision=variant.precision,
        mode=variant.mode,
        target=variant.target,
        layout=variant.layout,
        opset=variant.opset,
        optimizations=dict(variant.optimizations),
        matrices=dict(variant.matrices),
        activations=variant.activations,
        weights=variant.weights,
        exits=variant.exits,
        promised_agreement=variant.promised_agreement,
        promised_max_drop=variant.promised_max_drop,
        narrow_activations=variant.narrow_activations,
        measured=dict(variant.measured),
        operators=dict(file.operators.most_common()),
    )
