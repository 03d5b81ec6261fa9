"""Progress bars need rich on a terminal, which a program with a window has not."""

excludedimports = ["rich", "tqdm"]
