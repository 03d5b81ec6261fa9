"""`albert-edge pack` and `albert-edge unpack`: a bundle as one file, and back."""

from __future__ import annotations

from albert_edge.cli.options import (
    BundleFolder,
    Force,
    Json,
    PackedFile,
    PackedOut,
    PackedVariants,
    ReplaceFile,
    UnpackedOut,
)
from albert_edge.cli.printing import megabytes, note, print_json, show
from albert_edge.cli.sign import is_signed, note_lost_signature


def pack(
    bundle: BundleFolder,
    output: PackedOut = None,
    variant: PackedVariants = None,
    force: ReplaceFile = False,
    as_json: Json = False,
) -> None:
    """Write a bundle as one file, which every command reads in place."""
    from albert_edge.steps.pack import pack

    report = pack(bundle, output, variants=variant, force=force, progress=not as_json)
    note_lost_signature(is_signed(bundle), report.file)
    if as_json:
        print_json(report)
        return
    variants = ", ".join(report.variants)
    note(f"Packed {report.files} files with {variants}: {megabytes(report.bytes)}.")
    show(report.file)


def unpack(file: PackedFile, out: UnpackedOut, force: Force = False, as_json: Json = False) -> None:
    """Write the files of a packed bundle to a folder, as they were."""
    from albert_edge.steps.pack import unpack

    report = unpack(file, out, force=force, progress=not as_json)
    if as_json:
        print_json(report)
        return
    note(f"Unpacked {report.files} files.")
    show(report.bundle)
