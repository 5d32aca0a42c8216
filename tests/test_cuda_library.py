"""What the backend "cupy" makes of CuPy where NumPy has more, shown over NumPy; and the primitives over the stand-in,
which refuses what CuPy 14 refuses."""

import fake_cupy
import numpy as np
import pytest
from minigrad.kernels.cuda import matmul

import minigrad as mg
from minigrad import cuda, nn
from minigrad.backend import completed
from minigrad.errors import BackendError, DTypeError
from minigrad.primitive import PRIMITIVES
from minigrad.tensor import apply
from minigrad.testing.primitives import differentiable
from minigrad.testing.samples import sample_inputs

INDEX = np.array([2, 0, 2, 1, 2])


@pytest.fixture
def cupy():
    with fake_cupy.in_place() as module:
        yield module


@pytest.mark.parametrize("name", ["maximum", "minimum", "logaddexp"])
@pytest.mark.parametrize("shape, axis", [((7,), 0), ((3, 5), 1), ((3, 5), 0), ((2, 1, 4), -2), ((0, 3), 0), ((8,), -1)])
@pytest.mark.parametrize("dtype", [np.float64, np.int64, bool])
def test_running(name, shape, axis, dtype, rng):
    x = (3 * rng.standard_normal(shape)).astype(dtype)
    f = getattr(np, name)
    got, expected = completed.running(np, f, x, axis), f.accumulate(x, axis=axis)
    assert got.dtype == expected.dtype or x.dtype == bool  # NumPy's float16 is CuPy's
    np.testing.assert_allclose(got, expected, rtol=1e-3 if x.dtype == bool else 1e-14)
    assert not np.shares_memory(got, x)


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "float16", "int64", "int32", "int8", "uint8", "bool", "complex64"]
)
def test_add_at(dtype, rng):
    y, v = ((5 * rng.standard_normal(n)).astype(dtype) for n in (3, 5))
    expected = y.copy()
    np.add.at(expected, INDEX, v)
    completed.add_at(np, y, INDEX, v)
    np.testing.assert_allclose(y, expected, rtol=2e-3 if dtype == "float16" else 1e-6)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "int32", "int8", "uint8", "bool"])
def test_extreme_at(name, dtype, rng):
    y, v = ((50 * rng.standard_normal(n)).astype(dtype) for n in (3, 5))
    expected = y.copy()
    getattr(np, name).at(expected, INDEX, v)
    completed.extreme_at(np, name, y, INDEX, v)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("turned", [False, True])
def test_windows(turned, rng):
    x = rng.standard_normal((3, 7, 6))
    x = x.transpose(0, 2, 1)[:, ::-1] if turned else x
    got = completed.windows(np, x, (3, 2), (1, 2))
    np.testing.assert_array_equal(got, np.lib.stride_tricks.sliding_window_view(x, (3, 2), axis=(1, 2)))
    assert np.shares_memory(got, x)


@pytest.mark.parametrize(
    "a, b", [((3, 3), (3, 2)), ((2, 1, 3, 3), (4, 3, 2)), ((3, 3), (5, 3, 1)), ((0, 0), (0, 2)), ((2, 3, 3), (2, 3, 0))]
)
def test_solve(a, b, rng):
    a, b = rng.standard_normal(a) + 4 * np.eye(a[-1]), rng.standard_normal(b)
    got, expected = completed.solve(np, a, b), np.linalg.solve(a, b)
    assert got.shape == expected.shape and got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_names_that_cupy_13_lacks():
    for new, old in completed.OLDER.items():
        assert getattr(np, new) is getattr(np, old) or new == "permute_dims", new


class Lacking:
    """CuPy 13's linalg, or a cuSOLVER without geev."""

    asnumpy, asarray = staticmethod(np.asarray), staticmethod(np.asarray)

    def __init__(self, linalg):
        self.linalg = linalg


def test_eigenvalues_by_the_host(cupy, rng):
    def geev(x):
        raise RuntimeError("geev is not available")

    def broken(x):
        raise RuntimeError("cudaErrorIllegalAddress")

    x = rng.standard_normal((2, 3, 3))
    for linalg in (object(), type("linalg", (), {"eig": geev, "eigvals": geev})):
        w, v = completed.general(Lacking(linalg), "eig", x)
        np.testing.assert_allclose(x @ v, v * w[:, None, :], rtol=1e-10)
        np.testing.assert_allclose(completed.general(Lacking(linalg), "eigvals", x), w, rtol=1e-12)
    with pytest.raises(RuntimeError, match="IllegalAddress"):
        completed.general(Lacking(type("linalg", (), {"eig": broken})), "eig", x)


