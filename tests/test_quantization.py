"""int8: quantised tensors, fake quantisation, observers, layers, models; against PyTorch and the reference bodies."""

import copy

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim
from minigrad import quantization as quant
from minigrad.errors import ArgumentError, AxisError, DTypeError, ShapeError, StateError
from minigrad.nn import functional as F
from minigrad.quantization.products import packed
from minigrad.testing import gradcheck


@pytest.fixture(autouse=True)
def seed():
    mg.manual_seed(0)


def normal(*shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


# ---- tensors ---------------------------------------------------------------------------------------------------------
QDTYPES = {"uint8": "quint8", "int8": "qint8", "int32": "qint32"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", QDTYPES)
def test_quantize_like_torch(dtype):
    torch = pytest.importorskip("torch")
    ties = np.arange(-20, 20) * 0.25  # of the scales 0.5 and 2
    x = np.concatenate([normal(500) * 3, ties, [1e9, -1e9, np.inf, -np.inf]]).astype(np.float32)
    x = x[: len(x) - 4] if dtype == "int32" else x
    for scale, zero_point in ((0.1, 3), (0.5, 0), (0.0371, 100), (0.5, 1), (2.0, 1)):
        ours = quant.quantize_per_tensor(mg.tensor(x), scale, zero_point, dtype)
        theirs = torch.quantize_per_tensor(torch.tensor(x), scale, zero_point, getattr(torch, QDTYPES[dtype]))
        assert ours.values.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(ours.int_repr().numpy(), theirs.int_repr().numpy())
        np.testing.assert_allclose(ours.dequantize().numpy(), theirs.dequantize().numpy(), rtol=1e-6)
    w = normal(4, 3, 2)
    for axis in (0, 1, 2):
        scales, zeros = np.linspace(0.01, 0.3, w.shape[axis]), np.arange(w.shape[axis])
        ours = quant.quantize_per_channel(mg.tensor(w), mg.tensor(scales), mg.tensor(zeros), axis, dtype)
        theirs = torch.quantize_per_channel(
            torch.tensor(w), torch.tensor(scales), torch.tensor(zeros), axis, getattr(torch, QDTYPES[dtype])
        )
        np.testing.assert_array_equal(ours.values.numpy(), theirs.int_repr().numpy())
        np.testing.assert_allclose(ours.dequantize().numpy(), theirs.dequantize().numpy(), rtol=1e-6)


def test_fake_quantize_like_torch():
    torch = pytest.importorskip("torch")
    x = np.concatenate([normal(300) * 2, [np.inf, -np.inf, 0.125, 0.375]]).astype(np.float32)
    for scale, zero_point, low, high in ((0.1, 3, 0, 255), (0.25, 0, -128, 127), (0.02, 7, 0, 15)):
        a, b = mg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        y = quant.fake_quantize_per_tensor_affine(a, scale, zero_point, low, high)
        z = torch.fake_quantize_per_tensor_affine(b, scale, zero_point, low, high)
        np.testing.assert_allclose(y.numpy(), z.detach().numpy(), rtol=1e-6, atol=1e-7)
        y.sum().backward()
        z.sum().backward()
        np.testing.assert_array_equal(a.grad.numpy(), b.grad.numpy())
    w = normal(4, 3, 2)
    scales, zeros = np.array([0.1, 0.02, 0.3], np.float32), np.array([0, 3, 100], np.int32)
    a, b = mg.tensor(w, requires_grad=True), torch.tensor(w, requires_grad=True)
    y = quant.fake_quantize_per_channel_affine(a, scales, zeros, 1, 0, 127)
    z = torch.fake_quantize_per_channel_affine(b, torch.tensor(scales), torch.tensor(zeros), 1, 0, 127)
    np.testing.assert_allclose(y.numpy(), z.detach().numpy(), rtol=1e-6, atol=1e-7)
    (y * y).sum().backward()
    (z * z).sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-6)


def test_fake_quantize_keeps_nan_and_its_gradient_has_one():
    y = quant.fake_quantize_per_tensor_affine(mg.tensor([np.nan, 1.0]), 0.5, 0, -8, 7)
    assert np.isnan(y.numpy()[0]) and y.numpy()[1] == 1
    x = mg.tensor(normal(5, dtype=np.float64))
    a = mg.tensor([0.3], dtype="float64", requires_grad=True)
    assert gradcheck(lambda a: mg.sum(a * quant.fake_quantize_per_tensor_affine(x, 0.1, 0, -8, 7)), [a])
    x = mg.tensor([0.31, 5.0], requires_grad=True)
    y = quant.fake_quantize_per_tensor_affine(x, 0.1, 0, -8, 7)
    (g,) = mg.autograd.grad((y * y).sum(), [x], create_graph=True)
    (h,) = mg.autograd.grad(g.sum(), [x])
    np.testing.assert_allclose(h.numpy(), [2.0, 0.0], rtol=1e-6)  # d/dx of 2 fake(x), straight through again


@pytest.mark.filterwarnings("ignore")
def test_observers_like_torch():
    torch = pytest.importorskip("torch")
    ao = torch.ao.quantization
    batches = [normal(4, 6, seed=i) + i for i in range(3)]
    kinds = [
        (quant.MinMaxObserver(), ao.MinMaxObserver()),
        (
            quant.MinMaxObserver("int8", symmetric=True),
            ao.MinMaxObserver(dtype=torch.qint8, qscheme=torch.per_tensor_symmetric),
        ),
        (quant.MovingAverageMinMaxObserver(0.1), ao.MovingAverageMinMaxObserver(0.1)),
        (
            quant.PerChannelMinMaxObserver(1),
            ao.PerChannelMinMaxObserver(1, dtype=torch.qint8, qscheme=torch.per_channel_symmetric),
        ),
        (
            quant.PerChannelMinMaxObserver(0, "uint8", symmetric=False),
            ao.PerChannelMinMaxObserver(0, dtype=torch.quint8, qscheme=torch.per_channel_affine),
        ),
    ]
    for ours, theirs in kinds:
        for x in batches:
            assert ours(mg.tensor(x)).shape == x.shape
            theirs(torch.tensor(x))
        for a, b in zip(ours.calculate_qparams(), theirs.calculate_qparams(), strict=True):
            np.testing.assert_allclose(np.ravel(a), b.numpy().ravel(), rtol=1e-6)


def test_percentile_observer_leaves_outliers_out():
    x = np.concatenate([np.linspace(-1, 1, 2001), [1000.0]]).astype(np.float32)
    watch = quant.PercentileObserver(99.0)
    watch(mg.tensor(x))
    watch(mg.tensor(x))
    assert watch.max_val.item() < 1.0 and watch.min_val.item() > -1.0
    other = quant.PercentileObserver(99.0)
    other.load_state_dict(watch.state_dict())
    assert other.calculate_qparams()[0] == watch.calculate_qparams()[0]


def test_refusals_of_tensors():
    x = mg.ones(2, 3)
    with pytest.raises(ArgumentError, match="NaN"):
        quant.quantize_per_tensor(mg.tensor([np.nan]), 0.1, 0)
    for scale in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ArgumentError, match="scale"):
            quant.quantize_per_tensor(x, scale, 0)
    with pytest.raises(ArgumentError, match="zero_point"):
        quant.quantize_per_tensor(x, 0.1, 300)
    with pytest.raises(DTypeError):
        quant.quantize_per_tensor(x, 0.1, 0, "int16")
    with pytest.raises(ShapeError, match="3 channels"):
        quant.quantize_per_channel(x, np.ones(2), np.zeros(2), 1)
    with pytest.raises(AxisError):
        quant.quantize_per_channel(x, np.ones(2), np.zeros(2), 2)
    with pytest.raises(ArgumentError, match="quant_min"):
        quant.fake_quantize_per_tensor_affine(x, 0.1, 0, 5, 4)
    for low, high in ((np.nan, 1.0), (0.0, np.inf), (2.0, 1.0)):
        with pytest.raises(ArgumentError, match="range"):
            quant.qparams(low, high)
    for value in (np.nan, np.inf):
        with pytest.raises(ArgumentError, match="finite"):
            quant.MinMaxObserver()(mg.tensor([1.0, value]))
    with pytest.raises(ArgumentError, match="no data"):
        quant.MinMaxObserver().calculate_qparams()
    scale, zero_point = quant.qparams(0.0, 0.0)
    assert scale > 0 and zero_point == 0


