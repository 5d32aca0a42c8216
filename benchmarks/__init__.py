"""What minigrad costs, beside its peers, installed as ``minigrad.benchmarks``: see ``minigrad bench --help``."""

if __name__ != "minigrad.benchmarks":
    raise ImportError(f"import minigrad.benchmarks, not {__name__}: the folder benchmarks/ is installed under minigrad")

SUITES = ("overhead", "ops", "kernels", "train", "cold")
BACKENDS = ("numba", "numpy", "cupy")
PEERS = {  # name: the package it needs
    "torch": "torch",
    "torch-compiled": "torch",
    "torch-cuda": "torch",
    "jax": "jax",
    "autograd": "autograd",
    "mygrad": "mygrad",
    "numpy-by-hand": "numpy",
}
