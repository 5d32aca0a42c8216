"""The table of CUDA kernels for the cupy backend: which primitive, from which module, for which calls.

A row costs nothing until a call that its predicate in ``when`` admits arrives; then the module is imported, and the
kernel compiled by NVRTC or taken from CuPy's cache.
"""

from functools import partial
from importlib import import_module

from ...primitive import PRIMITIVES, lazy_kernel
from . import when

KERNELS = {
    "softmax": ("softmax", "log_softmax", "softmax_backward", "log_softmax_backward", "logsumexp"),
    "cross_entropy": ("cross_entropy", "cross_entropy_backward"),
    "norm": (
        *("layer_norm", "layer_norm_backward", "batch_norm", "batch_norm_backward"),
        *("group_norm", "group_norm_backward", "rms_norm", "rms_norm_backward"),
        *("batch_norm_inference", "batch_norm_inference_backward"),
    ),
    "reduce": ("sum", "sum_to", "mean", "max", "min", "extreme_backward"),
    "indexing": ("getitem", "scatter", "add_along_axis", "max_pool_backward"),
    "pool": ("max_pool", "window_sum", "window_sum_backward", "adaptive_avg_pool", "adaptive_avg_pool_backward"),
    "dropout": ("dropout_mask",),
    "attention": ("attention", "attention_backward"),
    "conv": ("convolution", "convolution_input", "convolution_weight"),
    "recurrent": (
        *("lstm_sequence", "lstm_sequence_backward", "gru_sequence", "gru_sequence_backward"),
        *("lstm_gates", "lstm_gates_backward", "gru_gates", "gru_gates_backward"),
    ),
    "elementwise": ("copy",),
}
CUDNN = ("conv", "attention")  # the same by cuDNN, which is asked first


def fetch(module: str, name: str):
    """A function of a module of this folder, imported now."""
    return getattr(import_module(f"{__name__}.{module}"), name)


for module, names in KERNELS.items():
    for name in names:
        lazy_kernel(name, backend="cupy", when=getattr(when, f"{name}_when"), load=partial(fetch, module, name))
for module in CUDNN:
    for name in KERNELS[module]:
        load = partial(fetch, f"cudnn_{module}", name)
        lazy_kernel(name, backend="cupy", when=getattr(when, f"cudnn_{name}_when"), load=load)
for name, admits in when.generated(PRIMITIVES).items():
    load = lambda name=name: fetch("elementwise", "elementwise")(name)
    lazy_kernel(name, backend="cupy", when=admits, load=load)