# ---- layers: the kernel against the reference, and both against integers in NumPy ------------------------------------
def both(layer, x):
    """The layer's output from the kernels and from the reference."""
    with mg.use_backend("numpy"):
        reference = layer(x).numpy()
    return layer(x).numpy(), reference


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 64, 70), (5, 33, 130), (50, 100, 10), (7, 4096, 16), (3, 70, 64), (97, 8, 129)])
def test_linear(shape, dtype):
    m, k, n = shape
    x = normal(m, k, dtype=dtype) + dtype(0.3)
    layer = nn.Linear(k, n)
    int8 = quant.quantize_dynamic(layer)
    kernel, reference = both(int8, mg.tensor(x))
    assert kernel.dtype == dtype and kernel.shape == (m, n)
    np.testing.assert_array_equal(kernel, reference)
    scale, zero = quant.qparams(x.min(), x.max())
    q = np.clip(np.rint(x * (dtype(1) / dtype(scale))) + zero, 0, 255).astype(np.int64)
    sums = (q - zero) @ int8.weight.numpy().astype(np.int64).T
    y = sums * (int8.weight_scale.numpy() * scale).astype(np.float64) + layer.bias.numpy()
    np.testing.assert_allclose(kernel, y, rtol=2e-6, atol=2e-6)
    exact = x @ layer.weight.numpy().T + layer.bias.numpy()
    assert np.abs(kernel - exact).mean() < 0.02 * np.abs(exact).mean() + 0.01


