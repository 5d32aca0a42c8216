"""Every layer against PyTorch: state names, repr, signature, outputs, gradients to second order."""

import inspect

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.gradients import grad

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")

pytestmark = pytest.mark.filterwarnings(
    "ignore:Using padding='same'",  # remarks of PyTorch's own
    "ignore:Initializing zero-element tensors",
    "ignore:Lazy modules",
)
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}


def close(ours, theirs, dtype, what, accuracy=None):
    ours = ours.detach().numpy() if isinstance(ours, mg.Tensor) else np.asarray(ours)
    theirs = theirs.detach().numpy()
    assert ours.shape == theirs.shape, what
    assert ours.dtype == theirs.dtype, what
    scale = max(1.0, np.abs(theirs).max(initial=0))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE[accuracy or dtype] * scale, err_msg=what)


def twins(make, dtype):
    """The same module here and in PyTorch, with the same random state."""
    torch.manual_seed(0)
    theirs = make(torch.nn).to(getattr(torch, dtype))
    with torch.no_grad():
        for name, t in theirs.state_dict().items():
            if "running_var" in name:
                t.copy_(torch.rand(t.shape) + 0.5)
            elif t.dtype.is_floating_point:
                t.copy_(torch.randn(t.shape) * 0.5)
    ours = make(nn).to(dtype)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def settled(layer, *shape):
    """A lazy layer after its first input, of this shape."""
    layer(torch.zeros(shape) if isinstance(layer, torch.nn.Module) else mg.zeros(*shape))
    return layer


