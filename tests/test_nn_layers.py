"""Layers and losses against NumPy formulas, their errors, and what they do at the edges. No PyTorch needed."""

import warnings

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim
from minigrad.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError

rng = np.random.default_rng(0)


def close(a, b):
    np.testing.assert_allclose(a.detach().numpy() if isinstance(a, mg.Tensor) else a, b, rtol=1e-9, atol=1e-12)


# ---- formulas --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("stride, padding, dilation, groups", [(1, 0, 1, 1), (2, 1, 1, 2), ((1, 2), (2, 0), (2, 1), 1)])
def test_conv2d(stride, padding, dilation, groups):
    x, w, b = rng.standard_normal((2, 4, 6, 7)), rng.standard_normal((6, 4 // groups, 3, 2)), rng.standard_normal(6)
    y = F.conv2d(mg.tensor(x), mg.tensor(w), mg.tensor(b), stride, padding, dilation, groups)
    (sh, sw), (ph, pw), (dh, dw) = (v if isinstance(v, tuple) else (v, v) for v in (stride, padding, dilation))
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    expected = np.zeros(y.shape)
    per = 6 // groups
    for o in range(6):
        channels = slice(o // per * (4 // groups), (o // per + 1) * (4 // groups))
        for i in range(y.shape[2]):
            for j in range(y.shape[3]):
                window = padded[:, channels, i * sh : i * sh + 2 * dh + 1 : dh, j * sw : j * sw + dw + 1 : dw]
                expected[:, o, i, j] = (window * w[o]).sum(axis=(1, 2, 3)) + b[o]
    close(y, expected)


def test_transposed_convolution_is_the_adjoint():
    """<conv(x), y> = <x, conv_transpose(y)>."""
    w = mg.tensor(rng.standard_normal((4, 2, 3, 3)))
    x, y = mg.tensor(rng.standard_normal((1, 2, 7, 7))), mg.tensor(rng.standard_normal((1, 4, 4, 4)))
    left = (F.conv2d(x, w, stride=2, padding=1) * y).sum().item()
    right = (x * F.conv_transpose2d(y, w, stride=2, padding=1)).sum().item()
    assert abs(left - right) < 1e-10


def test_pooling():
    x = rng.standard_normal((2, 3, 4, 6))
    blocks = x.reshape(2, 3, 2, 2, 3, 2)
    close(F.max_pool2d(mg.tensor(x), 2), blocks.max(axis=(3, 5)))
    close(F.avg_pool2d(mg.tensor(x), 2), blocks.mean(axis=(3, 5)))
    close(F.adaptive_avg_pool2d(mg.tensor(x), (2, 3)), blocks.mean(axis=(3, 5)))


def test_batch_norm_follows_the_batches():
    m = nn.BatchNorm2d(3, momentum=0.3).double()
    mean, var = np.zeros(3), np.ones(3)
    for _ in range(3):
        x = rng.standard_normal((4, 3, 2, 5)) * 3 + 1
        y = m(mg.tensor(x))
        mu, biased = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))
        close(y, (x - mu[:, None, None]) / np.sqrt(biased + 1e-5)[:, None, None])
        mean, var = 0.7 * mean + 0.3 * mu, 0.7 * var + 0.3 * biased * 40 / 39
    close(m.running_mean, mean)
    close(m.running_var, var)
    assert m.num_batches_tracked.item() == 3
    close(m.eval()(mg.tensor(x)), (x - mean[:, None, None]) / np.sqrt(var + 1e-5)[:, None, None])
    close(m.running_mean, mean)  # eval changes nothing
    m.reset_running_stats()
    assert m.num_batches_tracked.item() == 0 and not m.running_mean.numpy().any()


def test_batch_norm_average_momentum():
    m = nn.BatchNorm1d(2, momentum=None).double()
    batches = rng.standard_normal((5, 6, 2))
    for x in batches:
        m(mg.tensor(x))
    close(m.running_mean, batches.mean(axis=(0, 1)))
    close(m.running_var, batches.var(axis=1, ddof=1).mean(axis=0))


def test_running_statistics_take_no_part_in_gradients():
    m = nn.BatchNorm1d(2)
    x = mg.rand(4, 2, requires_grad=True)
    (m(x) + m(x)).sum().backward()
    assert not m.running_mean.requires_grad and x.grad is not None


def test_losses():
    x, t = rng.standard_normal((5, 3)), np.array([0, 2, 1, 1, 0])
    logp = x - np.log(np.exp(x).sum(axis=1, keepdims=True))
    close(F.cross_entropy(mg.tensor(x), mg.tensor(t)), -logp[np.arange(5), t].mean())
    soft = rng.dirichlet(np.ones(3), 5)
    close(F.cross_entropy(mg.tensor(x), mg.tensor(soft)), -(soft * logp).sum() / 5)
    smooth = 0.9 * np.eye(3)[t] + 0.1 / 3
    close(F.cross_entropy(mg.tensor(x), mg.tensor(t), label_smoothing=0.1), -(smooth * logp).sum() / 5)
    s, z = np.array([1.0, -1, 1, -1, 1])[:, None] * np.ones(3), (rng.random((5, 3)) < 0.5) * 1.0
    close(F.hinge_loss(mg.tensor(x), mg.tensor(s)), np.maximum(0, 1 - s * x).mean())
    close(nn.HingeLoss("sum")(mg.tensor(x), mg.tensor(s)), np.maximum(0, 1 - s * x).sum())
    p = 1 / (1 + np.exp(-x))
    expected = -(z * np.log(p) + (1 - z) * np.log(1 - p)).mean()
    close(F.binary_cross_entropy_with_logits(mg.tensor(x), mg.tensor(z)), expected)
    close(F.binary_cross_entropy(mg.tensor(p), mg.tensor(z)), expected)
    close(F.mse_loss(mg.tensor(x), mg.tensor(s)), ((x - s) ** 2).mean())


def test_losses_are_stable_and_stay_in_float32():
    x = mg.tensor(np.array([[1e4, -1e4, 0]], "float32"), requires_grad=True)
    loss = F.cross_entropy(x, mg.tensor([1]))
    loss.backward()
    assert loss.item() == 2e4 and loss.dtype == x.grad.dtype == np.float32
    np.testing.assert_array_equal(x.grad.numpy(), [[1, -1, 0]])
    for options in (
        {"label_smoothing": 0.1},
        {"weight": mg.ones(3)},
        {"ignore_index": 1, "reduction": "sum"},
        {"reduction": "none"},
    ):
        assert F.cross_entropy(x, mg.tensor([1]), **options).dtype == np.float32, options
    y = mg.tensor(np.array([1e4, -1e4], "float32"), requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(y, mg.tensor([0, 1]))
    loss.backward()
    assert loss.item() == 1e4 and loss.dtype == np.float32
    np.testing.assert_array_equal(y.grad.numpy(), [0.5, -0.5])


def test_ignored_labels_cost_nothing():
    x = mg.tensor(rng.standard_normal((3, 4)), requires_grad=True)
    F.cross_entropy(x, mg.tensor([1, -100, 2])).backward()
    assert not x.grad.numpy()[1].any() and x.grad.numpy()[0].any()


@pytest.mark.parametrize("p", [0.2, 0.5, 0.9])
def test_dropout(p):
    mg.manual_seed(0)
    x = mg.ones(400, 100, requires_grad=True)
    m = nn.Dropout(p)
    y = m(x)
    kept = y.detach().numpy() != 0
    assert abs(kept.mean() - (1 - p)) < 0.02
    np.testing.assert_allclose(y.detach().numpy()[kept], 1 / (1 - p), rtol=1e-6)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())  # the gradient passes the same mask
    assert not np.array_equal(m(x).detach().numpy(), y.detach().numpy())  # a new mask every time
    assert m.eval()(x) is x
    mg.manual_seed(0)
    np.testing.assert_array_equal(nn.Dropout(p)(x).detach().numpy(), y.detach().numpy())


def test_dropout_of_channels_and_alpha():
    mg.manual_seed(1)
    y = nn.Dropout2d(0.5)(mg.ones(50, 20, 3, 2)).numpy()
    assert (y == y[:, :, :1, :1]).all() and abs((y == 0).mean() - 0.5) < 0.05
    assert nn.Dropout1d(0.5)(mg.ones(4, 3)).shape == (4, 3)
    z = nn.AlphaDropout(0.3)(mg.randn(200, 500)).numpy()
    assert abs(z.mean()) < 0.02 and abs(z.std() - 1) < 0.02


def test_embedding_padding_and_gradient():
    m = nn.Embedding(4, 2, padding_idx=1)
    assert not m.weight.numpy()[1].any()
    m(mg.tensor([[0, 1], [0, 3]])).sum().backward()
    np.testing.assert_array_equal(m.weight.grad.numpy(), [[2, 2], [0, 0], [0, 0], [1, 1]])
    frozen = nn.Embedding.from_pretrained(mg.ones(3, 2))
    assert not frozen.weight.requires_grad and frozen(mg.tensor(1)).shape == (2,)


def test_initial_values():
    mg.manual_seed(0)
    w = mg.zeros(300, 200)
    assert nn.init.uniform_(w, -2, 3) is w
    assert w.numpy().min() >= -2 and w.numpy().max() < 3 and abs(w.numpy().mean() - 0.5) < 0.02
    nn.init.normal_(w, 1, 0.5)
    assert abs(w.numpy().mean() - 1) < 0.01 and abs(w.numpy().std() - 0.5) < 0.01
    nn.init.trunc_normal_(w, 0, 1, -0.5, 0.7)
    assert w.numpy().min() >= -0.5 and w.numpy().max() <= 0.7
    for fill, std in (
        (nn.init.xavier_uniform_, np.sqrt(2 / 500)), (nn.init.xavier_normal_, np.sqrt(2 / 500)),
        (lambda t: nn.init.kaiming_uniform_(t, nonlinearity="relu"), np.sqrt(2 / 200)),
        (lambda t: nn.init.kaiming_normal_(t, mode="fan_out", nonlinearity="relu"), np.sqrt(2 / 300)),
    ):  # fmt: skip
        assert abs(fill(w).numpy().std() - std) < 0.02 * std
    q = nn.init.orthogonal_(mg.zeros(5, 8, dtype="float64")).numpy()
    np.testing.assert_allclose(q @ q.T, np.eye(5), atol=1e-12)
    q = nn.init.orthogonal_(mg.zeros(8, 5, dtype="float64"), gain=2).numpy()
    np.testing.assert_allclose(q.T @ q, 4 * np.eye(5), atol=1e-12)
    np.testing.assert_array_equal(nn.init.eye_(mg.zeros(2, 3)).numpy(), np.eye(2, 3))
    x = rng.standard_normal((1, 3, 4, 4))
    close(F.conv2d(mg.tensor(x), nn.init.dirac_(mg.zeros(3, 3, 3, 3, dtype="float64")), padding=1), x)
    s = nn.init.sparse_(mg.zeros(10, 4), 0.35)
    assert ((s.numpy() == 0).sum(axis=0) == 4).all()
    generator = mg.Generator(3)
    a = nn.init.normal_(mg.zeros(4), generator=generator).numpy()
    np.testing.assert_array_equal(a, nn.init.normal_(mg.zeros(4), generator=mg.Generator(3)).numpy())
    with pytest.raises(ShapeError, match="at least 2 axes"):
        nn.init.xavier_normal_(mg.zeros(3))
    with pytest.raises(ArgumentError, match="nonlinearity"):
        nn.init.calculate_gain("relux")
    with pytest.raises(ArgumentError, match="mode"):
        nn.init.kaiming_normal_(mg.zeros(3, 3), mode="fan")
    with pytest.raises(ArgumentError):
        nn.init.trunc_normal_(mg.zeros(3), a=2, b=1)


def test_the_same_seed_gives_the_same_model():
    models = []
    for _ in range(2):
        mg.manual_seed(5)
        models.append(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(3, 4)).state_dict())
    for a, b in zip(models[0].values(), models[1].values()):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


