"""Functions that make a bundle or add to one: export, optimize, quantize, demo."""
