"""Every loss against PyTorch: values and gradients to second order, in both float types."""

import inspect
import itertools

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from minigrad.gradients import grad
from minigrad.testing import gradcheck, gradgradcheck

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")

pytestmark = [
    pytest.mark.filterwarnings("ignore:reduction. 'mean' divides"),  # PyTorch's remark on kl_div
    pytest.mark.filterwarnings("ignore:.*NLLLoss2d.*:FutureWarning"),
]

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
LISTS = np.array([[0, -1, 2, 2], [3, 1, -1, 0], [-1, 0, 1, 2], [0, 1, 2, 3], [2, 2, 1, -1], [1, -1, -1, -1]])
MATRIX, BIAS, MAPS_MATRIX = rng.standard_normal((K, K)), rng.standard_normal(K), rng.standard_normal((3, 2, 5, K))
ROWS = rng.integers(0, 3, (2, 2, 5))
SOUND = rng.standard_normal((9, 3, 4))  # 9 steps, 3 samples, 4 classes
WORDS = np.array([[1, 1, 3, 2], [2, 3, 1, 1], [3, 2, 2, 1]])

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
    ("multilabel_margin", lambda F, t, x, **o: F.multilabel_margin_loss(x, t(LISTS), **o), X),
    ("multilabel_margin-single", lambda F, t, x, **o: F.multilabel_margin_loss(x, t(LISTS[1]), **o), X[1]),
    ("multilabel_soft", lambda F, t, x, **o: F.multilabel_soft_margin_loss(x, t(ZERO_ONE), **o), X),
    ("multilabel_soft-weight", lambda F, t, x, **o: F.multilabel_soft_margin_loss(x, t(SOFT), weight=t(W), **o), X),
    ("triplet-distance", lambda F, t, x, **o: F.triplet_margin_with_distance_loss(
        x, t(T), t(SOFT), distance_function=lambda a, b: abs(a - b).sum(-1), margin=2.0, swap=True, **o), X),
    ("triplet-p", lambda F, t, x, **o: F.triplet_margin_loss(x, t(T), t(SOFT), p=3.0, margin=2.0, **o), X),
    ("linear-ce", lambda F, t, x, **o: F.linear_cross_entropy(
        x, t(MATRIX), t(LABELS), linear_bias=t(BIAS), weight=t(W), ignore_index=1, label_smoothing=0.1, **o), X),
    ("linear-ce-maps", lambda F, t, x, **o: F.linear_cross_entropy(x, t(MAPS_MATRIX), t(ROWS), **o), X[:2]),
    ("poisson-none", lambda F, t, x, **o: F.poisson_nll_loss(x, t(np.abs(T)), log_input=False, full=True, **o), PROBS),
    ("gaussian-row", lambda F, t, x, **o: F.gaussian_nll_loss(x, t(T), t(PROBS[:, 0]), **o), X),
    ("gaussian-number", lambda F, t, x, **o: F.gaussian_nll_loss(x, t(T), 0.3, **o), X),
    ("kl-batch", lambda F, t, x, **o: F.kl_div(x, t(SOFT), **{**o, "reduction": "batchmean"}), X),
    ("cosine-single", lambda F, t, x, **o: F.cosine_embedding_loss(x, t(T[0]), t(np.array(-1)), **o), X[0]),
    ("ctc", lambda F, t, x, **o: F.ctc_loss(
        x.log_softmax(-1), t(WORDS), t(np.array([9, 8, 9])), t(np.array([3, 1, 4])), **o), SOUND),
    ("ctc-row", lambda F, t, x, **o: F.ctc_loss(
        x.log_softmax(-1), t(np.array([0, 0, 1, 2, 1, 0])), t(np.array([9, 3, 5])), t(np.array([2, 0, 4])), blank=3,
        **o), SOUND),
    ("ctc-never", lambda F, t, x, **o: F.ctc_loss(
        x.log_softmax(-1), t(WORDS), t(np.array([9, 2, 0])), t(np.array([3, 4, 4])), zero_infinity=True, **o), SOUND),
    ("ctc-single", lambda F, t, x, **o: F.ctc_loss(
        x.log_softmax(-1), t(WORDS[0]), t(np.array(9)), t(np.array(4)), **o), SOUND[:, 0]),
    ("triplet", lambda F, t, x, **o: F.triplet_margin_loss(x, t(T), t(SOFT), swap=True, **o), X),
]  # fmt: skip
# PyTorch's CPU kernel of this loss has no second derivative
FIRST_ORDER = {name for name, *_ in LOSSES if name.startswith(("multi_margin", "multilabel_margin", "ctc"))}


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
    if inspect.isclass(ours) and name.endswith(("Loss", "Loss2d")) and hasattr(torch.nn.modules.loss, name)
    if "Linear" not in name  # has parameters, see below
]
ARGUMENTS = {
    "CrossEntropyLoss": (X, LABELS), "NLLLoss": (X, LABELS), "MultiMarginLoss": (X, LABELS),
    "BCELoss": (PROBS, ZERO_ONE),
    "KLDivLoss": (X, SOFT), "CosineEmbeddingLoss": (X, T, ROW_SIGNS), "MarginRankingLoss": (X, T, SIGNS),
    "TripletMarginLoss": (X, T, SOFT), "TripletMarginWithDistanceLoss": (X, T, SOFT),
    "MultiLabelMarginLoss": (X, LISTS),
    "NLLLoss2d": (MAPS, PLACES),
    "CTCLoss": (SOUND - 2, WORDS, np.array([9, 8, 9]), np.array([3, 1, 4])),
    "GaussianNLLLoss": (X, T, PROBS), "PoissonNLLLoss": (X, np.abs(T)),
}  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_module(name):
    args = ARGUMENTS.get(name, (X, SIGNS))
    ours, theirs = getattr(nn, name)(), getattr(torch.nn.modules.loss, name)()
    np.testing.assert_allclose(ours(*map(mg.tensor, args)).item(), theirs(*map(torch.tensor, args)).item(), rtol=1e-10)
    assert repr(ours) == repr(theirs)


