"""Compress a model as far as your own data allows.

python examples/compress.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import albert_edge
from albert_edge.errors import QualityError

TEXTS = ["Where is the station?", "Wo ist der Bahnhof?", "¿Dónde está la estación?", "车站在哪里?"]


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        bundle = Path(scratch) / "langid"
        albert_edge.export("langid-tiny", bundle)

        report = albert_edge.quantize(bundle)
        print(f"int8: {report.bytes} of {report.reference_bytes} bytes, {report.quality}")

        try:  # too strict a threshold: nothing is written, and the tip says what would pass
            albert_edge.quantize(bundle, precision="int4", texts=TEXTS, min_cosine=0.999999)
        except QualityError as error:
            print(f"{error}\n{error.tip}")

        with albert_edge.pipeline(model=bundle) as classify:  # int8, now that there is one
            for text in TEXTS:
                print(classify(text)[0]["label"], text)


if __name__ == "__main__":
    main()
