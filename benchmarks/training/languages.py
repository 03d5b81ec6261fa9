"""Train a tagger that says of every word which language it is in: 6 layers of 384, on NTREX-128.

    python benchmarks/training/languages.py --data FOLDER --out build/trained/languages

FOLDER has the files of NTREX-128 (Federmann, Kocmi and Xin, 2022, "NTREX-128 - News Test References
for MT Evaluation of 128 Languages", CC BY-SA 4.0): the same 1,997 lines of news in each language. A
text is a few phrases of different lines, each in one of four languages, as in a chat that switches
between them. Lines are split by number, so translations of one sentence are never on both sides.
Needs torch and transformers; takes minutes on two cores.
"""

from __future__ import annotations

import json
import random
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from recipe import IGNORED, SEED, Example, Recipe, make_parser, read_english_tokenizer, run, write
from tokenizers import Tokenizer
from transformers import AlbertForTokenClassification

FILES = {
    "en": "newstest2019-src.eng.txt",
    "de": "newstest2019-ref.deu.txt",
    "fr": "newstest2019-ref.fra.txt",
    "es": "newstest2019-ref.spa.txt",
}
LABELS = list(FILES)
TRAINING, TEST = range(1597), range(1597, 1997)  # blocks of whole articles
TEXTS, TEST_TEXTS = 12_000, 4_000
PHRASES, WORDS = (1, 4), (3, 9)  # in a text, and in a phrase
RECIPE = Recipe(hidden_size=384, depths=(2, 4, 6), peak_rate=5e-4, batch=32)


class Sentence(NamedTuple):
    """Words, and the label of each."""

    words: list[str]
    labels: list[str]

    @property
    def text(self) -> str:
        """The words as one text."""
        return " ".join(self.words)


def mix(lines: dict[str, list[str]], numbers: range, count: int, seed: int) -> Iterator[Sentence]:
    """Draw texts of phrases in different languages, a phrase from any line."""
    draw = random.Random(seed)
    for _ in range(count):
        words: list[str] = []
        labels: list[str] = []
        for _ in range(draw.randint(*PHRASES)):
            language = draw.choice(LABELS)
            line = lines[language][draw.choice(numbers)].split()
            start = draw.randrange(max(1, len(line) - WORDS[0]))
            phrase = line[start : start + draw.randint(*WORDS)]
            words += phrase
            labels += [language] * len(phrase)
        yield Sentence(words, labels)


def encode(tokenizer: Tokenizer, sentence: Sentence) -> Example[list[int]]:
    """Give every token the label of its word."""
    encoding = tokenizer.encode(sentence.text)
    starts = [0, *accumulate(len(word) + 1 for word in sentence.words)]
    words = (bisect_right(starts, max(end - 1, 0)) - 1 for _, end in encoding.offsets)
    labels = [
        IGNORED if special else LABELS.index(sentence.labels[word])
        for word, special in zip(words, encoding.special_tokens_mask, strict=True)
    ]
    return Example(encoding.ids, labels)


def score(examples: Sequence[Example[list[int]]], predictions: list[list[int]]) -> str:
    """Write the accuracy of tokens."""
    pairs = [
        (label, guess)
        for (_, labels), row in zip(examples, predictions, strict=True)
        for label, guess in zip(labels, row, strict=True)
        if label != IGNORED
    ]
    return f"accuracy {sum(label == guess for label, guess in pairs) / len(pairs):.1%}"


def main() -> None:
    """Train and write the model, its test sentences, and the texts to specialize it on."""
    parser = make_parser(__doc__ or "")
    parser.add_argument("--data", type=Path, required=True, help="folder of NTREX-128")
    arguments = parser.parse_args()
    lines = {
        language: (arguments.data / name).read_text(encoding="utf-8").splitlines()
        for language, name in FILES.items()
    }
    tokenizer = read_english_tokenizer()
    training = list(mix(lines, TRAINING, arguments.limit or TEXTS, SEED))
    test = list(mix(lines, TEST, arguments.limit or TEST_TEXTS, SEED + 1))
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
