"""Probability distributions: densities, samples, entropies, divergences. Names and numbers are PyTorch's.

Formulas are written in minigrad's primitives, so log_prob, entropy and KL have gradients of any order, and `rsample`
those of the samples (where `has_rsample`). Samples come from the shared generator that `minigrad.manual_seed` seeds.

>>> import minigrad as mg
>>> from minigrad.distributions import Categorical, Normal, kl_divergence
>>> policy = Categorical(logits=mg.tensor([0.0, 1.0], requires_grad=True))
>>> loss = -policy.log_prob(policy.sample()) * 2.0  # REINFORCE: the action's log-probability times its return
>>> kl_divergence(Normal(0.0, 1.0), Normal(0.0, 2.0))
tensor(0.31814718)
"""

from . import constraints as constraints
from . import transforms as transforms
from .bernoulli import Bernoulli as Bernoulli
from .bernoulli import Binomial as Binomial
from .bernoulli import Geometric as Geometric
from .beta import Beta as Beta
from .beta import Dirichlet as Dirichlet
from .categorical import Categorical as Categorical
from .categorical import OneHotCategorical as OneHotCategorical
from .distribution import Distribution as Distribution
from .exponential import Exponential as Exponential
from .gamma import Chi2 as Chi2
from .gamma import Gamma as Gamma
from .independent import Independent as Independent
from .independent import MixtureSameFamily as MixtureSameFamily
from .kl import kl_divergence as kl_divergence
from .kl import register_kl as register_kl
from .location_scale import Cauchy as Cauchy
from .location_scale import Gumbel as Gumbel
from .location_scale import Laplace as Laplace
from .multivariate_normal import MultivariateNormal as MultivariateNormal
from .normal import HalfNormal as HalfNormal
from .normal import LogNormal as LogNormal
from .normal import Normal as Normal
from .poisson import Poisson as Poisson
from .transformed import StudentT as StudentT
from .transformed import TransformedDistribution as TransformedDistribution
from .transforms import AbsTransform as AbsTransform
from .transforms import AffineTransform as AffineTransform
from .transforms import ComposeTransform as ComposeTransform
from .transforms import ExpTransform as ExpTransform
from .transforms import IndependentTransform as IndependentTransform
from .transforms import PowerTransform as PowerTransform
from .transforms import ReshapeTransform as ReshapeTransform
from .transforms import SigmoidTransform as SigmoidTransform
from .transforms import SoftmaxTransform as SoftmaxTransform
from .transforms import SoftplusTransform as SoftplusTransform
from .transforms import StickBreakingTransform as StickBreakingTransform
from .transforms import TanhTransform as TanhTransform
from .transforms import Transform as Transform
from .transforms import identity_transform as identity_transform
from .uniform import Uniform as Uniform
