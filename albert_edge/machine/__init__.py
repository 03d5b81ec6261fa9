"""The machine: CPU, memory, installed extras, execution providers that run."""
