"""Special functions: ``minigrad.special``, by PyTorch's and SciPy's names.

Most are elementwise primitives of ops/special.py, ops/bessel.py and ops/gamma.py, in formulas of our own: every backend
has them, float32 stays float32, and gradients go to any order in both modes. Relative errors are a few roundings,
but for igamma and igammac far out (1e-8 where they are below 1e-100) and near the zeros of Bessel's and Airy's
functions, where the error is absolute.

>>> import minigrad as mg
>>> x = mg.tensor([0.5, 1.0], requires_grad=True)
>>> mg.special.bessel_j0(x).sum().backward()
>>> x.grad
tensor([-0.24226846, -0.44005057])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .errors import ArgumentError
from .functions.elementwise import multigammaln as multigammaln
from .functions.elementwise import polygamma as polygamma
from .functions.spelling import takes_out, tensor_of
from .primitive import ALIASES, PRIMITIVES
from .tensor import F, Tensor

PLAIN = (
    "airy_ai airy_ai_prime bessel_j0 bessel_j1 bessel_y0 bessel_y1 digamma entr erf erfc erfcx erfinv exp2 expit expm1 "
    "gammaln i0 i0e i1 i1e log1p log_ndtr log_softmax logit logsumexp modified_bessel_k0 modified_bessel_k1 ndtr ndtri "
    "psi round scaled_modified_bessel_k0 scaled_modified_bessel_k1 sinc softmax xlog1py xlogy zeta"
)
OTHERS = {
    "gammainc": "igamma", "gammaincc": "igammac", "modified_bessel_i0": "i0", "modified_bessel_i1": "i1",
    "i0": "i0", "i1": "i1",
}  # fmt: skip
__all__ = [*PLAIN.split(), *OTHERS, "multigammaln", "polygamma"]


def __getattr__(name: str) -> Any:
    primitive = OTHERS.get(name, name)
    primitive = ALIASES.get(primitive, primitive)
    if name not in __all__ or primitive not in PRIMITIVES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(F, primitive)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


@takes_out
def spherical_bessel_j0(x: Any) -> Tensor:
    """y = sin(x) / x, 1 at 0."""
    return F.sinc(tensor_of(x) * 0.3183098861837907)  # 1 / pi


# ---- orthogonal polynomials: three-term recurrences, so that gradients come by themselves ---------------------------


def _polynomial(name: str, doc: str, first: Callable, step: Callable, shift: bool = False) -> Callable:
    """P_n(x) with P_0 = 1, P_1 = first(x), P_(k+1) = step(k, x, P_k, P_(k-1)); shift: of 2 x - 1."""

    def f(x: Any, n: Any) -> Tensor:
        x = tensor_of(x)
        x = x if x.dtype.kind == "f" else x * 1.0
        degrees = tensor_of(n).detach()
        x, degrees = (2 * x - 1 if shift else x), F.trunc(degrees) if degrees.dtype.kind == "f" else degrees
        try:
            highest = int(degrees.numpy().max(initial=-1))
        except Exception as error:
            raise ArgumentError(f"{name}: the degree n must be a number, the same for all samples.") from error
        y = F.where(degrees < 0, 0, F.ones_like(x))
        before, now = F.ones_like(x), first(x)
        for k in range(1, highest + 1):
            y = F.where(F.equal(degrees, k), now, y)
            before, now = now, step(k, x, now, before)
        return y

    f.__name__, f.__doc__ = name, f"{doc} n: a whole number, or a tensor of them that broadcasts; 0 below 0."
    return takes_out(f)


for _name, _doc, _first, _step in (
    ("chebyshev_polynomial_t", "T_n(cos t) = cos(n t).", lambda x: x, lambda k, x, p, q: 2 * x * p - q),
    (
        "chebyshev_polynomial_u",
        "U_n(cos t) = sin((n + 1) t) / sin t.",
        lambda x: 2 * x,
        lambda k, x, p, q: 2 * x * p - q,
    ),
    (
        "chebyshev_polynomial_v",
        "V_n(cos t) = cos((n + 1/2) t) / cos(t / 2).",
        lambda x: 2 * x - 1,
        lambda k, x, p, q: 2 * x * p - q,
    ),
    (
        "chebyshev_polynomial_w",
        "W_n(cos t) = sin((n + 1/2) t) / sin(t / 2).",
        lambda x: 2 * x + 1,
        lambda k, x, p, q: 2 * x * p - q,
    ),
    ("hermite_polynomial_h", "H_n(x), the physicists'.", lambda x: 2 * x, lambda k, x, p, q: 2 * (x * p - k * q)),
    ("hermite_polynomial_he", "He_n(x), the probabilists'.", lambda x: x + 0, lambda k, x, p, q: x * p - k * q),
    (
        "laguerre_polynomial_l",
        "L_n(x).",
        lambda x: 1 - x,
        lambda k, x, p, q: ((2 * k + 1 - x) * p - k * q) * (1 / (k + 1)),
    ),
    (
        "legendre_polynomial_p",
        "P_n(x).",
        lambda x: x + 0,
        lambda k, x, p, q: ((2 * k + 1) * x * p - k * q) * (1 / (k + 1)),
    ),
):
    globals()[_name] = _polynomial(_name, f"y = {_doc}", _first, _step)
    __all__ += [_name]
    if _name.startswith("chebyshev"):
        globals()[f"shifted_{_name}"] = _polynomial(
            f"shifted_{_name}", f"Of 2 x - 1: {_doc}", _first, _step, shift=True
        )
        __all__ += [f"shifted_{_name}"]
