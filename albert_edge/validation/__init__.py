"""Checks of files that others made, before a library that could crash on them reads them."""
