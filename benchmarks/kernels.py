"""The suite `kernels`: single operations at the sizes of training, forward and with gradients.

A case is one line: a name, a function written with the names that minigrad and PyTorch share, and its inputs. The
function gets a contender's library `c` (see contenders.library) and its tensors. Each case gives two rows, "forward",
where nothing is recorded, and "+ grad", forward and backward; a case made by `whole` gives one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import contenders, floors, precisions
from .suite import Suite
from .train import weights
from .worker import Work


class Case(NamedTuple):
    make: Callable[[Any, np.random.Generator, bool, bool], tuple[Callable[[], Any], Callable[[Any], Sequence]]]
    rows: tuple[str, ...]


# ---- inputs: make(rng) -> array ----------------------------------------------------------------------------------
def normal(*shape: int) -> Callable:
    return lambda rng: rng.standard_normal(shape, np.float32)


def positive(*shape: int) -> Callable:
    return lambda rng: rng.random(shape, np.float32) + np.float32(0.1)


def index(high: int, *shape: int) -> Callable:
    return lambda rng: rng.integers(0, high, shape)


def mask(*shape: int) -> Callable:
    """Truth values, of which the first of each row is True."""
    return lambda rng: (rng.random(shape) < 0.7) | (np.arange(shape[-1]) == 0)


# ---- cases -------------------------------------------------------------------------------------------------------
def op(f: Callable, *inputs: Callable, modules: Callable | None = None) -> Case:
    """f(c, *tensors) -> a tensor. modules(c): a layer, passed to f before the tensors."""

    def make(c: Any, rng: np.random.Generator, grad: bool, small: bool = False) -> tuple:
        arrays = [i(rng) for i in inputs]
        if small:
            arrays = [a[: max(2, len(a) // 16)] if len(a) == len(arrays[0]) else a for a in arrays]
        tensors = [c.tensor(a, grad and a.dtype.kind == "f") for a in arrays]
        leaves = [t for t in tensors if t.requires_grad]
        first = [module_of(modules, c, grad)] if modules else []
        leaves += [p for m in first for p in m.parameters() if grad]
        if not grad:
            return lambda: f(c, *first, *tensors), lambda y: [y]
        g = c.tensor(rng.standard_normal(tuple(f(c, *first, *tensors).shape), np.float32))

        def call() -> Any:
            for t in leaves:
                t.grad = None
            y = f(c, *first, *tensors)
            y.backward(g)
            return y

        return call, lambda y: [y, *(t.grad for t in leaves)]

    return Case(make, ("forward", "+ grad"))


def module_of(modules: Callable, c: Any, grad: bool) -> Any:
    """The layer with the weights that every contender starts from."""
    module = modules(c)
    start = weights({name: tuple(p.shape) for name, p in module.named_parameters()})
    with c.m.no_grad():
        for name, p in module.named_parameters():
            p[...] = c.tensor(start[name])
            p.requires_grad_(grad)
    return module


SIZES = [(1024, 784), (1024,), (1024, 1024), (1024,), (10, 1024), (10,), *[(128, 128), (128,)] * 20]


def whole(f: Callable) -> Case:
    """f(c, parameters) -> a call, over the parameters of an MLP and of forty small layers, with gradients."""

    def make(c: Any, rng: np.random.Generator, grad: bool, small: bool = False) -> tuple:
        parameters = [c.nn.Parameter(c.tensor(normal(*shape)(rng))) for shape in SIZES]
        for p in parameters:
            p.grad = c.tensor(normal(*p.shape)(rng))
        return f(c, parameters), lambda _: [*parameters, *(p.grad for p in parameters)]

    return Case(make, ("",))


def update(name: str, **options: Any) -> Case:
    return whole(lambda c, parameters: getattr(c.optim, name)(parameters, lr=1e-4, **options).step)


def clipping(c: Any, parameters: list) -> Callable:
    limit = 100.0

    def call() -> Any:
        nonlocal limit
        limit *= 0.9999  # so that every call has something to scale
        return c.clip_grad_norm_(parameters, limit)

    return call


def conv(*shape: int, to: int, k: int, **options: Any) -> Case:
    groups = options.get("groups", 1)
    f = "conv2d" if len(shape) == 4 else "conv1d"
    weight = normal(to, shape[1] // groups, *[k] * (len(shape) - 2))
    return op(lambda c, x, w, b: getattr(c.F, f)(x, w, b, **options), normal(*shape), weight, normal(to))


def attention(*shape: int, masked: bool = False, **options: Any) -> Case:
    inputs = [normal(*shape)] * 3 + [mask(shape[-2], shape[-2])] * masked
    return op(lambda c, q, k, v, *m: c.F.scaled_dot_product_attention(q, k, v, *m, **options), *inputs)


def first_of(outputs: Any) -> Any:
    """h' of an LSTMCell too."""
    return outputs[0] if isinstance(outputs, tuple) else outputs


