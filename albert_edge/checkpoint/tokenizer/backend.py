"""A vocabulary and Settings -> the tokenizers.Tokenizer that transformers 4 builds from them."""

from __future__ import annotations

from pathlib import Path

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

from albert_edge.checkpoint.tokenizer.settings import Settings, Token
from albert_edge.checkpoint.tokenizer.spiece import Piece, PieceType, read_spiece
from albert_edge.errors import CheckpointError

SPIECE_TOKENS: dict[str, Token] = {
    "bos_token": "[CLS]",
    "eos_token": "[SEP]",
    "unk_token": "<unk>",
    "sep_token": "[SEP]",
    "pad_token": "<pad>",
    "cls_token": "[CLS]",
    # Includes the space before it, as a SentencePiece word does.
    "mask_token": AddedToken("[MASK]", lstrip=True, normalized=False, special=True),
}
WORDPIECE_TOKENS: dict[str, Token] = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
_COMMA_PENALTY = 100.0


def spiece_tokenizer(path: Path, settings: Settings) -> Tokenizer:
    """Build English ALBERT's tokenizer.

    Args:
        path: spiece.model.
        settings: Its special tokens, `do_lower_case` and `keep_accents`. `remove_space` has no
            effect, as in transformers' fast tokenizer.

    Raises:
        CheckpointError: The model is damaged or not unigram, or its tokens contradict `settings`.
    """
    spiece = read_spiece(path)
    try:
        model = models.Unigram([_scored(piece) for piece in spiece.pieces], unk_id=spiece.unk_id)
        charsmap = [normalizers.Precompiled(spiece.charsmap)] if spiece.charsmap else []
    except Exception as error:  # tokenizers raises no narrower class
        raise CheckpointError(
            f"{path} is damaged: {error}", tip="Copy spiece.model again."
        ) from error
    steps = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    if not settings.config.flag("keep_accents", False):
        steps += [normalizers.NFKD(), normalizers.StripAccents()]
    if settings.config.flag("do_lower_case", True):
        steps.append(normalizers.Lowercase())
    steps += [*charsmap, normalizers.Replace(Regex(" {2,}"), " ")]
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_tokens(
        [
            AddedToken(piece.text, normalized=False, special=piece.type == PieceType.CONTROL)
            for piece in spiece.pieces
            if piece.type in (PieceType.CONTROL, PieceType.USER_DEFINED)
        ]
    )
    # transformers uses these names even if cls_token and sep_token differ.
    return _finish(tokenizer, settings, cls="[CLS]", sep="[SEP]")


def wordpiece_tokenizer(path: Path, settings: Settings) -> Tokenizer:
    """Build Chinese ALBERT's tokenizer, which is BERT's.

    Args:
        path: vocab.txt, one piece a line; its id is the line's number from 0.
        settings: Its special tokens, `do_lower_case`, `tokenize_chinese_chars`, `strip_accents`.

    Raises:
        CheckpointError: The vocabulary is empty, not UTF-8 or has no unknown piece, or its tokens
            contradict `settings`.
    """
    try:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"{path} is not readable UTF-8: {error}", tip="Copy vocab.txt again."
        ) from error
    vocab = {piece: index for index, piece in enumerate(lines)}
    names = {role: str(token) for role, token in settings.special.items()}
    unk = names.get("unk_token")
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
    return _finish(tokenizer, settings, cls=names.get("cls_token"), sep=names.get("sep_token"))


def _scored(piece: Piece) -> tuple[str, float]:
    # ALBERT splits "2010," into "2010" and ",": a piece with both must never score best.
    is_joined = piece.text.endswith(",") and piece.text[-2:-1].isdigit()
    return piece.text, piece.score - _COMMA_PENALTY if is_joined else piece.score


def _finish(
    tokenizer: Tokenizer, settings: Settings, *, cls: str | None, sep: str | None
) -> Tokenizer:
    """Add the special tokens and the template [CLS] A [SEP] B [SEP]."""
    tokenizer.add_tokens(settings.tokens())
    for token_id, token in settings.added.items():
        vocabulary_id = tokenizer.token_to_id(str(token))
        if vocabulary_id != token_id:
            raise CheckpointError(
                f"The added token {str(token)!r} should have id {token_id}, "
                f"but the vocabulary gives it {vocabulary_id}.",
                tip="The vocabulary is not the one the tokenizer was saved with; copy it again.",
            )
    template = [(text, tokenizer.token_to_id(text)) for text in (cls, sep) if text]
    if len(template) != 2 or None in dict(template).values():
        raise CheckpointError(
            f"The vocabulary has no cls_token ({cls}) or no sep_token ({sep}) to add to a text.",
            tip="Name both in tokenizer_config.json, or copy the vocabulary again.",
        )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls}:0 $A:0 {sep}:0",
        pair=f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1",
        special_tokens=template,
    )
    return tokenizer