# ---- over the stand-in ----
def outcome(p, sample, device):
    """The outputs and the gradients of the sum of their squares, on the host."""
    args = [mg.tensor(a, device=device) if isinstance(a, np.ndarray) else a for a in sample.args]
    args += [None] * (len(p.inputs) - len(args) - p.variadic)
    leaves = [a for a in args if isinstance(a, mg.Tensor) and a.dtype.kind in "fc"]
    for a in leaves:
        a.requires_grad_(differentiable(p))
    y = apply(p, *args, **sample.params)
    ys = [v for v in (y if isinstance(y, tuple) else (y,)) if isinstance(v, mg.Tensor)]
    assert all(v.is_cuda == (device == "cupy") for v in ys)
    loss = [(abs(v) ** 2).sum() for v in ys if v.requires_grad]
    if loss:
        ys += [g for g in mg.autograd.grad(loss, leaves, allow_unused=True) if g is not None]
    return [v.detach().numpy() for v in ys]


PHASES = {"svd", "eig", "eigh", "qr"}  # whose gradients of squares are zero but for rounding


@pytest.mark.parametrize("name", sorted(p.name for p in PRIMITIVES.values()))
def test_primitives(name, cupy):
    p = PRIMITIVES[name]
    for sample in sample_inputs(p, np.random.default_rng(1)):
        if any(a is None for a in sample.args):
            continue
        with mg.use_backend("numpy"), np.errstate(all="ignore"):
            expected = outcome(p, sample, "numpy")
        got = outcome(p, sample, "cupy")
        assert len(got) == len(expected)
        for a, b in zip(got, expected):
            assert a.shape == b.shape and a.dtype == b.dtype, (name, sample.shapes)
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9, err_msg=f"{name} {sample.shapes}")


# ---- indices and values of the host ----
def test_indices_may_be_of_the_host(cupy, rng):
    """As in PyTorch: lists, NumPy's arrays and tensors of the CPU index a tensor of the GPU."""
    values = rng.standard_normal((4, 3)).astype(np.float32)
    x = mg.tensor(values, device="cupy")
    for key in ([0, 2], np.array([3, -1]), values > 0, mg.tensor([1, 1, 0]), (slice(None), [2, 0])):
        y = x[key]
        assert y.is_cuda
        np.testing.assert_array_equal(y.numpy(), values[key.numpy() if isinstance(key, mg.Tensor) else key])
    x[[0, 1]] = np.ones(3)
    x[2] = [1.0, 2.0, 3.0]
    values[[0, 1]], values[2] = 1, [1, 2, 3]
    np.testing.assert_array_equal(x.numpy(), values)


def test_functions_that_make_indices(cupy):
    x, i = mg.tensor([1.0, 5.0, 3.0], device="cupy"), mg.tensor([0, 1, 1], device="cupy")
    assert mg.unique(i).tolist() == [0, 1] and mg.unique_consecutive(i).tolist() == [0, 1]
    assert mg.zeros(2, device="cupy").scatter_reduce(0, i, x, "amax").tolist() == [1.0, 5.0]
    assert mg.as_strided(x, (2, 2), (1, 1)).tolist() == [[1.0, 5.0], [5.0, 3.0]]
    assert mg.func.hessian(lambda x: (x**3).sum())(x).tolist() == np.diag([6.0, 30.0, 18.0]).tolist()


# ---- while a graph is recorded ----
LAYOUTS = {
    "plain": lambda x: x,
    "turned": lambda x: np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2) if x.ndim > 1 else x,
    "part": lambda x: np.pad(x, [(0, 1)] * (x.ndim > 1) + [(0, 0)] * (x.ndim - 2) + [(1, 2)])[(..., slice(1, -2))][
        (slice(0, -1),) * (x.ndim > 1)
    ],
    "steps": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "back": lambda x: np.ascontiguousarray(x[::-1])[::-1],
}


@pytest.mark.parametrize("left", LAYOUTS)
@pytest.mark.parametrize("right", LAYOUTS)
def test_products_by_cublas(cupy, left, right, rng):
    """The numbers cuBLAS is given mean the product, for every layout, stack and vector."""
    shapes = [((3, 4), (4, 5)), ((2, 3, 4), (4, 5)), ((2, 3, 4), (2, 4, 5)), ((2, 1, 3, 4), (5, 4, 2)), ((4,), (4, 5)),
              ((3, 4), (4,)), ((4,), (4,)), ((2, 3, 4), (4,)), ((4,), (2, 4, 3)), ((1, 4), (4, 1)), ((3, 1), (1, 5)),
              ((0, 4), (4, 5)), ((3, 0), (0, 5))]  # fmt: skip
    for a, b in shapes:
        for dtype in (np.float32, np.float64):
            x = LAYOUTS[left](rng.standard_normal(a).astype(dtype))
            y = LAYOUTS[right](rng.standard_normal(b).astype(dtype))
            got = matmul.recorded(cupy, *(v.view(fake_cupy.ndarray) for v in (x, y)))
            np.testing.assert_allclose(fake_cupy.raw(got), np.matmul(x, y), rtol=1e-4, atol=1e-5, err_msg=f"{a} {b}")
    with pytest.raises(NotImplementedError, match="a product of int64 cannot be recorded"):
        matmul.recorded(cupy, cupy.asarray(np.eye(2, dtype=int)), cupy.asarray(np.eye(2, dtype=int)))


