"""Checks for those who declare primitives, rules and kernels: is the gradient the derivative of the forward?

    gradcheck(mg.exp, [np.random.randn(3, 4)])                 first order
    gradgradcheck(mg.tanh, [np.random.randn(3)])               the gradient of the gradient
    check_primitive("softmax")                                 all samples of a primitive, to second order
    check_kernel("softmax", backend="numba")                   a kernel against the reference forward

A check compares the rules with something that never saw them: differences of the forward. How large a difference counts
is derived from the step and from the numbers themselves, see `differences`. What fails is raised as CheckError, with a
report that names argument, index, both numbers, and the likely mistake.
"""

from .gradients import FULL as FULL
from .gradients import gradcheck as gradcheck
from .gradients import gradgradcheck as gradgradcheck
from .maps import CURVED as CURVED
from .maps import EPS as EPS
from .maps import SLACK as SLACK
from .maps import Map as Map
from .maps import complex_step as complex_step
from .maps import differences as differences
from .primitives import admitted as admitted
from .primitives import check_body as check_body
from .primitives import check_kernel as check_kernel
from .primitives import check_primitive as check_primitive
from .primitives import check_shape as check_shape
from .primitives import differentiable as differentiable
from .report import Report as Report
from .samples import SHAPES as SHAPES
from .samples import Sample as Sample
from .samples import frozen as frozen
from .samples import on as on
from .samples import sample_inputs as sample_inputs
from .samples import strided as strided
