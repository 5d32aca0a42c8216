"""float16 and bfloat16: stored in two bytes, computed with in float32, promoted as PyTorch promotes."""

import subprocess
import sys

import numpy as np
import pytest

import minigrad as mg
from minigrad import io
from minigrad.errors import DTypeError
from minigrad.nn import functional as F

pytest.importorskip("ml_dtypes")
NAMES = ["float16", "bfloat16"]


def values(t):
    return t.detach().numpy().astype(np.float64)


@pytest.fixture(params=NAMES)
def half(request):
    return request.param


def test_ways_to_a_half(half):
    x = mg.tensor([1.0, 2.5])
    for t in (
        x.to(half),
        x.astype(half),
        getattr(x, {"float16": "half"}.get(half, half))(),
        mg.tensor([1.0, 2.5], dtype=half),
        mg.asarray(np.array([1.0, 2.5]), dtype=half),
        mg.asarray(x.to(half).numpy()),
        mg.full((2,), 2.5, dtype=half),
        mg.zeros(2, dtype=half),
        mg.ones_like(x, dtype=half),
        mg.arange(3, dtype=half),
        mg.linspace(0, 1, 3, dtype=half),
        mg.eye(2, dtype=half),
        mg.randn(2, dtype=half),
        x.to(half) * 2,
    ):
        assert t.dtype == half == str(t.dtype) and t.nbytes == 2 * t.size
    assert x.to(half).float().tolist() == [1.0, 2.5] and x.to(half).tolist() == [1.0, 2.5]
    assert getattr(mg, half) == half and mg.is_floating_point(x.to(half)) and x.to(half).is_floating_point()
    assert repr(x.to(half)) == f"tensor([1. , 2.5], dtype={half})"
    assert mg.isdtype(half, "real floating") and mg.finfo(half).bits == 16
    assert x.to(half).requires_grad_().requires_grad


def test_promotion_is_pytorchs(half):
    torch = pytest.importorskip("torch")
    ours = {n: mg.ones(2, dtype=n) for n in (*NAMES, "float32", "float64", "int64", "uint8", "bool")}
    theirs = {n: torch.ones(2, dtype=getattr(torch, n)) for n in ours}
    for name in ours:
        for op in (mg.add, mg.multiply, mg.divide, mg.maximum):
            a, b = getattr(torch, op.__name__)(theirs[half], theirs[name]), op(ours[half], ours[name])
            assert str(a.dtype) == f"torch.{b.dtype}", (name, op)
        assert (
            str(torch.promote_types(theirs[half].dtype, theirs[name].dtype)) == f"torch.{mg.promote_types(half, name)}"
        )
    for number in (2, 2.5, True):
        assert (ours[half] * number).dtype == half == mg.result_type(half, number)
    assert mg.concat([ours["float16"], ours["bfloat16"]]).dtype == "float32"
    assert mg.can_cast(half, "float32") and not mg.can_cast("float32", half)


CALLS = {
    "sum": lambda m, f, x, w: x.sum(),
    "mean": lambda m, f, x, w: x.mean(-1),
    "var": lambda m, f, x, w: x.var(-1) if m is not mg else x.var(-1, correction=1),
    "matmul": lambda m, f, x, w: x @ w.T,
    "linear": lambda m, f, x, w: f.linear(x, w),
    "softmax": lambda m, f, x, w: f.softmax(x, dim=-1),
    "log_softmax": lambda m, f, x, w: f.log_softmax(x, dim=-1),
    "layer_norm": lambda m, f, x, w: f.layer_norm(x, (300,)),
    "group_norm": lambda m, f, x, w: f.group_norm(x, 3),
    "gelu": lambda m, f, x, w: f.gelu(x),
    "logsumexp": lambda m, f, x, w: m.logsumexp(x, -1),
    "tanh": lambda m, f, x, w: m.tanh(x),
    "conv": lambda m, f, x, w: f.conv1d(x.reshape(4, 8, 600)[:, :, ::7], w.reshape(10, 8, 150)[:, :, :3]),
    "attention": lambda m, f, x, w: f.scaled_dot_product_attention(
        x.reshape(4, 2, 20, 120), x.reshape(4, 2, 20, 120), x.reshape(4, 2, 20, 120), is_causal=True
    ),
    "max": lambda m, f, x, w: m.amax(x, 1),
    "index": lambda m, f, x, w: x[:, ::3] * 2.0,
}


