"""Instruments: what is in a bundle, and how far its answers are from a reference."""
