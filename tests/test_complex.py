"""Gradients of complex numbers: PyTorch's convention, dL/dRe + i dL/dIm, for every primitive that takes them."""

import numpy as np
import pytest
from test_primitives import DIFFERENTIABLE, about, samples

import minigrad as mg
from minigrad import PRIMITIVES, testing
from minigrad.gradients import grad
from minigrad.tensor import F

# What takes complex numbers beside the primitives that promise to be analytic (complex_ok).
BESIDE = {
    "abs", "sign", "conj", "real", "imag", "angle", "asin", "acos", "asinh", "acosh", "atanh", "exp2", "log2", "log10",
    "det", "cofactors", "slogdet", "cholesky", "qr", "eigvalsh", "eigvals", "svdvals", "lu_factor", "pinv", "dft",
    "rdft", "irdft", "var", "sigmoid", "softsign",
}  # fmt: skip
COMPLEX = [n for n in DIFFERENTIABLE if (PRIMITIVES[n].complex_ok and n != "astype") or n in BESIDE]


def turned(sample):
    """The sample with an imaginary part for every float array."""
    rng = np.random.default_rng(0)
    args = tuple(
        np.asarray(a + 0.3j * rng.standard_normal(a.shape)) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a
        for a in sample.args
    )
    return sample._replace(args=args)


@pytest.mark.parametrize("name", COMPLEX)
def test_gradient(name):
    """Against differences along the real and along the imaginary axis, and the gradient's own gradient."""
    for sample in samples(name):
        sample = sample if name == "rdft" else turned(sample)
        with about(sample):
            args = testing.on("numpy", sample)
            testing.gradcheck(getattr(F, name), args, params=sample.params, kinks="skip", name=name)
            if not PRIMITIVES[name].no_second:
                testing.gradgradcheck(
                    getattr(F, name), args, params=sample.params, directions=2, kinks="skip", name=name
                )


Z = np.array([1 + 2j, -0.5 + 0.1j, 2 - 1j])


def test_holomorphic_and_not():
    """L = |f(z)|**2: by hand."""
    z = mg.tensor(Z, requires_grad=True)
    y = mg.abs(z * z)
    (y * y).sum().backward()  # |z|**4, gradient 4 |z|**2 z
    np.testing.assert_allclose(z.grad.numpy(), 4 * abs(Z) ** 2 * Z, rtol=1e-12)


def test_a_real_input_of_a_complex_result_has_a_real_gradient():
    a = mg.tensor(np.array([1.0, 2.0, 3.0]), requires_grad=True)
    mg.real(a * mg.tensor(Z) * 1j).sum().backward()
    assert a.grad.dtype == np.float64
    np.testing.assert_allclose(a.grad.numpy(), (Z * 1j).real)


def test_abs_at_zero():
    z = mg.tensor(np.zeros(2, complex), requires_grad=True)
    mg.abs(z).sum().backward()
    np.testing.assert_array_equal(z.grad.numpy(), 0)


def test_complex64_stays():
    z = mg.tensor(Z.astype(np.complex64), requires_grad=True)
    y = mg.abs(mg.exp(z)).sum()
    y.backward()
    assert (y.dtype, z.grad.dtype) == (np.float32, np.complex64)


def test_a_complex_output_needs_its_gradient():
    z = mg.tensor(1 + 2j, requires_grad=True)
    with pytest.raises(mg.errors.GradError, match="real number"):
        (z * z).backward()
    (z * z).backward(mg.tensor(1 + 0j))
    np.testing.assert_allclose(z.grad.numpy(), np.conj(2 * (1 + 2j)))


