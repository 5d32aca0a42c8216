"""minigrad.onnx: what a runtime computes from the file is what the model computes."""

import subprocess
import sys

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, testing
from minigrad.errors import ArgumentError, BackendError, DTypeError, ExtraError, TraceError
from minigrad.nn import functional as F
from minigrad.tensor import F as ops_of

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from minigrad import onnx  # noqa: E402


def array(*shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def integers(*shape, high=10):
    return np.random.default_rng(1).integers(0, high, shape)


def run(proto, *inputs):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {i.name: x for i, x in zip(session.get_inputs(), inputs)})


def flat(item):
    return [item.numpy()] if isinstance(item, mg.Tensor) else [a for part in item for a in flat(part)]


def compare(model, *inputs, proto=None, rtol=1e-4, atol=2e-5, **options):
    """The file's outputs against the model's; returns the file."""
    tensors = tuple(mg.tensor(x) for x in inputs)
    proto = proto or onnx.export(model, tensors, **options)
    training = getattr(model, "training", False)
    if training:
        model.eval()
    with mg.no_grad():
        want = flat(model(*tensors))
    if training:
        model.train()
    got = run(proto, *inputs)
    assert len(got) == len(want)
    for a, b in zip(got, want):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol, atol)
    return proto


def ops(proto):
    return [node.op_type for node in proto.graph.node]


# ---- every layer, for any batch --------------------------------------------------------------------------------------
def randomized(model):
    """Running statistics and the like away from their start."""
    for i, b in enumerate(model.buffers()):
        if b.dtype.kind == "f" and b.ndim == 1:
            b.array[...] = np.abs(array(*b.shape, seed=i)) + 0.5
    return model


