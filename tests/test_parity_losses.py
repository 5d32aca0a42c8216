"""Every loss against PyTorch: values and gradients to second order, in both float types."""

import inspect

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.gradients import grad

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")

pytestmark = pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")  # PyTorch's remark on kl_div

rng = np.random.default_rng(0)
B, K = 6, 4
X, T = rng.standard_normal((B, K)) * 2, rng.standard_normal((B, K))
LABELS = np.array([0, 3, 1, 1, 2, 0])
IGNORING = np.array([0, -100, 1, 1, 2, -100])
MAPS, PLACES = rng.standard_normal((2, K, 3, 2)), rng.integers(0, K, (2, 3, 2))
SOFT = rng.dirichlet(np.ones(K), B)
SOFT_MAPS = np.moveaxis(rng.dirichlet(np.ones(K), (2, 3, 2)), -1, 1)
SIGNS, ROW_SIGNS = rng.choice([-1.0, 1.0], (B, K)), rng.choice([-1.0, 1.0], B)
ZERO_ONE = (rng.random((B, K)) < 0.5).astype(float)
PROBS = rng.random((B, K)) * 0.98 + 0.01
W = rng.random(K) + 0.5

# name, function of (F, as tensor), the first argument (whose gradient is compared)
LOSSES = [
    ("mse", lambda F, t, x, **o: F.mse_loss(x, t(T), **o), X),
    ("mse-weight", lambda F, t, x, **o: F.mse_loss(x, t(T), weight=t(PROBS), **o), X),
    ("l1-weight", lambda F, t, x, **o: F.l1_loss(x, t(T), weight=t(PROBS), **o), X),
    ("huber-weight", lambda F, t, x, **o: F.huber_loss(x, t(T), weight=t(PROBS), **o), X),
    ("l1", lambda F, t, x, **o: F.l1_loss(x, t(T), **o), X),
    ("smooth_l1", lambda F, t, x, **o: F.smooth_l1_loss(x, t(T), **o), X),
    ("smooth_l1-beta", lambda F, t, x, **o: F.smooth_l1_loss(x, t(T), beta=0.3, **o), X),
    ("smooth_l1-0", lambda F, t, x, **o: F.smooth_l1_loss(x, t(T), beta=0.0, **o), X),
    ("huber", lambda F, t, x, **o: F.huber_loss(x, t(T), delta=0.7, **o), X),
    ("ce", lambda F, t, x, **o: F.cross_entropy(x, t(LABELS), **o), X),
    ("ce-single", lambda F, t, x, **o: F.cross_entropy(x, t(np.array(2)), **o), X[0]),
    ("ce-weight", lambda F, t, x, **o: F.cross_entropy(x, t(LABELS), weight=t(W), **o), X),
    ("ce-ignore", lambda F, t, x, **o: F.cross_entropy(x, t(IGNORING), **o), X),
    ("ce-ignore-0", lambda F, t, x, **o: F.cross_entropy(x, t(LABELS), ignore_index=0, **o), X),
    ("ce-ignore-weight", lambda F, t, x, **o: F.cross_entropy(x, t(IGNORING), weight=t(W), **o), X),
    ("ce-smooth", lambda F, t, x, **o: F.cross_entropy(x, t(LABELS), label_smoothing=0.1, **o), X),
    ("ce-smooth-all", lambda F, t, x, **o: F.cross_entropy(x, t(IGNORING), weight=t(W), label_smoothing=0.3, **o), X),
    ("ce-smooth-ignore", lambda F, t, x, **o: F.cross_entropy(x, t(IGNORING), label_smoothing=0.3, **o), X),
    ("ce-maps", lambda F, t, x, **o: F.cross_entropy(x, t(PLACES), **o), MAPS),
    ("ce-maps-all", lambda F, t, x, **o: F.cross_entropy(x, t(PLACES), weight=t(W), label_smoothing=0.2, **o), MAPS),
    ("ce-soft", lambda F, t, x, **o: F.cross_entropy(x, t(SOFT), **o), X),
    ("ce-soft-all", lambda F, t, x, **o: F.cross_entropy(x, t(SOFT), weight=t(W), label_smoothing=0.2, **o), X),
    ("ce-soft-maps", lambda F, t, x, **o: F.cross_entropy(x, t(SOFT_MAPS), weight=t(W), **o), MAPS),
    ("nll", lambda F, t, x, **o: F.nll_loss(x, t(LABELS), **o), X),
    ("nll-all", lambda F, t, x, **o: F.nll_loss(x, t(IGNORING), weight=t(W), **o), X),
    ("nll-maps", lambda F, t, x, **o: F.nll_loss(x, t(PLACES), weight=t(W), **o), MAPS),
    ("bce", lambda F, t, x, **o: F.binary_cross_entropy(x, t(ZERO_ONE), **o), PROBS),
    ("bce-weight", lambda F, t, x, **o: F.binary_cross_entropy(x, t(ZERO_ONE), weight=t(W), **o), PROBS),
    ("bcel", lambda F, t, x, **o: F.binary_cross_entropy_with_logits(x, t(ZERO_ONE), **o), X * 20),
    ("bcel-pos", lambda F, t, x, **o: F.binary_cross_entropy_with_logits(x, t(ZERO_ONE), pos_weight=t(W), **o), X),
    ("bcel-weight", lambda F, t, x, **o: F.binary_cross_entropy_with_logits(x, t(PROBS), weight=t(W), **o), X),
    ("kl", lambda F, t, x, **o: F.kl_div(x, t(SOFT), **o), X),
    ("kl-log", lambda F, t, x, **o: F.kl_div(x, t(np.log(SOFT)), log_target=True, **o), X),
    ("hinge_embedding", lambda F, t, x, **o: F.hinge_embedding_loss(x, t(SIGNS), margin=0.8, **o), X),
    ("multi_margin", lambda F, t, x, **o: F.multi_margin_loss(x, t(LABELS), **o), X),
    ("multi_margin-2", lambda F, t, x, **o: F.multi_margin_loss(x, t(LABELS), p=2, margin=0.7, weight=t(W), **o), X),
    ("multi_margin-single", lambda F, t, x, **o: F.multi_margin_loss(x, t(np.array(1)), **o), X[0]),
    ("soft_margin", lambda F, t, x, **o: F.soft_margin_loss(x, t(SIGNS), **o), X),
    ("margin_ranking", lambda F, t, x, **o: F.margin_ranking_loss(x, t(T), t(SIGNS), margin=0.3, **o), X),
    ("cosine_embedding", lambda F, t, x, **o: F.cosine_embedding_loss(x, t(T), t(ROW_SIGNS), margin=0.1, **o), X),
    ("poisson", lambda F, t, x, **o: F.poisson_nll_loss(x, t(np.abs(T) * 3), full=True, **o), X),
    ("poisson-rate", lambda F, t, x, **o: F.poisson_nll_loss(x, t(np.abs(T)), log_input=False, **o), PROBS),
    ("gaussian", lambda F, t, x, **o: F.gaussian_nll_loss(x, t(T), t(PROBS), full=True, **o), X),
    ("triplet", lambda F, t, x, **o: F.triplet_margin_loss(x, t(T), t(SOFT), swap=True, **o), X),
]  # fmt: skip
# PyTorch's CPU kernel of this loss has no second derivative
FIRST_ORDER = {"multi_margin", "multi_margin-2", "multi_margin-single"}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name, loss, x", LOSSES, ids=[name for name, *_ in LOSSES])
def test_loss(name, loss, x, reduction, dtype):
    tolerance = {"float32": 1e-5, "float64": 1e-10}[dtype]
    cast = lambda a: a.astype(dtype) if a.dtype.kind == "f" else a
    ours, theirs = mg.tensor(cast(x), requires_grad=True), torch.tensor(cast(x), requires_grad=True)
    y = loss(nn.functional, lambda a: mg.tensor(cast(a)), ours, reduction=reduction)
    ty = loss(torch.nn.functional, lambda a: torch.tensor(cast(a)), theirs, reduction=reduction)

    def close(a, b, what):
        assert str(a.dtype) == dtype, what
        a, b = a.detach().numpy(), b.detach().numpy(force=True)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1, np.abs(b).max()), err_msg=what)

    close(y, ty, "value")
    g = np.random.default_rng(1).standard_normal(y.shape).astype(dtype)
    (dx,) = grad(y, ours, mg.tensor(g), create_graph=True)
    (tdx,) = torch.autograd.grad(ty, theirs, torch.tensor(g), create_graph=True)
    close(dx, tdx, "gradient")
    if dtype == "float64" and name not in FIRST_ORDER and tdx.requires_grad:
        v = np.random.default_rng(2).standard_normal(x.shape)
        (d2,) = torch.autograd.grad(tdx, theirs, torch.tensor(v), allow_unused=True, materialize_grads=True)
        if dx.requires_grad:
            close(grad(dx, ours, mg.tensor(v), materialize_grads=True)[0], d2, "second gradient")
        else:
            assert not d2.any()


