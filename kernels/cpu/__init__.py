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
    "reduce": ("sum", "sum_to", "mean", "max", "min"),
    "embedding": ("getitem", "scatter"),
    "norm": (
        *("layer_norm", "layer_norm_backward", "batch_norm", "batch_norm_backward"),
        *("group_norm", "group_norm_backward", "rms_norm", "rms_norm_backward"),
    ),
    "elementwise": ("copy",),
    "pool": ("max_pool", "max_pool_backward", "window_sum", "window_sum_backward"),
    "recurrent": (
        *("lstm_sequence", "lstm_sequence_backward", "gru_sequence", "gru_sequence_backward"),
        *("rnn_sequence", "rnn_sequence_backward"),
    ),
}


def _load(module: str, name: str):
    return getattr(import_module(f"{__name__}.{module}"), name)


def modules() -> list:
    """All modules with kernels, imported, and Numba with them."""
    return [import_module(f"{__name__}.{module}") for module in (*KERNELS, "optim")]


for module, names in KERNELS.items():
    for name in names:
        lazy_kernel(name, backend="numba", when=getattr(when, f"{name}_when"), load=partial(_load, module, name))
for name, admits in when.generated(PRIMITIVES).items():
    load = lambda name=name: _load("elementwise", "elementwise")(name)
    lazy_kernel(name, backend="numba", when=admits, load=load)


class Rules(dict):
    """Gradient rule -> what to call in its place: for large arrays one fused kernel, if the rule has a scalar text."""

    def __missing__(self, function):
        found = [(p, r) for p in PRIMITIVES.values() if p.inline for r in p.rules.values() if r.function is function]
        self[function] = self._chosen(*found[0]) if found else function
        return self[function]

    def _chosen(self, p, rule):
        function, g = rule.function, rule.needs.index("g") if "g" in rule.needs else None
        if g is None or p.kind == "bool":
            return function
        kernel = None

        def run(*operands):
            nonlocal kernel
            if operands[g].size < when.RULE_FROM:
                return function(*operands)
            if kernel is None:
                try:
                    kernel = _load("elementwise", "rule")(p.name, function, rule.needs, p.defaults)
                except ImportError:  # no Numba: the kernels of the primitives have said so
                    kernel = None
                if kernel is None:  # or the rule has no scalar text
                    self[function] = function
                    return function(*operands)
            return kernel(*operands)

        return run
