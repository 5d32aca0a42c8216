"""minigrad.fft: values against NumPy on drawn shapes, dtypes, and gradients against differences and PyTorch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import fft, testing
from minigrad.errors import ArgumentError, AxisError, DTypeError, ShapeError

REAL = ("rfft", "ihfft", "rfft2", "rfftn")  # take real arrays only
NORMS = ("backward", "ortho", "forward", None)
cases = settings(max_examples=60, deadline=None, derandomize=True)


def drawn(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    return (x + 1j * rng.standard_normal(shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


def same(got, expected):
    assert got.dtype == expected.dtype
    tol = 1e-4 if np.finfo(expected.dtype).bits == 32 else 1e-12
    np.testing.assert_allclose(got.numpy(), expected, rtol=tol, atol=tol, strict=True)


shapes = st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple)


@cases
@given(shapes, st.data())
def test_along_one_axis(shape, data):
    name = data.draw(st.sampled_from(["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]))
    x = drawn(
        shape, data.draw(st.sampled_from([np.float32, np.float64] + [np.complex64, np.complex128] * (name not in REAL)))
    )
    keywords = {
        "n": data.draw(st.none() | st.integers(1, 7)),
        "axis": data.draw(st.integers(-len(shape), len(shape) - 1)),
        "norm": data.draw(st.sampled_from(NORMS)),
    }
    if keywords["n"] is None and name in ("irfft", "hfft") and shape[keywords["axis"]] == 1:
        keywords["n"] = 1
    same(getattr(fft, name)(x, **keywords), getattr(np.fft, name)(x, **keywords))


@cases
@given(shapes, st.data())
def test_along_several_axes(shape, data):
    name = data.draw(st.sampled_from(["fftn", "ifftn", "rfftn", "irfftn", "fft2", "ifft2", "rfft2", "irfft2"]))
    shape = shape if len(shape) > 1 else (3, *shape)
    x = drawn(
        shape, data.draw(st.sampled_from([np.float32, np.float64] + [np.complex64, np.complex128] * (name not in REAL)))
    )
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True).map(tuple))
    s = data.draw(st.none() | st.tuples(*[st.integers(1, 6)] * len(axes)))
    if name in ("irfftn", "irfft2") and s is None and shape[axes[-1]] == 1:
        s = (2,) * len(axes)
    keywords = {"s": s, "axes": axes, "norm": data.draw(st.sampled_from(NORMS))}
    same(getattr(fft, name)(x, **keywords), getattr(np.fft, name)(x, **keywords))


@pytest.mark.parametrize("n", [1, 2, 5, 6])
def test_frequencies_and_shifts(n):
    for name in ("fftfreq", "rfftfreq"):
        got = getattr(fft, name)(n, d=0.5)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got.numpy(), getattr(np.fft, name)(n, d=0.5), rtol=1e-6)
    x = drawn((n, 3), np.float64)
    for name in ("fftshift", "ifftshift"):
        for axes in (None, 0, (0, 1)):
            np.testing.assert_array_equal(getattr(fft, name)(x, axes=axes).numpy(), getattr(np.fft, name)(x, axes=axes))


def test_integers_become_the_default_float():
    assert fft.fft(np.arange(4)).dtype == np.complex64
    assert fft.irfft(np.arange(4)).dtype == np.float32


def test_errors():
    x = mg.ones(2, 3)
    for call, kind in (
        (lambda: fft.fft(x, n=0), ShapeError),
        (lambda: fft.fft(mg.ones(0)), ShapeError),
        (lambda: fft.fft(x, axis=2), AxisError),
        (lambda: fft.fftn(x, s=(2,), axes=(0, 1)), ShapeError),
        (lambda: fft.fft(x, norm="both"), ArgumentError),
        (lambda: fft.rfft(x * 1j), DTypeError),
        (lambda: fft.irfft(mg.ones(1)), ShapeError),
        (lambda: fft.fftfreq(0), ArgumentError),
    ):
        with pytest.raises(kind):
            call()


NAMES = [n + k for n in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft") for k in ("", "2", "n")]


@pytest.mark.parametrize("length", [4, 5])
@pytest.mark.parametrize("name", NAMES)
def test_gradients(name, length):
    """To second order, with cut, padded, odd and even lengths: what the halves leave out is counted right."""
    x = drawn((3, 3), np.float64 if name.startswith(("r", "ih")) else np.complex128)
    f = getattr(fft, name)
    for keywords in ({}, {"n" if name.endswith("t") else "s": length if name.endswith("t") else (length, 2)}):
        for norm in ("backward", "ortho"):
            testing.gradcheck(lambda x, **k: f(x, **k), [x], params={**keywords, "norm": norm}, name=name)
        testing.gradgradcheck(lambda x, **k: f(x, **k), [x], params=keywords, directions=2, name=name)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_as_in_torch(name):
    torch = pytest.importorskip("torch")
    x = drawn((3, 4), np.float64 if name.startswith(("r", "ih")) else np.complex128)
    a, b = mg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, z = (
        getattr(fft, name)(a, dim=0 if name.endswith("t") else (1, 0)),
        getattr(torch.fft, name)(b, dim=0 if name.endswith("t") else (1, 0)),
    )
    w = drawn(y.shape, y.dtype, seed=1)
    y.backward(mg.tensor(w))
    z.backward(torch.tensor(w))
    np.testing.assert_allclose(y.detach().numpy(), z.detach().resolve_conj().numpy(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(a.grad.numpy(), b.grad.resolve_conj().numpy(), rtol=1e-10, atol=1e-12)
