"""vocab.txt -> BERT's tokenizer, which Chinese ALBERT has too."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from albert_edge.checkpoint.tokenizer.settings import Settings
from albert_edge.errors import CheckpointError


def wordpiece_tokenizer(path: Path, settings: Settings, unk: str) -> Tokenizer:
    """Build the tokenizer of a WordPiece vocabulary.

    Args:
        path: vocab.txt, one piece a line; its id is the line's number from 0.
        settings: Its `do_lower_case`, `tokenize_chinese_chars` and `strip_accents`.
        unk: The token for unknown words.

    Raises:
        CheckpointError: The vocabulary is empty, not UTF-8 or has no unknown piece.
    """
    try:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"{path} is not readable UTF-8: {error}", tip="Copy vocab.txt again."
        ) from error
    vocab = {piece: index for index, piece in enumerate(lines)}
    if unk not in vocab:
        raise CheckpointError(
            f"{path} has no line {unk}, the token for unknown words.",
            tip="Copy vocab.txt again, or name its unk_token in tokenizer_config.json.",
        )
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token=unk))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=settings.config.flag("tokenize_chinese_chars", True),
        strip_accents=settings.config.flag("strip_accents", None),
        lowercase=settings.config.flag("do_lower_case", True),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer
