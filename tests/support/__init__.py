"""What tests share: paths, checkpoints, comparisons."""
