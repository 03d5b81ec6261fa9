"""Train langid-tiny: an ALBERT of two megabytes that tells five languages apart.

    python train.py --data path/to/NTREX-128 --out path/to/langid-tiny

Everything is learned from NTREX-128, the same 1,997 news lines in every language: first the
vocabulary, then the model. Lines are split by number, so the translations of one sentence are never
on both sides. Needs torch, transformers, tokenizers and safetensors; takes minutes on two cores.
"""

import argparse
import json
import os
import random
import tempfile
import time
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save
from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, processors
from tokenizers.models import Unigram
from tokenizers.pre_tokenizers import Metaspace
from tokenizers.trainers import UnigramTrainer
from torch import Tensor
from transformers import AlbertConfig, AlbertForSequenceClassification

FILES = {
    "en": "newstest2019-src.eng.txt",
    "de": "newstest2019-ref.deu.txt",
    "fr": "newstest2019-ref.fra.txt",
    "es": "newstest2019-ref.spa.txt",
    "zh": "newstest2019-ref.zho-CN.txt",
}
LANGUAGES = list(FILES)

# Whole blocks, not a shuffle: the lines follow the news articles, so the names and topics of a
# held-out article are held out with it.
LINES = 1997
TRAIN, VALIDATION, TEST = slice(0, 1597), slice(1597, 1797), slice(1797, LINES)

SPECIAL_TOKENS = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
PAD, UNK, CLS, SEP, MASK = range(len(SPECIAL_TOKENS))
TOKEN_ROLES = {
    "bos_token": "[CLS]",
    "eos_token": "[SEP]",
    **{f"{token.strip('<[]>').lower()}_token": token for token in SPECIAL_TOKENS},
}

CONFIG: dict[str, Any] = {
    "model_type": "albert",
    "architectures": ["AlbertForSequenceClassification"],
    "problem_type": "single_label_classification",
    "id2label": {str(label): language for label, language in enumerate(LANGUAGES)},
    "label2id": {language: label for label, language in enumerate(LANGUAGES)},
    "vocab_size": 4000,
    "embedding_size": 64,
    "hidden_size": 128,
    "intermediate_size": 512,
    "num_attention_heads": 4,
    "num_hidden_layers": 4,
    "num_hidden_groups": 1,
    "inner_group_num": 1,
    "hidden_act": "gelu",
    "max_position_embeddings": 256,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "initializer_range": 0.02,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "classifier_dropout_prob": 0.1,
    "pad_token_id": PAD,
    "bos_token_id": CLS,
    "eos_token_id": SEP,
}
TOKENIZER_CONFIG: dict[str, Any] = {
    # The general class: under transformers 5 ALBERT's own class builds a chain of its own.
    "tokenizer_class": "PreTrainedTokenizerFast",
    "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
    "clean_up_tokenization_spaces": False,
    "model_max_length": CONFIG["max_position_embeddings"],
    **TOKEN_ROLES,
}

SEED = 2019
THREADS = 2  # a part of the recipe: another number sums in another order
EPOCHS = 6
VIEWS = 2  # texts drawn from each training line in each epoch
BATCH = 64
PEAK_RATE = 1e-3

Corpus = Mapping[str, Sequence[str]]
Confusion = Counter[tuple[int, int]]


class Example(NamedTuple):
    """A text and the number of its language."""

    text: str
    label: int


def read_corpus(folder: Path) -> Corpus:
    """Read the aligned lines of every language, every run of white space made one space.

    Raises:
        ValueError: if a file does not hold the 1,997 lines of NTREX-128.
    """
    corpus = {}
    for language, name in FILES.items():
        lines = (folder / name).read_text(encoding="utf-8").splitlines()
        if len(lines) != LINES or not all(line.strip() for line in lines):
            raise ValueError(f"{folder / name} should hold {LINES} lines of text, none empty")
        corpus[language] = [" ".join(line.split()) for line in lines]
    return corpus


def held_out(corpus: Corpus, part: slice) -> dict[str, list[Example]]:
    """Give the lines of one part, and their beginnings: 5 words, or 8 characters of Chinese."""
    lines, phrases = [], []
    for label, (language, texts) in enumerate(corpus.items()):
        length = 8 if language == "zh" else 5
        lines += [Example(text, label) for text in texts[part]]
        phrases += [Example(cut(text, language, 0, length), label) for text in texts[part]]
    return {"lines": lines, "phrases": phrases}


def read_everyday() -> list[Example]:
    """Read the sentences beside this script, written for it by hand and never trained on."""
    table = Path(__file__).with_name("everyday.tsv").read_text(encoding="utf-8")
    rows = (row.split("\t") for row in table.splitlines()[1:])
    return [Example(text, LANGUAGES.index(language)) for text, language in rows]


