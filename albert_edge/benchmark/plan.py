"""What was asked for, checked before anything is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from albert_edge.architecture.config import AlbertConfig, read_config
from albert_edge.benchmark.peers import PEERS
from albert_edge.benchmark.runtimes import Runtime, own_runtime
from albert_edge.benchmark.shapes import Shape, choose_shapes
from albert_edge.bundle.bundle import Bundle
from albert_edge.check.portable import portable_file
from albert_edge.errors import UsageError
from albert_edge.runtime.cpus import usable_cpus
from albert_edge.runtime.device import CPU
from albert_edge.runtime.variants import choose_variant

PRECISIONS = ("fp32", "fp16", "int8", "mixed", "int8-block", "int4")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured.

    Attributes:
        bundle: The bundle.
        config: Its geometry.
        reference: albert-edge in fp32, whose answers all are compared with.
        own: Its variants to measure.
        peers: Other runtimes to measure, all of which can be imported.
        skipped: Peers that were asked for and cannot be measured, and why.
        shapes: Of the inputs.
        threads: Numbers of threads.
        rounds: Turns each runtime has at every shape.
    """

    bundle: Bundle
    config: AlbertConfig
    reference: Runtime
    own: list[Runtime]
    peers: list[Runtime]
    skipped: dict[str, str]
    shapes: list[Shape]
    threads: list[int]
    rounds: int

    @property
    def runtimes(self) -> list[Runtime]:
        """All of them, albert-edge first."""
        return [*self.own, *self.peers]


def make_plan(
    bundle: Bundle,
    *,
    shapes: Sequence[Shape] | None,
    precisions: Sequence[str] | None,
    threads: Sequence[int] | None,
    against: Sequence[str],
    rounds: int,
) -> Plan:
    """Check what was asked for. The arguments are those of `albert_edge.benchmark.run.bench`.

    Raises:
        BundleError: The bundle is damaged, or has no variant of a precision.
        UsageError: An argument has no meaning.
    """
    if rounds < 1:
        raise UsageError(f"rounds is {rounds}.", tip="Give 1 or more; 5 is the default.")
    config = read_config(bundle.listed("config.json"))
    peers, skipped = _choose_peers(against)
    if peers:
        portable_file(bundle)  # which their weights come from
    return Plan(
        bundle=bundle,
        config=config,
        reference=_own(bundle, "fp32"),
        own=[_own(bundle, name) for name in _choose_precisions(bundle, precisions)],
        peers=peers,
        skipped=skipped,
        shapes=choose_shapes(shapes, config),
        threads=_choose_threads(threads),
        rounds=rounds,
    )


def _own(bundle: Bundle, precision: str) -> Runtime:
    variant = choose_variant(bundle, CPU, precision)
    size = sum(record.bytes for record in variant.files)
    return own_runtime(bundle.folder.resolve(), variant.name, precision, size)


def _choose_precisions(bundle: Bundle, wanted: Sequence[str] | None) -> list[str]:
    """The precisions to measure, each once: those wanted, or all that the bundle has for a CPU."""
    if not wanted:
        there = {
            variant.precision
            for variant in bundle.manifest.variants
            if variant.target in ("portable", CPU.provider.target) and not variant.has_own_outputs
        }
        return [name for name in PRECISIONS if name in there]
    for name in wanted:
        if name not in PRECISIONS:
            raise UsageError(
                f"There is no precision {name!r}.", tip=f"Precisions are: {', '.join(PRECISIONS)}."
            )
    return list(dict.fromkeys(wanted))


def _choose_threads(wanted: Sequence[int] | None) -> list[int]:
    usable = usable_cpus()
    for count in wanted or ():
        if not 1 <= count <= usable:
            raise UsageError(
                f"{count} threads cannot be measured: this process may use {usable} processors.",
                tip=f"Give 1 to {usable}.",
            )
    return list(dict.fromkeys(wanted or (usable,)))


def _choose_peers(wanted: Sequence[str]) -> tuple[list[Runtime], dict[str, str]]:
    """The peers that are installed, each once, and why others are not measured."""
    present, skipped = [], {}
    for name in dict.fromkeys(wanted):
        if name not in PEERS:
            raise UsageError(f"There is no peer {name!r}.", tip=f"Peers are: {', '.join(PEERS)}.")
        peer = PEERS[name]
        if missing := peer.missing:
            skipped[name] = (
                f"{missing} is not installed: pip install 'albert-edge[cpu,{peer.extra}]'"
            )
        else:
            present.append(peer)
    return present, skipped
