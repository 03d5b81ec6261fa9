"""Writing that survives a full disk, a kill, a power cut and other processes.

Standard library only, and nothing of bundles.
"""