def test_linear_layouts_and_empties():
    int8 = quant.quantize_dynamic(nn.Linear(64, 80, bias=False))
    x = normal(3, 5, 64)
    y = int8(mg.tensor(x)).numpy()
    assert y.shape == (3, 5, 80)
    turned = mg.tensor(np.ascontiguousarray(x.transpose(2, 1, 0))).permute_dims((2, 1, 0))
    np.testing.assert_array_equal(int8(turned).numpy(), y)
    # the range is that of the whole input, so a single row is rounded otherwise
    assert int8(mg.tensor(x[0, 0])).shape == (80,)
    assert int8(mg.ones(0, 64)).shape == (0, 80)
    zero = int8(mg.zeros(4, 64)).numpy()
    assert (zero == 0).all()
    with pytest.raises(ShapeError, match="in_features=64"):
        int8(mg.ones(2, 63))
    assert not int8(mg.tensor(x, requires_grad=True)).requires_grad


CONVOLUTIONS = {
    "plain": (nn.Conv2d, (3, 8, 3), {}, (2, 3, 9, 8)),
    "padded": (nn.Conv2d, (5, 33, 3), {"padding": 1}, (2, 5, 8, 8)),
    "strided": (nn.Conv2d, (4, 70, (3, 2)), {"stride": (2, 1), "padding": (1, 0)}, (2, 4, 11, 7)),
    "dilated": (nn.Conv2d, (6, 16, 3), {"dilation": 2, "padding": "same", "bias": False}, (1, 6, 10, 10)),
    "one channel": (nn.Conv2d, (1, 20, 5), {}, (3, 1, 12, 12)),
    "pointwise": (nn.Conv2d, (32, 24, 1), {}, (2, 32, 5, 5)),
    "of vectors": (nn.Conv2d, (32, 24, 1), {}, (9, 32, 1, 1)),
    "one result": (nn.Conv2d, (8, 64, 4), {}, (3, 8, 4, 4)),
    "padded vector": (nn.Conv2d, (16, 24, 3), {"padding": 1}, (3, 16, 1, 1)),
    "single": (nn.Conv2d, (3, 16, 3), {"padding": 1}, (3, 12, 12)),
    "line": (nn.Conv1d, (6, 20, 5), {"padding": 2, "stride": 2}, (3, 6, 40)),
    "single line": (nn.Conv1d, (6, 20, 3), {}, (6, 60)),
    "large": (nn.Conv2d, (32, 64, 3), {"padding": 1}, (4, 32, 20, 20)),
}


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolution(case, dtype, static):
    kind, args, options, shape = CONVOLUTIONS[case]
    x, layer = mg.tensor(normal(*shape, dtype=dtype)), kind(*args, **options)
    if static:
        int8 = quant.convert(quant.calibrate(quant.prepare(nn.Sequential(layer, nn.ReLU())), [x]))[0]
        assert bool(int8.rectified.item())
    else:
        int8 = quant.quantize_dynamic(layer, {kind})
    kernel, reference = both(int8, x)
    assert kernel.dtype == dtype
    np.testing.assert_array_equal(kernel, reference)
    exact = layer.to(dtype=dtype)(x)
    exact = (exact.relu() if static else exact).detach().numpy()
    assert kernel.shape == exact.shape
    assert np.abs(kernel - exact).mean() < 0.03 * np.abs(exact).mean() + 0.003


