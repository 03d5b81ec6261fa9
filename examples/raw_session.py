"""Arrays in, arrays out: for a program with its own tokenizer or with stored token ids."""

from __future__ import annotations

import tempfile

import numpy as np

import albert_edge


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        albert_edge.export("langid-tiny", f"{folder}/langid")
        with albert_edge.Session(f"{folder}/langid", threads=1) as session:
            input_ids = np.array([[2, 17, 42, 3], [2, 99, 3, 0]])
            attention_mask = np.array([[1, 1, 1, 1], [1, 1, 1, 0]])
            outputs = session.run({"input_ids": input_ids, "attention_mask": attention_mask})
            print({name: array.shape for name, array in outputs.items()})


if __name__ == "__main__":
    main()