def test_products_are_given_to_cublas_only_while_recording(cupy, monkeypatch):
    said, x = [], mg.ones(2, 2, device="cupy")
    monkeypatch.setattr(matmul, "gemm", lambda *a: said.append("gemm") or fake_cupy.gemm(*a))
    x @ x
    assert not said
    with cuda.graph(g := cuda.CUDAGraph()):
        y = x @ x
    assert said == ["gemm"] and not matmul.recording
    g.replay()
    assert y.tolist() == [[2.0, 2.0]] * 2


@pytest.mark.parametrize("name", ["sort", "argsort", "median"])
def test_sorting_is_refused_while_recording(cupy, name):
    """On a GPU it would end the process."""
    step = cuda.make_graphed_step(getattr(mg, name), mg.ones(3, device="cupy"), warmup=1)
    step(mg.ones(3, device="cupy"))
    with pytest.raises(BackendError, match="sorts, which waits for the device"):
        step(mg.ones(3, device="cupy"))
    assert (mg.ones(3, device="cupy") + 1.0).tolist() == [2.0] * 3


def test_clipping_does_not_wait(cupy):
    p = mg.ones(3, device="cupy")
    p.grad = mg.full((3,), 4.0, device="cupy")
    fake_cupy.state.log.clear()
    nn.utils.clip_grad_norm_([p], 1.0)
    assert "download" not in fake_cupy.state.log
    np.testing.assert_allclose(p.grad.numpy(), 3**-0.5, rtol=1e-5)


def test_bfloat16_of_ml_dtypes_is_known(monkeypatch):
    """Also where an array brings it before anybody has asked for mg.bfloat16."""
    ml_dtypes = pytest.importorskip("ml_dtypes")
    from minigrad import halves

    monkeypatch.setattr(halves, "seen", False)
    mg.tensor(np.ones(2, ml_dtypes.bfloat16))
    assert np.dtype(ml_dtypes.bfloat16) in halves.HALVES


# ---- what CuPy 13 lacks, or does as NumPy 1 did ------------------------------------------------------------------
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "uint64", "bool"])
def test_bitwise_count(dtype, rng):
    info = np.iinfo(dtype) if dtype != "bool" else None
    ends = [info.min, info.max, 0, 1] if info else [0, 1]
    x = np.array([*ends, *rng.integers(0, 127, 20)]).astype(dtype) if dtype != "uint64" else np.array(ends, dtype)
    with np.errstate(over="ignore"):
        got = completed.bitwise_count(np, x)
    np.testing.assert_array_equal(got, np.bitwise_count(x))
    assert got.dtype == np.uint8


def test_integers_are_whole(rng):
    for name in completed.WHOLE:
        for x in (np.array([1, -2]), np.array([True]), np.array(3, np.uint8)):
            y = completed.whole(np, name, x)
            assert y.dtype == x.dtype and not np.shares_memory(x, y)
            np.testing.assert_array_equal(y, x)
        np.testing.assert_array_equal(completed.whole(np, name, np.array([1.5, -0.5])), getattr(np, name)([1.5, -0.5]))


def test_bytes_make_the_default_float(cupy):
    """NumPy's and CuPy's functions make float16 of them."""
    for x in (mg.tensor([True, False]), mg.tensor([1, 2], dtype="uint8"), mg.tensor(3, dtype="int8")):
        on_gpu = x.to("cupy")
        for f in (mg.exp, mg.sqrt, lambda x: mg.atan2(x, 2), lambda x: mg.hypot(x, x)):
            assert f(on_gpu).dtype == f(x).dtype == mg.float32
            np.testing.assert_allclose(f(on_gpu).numpy(), f(x).numpy(), rtol=1e-6)
    half = mg.tensor([1.0], dtype="float16", device="cupy")
    assert mg.exp(half).dtype == mg.float16 and (half + half).dtype == mg.float16


def test_a_cupy_without_bfloat16_says_so():
    pytest.importorskip("ml_dtypes")
    with fake_cupy.in_place(version="13.6.0"):
        x, said = mg.ones(3, device="cupy"), r"CuPy 13\.6\.0 does not know bfloat16, CuPy 14 does: pip install -U"
        for ask in (
            lambda: x.to("bfloat16"), lambda: mg.tensor([1.0], dtype="bfloat16", device="cupy"),
            lambda: mg.ones(3, dtype="bfloat16").to("cupy"), lambda: nn.Linear(2, 2).to("bfloat16").to("cupy"),
        ):  # fmt: skip
            with pytest.raises(DTypeError, match=said):
                ask()
        assert x.to("float16").dtype == mg.float16
    with fake_cupy.in_place():
        assert mg.ones(3, device="cupy").to("bfloat16").dtype == mg.bfloat16
