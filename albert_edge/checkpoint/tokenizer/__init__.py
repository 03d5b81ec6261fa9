"""A checkpoint's tokenizer -> tokenizer.json, the one form every runtime reads.

    tokenizer.json ────────────────────────────┐
    spiece.model ── spiece ──┐                 ├──> TokenizerFiles
    vocab.txt ───────────────┴── backend ──────┘
    tokenizer_config.json, ... ── settings

A tokenizer.json is kept byte for byte. What is built from a bare vocabulary gives the ids that
transformers 4 gives for the same folder, without transformers or sentencepiece.
"""

from albert_edge.checkpoint.tokenizer.files import TokenizerFiles, build_tokenizer, read_tokenizer

__all__ = ["TokenizerFiles", "build_tokenizer", "read_tokenizer"]
