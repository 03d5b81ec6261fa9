"""Latency, throughput, start-up and memory of a bundle, beside its peers in the same run."""