# name, module, input shapes (or arrays)
LAYERS = [
    ("linear", lambda nn: nn.Linear(5, 3), [(4, 5)]),
    ("linear-3d", lambda nn: nn.Linear(5, 3, bias=False), [(2, 4, 5)]),
    ("linear-1d", lambda nn: nn.Linear(5, 3), [(5,)]),
    ("linear-empty", lambda nn: nn.Linear(5, 3), [(0, 5)]),
    ("bilinear", lambda nn: nn.Bilinear(3, 4, 5), [(2, 3), (2, 4)]),
    ("bilinear-3d", lambda nn: nn.Bilinear(3, 4, 5, bias=False), [(2, 6, 3), (2, 6, 4)]),
    ("identity", lambda nn: nn.Identity(), [(2, 3)]),
    ("flatten", lambda nn: nn.Flatten(), [(2, 3, 4)]),
    ("flatten-range", lambda nn: nn.Flatten(0, 1), [(2, 3, 4)]),
    ("unflatten", lambda nn: nn.Unflatten(1, (2, 3)), [(2, 6, 4)]),
    ("conv1d", lambda nn: nn.Conv1d(4, 6, 3, stride=2, padding=1), [(2, 4, 9)]),
    ("conv1d-same", lambda nn: nn.Conv1d(4, 6, 4, padding="same", dilation=2), [(2, 4, 9)]),
    ("conv2d", lambda nn: nn.Conv2d(3, 6, 3, padding=1), [(2, 3, 7, 8)]),
    ("conv2d-single", lambda nn: nn.Conv2d(3, 6, 3), [(3, 7, 8)]),
    ("conv2d-uneven", lambda nn: nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), groups=2), [(2, 4, 7, 8)]),
    ("conv2d-dilated", lambda nn: nn.Conv2d(2, 3, 3, dilation=(1, 2), bias=False), [(2, 2, 7, 8)]),
    ("conv2d-same", lambda nn: nn.Conv2d(2, 3, (2, 4), padding="same"), [(2, 2, 5, 6)]),
    ("conv2d-valid", lambda nn: nn.Conv2d(2, 3, 2, padding="valid"), [(2, 2, 5, 6)]),
    ("conv2d-depthwise", lambda nn: nn.Conv2d(4, 4, 3, padding=1, groups=4), [(2, 4, 5, 6)]),
    ("conv2d-reflect", lambda nn: nn.Conv2d(2, 3, 3, padding=(1, 2), padding_mode="reflect"), [(2, 2, 5, 6)]),
    ("conv2d-replicate", lambda nn: nn.Conv2d(2, 3, 3, padding=2, padding_mode="replicate"), [(2, 2, 5, 6)]),
    ("conv2d-circular", lambda nn: nn.Conv2d(2, 3, 3, padding="same", padding_mode="circular"), [(2, 2, 5, 6)]),
    ("conv2d-empty", lambda nn: nn.Conv2d(3, 6, 3), [(0, 3, 7, 8)]),
    ("conv3d", lambda nn: nn.Conv3d(2, 4, (1, 2, 3), padding=(0, 1, 1)), [(2, 2, 3, 4, 5)]),
    ("convT1d", lambda nn: nn.ConvTranspose1d(4, 6, 3, stride=2, padding=1, output_padding=1), [(2, 4, 5)]),
    ("convT2d", lambda nn: nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), [(2, 4, 3, 4)]),
    ("convT2d-dilated", lambda nn: nn.ConvTranspose2d(2, 3, (2, 3), padding=1, dilation=2), [(2, 2, 4, 4)]),
    ("convT3d", lambda nn: nn.ConvTranspose3d(2, 3, 2, stride=2, bias=False), [(1, 2, 2, 2, 3)]),
    ("maxpool1d", lambda nn: nn.MaxPool1d(3, stride=2, padding=1), [(2, 3, 9)]),
    ("maxpool2d", lambda nn: nn.MaxPool2d(2), [(2, 3, 6, 7)]),
    ("maxpool2d-single", lambda nn: nn.MaxPool2d((3, 2), stride=(2, 1), padding=(1, 0)), [(3, 6, 7)]),
    ("maxpool2d-ceil", lambda nn: nn.MaxPool2d(3, stride=2, ceil_mode=True), [(2, 3, 6, 8)]),
    ("maxpool2d-dilated", lambda nn: nn.MaxPool2d(2, stride=2, dilation=2, padding=1, ceil_mode=True), [(2, 3, 7, 8)]),
    ("maxpool3d", lambda nn: nn.MaxPool3d(2, stride=1), [(2, 2, 3, 4, 3)]),
    ("avgpool1d", lambda nn: nn.AvgPool1d(3, stride=2, padding=1), [(2, 3, 9)]),
    ("avgpool2d", lambda nn: nn.AvgPool2d(2), [(2, 3, 6, 7)]),
    ("avgpool2d-ceil", lambda nn: nn.AvgPool2d(3, 2, padding=1, ceil_mode=True), [(2, 3, 6, 8)]),
    ("avgpool2d-inner", lambda nn: nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), [(2, 3, 6, 8)]),
    ("avgpool2d-divisor", lambda nn: nn.AvgPool2d((2, 3), 1, divisor_override=5), [(3, 6, 8)]),
    ("avgpool3d", lambda nn: nn.AvgPool3d(2, 1, padding=1), [(2, 2, 3, 4, 3)]),
    ("adaptive1d", lambda nn: nn.AdaptiveAvgPool1d(4), [(2, 3, 9)]),
    ("adaptive2d", lambda nn: nn.AdaptiveAvgPool2d((3, None)), [(2, 3, 7, 4)]),
    ("adaptive2d-1", lambda nn: nn.AdaptiveAvgPool2d(1), [(2, 3, 7, 4)]),
    ("adaptive3d", lambda nn: nn.AdaptiveAvgPool3d(2), [(1, 2, 3, 4, 5)]),
    ("batchnorm1d", lambda nn: nn.BatchNorm1d(3), [(6, 3)]),
    ("batchnorm1d-3d", lambda nn: nn.BatchNorm1d(3, momentum=None), [(4, 3, 5)]),
    ("batchnorm2d", lambda nn: nn.BatchNorm2d(3, eps=1e-3, momentum=0.2), [(4, 3, 5, 2)]),
    ("batchnorm2d-plain", lambda nn: nn.BatchNorm2d(3, affine=False), [(4, 3, 5, 2)]),
    ("batchnorm2d-untracked", lambda nn: nn.BatchNorm2d(3, track_running_stats=False), [(4, 3, 5, 2)]),
    ("batchnorm3d", lambda nn: nn.BatchNorm3d(2), [(2, 2, 3, 2, 2)]),
    ("instancenorm1d", lambda nn: nn.InstanceNorm1d(3, affine=True), [(4, 3, 5)]),
    ("instancenorm2d", lambda nn: nn.InstanceNorm2d(3), [(4, 3, 5, 2)]),
    ("instancenorm2d-single", lambda nn: nn.InstanceNorm2d(3), [(3, 5, 2)]),
    ("instancenorm3d", lambda nn: nn.InstanceNorm3d(2, track_running_stats=True), [(2, 2, 3, 2, 2)]),
    ("layernorm", lambda nn: nn.LayerNorm(6), [(2, 3, 6)]),
    ("layernorm-2", lambda nn: nn.LayerNorm([3, 6], bias=False), [(2, 3, 6)]),
    ("layernorm-plain", lambda nn: nn.LayerNorm((6,), eps=1e-3, elementwise_affine=False), [(2, 3, 6)]),
    ("rmsnorm", lambda nn: nn.RMSNorm(6), [(2, 3, 6)]),
    ("rmsnorm-eps", lambda nn: nn.RMSNorm((3, 6), eps=1e-3, elementwise_affine=False), [(2, 3, 6)]),
    ("groupnorm", lambda nn: nn.GroupNorm(2, 4), [(3, 4, 5)]),
    ("groupnorm-2d", lambda nn: nn.GroupNorm(4, 4, affine=False), [(3, 4, 5, 2)]),
    ("lrn", lambda nn: nn.LocalResponseNorm(3, alpha=0.1), [(2, 5, 3, 3)]),
    ("lrn-even", lambda nn: nn.LocalResponseNorm(4, alpha=0.1, beta=0.5, k=2.0), [(2, 5, 3)]),
    ("dropout-0", lambda nn: nn.Dropout(0.0), [(3, 4)]),
    ("dropout-1", lambda nn: nn.Dropout(1.0), [(3, 4)]),
    ("relu", lambda nn: nn.ReLU(), [(4, 5)]),
    ("relu6", lambda nn: nn.ReLU6(), [(4, 5)]),
    ("selu", lambda nn: nn.SELU(), [(4, 5)]),
    ("silu", lambda nn: nn.SiLU(), [(4, 5)]),
    ("mish", lambda nn: nn.Mish(), [(4, 5)]),
    ("hardsigmoid", lambda nn: nn.Hardsigmoid(), [(4, 5)]),
    ("hardswish", lambda nn: nn.Hardswish(), [(4, 5)]),
    ("sigmoid", lambda nn: nn.Sigmoid(), [(4, 5)]),
    ("logsigmoid", lambda nn: nn.LogSigmoid(), [(4, 5)]),
    ("tanh", lambda nn: nn.Tanh(), [(4, 5)]),
    ("tanhshrink", lambda nn: nn.Tanhshrink(), [(4, 5)]),
    ("softsign", lambda nn: nn.Softsign(), [(4, 5)]),
    ("gelu", lambda nn: nn.GELU(), [(4, 5)]),
    ("gelu-tanh", lambda nn: nn.GELU(approximate="tanh"), [(4, 5)]),
    ("leakyrelu", lambda nn: nn.LeakyReLU(0.2), [(4, 5)]),
    ("elu", lambda nn: nn.ELU(1.5), [(4, 5)]),
    ("celu", lambda nn: nn.CELU(1.5), [(4, 5)]),
    ("softplus", lambda nn: nn.Softplus(), [(4, 5)]),
    ("softplus-beta", lambda nn: nn.Softplus(2.0, 1.0), [(4, 5)]),
    ("hardtanh", lambda nn: nn.Hardtanh(-0.5, 2.0), [(4, 5)]),
    ("softshrink", lambda nn: nn.Softshrink(0.3), [(4, 5)]),
    ("hardshrink", lambda nn: nn.Hardshrink(0.3), [(4, 5)]),
    ("threshold", lambda nn: nn.Threshold(0.1, 20.0), [(4, 5)]),
    ("prelu", lambda nn: nn.PReLU(), [(4, 5)]),
    ("prelu-channels", lambda nn: nn.PReLU(3), [(2, 3, 4)]),
    ("glu", lambda nn: nn.GLU(), [(4, 6)]),
    ("glu-0", lambda nn: nn.GLU(0), [(4, 5)]),
    ("softmax", lambda nn: nn.Softmax(dim=1), [(4, 5)]),
    ("softmin", lambda nn: nn.Softmin(dim=0), [(4, 5)]),
    ("logsoftmax", lambda nn: nn.LogSoftmax(dim=-1), [(4, 5)]),
    ("softmax2d", lambda nn: nn.Softmax2d(), [(2, 3, 4, 5)]),
    ("upsample-nearest", lambda nn: nn.Upsample(scale_factor=2), [(2, 3, 4)]),
    ("upsample-exact", lambda nn: nn.Upsample(size=(3, 7), mode="nearest-exact"), [(2, 3, 4, 5)]),
    ("upsample-linear", lambda nn: nn.Upsample(size=7, mode="linear"), [(2, 3, 4)]),
    ("upsample-bilinear", lambda nn: nn.Upsample(scale_factor=(1.7, 0.6), mode="bilinear"), [(2, 3, 4, 5)]),
    ("upsample-recompute", lambda nn: nn.Upsample(None, 1.7, "bilinear", None, True), [(2, 3, 4, 5)]),
    ("upsample-corners", lambda nn: nn.Upsample(size=(7, 1), mode="bilinear", align_corners=True), [(2, 3, 4, 5)]),
    ("upsample-bicubic", lambda nn: nn.Upsample(size=(3, 9), mode="bicubic"), [(1, 2, 4, 5)]),
    ("upsample-trilinear", lambda nn: nn.Upsample(scale_factor=1.5, mode="trilinear"), [(1, 2, 3, 4, 2)]),
    ("upsample-area", lambda nn: nn.Upsample(size=3, mode="area"), [(2, 3, 7)]),
    ("upsamplingnearest2d", lambda nn: nn.UpsamplingNearest2d(size=(5, 3)), [(2, 3, 4, 4)]),
    ("upsamplingbilinear2d", lambda nn: nn.UpsamplingBilinear2d(scale_factor=2), [(2, 3, 4, 3)]),
    ("pixelshuffle", lambda nn: nn.PixelShuffle(2), [(2, 8, 3, 2)]),
    ("pixelunshuffle", lambda nn: nn.PixelUnshuffle(2), [(2, 4, 6)]),
    ("channelshuffle", lambda nn: nn.ChannelShuffle(3), [(2, 6, 2, 3)]),
    ("unfold", lambda nn: nn.Unfold((2, 3), dilation=(2, 1), padding=1, stride=(1, 2)), [(2, 3, 4, 5)]),
    ("fold", lambda nn: nn.Fold((4, 5), (2, 3), dilation=(2, 1), padding=1, stride=(1, 2)), [(2, 12, 12)]),
    ("lppool1d", lambda nn: nn.LPPool1d(4, 3, stride=2, ceil_mode=True), [(2, 3, 8)]),
    ("lppool2d", lambda nn: nn.LPPool2d(2, (3, 2)), [(2, 3, 6, 5)]),
    ("lppool2d-inf", lambda nn: nn.LPPool2d(float("inf"), 2), [(2, 3, 6, 5)]),
    ("lppool3d", lambda nn: nn.LPPool3d(2, 2, stride=1), [(2, 3, 3, 3, 4)]),
    ("adaptivemax1d", lambda nn: nn.AdaptiveMaxPool1d(4), [(2, 3, 9)]),
    ("adaptivemax2d", lambda nn: nn.AdaptiveMaxPool2d((3, None)), [(2, 3, 7, 4)]),
    ("adaptivemax3d", lambda nn: nn.AdaptiveMaxPool3d((2, 1, 3)), [(2, 3, 4, 5)]),
    ("constantpad1d", lambda nn: nn.ConstantPad1d((1, -1), 2.5), [(2, 3, 4)]),
    ("constantpad3d", lambda nn: nn.ConstantPad3d(1, 2.5), [(2, 3, 2, 3)]),
    ("zeropad2d", lambda nn: nn.ZeroPad2d((1, 2, 0, -1)), [(2, 3, 4, 5)]),
    ("reflectionpad1d", lambda nn: nn.ReflectionPad1d(2), [(3, 4)]),
    ("reflectionpad2d", lambda nn: nn.ReflectionPad2d((1, 2, 3, 0)), [(2, 3, 4, 5)]),
    ("reflectionpad3d", lambda nn: nn.ReflectionPad3d(1), [(2, 2, 2, 3, 4)]),
    ("replicationpad1d", lambda nn: nn.ReplicationPad1d((2, 5)), [(3, 4)]),
    ("replicationpad2d", lambda nn: nn.ReplicationPad2d((1, 2, 3, -1)), [(2, 3, 4, 5)]),
    ("replicationpad3d", lambda nn: nn.ReplicationPad3d(2), [(2, 2, 2, 3, 4)]),
    ("circularpad1d", lambda nn: nn.CircularPad1d((2, 1)), [(3, 4)]),
    ("circularpad2d", lambda nn: nn.CircularPad2d((1, 2, 3, -1)), [(2, 3, 4, 5)]),
    ("circularpad3d", lambda nn: nn.CircularPad3d(2), [(2, 2, 2, 3, 4)]),
    ("cosinesimilarity", lambda nn: nn.CosineSimilarity(dim=-1), [(4, 5), (4, 5)]),
    ("pairwisedistance", lambda nn: nn.PairwiseDistance(3.0, keepdim=True), [(4, 5), (4, 5)]),
    ("lazylinear", lambda nn: settled(nn.LazyLinear(3), 4, 5), [(4, 5)]),
    ("lazyconv1d", lambda nn: settled(nn.LazyConv1d(4, 3, groups=2), 4, 5), [(2, 4, 5)]),
    ("lazyconv2d", lambda nn: settled(nn.LazyConv2d(4, 3, padding="same"), 2, 3, 4, 5), [(2, 3, 4, 5)]),
    ("lazyconv3d", lambda nn: settled(nn.LazyConv3d(2, 2, bias=False), 1, 3, 2, 3, 3), [(1, 3, 2, 3, 3)]),
    ("lazyconvT1d", lambda nn: settled(nn.LazyConvTranspose1d(4, 3, 2), 3, 5), [(3, 5)]),
    ("lazyconvT2d", lambda nn: settled(nn.LazyConvTranspose2d(4, 3, 2, 1, 1, 2), 2, 4, 2, 3), [(2, 4, 2, 3)]),
    ("lazyconvT3d", lambda nn: settled(nn.LazyConvTranspose3d(2, 2), 1, 2, 2, 2, 2), [(1, 2, 2, 2, 2)]),
    ("lazybatchnorm1d", lambda nn: settled(nn.LazyBatchNorm1d(momentum=0.3), 6, 3), [(6, 3)]),
    ("lazybatchnorm2d", lambda nn: settled(nn.LazyBatchNorm2d(affine=False), 4, 3, 2, 2), [(4, 3, 2, 2)]),
    ("lazybatchnorm3d", lambda nn: settled(nn.LazyBatchNorm3d(1e-3), 2, 2, 3, 2, 2), [(2, 2, 3, 2, 2)]),
    ("lazyinstancenorm2d", lambda nn: settled(nn.LazyInstanceNorm2d(), 2, 3, 4, 2), [(2, 3, 4, 2)]),
    ("sequential", lambda nn: nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2)), [(3, 5)]),
]  # fmt: skip
IDS = [name for name, *_ in LAYERS]
# PyTorch has no second derivative of these, or not on the CPU, or they are piecewise linear: nothing to compare
FIRST_ORDER = {"hardsigmoid", "adaptive3d"}