def gathered(c: Any) -> Callable:
    return getattr(c.m, "take_along_axis", None) or c.m.take_along_dim


def of_second_kind(c: Any, x: Any) -> Any:
    """The sum of four functions that PyTorch has without gradients."""
    names = (f"{scaled}modified_bessel_k{order}" for scaled in ("", "scaled_") for order in (0, 1))
    return sum(getattr(c.m.special, name)(x) for name in names)


def joined(pieces: Sequence) -> Any:
    """The sum of three pieces."""
    a, b, c = pieces
    return a + b * c


WIDE, IMAGES = (4096, 1024), (32, 64, 56, 56)
CASES: dict[str, Case] = {
    **{
        f"matmul {n}": op(lambda c, a, b: a @ b, normal(n, n), normal(n, n))
        for n in (32, 64, 128, 256, 512, 1024, 2048)
    },
    "matmul (32, 8, 128, 64) batched": op(lambda c, a, b: a @ b, normal(32, 8, 128, 64), normal(32, 8, 64, 128)),
    "linear (4096, 512) to 512": op(
        lambda c, x, w, b: c.F.linear(x, w, b), normal(4096, 512), normal(512, 512), normal(512)
    ),
    "conv2d 3x3 pad 1 (32, 64, 56, 56) to 64": conv(*IMAGES, to=64, k=3, padding=1),
    "conv2d 3x3 pad 1 (32, 128, 28, 28) to 128": conv(32, 128, 28, 28, to=128, k=3, padding=1),
    "conv2d 3x3 pad 1 (64, 3, 32, 32) to 32": conv(64, 3, 32, 32, to=32, k=3, padding=1),
    "conv2d 3x3 pad 1 (64, 32, 15, 15) to 64": conv(64, 32, 15, 15, to=64, k=3, padding=1),
    "conv2d 1x1 (32, 64, 56, 56) to 64": conv(*IMAGES, to=64, k=1),
    "conv2d 3x3 (128, 1, 28, 28) to 32": conv(128, 1, 28, 28, to=32, k=3),
    "conv2d 3x3 stride 2 (32, 64, 56, 56) to 128": conv(*IMAGES, to=128, k=3, stride=2, padding=1),
    "conv2d 3x3 depthwise (32, 64, 56, 56)": conv(*IMAGES, to=64, k=3, padding=1, groups=64),
    "conv2d 3x3 depthwise stride 2 (32, 64, 56, 56)": conv(*IMAGES, to=64, k=3, stride=2, padding=1, groups=64),
    "conv2d 3x3 4 groups (32, 64, 28, 28) to 64": conv(32, 64, 28, 28, to=64, k=3, padding=1, groups=4),
    "conv2d 3x3 32 groups (32, 512, 14, 14) to 512": conv(32, 512, 14, 14, to=512, k=3, padding=1, groups=32),
    "conv2d 3x3 stride 2 (64, 32, 16, 16) to 64": conv(64, 32, 16, 16, to=64, k=3, stride=2, padding=1),
    "conv1d 5 pad 2 (32, 64, 512) to 64": conv(32, 64, 512, to=64, k=5, padding=2),
    "conv_transpose2d 4x4 stride 2 (32, 64, 14, 14) to 32": op(
        lambda c, x, w: c.F.conv_transpose2d(x, w, stride=2, padding=1), normal(32, 64, 14, 14), normal(64, 32, 4, 4)
    ),
    "attention (4, 8, 256, 64) causal": attention(4, 8, 256, 64, is_causal=True),
    "attention (4, 8, 1024, 64) causal": attention(4, 8, 1024, 64, is_causal=True),
    "attention (1, 12, 2048, 64)": attention(1, 12, 2048, 64),
    "attention (4, 8, 256, 64) masked": attention(4, 8, 256, 64, masked=True),
    "attention (8, 8, 1, 64) at 512": op(
        lambda c, q, k, v: c.F.scaled_dot_product_attention(q, k, v),
        normal(8, 8, 1, 64),
        normal(8, 8, 512, 64),
        normal(8, 8, 512, 64),
    ),
    "softmax (4096, 1024)": op(lambda c, x: c.F.softmax(x, -1), normal(*WIDE)),
    "log_softmax (4096, 1024)": op(lambda c, x: c.F.log_softmax(x, -1), normal(*WIDE)),
    "gelu (4096, 1024)": op(lambda c, x: c.F.gelu(x), normal(*WIDE)),
    "gelu tanh (4096, 1024)": op(lambda c, x: c.F.gelu(x, approximate="tanh"), normal(*WIDE)),
    "layer_norm (4096, 64)": op(
        lambda c, x, w, b: c.F.layer_norm(x, (64,), w, b), normal(4096, 64), normal(64), normal(64)
    ),
    "layer_norm (4096, 1024)": op(
        lambda c, x, w, b: c.F.layer_norm(x, (1024,), w, b), normal(*WIDE), normal(1024), normal(1024)
    ),
    **{
        f"{name} (4096, 1024)": op(lambda c, x, name=name: getattr(c.m, name)(x), normal(*WIDE))
        for name in ("tanh", "sigmoid", "exp", "erf")
    },
    **{
        f"{name} (512, 1024)": op(lambda c, x, name=name: getattr(c.m.special, name)(0.9 * x), positive(512, 1024))
        for name in ("gammaln", "digamma", "erfinv", "ndtri", "log_ndtr", "i0", "i0e")
    },
    "modified_bessel_k0, k1 (512, 1024)": op(lambda c, x: x + of_second_kind(c, x.detach()), positive(512, 1024)),
    "log (4096, 1024)": op(lambda c, x: c.m.log(x), positive(*WIDE)),
    "silu (4096, 1024)": op(lambda c, x: c.F.silu(x), normal(*WIDE)),
    "relu (4096, 1024)": op(lambda c, x: c.F.relu(x), normal(*WIDE)),
    "add (4096, 1024)": op(lambda c, x, y: x + y, normal(*WIDE), normal(*WIDE)),
    "multiply (4096, 1024)": op(lambda c, x, y: x * y, normal(*WIDE), normal(*WIDE)),
    "add a row (4096, 1024)": op(lambda c, x, y: x + y, normal(*WIDE), normal(1024)),
    "batch_norm (32, 64, 56, 56)": op(
        lambda c, x, w, b: c.F.batch_norm(x, None, None, w, b, True), normal(*IMAGES), normal(64), normal(64)
    ),
    "batch_norm eval (32, 64, 56, 56)": op(
        lambda c, norm, x: norm(x), normal(*IMAGES), modules=lambda c: c.nn.BatchNorm2d(64).eval()
    ),
    "group_norm 8 (32, 64, 56, 56)": op(
        lambda c, x, w, b: c.F.group_norm(x, 8, w, b), normal(*IMAGES), normal(64), normal(64)
    ),
    "rms_norm (4096, 1024)": op(lambda c, x, w: c.F.rms_norm(x, (1024,), w), normal(*WIDE), normal(1024)),
    "logsumexp (4096, 1024)": op(lambda c, x: c.m.logsumexp(x, -1), normal(*WIDE)),
    "cross_entropy (4096, 1024)": op(lambda c, x, t: c.F.cross_entropy(x, t), normal(*WIDE), index(1024, 4096)),
    "max_pool2d 2 (32, 64, 56, 56)": op(lambda c, x: c.F.max_pool2d(x, 2), normal(*IMAGES)),
    "max_pool2d 3 stride 2 (32, 64, 56, 56)": op(lambda c, x: c.F.max_pool2d(x, 3, 2, 1), normal(*IMAGES)),
    "avg_pool2d 2 (32, 64, 56, 56)": op(lambda c, x: c.F.avg_pool2d(x, 2), normal(*IMAGES)),
    "avg_pool2d 3 stride 1 (32, 64, 56, 56)": op(lambda c, x: c.F.avg_pool2d(x, 3, 1, 1), normal(*IMAGES)),
    "adaptive_avg_pool2d 7 (32, 64, 56, 56)": op(lambda c, x: c.F.adaptive_avg_pool2d(x, 7), normal(*IMAGES)),
    "adaptive_avg_pool2d 6 (64, 256, 13, 13)": op(lambda c, x: c.F.adaptive_avg_pool2d(x, 6), normal(64, 256, 13, 13)),
    "adaptive_avg_pool2d 1 (64, 512, 7, 7)": op(lambda c, x: c.F.adaptive_avg_pool2d(x, 1), normal(64, 512, 7, 7)),
    "sum (4096, 1024)": op(lambda c, x: x.sum(), normal(*WIDE)),
    "sum (4096, 1024) axis 0": op(lambda c, x: x.sum(0), normal(*WIDE)),
    "sum (4096, 1024) axis 1": op(lambda c, x: x.sum(1), normal(*WIDE)),
    "sum (32, 64, 56, 56) axes 0, 2, 3": op(lambda c, x: x.sum((0, 2, 3)), normal(*IMAGES)),
    "prod (512, 1024) axis 1": op(lambda c, x: c.m.prod(0.9 + 0.2 * x, 1), positive(512, 1024)),
    "var (4096, 1024) axis 1": op(lambda c, x: c.m.var(x, dim=1), normal(*WIDE)),
    "max (4096, 1024) axis 1": op(lambda c, x: c.m.amax(x, 1), normal(*WIDE)),
    "min (4096, 1024) axis 1": op(lambda c, x: c.m.amin(x, 1), normal(*WIDE)),
    "cdist (2048, 8), (1024, 8)": op(lambda c, x, y: c.m.cdist(x, y), normal(2048, 8), normal(1024, 8)),
    "searchsorted (512, 1024) in 1024": op(
        lambda c, x: x + c.m.searchsorted(c.m.msort(x.detach()[0]), x.detach()), normal(512, 1024)
    ),
    "topk 10 of (4096, 1024)": op(lambda c, x: c.m.topk(x, 10)[0], normal(*WIDE)),
    "msort (4096, 1024)": op(lambda c, x: c.m.msort(x), normal(*WIDE)),
    "sort (4096, 1024) axis 1": op(lambda c, x: x.sort(1)[0], normal(*WIDE)),
    **{
        f"{name} (4096, 1024) axis 1": op(lambda c, x, name=name: getattr(c.m, name)(x, 1), normal(*WIDE))
        for name in ("cumsum", "cumprod", "logcumsumexp")
    },
    "cummax (4096, 1024) axis 1": op(lambda c, x: x.cummax(1)[0], normal(*WIDE)),
    "concat 2 of (4096, 1024) axis 1": op(lambda c, x, y: c.m.concat([x, y], 1), normal(*WIDE), normal(*WIDE)),
    "roll (4096, 1024) axis 1": op(lambda c, x: c.m.roll(x, 100, 1), normal(*WIDE)),
    "pad 1 (32, 64, 56, 56)": op(lambda c, x: c.F.pad(x, (1, 1, 1, 1)), normal(*IMAGES)),
    "tril (8, 1024, 1024)": op(lambda c, x: c.m.tril(x), normal(8, 1024, 1024)),
    "triu (8, 1024, 1024)": op(lambda c, x: c.m.triu(x), normal(8, 1024, 1024)),
    "where (4096, 1024)": op(lambda c, x, y: c.m.where(x > 0, x, y), normal(*WIDE), normal(*WIDE)),
    "interpolate nearest x2 (32, 64, 28, 28)": op(
        lambda c, x: c.F.interpolate(x, scale_factor=2), normal(32, 64, 28, 28)
    ),
    "interpolate bilinear x2 (32, 64, 28, 28)": op(
        lambda c, x: c.F.interpolate(x, scale_factor=2, mode="bilinear"), normal(32, 64, 28, 28)
    ),
    "grid_sample (8, 16, 56, 56)": op(
        lambda c, x, grid: c.F.grid_sample(x, grid, align_corners=False), normal(8, 16, 56, 56), normal(8, 56, 56, 2)
    ),
    "ctc_loss (320, 16, 32), 8 labels": op(
        lambda c, x, t: c.F.ctc_loss(c.F.log_softmax(x, -1), t, (len(x),) * 16, (8,) * 16, blank=31),
        normal(320, 16, 32),
        index(31, 16, 8),
    ),
    "embedding 10000 x 256 at (64, 128)": op(
        lambda c, i, w: c.F.embedding(i, w), index(10_000, 64, 128), normal(10_000, 256)
    ),
    **{
        f"{name} 32-128, T 50, B 64": op(
            lambda c, layer, x: layer(x)[0],
            normal(64, 50, 32),
            modules=lambda c, name=name: getattr(c.nn, name.upper())(32, 128, batch_first=True),
        )
        for name in ("lstm", "gru", "rnn")
    },
    **{
        f"{name} {i}-{h}, B {b}": op(
            lambda c, layer, x: first_of(layer(x)),
            normal(b, i),
            modules=lambda c, name=name, i=i, h=h: getattr(c.nn, name)(i, h),
        )
        for name in ("LSTMCell", "GRUCell", "RNNCell")
        for b, i, h in ((64, 32, 128), (256, 256, 512))
    },
    "gather (4096, 1024) axis 1": op(lambda c, x, i: gathered(c)(x, i, 1), normal(*WIDE), index(1024, *WIDE)),
    "gather (4, 1024, 1024) axis 1": op(
        lambda c, x, i: gathered(c)(x, i, 1), normal(4, 1024, 1024), index(1024, 4, 1024, 1024)
    ),
    "index_select 1024 of (4096, 1024) axis 1": op(
        lambda c, i, x: c.m.index_select(x, 1, i), index(1024, 1024), normal(*WIDE)
    ),
    "clamp (4096, 1024)": op(lambda c, x: c.m.clamp(x, -1.0, 1.0), normal(*WIDE)),
    "nan_to_num (4096, 1024)": op(lambda c, x: c.m.nan_to_num(x), normal(*WIDE)),
    "gather 1 of (4096, 1024)": op(lambda c, x, i: gathered(c)(x, i, 1), normal(*WIDE), index(1024, 4096, 1)),
    "sin (4096, 1024)": op(lambda c, x: c.m.sin(x), normal(*WIDE)),
    "split (16, 128, 1152) in 3": op(lambda c, x: joined(x.split(384, 2)), normal(16, 128, 1152)),
    "SGD, 46 parameters": update("SGD"),
    "SGD momentum, 46 parameters": update("SGD", momentum=0.9),
    "Adam, 46 parameters": update("Adam"),
    "AdamW, 46 parameters": update("AdamW"),
    "RMSprop, 46 parameters": update("RMSprop"),
    "clip_grad_norm_, 46 parameters": whole(clipping),
}
BY_NAME = {f"{name} {row}".strip(): (case, row == "+ grad") for name, case in CASES.items() for row in case.rows}
PRODUCTS = ("matmul 1024", "matmul 2048", "linear", "conv2d", "conv1d", "attention (4", "attention (1")
NARROW = (*PRODUCTS, "softmax", "layer_norm (4096, 1024)", "gelu (", "silu", "add (", "multiply", "cross_entropy")
ON_GPU = {  # a row of the suite in another precision
    f"{name} {p} {row}": (case, row == "+ grad")
    for p, starts in zip(precisions.PRECISIONS, (PRODUCTS, NARROW))
    for name, case in CASES.items()
    for row in case.rows
    if name.startswith(starts) and "masked" not in name
}


