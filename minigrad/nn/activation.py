"""Activations as modules. Each applies the function of functional/ that its docstring states; x of any shape.

`inplace` is accepted where PyTorch has it and changes nothing: outputs are new arrays.
"""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from . import functional as F
from . import init
from .linear import positive
from .module import Module, made


class _InPlace(Module):
    """An activation whose only option is `inplace`."""

    def __init__(self, inplace: bool = False):
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class ReLU(_InPlace):
    """y = max(x, 0).

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.ReLU()(mg.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x)


class ReLU6(_InPlace):
    """y = min(max(x, 0), 6). Howard et al. 2017, arXiv:1704.04861."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu6(x)


class SELU(_InPlace):
    """y = s x where x > 0, else s a (e**x - 1), s = 1.0507, a = 1.6733. Klambauer et al. 2017, arXiv:1706.02515."""

    def forward(self, x: Tensor) -> Tensor:
        return F.selu(x)


class SiLU(_InPlace):
    """y = x sigmoid(x), also called swish. Elfwing et al. 2017, arXiv:1702.03118."""

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(x)


class Mish(_InPlace):
    """y = x tanh(softplus(x)). Misra 2019, arXiv:1908.08681."""

    def forward(self, x: Tensor) -> Tensor:
        return F.mish(x)


class Hardsigmoid(_InPlace):
    """y = (x + 3) / 6, at least 0 and at most 1."""

    def forward(self, x: Tensor) -> Tensor:
        return F.hardsigmoid(x)

    def extra_repr(self) -> str:
        return ""


class Hardswish(Hardsigmoid):
    """y = x hardsigmoid(x). Howard et al. 2019, arXiv:1905.02244."""

    def forward(self, x: Tensor) -> Tensor:
        return F.hardswish(x)


class Sigmoid(Module):
    """y = 1 / (1 + e**-x).

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.Sigmoid()(mg.tensor([0.0]))
    tensor([0.5])
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.sigmoid(x)


class LogSigmoid(Module):
    """y = ln(1 / (1 + e**-x))."""

    def forward(self, x: Tensor) -> Tensor:
        return F.logsigmoid(x)


class Tanh(Module):
    """y = tanh x."""

    def forward(self, x: Tensor) -> Tensor:
        return F.tanh(x)


class Tanhshrink(Module):
    """y = x - tanh x."""

    def forward(self, x: Tensor) -> Tensor:
        return F.tanhshrink(x)


class Softsign(Module):
    """y = x / (1 + |x|)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.softsign(x)


class GELU(Module):
    """y = x P(N(0, 1) <= x) ('none', exact), or its approximation by tanh ('tanh'). arXiv:1606.08415.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.GELU()(mg.tensor([0.0, 1.0])).tolist()
    [0.0, 0.8413447141647339]
    """

    def __init__(self, approximate: str = "none"):
        super().__init__()
        self.approximate = approximate

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class LeakyReLU(Module):
    """y = x where x > 0, else negative_slope x. Maas et al. 2013, ICML."""

    def __init__(self, negative_slope: float = 1e-2, inplace: bool = False):
        super().__init__()
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}" + ", inplace=True" * self.inplace


class RReLU(Module):
    """y = x where x > 0, else a x; in training a is uniform on [lower, upper) for each element, in eval() their mean.
    Xu et al. 2015, arXiv:1505.00853."""

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3, inplace: bool = False):
        super().__init__()
        self.lower, self.upper, self.inplace = lower, upper, inplace

    def forward(self, x: Tensor) -> Tensor:
        return F.rrelu(x, self.lower, self.upper, self.training)

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}" + ", inplace=True" * self.inplace


class ELU(Module):
    """y = x where x > 0, else alpha (e**x - 1). Clevert et al. 2015, arXiv:1511.07289."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False):
        super().__init__()
        self.alpha, self.inplace = alpha, inplace

    def forward(self, x: Tensor) -> Tensor:
        return F.elu(x, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + ", inplace=True" * self.inplace


class CELU(ELU):
    """y = x where x > 0, else alpha (e**(x / alpha) - 1). Barron 2017, arXiv:1704.07483."""

    def forward(self, x: Tensor) -> Tensor:
        return F.celu(x, self.alpha)


class Softplus(Module):
    """y = ln(1 + e**(beta x)) / beta, and x itself where beta x > threshold."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0):
        super().__init__()
        self.beta, self.threshold = beta, threshold

    def forward(self, x: Tensor) -> Tensor:
        return F.softplus(x, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Hardtanh(Module):
    """y = x, at least min_val and at most max_val."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False):
        super().__init__()
        self.min_val, self.max_val, self.inplace = min_val, max_val, inplace

    def forward(self, x: Tensor) -> Tensor:
        return F.hardtanh(x, self.min_val, self.max_val)

    def extra_repr(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}" + ", inplace=True" * self.inplace


class Softshrink(Module):
    """y = x moved towards 0 by lambd, at most to 0."""

    def __init__(self, lambd: float = 0.5):
        super().__init__()
        self.lambd = lambd

    def forward(self, x: Tensor) -> Tensor:
        return F.softshrink(x, self.lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class Hardshrink(Softshrink):
    """y = x where |x| > lambd, else 0."""

    def forward(self, x: Tensor) -> Tensor:
        return F.hardshrink(x, self.lambd)


class Threshold(Module):
    """y = x where x > threshold, else value."""

    def __init__(self, threshold: float, value: float, inplace: bool = False):
        super().__init__()
        self.threshold, self.value, self.inplace = threshold, value, inplace

    def forward(self, x: Tensor) -> Tensor:
        return F.threshold(x, self.threshold, self.value)

    def extra_repr(self) -> str:
        return f"threshold={self.threshold}, value={self.value}" + ", inplace=True" * self.inplace


class PReLU(Module):
    """y = x where x > 0, else weight x; weight is learned, one number or one per channel (axis 1). arXiv:1502.01852."""

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None):
        super().__init__()
        positive("PReLU", num_parameters=num_parameters)
        self.num_parameters, self.init = num_parameters, init
        self.weight = made((num_parameters,), device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        init.constant_(self.weight, self.init)

    def forward(self, x: Tensor) -> Tensor:
        return F.prelu(x, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class GLU(Module):
    """y = a sigmoid(b), a and b the halves of x along `dim`. Dauphin et al. 2016, arXiv:1612.08083."""

    def __init__(self, dim: int = -1):
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        return F.glu(x, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class SwiGLU(GLU):
    """y = silu(a) b, a and b the halves of x along `dim`. Shazeer 2020, arXiv:2002.05202, eq. 6.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.SwiGLU()(mg.ones(2, 6)).shape
    (2, 3)
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.swiglu(x, self.dim)


class Softmax(Module):
    """y = e**x / sum(e**x) along `dim`: positive, summing to 1.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.Softmax(dim=1)(mg.zeros(1, 4))
    tensor([[0.25, 0.25, 0.25, 0.25]])
    """

    def __init__(self, dim: int | None = None):
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        return F.softmax(x, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """y = x - ln(sum(e**x)) along `dim`."""

    def forward(self, x: Tensor) -> Tensor:
        return F.log_softmax(x, self.dim)


class Softmin(Softmax):
    """y = softmax(-x) along `dim`."""

    def forward(self, x: Tensor) -> Tensor:
        return F.softmin(x, self.dim)


class Softmax2d(Module):
    """Softmax over the channels of each place. x: (B, C, H, W) or (C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.softmax(x, -3)
