"""The commands that take and give bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from albert_edge.cli.diff import show_diff
from albert_edge.cli.printing import byte_progress, megabytes, note, print_json, print_table

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
BundleFolder = Annotated[Path, typer.Argument(metavar="BUNDLE", help="A folder export wrote.")]


def export(
    source: Annotated[
        str, typer.Argument(help="A checkpoint folder, a short name (models/), or a hub id.")
    ],
    out: Annotated[
        Path | None, typer.Argument(help="The bundle; by default the source's last name.")
    ] = None,
    task: Annotated[
        str, typer.Option(help="What it answers; auto reads config.json's architectures.")
    ] = "auto",
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit on the hub.")] = None,
    exporter: Annotated[
        Literal["native", "optimum"],
        typer.Option(help="native writes the graph itself; optimum traces it with torch."),
    ] = "native",
    verify: Annotated[
        bool, typer.Option(help="Compare with transformers before anything is written.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace what OUT holds.")] = False,
    as_json: Json = False,
) -> None:
    """Export a checkpoint to a bundle."""
    from albert_edge.steps.export import export

    with byte_progress("Writing weights", quiet=as_json) as progress:
        report = export(
            source,
            out,
            task=task,
            revision=revision,
            exporter=exporter,
            verify=verify,
            force=force,
            progress=progress,
        )
    if as_json:
        print_json(report)
        return
    note(f"Exported {report.source} for {report.task}: {megabytes(report.model_bytes)}.")
    if report.largest_difference is not None:
        note(f"Largest difference to transformers: {report.largest_difference:.1e}.")
    if report.unused:
        note(f"Not used by this task: {', '.join(report.unused)}.")
    if not report.tokenizer:
        note("The checkpoint has no tokenizer; the bundle takes token ids only.")
    print(report.bundle)


def optimize(
    bundle: BundleFolder,
    target: Annotated[
        Literal["cpu", "cuda", "portable"],
        typer.Option(help="cpu, cuda: what onnxruntime does fastest there; portable: ONNX's own."),
    ] = "cpu",
    layout: Annotated[
        Literal["unrolled", "loop"] | None,
        typer.Option(help="By default a loop, which loads faster; unrolled for cuda."),
    ] = None,
    logits: Annotated[
        Literal["all", "masked"],
        typer.Option(help="masked: fill-mask logits at [MASK] alone, as other outputs."),
    ] = "all",
    as_json: Json = False,
) -> None:
    """Author a faster variant with the same answers."""
    from albert_edge.graph.plan import Optimization
    from albert_edge.steps.optimize import optimize

    with byte_progress("Writing weights", quiet=as_json) as progress:
        report = optimize(bundle, target=target, layout=layout, logits=logits, progress=progress)
    if as_json:
        print_json(report)
        return
    rows = [
        [name, str(count), Optimization(name).description]
        for name, count in report.variant.optimizations.items()
    ]
    if rows:
        print_table("Applied", ["optimization", "times", "what it does"], rows)
    note(
        f"{report.nodes_before} operators became {report.nodes_after}; largest difference "
        f"{report.largest_difference:.1e}."
    )
    print(bundle / report.variant.file)


def inspect(
    bundle: BundleFolder,
    diff: Annotated[
        Path | None, typer.Option(metavar="BUNDLE", help="Show what differs from this one.")
    ] = None,
    variant: Annotated[
        str | None, typer.Option(help="Compare this variant alone, such as model_int8.")
    ] = None,
    diff_variant: Annotated[
        str | None,
        typer.Option(help="With this one, of --diff or, without it, of the same bundle."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what is in a bundle: geometry, parameters, bytes, operators; or what differs."""
    if diff or variant or diff_variant:
        show_diff(bundle, diff, variant, diff_variant, as_json=as_json)
        return
    from albert_edge.inspection.inspect import inspect

    found = inspect(bundle)
    if as_json:
        print_json(found)
        return
    head = [["task", found.task], ["labels", ", ".join(found.labels)], ["source", found.source]]
    geometry = [[name, str(value)] for name, value in found.geometry.items()]
    print_table("Model", ["", ""], head + geometry)
    groups = [
        [group.name, f"{group.parameters:,}", megabytes(group.bytes)] for group in found.groups
    ]
    total = [["total", f"{found.parameters:,}", megabytes(sum(g.bytes for g in found.groups))]]
    print_table("\nWeights", ["tensors", "parameters", "size"], groups + total)
    for content in found.variants:
        about = f"{content.precision}, {content.target}, {content.layout}, opset {content.opset}"
        operators = [[name, str(count)] for name, count in content.operators.items()]
        title = f"\n{content.name}: {about}, {megabytes(content.bytes)}"
        print_table(title, ["operator", "times"], operators)
        if content.matrices:
            print_table(
                "", ["matrix", "precision"], [list(pair) for pair in content.matrices.items()]
            )
    if found.unsigned_weights is not None:
        exact = "overflow: int8 is loaded as uint8" if found.unsigned_weights else "are exact"
        print(f"\nOn this CPU sums of products of signed weights {exact}.")


def verify(
    bundle: BundleFolder,
    against: Annotated[
        str | None, typer.Option(help="The checkpoint to compare answers with.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check every file's hash and, with --against, every answer."""
    from albert_edge.inspection.verify import verify

    report = verify(bundle, against=against)
    if as_json:
        print_json(report)
        return
    for variant, difference in report.differences.items():
        note(f"{variant}: largest difference to transformers {difference:.1e}.")
    print(f"{report.files} files are what the manifest says.")


def demo(
    out: Annotated[
        Path | None, typer.Argument(help="Keep the bundle here; by default it is removed.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Export, optimize, quantize, run and score the model that ships with albert-edge."""
    from albert_edge.steps.demo import run_demo

    report = run_demo(out, say=(lambda message: None) if as_json else note)
    if as_json:
        print_json(report)
        return
    print_table(
        f"{report.model}, {report.texts} held-out lines, {report.threads} threads",
        ["variant", "file", "load", "latency", "accuracy"],
        [
            [
                row.variant,
                megabytes(row.bytes),
                f"{row.load_ms:.0f} ms",
                f"{row.latency_ms:.2f} ms",
                f"{row.accuracy:.1%}",
            ]
            for row in report.rows
        ],
    )