def test_every_loss_is_here():
    theirs = [name for name, loss in vars(torch.nn.modules.loss).items() if inspect.isclass(loss) and "Loss" in name]
    assert [name for name in theirs if not name.startswith("_") and not hasattr(nn, name)] == []


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


@pytest.mark.filterwarnings("ignore::minigrad.MistakeWarning")
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


@pytest.mark.parametrize("name", [n for n in MODULES if "size_average" in inspect.signature(getattr(nn, n)).parameters])
@pytest.mark.parametrize(
    "switches", [{"size_average": False}, {"reduce": False}, {"size_average": True, "reduce": True}]
)
def test_former_switches(name, switches):
    """size_average and reduce, with a warning, in the module and in the function."""
    args = ARGUMENTS.get(name, (X, SIGNS))
    with pytest.warns(UserWarning, match="pass reduction="):
        ours = getattr(nn, name)(**switches)
    with pytest.warns(UserWarning):
        theirs = getattr(torch.nn.modules.loss, name)(**switches)
    assert ours.reduction == theirs.reduction
    y, ty = ours(*map(mg.tensor, args)), theirs(*map(torch.tensor, args))
    np.testing.assert_allclose(y.numpy(), ty.numpy(), rtol=1e-10)


def test_reduction_in_the_place_of_a_former_switch():
    with pytest.raises(ArgumentError, match="Pass reduction='sum' by name"):
        nn.MSELoss("sum")
    with pytest.raises(ArgumentError, match="Pass reduction='none' by name"):
        nn.functional.cross_entropy(mg.tensor(X), mg.tensor(LABELS), None, "none")
    with pytest.raises(ArgumentError, match="by name"):
        nn.functional.mse_loss(mg.tensor(X), mg.tensor(X), mg.tensor(X))


def test_cross_entropy_combinations():
    """Every combination of weight, ignored labels, smoothing and reduction, on labels of no to three axes."""
    for spatial, batch in itertools.product([(), (3,), (2, 1, 3)], [2, None]):
        if batch is None and spatial:
            continue
        shape = ((batch, K) if batch else (K,)) + spatial
        labels = rng.integers(0, K, (batch, *spatial) if batch else ())
        x, soft = rng.standard_normal(shape), rng.dirichlet(np.ones(K), (batch or 1, *spatial))
        soft = np.moveaxis(soft, -1, 1).reshape(shape)
        options = itertools.product([None, W], [-100, 1], [0.0, 0.2], ["none", "sum", "mean"], [labels, soft])
        for weight, ignore, smoothing, reduction, t in options:
            if t is soft and ignore == 1:
                continue
            o = {"ignore_index": ignore, "label_smoothing": smoothing, "reduction": reduction}
            a, b = mg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
            w, tw = (None, None) if weight is None else (mg.tensor(weight), torch.tensor(weight))
            y = nn.functional.cross_entropy(a, mg.tensor(t), w, **o)
            ty = torch.nn.functional.cross_entropy(b, torch.tensor(t), tw, **o)
            y.sum().backward()
            ty.sum().backward()
            np.testing.assert_allclose(y.detach().numpy(), ty.detach().numpy(), rtol=1e-10, atol=1e-12)
            np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-10, atol=1e-12)


