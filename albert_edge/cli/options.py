"""The options of all commands; dataclasses group those that belong together."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import typer

from albert_edge.architecture.precisions import Compressed

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
BundleFolder = Annotated[
    Path,
    typer.Argument(
        metavar="BUNDLE", help="A bundle: a folder that export wrote, or a file that pack wrote."
    ),
]

# export, optimize
Source = Annotated[
    str,
    typer.Argument(help="A checkpoint folder, a name that `models` lists, or a Hugging Face id."),
]
Out = Annotated[
    Path | None, typer.Argument(help="Where to write the bundle (default: the source's name).")
]
ExportTask = Annotated[
    str,
    typer.Option(
        help="A head or a pipeline task; auto reads the head from config.json, or from the weights."
    ),
]
Exporter = Annotated[
    Literal["native", "optimum"],
    typer.Option(help="native builds the graph from the weights; optimum traces it with torch."),
]
Verify = Annotated[bool, typer.Option(help="Compare with transformers before anything is written.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the contents of OUT.")]
PackedFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="A bundle in one file, which pack wrote.")
]
PackedOut = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help="The file to write (default: the bundle's name and .albert)."
    ),
]
PackedVariants = Annotated[
    list[str] | None,
    typer.Option(
        "--variant",
        help="Keep only this variant, such as model_quantized; repeatable (default: all).",
    ),
]
ReplaceFile = Annotated[bool, typer.Option("--force", help="Replace an existing file.")]
UnpackedOut = Annotated[Path, typer.Argument(help="The folder to write.")]
SpecializedOut = Annotated[Path, typer.Argument(help="Where to write the specialized bundle.")]
OptimizeTarget = Annotated[
    Literal["cpu", "cuda", "portable"],
    typer.Option(
        help="cpu and cuda use onnxruntime's fastest operators; portable only standard ONNX."
    ),
]
OptimizeLayout = Annotated[
    Literal["unrolled", "loop"] | None,
    typer.Option(
        help="How layers are repeated (default: loop, which loads faster; unrolled for cuda)."
    ),
]
Logits = Annotated[
    Literal["all", "masked"],
    typer.Option(help="masked: compute fill-mask logits only at [MASK], as separate outputs."),
]

# several commands, or commands with few options
Task = Annotated[
    str | None, typer.Option(help="A pipeline task (default: what the bundle was exported for).")
]
Device = Annotated[
    str, typer.Option(help="auto, cpu, cuda, cuda:1, openvino, ... or an execution provider.")
]
Threads = Annotated[
    int | None, typer.Option(help="Threads per run (default: the processors available).")
]
Data = Annotated[
    Path,
    typer.Argument(
        metavar="DATA", help="Labelled texts: .tsv, .csv, .jsonl, .parquet, CoNLL, SQuAD .json."
    ),
]
Output = Annotated[
    Path, typer.Option("--output", "-o", help="The page to write; an existing one is replaced.")
]
BenchFile = Annotated[
    Path | None, typer.Option(help="Output of an earlier bench --json (default: bench runs now).")
]
LabelledTexts = Annotated[
    Path | None, typer.Option(help="Labelled texts for accuracy, as evaluate reads them.")
]
Peers = Annotated[
    str | None,
    typer.Option(
        metavar="PEERS",
        help="Other runtimes to measure, separated by commas: torch, torch-int8, optimum, "
        "optimum-int8, openvino, openvino-int8; on a GPU torch-fp16, torch-fp16-compiled.",
    ),
]
Precisions = Annotated[
    list[str] | None,
    typer.Option(
        "--precision",
        help="Evaluate this precision; repeatable, the first is the baseline (default: all that "
        "the bundle has for the device).",
    ),
]
Disagreements = Annotated[
    int, typer.Option(help="How many texts to list that the precisions answer differently.")
]
OtherBundle = Annotated[
    Path | None, typer.Option(metavar="BUNDLE", help="Show the differences from this bundle.")
]
Variant = Annotated[
    str | None, typer.Option(help="Compare only this variant, such as model_quantized.")
]
OtherVariant = Annotated[
    str | None,
    typer.Option(help="The variant to compare it with, in the bundle of --diff if given."),
]
Depth = Annotated[
    bool,
    typer.Option(
        "--depth", help="Compare the first 1, 2, 3, ... layers with all: answers and time."
    ),
]
DepthTexts = Annotated[
    Path | None,
    typer.Option(
        "--texts",
        help="Texts for --depth, in the formats of predict --input (default: a built-in sample).",
    ),
]
DepthPrecision = Annotated[
    str | None, typer.Option("--precision", help="Precision for --depth (default: fp32).")
]
Checkpoint = Annotated[
    str | None, typer.Option(help="Also compare answers with those of this checkpoint.")
]
PublicKey = Annotated[
    Path | None,
    typer.Option(
        metavar="PUBLIC.pem", help="Also check that the bundle is signed with this key of ed25519."
    ),
]
PrivateKey = Annotated[
    Path,
    typer.Option(metavar="PRIVATE.pem", help="A private key: openssl genpkey -algorithm ed25519."),
]
DemoFolder = Annotated[
    Path | None, typer.Argument(help="Where to keep the bundle (default: it is removed).")
]
Plot = Annotated[Path | None, typer.Option(help="Also draw the results: .svg, .png or .html.")]


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """What `export` reads of which checkpoint, and what its files do not say or say wrong."""

    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit on the hub.")] = None
    base: Annotated[
        str | None,
        typer.Option(
            help="What the LoRA adapter in SOURCE adapts (default: the weights beside it, or what "
            "adapter_config.json names)."
        ),
    ] = None
    keep_accents: Annotated[
        bool | None,
        typer.Option(
            "--keep-accents/--strip-accents",
            help="Whether the tokenizer keeps accents and vowel signs (default: as its recipe or "
            "files say).",
        ),
    ] = None
    lowercase: Annotated[
        bool | None,
        typer.Option(
            "--lowercase/--cased",
            help="Whether the tokenizer lower-cases texts (default: as its recipe or files say).",
        ),
    ] = None
    layers: Annotated[
        int | None, typer.Option(help="Export only the first layers, so many (default: all).")
    ] = None


@dataclasses.dataclass(frozen=True, slots=True)
class Compression:
    """How `quantize` compresses."""

    precision: Annotated[
        Compressed | None,
        typer.Option(
            metavar="PRECISION",
            help="int8, int8-block, int4, fp16 or mixed, which chooses per matrix (default: int8; "
            "mixed if --max-drop is given).",
        ),
    ] = None
    target: Annotated[
        Literal["cuda", "portable"] | None,
        typer.Option(help="Where fp16 runs: cuda, or portable for other runtimes."),
    ] = None
    prefer: Annotated[
        Literal["smallest", "fastest"] | None,
        typer.Option(help="What mixed optimizes (default: smallest)."),
    ] = None
    activations: Annotated[
        Literal["per-token", "per-tensor"] | None,
        typer.Option(help="Scales of int8 activations (default: per-token)."),
    ] = None
    weights: Annotated[
        Literal["signed", "unsigned"] | None,
        typer.Option(
            help="How int8 weights are stored (default: signed); unsigned is for other programs "
            "that open the file on CPUs without VNNI."
        ),
    ] = None
    layout: Annotated[
        Literal["unrolled", "loop"] | None,
        typer.Option(
            help="How layers are repeated (default: loop, which loads faster; unrolled for fp16)."
        ),
    ] = None
    tune: Annotated[
        bool | None,
        typer.Option(
            "--tune", help="Choose activations and layout of int8 by their time on this CPU."
        ),
    ] = None


@dataclasses.dataclass(frozen=True, slots=True)
class QualityGate:
    """What the answers of a compressed variant must keep, and on which texts."""

    min_agreement: Annotated[
        float | None, typer.Option(help="Minimum agreement with fp32 (default: 0.99).")
    ] = None
    min_cosine: Annotated[
        float | None,
        typer.Option(help="Minimum mean cosine similarity with fp32 outputs (default: 0.999)."),
    ] = None
    max_drop: Annotated[
        float | None,
        typer.Option(help="Maximum loss of accuracy in percentage points; needs --data."),
    ] = None
    texts: Annotated[
        Path | None,
        typer.Option(help="Texts to measure on, in the formats of predict --input."),
    ] = None
    data: Annotated[
        Path | None,
        typer.Option(help='Labelled texts to measure on: a file of --texts with a "label" column.'),
    ] = None


@dataclasses.dataclass(frozen=True, slots=True)
class SampleGate:
    """The texts that `specialize` is for, and how close to the full model the answers stay."""

    texts: Annotated[
        Path | None,
        typer.Option(help="Texts like those to be answered, in the formats of predict --input."),
    ] = None
    data: Annotated[
        Path | None,
        typer.Option(help='Instead, labelled texts: a file of --texts with a "label" column.'),
    ] = None
    min_agreement: Annotated[
        float | None,
        typer.Option(help="Promised agreement with the full model (default: 0.99)."),
    ] = None
    max_drop: Annotated[
        float | None,
        typer.Option(
            help="Instead, the maximum loss of accuracy in percentage points; needs --data."
        ),
    ] = None


@dataclasses.dataclass(frozen=True, slots=True)
class LeftOut:
    """What `specialize` may leave out."""

    width: Annotated[
        bool, typer.Option("--width/--no-width", help="Neurons and attention heads.")
    ] = True
    exits: Annotated[
        bool,
        typer.Option("--exits/--no-exits", help="The layers after a text is certain."),
    ] = True
    vocabulary: Annotated[
        bool, typer.Option("--vocabulary", help="Pieces of the vocabulary that no text uses.")
    ] = False
    keep_texts: Annotated[
        Path | None, typer.Option(help="Further texts whose pieces are kept.")
    ] = None


@dataclasses.dataclass(frozen=True, slots=True)
class Measurement:
    """What `bench` measures."""

    shapes: Annotated[
        str | None,
        typer.Option(
            metavar="SHAPES",
            help="Batch x length, separated by commas (default: 1x8,1x32,1x128,1x384,8x128).",
        ),
    ] = None
    precision: Annotated[
        list[str] | None,
        typer.Option(
            help="fp32, int8, int8-exits, ... (default: all it has for the device). Repeatable."
        ),
    ] = None
    threads: Annotated[
        list[int] | None,
        typer.Option(help="Threads per run (default: the processors available). Repeatable."),
    ] = None
    against: Peers = None
    rounds: Annotated[int, typer.Option(help="Rounds; every runtime has a turn in each.")] = 5
    device: Device = "auto"
    roofline: Annotated[
        bool,
        typer.Option("--roofline", help="Also measure the limits of this machine's arithmetic."),
    ] = False


def names(text: str | None) -> list[str]:
    """Split the value of an option that takes several names.

    >>> names("torch, optimum,")
    ['torch', 'optimum']
    """
    return [name.strip() for name in (text or "").split(",") if name.strip()]
