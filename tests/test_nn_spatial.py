"""Resampling, rearrangement, unpooling, bags, padding, random activations and lazy layers against plain formulas."""

import copy
import pickle

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim
from minigrad.errors import ArgumentError, IndexRangeError, MinigradError, ShapeError
from minigrad.nn import functional as F
from minigrad.testing import gradcheck, gradgradcheck

rng = np.random.default_rng(0)


def close(y, expected, **options):
    np.testing.assert_allclose(y.detach().numpy(), expected, **{"rtol": 1e-12, "atol": 1e-12, **options})


def normal(*shape, grad=True):
    return mg.tensor(rng.standard_normal(shape), requires_grad=grad)


# ---- resampling ------------------------------------------------------------------------------------------------------


def test_linear_interpolation_is_numpys():
    x = rng.standard_normal((2, 3, 5))
    places = np.clip((np.arange(8) + 0.5) * 5 / 8 - 0.5, 0, 4)
    expected = np.apply_along_axis(lambda row: np.interp(places, np.arange(5), row), -1, x)
    close(F.interpolate(mg.tensor(x), 8, mode="linear"), expected)
    expected = np.apply_along_axis(lambda row: np.interp(np.linspace(0, 4, 8), np.arange(5), row), -1, x)
    close(F.interpolate(mg.tensor(x), 8, mode="linear", align_corners=True), expected)


def test_smooth_modes_keep_lines_and_constants():
    """Keys' cubic (a = -1/2) reproduces a straight line away from the border; every mode a constant."""
    line = mg.arange(12.0).reshape(1, 1, 1, 12) + mg.zeros(1, 1, 4, 12)
    y = F.interpolate(line, (4, 24), mode="bicubic", antialias=True)[0, 0, 0]
    close(y[4:-4], np.arange(24)[4:-4] / 2 - 0.25, rtol=1e-5)
    for mode in ("nearest", "nearest-exact", "bilinear", "bicubic", "area"):
        close(F.interpolate(mg.full((1, 2, 4, 5), 3.0), (7, 3), mode=mode), np.full((1, 2, 7, 3), 3.0), rtol=1e-6)
    for mode in ("bilinear", "bicubic"):
        y = F.interpolate(mg.full((1, 1, 9, 8), 3.0), (4, 3), mode=mode, antialias=True)
        close(y, np.full((1, 1, 4, 3), 3.0), rtol=1e-6)


def test_an_infinite_pixel_stays_where_it_is():
    x = np.zeros((1, 1, 8))
    x[..., 2] = np.inf
    y = F.interpolate(mg.tensor(x), scale_factor=2, mode="linear").numpy()
    assert np.isfinite(np.delete(y[0, 0], [3, 4, 5, 6])).all()


def test_the_identity_grid_gives_the_image():
    x = normal(2, 3, 4, 5, grad=False)
    theta = mg.tensor(np.tile(np.eye(2, 3), (2, 1, 1)))
    for align in (True, False):
        grid = F.affine_grid(theta, x.shape, align_corners=align)
        for mode in ("nearest", "bilinear", "bicubic"):
            for padding in ("zeros", "border", "reflection"):
                close(F.grid_sample(x, grid, mode, padding, align_corners=align), x.numpy())


def test_places_without_an_image():
    x, far = mg.ones(1, 1, 3, 3), mg.tensor([[[[5.0, 5.0], [np.inf, -np.inf], [np.nan, np.nan]]]])
    assert F.grid_sample(x, far, align_corners=False).flatten().tolist() == [0.0, 0.0, 0.25]  # NaN counts as -1
    assert F.grid_sample(x, far, padding_mode="border", align_corners=False).flatten().tolist() == [1.0, 1.0, 1.0]


