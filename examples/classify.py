"""From a checkpoint to an answer: export, optimize, ask."""

from __future__ import annotations

import tempfile

import albert_edge


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        bundle = f"{folder}/langid"
        albert_edge.export("langid-tiny", bundle)
        albert_edge.optimize(bundle)
        with albert_edge.pipeline("text-classification", model=bundle) as classify:
            for text in ("Where is the station?", "Wo ist der Bahnhof?"):
                print(text, classify(text))


if __name__ == "__main__":
    main()