@pytest.mark.parametrize("call", CALLS)
def test_accumulates_in_float32_as_pytorch_does(call, half, rng):
    """The result and the gradients are PyTorch's to the last bits of the half type, on 64 x 300 numbers."""
    torch = pytest.importorskip("torch")
    arrays = [rng.standard_normal(s).astype("f4") for s in ((64, 300), (40, 300))]
    x, w = (mg.tensor(a).to(half).requires_grad_() for a in arrays)
    tx, tw = (torch.tensor(a).to(getattr(torch, half)).requires_grad_() for a in arrays)
    y, ty = CALLS[call](mg, F, x, w), CALLS[call](torch, torch.nn.functional, tx, tw)
    assert y.dtype == half and str(ty.dtype) == f"torch.{half}" and y.shape == tuple(ty.shape)
    close = {"rtol": 4 * mg.finfo(half).eps, "atol": 4 * mg.finfo(half).eps}
    np.testing.assert_allclose(values(y), ty.detach().double().numpy(), **close)
    weight = rng.standard_normal(y.shape).astype("f4")
    (y * mg.tensor(weight).to(half)).sum().backward()
    (ty * torch.tensor(weight).to(ty.dtype)).sum().backward()
    assert x.grad.dtype == half
    g = tx.grad.double().numpy()
    np.testing.assert_allclose(values(x.grad), g, rtol=close["rtol"], atol=close["atol"] * (1 + np.abs(g).max()))


def test_a_long_sum_loses_nothing(half):
    """In the half type itself it would stop growing at 2048 or 256."""
    assert mg.ones(20_000, dtype=half).sum().item() == mg.tensor(20_000.0).to(half).item()
    assert mg.full((4096,), 3.0, dtype=half).mean().item() == 3.0


def test_float16_overflows_to_infinity_silently():
    x = mg.tensor([60_000.0]).half()
    assert (x * 2).item() == x.sum().item() * np.inf == mg.tensor([1e6]).half().item()
    x = mg.tensor([60_000.0, 1.0]).half().requires_grad_()
    (x * 2.0 + x * 2.0).backward(mg.ones(2).half())
    assert x.grad.tolist() == [4.0, 4.0]


def test_views_stay_views(half):
    x = mg.zeros(2, 3, dtype=half)
    x[0] = 2.0
    x.T[1] += 1.0
    assert x.tolist() == [[2.0, 3.0, 2.0], [0.0, 1.0, 0.0]] and x.dtype == half
    assert np.shares_memory(x.numpy(), x.reshape(3, 2).numpy())


def test_second_order(half):
    x = mg.tensor([0.5, -1.0], dtype=half, requires_grad=True)
    (g,) = mg.autograd.grad((x**3).sum(), x, create_graph=True)
    (h,) = mg.autograd.grad(g.sum(), x)
    assert g.dtype == h.dtype == half and h.tolist() == [3.0, -6.0]


def test_modules(half):
    model = mg.nn.Sequential(
        mg.nn.Conv2d(1, 4, 3), mg.nn.BatchNorm2d(4), mg.nn.ReLU(), mg.nn.Flatten(), mg.nn.Linear(36, 3)
    )
    getattr(model, {"float16": "half"}.get(half, half))()
    assert {p.dtype.name for p in model.parameters()} == {half}
    assert {b.dtype.name for b in model.buffers()} == {half, "int64"}
    loss = F.cross_entropy(model(mg.randn(6, 1, 5, 5, dtype=half)), mg.tensor([0, 1, 2, 0, 1, 2]))
    loss.backward()
    assert all(p.grad.dtype == half and np.isfinite(values(p.grad)).all() for p in model.parameters())
    assert {p.dtype.name for p in model.float().parameters()} == {"float32"}