GRADIENTS = [
    (lambda x: F.interpolate(x, (5, 3), mode="bicubic"), [(1, 2, 4, 4)]),
    (lambda x: F.interpolate(x, (2, 3), mode="bilinear", antialias=True), [(1, 1, 5, 4)]),
    (lambda x, g: F.grid_sample(x, g / 3, align_corners=False), [(1, 2, 3, 4), (1, 2, 3, 2)]),
    (lambda x, g: F.grid_sample(x, g / 3, "bicubic", "reflection", align_corners=True), [(1, 1, 4, 3), (1, 2, 2, 2)]),
    (lambda x, g: F.grid_sample(x, g / 3, align_corners=True), [(1, 1, 2, 3, 2), (1, 1, 2, 2, 3)]),
    (lambda t: F.affine_grid(t, (1, 1, 2, 3), align_corners=False), [(1, 2, 3)]),
    (lambda x: F.fold(F.unfold(x, 2, stride=2, padding=1) ** 2, (3, 4), 2, stride=2, padding=1), [(1, 2, 3, 4)]),
    (lambda x: F.lp_pool2d(x, 2, 2), [(1, 2, 4, 4)]),
    (lambda x: F.adaptive_max_pool2d(x, (2, 3)), [(1, 2, 5, 4)]),
    (lambda x: F.max_unpool1d(x, mg.tensor([[[1, 2, 5]]]), 2), [(1, 1, 3)]),
    (lambda w, s: F.embedding_bag(mg.tensor([[0, 1], [2, 0]]), w, mode="sum", per_sample_weights=s), [(3, 2), (2, 2)]),
    (lambda w: F.embedding_bag(mg.tensor([0, 2, 2, 1]), w, mg.tensor([0, 0, 3]), mode="max"), [(3, 2)]),
    (lambda x: F.pdist(x), [(4, 3)]),
    (lambda x, y: F.cdist(x, y, p=3.0), [(2, 3), (4, 3)]),
    (lambda x: F.swiglu(x, 0), [(4, 3)]),
]


@pytest.mark.parametrize("f, shapes", GRADIENTS)
def test_gradients(f, shapes):
    inputs = [normal(*s) for s in shapes]
    assert gradcheck(f, inputs) and gradgradcheck(f, inputs)


# ---- rearrangement ---------------------------------------------------------------------------------------------------


def test_pixels_and_channels():
    x = rng.standard_normal((2, 12, 3, 2))
    y = F.pixel_shuffle(mg.tensor(x), 2)
    assert y.shape == (2, 3, 6, 4)
    for i, j in np.ndindex(2, 2):
        close(y[:, :, i::2, j::2], x[:, 2 * i + j :: 4])
    close(F.pixel_unshuffle(y, 2), x)
    close(F.channel_shuffle(mg.tensor(x), 3), x[:, [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]])


def test_unfold_is_convolution_as_a_product():
    x, w = normal(2, 3, 5, 6, grad=False), normal(4, 3, 2, 3, grad=False)
    columns = F.unfold(x, (2, 3), dilation=(2, 1), padding=1, stride=(1, 2))
    y = (w.reshape(4, -1) @ columns).reshape(2, 4, 5, 3)
    close(y, F.conv2d(x, w, stride=(1, 2), padding=1, dilation=(2, 1)).numpy())


def test_fold_counts_the_windows():
    ones = mg.ones(1, 1, 4, 4)
    counts = F.fold(F.unfold(ones, 2), (4, 4), 2)[0, 0]
    assert counts.tolist() == np.outer([1, 2, 2, 1], [1, 2, 2, 1]).tolist()


# ---- pooling ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3])
def test_unpooling_returns_the_maxima_to_their_places(n):
    x = rng.standard_normal((2, 3, *(4, 6, 2)[:n]))
    y, at = getattr(F, f"max_pool{n}d")(mg.tensor(x), 2, return_indices=True)
    back = getattr(F, f"max_unpool{n}d")(y, at, 2).numpy()
    assert back.shape == x.shape and (back != 0).sum() == y.size
    np.testing.assert_array_equal(back[back != 0], x[back != 0])


def test_adaptive_maxima():
    x = rng.standard_normal((2, 7, 5))
    y, at = F.adaptive_max_pool2d(mg.tensor(x), (3, 2), return_indices=True)
    for i, (a, b) in enumerate([(0, 3), (2, 5), (4, 7)]):
        for j, (c, d) in enumerate([(0, 3), (2, 5)]):
            close(y[:, i, j], x[:, a:b, c:d].max(axis=(1, 2)))
    np.testing.assert_array_equal(
        np.take_along_axis(x.reshape(2, -1), at.numpy().reshape(2, -1), 1), y.numpy().reshape(2, -1)
    )


