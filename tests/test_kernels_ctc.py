"""The kernels of the CTC loss against their reference bodies and PyTorch."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import testing
from minigrad.nn import functional


def drawn(seed, t=37, b=5, c=11, length=9):
    """Scores (T, B, C), labels (B, L), the steps and labels that count; every second time equal neighbours."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(1, c, (b, length))
    labels = np.broadcast_to(labels[:, :1], labels.shape).copy() if seed % 2 else labels
    return rng.standard_normal((t, b, c)), labels, rng.integers(20, t + 1, b), rng.integers(0, length + 1, b)


def loss(library, tensor, x, labels, steps, lengths, **options):
    a = tensor(x, requires_grad=True)
    logp = library.log_softmax(a, -1)
    y = library.ctc_loss(logp, tensor(labels), tensor(steps), tensor(lengths), **options)
    y.sum().backward()
    return y.detach().numpy(), a.grad.numpy()


def test_kernels_are_their_bodies():
    assert testing.check_kernel("ctc_loss")
    assert testing.check_kernel("ctc_loss_backward")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 2e-4), (np.float64, 1e-10)])
def test_ctc_loss_is_pytorchs(seed, dtype, tolerance):
    torch = pytest.importorskip("torch")
    x, labels, steps, lengths = drawn(seed)
    steps[0] = 5 if seed == 3 else steps[0]  # too few for nine equal labels
    given = x.astype(dtype), labels, steps, lengths
    options = {"reduction": "none", "zero_infinity": True}
    ours, theirs = (
        loss(functional, mg.tensor, *given, **options),
        loss(torch.nn.functional, torch.tensor, *given, **options),
    )
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance / 10)


def test_the_same_on_any_number_of_threads_and_in_any_layout():
    x, labels, steps, lengths = drawn(0, t=60, b=12, length=20)
    before, found = mg.get_num_threads(), []
    try:
        for threads in (1, 3):
            mg.set_num_threads(threads)
            found.append(loss(functional, mg.tensor, x.transpose(2, 1, 0).copy().T, labels, steps, lengths))
    finally:
        mg.set_num_threads(before)
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_unknown_probability_gives_an_unknown_loss():
    x, labels, steps, lengths = drawn(2)
    x[0, 1, 0] = np.nan
    for backend in ("numpy", "numba"):
        with mg.use_backend(backend), np.errstate(invalid="ignore"):
            logp = mg.tensor(x)
            y = functional.ctc_loss(logp, mg.tensor(labels), mg.tensor(steps), mg.tensor(lengths), reduction="none")
        assert np.isnan(y.numpy()).tolist() == [False, True, False, False, False]