def digest(c: Any, tensors: Sequence) -> list[float]:
    """Two numbers of each tensor that tell a wrong one: the logarithm of its mean size, and its projection on a
    cosine, relative to that."""
    numbers = []
    for t in tensors:
        v = np.asarray(c.numpy(t), np.float64).ravel()
        size = float(np.abs(v).mean())
        numbers += [np.log(size + 1e-30), float(v @ np.cos(np.arange(v.size))) / v.size / (size + 1e-30)]
    return numbers


def build(contender: str, name: str, *, small: bool = False) -> Work:
    """The work of a row; `small`, for a test: with a sixteenth of the batch, the axis that the inputs share."""
    c = precisions.library(contenders.library(contender), name)
    case, grad = (BY_NAME | ON_GPU)[name]
    f, outputs = case.make(c, np.random.default_rng(0), grad, small)
    return Work(f, lambda y: digest(c, outputs(y)), timed=c.timed)


def cost(name: str) -> tuple[float, float]:
    """Flops of the products; bytes of all tensors read and written, twice over with gradients; of bfloat16 half."""
    c = contenders.library("numpy")
    case, grad = (BY_NAME | ON_GPU)[name]
    touched = []
    own, tensor = c.tensor, c.tensor
    c.tensor = lambda a, grad=False: touched.append(own(a, grad)) or touched[-1]
    f, outputs = case.make(c, np.random.default_rng(0), grad)
    c.tensor = tensor
    counted = floors.count(f)
    results = outputs(f())
    size = float(sum(c.numpy(t).nbytes for t in (*touched, *results)))
    size += sum(c.numpy(t).nbytes for t in touched) if grad else 0
    return counted.flops, size / (2 if precisions.precision(name) == precisions.BFLOAT16 else 1)


SUITE = Suite(
    name="kernels",
    about="single operations",
    rows=list(BY_NAME),
    on_gpu=tuple(ON_GPU),
    peers=("torch", "torch-cuda"),
    costs=True,
    rounds=9,
    seconds=0.05,
)
