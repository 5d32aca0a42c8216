"""The table of CPU kernels for the numba backend: which primitive, from which module, for which calls.

A row costs nothing until a call that its predicate in ``when`` admits arrives; then the module, and with it Numba, is
imported, and the kernel compiled or taken from the disk cache.
"""

from functools import partial
from importlib import import_module

from ...primitive import lazy_kernel
from . import when

KERNELS = {
    "matmul": ("matmul", "linear"),
    "conv2d": ("convolution", "convolution_input", "convolution_weight"),
    "softmax": ("softmax", "log_softmax", "softmax_backward", "log_softmax_backward"),
    "attention": ("attention", "attention_backward"),
    "cross_entropy": ("cross_entropy", "cross_entropy_backward"),
    "reduce": ("sum", "sum_to"),
    "norm": ("layer_norm", "layer_norm_backward", "batch_norm", "batch_norm_backward"),
    "activation": (
        *("exp", "log", "tanh", "sigmoid", "erf", "relu", "relu_backward"),
        *("gelu", "gelu_backward", "gelu_tanh", "gelu_tanh_backward"),
    ),
    "pool": ("max_pool", "max_pool_backward"),
}


def _load(module: str, name: str):
    return getattr(import_module(f"{__name__}.{module}"), name)


for module, names in KERNELS.items():
    for name in names:
        lazy_kernel(name, backend="numba", when=getattr(when, f"{name}_when"), load=partial(_load, module, name))
