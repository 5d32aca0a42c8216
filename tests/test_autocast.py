"""mg.autocast: what runs in which dtype, beside PyTorch's."""

import threading

import numpy as np
import pytest

import minigrad as mg
from minigrad import amp
from minigrad.amp.policy import POLICY
from minigrad.errors import ArgumentError
from minigrad.nn import functional as F

pytest.importorskip("ml_dtypes")


def test_policies_name_primitives():
    assert set(POLICY) <= set(mg.PRIMITIVES)


def test_lists():
    x, w = mg.rand(4, 6), mg.rand(6, 6, requires_grad=True)
    with mg.autocast("cpu", dtype="float16"):
        y = x @ w
        assert y.dtype == "float16" == F.linear(x, w).dtype == (y * 2.0).dtype == F.relu(y).dtype == y.mean().dtype
        for f in (F.softmax, F.log_softmax):
            assert f(y, dim=-1).dtype == "float32"
        assert y.sum().dtype == mg.exp(y).dtype == (y**2).dtype == F.layer_norm(y, (6,)).dtype == "float32"
        assert F.cross_entropy(y, mg.tensor([0, 1, 2, 3])).dtype == F.mse_loss(y, x[:, :6]).dtype == "float32"
        assert mg.concat([y, x]).dtype == (y + x).dtype == "float32" and mg.concat([y, y]).dtype == "float16"
        assert (x.double() @ w.double()).dtype == "float64"
        images = mg.rand(2, 3, 5, 5)
        z = mg.nn.Conv2d(3, 4, 3)(images)
        assert z.dtype == "float16" == mg.nn.BatchNorm2d(4)(z).dtype
        q = mg.rand(2, 3, 4, 5)
        assert F.scaled_dot_product_attention(q, q, q).dtype == "float16" == mg.einsum("ij,jk->ik", x, w).dtype
        assert mg.nn.LSTM(6, 3)(mg.rand(2, 4, 6))[0].dtype == "float16"
    assert (x @ w).dtype == "float32"
    y.float().sum().backward()
    assert w.grad.dtype == "float32" and w.dtype == "float32"


def test_a_training_step_is_pytorchs(rng):
    """The same network in bfloat16: loss and gradients as close as the type allows."""
    torch = pytest.importorskip("torch")
    ours, theirs = (
        nn.Sequential(nn.Linear(20, 32), nn.GELU(), nn.LayerNorm(32), nn.Linear(32, 5)) for nn in (mg.nn, torch.nn)
    )
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    x, t = rng.standard_normal((16, 20)).astype("f4"), rng.integers(0, 5, 16)
    with mg.autocast("cpu"):
        loss = F.cross_entropy(ours(mg.tensor(x)), mg.tensor(t))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected = torch.nn.functional.cross_entropy(theirs(torch.tensor(x)), torch.tensor(t))
    loss.backward()
    expected.backward()
    assert loss.dtype == "float32"
    np.testing.assert_allclose(loss.item(), expected.item(), rtol=1e-2)
    for p, q in zip(ours.parameters(), theirs.parameters()):
        assert p.grad.dtype == "float32"
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=0, atol=2e-2 * float(q.grad.abs().max()))


def test_nested_and_disabled_regions():
    x = mg.rand(3, 3)
    with mg.autocast("cpu", dtype="float16"):
        with mg.autocast("cpu", enabled=False):
            assert (x @ x).dtype == "float32" and not mg.is_autocast_enabled()
        with mg.autocast("cpu", dtype="bfloat16"), mg.no_grad():
            assert (x @ x).dtype == "bfloat16" == mg.get_autocast_dtype("cpu")
        assert (x @ x).dtype == "float16" and mg.is_autocast_enabled("cpu")
        with pytest.raises(ValueError), mg.autocast(dtype="bfloat16"):
            raise ValueError
        assert (x @ x).dtype == "float16"
    assert not mg.is_autocast_enabled() and mg.get_autocast_dtype("cpu") is None


def test_by_device():
    x = mg.rand(3, 3)
    with mg.autocast("cuda", dtype="float16"):
        assert (x @ x).dtype == "float32" and mg.get_autocast_dtype("cuda") == "float16" == mg.get_autocast_dtype(
            "cupy"
        )
        with mg.autocast("cpu"):
            assert (x @ x).dtype == "bfloat16" and mg.get_autocast_dtype("cuda") == "float16"
    with mg.use_backend("strict"):
        y = mg.rand(3, 3)
    with mg.autocast("strict"):
        assert (y @ y).dtype == "float16" and (x @ x).dtype == "float32"
    with mg.autocast(dtype="float16"):
        assert (y @ y).dtype == (x @ x).dtype == "float16"


def test_decorator_and_threads():
    x, seen = mg.rand(3, 3), []

    @mg.autocast("cpu", dtype="float16")
    def f(n):
        return (x @ x).dtype if n == 0 else f(n - 1)

    assert f(0) == f(2) == "float16"
    with mg.autocast("cpu"):
        thread = threading.Thread(target=lambda: seen.append((x @ x).dtype))
        thread.start()
        thread.join()
    assert seen == ["float32"]


def test_parameters_are_cast_once_and_again_after_an_update():
    w, x = mg.rand(3, 3, requires_grad=True), mg.rand(3, 3)
    with mg.autocast("cpu", dtype="float16"):
        y = x @ w @ w
        names = set()
        for inputs in (y.node.inputs, y.node.inputs[0].inputs):
            names.add(inputs[1])
        assert len(names) == 1  # one cast, used twice
        before = (x @ w).numpy().copy()
        with mg.no_grad():
            w += 1.0
        assert not np.array_equal((x @ w).numpy(), before)
        with mg.no_grad():
            (x @ w).sum()
        assert (x @ w).requires_grad
    y.float().sum().backward()
    reference = mg.tensor(w.numpy() - 1.0, requires_grad=True)
    (x @ reference @ reference).sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), reference.grad.numpy(), rtol=2e-2)


def test_gradients_and_transforms_inside_a_region():
    x = mg.rand(3, 3, requires_grad=True)
    with mg.autocast("cpu", dtype="float16"):
        (g,) = mg.autograd.grad((x @ x).sum(), x, create_graph=True)
        g.sum().backward()
        mapped = mg.func.vmap(lambda row: row @ x)(mg.rand(5, 3))
        assert mapped.dtype == "float16"
        checked = mg.func.grad(lambda w: F.linear(w, w).sum())(x.detach())
    assert g.dtype == x.grad.dtype == checked.dtype == "float32"


def test_ones_own_policy():
    x = mg.rand(3).half()
    amp.set_policy("tanh", "float32")
    try:
        with mg.autocast("cpu", dtype="float16"):
            assert mg.tanh(x).dtype == "float32"
    finally:
        amp.set_policy("tanh", None)
    with mg.autocast("cpu", dtype="float16"):
        assert mg.tanh(x).dtype == "float16"
    with pytest.raises(ArgumentError, match="no primitive"):
        amp.set_policy("tanq", "half")
    with pytest.raises(ArgumentError, match="policy must be"):
        amp.set_policy("tanh", "tiny")


def test_bad_arguments():
    with pytest.raises(ArgumentError, match="must be float16 or bfloat16"):
        mg.autocast("cpu", dtype="float64")
    with pytest.raises(ArgumentError, match="device_type must be a name"):
        mg.autocast(mg.float16)
