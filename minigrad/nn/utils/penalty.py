"""Penalties on the size of parameters, to be added to a loss."""

from __future__ import annotations

from collections.abc import Iterable

from ...errors import ArgumentError
from ...tensor import F, Tensor


def l1_penalty(parameters: Tensor | Iterable[Tensor]) -> Tensor:
    """Sum of |p| over all elements of all parameters: 0-d. Draws weights to exactly 0 (Tibshirani 1996, the lasso).

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> w = mg.tensor([3.0, -4.0], requires_grad=True)
    >>> loss = mg.sum(w) + 0.1 * nn.utils.l1_penalty([w])
    >>> loss.backward()
    >>> w.grad
    tensor([1.1, 0.9])
    """
    return _summed("l1_penalty", parameters, lambda p: F.sum(F.abs(p)))


def l2_penalty(parameters: Tensor | Iterable[Tensor]) -> Tensor:
    """Half the sum of p**2 over all elements of all parameters: 0-d.

    Its gradient is p, so that ``loss + c * l2_penalty(model.parameters())`` trains as an optimizer's weight_decay=c
    does (SGD, Adam; AdamW's is another one, that does not pass through the moments). Hoerl and Kennard 1970.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.utils.l2_penalty([mg.tensor([3.0, -4.0]), mg.tensor(1.0)])
    tensor(13.)
    """
    return _summed("l2_penalty", parameters, lambda p: F.sum(p * p)) * 0.5


def elastic_net_penalty(parameters: Tensor | Iterable[Tensor], l1_ratio: float = 0.5) -> Tensor:
    """l1_ratio `l1_penalty` + (1 - l1_ratio) `l2_penalty`: 0-d. Zou and Hastie 2005; scaled as in scikit-learn.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.utils.elastic_net_penalty([mg.tensor([3.0, -4.0])], l1_ratio=0.5)
    tensor(9.75)
    """
    if not 0 <= l1_ratio <= 1:
        raise ArgumentError(f"elastic_net_penalty: l1_ratio must be from 0 to 1: got {l1_ratio}.")
    parameters = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return l1_ratio * l1_penalty(parameters) + (1 - l1_ratio) * l2_penalty(parameters)


def _summed(who: str, parameters: Tensor | Iterable[Tensor], f) -> Tensor:
    terms = [f(p) for p in ([parameters] if isinstance(parameters, Tensor) else parameters)]
    if not terms:
        raise ArgumentError(f"{who}: needs at least one parameter. Was model.parameters() used up?")
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