def inputs(shapes, dtype):
    rng = np.random.default_rng(1)
    arrays = [(rng.standard_normal(s) * 2).astype(dtype) for s in shapes]
    return (
        [mg.tensor(a, requires_grad=True) for a in arrays],
        [torch.tensor(a, requires_grad=True) for a in arrays],
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("make, shapes", [case[1:] for case in LAYERS], ids=IDS)
def test_layer(make, shapes, dtype, request):
    ours, theirs = twins(make, dtype)
    assert repr(ours) == repr(theirs)
    xs, txs = inputs(shapes, dtype)
    for training in (True, False):
        ours.train(training)
        theirs.train(training)
        y, ty = ours(*xs), theirs(*txs)
        close(y, ty, dtype, "output")
        if not y.requires_grad:
            continue
        g = np.random.default_rng(2).standard_normal(y.shape).astype(dtype)
        ps, tps = [*xs, *ours.parameters()], [*txs, *theirs.parameters()]
        grads = _grad(y, ps, g)
        tgrads = torch.autograd.grad(ty, tps, torch.tensor(g))
        for i, (a, b) in enumerate(zip(grads, tgrads, strict=True)):
            rounded = "hardsigmoid" in request.node.name  # PyTorch's gradient has 1/6 in float32
            close(a, b, dtype, f"gradient {i}, training={training}", "float32" if rounded else dtype)
    for (name, a), b in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        close(a, b, dtype, name)


def _grad(y, ps, g, **options):
    return grad(y, ps, mg.tensor(g), **options)


@pytest.mark.parametrize(
    "make, shapes", [c[1:] for c in LAYERS if c[0] not in FIRST_ORDER], ids=[i for i in IDS if i not in FIRST_ORDER]
)
def test_second_order(make, shapes):
    ours, theirs = twins(make, "float64")
    xs, txs = inputs(shapes, "float64")
    y, ty = ours(*xs), theirs(*txs)
    rng = np.random.default_rng(3)
    g = rng.standard_normal(y.shape)
    ps, tps = [*xs, *ours.parameters()], [*txs, *theirs.parameters()]
    grads = _grad(y * y, ps, g, create_graph=True)  # the square makes the second derivative of linear layers not vanish
    tgrads = torch.autograd.grad(ty * ty, tps, torch.tensor(g), create_graph=True)
    vs = [rng.standard_normal(p.shape) for p in ps]
    dot = sum(((a * mg.tensor(v)).sum() for a, v in zip(grads, vs)), mg.tensor(0.0, dtype="float64"))
    tdot = sum((a * torch.tensor(v)).sum() for a, v in zip(tgrads, vs))
    second = _grad(dot, ps, np.ones(()), materialize_grads=True)
    tsecond = torch.autograd.grad(tdot, tps, materialize_grads=True)
    for i, (a, b) in enumerate(zip(second, tsecond, strict=True)):
        close(a, b, "float64", f"second gradient {i}")


@pytest.mark.parametrize("padding_idx", [None, 2, -1])
def test_embedding(padding_idx):
    ours, theirs = twins(lambda nn: nn.Embedding(5, 3, padding_idx=padding_idx), "float64")
    assert repr(ours) == repr(theirs)
    index = np.array([[0, 2, 4], [2, 2, 1]])
    y, ty = ours(mg.tensor(index)), theirs(torch.tensor(index))
    close(y, ty, "float64", "output")
    g = np.random.default_rng(0).standard_normal(y.shape)
    y.backward(mg.tensor(g))
    ty.backward(torch.tensor(g))
    close(ours.weight.grad, theirs.weight.grad, "float64", "gradient")


def test_embedding_max_norm():
    ours, theirs = twins(lambda nn: nn.Embedding(5, 3, max_norm=0.5), "float64")
    index = np.array([[0, 2, 4], [2, 2, 1]])
    close(ours(mg.tensor(index)), theirs(torch.tensor(index)), "float64", "output")
    close(ours.weight, theirs.weight, "float64", "weight, scaled in place")


@pytest.mark.parametrize("n, shape", [(1, (2, 3, 9)), (2, (2, 3, 6, 7)), (3, (1, 2, 5, 4, 5))])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_max_pool_indices(n, shape, ceil_mode):
    x = np.random.default_rng(0).standard_normal(shape)
    make = lambda nn: getattr(nn, f"MaxPool{n}d")(3, 2, 1, return_indices=True, ceil_mode=ceil_mode)
    y, index = make(nn)(mg.tensor(x))
    ty, tindex = make(torch.nn)(torch.tensor(x))
    close(y, ty, "float64", "maxima")
    np.testing.assert_array_equal(index.numpy(), tindex.numpy())


@pytest.mark.parametrize("size", [(7, 7), (8, 7), (8, 8)])
def test_conv_transpose_output_size(size):
    ours, theirs = twins(lambda nn: nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1), "float64")
    x = np.random.default_rng(0).standard_normal((1, 2, 4, 4))
    close(ours(mg.tensor(x), size), theirs(torch.tensor(x), size), "float64", "output")


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("pad", [(1, 2), (0, 1, 2, 0), (1, 1, 2, 2)])
def test_pad(mode, pad):
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5) if len(pad) == 4 else (2, 3, 4))
    ours, theirs = mg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y = nn.functional.pad(ours, pad, mode=mode)
    ty = torch.nn.functional.pad(theirs, pad, mode=mode)
    close(y, ty, "float64", "output")
    g = np.random.default_rng(1).standard_normal(y.shape)
    y.backward(mg.tensor(g))
    ty.backward(torch.tensor(g))
    close(ours.grad, theirs.grad, "float64", "gradient")