IMAGE, SERIES, VOLUME, ROWS = (3, 4, 8, 9), (3, 4, 10), (2, 4, 6, 6, 5), (3, 8)
LAYERS = {
    "Linear": (lambda: nn.Linear(8, 5), ROWS),
    "Linear of series": (lambda: nn.Linear(10, 5, bias=False), SERIES),
    "Identity": (nn.Identity, ROWS),
    "Flatten": (nn.Flatten, IMAGE),
    "Unflatten": (lambda: nn.Unflatten(1, (2, 4)), ROWS),
    "Conv1d": (lambda: nn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2), SERIES),
    "Conv2d": (lambda: nn.Conv2d(4, 6, (3, 2), padding=(1, 0), dilation=(1, 2)), IMAGE),
    "Conv2d same": (lambda: nn.Conv2d(4, 6, 4, padding="same", bias=False), IMAGE),
    "Conv2d reflect": (lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"), IMAGE),
    "Conv2d circular": (lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular"), IMAGE),
    "Conv2d replicate": (lambda: nn.Conv2d(4, 6, 3, padding=2, padding_mode="replicate"), IMAGE),
    "Conv3d": (lambda: nn.Conv3d(4, 2, 3, padding=1), VOLUME),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(4, 2, 3, stride=2, output_padding=1), SERIES),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, groups=2), IMAGE),
    "ConvTranspose3d": (lambda: nn.ConvTranspose3d(4, 2, 2, stride=2), VOLUME),
    "MaxPool1d": (lambda: nn.MaxPool1d(3, 2, padding=1), SERIES),
    "MaxPool2d": (lambda: nn.MaxPool2d(3, 2, padding=1, dilation=2), IMAGE),
    "MaxPool2d ceil": (lambda: nn.MaxPool2d(2, ceil_mode=True), IMAGE),
    "MaxPool2d indices": (lambda: nn.MaxPool2d(2, return_indices=True), IMAGE),
    "MaxPool3d": (lambda: nn.MaxPool3d(2), VOLUME),
    "AvgPool1d": (lambda: nn.AvgPool1d(3, 2, padding=1), SERIES),
    "AvgPool2d": (lambda: nn.AvgPool2d(2), IMAGE),
    "AvgPool2d uneven": (lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), IMAGE),
    "AvgPool3d": (lambda: nn.AvgPool3d(2, divisor_override=3), VOLUME),
    "AdaptiveAvgPool1d": (lambda: nn.AdaptiveAvgPool1d(3), SERIES),
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d((3, None)), IMAGE),
    "AdaptiveAvgPool2d to 1": (lambda: nn.AdaptiveAvgPool2d(1), IMAGE),
    "AdaptiveAvgPool3d": (lambda: nn.AdaptiveAvgPool3d(2), VOLUME),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(8), ROWS),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(4), IMAGE),
    "BatchNorm2d plain": (lambda: nn.BatchNorm2d(4, affine=False), IMAGE),
    "BatchNorm2d untracked": (lambda: nn.BatchNorm2d(4, track_running_stats=False), IMAGE),
    "BatchNorm3d": (lambda: nn.BatchNorm3d(4), VOLUME),
    "InstanceNorm1d": (lambda: nn.InstanceNorm1d(4), SERIES),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(4, affine=True), IMAGE),
    "InstanceNorm2d tracked": (lambda: nn.InstanceNorm2d(4, track_running_stats=True), IMAGE),
    "InstanceNorm3d": (lambda: nn.InstanceNorm3d(4), VOLUME),
    "LayerNorm": (lambda: nn.LayerNorm(10), SERIES),
    "LayerNorm of two": (lambda: nn.LayerNorm((8, 9), bias=False), IMAGE),
    "LayerNorm plain": (lambda: nn.LayerNorm(10, elementwise_affine=False), SERIES),
    "RMSNorm": (lambda: nn.RMSNorm(10), SERIES),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), IMAGE),
    "LocalResponseNorm": (lambda: nn.LocalResponseNorm(3), IMAGE),
    "Dropout": (nn.Dropout, ROWS),
    "Dropout2d": (nn.Dropout2d, IMAGE),
    "AlphaDropout": (nn.AlphaDropout, ROWS),
    "PReLU": (nn.PReLU, ROWS),
    "PReLU per channel": (lambda: nn.PReLU(4), IMAGE),
    "Softmax": (lambda: nn.Softmax(-1), ROWS),
    "LogSoftmax": (lambda: nn.LogSoftmax(1), IMAGE),
    "Softmin": (lambda: nn.Softmin(1), ROWS),
    "Softmax2d": (nn.Softmax2d, IMAGE),
    "GLU": (nn.GLU, ROWS),
    "GELU tanh": (lambda: nn.GELU("tanh"), ROWS),
    "Hardtanh": (lambda: nn.Hardtanh(-0.5, 0.7), ROWS),
    "Threshold": (lambda: nn.Threshold(0.1, -3.0), ROWS),
    "RNN": (lambda: nn.RNN(10, 6, 2, nonlinearity="relu", bidirectional=True, batch_first=True), SERIES),
    "LSTM": (lambda: nn.LSTM(10, 6, 2, bidirectional=True, batch_first=True), SERIES),
    "LSTM projected": (lambda: nn.LSTM(10, 6, proj_size=3, bidirectional=True, batch_first=True), SERIES),
    "LSTM without bias": (lambda: nn.LSTM(10, 6, bias=False, batch_first=True), SERIES),
    "GRU": (lambda: nn.GRU(10, 6, bidirectional=True, batch_first=True), SERIES),
    "GRU without bias": (lambda: nn.GRU(10, 6, bias=False, batch_first=True), SERIES),
    "RNNCell": (lambda: nn.RNNCell(8, 6), ROWS),
    "LSTMCell": (lambda: nn.LSTMCell(8, 6), ROWS),
    "GRUCell": (lambda: nn.GRUCell(8, 6), ROWS),
    "TransformerEncoderLayer": (lambda: nn.TransformerEncoderLayer(10, 2, 16, batch_first=True), SERIES),
    "PositionalEncoding": (lambda: nn.PositionalEncoding(10, batch_first=True), SERIES),
    "RotaryEmbedding": (lambda: nn.RotaryEmbedding(10), SERIES),
    "RotaryEmbedding interleaved": (lambda: nn.RotaryEmbedding(10, interleaved=True), SERIES),
}
ACTIVATIONS = (
    "CELU", "ELU", "GELU", "SELU", "Hardshrink", "Hardsigmoid", "Hardswish", "LeakyReLU", "LogSigmoid", "Mish", "ReLU",
    "ReLU6", "Sigmoid", "SiLU", "Softplus", "Softshrink", "Softsign", "Tanh", "Tanhshrink",
)  # fmt: skip
LAYERS |= {name: (getattr(nn, name), ROWS) for name in ACTIVATIONS}


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name):
    make, shape = LAYERS[name]
    mg.random.manual_seed(0)
    model, x = randomized(make()), array(*shape)
    dynamic = name != "BatchNorm2d untracked"  # statistics of the batch
    proto = compare(model, x, dynamic_batch=dynamic)
    stored = {w.name for w in proto.graph.initializer}
    saved = {name for name, b in model.state_dict().items() if b.dtype.kind == "f"}
    assert saved <= stored, "weights are stored under the names of state_dict"
    assert proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param == ("batch" if dynamic else "")
    if dynamic:
        compare(model, array(5, *shape[1:], seed=1), proto=proto)
        compare(model, array(1, *shape[1:], seed=2), proto=proto)


