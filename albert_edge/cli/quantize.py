"""`albert-edge quantize`: a compressed variant, or exit code 3 and what would pass."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from albert_edge.architecture.precisions import Compressed
from albert_edge.cli.commands import BundleFolder, Json
from albert_edge.cli.printing import megabytes, note, print_json, print_table, step_progress
from albert_edge.errors import QualityError

if TYPE_CHECKING:
    from albert_edge.check.quality import Quality
    from albert_edge.steps.quantize import QuantizeReport


Precision = Annotated[
    Compressed | None,
    typer.Option(help="By default int8; with a budget mixed, the best for each matrix."),
]
Target = Annotated[
    Literal["cuda", "portable"] | None,
    typer.Option(help="Whose operators fp16 uses: cuda, or portable for other runtimes."),
]
MinAgreement = Annotated[
    float | None, typer.Option(help="Share of decisions that must stay the same: 0.99.")
]
MinCosine = Annotated[float | None, typer.Option(help="Least mean cosine of the outputs: 0.999.")]
MaxDrop = Annotated[
    float | None, typer.Option(help="Points of accuracy that may be lost; needs --data.")
]
Texts = Annotated[
    Path | None, typer.Option(help="Texts to judge on, as predict --input takes them.")
]
Data = Annotated[
    Path | None, typer.Option(help='The same with a column "label": .tsv, .csv, .jsonl.')
]
Prefer = Annotated[
    Literal["smallest", "fastest"] | None, typer.Option(help="What mixed looks for: smallest.")
]
Activations = Annotated[
    Literal["per-token", "per-tensor"] | None,
    typer.Option(help="What shares a scale when int8 quantizes activations: per-token."),
]
Layout = Annotated[
    Literal["unrolled", "loop"] | None,
    typer.Option(help="By default a loop, which loads faster; unrolled for fp16."),
]


def quantize(
    bundle: BundleFolder,
    precision: Precision = None,
    target: Target = None,
    min_agreement: MinAgreement = None,
    min_cosine: MinCosine = None,
    max_drop: MaxDrop = None,
    texts: Texts = None,
    data: Data = None,
    prefer: Prefer = None,
    activations: Activations = None,
    layout: Layout = None,
    as_json: Json = False,
) -> None:
    """Compress a bundle, if its answers stay good enough."""
    from albert_edge.steps.quantize import quantize

    try:
        with step_progress(quiet=as_json) as progress:
            report = quantize(
                bundle,
                precision=precision,
                target=target,
                min_agreement=min_agreement,
                min_cosine=min_cosine,
                max_drop=max_drop,
                texts=texts,
                data=data,
                prefer=prefer,
                activations=activations,
                layout=layout,
                progress=progress,
            )
    except QualityError as error:
        _print(error.report, as_json=as_json)
        raise
    _print(report, as_json=as_json)
    if report.variant and not as_json:
        print(bundle / report.variant.file)


def _print(report: QuantizeReport, *, as_json: bool) -> None:
    if as_json:
        print_json(report)
        return
    if report.costs:
        _print_costs(report)
    if report.quality is None or report.bytes is None:
        return
    plan = ", ".join(f"{matrix} {precision}" for matrix, precision in report.matrices.items())
    if report.precision == "mixed":
        note(f"Chosen after trying {report.tried}: {plan}; the rest fp32.")
    share = report.bytes / report.reference_bytes
    note(f"{megabytes(report.reference_bytes)} became {megabytes(report.bytes)} ({share:.1%}).")
    note(f"On {report.sample}, beside fp32: {_in_words(report.quality)}.")


def _print_costs(report: QuantizeReport) -> None:
    rows = [
        [
            cost.matrix,
            cost.precision,
            megabytes(cost.bytes_saved),
            f"{1e3 * cost.seconds_saved:+.2f} ms",
            f"{cost.quality.cosine:.5f}",
            "" if cost.quality.agreement is None else f"{cost.quality.agreement:.2%}",
            "" if cost.quality.drop is None else f"{cost.quality.drop:+.2f}",
        ]
        for cost in report.costs
    ]
    columns = ["matrix alone", "precision", "saves", "saves a text", "cosine", "agreement", "drop"]
    print_table("What each matrix costs", columns, rows)


def _in_words(quality: Quality) -> str:
    words = [
        f"{quality.texts} texts, cosine {quality.cosine:.5f} (worst {quality.worst_cosine:.4f})"
    ]
    if quality.agreement is not None:
        words.append(f"{quality.agreement:.2%} of decisions the same")
    words.append(f"largest difference {quality.largest_difference:.2g}")
    if quality.accuracy is not None and quality.reference_accuracy is not None:
        words.append(f"accuracy {quality.accuracy:.2%} after {quality.reference_accuracy:.2%}")
    return ", ".join(words)