def test_fractional_windows_cover_the_ends():
    mg.manual_seed(0)
    x = mg.tensor(np.arange(200.0).reshape(1, 2, 10, 10))
    y, at = F.fractional_max_pool2d(x, 2, output_ratio=0.7, return_indices=True)
    assert y.shape == (1, 2, 7, 7)
    assert y[0, 1, -1, -1].item() == 199  # the last window ends at the end
    assert (np.diff(at.numpy()[0, 0], axis=0) > 0).all()


# ---- bags ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("padding_idx", [None, 2])
def test_bags(mode, padding_idx):
    table, tokens, starts = rng.standard_normal((5, 3)), np.array([0, 2, 4, 2, 1, 3, 3]), [0, 3, 3, 5]
    y = F.embedding_bag(mg.tensor(tokens), mg.tensor(table), mg.tensor(starts), mode=mode, padding_idx=padding_idx)
    for row, a, b in zip(y.numpy(), starts, [*starts[1:], 7]):
        used = [t for t in tokens[a:b] if t != padding_idx]
        expected = getattr(np, mode)(table[used], axis=0) if used else np.zeros(3)
        np.testing.assert_allclose(row, expected)


def test_gradient_by_frequency():
    w, tokens = mg.ones(4, 2, requires_grad=True), mg.tensor([1, 1, 1, 3])
    F.embedding(tokens, w, scale_grad_by_freq=True).sum().backward()
    close(w.grad[:, 0], [0, 1, 0, 1], rtol=1e-6)


# ---- random layers ---------------------------------------------------------------------------------------------------


def test_rrelu():
    mg.manual_seed(0)
    x = mg.full((2000,), -1.0)
    slopes = -F.rrelu(x, 0.2, 0.6, training=True).numpy()
    assert slopes.min() >= 0.2 and slopes.max() < 0.6 and abs(slopes.mean() - 0.4) < 0.01
    close(nn.RReLU(0.2, 0.6).eval()(x), np.full(2000, -0.4), rtol=1e-6)


def test_gumbel_softmax_samples_the_distribution():
    mg.manual_seed(0)
    logits = mg.tensor(np.log([0.5, 0.3, 0.2]), requires_grad=True)
    rows = F.gumbel_softmax(logits + mg.zeros(4000, 3), tau=0.7, hard=True)
    np.testing.assert_allclose(rows.detach().numpy().mean(axis=0), [0.5, 0.3, 0.2], atol=0.03)
    np.testing.assert_allclose(np.sort(rows.detach().numpy())[0], [0, 0, 1], atol=1e-12)
    rows[:, 0].sum().backward()
    assert abs(logits.grad.numpy()).max() > 0  # straight through


def test_drop_path_drops_whole_samples():
    mg.manual_seed(0)
    x = mg.ones(1000, 3, 2)
    y = nn.DropPath(0.3)(x).numpy()
    assert (y == y[:, :1, :1]).all() and abs((y[:, 0, 0] == 0).mean() - 0.3) < 0.05
    np.testing.assert_allclose(y.max(), 1 / 0.7, rtol=1e-6)
    np.testing.assert_allclose(nn.DropPath(0.3, scale_by_keep=False)(x).numpy().max(), 1, rtol=1e-6)
    assert nn.DropPath(0.3).eval()(x) is x


def test_feature_alpha_dropout_keeps_mean_and_variance():
    mg.manual_seed(0)
    x = mg.randn(500, 20, 10)
    y = nn.FeatureAlphaDropout(0.2)(x).numpy()
    assert abs(y.mean()) < 0.05 and abs(y.var() - 1) < 0.05
    dropped = (y == y[:, :, :1]).all(axis=2)
    assert abs(dropped.mean() - 0.2) < 0.02


@pytest.mark.parametrize("name", ["relu", "elu", "celu", "selu", "leaky_relu", "hardtanh", "rrelu"])
def test_in_place(name):
    x = normal(5, grad=False)
    expected, y = getattr(F, name)(x).numpy().copy(), getattr(F, f"{name}_")(x)
    assert y is x
    close(x, expected)


