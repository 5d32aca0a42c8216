"""The table of CPU kernels for the numba backend: which primitive, from which module, for which calls.

A row costs nothing until a call that its predicate in ``when`` admits arrives; then the module, and with it Numba, is
imported, and the kernel compiled or taken from the disk cache.
"""

from functools import partial
from importlib import import_module

from ...primitive import PRIMITIVES, lazy_kernel
from . import when

KERNELS = {
    "matmul": ("matmul", "linear"),
    "conv": ("convolution", "convolution_input", "convolution_weight"),
    "softmax": ("softmax", "log_softmax", "softmax_backward", "log_softmax_backward", "logsumexp"),
    "attention": ("attention", "attention_backward"),
    "cross_entropy": ("cross_entropy", "cross_entropy_backward"),
    "reduce": ("sum", "sum_to", "mean", "max", "min", "extreme_backward"),
    "embedding": ("getitem", "scatter", "take_along_axis", "add_along_axis"),
    "norm": (
        *("layer_norm", "layer_norm_backward", "batch_norm", "batch_norm_backward"),
        *("group_norm", "group_norm_backward", "rms_norm", "rms_norm_backward"),
        *("batch_norm_inference", "batch_norm_inference_backward"),
    ),
    "elementwise": ("copy", "where", "power", "clip", "nan_to_num", "fmod", "remainder", "floor_divide"),
    "blocks": ("concat", "stack"),
    "sort": ("sort", "argsort", "argtopk"),
    "search": ("searchsorted",),
    "scan": ("cumsum", "cumprod", "cumprod_backward", "logcumsumexp", "argcummax"),
    "pool": (
        *("max_pool", "max_pool_backward", "window_sum", "window_sum_backward"),
        *("adaptive_avg_pool", "adaptive_avg_pool_backward"),
    ),
    "ctc": ("ctc_loss", "ctc_loss_backward"),
    "distances": ("cdist",),
    "moments": ("prod", "var"),
    "moves": ("roll", "pad", "tril", "triu"),
    "resample": ("resample",),
    "grid_sample": ("grid_sample", "grid_sample_input", "grid_sample_grid"),
    "recurrent": (
        *("lstm_sequence", "lstm_sequence_backward", "gru_sequence", "gru_sequence_backward"),
        *("rnn_sequence", "rnn_sequence_backward"),
        *("lstm_gates", "lstm_gates_backward", "gru_gates", "gru_gates_backward"),
    ),
}


def fetch(module: str, name: str):
    """A function of a module of this folder, imported now."""
    return getattr(import_module(f"{__name__}.{module}"), name)


def modules() -> list:
    """All modules with kernels, imported, and Numba with them."""
    others = ("dropout", "loops", "optim", "quantized", "special", "trigonometry", "warp")
    return [import_module(f"{__name__}.{module}") for module in (*KERNELS, *others)]


for module, names in KERNELS.items():
    for name in names:
        lazy_kernel(name, backend="numba", when=getattr(when, f"{name}_when"), load=partial(fetch, module, name))
for name, admits in when.generated(PRIMITIVES).items():
    load = lambda name=name: fetch("elementwise", "elementwise")(name)
    lazy_kernel(name, backend="numba", when=admits, load=load)
for name, admits in when.looped(PRIMITIVES).items():
    load = lambda name=name: fetch("loops", "on_all_threads")(name)
    lazy_kernel(name, backend="numba", when=admits, load=load)
for name in when.SPECIAL:
    load = lambda name=name: fetch("special", "special")(name)
    lazy_kernel(name, backend="numba", when=when.special_when, load=load)
for name in ("sin", "cos"):
    lazy_kernel(name, backend="numba", when=when.trigonometric_when, load=partial(fetch, "trigonometry", name))
