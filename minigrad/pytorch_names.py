"""PyTorch's names at the top level for what stands elsewhere: ``mg.conv2d`` is ``mg.nn.functional.conv2d``.

Found when they are first asked for, so that importing minigrad stays light.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import numpy as np

from .convert import Device
from .creation import arange, asarray, empty, tensor
from .errors import ArgumentError, ShapeError
from .mode import MODE, set_backend
from .signature import in_order
from .tensor import Tensor, wrap

PLACES = {
    "nn.functional": "adaptive_avg_pool1d adaptive_max_pool1d alpha_dropout avg_pool1d batch_norm bilinear "
    "binary_cross_entropy_with_logits channel_shuffle conv1d conv2d conv3d conv_transpose1d conv_transpose2d "
    "conv_transpose3d cosine_embedding_loss cosine_similarity ctc_loss dropout embedding embedding_bag "
    "feature_alpha_dropout group_norm hinge_embedding_loss instance_norm kl_div layer_norm margin_ranking_loss "
    "max_pool1d max_pool2d max_pool3d pairwise_distance pixel_shuffle pixel_unshuffle poisson_nll_loss prelu rms_norm "
    "rrelu threshold triplet_margin_loss",
    "linalg": "cholesky cholesky_solve det matrix_exp matrix_power slogdet",
    "random": "bernoulli get_rng_state initial_seed multinomial normal poisson rand_like randint_like randn_like seed "
    "set_rng_state",
    "func": "vmap",
    "io": "load save",
    "anomaly": "is_anomaly_enabled",
    "tapers": "bartlett_window blackman_window hamming_window hann_window kaiser_window",
}
HOMES = {name: place for place, names in PLACES.items() for name in names.split()}
METHODS = frozenset([  # f(x, ...) is x.f(...)
    "adjoint", "clone", "detach", "is_conj", "is_distributed", "is_inference", "is_neg", "is_nonzero", "is_same_size",
    "is_signed", "numel",
])  # fmt: skip
DTYPES = {
    "float": "float32", "double": "float64", "half": "float16", "long": "int64", "int": "int32", "short": "int16",
    "cfloat": "complex64", "cdouble": "complex128",
}  # fmt: skip
OTHERS = {
    "inverse": ("linalg", "inv"), "pinverse": ("linalg", "pinv"), "inference_mode": ("mode", "no_grad"),
    "Size": ("pytorch_names", "Size"), "dtype": ("pytorch_names", "dtype"), "backends": ("pytorch_names", "backends"),
    "GradScaler": ("amp", "GradScaler"),
    "default_generator": ("random", "default_generator"),
}  # fmt: skip
Size = tuple  # a shape is one
dtype = np.dtype
backends = SimpleNamespace(  # what programs set or ask of PyTorch's other backends: they are not here
    cudnn=SimpleNamespace(benchmark=False, deterministic=True, enabled=False, is_available=lambda: False),
    mps=SimpleNamespace(is_available=lambda: False, is_built=lambda: False),
)
MEMORY_FORMATS = ("contiguous_format", "preserve_format", "channels_last", "channels_last_3d")


def find(name: str) -> Any:
    """What PyTorch calls so at its top level. AttributeError if nothing here is that."""
    if name in DTYPES:
        return np.dtype(DTYPES[name])
    if name in OTHERS or name in HOMES:
        place, own = OTHERS.get(name) or (HOMES[name], name)
        return getattr(import_module(f"{__package__}.{place}"), own)
    if name in METHODS or (name.endswith("_") and not name.startswith("_") and hasattr(Tensor, name)):
        return _method(name)
    if name in OWN:
        return OWN[name]
    if name in MEMORY_FORMATS or name == "strided":
        return name
    raise AttributeError(name)


def names() -> list[str]:
    """What `find` finds, but for the methods that end in _."""
    return [*HOMES, *METHODS, *DTYPES, *OTHERS, *OWN, *MEMORY_FORMATS, "strided"]


def _method(name: str) -> Callable:
    """The method as a function: ``mg.relu_(x)`` is ``x.relu_()``."""

    def function(*args: Any, **keywords: Any) -> Any:
        (x, *rest), keywords = in_order(args, keywords)
        return getattr(x, name)(*rest, **keywords)

    function.__name__, function.__doc__ = name, getattr(Tensor, name).__doc__
    return function


def is_tensor(x: Any) -> bool:
    """True for a Tensor."""
    return isinstance(x, Tensor)


def set_printoptions(
    precision: int | None = None,
    threshold: int | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """How tensors print, and NumPy's arrays, whose text they show. profile: "default", "short" or "full"."""
    profiles: dict[str | None, dict[str, Any]] = {
        "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
        "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
        "full": {"precision": 4, "threshold": sys.maxsize, "edgeitems": 3, "linewidth": 80},
    }
    if profile is not None and profile not in profiles:
        raise ArgumentError(f'set_printoptions: profile must be "default", "short" or "full": got {profile!r}.')
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    options = profiles.get(profile, {}) | {k: v for k, v in given.items() if v is not None}
    if sci_mode is not None:
        options["suppress"] = not sci_mode
    np.set_printoptions(**options)


