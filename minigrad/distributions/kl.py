"""KL(p || q) = the mean over p of ln p - ln q, for pairs of families with a closed form; others may register theirs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..linalg import solve_triangular
from ..tensor import F, Tensor
from .bernoulli import Bernoulli, Binomial, Geometric
from .beta import Beta, Dirichlet
from .categorical import Categorical, OneHotCategorical
from .distribution import Distribution
from .exponential import Exponential
from .gamma import Gamma
from .independent import Independent, summed
from .location_scale import Laplace
from .multivariate_normal import MultivariateNormal
from .normal import LogNormal, Normal
from .poisson import Poisson
from .uniform import Uniform

FORMULAS: dict[tuple[type, type], Callable[[Any, Any], Tensor]] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Callable], Callable]:
    """``@register_kl(P, Q)`` on a function of p and q: the formula for these families and those derived from them."""

    def declare(formula: Callable) -> Callable:
        FORMULAS[type_p, type_q] = formula
        return formula

    return declare


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """KL(p || q) of each element of the batch. NotImplementedError where no formula is registered.

    >>> kl_divergence(Normal(0.0, 1.0), Normal(1.0, 1.0))
    tensor(0.5)
    """
    for a in type(p).__mro__:  # the nearest of p first, then of q
        for b in type(q).__mro__:
            if (a, b) in FORMULAS:
                return FORMULAS[a, b](p, q)
    raise NotImplementedError(
        f"kl_divergence: there is no formula for {type(p).__name__} and {type(q).__name__}. Register one with "
        "register_kl, or average p.log_prob(x) - q.log_prob(x) over samples x of p."
    )


@register_kl(Normal, Normal)
@register_kl(LogNormal, LogNormal)
def _normal(p: Any, q: Any) -> Tensor:
    ratio = F.square(p.scale / q.scale)
    return 0.5 * (ratio + F.square((p.loc - q.loc) / q.scale) - 1 - F.log(ratio))


@register_kl(MultivariateNormal, MultivariateNormal)
def _multivariate_normal(p: Any, q: Any) -> Tensor:
    spread = solve_triangular(q.scale_tril, p.scale_tril, upper=False)
    shift = solve_triangular(q.scale_tril, (q.loc - p.loc)[..., None], upper=False)
    squares = F.sum(F.square(spread), axis=(-2, -1)) + F.sum(F.square(shift), axis=(-2, -1))
    return q._half_log_det() - p._half_log_det() + 0.5 * (squares - p.event_shape[0])


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Any, q: Any) -> Tensor:
    first = p.probs * (F.softplus(-q.logits) - F.softplus(-p.logits))
    second = (1 - p.probs) * (F.softplus(q.logits) - F.softplus(p.logits))
    return first + second


@register_kl(Binomial, Binomial)
def _binomial(p: Any, q: Any) -> Tensor:
    per_trial = p.probs * (p.logits - q.logits) - F.softplus(p.logits) + F.softplus(q.logits)
    return F.where(p.total_count > q.total_count, math.inf, p.total_count * per_trial)


@register_kl(Geometric, Geometric)
def _geometric(p: Any, q: Any) -> Tensor:
    return -p.entropy() - F.log1p(-q.probs) / p.probs - q.logits


@register_kl(Categorical, Categorical)
def _categorical(p: Any, q: Any) -> Tensor:
    terms = p.probs * (p.logits - q.logits)
    terms = F.where(F.equal(q.probs, 0), math.inf, terms)
    return F.sum(F.where(F.equal(p.probs, 0), 0.0, terms), axis=-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot(p: Any, q: Any) -> Tensor:
    return _categorical(p._categorical, q._categorical)


@register_kl(Poisson, Poisson)
def _poisson(p: Any, q: Any) -> Tensor:
    return p.rate * (F.log(p.rate) - F.log(q.rate)) - (p.rate - q.rate)


@register_kl(Uniform, Uniform)
def _uniform(p: Any, q: Any) -> Tensor:
    inside = F.logical_and(q.low <= p.low, q.high >= p.high)
    return F.where(inside, F.log((q.high - q.low) / (p.high - p.low)), math.inf)


@register_kl(Exponential, Exponential)
def _exponential(p: Any, q: Any) -> Tensor:
    ratio = q.rate / p.rate
    return ratio - 1 - F.log(ratio)


@register_kl(Laplace, Laplace)
def _laplace(p: Any, q: Any) -> Tensor:
    ratio, distance = p.scale / q.scale, F.abs(p.loc - q.loc)
    return -F.log(ratio) + distance / q.scale + ratio * F.exp(-distance / p.scale) - 1


@register_kl(Gamma, Gamma)
def _gamma(p: Any, q: Any) -> Tensor:
    a, b = p.concentration, q.concentration
    shapes = b * F.log(p.rate / q.rate) + F.lgamma(b) - F.lgamma(a) + (a - b) * F.digamma(a)
    return shapes + (q.rate - p.rate) * (a / p.rate)


@register_kl(Beta, Beta)
def _beta(p: Any, q: Any) -> Tensor:
    return _dirichlet(p._dirichlet, q._dirichlet)


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Any, q: Any) -> Tensor:
    a, b = p.concentration, q.concentration
    total = F.sum(a, axis=-1)
    norms = F.lgamma(total) - F.lgamma(F.sum(b, axis=-1)) - F.sum(F.lgamma(a) - F.lgamma(b), axis=-1)
    return norms + F.sum((a - b) * (F.digamma(a) - F.digamma(total)[..., None]), axis=-1)


@register_kl(Independent, Independent)
def _independent(p: Any, q: Any) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError("kl_divergence: two Independent must take as many axes together.")
    return summed(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)