def test_pad_constant_and_crop():
    x = np.arange(20.0).reshape(1, 4, 5)
    y = nn.functional.pad(mg.tensor(x), (-1, 2, 1, -2), value=7.0)
    close(y, torch.nn.functional.pad(torch.tensor(x), (-1, 2, 1, -2), value=7.0), "float64", "output")


@pytest.mark.parametrize("name", ["normalize", "cosine_similarity", "pairwise_distance"])
def test_vector_functions(name):
    a, b = np.random.default_rng(0).standard_normal((2, 4, 5))
    args = (a,) if name == "normalize" else (a, b)
    ours = getattr(nn.functional, name)(*map(mg.tensor, args))
    close(ours, getattr(torch.nn.functional, name)(*map(torch.tensor, args)), "float64", name)


# ---- signatures ------------------------------------------------------------------------------------------------------
PARTS = [
    name
    for name, ours in vars(nn).items()
    if inspect.isclass(ours) and issubclass(ours, nn.Module) and hasattr(torch.nn, name) and name != "Module"
]
OUTDATED = {"size_average", "reduce", "min_value", "max_value"}  # PyTorch's own deprecated options
LISTS = {
    "ModuleList",
    "ModuleDict",
    "ParameterList",
    "ParameterDict",
    "Identity",
    "Sequential",
    "RNN",
    "LSTM",
    "GRU",
}  # *args or one iterable