# ---- padding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, mode", [("Reflection", "reflect"), ("Replication", "edge"), ("Circular", "wrap")])
def test_padding_is_numpys(name, mode):
    x = rng.standard_normal((2, 3, 4, 5, 4))
    y = getattr(nn, f"{name}Pad3d")((1, 2, 3, 0, 2, 3))(mg.tensor(x))
    close(y, np.pad(x, ((0, 0), (0, 0), (2, 3), (3, 0), (1, 2)), mode))


def test_convolution_with_much_output_padding():
    """More output_padding than stride, which dilation allows: the gradient still has the shape of x."""
    f = lambda x, w: F.conv_transpose1d(x, w, stride=2, output_padding=3, dilation=4)
    assert gradcheck(f, [normal(1, 2, 3), normal(2, 1, 2)])


# ---- bad input -------------------------------------------------------------------------------------------------------
x4, x3 = mg.ones(1, 4, 4, 4), mg.ones(1, 4, 4)
BAD = [
    (ArgumentError, "give size or scale_factor", lambda: F.interpolate(x4)),
    (ArgumentError, "mode must be", lambda: F.interpolate(x4, 3, mode="cubic")),
    (ShapeError, "needs 1 spatial", lambda: F.interpolate(x4, 3, mode="linear")),
    (ArgumentError, "align_corners", lambda: F.interpolate(x4, 3, align_corners=True)),
    (ShapeError, "at least 1", lambda: F.interpolate(x4, scale_factor=0.1)),
    (ArgumentError, "antialias", lambda: F.interpolate(x4, 3, antialias=True)),
    (ShapeError, "needs a grid", lambda: F.grid_sample(x4, mg.ones(1, 2, 2, 3))),
    (ArgumentError, "padding_mode", lambda: F.grid_sample(x4, mg.ones(1, 2, 2, 2), padding_mode="edge")),
    (ShapeError, "theta", lambda: F.affine_grid(mg.ones(1, 2, 2), (1, 1, 2, 2))),
    (ShapeError, "divide the channels", lambda: F.pixel_shuffle(x4, 3)),
    (ShapeError, "divide height", lambda: F.pixel_unshuffle(x4, 3)),
    (ShapeError, "dividing C", lambda: F.channel_shuffle(x4, 3)),
    (ShapeError, "window must fit", lambda: F.unfold(x4, 5)),
    (ArgumentError, "padding must be at least 0", lambda: F.unfold(x4, 2, padding=-1)),
    (ShapeError, "windows in", lambda: F.fold(x3, (4, 4), 2)),
    (ShapeError, "indices its shape", lambda: F.max_unpool1d(x3, mg.zeros(1, 4, 3, dtype="int64"), 2)),
    (IndexRangeError, "indices must be", lambda: F.max_unpool1d(x3, mg.full((1, 4, 4), 8, dtype="int64"), 2)),
    (ShapeError, "output_size must be", lambda: F.max_unpool1d(x3, mg.zeros_like(x3).astype("int64"), 2, 2, 0, (4,))),
    (ShapeError, "do not fit", lambda: F.fractional_max_pool2d(x4, 3, output_size=4)),
    (ArgumentError, "offsets must be None", lambda: F.embedding_bag(mg.tensor([[0]]), mg.ones(2, 2), mg.tensor([0]))),
    (IndexRangeError, "must rise", lambda: F.embedding_bag(mg.tensor([0]), mg.ones(2, 2), mg.tensor([0, 2]))),
    (ShapeError, "mode 'sum'", lambda: F.embedding_bag(mg.tensor([[0]]), x3[0], per_sample_weights=mg.ones(1, 1))),
    (ArgumentError, "lower must be", lambda: F.rrelu(x3, 0.5, 0.1)),
    (ArgumentError, "tau", lambda: F.gumbel_softmax(x3, 0)),
    (ArgumentError, "probability", lambda: nn.DropPath(1.5)),
    (ArgumentError, "6 ints", lambda: nn.ZeroPad3d((1, 2))),
    (ShapeError, "crops more", lambda: F.pad(x3, (-3, -2))),
    (ArgumentError, "no meaning", lambda: F.pad(x3, (1, 1), "reflect", 1.0)),
    (ShapeError, "can add at most 3", lambda: nn.ReflectionPad1d(4)(x3)),
    (ShapeError, "must agree", lambda: F.bilinear(mg.ones(2, 3), mg.ones(2, 4), mg.ones(5, 4, 3))),
    (ShapeError, "pdist", lambda: F.pdist(x3)),
]  # fmt: skip