# ---- bad input -------------------------------------------------------------------------------------------------------
IMAGES = mg.ones(2, 3, 8, 8)
BAD = [
    (lambda: nn.Linear(4, 2)(mg.ones(3, 5)), ShapeError, "in_features"),
    (lambda: nn.Linear(-1, 2), ArgumentError, "in_features"),
    (lambda: nn.Bilinear(0, 2, 2), ArgumentError, "in1_features"),
    (lambda: nn.Conv2d(4, 2, 3)(IMAGES), ShapeError, "in_channels=4"),
    (lambda: nn.Conv2d(3, 2, 3)(mg.ones(3, 8)), ShapeError, r"\(B, C, H, W\)"),
    (lambda: nn.Conv2d(3, 2, 9)(IMAGES), ShapeError, "kernel must fit"),
    (lambda: nn.Conv2d(3, 4, 3, groups=2), ArgumentError, "groups must divide in_channels"),
    (lambda: nn.Conv2d(4, 3, 3, groups=2), ArgumentError, "groups must divide out_channels"),
    (lambda: nn.Conv2d(3, 4, 3, stride=2, padding="same"), ArgumentError, "needs stride 1"),
    (lambda: nn.Conv2d(3, 4, 3, padding="sane"), ArgumentError, "'same', 'valid'"),
    (lambda: nn.Conv2d(3, 4, 3, padding=-1), ArgumentError, "at least 0"),
    (lambda: nn.Conv2d(3, 4, (3, 3, 3)), ArgumentError, "tuple of 2"),
    (lambda: nn.Conv2d(3, 4, 0), ArgumentError, "at least 1"),
    (lambda: nn.Conv2d(3, 4, 2.5), ArgumentError, "kernel_size must be an int"),
    (lambda: nn.Conv2d(0, 4, 3), ArgumentError, "in_channels"),
    (lambda: nn.Conv2d(3, 4, 3, padding_mode="mirror"), ArgumentError, "padding_mode"),
    (lambda: nn.ConvTranspose2d(3, 4, 3, padding_mode="reflect"), ArgumentError, "padding_mode"),
    (lambda: nn.ConvTranspose2d(3, 4, 3, output_padding=1)(IMAGES), ArgumentError, "output_padding"),
    (lambda: nn.ConvTranspose2d(4, 4, 3)(IMAGES), ShapeError, "channels must agree"),
    (lambda: nn.ConvTranspose2d(3, 4, 3, stride=2)(IMAGES, (30, 30)), ShapeError, "output_size"),
    (lambda: nn.MaxPool2d(3, padding=2)(IMAGES), ArgumentError, "at most half"),
    (lambda: nn.MaxPool2d(9)(IMAGES), ShapeError, "window must fit"),
    (lambda: nn.MaxPool2d(2)(mg.ones(3)), ShapeError, r"\(C, H, W\)"),
    (lambda: nn.AvgPool2d(2, divisor_override=0)(IMAGES), (ArgumentError), "divisor_override"),
    (lambda: nn.BatchNorm2d(3)(mg.ones(4, 3)), ShapeError, r"BatchNorm2d: x must be \(B, C, H, W\)"),
    (lambda: nn.BatchNorm2d(4)(IMAGES), ShapeError, "num_features=4"),
    (lambda: nn.BatchNorm1d(3)(mg.ones(1, 3)), ShapeError, "more than one value per channel"),
    (lambda: nn.BatchNorm1d(0), ArgumentError, "num_features"),
    (lambda: nn.InstanceNorm1d(3)(mg.ones(2, 3, 1)), ShapeError, "more than one spatial"),
    (lambda: nn.LayerNorm(4)(mg.ones(2, 3)), ShapeError, "normalized_shape"),
    (lambda: nn.RMSNorm(4)(mg.ones(2, 3)), ShapeError, "normalized_shape"),
    (lambda: nn.GroupNorm(2, 3), ArgumentError, "must divide"),
    (lambda: nn.Dropout(1.5), ArgumentError, "probability"),
    (lambda: F.dropout(IMAGES, -0.1), ArgumentError, "probability"),
    (lambda: nn.Dropout2d()(mg.ones(3, 3)), ShapeError, "dropout2d"),
    (lambda: nn.Embedding(3, 2)(mg.tensor([0, 3])), IndexRangeError, "from 0 to num_embeddings - 1 = 2: got 3"),
    (lambda: nn.Embedding(3, 2)(mg.tensor([-1])), IndexRangeError, "got -1"),
    (lambda: nn.Embedding(3, 2)(mg.tensor([0.0])), DTypeError, "must be integers"),
    (lambda: nn.Embedding(3, 2, padding_idx=3), IndexRangeError, "padding_idx"),
    (lambda: nn.GELU("fast")(IMAGES), ArgumentError, "approximate"),
    (lambda: nn.GLU()(mg.ones(2, 3)), ShapeError, "even length"),
    (lambda: nn.PReLU(2)(IMAGES), ShapeError, "one per channel"),
    (lambda: F.pad(IMAGES, (1,)), ArgumentError, "pair per axis"),
    (lambda: F.pad(IMAGES, (8, 0), mode="reflect"), ShapeError, "at most 7"),
    (lambda: F.pad(IMAGES, (1, 1), mode="edge"), ArgumentError, "mode must be"),
    (lambda: F.cross_entropy(mg.ones(2, 3), mg.tensor([0, 3])), IndexRangeError, "from 0 to K - 1 = 2.*got 3"),
    (lambda: F.cross_entropy(mg.ones(2, 3), mg.tensor([0, -1])), IndexRangeError, "got -1"),
    (lambda: F.cross_entropy(mg.ones(2, 3), mg.tensor([-100, 3])), IndexRangeError, "got 3"),
    (lambda: F.cross_entropy(mg.ones(2, 3), mg.tensor([0])), ShapeError, r"class indices must be \(2,\)"),
    (lambda: F.cross_entropy(mg.ones(2, 3), mg.tensor([[0], [1]])), ShapeError, r"target\[..., 0\]"),
    (lambda: F.cross_entropy(mg.ones(2, 3), mg.tensor([0.0, 1.0])), DTypeError, "must be integers"),
    (lambda: F.cross_entropy(mg.ones(2, 3), mg.ones(2, 3).long()), ShapeError, "Probabilities must be floats"),
    (lambda: F.cross_entropy(mg.ones(2, 3), mg.tensor([0, 1]), weight=mg.ones(2)), ShapeError, "one factor per class"),
    (lambda: F.cross_entropy(mg.ones(2, 3), mg.tensor([0, 1]), label_smoothing=2), ArgumentError, "label_smoothing"),
    (lambda: F.cross_entropy(mg.ones(2, 3), mg.tensor([0, 1]), reduction="avg"), ArgumentError, "reduction"),
    (lambda: nn.CrossEntropyLoss(reduction="avg"), ArgumentError, "reduction"),
    (lambda: F.mse_loss(mg.ones(3, 1), mg.ones(3)), ShapeError, r"one shape.*target.reshape\(\(3, 1\)\)"),
    (lambda: F.binary_cross_entropy(mg.tensor([1.5]), mg.tensor([1.0])), ArgumentError, "probabilities"),
    (lambda: F.multi_margin_loss(mg.ones(2, 3), mg.tensor([0, 3])), IndexRangeError, "labels"),
    (lambda: F.huber_loss(mg.ones(2), mg.ones(2), delta=0), ArgumentError, "delta"),
]  # fmt: skip