def test_hooks_and_functions_see_the_users_gradient():
    seen = []

    class Square(mg.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            seen.append(g.numpy().copy())
            return g * mg.conj(2 * x)  # as PyTorch's users write it

    z = mg.tensor(Z, requires_grad=True)
    y = Square.apply(z)
    y.register_hook(lambda g: seen.append(g.numpy().copy()))
    mg.real(y * (2 + 3j)).sum().backward()
    for g in seen:
        np.testing.assert_allclose(g, np.full(3, 2 - 3j))
    assert len(seen) == 2
    np.testing.assert_allclose(z.grad.numpy(), (2 - 3j) * np.conj(2 * Z))


def test_second_order_as_in_torch():
    torch = pytest.importorskip("torch")

    def second(lib, z, w, take):
        y = (lib.exp(z * w) / (z + 3)) ** 2 + lib.abs(z) * lib.sin(w)
        (g,) = take(lib.real(y).sum(), z, create_graph=True)
        return take((lib.abs(g) ** 2).sum(), [z, w])

    W = Z[::-1] * 0.3j
    ours = second(mg, mg.tensor(Z, requires_grad=True), mg.tensor(W, requires_grad=True), grad)
    theirs = second(
        torch, torch.tensor(Z, requires_grad=True), torch.tensor(W.copy(), requires_grad=True), torch.autograd.grad
    )
    for a, b in zip(ours, theirs):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-10)


COMPLEX_IN_PYTORCH = {
    "logaddexp": (mg.logaddexp, "logaddexp", 2), "logcumsumexp": (lambda x: mg.logcumsumexp(x, 0), "logcumsumexp", 1),
    "softsign": (mg.nn.functional.softsign, "nn.functional.softsign", 1),
    "normalize": (mg.nn.functional.normalize, "nn.functional.normalize", 1),
    "pairwise_distance": (mg.nn.functional.pairwise_distance, "nn.functional.pairwise_distance", 2),
    "triplet_margin_loss": (mg.nn.functional.triplet_margin_loss, "nn.functional.triplet_margin_loss", 3),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPLEX_IN_PYTORCH)
def test_as_in_pytorch(name):
    torch = pytest.importorskip("torch")
    f, path, n = COMPLEX_IN_PYTORCH[name]
    theirs = torch
    for part in path.split("."):
        theirs = getattr(theirs, part)
    rng = np.random.default_rng(0)
    normal = lambda *shape: rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    arrays = [normal(5, 4) for _ in range(n)]
    xs, ts = [mg.tensor(a, requires_grad=True) for a in arrays], [torch.tensor(a, requires_grad=True) for a in arrays]
    y, t = f(*xs), theirs(*ts, *[0] * (name == "logcumsumexp"))
    g = normal(*y.shape) if y.dtype.kind == "c" else rng.standard_normal(y.shape)
    y.backward(mg.tensor(g)), t.backward(torch.tensor(g))
    assert str(t.dtype) == f"torch.{y.dtype}"
    if name.startswith("log"):  # the branch of the logarithm is free
        y, t = mg.exp(y.detach()), torch.exp(t.detach())
    np.testing.assert_allclose(y.detach().numpy(), t.detach().numpy(), rtol=1e-10)
    for x, u in zip(xs, ts):
        np.testing.assert_allclose(x.grad.numpy(), u.grad.resolve_conj().numpy(), rtol=1e-9, atol=1e-12)


def test_log_of_complex_sums_far_from_zero():
    low = complex(-np.inf, 0)
    a, b = mg.asarray([1000 + 1j, low, low, 2j]), mg.asarray([1j, 3 + 1j, low, low])
    np.testing.assert_array_equal(mg.logaddexp(a, b).numpy(), np.asarray([1000 + 1j, 3 + 1j, low, 2j], "complex64"))


@pytest.mark.parametrize("name", ["mse_loss", "smooth_l1_loss", "huber_loss", "soft_margin_loss", "kl_div"])
def test_a_loss_is_real(name):
    z = mg.asarray([1 + 1j, 2j])
    with pytest.raises(mg.errors.DTypeError, match=name):
        getattr(mg.nn.functional, name)(z, z * 2)