MORE = {
    "Embedding": (lambda: nn.Embedding(10, 4, padding_idx=2), (integers(3, 5),)),
    "Bilinear": (lambda: nn.Bilinear(3, 4, 5), (array(3, 3), array(3, 4))),
    "CosineSimilarity": (nn.CosineSimilarity, (array(3, 4), array(3, 4, seed=1))),
    "PairwiseDistance": (nn.PairwiseDistance, (array(3, 4), array(3, 4, seed=1))),
    "MSELoss": (nn.MSELoss, (array(3, 4), array(3, 4, seed=1))),
    "L1Loss": (nn.L1Loss, (array(3, 4), array(3, 4, seed=1))),
    "HuberLoss": (nn.HuberLoss, (array(3, 4), array(3, 4, seed=1))),
    "SmoothL1Loss": (nn.SmoothL1Loss, (array(3, 4), array(3, 4, seed=1))),
    "BCEWithLogitsLoss": (nn.BCEWithLogitsLoss, (array(3, 4), integers(3, 4, high=2).astype(np.float32))),
    "CrossEntropyLoss": (lambda: nn.CrossEntropyLoss(reduction="none"), (array(3, 10), integers(3))),
    "BCELoss": (nn.BCELoss, (np.abs(np.tanh(array(3, 4))), integers(3, 4, high=2).astype(np.float32))),
    "CosineEmbeddingLoss": (nn.CosineEmbeddingLoss, (array(3, 4), array(3, 4, seed=1), np.array([1, -1, 1]))),
    "GaussianNLLLoss": (nn.GaussianNLLLoss, (array(3, 4), array(3, 4, seed=1), np.abs(array(3, 4, seed=2)))),
    "MultiMarginLoss": (nn.MultiMarginLoss, (array(3, 10), integers(3))),
    "NLLLoss": (nn.NLLLoss, (array(3, 10), integers(3))),
    "TripletMarginLoss": (nn.TripletMarginLoss, (array(3, 4), array(3, 4, seed=1), array(3, 4, seed=2))),
    "TransformerEncoder": (
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2),
        (array(3, 5, 8),),
    ),
    "KLDivLoss": (lambda: nn.KLDivLoss(reduction="batchmean"), (array(3, 4), np.abs(array(3, 4, seed=1)))),
    "MultiheadAttention": (
        lambda: nn.MultiheadAttention(8, 2, batch_first=True),
        (array(3, 5, 8), array(3, 4, 8), array(3, 4, 8, seed=1)),
    ),
    "MultiheadAttention masked": (
        lambda: Masked(nn.MultiheadAttention(8, 2, batch_first=True, add_bias_kv=True)),
        (array(3, 5, 8), integers(3, 5, high=2) > 0),
    ),
    "TransformerDecoderLayer": (
        lambda: nn.TransformerDecoderLayer(8, 2, 16, batch_first=True, norm_first=True, activation="gelu"),
        (array(3, 5, 8), array(3, 4, 8)),
    ),
    "Transformer": (
        lambda: Causal(nn.Transformer(8, 2, 1, 1, 16, batch_first=True)),
        (array(3, 5, 8), array(3, 4, 8)),
    ),
    "LSTM with state": (
        lambda: Stateful(nn.LSTM(4, 5, batch_first=True)),
        (array(3, 6, 4), array(3, 5, seed=1), array(3, 5, seed=2)),
    ),
    "GPT": (lambda: GPT(), (integers(2, 6),)),
}
LAYERS |= {
    "Upsample": (lambda: nn.Upsample(scale_factor=2), IMAGE),
    "Upsample bilinear": (lambda: nn.Upsample(size=(11, 5), mode="bilinear"), IMAGE),
    "Upsample bicubic": (lambda: nn.Upsample(scale_factor=1.5, mode="bicubic", align_corners=True), IMAGE),
    "PixelShuffle": (lambda: nn.PixelShuffle(2), IMAGE),
    "PixelUnshuffle": (lambda: nn.PixelUnshuffle(2), (3, 4, 8, 6)),
    "ChannelShuffle": (lambda: nn.ChannelShuffle(2), IMAGE),
    "ZeroPad2d": (lambda: nn.ZeroPad2d((1, 2, -1, 0)), IMAGE),
    "ReflectionPad2d": (lambda: nn.ReflectionPad2d(2), IMAGE),
    "ReplicationPad3d": (lambda: nn.ReplicationPad3d(1), VOLUME),
    "CircularPad1d": (lambda: nn.CircularPad1d(2), SERIES),
    "ConstantPad1d": (lambda: nn.ConstantPad1d(2, 3.5), SERIES),
    "AdaptiveAvgPool2d uneven": (lambda: nn.AdaptiveAvgPool2d((3, 4)), IMAGE),
    "AdaptiveMaxPool2d": (lambda: nn.AdaptiveMaxPool2d((3, 4)), IMAGE),
    "LPPool2d": (lambda: nn.LPPool2d(2, 2), (3, 4, 8, 8)),
    "Unfold": (lambda: nn.Unfold((2, 3), stride=(2, 1), padding=1), IMAGE),
    "Fold": (lambda: nn.Fold((5, 6), 2, stride=1, padding=1), (3, 8, 42)),
    "SwiGLU": (lambda: nn.SwiGLU(), ROWS),
    "RReLU": (nn.RReLU, ROWS),
}