# ---- connectionist temporal classification ---------------------------------------------------------------------------
def test_ctc_is_the_sum_over_all_paths():
    """By enumeration: every path of T classes whose repeats and blanks collapse to the labels."""
    t, c = 5, 3
    logp = np.log(rng.dirichlet(np.ones(c), (t, 1)))
    for labels in ([], [1], [2, 2], [1, 2, 1], [1, 1, 1]):
        total = 0.0
        for path in itertools.product(range(c), repeat=t):
            if [k for k, _ in itertools.groupby(path) if k] == labels:
                total += np.exp(sum(logp[i, 0, k] for i, k in enumerate(path)))
        targets = mg.tensor(np.array([labels], dtype="int64"))
        loss = nn.functional.ctc_loss(mg.tensor(logp), targets, [t], [len(labels)], reduction="sum")
        np.testing.assert_allclose(loss.item(), -np.log(total), rtol=1e-10)


def test_ctc_gradients():
    """Of the formula itself, to second order, also for log-probabilities that are no log_softmax."""
    lengths = [5, 4], [2, 1]
    f = lambda x: nn.functional.ctc_loss(x, mg.tensor([[1, 1], [2, 0]]), *lengths, reduction="none")
    x = mg.tensor(rng.standard_normal((5, 2, 3)) - 2)
    gradcheck(f, x)
    gradgradcheck(f, x)


@pytest.mark.filterwarnings("ignore::minigrad.MistakeWarning")
def test_ctc_that_cannot_be():
    x = mg.tensor(SOUND, requires_grad=True)
    loss = lambda **o: nn.functional.ctc_loss(x.log_softmax(-1), mg.tensor(WORDS), [9, 2, 0], [3, 4, 4], **o)
    assert loss(reduction="none").isinf().tolist() == [False, True, True]
    assert loss(reduction="mean").isinf().item() and not loss(zero_infinity=True).isinf().item()
    loss(reduction="sum").backward()
    assert x.grad[:, 0].any() and not x.grad[:, 1:].any()
    certain = mg.tensor(np.where(np.arange(3) == 1, 0.0, -np.inf) * np.ones((4, 1, 1)), requires_grad=True)
    loss = nn.functional.ctc_loss(certain, mg.tensor([[1]]), [4], [1])
    loss.backward()
    assert loss.item() == 0 and np.isfinite(certain.grad.numpy()).all()
    assert nn.functional.ctc_loss(mg.zeros(4, 0, 3), mg.zeros(0, 2, dtype="int64"), [], [], reduction="sum").item() == 0


