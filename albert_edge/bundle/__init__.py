"""The bundle: a folder with a manifest, changed as a whole or not at all."""