def test_results_do_not_depend_on_threads():
    conv, linear = nn.Conv2d(32, 64, 3, padding=1), nn.Linear(512, 512)
    x, z = mg.tensor(normal(4, 32, 24, 24)), mg.tensor(normal(256, 512))
    threads, found = mg.get_num_threads(), []
    try:
        for count in (1, 2):
            mg.set_num_threads(count)
            found.append(
                (quant.quantize_dynamic(conv, {nn.Conv2d})(x).numpy(), quant.quantize_dynamic(linear)(z).numpy())
            )
    finally:
        mg.set_num_threads(threads)
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("vnni", [False, True])
def test_both_forms_of_the_tile(vnni):
    """The sums written out, and in one instruction where the processor has it."""
    numba = pytest.importorskip("numba")
    from minigrad.kernels.cpu import quantized as kernels

    if vnni and not kernels.HAS_VNNI:
        pytest.skip("no VNNI")
    tile = kernels.make_tile(2, 1, vnni)
    call = numba.njit(lambda x, rows, steps, w, c, groups: tile(x, rows, steps, w, 0, c, groups))
    rng = np.random.default_rng(0)
    x = rng.choice(np.array([0, 1, 128, 255], np.uint8), (2, 12))
    w = rng.choice(np.array([-128, -1, 1, 127], np.int8), (16, 12))
    blocks = packed(w[:, :, None, None]).blocks
    c, rows, steps = np.zeros((2, 64), np.int32), np.array([0, 12]), np.array([0, 4, 8])
    call(x.ctypes.data, rows.ctypes.data, steps.ctypes.data, blocks.ctypes.data, c.ctypes.data, 3)
    np.testing.assert_array_equal(c[:, :16], x.astype(np.int32) @ w.T.astype(np.int32))


def test_nan_and_infinity():
    big = nn.Sequential(nn.Linear(64, 128))
    dynamic = quant.quantize_dynamic(big)
    static = quant.convert(quant.calibrate(quant.prepare(big), [mg.randn(4, 64)]))
    for backend in ("numba", "numpy"):
        with mg.use_backend(backend):
            x = mg.randn(8, 64).numpy()
            x[3, 5] = np.nan
            for model in (dynamic, static):
                with pytest.raises(ArgumentError, match=r"NaN|finite"):
                    model(mg.tensor(x))
            x[3, 5] = np.inf
            with pytest.raises(ArgumentError, match="finite"):
                dynamic(mg.tensor(x))
            x[3, 5] = 1e30
            assert np.isfinite(static(mg.tensor(x)).numpy()).all()  # clipped to the calibrated range