CTC = (mg.zeros(4, 2, 3), mg.tensor([[1, 2], [1, 0]]), [4, 4], [2, 1])
ERRORS = [
    (lambda: nn.functional.ctc_loss(*CTC, blank=3), IndexRangeError, "blank"),
    (lambda: nn.functional.ctc_loss(CTC[0], CTC[1], [5, 4], [2, 1]), ArgumentError, "from 0 to T = 4"),
    (lambda: nn.functional.ctc_loss(CTC[0], CTC[1], [4, 4], [3, 1]), ShapeError, "the longest is 3"),
    (lambda: nn.functional.ctc_loss(CTC[0], CTC[1], [4], [2]), ShapeError, "one length a sample"),
    (lambda: nn.functional.ctc_loss(CTC[0], mg.tensor([1, 2, 1, 1]), [4, 4], [2, 1]), ShapeError, "in a row"),
    (lambda: nn.functional.ctc_loss(CTC[0], CTC[1] + 1, [4, 4], [2, 1]), IndexRangeError, "got 3"),
    (lambda: nn.functional.ctc_loss(CTC[0], mg.ones(2, 2), [4, 4], [2, 1]), DTypeError, "labels must be integers"),
    (lambda: nn.functional.ctc_loss(CTC[0].long(), *CTC[1:]), ShapeError, "floats"),
    (lambda: nn.functional.ctc_loss(*CTC, reduction="avg"), ArgumentError, "reduction"),
    (lambda: nn.functional.multilabel_margin_loss(mg.ones(2, 3), mg.tensor([[0, 3, -1]] * 2)), IndexRangeError, "t 3"),
    (lambda: nn.functional.multilabel_margin_loss(mg.ones(2, 3), mg.tensor([0, 1])), ShapeError, "both be"),
    (lambda: nn.functional.triplet_margin_loss(*[mg.ones(2, 3)] * 3, margin=-1.0), ArgumentError, "above 0"),
    (lambda: nn.functional.triplet_margin_loss(mg.ones(3), mg.ones(2, 3), mg.ones(3)), ShapeError, "as many axes"),
    (lambda: nn.functional.cosine_embedding_loss(*[mg.ones(2, 3)] * 3), ShapeError, r"need target \(B,\)"),
    (lambda: nn.functional.gaussian_nll_loss(*[mg.ones(2, 3)] * 2, mg.ones(3)), ShapeError, "var must be"),
    (lambda: nn.functional.gaussian_nll_loss(*[mg.ones(2)] * 2, -1.0), ArgumentError, "got -1"),
    (lambda: nn.functional.hinge_loss(mg.ones(2), mg.tensor([0, 1])), ArgumentError, "2 \\* target - 1"),
    (lambda: nn.functional.multiclass_hinge_loss(mg.ones(2, 3), mg.tensor([0, 3])), IndexRangeError, "got 3"),
    (lambda: nn.functional.multiclass_hinge_loss(mg.ones(2, 3), mg.tensor([0, 1]), kind="ova"), ArgumentError, "kind"),
    (lambda: nn.functional.focal_loss(mg.ones(2, 3), mg.tensor([0, 1]), gamma=-1), ArgumentError, "gamma"),
    (lambda: nn.functional.binary_focal_loss(mg.ones(2), mg.ones(2), alpha=2), ArgumentError, "alpha"),
    (lambda: nn.functional.linear_cross_entropy(mg.ones(2, 3), mg.ones(4, 2), mg.tensor([0, 1])), ShapeError, "linear"),
    (lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 10, [5, 5]), ArgumentError, "above the one before"),
    (lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 10, [5])(mg.ones(2, 8), mg.tensor([0, 10])), IndexRangeError, "got 10"),
]  # fmt: skip