MODULES = [
    name
    for name, ours in vars(nn).items()
    if inspect.isclass(ours) and name.endswith("Loss") and hasattr(torch.nn, name)
]
ARGUMENTS = {
    "CrossEntropyLoss": (X, LABELS), "NLLLoss": (X, LABELS), "MultiMarginLoss": (X, LABELS),
    "BCELoss": (PROBS, ZERO_ONE),
    "KLDivLoss": (X, SOFT), "CosineEmbeddingLoss": (X, T, ROW_SIGNS), "MarginRankingLoss": (X, T, SIGNS),
    "TripletMarginLoss": (X, T, SOFT), "GaussianNLLLoss": (X, T, PROBS), "PoissonNLLLoss": (X, np.abs(T)),
}  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_module(name):
    args = ARGUMENTS.get(name, (X, SIGNS))
    ours = getattr(nn, name)()(*map(mg.tensor, args))
    theirs = getattr(torch.nn, name)()(*map(torch.tensor, args))
    np.testing.assert_allclose(ours.item(), theirs.item(), rtol=1e-10)
    assert repr(getattr(nn, name)()) == repr(getattr(torch.nn, name)())


def test_kl_batchmean():
    ours = nn.KLDivLoss(reduction="batchmean")(mg.tensor(X), mg.tensor(SOFT))
    theirs = torch.nn.KLDivLoss(reduction="batchmean")(torch.tensor(X), torch.tensor(SOFT))
    np.testing.assert_allclose(ours.item(), theirs.item(), rtol=1e-12)


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_binary_cross_entropy_at_the_ends(p):
    """PyTorch cuts logarithms at -100 and its gradient's denominator at 1e-12."""
    for t in (0.0, 1.0):
        x, tx = mg.tensor([p], requires_grad=True), torch.tensor([p], requires_grad=True)
        y, ty = (
            nn.functional.binary_cross_entropy(x, mg.tensor([t])),
            torch.nn.functional.binary_cross_entropy(tx, torch.tensor([t])),
        )
        y.backward()
        ty.backward()
        assert y.item() == ty.item()
        assert x.grad.item() == tx.grad.item()


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_nothing(reduction):
    """An empty batch: NaN for the mean, as in PyTorch, and no warning."""
    for loss, shape, labels in (
        ("cross_entropy", (0, 4), (0,)),
        ("nll_loss", (0, 4), (0,)),
        ("mse_loss", (0, 4), None),
        ("binary_cross_entropy_with_logits", (0,), None),
    ):
        target = np.zeros(shape, "float32") if labels is None else np.zeros(labels, "int64")
        x = mg.zeros(shape, requires_grad=True)
        y = getattr(nn.functional, loss)(x, mg.tensor(target), reduction=reduction)
        ty = getattr(torch.nn.functional, loss)(torch.zeros(shape), torch.tensor(target), reduction=reduction)
        np.testing.assert_array_equal(y.detach().numpy(), ty.numpy())
        y.backward(mg.ones(y.shape))
        assert x.grad.shape == shape


def test_all_ignored():
    x, t = mg.zeros(2, 3, requires_grad=True), mg.tensor([-100, -100])
    assert np.isnan(nn.functional.cross_entropy(x, t).item())
    assert nn.functional.cross_entropy(x, t, reduction="sum").item() == 0
