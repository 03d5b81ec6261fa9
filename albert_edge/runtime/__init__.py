"""Running a bundle: numpy, onnxruntime and tokenizers, nothing else.

text ──> arrays ──> session ──> arrays ──> task ──> answers
"""
