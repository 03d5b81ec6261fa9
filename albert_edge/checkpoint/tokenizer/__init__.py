"""A checkpoint's tokenizer -> tokenizer.json, the one form every runtime reads.

    read        settings        tokenizer_config.json, special_tokens_map.json, added_tokens.json
                spiece          spiece.model
    decided     classes         which class of transformers the folder means, and its defaults
                normalization   what settings and options change in a normalizer
                effects         what it does to texts, in words, and what may be wrong with that
    built       unigram, wordpiece    a tokenizer from a vocabulary
                added           special and other tokens, the template around texts
    used        probe           once, in a process of its own
    written     layout          what the readers of a bundle need beside tokenizer.json
                files           all of it, in order

A tokenizer.json that already does what the folder asks for is kept byte for byte. Where
transformers 4.57 and 5 differ, 4.57 is followed: the published checkpoints were used with 4.
"""

from albert_edge.checkpoint.tokenizer.effects import describe
from albert_edge.checkpoint.tokenizer.files import TokenizerFiles, read_tokenizer
from albert_edge.checkpoint.tokenizer.normalization import Overrides
from albert_edge.checkpoint.tokenizer.probe import require_harmless

__all__ = ["Overrides", "TokenizerFiles", "describe", "read_tokenizer", "require_harmless"]
