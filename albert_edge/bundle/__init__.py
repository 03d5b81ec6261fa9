"""The bundle: a folder with a manifest, changed all or nothing."""
