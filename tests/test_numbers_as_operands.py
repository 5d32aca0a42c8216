"""Python numbers among the operands: the recorded gradient of float64 tensors is as exact as the plain one."""

import itertools

import numpy as np
import pytest

import minigrad as mg
from minigrad.primitive import PRIMITIVES
from minigrad.tensor import F

ROWS = [
    (name, mask)
    for name, p in sorted(PRIMITIVES.items())
    if p.inline is not None and p.public and not p.variadic and p.inputs[0] != "condition"
    for mask in itertools.product((True, False), repeat=len(p.inputs))
    if True in mask and False in mask
]


@pytest.mark.parametrize(("name", "mask"), ROWS)
def test_the_recorded_gradient_keeps_float64(name, mask):
    x = np.random.default_rng(0).uniform(0.2, 0.8, 5)
    operands = [mg.tensor(x + 0.01 * i, requires_grad=True) if m else 0.7 for i, m in enumerate(mask)]
    tensors = [v for v in operands if isinstance(v, mg.Tensor)]
    try:
        y = getattr(F, name)(*operands)
    except TypeError:
        pytest.skip("takes no number there")
    assert y.dtype in (np.float64, bool)
    if y.node is None:
        pytest.skip("a step, without a gradient")
    recorded = mg.autograd.grad(y.sum(), tensors, create_graph=True)
    plain = mg.autograd.grad(getattr(F, name)(*operands).sum(), tensors)
    for a, b in zip(recorded, plain):
        assert a.dtype == b.dtype == np.float64
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-13)