@pytest.mark.filterwarnings("ignore")
def test_dynamic_linear_like_torch():
    torch = pytest.importorskip("torch")
    if "fbgemm" not in torch.backends.quantized.supported_engines:
        pytest.skip("PyTorch was built without FBGEMM")
    torch.backends.quantized.engine = "fbgemm"
    layer, x = nn.Linear(70, 33), normal(9, 70)
    int8 = quant.quantize_dynamic(layer)
    scales = torch.tensor(int8.weight_scale.numpy()).double()
    w = torch.quantize_per_channel(
        torch.tensor(layer.weight.detach().numpy()), scales, torch.zeros(33, dtype=torch.long), 0, torch.qint8
    )
    np.testing.assert_array_equal(int8.weight.numpy(), w.int_repr().numpy())
    held = torch.ops.quantized.linear_prepack(w, torch.tensor(layer.bias.detach().numpy()))
    y = torch.ops.quantized.linear_dynamic(torch.tensor(x), held, False)
    np.testing.assert_allclose(int8(mg.tensor(x)).numpy(), y.numpy(), rtol=1e-4, atol=1e-5)


# ---- models ----------------------------------------------------------------------------------------------------------
def network():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, groups=2),
        nn.Flatten(),
        nn.Linear(64, 32),
        nn.LayerNorm(32),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(32, 4),
    )


def batches(n=4):
    return [(mg.tensor(normal(16, 1, 8, 8, seed=i)), mg.tensor(np.arange(16) % 4)) for i in range(n)]


def test_dynamic_model():
    model = network().eval()
    int8 = quant.quantize_dynamic(model)
    assert [type(m).__name__ for m in int8].count("QuantizedLinear") == 2 and type(int8[0]) is nn.Conv2d
    assert type(model[6]) is nn.Linear
    assert set(quant.float_layers(model)) == {"1", "4", "7"} and "groups=2" in quant.float_layers(model)["4"]
    only = quant.quantize_dynamic(model, {"10", nn.Conv2d})
    assert [type(only[i]).__name__ for i in (0, 4, 6, 10)] == ["QuantizedConv2d", "Conv2d", "Linear", "QuantizedLinear"]
    assert quant.quantize_dynamic(model, inplace=True) is model and "QuantizedLinear(" in repr(model)
    x = batches()[0][0]
    np.testing.assert_array_equal(model(x).numpy(), int8(x).numpy())


def test_static_model_saves_and_loads(tmp_path):
    from minigrad import io

    model = network()
    for x, _ in batches():
        model(x)
    prepared = quant.prepare(model)
    assert type(prepared[1]) is nn.Identity
    int8 = quant.convert(quant.calibrate(prepared, batches()))
    kinds = [type(m).__name__ for m in int8]
    assert kinds.count("QuantizedLinear") == 2 and kinds[0] == "QuantizedConv2d" and kinds[2] == "Identity"
    found = quant.compare(model, int8, batches())
    assert found.signal_to_noise > 25 and found.agreement > 0.9 and found.bytes_after < found.bytes_before
    assert "accuracy" in str(found) and model.training
    io.save(int8.state_dict(), tmp_path / "int8.npz")
    state = io.load(tmp_path / "int8.npz")
    assert state["0.weight"].dtype == np.int8
    again = quant.quantized_like(network(), state)
    x = batches()[0][0]
    np.testing.assert_array_equal(again(x).numpy(), int8(x).numpy())
    # a loaded weight replaces the packed one
    other = quant.quantize_dynamic(nn.Linear(64, 64))
    first = other(mg.ones(8, 64)).numpy()
    other.load_state_dict(quant.quantize_dynamic(nn.Linear(64, 64)).state_dict())
    assert (other(mg.ones(8, 64)).numpy() != first).any()
    copied = copy.deepcopy(int8)
    np.testing.assert_array_equal(copied(x).numpy(), int8(x).numpy())
    with pytest.raises(StateError, match="99"):
        quant.quantized_like(network(), {"99.weight_scale": mg.ones(1)})


