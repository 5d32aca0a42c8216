"""Training on the backend "cupy" without a GPU: a fake CuPy over NumPy, and the CUDA kernels run by cuda_emulator.

So the whole way is taken that a GPU takes, but for CuPy itself: which kernel admits which call, what rules hand on, the
optimizer's kernels, clipping. The result is the host's.
"""

import sys
from contextlib import contextmanager

import fake_cupy
import numpy as np
import pytest
from cuda_emulator import COMPILER, Emulator
from minigrad.kernels.cuda import launch

import minigrad as mg
from minigrad import nn, optim
from minigrad.nn.utils import clip_grad
from minigrad.optim import optimizer
from minigrad.primitive import PRIMITIVES

pytestmark = [
    pytest.mark.skipif(not COMPILER, reason="needs a C++ compiler (g++ or clang++)"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the emulator needs Linux's memory protection"),
]


@contextmanager
def device():
    """The backend "cupy" with its kernels; gives the emulator."""
    kernels = {p: p.kernels["cupy"] for p in PRIMITIVES.values() if "cupy" in p.kernels}
    with fake_cupy.in_place(devices=1) as cupy:
        for p, found in kernels.items():
            p.kernels["cupy"] = found
        for table in (optimizer.KERNELS, clip_grad.KERNELS):
            table["cupy"] = "cuda"
        emulator = Emulator(3, cupy, fake_cupy.ndarray)
        before = launch.use(emulator)
        try:
            yield emulator
        finally:
            launch.use(before)
    assert not emulator.spoilt


class Last(nn.Module):
    """The last output of a recurrent layer, and a line."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.line = layer, nn.Linear(7, 3)

    def forward(self, x):
        return self.line(self.layer(x)[0][:, -1])


class Words(nn.Module):
    """A small transformer over words."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(11, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 9, dropout=0.0, batch_first=True, activation="gelu")
        self.line = nn.Linear(8, 3)

    def forward(self, x):
        return self.line(self.layer(self.words(x)).mean(axis=1))


MODELS = {
    "mlp": (lambda: nn.Sequential(nn.Linear(5, 9), nn.SiLU(), nn.Dropout(0.3), nn.LayerNorm(9), nn.Linear(9, 3)),
            (4, 5),
            {"dropout_factors", "norm_rows", "norm_rows_backward", "elementwise", "channel_sums_columns"}),
    "cnn": (lambda: nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
                                  nn.Conv2d(4, 4, 3, stride=2, groups=2), nn.Flatten(), nn.Linear(4, 3)), (3, 2, 6, 6),
            {"convolution", "convolution_input", "convolution_weight", "max_pool", "scatter_lines", "channel_apply",
             "channel_backward"}),
    "lstm": (lambda: Last(nn.LSTM(5, 7, batch_first=True)), (3, 4, 5), {"lstm_gates", "lstm_gates_backward"}),
    "gru": (lambda: Last(nn.GRU(5, 7, batch_first=True)), (3, 4, 5), {"gru_gates", "gru_gates_backward"}),
    "words": (Words, (3, 6), {"attention", "attention_queries", "attention_keys", "gather_rows", "scatter_rows"}),
}  # fmt: skip
OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.05, momentum=0.9), "adam": lambda p: optim.AdamW(p, lr=0.01),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.01),
}  # fmt: skip


def trained(make, shape, make_optimizer, on):
    """(losses, parameters) after three steps."""
    mg.manual_seed(1)
    model, rng = make(), np.random.default_rng(3)
    data = rng.integers(0, 11, (3, *shape)) if make is Words else rng.standard_normal((3, *shape)).astype(np.float32)
    labels = rng.integers(0, 3, (3, shape[0]))
    model = model.to(on)
    steps, losses = make_optimizer(model.parameters()), []
    for x, t in zip(data, labels):
        loss = nn.functional.cross_entropy(model(mg.tensor(x, device=on)), mg.tensor(t, device=on))
        steps.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        steps.step()
        losses.append(loss)
    assert all(p.is_cuda == (on == "cupy") for p in model.parameters())
    return [loss.item() for loss in losses], {k: v.numpy() for k, v in model.state_dict().items()}


# Adam makes steps out of the rounding of a gradient that is 0: of a bias before batch norm, of the keys' bias
@pytest.mark.parametrize(
    "name, kernel",
    [("mlp", "adam"), ("mlp", "rmsprop"), ("cnn", "sgd"), ("words", "sgd"), ("lstm", "adam"), ("gru", "sgd")],
)
def test_three_steps(name, kernel):
    make, shape, wanted = MODELS[name]
    with mg.use_backend("numpy"):
        losses, params = trained(make, shape, OPTIMIZERS[kernel], "numpy")
    with device() as gpu:
        got_losses, got = trained(make, shape, OPTIMIZERS[kernel], "cupy")
    assert set(gpu.launches) >= wanted | {kernel, "squares", "scale", "cross_entropy", "cross_entropy_backward"}
    np.testing.assert_allclose(got_losses, losses, rtol=1e-4)
    for k, v in params.items():
        np.testing.assert_allclose(got[k], v, rtol=1e-3, atol=2e-4, err_msg=k)
