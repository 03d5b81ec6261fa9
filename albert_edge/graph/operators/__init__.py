"""The operators each target has kernels for."""
