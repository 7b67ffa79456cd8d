"""The fast path on CUDA: kernels and graphs."""