@pytest.mark.parametrize("error, words, call", BAD, ids=[words for _, words, _ in BAD])
def test_bad_input(error, words, call):
    with pytest.raises(error, match=words):
        call()


def test_empty_batches():
    x = mg.ones(0, 4, 4, 4, requires_grad=True)
    for f in (
        lambda x: F.interpolate(x, 3, mode="bilinear"),
        lambda x: F.pixel_shuffle(x, 2),
        lambda x: F.unfold(x, 2),
        lambda x: F.adaptive_max_pool2d(x, 3),
        lambda x: F.lp_pool2d(x, 2, 2),
        lambda x: F.grid_sample(x, mg.ones(0, 2, 2, 2), align_corners=False),
        lambda x: F.pad(x, (1, 2), "reflect"),
    ):
        y = f(x)
        assert y.shape[0] == 0
        y.sum().backward()
        assert x.grad.shape == x.shape


# ---- lazy layers -----------------------------------------------------------------------------------------------------


def lazy_net():
    return nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(2))


def eager_net():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(36, 2))


def test_lazy_layers_become_the_layers_they_stand_for():
    mg.manual_seed(3)
    ours = lazy_net()
    x = mg.ones(2, 3, 5, 5)
    y = ours(x)
    mg.manual_seed(3)
    twin = eager_net()
    assert repr(ours) == repr(twin) and [type(m) for m in ours] == [type(m) for m in twin]
    for a, b in zip(ours.state_dict().values(), twin.state_dict().values(), strict=True):
        assert a.shape == b.shape
    y.sum().backward()
    assert all(p.grad is not None for p in ours.parameters())
    optim.SGD(ours.parameters(), lr=0.1)
    ours.load_state_dict(twin.state_dict())
    close(ours.eval()(x), twin.eval()(x).detach().numpy())


def test_a_lazy_layer_starts_as_the_layer():
    mg.manual_seed(3)
    lazy = nn.LazyLinear(4)
    lazy(mg.ones(2, 5))
    mg.manual_seed(3)
    close(lazy.weight, nn.Linear(5, 4).weight.detach().numpy())


def test_state_is_loaded_before_the_first_call():
    source, lazy = eager_net(), lazy_net()
    assert lazy.load_state_dict(source.state_dict()) == ([], [])
    assert not any(m.has_uninitialized_params() for m in lazy if hasattr(m, "has_uninitialized_params"))
    x = mg.rand(2, 3, 5, 5)
    close(lazy.eval()(x), source.eval()(x).detach().numpy())
    other = nn.LazyLinear(2)
    other.load_state_dict(nn.Linear(3, 2).state_dict())
    with pytest.raises(ShapeError, match="was loaded"):
        other(mg.ones(1, 4))


def test_a_failed_load_leaves_lazy_layers_as_they_are():
    net = nn.Sequential(nn.LazyLinear(2), nn.Linear(2, 2))
    with pytest.raises(MinigradError):
        net.load_state_dict(nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 3)).state_dict())
    assert net[0].has_uninitialized_params()


def test_shapes_before_the_first_call_are_errors():
    net = lazy_net()
    for ask in (
        lambda: optim.Adam(net.parameters()),
        lambda: net.state_dict(),
        lambda: sum(p.size for p in net.parameters()),
    ):
        with pytest.raises(ArgumentError, match="Run the model once"):
            ask()
    with pytest.raises(ShapeError, match=r"x must be \(B, C, H, W\)"):
        net[0](mg.ones(3))
    assert net[0].in_channels == 0 and net[0].out_channels == 4


def test_lazy_layers_can_be_frozen_converted_and_copied():
    layer = nn.LazyLinear(3).double().requires_grad_(False)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        y = twin(mg.ones(2, 4, dtype="float64"))
        assert y.dtype == np.float64 and not y.requires_grad and type(twin) is nn.Linear
    assert layer.has_uninitialized_params()
