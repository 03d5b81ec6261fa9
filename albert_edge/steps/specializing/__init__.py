"""The parts of `albert_edge.steps.specialize`."""
