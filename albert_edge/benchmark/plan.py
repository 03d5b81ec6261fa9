"""The plan of a benchmark, checked before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from albert_edge.architecture.config import AlbertConfig
from albert_edge.architecture.precisions import ON_CPU
from albert_edge.benchmark.checkpoint import write_checkpoint
from albert_edge.benchmark.peers import PEERS
from albert_edge.benchmark.peers.optimum import OPTIMUM
from albert_edge.benchmark.runtimes import Runtime, own_runtime
from albert_edge.benchmark.shapes import WARM, WARM_GPU, Shape, choose_shapes
from albert_edge.bundle.bundle import Bundle
from albert_edge.bundle.manifest import Variant
from albert_edge.check.portable import portable_file
from albert_edge.errors import Argument, Message, UsageError
from albert_edge.runtime.cpus import usable_cpus
from albert_edge.runtime.device import Device, find_devices
from albert_edge.runtime.text import load_text_encoder
from albert_edge.runtime.variants import choose_variant, usable_variants

PRECISIONS = ("fp32", "fp16", *(name for name in ON_CPU if name != "fp32"))
TOKENIZER = "tokenizer.json"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured.

    Attributes:
        head: What the model was trained for.
        config: Its geometry.
        reference: albert-edge in fp32, whose answers all are compared with.
        own: Runtimes of albert-edge to measure; if one fails, the benchmark does.
        shapes: Of the inputs.
        threads: Numbers of threads.
        rounds: Turns each runtime has at every shape.
        peers: Other runtimes to measure, all of which can be imported.
        skipped: Peers that were asked for and cannot be measured, and why.
        device: Where all run.
        baseline: The runtime that ratios are to, if it is measured.
        tokenizer: The content of a tokenizer.json that each start loads as well, or None.
        write_checkpoint: Writes the checkpoint that peers are built from into a folder, called in a
            process of its own with `source`; None if there is one already.
        source: What the checkpoint is written from.
    """

    head: str
    config: AlbertConfig
    reference: Runtime
    own: list[Runtime]
    shapes: list[Shape]
    threads: list[int]
    rounds: int
    peers: list[Runtime] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    device: str = "cpu"
    baseline: str = OPTIMUM.name
    tokenizer: bytes | None = None
    write_checkpoint: Callable[[Any, Path], None] | None = None
    source: Any = None

    @property
    def runtimes(self) -> list[Runtime]:
        """All of them, albert-edge first."""
        return [*self.own, *self.peers]

    @property
    def warm(self) -> Shape:
        """What a runtime answers before its memory is read again."""
        return WARM if self.device == "cpu" else WARM_GPU

    def choose_baseline(self, measured: Sequence[Runtime]) -> str:
        """The `baseline`, or else the first peer, albert-edge in fp32, or any that was measured."""
        names = [runtime.name for runtime in measured]
        peers = [peer.name for peer in self.peers]
        own_fp32 = [own.name for own in self.own if own.precision == "fp32"]
        choices = (self.baseline, *peers, *own_fp32, *names)
        return next(choice for choice in choices if choice in names)


def make_plan(
    bundle: Bundle,
    *,
    shapes: Sequence[Shape] | None,
    precisions: Sequence[str] | None,
    threads: Sequence[int] | None,
    against: Sequence[str],
    rounds: int,
    device: str,
) -> Plan:
    """Check what was asked for. The arguments are those of `albert_edge.bench`.

    Raises:
        BundleError: The bundle is damaged, or has no variant of a precision.
        DeviceError: onnxruntime as it is installed has no such device.
        UsageError: An argument is invalid.
    """
    if rounds < 1:
        raise UsageError(
            Message(Argument("rounds", rounds), " is less than 1."), tip="5 is the default."
        )
    config = bundle.read_config()
    place = find_devices(device)[0]
    peers, skipped = _choose_peers(against, place)
    if peers:
        portable_file(bundle)  # which their weights come from
    return Plan(
        head=bundle.manifest.head,
        config=config,
        reference=_own(bundle, "fp32", place),
        own=[_own(bundle, name, place) for name in _choose_precisions(bundle, precisions, place)],
        shapes=choose_shapes(shapes, config),
        threads=_choose_threads(threads),
        rounds=rounds,
        peers=peers,
        skipped=skipped,
        device=place.name,
        tokenizer=_tokenizer(bundle),
        write_checkpoint=write_checkpoint,
        source=bundle,
    )


def _tokenizer(bundle: Bundle) -> bytes | None:
    """The tokenizer.json of a bundle, checked before other processes load it."""
    if not bundle.has(TOKENIZER):
        return None
    load_text_encoder(bundle)
    return bundle.read(TOKENIZER)


def _own(bundle: Bundle, precision: str, device: Device) -> Runtime:
    return variant_runtime(bundle, choose_variant(bundle, device, precision))


def variant_runtime(bundle: Bundle, variant: Variant, name: str = "") -> Runtime:
    """A variant of a bundle, under the name of its mode, such as "int8-exits", or another."""
    own = own_runtime(bundle.path.resolve(), variant.name, variant.mode, variant.bytes)
    return replace(own, name=name or own.name)


def _choose_precisions(bundle: Bundle, wanted: Sequence[str] | None, device: Device) -> list[str]:
    """The precisions to measure, each once: those wanted, or all the bundle has for the device."""
    if not wanted:
        offered = {variant.mode for variant in usable_variants(bundle, device)}
        return [name for name in PRECISIONS if name in offered]
    for name in wanted:
        if name not in PRECISIONS:
            raise UsageError(
                Message(Argument("precisions", name), ": there is no such precision."),
                tip=f"Precisions are: {', '.join(PRECISIONS)}.",
            )
    return list(dict.fromkeys(wanted))


def _choose_threads(wanted: Sequence[int] | None) -> list[int]:
    usable = usable_cpus()
    for count in wanted or ():
        if not 1 <= count <= usable:
            raise UsageError(
                Message(
                    Argument("threads", count),
                    f" cannot be measured: this process may use {usable} processors.",
                ),
                tip=f"Give 1 to {usable}.",
            )
    return list(dict.fromkeys(wanted or (usable,)))


def _choose_peers(wanted: Sequence[str], device: Device) -> tuple[list[Runtime], dict[str, str]]:
    """The peers that are installed, each once, and why others are not measured."""
    kind = device.name.partition(":")[0]
    present, skipped = [], {}
    for name in dict.fromkeys(wanted):
        if name not in PEERS:
            raise UsageError(
                Message(Argument("against", name), ": there is no such peer."),
                tip=f"Peers are: {', '.join(PEERS)}.",
            )
        peer = PEERS[name]
        if peer.missing:
            skipped[name] = peer.how_to_get_it
        elif kind not in peer.devices:
            skipped[name] = f"it runs on {', '.join(peer.devices)}, not on {device.name}"
        else:
            present.append(peer)
    return present, skipped