def cut(text: str, language: str, start: int, length: int) -> str:
    """Cut a phrase out of a text, counting words, or characters in Chinese."""
    if language == "zh":
        return text[start : start + length].strip()
    return " ".join(text.split(" ")[start : start + length])


def draw_view(lines: Sequence[str], at: int, language: str, rng: random.Random) -> str:
    """Draw a training text from line `at`: mostly a phrase, sometimes the line or a passage."""
    kind = rng.random()
    if kind < 0.03:  # single lines would leave the later positions untrained
        return ("" if language == "zh" else " ").join(lines[at : at + rng.randint(2, 6)])
    line = lines[at]
    if kind < 0.25:
        return line
    units = len(line) if language == "zh" else line.count(" ") + 1
    length = min(units, rng.randint(1, rng.choice((4, 8, 16))))
    phrase = cut(line, language, rng.randint(0, units - length), length)
    if not is_telling(phrase, language):
        return line
    return without_accents(phrase) if rng.random() < 0.1 else phrase


def is_telling(phrase: str, language: str) -> bool:
    """Say whether a phrase shows its language: `2018` shows none, `MWP` not Chinese."""
    if language == "zh":
        return any("\u4e00" <= character <= "\u9fff" for character in phrase)
    return any(character.isalpha() for character in phrase)


def without_accents(text: str) -> str:
    """Drop the accents, as people do in a hurry."""
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


def build_tokenizer(vocabulary: Sequence[tuple[str, float]] | None = None) -> Tokenizer:
    """Build ALBERT's tokenizer on a vocabulary of (piece, log probability), or one to train.

    It lower-cases as ALBERT does but keeps accents, which tell these languages apart. `Nmt` and
    `NFKC` stand where a SentencePiece model brings its compiled nmt_nfkc table.
    """
    tokenizer = Tokenizer(Unigram(list(vocabulary), unk_id=UNK) if vocabulary else Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace("``", '"'),
            normalizers.Replace("''", '"'),
            normalizers.Lowercase(),
            normalizers.Nmt(),
            normalizers.NFKC(),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    tokenizer.pre_tokenizer = Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)],
    )
    if vocabulary:
        tokenizer.add_special_tokens(
            [AddedToken(t, normalized=False, lstrip=t == "[MASK]") for t in SPECIAL_TOKENS]
        )
    return tokenizer


def train_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """Learn a Unigram vocabulary, the same one in every run."""
    draft = build_tokenizer()
    texts = [draft.normalizer.normalize_str(text) for text in texts]
    # Left out of the vocabulary, the rare characters give the model an <unk> to learn from.
    rare = {ord(c): " " for c, n in Counter("".join(texts)).items() if n < 3}
    trainer = UnigramTrainer(
        vocab_size=CONFIG["vocab_size"],
        special_tokens=SPECIAL_TOKENS,
        unk_token="<unk>",
        show_progress=False,
    )
    draft.train_from_iterator([text.translate(rare) for text in texts], trainer)
    pieces = json.loads(draft.to_str())["model"]["vocab"][len(SPECIAL_TOKENS) :]

    # The trainer puts back the characters that pruning lost in hash order, with scores 0.0001
    # apart from the bottom up, and sums in any order. Level both, and nothing is left to chance.
    bottom = min(score for _, score in pieces)
    levelled = [(piece, round(s if s > bottom + 0.5 else bottom, 5)) for piece, s in pieces]
    levelled.sort(key=lambda entry: (-entry[1], entry[0]))
    return build_tokenizer([(token, 0.0) for token in SPECIAL_TOKENS] + levelled)


def encode(tokenizer: Tokenizer, examples: Iterable[Example]) -> list[list[int]]:
    """Turn texts into token ids, no more of them than the model has positions."""
    tokenizer.enable_truncation(CONFIG["max_position_embeddings"])
    rows = [encoding.ids for encoding in tokenizer.encode_batch([text for text, _ in examples])]
    tokenizer.no_truncation()  # a setting that would be saved with the tokenizer
    return rows


def collate(rows: Sequence[Sequence[int]]) -> dict[str, Tensor]:
    """Pad token ids to input_ids and attention_mask, each (batch, longest row)."""
    lengths = torch.tensor([len(row) for row in rows])
    width = int(lengths.max())
    ids = torch.tensor([[*row, *[PAD] * (width - len(row))] for row in rows])
    return {"input_ids": ids, "attention_mask": (torch.arange(width) < lengths[:, None]).long()}


def draw_epoch(corpus: Corpus, tokenizer: Tokenizer, rng: random.Random) -> list[list[Example]]:
    """Draw fresh views of all lines, in batches of like length and random order."""
    views = [
        Example(draw_view(lines, at, language, rng), label)
        for label, (language, lines) in enumerate(corpus.items())
        for at in range(len(lines))
        for _ in range(VIEWS)
    ]
    widths = [len(row) + 2 * rng.random() for row in encode(tokenizer, views)]
    views = [view for _, view in sorted(zip(widths, views, strict=True))]
    batches = [views[start : start + BATCH] for start in range(0, len(views), BATCH)]
    rng.shuffle(batches)
    return batches


