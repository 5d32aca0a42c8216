"""The normal distribution of vectors."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from ..creation import asarray, eye
from ..errors import ArgumentError, ShapeError
from ..linalg import solve_triangular
from ..random import randn
from ..tensor import F, Tensor
from . import constraints
from .distribution import Distribution


class MultivariateNormal(Distribution):
    """p(x) = exp(-(x - loc)^T C^-1 (x - loc) / 2) / sqrt((2 pi)**D det C). loc: (..., D).

    One of covariance_matrix C, precision_matrix C^-1 and scale_tril L with C = L L^T, lower triangular: (..., D, D).
    """

    arg_constraints: ClassVar = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        loc: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ):
        choices = {
            "covariance_matrix": covariance_matrix, "precision_matrix": precision_matrix, "scale_tril": scale_tril,
        }  # fmt: skip
        given = {name: asarray(m) for name, m in choices.items() if m is not None}
        if len(given) != 1:
            raise ArgumentError(f"MultivariateNormal: give one of {', '.join(choices)}: got {len(given)}.")
        ((name, matrix),) = given.items()
        loc = asarray(loc)
        d = loc.shape[-1] if loc.ndim else 0
        if loc.ndim < 1 or matrix.ndim < 2 or matrix.shape[-2:] != (d, d):
            raise ShapeError(
                f"MultivariateNormal: loc must be (..., D), {name} (..., D, D): got {loc.shape} and {matrix.shape}."
            )
        batch = np.broadcast_shapes(loc.shape[:-1], matrix.shape[:-2])
        self.loc = F.broadcast_to(loc, (*batch, d))
        setattr(self, name, F.broadcast_to(matrix, (*batch, d, d)))
        super().__init__(batch, (d,), validate_args)

    @cached_property
    def scale_tril(self) -> Tensor:
        if "covariance_matrix" in vars(self):
            return F.cholesky(self.covariance_matrix)
        # with J the reversal, J P J = M M^T gives P^-1 = L L^T for L = (J M^-T J), lower triangular
        reversed_ = F.cholesky(F.flip(self.precision_matrix, axis=(-2, -1)))
        upper = F.flip(reversed_, axis=(-2, -1)).mT
        return solve_triangular(upper, eye(self._event_shape[0], dtype=upper.dtype), upper=False)

    @cached_property
    def covariance_matrix(self) -> Tensor:
        return self.scale_tril @ self.scale_tril.mT

    @cached_property
    def precision_matrix(self) -> Tensor:
        inverse = solve_triangular(self.scale_tril, eye(self._event_shape[0], dtype=self.loc.dtype), upper=False)
        return inverse.mT @ inverse

    mean = mode = property(lambda self: self.loc)  # type: ignore[assignment]

    @property
    def variance(self) -> Tensor:
        return F.sum(F.square(self.scale_tril), axis=-1)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        noise = randn(self._extended(sample_shape), dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + (self.scale_tril @ noise[..., None])[..., 0]

    def _half_log_det(self) -> Tensor:
        return F.sum(F.log(self.scale_tril.diagonal(0, -2, -1)), axis=-1)

    def log_prob(self, value: Any) -> Tensor:
        centred = self._checked(value) - self.loc
        whitened = solve_triangular(self.scale_tril, centred[..., None], upper=False)[..., 0]
        square = F.sum(F.square(whitened), axis=-1)
        return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + square) - self._half_log_det()

    def entropy(self) -> Tensor:
        return 0.5 * self._event_shape[0] * (1 + math.log(2 * math.pi)) + self._half_log_det()
