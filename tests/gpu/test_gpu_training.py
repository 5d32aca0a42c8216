"""Models, optimizers and switches on a GPU give what the host gives."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim


def mlp():
    return nn.Sequential(nn.Linear(33, 65), nn.GELU(), nn.LayerNorm(65), nn.Linear(65, 7)), (17, 33)


def cnn():
    return nn.Sequential(
        nn.Conv2d(3, 9, 3, padding=1), nn.BatchNorm2d(9), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(9 * 36, 7)
    ), (5, 3, 12, 12)  # fmt: skip


class Last(nn.Module):
    """The last output of a recurrent layer, and a line."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.line = layer, nn.Linear(13, 7)

    def forward(self, x):
        return self.line(self.layer(x)[0][:, -1])


def lstm():
    return Last(nn.LSTM(11, 13, batch_first=True)), (5, 9, 11)


def gru():
    return Last(nn.GRU(11, 13, batch_first=True)), (5, 9, 11)


def transformer():
    layer = nn.TransformerEncoderLayer(16, 2, 33, dropout=0.0, batch_first=True)
    return nn.Sequential(layer, nn.Flatten(), nn.Linear(9 * 16, 7)), (5, 9, 16)


@pytest.mark.parametrize("make_optimizer", [
    lambda p: optim.SGD(p, lr=0.05, momentum=0.9), lambda p: optim.AdamW(p, lr=0.01),
    lambda p: optim.RMSprop(p, lr=0.01),
])  # fmt: skip
@pytest.mark.parametrize("make", [mlp, cnn, lstm, gru, transformer])
def test_three_steps(make, make_optimizer, gpu):
    """The same losses and parameters as on the host."""
    ends = []
    for device in ("numpy", "cupy"):
        mg.manual_seed(1)
        with mg.use_backend("numpy"):
            model, shape = make()
        rng = np.random.default_rng(3)
        x, labels = rng.standard_normal((3, *shape)).astype(np.float32), rng.integers(0, 7, (3, shape[0]))
        model = model.to(device)
        optimizer, losses = make_optimizer(model.parameters()), []
        for step in range(3):
            loss = nn.functional.cross_entropy(
                model(mg.tensor(x[step], device=device)), mg.tensor(labels[step], device=device)
            )
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            losses.append(loss)
        assert all(p.is_cuda == (device == "cupy") for p in model.parameters())
        ends.append(([loss.item() for loss in losses], {k: v.numpy() for k, v in model.state_dict().items()}))
    np.testing.assert_allclose(ends[1][0], ends[0][0], rtol=1e-3)
    # the others make steps out of the rounding of a gradient that is 0: of a bias before batch norm, of the keys' bias
    for name, value in ends[0][1].items() if isinstance(optimizer, optim.SGD) else ():
        np.testing.assert_allclose(ends[1][1][name], value, rtol=1e-2, atol=2e-4, err_msg=name)


def test_tf32(gpu, fresh):
    """The switch changes the digits, and back."""
    if int(gpu.xp.cuda.Device().compute_capability) < 80:
        pytest.skip("this GPU has no TF32")
    a, b = (fresh.standard_normal((1024, 1024)).astype(np.float32) for _ in range(2))
    exact = a.astype(np.float64) @ b
    errors = []
    for flag in (False, True, False):
        gpu.set_tf32(flag)
        y = gpu.F.matmul(gpu.asarray(a), gpu.asarray(b)).get()
        errors.append(np.linalg.norm(y - exact) / np.linalg.norm(exact))
    assert errors[0] < 1e-5 and errors[2] < 1e-5 and 1e-5 < errors[1] < 3e-3, errors


def test_second_order(gpu):
    from minigrad.testing import check_primitive

    for name in ("softmax", "layer_norm", "gelu", "attention", "convolution", "cross_entropy"):
        check_primitive(name, backend="cupy")