@pytest.mark.parametrize("call, kind, words", ERRORS)
def test_errors(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


# ---- losses PyTorch lacks, against their formulas --------------------------------------------------------------------
def test_hinges():
    F, x = nn.functional, mg.tensor(X)
    margins = np.maximum(0, 1 - X * SIGNS)
    np.testing.assert_allclose(F.squared_hinge_loss(x, mg.tensor(SIGNS)).item(), (margins**2).mean())
    np.testing.assert_allclose(nn.SquaredHingeLoss("sum")(x, mg.tensor(SIGNS)).item(), (margins**2).sum())
    own = X[np.arange(B), LABELS]
    others = [[X[i, j] for j in range(K) if j != LABELS[i]] for i in range(B)]
    worst = [max(0, 1 + max(row) - own[i]) for i, row in enumerate(others)]
    every = [sum(max(0, 0.5 + v - own[i]) ** 2 for v in row) for i, row in enumerate(others)]
    np.testing.assert_allclose(nn.MultiClassHingeLoss(reduction="none")(x, mg.tensor(LABELS)).numpy(), worst)
    weston = F.multiclass_hinge_loss(x, mg.tensor(LABELS), "weston-watkins", 0.5, squared=True, reduction="none")
    np.testing.assert_allclose(weston.numpy(), every)
    theirs = torch.nn.functional.multi_margin_loss(torch.tensor(X), torch.tensor(LABELS)).item()
    ours = F.multiclass_hinge_loss(x, mg.tensor(LABELS), "weston-watkins").item() / K
    np.testing.assert_allclose(ours, theirs)


def test_hinge_as_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    ours = nn.functional.multiclass_hinge_loss(mg.tensor(X), mg.tensor(LABELS)).item()
    np.testing.assert_allclose(ours, metrics.hinge_loss(LABELS, X, labels=range(K)))
    ours = nn.functional.hinge_loss(mg.tensor(X[:, 0]), mg.tensor(ROW_SIGNS)).item()
    np.testing.assert_allclose(ours, metrics.hinge_loss(ROW_SIGNS, X[:, 0]))


def test_focal_losses():
    F, x, tx = nn.functional, mg.tensor(X), torch.tensor(X)
    plain = lambda **o: F.cross_entropy(x, mg.tensor(IGNORING), mg.tensor(W), **o).numpy()
    np.testing.assert_allclose(F.focal_loss(x, mg.tensor(IGNORING), 0.0, mg.tensor(W)).numpy(), plain(), rtol=1e-12)
    p = torch.softmax(tx, 1)[range(B), LABELS].numpy()
    ours = nn.FocalLoss(1.5, reduction="none")(x, mg.tensor(LABELS)).numpy()
    np.testing.assert_allclose(ours, -((1 - p) ** 1.5) * np.log(p), rtol=1e-10)
    s, t = 1 / (1 + np.exp(-X)), ZERO_ONE
    for alpha, gamma in ((0.25, 2.0), (None, 3.0), (0.6, 0.0)):
        share = 1.0 if alpha is None else np.where(t == 1, alpha, 1 - alpha)
        expected = np.where(t == 1, -((1 - s) ** gamma) * np.log(s), -(s**gamma) * np.log(1 - s)) * share
        ours = F.binary_focal_loss(x, mg.tensor(t), alpha, gamma, reduction="none")
        np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-10)
    gradgradcheck(lambda x: F.focal_loss(x, mg.tensor(LABELS)), x)
    gradgradcheck(lambda x: F.binary_focal_loss(x, mg.tensor(ZERO_ONE)), x)
    far = mg.tensor([200.0, -200.0], dtype="float32", requires_grad=True)
    F.binary_focal_loss(far, mg.tensor([1.0, 0.0])).backward()
    assert np.isfinite(far.grad.numpy()).all()


# ---- losses with parameters ------------------------------------------------------------------------------------------
def twins(make):
    ours, theirs = make(nn), make(torch.nn)
    ours, theirs = ours.double(), theirs.double()
    ours.load_state_dict(theirs.state_dict())
    assert repr(ours) == repr(theirs) and list(ours.state_dict()) == list(theirs.state_dict())
    return ours, theirs


@pytest.mark.parametrize("labels", [[0, 3, 4, 9, 19, 2], [1, 1, 2], [19, 5], 7])
def test_adaptive_softmax(labels):
    ours, theirs = twins(lambda nn: nn.AdaptiveLogSoftmaxWithLoss(16, 20, [4, 9], div_value=2.0, head_bias=True))
    x = rng.standard_normal((*np.shape(labels), 16))
    a, b = mg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    (y, loss), (ty, tloss) = ours(a, mg.tensor(labels)), theirs(b, torch.tensor(labels))
    loss.backward()
    tloss.backward()
    np.testing.assert_allclose(y.detach().numpy(), ty.detach().numpy(), rtol=1e-10)
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-9, atol=1e-12)
    for p, q in zip(ours.parameters(), theirs.parameters()):
        assert (p.grad is None) == (q.grad is None)
        if q.grad is not None:
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-9, atol=1e-12)
    x = rng.standard_normal((5, 16))
    logp, tlogp = ours.log_prob(mg.tensor(x)).detach().numpy(), theirs.log_prob(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(logp, tlogp, rtol=1e-10)
    np.testing.assert_array_equal(ours.predict(mg.tensor(x)).numpy(), theirs.predict(torch.tensor(x)).numpy())


def test_linear_cross_entropy_module():
    ours, theirs = twins(
        lambda nn: nn.LinearCrossEntropyLoss(K, 3, out_features=(2, 5), bias=True, label_smoothing=0.1)
    )
    y, ty = ours(mg.tensor(X[:2]), mg.tensor(ROWS)), theirs(torch.tensor(X[:2]), torch.tensor(ROWS))
    np.testing.assert_allclose(y.item(), ty.item(), rtol=1e-10)