class Masked(nn.Module):
    def __init__(self, attention):
        self.attention = attention

    def forward(self, x, mask):
        mask = mg.logical_and(mask, mg.tensor([True] * 4 + [False]))  # some key is seen
        return self.attention(x, x, x, key_padding_mask=mask, need_weights=False, is_causal=False)[0]


class Causal(nn.Module):
    def __init__(self, transformer):
        self.transformer = transformer

    def forward(self, src, tgt):
        return self.transformer(src, tgt, tgt_is_causal=True)


class Stateful(nn.Module):
    def __init__(self, lstm):
        self.lstm = lstm

    def forward(self, x, h, c):
        return self.lstm(x, (h[None], c[None]))


class Block(nn.Module):
    def __init__(self, size, heads):
        self.norm1, self.norm2 = nn.LayerNorm(size), nn.LayerNorm(size)
        self.attention = nn.MultiheadAttention(size, heads, batch_first=True)
        self.up, self.down = nn.Linear(size, 4 * size), nn.Linear(4 * size, size)

    def forward(self, x):
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False, is_causal=True)[0]
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class GPT(nn.Module):
    """Token and position embeddings, causal blocks, and the token table again as the output map."""

    def __init__(self, vocabulary=10, length=12, size=8, heads=2, blocks=2):
        self.token, self.place = nn.Embedding(vocabulary, size), nn.Embedding(length, size)
        self.blocks = nn.Sequential(*(Block(size, heads) for _ in range(blocks)))
        self.norm = nn.LayerNorm(size)

    def forward(self, tokens):
        x = self.token(tokens) + self.place(mg.arange(tokens.shape[1]))
        return F.linear(self.norm(self.blocks(x)), self.token.weight)


