"""minigrad.masked beside torch.masked: values and gradients, of some rows nothing is left."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import masked

X = np.random.default_rng(0).standard_normal((4, 3))
MASK = np.array([[True, False, True], [True, True, True], [False, False, True], [True, True, False]])
CALLS = {
    "sum": {"dim": 1}, "prod": {"dim": (0, 1)}, "cumsum": {"dim": 1}, "cumprod": {"dim": 0}, "amax": {"dim": 1},
    "amin": {"dim": 0, "keepdim": True}, "argmax": {"dim": 1}, "argmin": {"dim": 0}, "mean": {"dim": 1},
    "median": {"dim": 1}, "logsumexp": {"dim": 1}, "norm": {"ord": 3.0, "dim": 1}, "normalize": {"ord": 2.0, "dim": 1},
    "var": {"dim": 0}, "std": {"dim": (0, 1), "unbiased": False}, "softmax": {"dim": 1}, "log_softmax": {"dim": 0},
    "softmin": {"dim": 1},
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, where nothing is left and NaN results
@pytest.mark.parametrize("mask", [MASK, MASK[:1], None], ids=["full", "row", "none"])
@pytest.mark.parametrize("name", CALLS)
def test_as_pytorch(name, mask):
    torch = pytest.importorskip("torch")
    given = CALLS[name]
    x, z = mg.tensor(X, requires_grad=True), torch.tensor(X, requires_grad=True)
    y = getattr(masked, name)(x, **given, mask=None if mask is None else mg.tensor(mask))
    e = getattr(torch.masked, name)(z, **given, mask=None if mask is None else torch.tensor(mask))
    assert y.shape == tuple(e.shape)
    np.testing.assert_allclose(y.detach().numpy(), e.detach().numpy(), rtol=1e-12, atol=1e-14)
    if e.requires_grad:
        kept = np.isfinite(e.detach().numpy())
        (g,) = mg.autograd.grad([y[mg.tensor(kept)].sum()], [x])
        (r,) = torch.autograd.grad(e[torch.tensor(kept)].sum(), [z])
        np.testing.assert_allclose(g.numpy(), r.numpy(), rtol=1e-9, atol=1e-12)


def test_nothing_is_left():
    x, none = mg.tensor([[1.0, 2.0]]), mg.tensor([[False, False]])
    assert masked.sum(x, 1, mask=none).tolist() == [0] and masked.prod(x, 1, mask=none).tolist() == [1]
    assert np.isnan(masked.mean(x, 1, mask=none).numpy()).all()
    assert masked.amax(x, 1, mask=none).tolist() == [-np.inf]


def test_logaddexp():
    y = masked.logaddexp(mg.tensor([0.0, 1.0]), mg.tensor([2.0, 3.0]), other_mask=mg.tensor([False, False]))
    assert y.tolist() == [0.0, 1.0]


def test_a_mask_of_more_axes():
    with pytest.raises(mg.errors.ShapeError, match="broadcast"):
        masked.sum(mg.ones(3), mask=mg.tensor(MASK))
