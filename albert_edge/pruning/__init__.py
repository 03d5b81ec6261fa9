"""A smaller model with the answers of the whole one: what given texts do not need is removed."""