class Residual(nn.Module):
    def __init__(self, channels):
        self.conv1, self.conv2 = (nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2))
        self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)

    def forward(self, x):
        y = self.norm2(self.conv2(self.norm1(self.conv1(x)).relu()))
        y += x
        return y.relu()


@pytest.mark.parametrize("name", MORE)
def test_layer_of_several_inputs(name):
    make, inputs = MORE[name]
    mg.random.manual_seed(0)
    model = make()
    dynamic = "Loss" not in name or name == "CrossEntropyLoss"  # a mean divides by the length
    proto = compare(model, *inputs, dynamic_batch=dynamic)
    if dynamic:
        compare(model, *(np.concatenate([x, x[:2]]) for x in inputs), proto=proto)
        compare(model, *(x[:1] for x in inputs), proto=proto)


# ---- every primitive, by the samples of its declaration --------------------------------------------------------------
WITHOUT_NODES = {  # what ONNX has no operator for, or what no layer needs
    "scatter", "setitem", "view_set", "dropout_mask", "convolution_weight", "window_sum_backward",
    "adaptive_avg_pool_backward", "argpartition", "partition", "searchsorted", "group_extreme",
    "cumprod", "logcumsumexp", "argcummax", "einsum", "diagonal", "embed_diagonal",
    "solve", "inv", "solve_triangular", "det", "cofactors", "slogdet", "cholesky", "qr", "eigh", "eigvalsh", "eig",
    "eigvals", "svd", "svdvals", "lu_factor", "matrix_exp", "pinv", "dft", "rdft", "irdft", "real", "imag", "angle",
    "fmod", "logaddexp2", "sinc", "fmax", "fmin", "nan_to_num", "nextafter", "frexp", "isposinf", "isneginf", "isreal",
    "iscomplex", "gcd", "lcm", "erfcx", "log_ndtr", "erfinv", "ndtri", "lgamma", "digamma", "polygamma_of", "i0", "i0e",
    "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "modified_bessel_k0", "modified_bessel_k1", "igamma", "igammac",
    "scaled_modified_bessel_k0", "scaled_modified_bessel_k1", "airy_ai", "airy_ai_prime", "zeta",
    "i1", "i1e",
}  # fmt: skip


def calls(name):
    """(function, arguments) for the samples, in float32."""
    for sample in testing.sample_inputs(name, np.random.default_rng(0)):
        args = [a.astype(np.float32) if getattr(a, "dtype", None) == np.float64 else a for a in sample.args]
        yield (lambda *xs, _p=sample.params: getattr(ops_of, name)(*xs, **_p)), args


def mapped(name):
    p = mg.PRIMITIVES[name]
    return name not in ("move", "alias", "copy") and not name.endswith("_backward") and p.kind != "device"


@pytest.mark.parametrize("name", [n for n in mg.PRIMITIVES if mapped(n)])
def test_primitive(name):
    for f, args in calls(name):
        tensors = tuple(mg.tensor(a) if isinstance(a, np.ndarray) else a for a in args)
        if not any(isinstance(t, mg.Tensor) and t.size for t in tensors):
            continue
        try:
            proto = onnx.export(f, tensors)
        except TraceError as error:
            assert any(f"primitive {n}," in str(error) for n in WITHOUT_NODES), error
            continue
        got = run(proto, *(a for a in args if isinstance(a, np.ndarray)))
        for a, b in zip(got, flat(f(*tensors)), strict=True):
            assert a.shape == b.shape and a.dtype == b.dtype
            np.testing.assert_allclose(a, b, 1e-4, 2e-5, err_msg=name)


# ---- models ----------------------------------------------------------------------------------------------------------
def test_mlp():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 3))
    proto = compare(model, array(2, 3, 4), dynamic_batch=True)
    assert ops(proto) == ["Reshape", "Gemm", "Relu", "Gemm"]
    assert model.training and all(m.training for m in model.modules()), "the model is as it was"


