"""CuPy, on an NVIDIA GPU: our own CUDA kernels where one is registered and admits the call, else the reference forwards
over ``cupy``, which mirrors NumPy's names.

The table in ``minigrad.kernels.cuda`` names the kernels; the first call that one admits compiles it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from ..errors import DTypeError
from ..primitive import PRIMITIVES, Primitive
from .base import load_kernel
from .devices import Devices
from .driver import load
from .numba import Rules


class CupyBackend(Devices):
    """Arrays on the current CUDA device."""

    def __init__(self) -> None:
        cupy = load()
        super().__init__("cupy", cupy, cupy.ndarray)
        self.library = import_module("minigrad.backend.completed").completed(cupy)
        self.knows_bfloat16 = int(cupy.__version__.partition(".")[0]) >= 14
        import_module("minigrad.kernels.cuda")  # registers the table of kernels
        self.rules = CudaRules()

    def asarray(self, data: Any, dtype: Any = None, copy: bool | None = None) -> Any:
        self.check_dtype(dtype, getattr(data, "dtype", None))
        return super().asarray(data, dtype, copy)

    def check_dtype(self, *dtypes: Any) -> None:
        """Raises DTypeError for bfloat16 where CuPy is too old for it."""
        if not self.knows_bfloat16 and any(getattr(d, "name", "") == "bfloat16" for d in dtypes):
            raise DTypeError(
                f"backend cupy: CuPy {self.xp.__version__} does not know bfloat16, CuPy 14 does: pip install -U "
                "'cupy-cuda12x>=14'. Or use float16."
            )

    def to_host(self, array: Any) -> np.ndarray:
        self.waits("reading a value on the host")
        host = self.xp.asnumpy(array)
        if self.pending:
            self.settle()
        return host

    def synchronize(self) -> None:
        self.waits("synchronize()")
        self.xp.cuda.get_current_stream().synchronize()

    def fallback(self, p: Primitive) -> Callable:
        missing = MISSING.get(p.name)
        if missing:
            return partial(missing, self.xp)
        run = getattr(self.library, p.name) if p.name in ("floor", "ceil", "trunc") else super().fallback(p)
        if p.name == "astype" and not self.knows_bfloat16:
            return partial(self._astype, run)
        return partial(_of_bytes, run) if p.inline else run

    def _astype(self, run: Callable, x: Any, *, dtype: Any) -> Any:
        self.check_dtype(dtype)
        return run(x, dtype=dtype)

    def factors(self, stream: np.random.Generator, shape: tuple[int, ...], p: float, dtype: Any) -> Any:
        """0 with probability p, else 1 / (1 - p), drawn on the device: what the host would draw from this stream. None
        without kernels."""
        if not PRIMITIVES["dropout_mask"].kernels.get("cupy"):
            return None
        made = load_kernel(lambda: import_module("minigrad.kernels.cuda.dropout").factors)
        return made(stream, shape, p, dtype)

    def set_tf32(self, flag: bool) -> None:
        """May products of float32, in matmul, convolution and attention, be computed from 10 bits of their fractions,
        by the tensor cores? Sums stay float32. Off at first: relative errors near 3e-4 instead of 1e-7."""
        if not isinstance(flag, bool):
            raise DTypeError(f"set_tf32: flag must be True or False: got {flag!r}.")
        recorded: Any = import_module("minigrad.kernels.cuda.matmul")
        recorded.tf32 = flag
        products = import_module("cupy._core._routines_linalg")
        products.set_compute_type(np.float32, products.COMPUTE_TYPE_TF32 if flag else products.COMPUTE_TYPE_DEFAULT)

    def set_cudnn(self, flag: bool) -> None:
        """May cuDNN, where it is installed, convolve and attend? On at first; else, and where it has no plan, kernels
        of our own do. `minigrad info` says whether it is found."""
        if not isinstance(flag, bool):
            raise DTypeError(f"set_cudnn: flag must be True or False: got {flag!r}.")
        plans: Any = import_module("minigrad.kernels.cuda.cudnn")
        plans.enabled = flag

    def computes_halves(self, p: Primitive) -> bool:
        """CuPy's elementwise functions compute halves in float32, as do its products and sums."""
        own = bool(p.inline) and not p.defaults and not p.replaces and hasattr(self.xp, p.name)
        if p.kernels.get("cupy") and (p.inline or p.name in HALVES):
            return True
        return own or p.name in ("matmul", "sum", "mean", "max", "min", "where")


def _of_bytes(run: Callable, *operands: Any, **params: Any) -> Any:
    """Of truth values and integers of one byte CuPy makes float16: computed in float64, which is then narrowed to the
    default dtype."""
    y = run(*operands, **params)
    if getattr(y, "dtype", None) != np.float16 or any(hasattr(a, "dtype") and a.dtype.kind == "f" for a in operands):
        return y
    return run(*(a.astype(np.float64) if hasattr(a, "dtype") else a for a in operands), **params)


def _count_nonzero(xp: Any, x: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
    return xp.sum(x != 0, axis=axis, keepdims=keepdims, dtype=np.int64)


def _truth(x: Any) -> Any:
    """CuPy's logical functions refuse complex numbers."""
    return x != 0 if getattr(getattr(x, "dtype", None), "kind", "") == "c" else x


def _logical(name: str, xp: Any, *operands: Any) -> Any:
    return getattr(xp, name)(*map(_truth, operands))


# Their kernels compute halves in float32, and refuse no call but of several types, or of nothing.
HALVES = {
    *("softmax", "log_softmax", "softmax_backward", "log_softmax_backward", "cross_entropy", "cross_entropy_backward"),
    *("layer_norm", "layer_norm_backward", "rms_norm", "rms_norm_backward", "group_norm", "group_norm_backward"),
    *("batch_norm", "batch_norm_backward", "batch_norm_inference", "batch_norm_inference_backward", "copy"),
    *("window_sum", "window_sum_backward", "max_pool", "adaptive_avg_pool", "adaptive_avg_pool_backward"),
}
MISSING: dict[str, Callable] = {"count_nonzero": _count_nonzero}  # whose forward asks for what CuPy's function lacks
MISSING |= {f: partial(_logical, f) for f in ("logical_and", "logical_or", "logical_xor", "logical_not")}


class CudaRules(Rules):
    """Gradient rule -> one CUDA kernel that does the same, if the rule has a scalar text."""

    def _chosen(self, p: Primitive, rule: Any) -> Callable:
        function = rule.function
        if p.kind == "bool" or "g" not in rule.needs or not p.kernels.get("cupy"):
            return function
        kernel: Any = None

        def run(*operands: Any) -> Any:
            nonlocal kernel
            if kernel is None:
                made = load_kernel(partial(_fetch, "rule"), lambda *_: None)
                kernel = made(p.name, function, rule.needs, p.defaults) or function
            return kernel(*operands)

        return run


def _fetch(name: str) -> Any:
    return getattr(import_module("minigrad.kernels.cuda.elementwise"), name)