@pytest.mark.parametrize("call, error, words", BAD, ids=[f"{i}-{words[:20]}" for i, (_, _, words) in enumerate(BAD)])
def test_bad_input(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_softmax_without_dim_warns():
    with pytest.warns(UserWarning, match="which dim"):
        y = nn.Softmax()(mg.zeros(2, 4))
    close(y.double(), 0.25 * np.ones((2, 4)))


@pytest.mark.parametrize(
    "make, shape, out",
    [
        (lambda: nn.Linear(4, 2), (0, 4), (0, 2)),
        (lambda: nn.Conv2d(3, 2, 3), (0, 3, 8, 8), (0, 2, 6, 6)),
        (lambda: nn.MaxPool2d(2), (0, 3, 8, 8), (0, 3, 4, 4)),
        (lambda: nn.AvgPool2d(2), (0, 3, 8, 8), (0, 3, 4, 4)),
        (lambda: nn.BatchNorm2d(3), (0, 3, 8, 8), (0, 3, 8, 8)),
        (lambda: nn.LayerNorm(4), (0, 4), (0, 4)),
        (lambda: nn.GroupNorm(2, 4), (0, 4, 3), (0, 4, 3)),
        (lambda: nn.Dropout(), (0, 4), (0, 4)),
        (lambda: nn.ReLU(), (0, 4), (0, 4)),
        (lambda: nn.Softmax(1), (0, 4), (0, 4)),
        (lambda: nn.Flatten(), (0, 4, 2), (0, 8)),
    ],
)
def test_empty_batch(make, shape, out):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        module = make()
        x = mg.zeros(shape, requires_grad=True)
        y = module(x)
        assert y.shape == out
        y.sum().backward()
        assert x.grad.shape == shape


NETWORKS = {
    "images": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, padding="same"), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.2),
            nn.Conv2d(4, 4, 2, padding_mode="circular", padding=1), nn.GroupNorm(2, 4), nn.GELU(),
            nn.AvgPool2d(2, padding=1), nn.AdaptiveAvgPool2d((1, 2)), nn.Flatten(), nn.Linear(8, 3),
        ),
        (5, 2, 6, 6),
    ),
    "rows": (
        lambda: nn.Sequential(
            nn.Linear(6, 8), nn.LayerNorm(8), nn.SiLU(), nn.Unflatten(1, (4, 2)), nn.Conv1d(4, 4, 1), nn.Tanh(),
            nn.BatchNorm1d(4), nn.Flatten(), nn.PReLU(), nn.Dropout1d(0.0), nn.Linear(8, 3),
        ),
        (5, 6),
    ),
}  # fmt: skip


