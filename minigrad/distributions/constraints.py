"""Which values a parameter or a sample may have. Names are PyTorch's (torch.distributions.constraints)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..tensor import F


class Constraint:
    """``check(x)``: which elements of x are allowed; with event_dim axes, which groups along the last axes are."""

    def __init__(self, rule: str, check: Callable[[Any], Any], *, event_dim: int = 0, is_discrete: bool = False):
        self.rule, self.check = rule, check
        self.event_dim, self.is_discrete = event_dim, is_discrete

    def __repr__(self) -> str:
        return self.rule


def _whole(x: Any) -> Any:
    return F.equal(x, F.floor(x))


def greater_than(low: Any) -> Constraint:
    return Constraint(f"> {low}", lambda x: x > low)


def greater_than_eq(low: Any) -> Constraint:
    return Constraint(f">= {low}", lambda x: x >= low)


def interval(low: Any, high: Any) -> Constraint:
    return Constraint("from low to high", lambda x: F.logical_and(x >= low, x <= high))


def integer_interval(low: Any, high: Any) -> Constraint:
    def check(x: Any) -> Any:
        return F.logical_and(_whole(x), F.logical_and(x >= low, x <= high))

    return Constraint(f"a whole number from {low} to {high}", check, is_discrete=True)


def independent(base: Constraint, axes: int) -> Constraint:
    """The last `axes` axes of what `base` allows must be allowed together."""

    def check(x: Any) -> Any:
        allowed = base.check(x)
        return F.all(allowed, axis=tuple(range(-axes, 0))) if axes else allowed

    return Constraint(base.rule, check, event_dim=base.event_dim + axes, is_discrete=base.is_discrete)


def _sums_to_one(x: Any) -> Any:
    return F.logical_and(F.all(x >= 0, axis=-1), F.abs(F.sum(x, axis=-1) - 1) < 1e-6)


def _positive_definite(x: Any) -> Any:
    symmetric = F.all(F.abs(x - x.mT) <= 1e-6 * (1 + F.abs(x)), axis=(-2, -1))
    return F.logical_and(symmetric, F.all(F.eigvalsh(x) > 0, axis=-1))


def _lower_cholesky(x: Any) -> Any:
    lower = F.all(F.equal(F.tril(x), x), axis=(-2, -1))
    return F.logical_and(lower, F.all(x.diagonal(0, -2, -1) > 0, axis=-1))


real = Constraint("a number", lambda x: F.equal(x, x))
real_vector = independent(real, 1)
positive = greater_than(0.0)
nonnegative = greater_than_eq(0.0)
unit_interval = Constraint("from 0 to 1", lambda x: F.logical_and(x >= 0, x <= 1))
boolean = Constraint("0 or 1", lambda x: F.logical_or(F.equal(x, 0), F.equal(x, 1)), is_discrete=True)
nonnegative_integer = Constraint("a whole number >= 0", lambda x: F.logical_and(_whole(x), x >= 0), is_discrete=True)
simplex = Constraint("numbers >= 0 that sum to 1 over the last axis", _sums_to_one, event_dim=1)
one_hot = Constraint(
    "one 1 and else 0 over the last axis",
    lambda x: F.logical_and(F.all(boolean.check(x), axis=-1), F.equal(F.sum(x, axis=-1), 1)),
    event_dim=1,
    is_discrete=True,
)
positive_definite = Constraint("a symmetric positive definite matrix", _positive_definite, event_dim=2)
lower_cholesky = Constraint("lower triangular with a positive diagonal", _lower_cholesky, event_dim=2)