def test_cnn():
    """A bias is the convolution's own, a running norm one node, a mean pooling one node."""
    layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3, padding=1)]
    model = randomized(nn.Sequential(*layers, nn.AvgPool2d(2), nn.Flatten(), nn.Linear(24, 10)))
    proto = compare(model, array(2, 1, 11, 11), dynamic_batch=True)
    nodes = ["Conv", "BatchNormalization", "Relu", "MaxPool", "Conv", "AveragePool", "Reshape", "Gemm"]
    assert ops(proto) == nodes
    assert [n.name.split("_")[0] for n in proto.graph.node][:2] == ["0/Conv", "1/BatchNormalization"]


def test_fully_convolutional_model_takes_any_image():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    proto = onnx.export(model, mg.tensor(array(2, 3, 9, 9)), dynamic_axes={"input": {0: "b", 2: "h", 3: "w"}})
    compare(model, array(1, 3, 17, 6), proto=proto)
    compare(model, array(4, 3, 5, 12), proto=proto)


def test_residual_block():
    model = randomized(nn.Sequential(Residual(4), Residual(4)))
    proto = compare(model, array(2, 4, 6, 6), dynamic_batch=True)
    assert ops(proto) == ["Conv", "BatchNormalization", "Relu", "Conv", "BatchNormalization", "Add", "Relu"] * 2
    compare(model, array(3, 4, 6, 6), proto=proto)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_recurrent_model_takes_any_length(kind):
    model = getattr(nn, kind)(4, 5, 2, bidirectional=True)
    axes = {"x": {0: "time", 1: "batch"}}
    names = ["y", "h", "c"] if kind == "LSTM" else ["y", "h"]
    proto = compare(model, array(6, 3, 4), input_names=["x"], output_names=names, dynamic_axes=axes)
    assert ops(proto).count(kind) == 4
    assert [d.dim_param or d.dim_value for d in proto.graph.output[0].type.tensor_type.shape.dim] == [
        "time",
        "batch",
        10,
    ]
    compare(model, array(9, 1, 4), proto=proto)
    compare(model, array(1, 2, 4), proto=proto)


@pytest.mark.parametrize("opset", [18, 20, 23])
def test_transformer_takes_any_length(opset):
    model = Causal(nn.Transformer(8, 2, 2, 2, 16, batch_first=True, activation="gelu"))
    axes = {"src": {0: "batch", 1: "source"}, "tgt": {0: "batch", 1: "target"}}
    options = {"input_names": ["src", "tgt"], "dynamic_axes": axes, "opset_version": opset}
    proto = compare(model, array(3, 5, 8), array(3, 4, 8), **options)
    assert proto.opset_import[0].version == opset and ("Gelu" in ops(proto)) == (opset >= 20)
    compare(model, array(2, 3, 8), array(2, 7, 8), proto=proto)
    compare(model, array(1, 1, 8), array(1, 1, 8), proto=proto)


def test_gpt_takes_any_length():
    """Positions are counted in the graph, and the tied table is stored once."""
    model = GPT()
    proto = compare(model, integers(3, 5), dynamic_axes={"input": [0, 1]})
    assert [w.name for w in proto.graph.initializer].count("token.weight") == 1
    for shape in ((1, 12), (4, 1), (2, 7)):
        compare(model, integers(*shape), proto=proto)


# ---- what goes in and comes out --------------------------------------------------------------------------------------
def test_file_and_names(tmp_path):
    import onnx as library

    model = nn.Linear(3, 2)
    model(mg.tensor(array(2, 3)))
    returned = onnx.export(model, mg.tensor(array(2, 3)), tmp_path / "m.onnx", input_names=["a"], output_names=["b"])
    read = library.load(tmp_path / "m.onnx")
    assert read == returned and [p.name for p in tmp_path.iterdir()] == ["m.onnx"]
    assert (read.graph.input[0].name, read.graph.output[0].name, read.producer_name) == ("a", "b", "minigrad")
    assert model._hooks is None, "calls of the model cost what they did"


