"""The floor under a time: flops over the rate of multiply-adds, plus bytes over the rate of a copy, both measured.

Its products at the speed of a register tile that does nothing else, on all cores; every array that enters or leaves a
product moved once; all else free. The rates are measured as a suite of one contender: the number its work is checked
for is the amount (flops or bytes) of one call.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..backend.numpy import NumpyBackend
from ..mode import use_backend
from ..primitive import Primitive
from . import contenders, measure, precisions
from .worker import Work

COPIES = {f"copy {1 << p} KiB": 1 << p + 10 for p in (8, 12, 14, 16)}  # bytes, from the caches to memory
ONE, ALL = "multiply-add, 1 thread", "multiply-add, all threads"


def build(contender: str, row: str) -> Work:
    """What measures one rate; an amount for a number."""
    if contender == "cupy":
        return on_gpu(row)
    from ..kernels.cpu.threads import run
    from ..threads import get_num_threads
    from . import peaks

    if row in COPIES:
        n = COPIES[row] // 4
        repeats, a, b = max(1, (1 << 22) // n), np.ones(n, np.float32), np.empty(n, np.float32)
        copy = peaks.copy(a.dtype)
        return Work(lambda: run(copy, a, b, b, (n, repeats)), lambda _: [8.0 * n * repeats])
    rows, width, repeats = peaks.ROWS, peaks.width(np.float32), 2_000
    parts = 1 if row == ONE else get_num_threads()
    a, b = np.ones((rows, peaks.DEPTH), np.float32), np.ones((peaks.DEPTH, width), np.float32)
    c = np.empty((parts, rows, width), np.float32)
    tile = peaks.multiply(a.dtype)
    flops = 2.0 * rows * width * peaks.DEPTH * repeats * parts
    return Work(lambda: run(tile, a, b, c, (repeats,), alone=row == ONE), lambda _: [flops])


PRODUCT = 4096  # rows and columns of the product that says a GPU's rate
PRODUCTS = tuple(map(precisions.product, precisions.PRECISIONS))  # of a GPU besides


def on_gpu(row: str) -> Work:
    """The rates of a GPU: of its copies, and of the vendor's product of two matrices, for each precision."""
    c = precisions.library(contenders.library("cupy"), row)
    xp = c.m.get_backend("cupy").xp
    if row in COPIES:
        a = xp.ones(COPIES[row] // 4, "float32")
        b = xp.empty_like(a)
        return Work(lambda: xp.copyto(b, a), lambda _: [2.0 * a.nbytes], timed=c.timed)
    a = c.tensor(np.ones((PRODUCT, PRODUCT), np.float32))
    return Work(lambda: c.m.matmul(a, a), lambda _: [2.0 * PRODUCT**3], timed=c.timed)


def rates(rounds: int = 5, seconds: float = 0.05, contender: str = "numba") -> dict[str, float]:
    """Flops and bytes per second, each of the fastest of the rounds; of the CPU, or of the GPU for "cupy"."""
    worker = measure.Worker("floors", contender)
    try:
        found = {}
        for row in (ONE, ALL, *COPIES, *(PRODUCTS if contender == "cupy" else ())):
            seen = measure.measure({contender: worker}, row, rounds=rounds, seconds=seconds, tolerance=0)[contender]
            if "error" in seen and row in PRODUCTS:  # a CuPy without bfloat16
                continue
            if "error" in seen:
                raise measure.WorkerError(f"{row}: {seen['error']}")
            found[row] = seen["numbers"][0] / min(seen["times"])
        return found
    finally:
        worker.close()


def seconds(flops: float, moved: float, rates: dict[str, float], product: str = ALL) -> float:
    """The floor; a copy runs at the rate of the smallest measured one that moves as much. product: whose rate is that
    of the flops."""
    fitting = [row for row, size in COPIES.items() if 2 * size >= moved] or list(COPIES)[-1:]
    return flops / rates[product] + moved / rates[fitting[0]]


# ---- what a step must do -----------------------------------------------------------------------------------------
def _attention(y: Any, q: Any, k: Any, *_: Any, causal: bool = False, **__: Any) -> float:
    """Two products: the scores, and their sum over the values."""
    return 2 * k.shape[-2] * (q.size + y[0].size) / (2 if causal else 1)


def _attention_backward(y: Any, dy: Any, q: Any, k: Any, *_: Any, causal: bool = False, **__: Any) -> float:
    """Five products: the scores again, dL/dv, dL/d(probabilities), dL/dq, dL/dk."""
    return 2 * k.shape[-2] * (3 * q.size + 2 * dy.size) / (2 if causal else 1)


FLOPS: dict[str, Callable[..., float]] = {  # of each product, from its result and its arguments
    "matmul": lambda y, a, b: 2 * y.size * a.shape[-1],
    "linear": lambda y, x, weight, bias=None: 2 * y.size * weight.shape[1],
    "convolution": lambda y, x, weight, bias=None, **_: 2 * y.size * math.prod(weight.shape[1:]),
    "convolution_input": lambda y, dy, weight, **_: 2 * dy.size * math.prod(weight.shape[1:]),
    "convolution_weight": lambda y, x, dy, **_: 2 * dy.size * math.prod(y.shape[1:]),
    "attention": _attention,
    "attention_backward": _attention_backward,
}


class Counting(NumpyBackend):
    """The numpy backend, counting flops, and the bytes of all different arrays that products read or write."""

    def __init__(self) -> None:
        super().__init__("counting")
        self.flops, self.inside = 0.0, False
        self.moved: dict[tuple[int, int], np.ndarray] = {}  # by address and size; kept, so that no address comes again
        self.called: set[str] = set()

    def fallback(self, p: Primitive) -> Callable:
        run, flops = super().fallback(p), FLOPS.get(p.name)

        def counted(*arrays: Any, **params: Any) -> Any:
            self.called.add(p.name)
            if flops is None or self.inside:
                return run(*arrays, **params)
            self.inside = True  # attention's body is made of products
            try:
                y = run(*arrays, **params)
            finally:
                self.inside = False
            self.flops += flops(y, *arrays, **params)
            for a in (*arrays, *(y if isinstance(y, tuple) else (y,))):
                if isinstance(a, np.ndarray):
                    self.moved[a.ctypes.data, a.nbytes] = a
            return y

        return counted


def count(call: Callable[[], Any]) -> Counting:
    """One call on minigrad, counted."""
    backend = Counting()
    with use_backend(backend):
        call()
    return backend


def moved(counted: Counting) -> float:
    return float(sum(a.nbytes for a in counted.moved.values()))
