"""How close the answers of two models are."""