def test_observers_choose_the_range():
    model, x = nn.Sequential(nn.Linear(32, 16)), normal(200, 32)
    x[0, 0] = 300.0
    wide = quant.convert(quant.calibrate(quant.prepare(model), [mg.tensor(x)]))
    tight = quant.convert(quant.calibrate(quant.prepare(model, quant.PercentileObserver), [mg.tensor(x)]))
    assert tight[0].input_scale.item() < wide[0].input_scale.item() / 20
    usual = [mg.tensor(x[1:])]
    assert quant.compare(model, tight, usual).signal_to_noise > quant.compare(model, wide, usual).signal_to_noise + 15


def test_training_with_rounding():
    mg.manual_seed(3)
    model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 1))
    ready = quant.prepare_qat(model)
    assert "0.parametrizations.weight.original" in ready.state_dict()
    x = mg.tensor(normal(64, 8))
    target = (x[:, :1] * x[:, 1:2]).detach()
    step, losses = optim.Adam(ready.parameters(), lr=0.02), []
    for _ in range(30):
        step.zero_grad()
        loss = F.mse_loss(ready(x), target)
        loss.backward()
        step.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
    int8 = quant.convert(ready)
    assert [type(m).__name__ for m in int8] == ["QuantizedLinear", "Identity", "Identity", "QuantizedLinear"]
    ready.eval()
    faked, real = ready(x).detach().numpy(), int8(x).numpy()
    # what was trained is what runs, but for roundings that fall otherwise at ties
    assert np.abs(faked - real).mean() < 0.02 * np.abs(faked).mean() + 1e-3


def test_own_forward_and_shared_layers():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(32, 32)
            self.b = self.a

        def forward(self, x):
            return self.b(self.a(x).relu())

    int8 = quant.quantize_dynamic(Net())
    assert int8.a is int8.b and type(int8.a).__name__ == "QuantizedLinear"
    net = Net()
    static = quant.convert(quant.calibrate(quant.prepare(net), [mg.randn(64, 32)]))
    assert static.a is static.b
    assert quant.compare(net, static, [mg.randn(16, 32)]).signal_to_noise > 20


def test_refusals_of_models():
    model = network()
    with pytest.raises(ArgumentError, match=r"'4' \(Conv2d\) stays in floats: groups=2"):
        quant.quantize_dynamic(model, {"4"})
    with pytest.raises(ArgumentError, match=r"stay in floats.*LayerNorm"):
        quant.quantize_dynamic(model, {nn.LayerNorm})
    with pytest.raises(ArgumentError, match="'99'"):
        quant.quantize_dynamic(model, {"99"})
    with pytest.raises(ArgumentError, match="int8"):
        quant.quantize_dynamic(model, dtype="float16")
    with pytest.raises(ArgumentError, match="no Linear"):
        quant.prepare(nn.Sequential(nn.ReLU()))
    with pytest.raises(ArgumentError, match="prepare"):
        quant.calibrate(model, batches())
    with pytest.raises(ArgumentError, match="prepare"):
        quant.convert(model)
    prepared = quant.prepare(model)
    with pytest.raises(ArgumentError, match="already"):
        quant.prepare(prepared)
    with pytest.raises(ArgumentError, match="0, 6, 10 saw no data"):
        quant.convert(prepared)
    with pytest.raises(ArgumentError, match="no data"):
        quant.calibrate(prepared, [])
    bad = batches(1)[0][0].numpy()
    bad[0, 0, 0, 0] = np.nan
    with pytest.raises(ArgumentError, match="finite"):
        quant.calibrate(prepared, [mg.tensor(bad)])
    with pytest.raises(ArgumentError, match="no data"):
        quant.compare(model, model, [])