@pytest.mark.parametrize("suffix", ["safetensors", "npz"])
def test_files(tmp_path, half, suffix):
    if suffix == "safetensors":
        pytest.importorskip("safetensors")
    state = {"w": mg.tensor([1.5, -2.0, 3e38 if half == "bfloat16" else 65504.0]).to(half), "n": mg.tensor([1, 2])}
    path = tmp_path / f"state.{suffix}"
    io.save(state, path)
    loaded = io.load(path)
    assert mg.asarray(loaded["w"]).dtype == half
    np.testing.assert_array_equal(values(mg.asarray(loaded["w"])), values(state["w"]))
    model = mg.nn.Linear(2, 2).to(half)
    io.save(model.state_dict(), path)
    other = mg.nn.Linear(2, 2).to(half)
    other.load_state_dict(io.load(path))
    np.testing.assert_array_equal(values(other.weight), values(model.weight))


def test_without_ml_dtypes_the_error_says_so():
    code = """
import sys
sys.modules["ml_dtypes"] = None
import minigrad as mg
for ask in (lambda: mg.bfloat16, lambda: mg.ones(2).bfloat16(), lambda: mg.zeros(2, dtype="bfloat16")):
    try:
        ask()
    except mg.errors.DTypeError as error:
        print(error)
print(mg.ones(2).half().dtype, mg.autograd)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.count("bfloat16: NumPy has it through ml_dtypes, which is not installed") == 3, done.stderr
    assert "float16" in done.stdout.splitlines()[-1]


def test_unknown_dtypes_are_refused():
    with pytest.raises(DTypeError, match="no dtype of tensors"):
        mg.ones(2).astype("float8_e4m3fn" if hasattr(np, "float8") else "S1")


def test_no_kernel_takes_halves(half, monkeypatch):
    """Compiled kernels know float32 and float64. Every family is asked, with sizes it serves; halves go to float32."""
    admitted, asked = [], set()

    def watched(name, when):
        def watch(*arrays, **params):
            asked.add(name)
            served = when(*arrays, **params)
            if served and any(getattr(a, "dtype", None) == half for a in arrays):
                admitted.append(name)
            return served

        return watch  # without `smallest`: small calls ask as well

    for name, p in mg.PRIMITIVES.items():
        if "numba" in p.kernels:
            monkeypatch.setitem(p.kernels, "numba", [(watched(name, when), load) for when, load in p.kernels["numba"]])
        for backend in list(p.impl):
            backend.F.__dict__.pop(name, None)
        p.impl.clear()
    nn, x = mg.nn, mg.randn(16, 8, 12, 12).to(half)
    rows, tokens = mg.randn(32, 10, 64).to(half), mg.randint(0, 50, (64, 20))
    picture = [
        nn.Conv2d(8, 16, 3), nn.BatchNorm2d(16), nn.MaxPool2d(2), nn.GroupNorm(4, 16), nn.AvgPool2d(2),
        nn.ConvTranspose2d(16, 8, 2), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 300), nn.GELU(),
        nn.Softmax(-1),
    ]  # fmt: skip
    for layers, data in (
        ((nn.Sequential(*picture),), x),
        ((nn.LayerNorm(64), nn.RMSNorm(64), nn.MultiheadAttention(64, 4, batch_first=True)), rows),
        ((nn.LSTM(64, 32, batch_first=True), nn.GRU(64, 32, batch_first=True), nn.RNN(64, 32, batch_first=True)), rows),
        ((nn.LSTMCell(64, 32), nn.GRUCell(64, 32)), rows[0]),
    ):
        for layer in layers:
            layer.to(half)
            y = layer(data, data, data) if isinstance(layer, nn.MultiheadAttention) else layer(data)
            y = y[0] if isinstance(y, tuple) else y
            (y * y).mean().backward()
            assert all(p.grad is None or p.grad.dtype == half for p in layer.parameters())
    scores = nn.Embedding(50, 512).to(half)(tokens).reshape(-1, 512)
    for y in (
        F.cross_entropy(scores, mg.zeros(1280, dtype="int64")),
        F.log_softmax(scores, -1).mean(),
        mg.logsumexp(scores, -1).mean(),
        mg.take_along_axis(scores, mg.zeros(1280, 2, dtype="int64"), axis=1).max(),
        mg.tanh(scores).min()
        + mg.exp(-scores * scores).sum(0).max()
        + mg.sin(scores).mean()
        + mg.atan2(scores, scores).max(),
        F.scaled_dot_product_attention(rows, rows, rows).mean() + scores[::2].sum(0).max() + scores.amax(-1).sum(),
    ):
        assert y.dtype == half
        if y.requires_grad:
            y.backward(retain_graph=True)
    w = mg.ones(200, 200).to(half).requires_grad_()
    for optimizer in (mg.optim.SGD([w], lr=0.1, momentum=0.9), mg.optim.AdamW([w], lr=0.1)):
        w.grad = mg.ones(200, 200).to(half)
        nn.utils.clip_grad_norm_([w], 1.0)
        optimizer.step()
    assert w.dtype == w.grad.dtype == half and np.isfinite(values(w)).all()
    assert len(asked) > 60 and not admitted
    for p in mg.PRIMITIVES.values():  # the watches go
        for backend in list(p.impl):
            backend.F.__dict__.pop(p.name, None)
        p.impl.clear()


FUNCTIONS = {
    "dropout": lambda x: F.dropout(x, 0.5),
    "gumbel_softmax": lambda x: F.gumbel_softmax(x),
    "soft labels": lambda x: F.cross_entropy(x, F.softmax(x.detach(), -1)),
    "ignored labels": lambda x: F.cross_entropy(x, mg.tensor([0, 1, 2, -100])),
    "ctc_loss": lambda x: F.ctc_loss(
        F.log_softmax(x[:, None], -1), mg.tensor([[1, 2]]), mg.tensor([4]), mg.tensor([2])
    ),
    "mask": lambda x: F.scaled_dot_product_attention(x, x, x, attn_mask=mg.zeros(4, 4, dtype=x.dtype)),
    "interpolate": lambda x: F.interpolate(x[None, None], scale_factor=2),
    "norm": lambda x: mg.linalg.norm(x),
    "svdvals": lambda x: mg.linalg.svdvals(x),
    "nansum": lambda x: mg.nansum(mg.where(x > 0, x, mg.nan)),
    "topk": lambda x: mg.topk(x, 2)[0],
    "cummax": lambda x: mg.cummax(x, 0)[0],
    "prod": lambda x: mg.prod(x, axis=1),
    "edit": lambda x: (x * 1).add_(mg.ones(4, 6)),
    "transformer": lambda x: mg.nn.TransformerEncoderLayer(6, 2, batch_first=True).to(x.dtype)(x[None]),
    "vmap": lambda x: mg.func.vmap(lambda row: F.softmax(row * row, dim=-1))(x),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_keep_the_type(name, half):
    x = mg.randn(4, 6, dtype=half).requires_grad_()
    y = FUNCTIONS[name](x)
    (y * y).sum().backward()
    assert y.dtype == x.grad.dtype == half and np.isfinite(values(x.grad)).all()


def test_function_transforms(half):
    x = mg.randn(4, dtype=half)
    assert mg.func.grad(lambda x: (x * x).sum())(x).dtype == half
    y, dy = mg.func.jvp(lambda x: x * x, (x,), (mg.ones_like(x),))
    assert y.dtype == dy.dtype == half and dy.tolist() == (2 * x).tolist()
