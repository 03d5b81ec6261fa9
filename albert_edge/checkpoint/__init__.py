"""Checkpoints: where they are, their tensors and their tokenizer."""