def set_default_device(device: Any) -> None:
    """Where new tensors are made from here on: `set_backend`."""
    if (MODE.get().device.name if device == "cpu" else None) in ("numpy", "numba"):
        return
    set_backend("numba" if device == "cpu" else str(device))


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Nothing to do: the same seed, backend and number of threads give the same numbers."""


def are_deterministic_algorithms_enabled() -> bool:
    return True


def get_default_device() -> Device:
    """Where new tensors are made."""
    return empty(0).device


def range(start: Any, end: Any, step: Any = 1, **keywords: Any) -> Tensor:
    """start, start + step, ... with `end`, in the default float dtype unless given: PyTorch's former `arange`."""
    count = int(np.floor((end - start) / step)) + 1
    keywords.setdefault("dtype", MODE.get().default_dtype)
    return arange(start, start + count * step - step / 2, step, **keywords)


def is_inference_mode_enabled() -> bool:
    """Is nothing recorded? `inference_mode` is `no_grad`."""
    return not MODE.get().recording


def empty_strided(size: Any, stride: Any, **keywords: Any) -> Tensor:
    """Memory with whatever it holds, of this shape and these strides (in elements), one over the other where they
    say so."""
    if len(size) != len(stride):
        raise ShapeError(f"empty_strided: as many strides as lengths: got size {size}, stride {stride}.")
    reach = 1 + sum((n - 1) * s for n, s in zip(size, stride)) if all(size) else 0
    asked = keywords.pop("requires_grad", False)
    memory = empty(reach, **keywords)
    steps = tuple(s * memory.dtype.itemsize for s in stride)
    return wrap(memory.backend.xp.lib.stride_tricks.as_strided(memory.array, tuple(size), steps)).requires_grad_(asked)


def empty_permuted(size: Any, physical_layout: Any, **keywords: Any) -> Tensor:
    """Memory with whatever it holds, of this shape, whose axes lie in memory in the order physical_layout."""
    if sorted(physical_layout) != list(np.arange(len(size))):
        raise ArgumentError(f"empty_permuted: physical_layout must name each axis once: got {physical_layout}.")
    made = empty(tuple(size[i] for i in physical_layout), **keywords)
    return made.permute(tuple(int(i) for i in np.argsort(physical_layout))) if made.ndim else made


def frombuffer(
    buffer: Any, dtype: Any, count: int = -1, offset: int = 0, *, requires_grad: bool = False
) -> Tensor:  # fmt: skip
    """The numbers in a buffer of bytes, from byte `offset` on, `count` of them (-1: all); memory is shared.

    >>> frombuffer(b"\x01\x02\x03", dtype="uint8", offset=1)
    tensor([2, 3], dtype=uint8)
    """
    return asarray(np.frombuffer(buffer, np.dtype(dtype), count, offset)).requires_grad_(requires_grad)