@pytest.mark.parametrize("loss", ["cross_entropy", "weighted", "soft", "bce", "multi_margin"])
@pytest.mark.parametrize("optimizer", [optim.SGD, optim.Adam, optim.RMSprop])
@pytest.mark.parametrize("name", NETWORKS)
def test_training_on_each_backend(name, loss, optimizer, backend):
    """No layer, loss or optimizer reads device data on the host, and all backends train alike."""
    make, shape = NETWORKS[name]
    data = np.random.default_rng(3)
    x, t, p = data.standard_normal(shape), np.array([0, 2, 1, 1, 0]), data.random((5, 3))

    def train():
        mg.manual_seed(0)
        model = make().double()
        step = optimizer(model.parameters(), lr=0.01, weight_decay=0.1)
        history = []
        for _ in range(3):
            y = model(mg.tensor(x))
            losses = {
                "cross_entropy": lambda y: F.cross_entropy(y, mg.tensor(t)),
                "weighted": lambda y: F.cross_entropy(
                    y, mg.tensor([0, -100, 1, 1, 2]), weight=mg.tensor(p[0]), label_smoothing=0.1
                ),
                "soft": lambda y: F.cross_entropy(y, mg.tensor(p / p.sum(axis=1, keepdims=True))),
                "bce": lambda y: F.binary_cross_entropy(y.sigmoid(), mg.tensor(p)),
                "multi_margin": lambda y: F.multi_margin_loss(y, mg.tensor(t)),
            }
            value = losses[loss](y)
            step.zero_grad()
            value.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            step.step()
            history.append(value.item())
        with mg.no_grad():
            return [*history, model.eval()(mg.tensor(x)).sum().item()]

    ours = train()
    with mg.use_backend("numpy"):
        np.testing.assert_allclose(ours, train(), rtol=1e-9)


def test_embedding_on_each_backend(backend):
    m = nn.Embedding(5, 3, padding_idx=0, max_norm=1.0)
    m(mg.tensor([[0, 1], [4, 1]])).sum().backward()
    assert m.weight.grad.shape == (5, 3)
    state = m.state_dict()
    m.load_state_dict({k: v.numpy() for k, v in state.items()})
    with pytest.raises(IndexRangeError):
        m(mg.tensor([5]))


def test_other_layouts_of_memory():
    """Transposed, strided and read-only inputs give the numbers of contiguous ones."""
    x = rng.standard_normal((8, 8, 3, 2))
    views = [
        x.transpose(3, 2, 0, 1),
        np.broadcast_to(x[:1, :, :, :1].transpose(3, 2, 0, 1), (2, 3, 1, 8)),
        x.T[:, :, ::2],
    ]
    for module in (
        nn.Conv2d(3, 2, (1, 3)).double(),
        nn.BatchNorm2d(3).double(),
        nn.AvgPool2d((1, 2)),
        nn.MaxPool2d((1, 3)),
    ):
        for view in views:
            plain = module(mg.tensor(np.ascontiguousarray(view)))
            close(module(mg.from_numpy(view)), plain.detach().numpy())
