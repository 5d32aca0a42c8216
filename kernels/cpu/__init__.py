"""The table of CPU kernels for the numba backend: which primitive, from which module, for which calls."""
