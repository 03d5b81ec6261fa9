"""One page about a bundle: what it is, how good its answers are, how fast it is and where."""
