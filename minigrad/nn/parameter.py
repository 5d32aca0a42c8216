"""What a module's state is made of: parameters, which are learned, and buffers, which are not."""

from __future__ import annotations

from typing import Any

from ..convert import as_array
from ..edits import link
from ..tensor import Tensor


class Parameter(Tensor):
    """A tensor that a module learns: requires a gradient, and is found by ``module.parameters()``.

    >>> Parameter([1.0, 2.0])
    Parameter containing:
    tensor([1., 2.], requires_grad=True)
    """

    __slots__ = ("__dict__",)  # programs mark parameters: p.no_weight_decay = True

    def __init__(self, data: Any = None, requires_grad: bool = True):
        array = as_array(() if data is None else data)
        read_only = not getattr(getattr(array, "flags", None), "writeable", True)
        self.array = array.copy() if read_only else array  # shares memory where it can be updated in place
        self.node = self._grad = self.storage = self.source = None
        if isinstance(data, Tensor) and self.array is data.array:
            link(self, data, None, {})
        if requires_grad:
            self.requires_grad = True

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class Buffer(Tensor):
    """A tensor that belongs to a module's state but is not learned, such as a running mean. Set it as an attribute."""

    __slots__ = ("persistent",)

    def __init__(self, data: Any, *, persistent: bool = True):
        super().__init__(data)
        self.persistent = persistent  # saved in state_dict
