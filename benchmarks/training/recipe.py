"""Train a small ALBERT from scratch on two cores: what the scripts of this folder share.

From scratch, twelve applications of one layer do not learn: post-norm layers lose the gradient on
the way down. Training therefore starts with two applications and ends with all of them. The weights
are shared, so that the shallow model is a whole start for the deep one, and the early epochs are
cheap as well.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from json import dumps
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor
from transformers import AlbertConfig

from albert_edge.checkpoint.tokenizer.files import TokenizerFiles, read_tokenizer

VOCABULARY = Path(__file__).resolve().parents[2] / "tests" / "data" / "tokenizers"
IGNORED = -100  # the label of a token that has none, as torch's cross-entropy knows it
SEED = 0
THREADS = 2  # a part of the recipe: another number sums in another order
WARM_UP = 150  # steps
LEAST_RATE = 0.02  # of the peak, at the end
LONGEST = 64  # tokens
SOME = 300  # of the held-out texts, which are evaluated after every epoch

Label = TypeVar("Label", int, list[int])


class Example(NamedTuple, Generic[Label]):
    """The token ids of a text, and its label, or one for each token."""

    ids: list[int]
    label: Label


@dataclass(frozen=True, slots=True)
class Recipe:
    """The settings of a training.

    Attributes:
        hidden_size: Width of the model; the feed-forward network is four times wider.
        depths: Applications of the layer in each epoch; the last is the depth of the model.
        peak_rate: Learning rate after warming up.
        batch: Texts in a step.
    """

    hidden_size: int
    depths: tuple[int, ...]
    peak_rate: float
    batch: int

    def config(self, labels: Sequence[str]) -> AlbertConfig:
        """Configure a model with ALBERT's English vocabulary."""
        return AlbertConfig(
            vocab_size=30000,
            embedding_size=128,
            hidden_size=self.hidden_size,
            intermediate_size=4 * self.hidden_size,
            num_attention_heads=self.hidden_size // 64,
            num_hidden_layers=self.depths[-1],
            hidden_act="gelu",
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            classifier_dropout_prob=0.1,
            id2label=dict(enumerate(labels)),
            label2id={label: index for index, label in enumerate(labels)},
        )


def read_english_tokenizer() -> TokenizerFiles:
    """Read ALBERT's English vocabulary; texts are cut at `LONGEST` tokens."""
    files = read_tokenizer(VOCABULARY)
    if files is None:
        raise FileNotFoundError(f"{VOCABULARY} has no vocabulary")
    files.tokenizer.enable_truncation(LONGEST)
    return files


def collate(examples: Sequence[Example[Any]]) -> dict[str, Tensor]:
    """Pad examples to input_ids, attention_mask and labels, as ALBERT takes them."""
    width = max(len(example.ids) for example in examples)
    lengths = torch.tensor([len(example.ids) for example in examples])

    def pad(row: list[int], value: int) -> list[int]:
        return row + [value] * (width - len(row))

    labels = [pad(label, IGNORED) if isinstance(label, list) else label for _, label in examples]
    return {
        "input_ids": torch.tensor([pad(ids, 0) for ids, _ in examples]),
        "attention_mask": (torch.arange(width) < lengths[:, None]).long(),
        "labels": torch.tensor(labels),
    }


def draw_epoch(
    examples: Sequence[Example[Label]], batch: int, rng: random.Random
) -> list[list[Example[Label]]]:
    """Draw batches of like length in random order."""
    order = sorted(examples, key=lambda example: len(example.ids) + 2 * rng.random())
    batches = [order[start : start + batch] for start in range(0, len(order), batch)]
    rng.shuffle(batches)
    return batches


def train(model: Any, recipe: Recipe, examples: Sequence[Example[Label]]) -> Iterator[float]:
    """Train a model and yield its mean loss after every epoch, when it can be evaluated."""
    rng = random.Random(SEED)
    steps = len(recipe.depths) * -(-len(examples) // recipe.batch)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.peak_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, step / WARM_UP) * max(LEAST_RATE, 1 - step / steps)
    )
    for depth in recipe.depths:
        model.config.num_hidden_layers = depth
        model.train()
        total = 0.0
        for batch in draw_epoch(examples, recipe.batch, rng):
            loss = model(**collate(batch)).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item() * len(batch)
        model.eval()
        yield total / len(examples)


@torch.inference_mode()
def predict(model: Any, examples: Sequence[Example[Label]], batch: int) -> list[Label]:
    """Predict the label of each example, or of each of its tokens."""
    predictions: list[Any] = [None] * len(examples)
    order = sorted(range(len(examples)), key=lambda index: len(examples[index].ids))
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        inputs = collate([examples[index] for index in rows])
        del inputs["labels"]
        for index, labels in zip(rows, model(**inputs).logits.argmax(-1).tolist(), strict=True):
            whole = isinstance(labels, int)
            predictions[index] = labels if whole else labels[: len(examples[index].ids)]
    return predictions


def run(
    model_class: Any,
    recipe: Recipe,
    labels: Sequence[str],
    training: Sequence[Example[Label]],
    held_out: Sequence[Example[Label]],
    score: Callable[[Sequence[Example[Label]], list[Label]], str],
) -> Any:
    """Train a model and print its scores: on some held-out texts on the way, at the end on all."""
    started = time.monotonic()
    torch.manual_seed(SEED)
    torch.set_num_threads(THREADS)
    model = model_class(recipe.config(labels))
    for epoch, loss in enumerate(train(model, recipe, training), start=1):
        tested = held_out if epoch == len(recipe.depths) else held_out[:SOME]
        result = score(tested, predict(model, tested, recipe.batch))
        print(
            f"epoch {epoch} of {len(recipe.depths)}, {recipe.depths[epoch - 1]} layers: "
            f"loss {loss:.4f}, {result}, {time.monotonic() - started:.0f} s",
            flush=True,
        )
    return model


def write(
    out: Path, model: Any, tokenizer: TokenizerFiles, texts: Mapping[str, Sequence[str]]
) -> None:
    """Write a checkpoint as save_pretrained does, its tokenizer, and files of lines."""
    model.save_pretrained(out)
    files = {
        "tokenizer.json": tokenizer.tokenizer_json,
        "tokenizer_config.json": dumps(tokenizer.tokenizer_config, indent=2) + "\n",
        "special_tokens_map.json": dumps(tokenizer.special_tokens_map, indent=2) + "\n",
        **{name: "\n".join([*lines, ""]) for name, lines in texts.items()},
    }
    for name, content in files.items():
        (out / name).write_text(content, encoding="utf-8")


def make_parser(description: str) -> argparse.ArgumentParser:
    """Make a parser with the options that the scripts share."""
    layout = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=layout)
    parser.add_argument("--out", type=Path, required=True, help="folder to write the model to")
    parser.add_argument("--limit", type=int, help="use so few texts only, to try the script")
    return parser
