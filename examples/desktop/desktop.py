"""A window that answers while you type: `python desktop.py [BUNDLE]`."""

from __future__ import annotations

import sys
from pathlib import Path

from window import Window

# A model that is shipped with the program lies beside it; the spec packs it if it is there.
SHIPPED = Path(__file__).with_name("model.albert")


def main() -> None:
    window = Window()
    if len(sys.argv) > 1:
        window.open_model(sys.argv[1])
    elif SHIPPED.exists():
        window.open_model(str(SHIPPED))
    window.run()


if __name__ == "__main__":
    main()