def options(cls):
    return {
        p.name: getattr(p.default, "__name__", p.default)  # a function by its name
        for p in list(inspect.signature(cls.__init__).parameters.values())[1:]
        if p.name not in OUTDATED and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    }


@pytest.mark.parametrize("name", [n for n in PARTS if n not in LISTS])
def test_signature(name):
    """Names, order and defaults of the constructor's options."""
    ours, theirs = options(getattr(nn, name)), options(getattr(torch.nn, name))
    assert list(ours) == list(theirs)
    for option, default in theirs.items():
        assert ours[option] == default, option


FUNCTIONS = sorted(n for n in vars(nn.functional) if n[0] != "_" and callable(getattr(torch.nn.functional, n, None)))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_signature(name):
    """Every option of PyTorch's function is here, with its default; positional order too, deprecated options aside."""
    theirs = getattr(torch.nn.functional, name)
    try:
        wanted = inspect.signature(theirs).parameters
    except ValueError:  # a builtin: it tells no signature
        assert callable(getattr(nn.functional, name))
        return
    ours = inspect.signature(getattr(nn.functional, name)).parameters
    for p in wanted.values():
        hidden = {"_stacklevel", "input", "tensor", "out"}
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) or p.name in OUTDATED | hidden:
            continue
        assert p.name in ours, p.name
        if p.default is not p.empty:
            assert ours[p.name].default == p.default, p.name