def test_functions_nests_and_constants():
    table = mg.tensor(array(4))

    def f(x, options, scale=1):
        a, b = options["pair"]
        return {"sum": (a + b) * table, "more": [x * scale, x]}

    x, a, b = array(2, 4), array(2, 4, seed=1), array(2, 4, seed=2)
    pair = {"pair": (mg.tensor(a), mg.tensor(b))}
    proto = onnx.export(f, (mg.tensor(x), pair), kwargs={"scale": 3.0}, output_names=["sum", "scaled", "same"])
    for got, want in zip(run(proto, x, a, b), ((a + b) * table.numpy(), 3 * x, x), strict=True):
        np.testing.assert_allclose(got, want, 1e-6)


def test_output_that_is_an_input_or_a_weight_or_twice():
    model = nn.Linear(2, 2)
    proto = onnx.export(lambda x: (x, x, model.weight, x + 1, x * 0 + 1), mg.ones(2, 2))
    assert len(run(proto, np.ones((2, 2), np.float32))) == 5


def test_frozen_and_non_contiguous_arrays():
    x = np.broadcast_to(array(1, 4), (3, 4))
    compare(nn.Linear(4, 2), x, dynamic_batch=True)
    model = nn.Linear(4, 2)
    model.weight.data = mg.tensor(np.asfortranarray(array(2, 4)))
    compare(model, array(3, 4))


def test_float64_is_kept():
    proto = compare(nn.Sequential(nn.Linear(4, 3), nn.GELU(), nn.LayerNorm(3)).double(), array(2, 4, dtype=np.float64))
    assert "Gelu" not in ops(proto), "few runtimes have it in float64"


@pytest.mark.parametrize("key", [
    (0,), (-1,), (slice(None, None, -2),), (Ellipsis, 1), (None, 1, slice(1, 3)), (slice(-3, -1), None, 0),
    (np.array([0, -1]),), (slice(None), np.array([[0, 2]])), (np.array([0, 1]), np.array([2, 0])),
    (0, slice(None), np.array([1, 2])), (slice(None), 1, np.array([0, 1])), (slice(None), np.array([0, 1]), 2),
    (slice(None), np.array([0, 1]), np.array([[1], [2]])), (np.array([0, 1]), slice(None), np.array([3, 1])),
], ids=str)  # fmt: skip
def test_indexing(key):
    compare(lambda x: x[key], array(3, 4, 5))


def test_edits_in_place():
    def f(x):
        y = x * 2
        y += x
        y *= x
        return y

    compare(f, array(2, 3))


