"""Compiled kernels, installed as ``minigrad.kernels``: a top-level package ``kernels`` would clash with others."""

if __name__ != "minigrad.kernels":
    raise ImportError(f"import minigrad.kernels, not {__name__}: the folder kernels/ is installed under minigrad")
