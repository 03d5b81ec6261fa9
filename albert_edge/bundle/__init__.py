"""The bundle: a folder or one file with a manifest, changed as a whole or not at all."""
