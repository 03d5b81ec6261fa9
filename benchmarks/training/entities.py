"""Train a named-entity recognizer: 6 layers of 384, on WNUT-17.

    python benchmarks/training/entities.py --data FOLDER --out build/trained/entities

FOLDER has the files of the WNUT-17 shared task (Derczynski, Nichols, van Erp and Limsopatham, 2017,
"Results of the WNUT2017 Shared Task on Novel and Emerging Entity Recognition", CC BY 4.0), from
github.com/leondz/emerging_entities_17: wnut17train.conll, emerging.dev.conll and
emerging.test.annotated. The model learns from the first and is tested on the other two. Needs
torch, transformers and seqeval; takes minutes on two cores.

The entities of the test were chosen to be unlike those of the training, and nothing is pre-trained:
expect a low F1. Every token of an entity is labelled, not only the first token of a word.
"""

from __future__ import annotations

import json
import random
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from recipe import IGNORED, SEED, Example, Recipe, make_parser, read_english_tokenizer, run, write
from seqeval.metrics import accuracy_score, f1_score
from tokenizers import Tokenizer
from transformers import AlbertForTokenClassification

TRAINING = ("wnut17train.conll",)
TEST = ("emerging.dev.conll", "emerging.test.annotated")
TYPES = ("corporation", "creative-work", "group", "location", "person", "product")
LABELS = ["O", *(f"{place}-{kind}" for kind in TYPES for place in "BI")]
RECIPE = Recipe(hidden_size=384, depths=(2, 2, 2, 4, 6), peak_rate=5e-4, batch=16)


class Sentence(NamedTuple):
    """Words, and the label of each."""

    words: list[str]
    labels: list[str]

    @property
    def text(self) -> str:
        """The words as one text."""
        return " ".join(self.words)


def read_sentences(folder: Path, names: Iterable[str]) -> list[Sentence]:
    """Read files of a word and its label a line, with an empty line between sentences."""
    content = "\n\n".join((folder / name).read_text(encoding="utf-8") for name in names)
    sentences = []
    for block in content.replace("\t\n", "\n").split("\n\n"):
        pairs = [line.split("\t") for line in block.splitlines() if "\t" in line]
        if pairs:
            sentences.append(Sentence([w for w, _ in pairs], [label for _, label in pairs]))
    return sentences


def encode(tokenizer: Tokenizer, sentence: Sentence) -> Example[list[int]]:
    """Give every token the label of its word; only the first of an entity keeps its B."""
    encoding = tokenizer.encode(sentence.text)
    starts = [0, *accumulate(len(word) + 1 for word in sentence.words)]
    labels, last = [], -1
    for (_, end), special in zip(encoding.offsets, encoding.special_tokens_mask, strict=True):
        if special:
            labels.append(IGNORED)
            continue
        word = bisect_right(starts, max(end - 1, 0)) - 1
        label = sentence.labels[word]
        labels.append(LABELS.index(label.replace("B-", "I-") if word == last else label))
        last = word
    return Example(encoding.ids, labels)


def score(examples: Sequence[Example[list[int]]], predictions: list[list[int]]) -> str:
    """Write the F1 of entities and the accuracy of tokens."""
    truth, guesses = [], []
    for (_, labels), row in zip(examples, predictions, strict=True):
        labelled = [(label, guess) for label, guess in zip(labels, row, strict=True) if label >= 0]
        truth.append([LABELS[label] for label, _ in labelled])
        guesses.append([LABELS[guess] for _, guess in labelled])
    return f"F1 {f1_score(truth, guesses):.1%}, accuracy {accuracy_score(truth, guesses):.1%}"


def main() -> None:
    """Train and write the model, its test sentences, and the texts to specialize it on."""
    parser = make_parser(__doc__ or "")
    parser.add_argument("--data", type=Path, required=True, help="folder of WNUT-17")
    arguments = parser.parse_args()
    tokenizer = read_english_tokenizer()
    training, test = (read_sentences(arguments.data, names) for names in (TRAINING, TEST))
    random.Random(SEED).shuffle(test)  # the two files are of different sources
    training, test = training[: arguments.limit], test[: arguments.limit]
    examples, held_out = (
        [encode(tokenizer.tokenizer, sentence) for sentence in part] for part in (training, test)
    )
    model = run(AlbertForTokenClassification, RECIPE, LABELS, examples, held_out, score)
    texts = {
        "train.txt": [sentence.text for sentence in training],
        "held-out.txt": [sentence.text for sentence in test],
        "test.jsonl": [json.dumps(s._asdict(), ensure_ascii=False) for s in test],
    }
    write(arguments.out, model, tokenizer, texts)


if __name__ == "__main__":
    main()