# ---- what cannot be exported says so ---------------------------------------------------------------------------------
class Deciding(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Downloading(nn.Module):
    def forward(self, x):
        return x * x.numpy().max()


@pytest.mark.parametrize(("model", "shape", "words"), [
    (nn.Sequential(nn.Linear(4, 4), Deciding()), (2, 4), r"layer 1 \(Deciding\) looks at the elements"),
    (nn.Embedding(5, 2, max_norm=1.0), None, "Embedding looks at the elements"),
    (nn.EmbeddingBag(5, 2), None, "EmbeddingBag"),
    (nn.FractionalMaxPool2d(2, output_size=(2, 2)), (1, 1, 4, 4), "draws random numbers"),
    (nn.Sequential(nn.Softmax(1), Downloading()), (2, 4), r"layer 1 \(Downloading\) looks at the elements"),
    (lambda x: mg.one_hot(x, 5), None, "looks at the elements"),
    (lambda x: np.asarray(x), (2, 4), "looks at the elements"),
    (lambda x: [float(v) for v in x], (2,), "looks at the elements"),
    (lambda x: x[x > 0], (2, 4), "selects by a mask"),
    (lambda x: ops_of.convolution_weight(x, x, size=(1,), stride=(1,), padding=(0,), dilation=(1,), groups=1),
     (2, 2, 4), "the function uses the primitive convolution_weight"),
])  # fmt: skip
def test_refused(model, shape, words):
    x = mg.tensor(integers(3, high=5) if shape is None else array(*shape))
    x = x[None] if isinstance(model, nn.EmbeddingBag) else x
    with pytest.raises((TraceError, DTypeError), match=words):
        onnx.export(model, x)


def test_edit_of_a_part_is_refused():
    def f(x):
        y = x * 1
        y[0] = 0
        return y

    with pytest.raises(TraceError, match="in place"):
        onnx.export(f, mg.ones(2, 3))
    with pytest.raises(TraceError, match="in place"):
        onnx.export(lambda x: x.reshape(3, 2).add_(1), mg.ones(2, 3))


def test_lengths_that_would_be_frozen_are_refused():
    constant = mg.tensor(array(3))
    with pytest.raises(TraceError, match="dynamic axes of lengths"):
        onnx.export(lambda x: x + constant, mg.ones(3), dynamic_batch=True)
    with pytest.raises(TraceError, match="constant of shape"):
        onnx.export(lambda x: x + mg.tensor(np.arange(len(x)) ** 2.0), mg.ones(3), dynamic_batch=True)
    with pytest.raises(TraceError, match="works differently"):
        onnx.export(lambda x: x * (1 / len(x)), mg.ones(3), dynamic_batch=True)
    with pytest.raises(TraceError, match="works differently"):
        onnx.export(lambda x: sum((row for row in x), start=mg.zeros(2)), mg.ones(3, 2), dynamic_batch=True)
    with pytest.raises(TraceError, match="not understood"):
        onnx.export(lambda x: mg.zeros(len(x) // 2) + x[::2][: len(x) // 2], mg.ones(9), dynamic_batch=True)


def test_arguments_that_are_wrong():
    model, x = nn.Linear(3, 2), mg.ones(2, 3)
    for words, options in (
        ("opset_version", {"opset_version": 12}),
        ("input_names", {"input_names": ["a", "b"]}),
        ("output_names", {"output_names": ["a", "b"]}),
        ("no axis 2", {"dynamic_axes": {"input": {2: "n"}}}),
        ("follows no dynamic axis", {"dynamic_axes": {"output": {1: "n"}}}),
        ("two lengths", {"dynamic_axes": {"input": {0: "n", 1: "n"}}}),
    ):
        with pytest.raises(ArgumentError, match=words):
            onnx.export(model, x, **options)
    with pytest.raises(ArgumentError, match="at least one tensor"):
        onnx.export(model, ())
    with pytest.raises(ArgumentError, match="empty"):
        onnx.export(model, mg.ones(0, 3), dynamic_batch=True)
    with pytest.raises(DTypeError, match="must return tensors"):
        onnx.export(lambda x: None, x)


class Keeping(nn.Module):
    def forward(self, x):
        self.last = x * 2
        return self.last


def test_arrays_kept_by_the_model_say_where_they_come_from():
    model = Keeping()
    onnx.export(model, mg.ones(2))
    with pytest.raises(TraceError, match="an export that is over"):
        model.last + 1
    assert model(mg.ones(2)).tolist() == [2, 2]


def test_model_on_another_device_is_refused():
    from strict import STRICT

    model = nn.Linear(2, 2).to(STRICT)
    with pytest.raises(BackendError, match="weight is on strict"):
        onnx.export(model, mg.ones(1, 2))


def test_the_model_survives_a_refusal():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), Deciding())
    before = {name: t.numpy().copy() for name, t in model.state_dict().items()}
    with pytest.raises(TraceError):
        onnx.export(model, mg.ones(2, 4))
    assert model.training and all(m._hooks is None for m in model.modules())
    for name, t in model.state_dict().items():
        np.testing.assert_array_equal(t.numpy(), before[name])
    assert model(mg.tensor(array(3, 4))).shape == (3, 4)


def test_importing_minigrad_imports_no_onnx():
    code = "import minigrad, minigrad.onnx, sys; print('onnx' in sys.modules, 'google.protobuf' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_missing_package_names_its_extra(monkeypatch):
    for name in [m for m in sys.modules if m.split(".")[0] == "onnx"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ExtraError, match=r"minigrad-engine\[onnx\]"):
        onnx.export(nn.Linear(2, 2), mg.ones(1, 2))