def get_num_interop_threads() -> int:
    """Operations run one after the other."""
    return 1


def set_num_interop_threads(number: int) -> None:
    """Nothing to do: operations run one after the other, each on `get_num_threads` threads."""


def typename(x: Any) -> str:
    """The full name of an object's type."""
    return f"{type(x).__module__}.{type(x).__qualname__}"


def compile(model: Any = None, **options: Any) -> Any:
    """The function or module as it is: there is nothing to compile, kernels are found at each call. Also a decorator,
    with PyTorch's options."""
    return (lambda function: function) if model is None else model


def set_float32_matmul_precision(precision: str) -> None:
    """Nothing to do: float32 is multiplied as float32, PyTorch's "highest"."""
    if precision not in ("highest", "high", "medium"):
        raise ArgumentError(f'set_float32_matmul_precision: "highest", "high" or "medium": got {precision!r}.')


def get_float32_matmul_precision() -> str:
    return "highest"


def scalar_tensor(s: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A number as a tensor of no axes."""
    if not isinstance(s, (int, float, complex, np.generic)):
        raise ArgumentError(f"scalar_tensor: s must be a number: got {type(s).__name__}. Use tensor or clone.")
    return tensor(s, dtype=dtype, device=device, requires_grad=requires_grad)


class Typed(type):
    """``mg.LongTensor([1, 2])`` and ``mg.LongTensor(2, 3)``: tensors of one dtype, made of data or of a shape, and
    known by ``isinstance(x, mg.LongTensor)``."""

    dtype: np.dtype

    def __call__(cls, *data: Any) -> Tensor:
        if all(isinstance(n, int) for n in data):
            return empty(data or (0,), dtype=cls.dtype)
        (values,) = data
        return tensor(values, dtype=cls.dtype)

    def __instancecheck__(cls, x: Any) -> bool:
        return isinstance(x, Tensor) and x.dtype == cls.dtype


FloatTensor = Typed("FloatTensor", (), {"dtype": np.dtype("float32")})
DoubleTensor = Typed("DoubleTensor", (), {"dtype": np.dtype("float64")})
HalfTensor = Typed("HalfTensor", (), {"dtype": np.dtype("float16")})
LongTensor = Typed("LongTensor", (), {"dtype": np.dtype("int64")})
IntTensor = Typed("IntTensor", (), {"dtype": np.dtype("int32")})
ShortTensor = Typed("ShortTensor", (), {"dtype": np.dtype("int16")})
CharTensor = Typed("CharTensor", (), {"dtype": np.dtype("int8")})
ByteTensor = Typed("ByteTensor", (), {"dtype": np.dtype("uint8")})
BoolTensor = Typed("BoolTensor", (), {"dtype": np.dtype("bool")})


def Variable(data: Tensor, requires_grad: bool = False) -> Tensor:
    """The tensor as a leaf that shares its memory: ``autograd.Variable``, which older programs wrap around data."""
    return data.detach().requires_grad_(requires_grad)


OWN: dict[str, Any] = {
    f.__name__: f
    for f in (
        is_tensor, set_printoptions, set_default_device, use_deterministic_algorithms,
        are_deterministic_algorithms_enabled, typename, compile, set_float32_matmul_precision,
        get_float32_matmul_precision, get_default_device, range, is_inference_mode_enabled, empty_strided,
        empty_permuted, frombuffer, get_num_interop_threads, set_num_interop_threads, scalar_tensor, FloatTensor,
        DoubleTensor, HalfTensor, LongTensor, IntTensor, ShortTensor, CharTensor, ByteTensor, BoolTensor,
    )
}  # fmt: skip