# ---- states ----------------------------------------------------------------------------------------------------------


def net(nn):
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 10)
    )


def test_state_travels_to_torch_and_back():
    ours, theirs = net(nn), net(torch.nn)
    x = np.random.default_rng(0).standard_normal((3, 1, 6, 6)).astype("float32")
    ours(mg.tensor(x))  # moves the running statistics
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    close(ours.eval()(mg.tensor(x)), theirs.eval()(torch.tensor(x)), "float32", "output")
    with torch.no_grad():
        for p in theirs.parameters():
            p.mul_(1.5)
    result = ours.load_state_dict(theirs.state_dict())
    assert result == ([], [])
    close(ours(mg.tensor(x)), theirs(torch.tensor(x)), "float32", "output")


def test_initial_distributions():
    """The same spread as PyTorch's start: bound and standard deviation of each parameter."""
    mg.manual_seed(0)
    for make in (
        lambda nn: nn.Linear(50, 400),
        lambda nn: nn.Conv2d(8, 64, 5, groups=2),
        lambda nn: nn.ConvTranspose2d(8, 64, 5),
        lambda nn: nn.Bilinear(20, 30, 40),
        lambda nn: nn.Embedding(100, 50),
        lambda nn: nn.BatchNorm2d(7),
        lambda nn: nn.PReLU(3),
    ):
        ours, theirs = make(nn), make(torch.nn)
        for (name, a), b in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
            a, b = a.numpy().astype(float), b.numpy().astype(float)
            if "bias" in name and a.size < 100:
                continue
            assert abs(a.std() - b.std()) <= 0.1 * b.std(), name
            if name == "weight" and type(ours).__name__ != "Embedding":  # uniform: bounded
                assert abs(np.abs(a).max() - np.abs(b).max()) <= 0.05 * np.abs(b).max(), name


