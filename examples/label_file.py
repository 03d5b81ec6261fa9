"""Label a file of any size in constant memory: a generator goes in, an iterator comes out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import albert_edge


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder, "texts.txt")
        texts.write_text("Good morning to you all\nGuten Morgen zusammen\nBuenos días a todos\n")
        bundle = Path(folder, "langid")
        albert_edge.export("langid-tiny", bundle)

        def lines() -> Iterator[str]:
            with texts.open(encoding="utf-8") as file:
                for line in file:
                    yield line.rstrip("\n")

        with albert_edge.pipeline(model=bundle, truncation=True) as classify:
            for answer, line in zip(classify(lines()), lines(), strict=True):
                print(f"{answer['label']}\t{answer['score']:.3f}\t{line}")


if __name__ == "__main__":
    main()
