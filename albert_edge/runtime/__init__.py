"""Run bundles with numpy, onnxruntime and tokenizers only.

text ──> arrays ──> session ──> arrays ──> task ──> answers
"""