def train_model(
    corpus: Corpus, tokenizer: Tokenizer
) -> Iterator[tuple[float, AlbertForSequenceClassification]]:
    """Train the classifier; yield its mean loss and itself after every epoch."""
    rng = random.Random(SEED)
    torch.manual_seed(SEED)
    config = AlbertConfig.from_dict(dict(CONFIG))  # a copy, for it writes into what it is given
    model = AlbertForSequenceClassification(config)
    views = VIEWS * sum(map(len, corpus.values()))
    steps = EPOCHS * -(-views // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_RATE, total_steps=steps, pct_start=0.1, cycle_momentum=False
    )
    for _ in range(EPOCHS):
        model.train()
        total = 0.0
        for batch in draw_epoch(corpus, tokenizer, rng):
            labels = torch.tensor([label for _, label in batch])
            loss = model(**collate(encode(tokenizer, batch)), labels=labels).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item() * len(batch)
        yield total / views, model.train(False)


@torch.inference_mode()
def confuse(
    model: AlbertForSequenceClassification, tokenizer: Tokenizer, examples: Sequence[Example]
) -> Confusion:
    """Count the examples by (true label, predicted label)."""
    counts: Confusion = Counter()
    examples = sorted(examples, key=lambda example: len(example.text))  # less padding
    for start in range(0, len(examples), BATCH):
        batch = examples[start : start + BATCH]
        guesses = model(**collate(encode(tokenizer, batch))).logits.argmax(-1).tolist()
        counts.update((label, guess) for (_, label), guess in zip(batch, guesses, strict=True))
    return counts


def accuracy(counts: Confusion) -> str:
    """Write the share of examples on the diagonal."""
    right = sum(n for (label, guess), n in counts.items() if label == guess)
    return f"{right / counts.total():.2%} ({right} of {counts.total()})"


def table(counts: Confusion) -> str:
    """Write a confusion table in Markdown, true languages down, predicted ones across."""
    rows = [["", *LANGUAGES], ["---"] * (1 + len(LANGUAGES))]
    for label, language in enumerate(LANGUAGES):
        rows.append([f"**{language}**", *(str(counts[label, i]) for i in range(len(LANGUAGES)))])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def write(
    out: Path, model: AlbertForSequenceClassification, tokenizer: Tokenizer, test: Iterable[Example]
) -> None:
    """Write the files aside, then move them into place: none is ever there in part."""
    rows = [f"{text}\t{LANGUAGES[label]}\n" for text, label in test]
    files = {
        "config.json": to_json(CONFIG),
        "model.safetensors": save(model.state_dict(), {"format": "pt"}),
        "special_tokens_map.json": to_json(TOKEN_ROLES),
        "test.tsv": "".join(["text\tlabel\n", *rows]).encode(),
        "tokenizer.json": tokenizer.to_str().encode() + b"\n",
        "tokenizer_config.json": to_json(TOKENIZER_CONFIG),
    }
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=out) as aside:
        for name, content in files.items():
            Path(aside, name).write_bytes(content)
        for name, content in files.items():
            os.replace(Path(aside, name), out / name)
            print(f"{len(content):>9,} bytes  {name}")


def to_json(value: Mapping[str, Any]) -> bytes:
    """Write JSON for people to read."""
    return (json.dumps(value, indent=2) + "\n").encode()


def main() -> None:
    """Train, report on the validation lines on the way and on the test lines at the end, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder of the NTREX-128 files")
    parser.add_argument("--out", type=Path, required=True, help="folder to write the model to")
    arguments = parser.parse_args()

    started = time.monotonic()
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    corpus = read_corpus(arguments.data)
    training = {language: lines[TRAIN] for language, lines in corpus.items()}
    tokenizer = train_tokenizer(line for lines in training.values() for line in lines)
    print(f"vocabulary of {tokenizer.get_vocab_size()} after {time.monotonic() - started:.0f} s")

    validation = held_out(corpus, VALIDATION)
    for epoch, (loss, model) in enumerate(train_model(training, tokenizer), start=1):
        scores = {n: accuracy(confuse(model, tokenizer, part)) for n, part in validation.items()}
        report = ", ".join(f"{name} {score}" for name, score in scores.items())
        print(f"epoch {epoch} of {EPOCHS}: loss {loss:.4f}, {report}", flush=True)

    test = held_out(corpus, TEST)
    for name, examples in {**test, "everyday": read_everyday()}.items():
        counts = confuse(model, tokenizer, examples)
        print(f"\ntest {name}: {accuracy(counts)}\n\n{table(counts)}\n")
    write(arguments.out, model, tokenizer, test["lines"])
    print(f"done in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