@pytest.mark.parametrize("name", ["linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"])
def test_gain(name):
    assert nn.init.calculate_gain(name) == torch.nn.init.calculate_gain(name)


# ---- resampling, unpooling, bags -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic"])
def test_interpolate_at_many_sizes(mode, dtype):
    """Which element is nearest hangs on the rounding of the position: the same for every length and factor."""
    smooth = mode.startswith("bi")
    for n in (1, 2, 5, 7, 13, 30):
        x = np.random.default_rng(n).standard_normal((1, 1, n, 2)).astype(dtype)
        how = [{"size": (out, 2)} for out in (1, 3, 6, 10, 14, 49)]
        how += [{"scale_factor": (f, 1.0)} for f in (1.3, 2.0, 0.7, 3.33) if int(n * f)]
        how += [{"size": (o, 2), "antialias": True} for o in (1, 3, 6, 14)] * smooth
        how += [{"size": (o, 2), "align_corners": True} for o in (1, 3, 14)] * smooth
        for options in how:
            y = nn.functional.interpolate(mg.tensor(x), mode=mode, **options)
            close(y, torch.nn.functional.interpolate(torch.tensor(x), mode=mode, **options), dtype, f"{n} {options}")


@pytest.mark.parametrize("n", [2, 3])
def test_fractional_pooling_and_the_way_back(n):
    rng = np.random.default_rng(0)
    x, u = rng.standard_normal((2, 3, *(9, 8, 7)[:n])), rng.random((2, 3, n))
    made = [
        getattr(lib, f"FractionalMaxPool{n}d")(2, output_size=4, return_indices=True, _random_samples=tensor(u))
        for lib, tensor in ((nn, mg.tensor), (torch.nn, torch.tensor))
    ]
    (y, at), (ty, tat) = made[0](mg.tensor(x)), made[1](torch.tensor(x))
    close(y, ty, "float64", "maxima")
    close(at, tat, "float64", "positions")
    y, at = getattr(nn, f"MaxPool{n}d")(3, 2, return_indices=True)(mg.tensor(x))
    size, unpool = x.shape[2:], f"MaxUnpool{n}d"
    back = getattr(nn, unpool)(3, 2)(y, at, size)
    tback = getattr(torch.nn, unpool)(3, 2)(torch.tensor(y.numpy()), torch.tensor(at.numpy()), size)
    assert back.shape == tback.shape
    np.testing.assert_array_equal(back.numpy() != 0, tback.numpy() != 0)


@pytest.mark.parametrize("options", [{}, {"mode": "sum", "padding_idx": -1}, {"mode": "max"}, {"max_norm": 0.5}])
def test_embedding_bag(options):
    ours, theirs = twins(lambda nn: nn.EmbeddingBag(6, 3, **options), "float64")
    assert repr(ours) == repr(theirs)
    tokens, starts = np.array([0, 5, 2, 2, 1, 5, 3]), np.array([0, 3, 3, 5])
    y, ty = ours(mg.tensor(tokens), mg.tensor(starts)), theirs(torch.tensor(tokens), torch.tensor(starts))
    close(y, ty, "float64", "output")
    g = np.random.default_rng(0).standard_normal(y.shape)
    y.backward(mg.tensor(g))
    ty.backward(torch.tensor(g))
    close(ours.weight.grad, theirs.weight.grad, "float64", "gradient")
