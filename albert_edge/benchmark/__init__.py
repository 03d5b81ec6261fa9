"""Latency, throughput, start-up and memory of runtimes side by side: the one benchmark harness.

`albert_edge.bench` is `albert_edge.benchmark.run.bench`. Nothing is imported here, because the
processes that are measured import from this package too.
"""
