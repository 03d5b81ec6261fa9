"""Float matrices -> integer matrices and scales, and whether the answers are still right."""
