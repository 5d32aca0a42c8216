"""Resampling: the kernels of linear maps along axes and of grid_sample against their reference bodies and PyTorch."""

import itertools

import numpy as np
import pytest

import minigrad as mg
from minigrad.nn import functional
from minigrad.ops.resample import AxisMap

KERNEL, REFERENCE = mg.get_backend("numba").F, mg.get_backend("numpy").F
DTYPES = (np.float32, np.float64)


def close(got, expected, factor=200):
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    scale = np.abs(expected[np.isfinite(expected)]).max(initial=1)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=factor * np.finfo(got.dtype).eps * scale)


# ---- linear maps along axes ------------------------------------------------------------------------------------------
def triangle(n, out):
    """Linear interpolation from n to `out` elements."""
    at = np.arange(out) * n / out
    low = at.astype(int)
    return AxisMap(n, [low, np.minimum(low + 1, n - 1)], np.stack([1 - (at - low), at - low]))


def mapped(kind, n, out, rng):
    """A map of one of several kinds from n elements."""
    if kind == "picked":
        return AxisMap(n, [rng.integers(-1, n, out)])
    if kind == "framed":
        return AxisMap(n, [np.pad(np.arange(n), (3, 5), "symmetric")])
    if kind == "unframed":
        return AxisMap(n, [np.pad(np.arange(n), (3, 5), "symmetric")]).T
    return {"same": None, "triangle": triangle(n, out), "folded": triangle(n, out).T}[kind]


KINDS = ("picked", "framed", "unframed", "same", "triangle", "folded")


def lengths(maps, shape):
    return tuple(m.n if m else n for m, n in zip(maps, shape, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_maps_of_all_kinds(ndim, dtype):
    rng = np.random.default_rng(ndim)
    for trial, kinds in enumerate(itertools.product(KINDS, repeat=min(ndim, 2))):
        shape = rng.integers(1, 45, ndim)
        maps = tuple(
            mapped(kinds[i % 2], int(n), int(out), rng)
            for i, (n, out) in enumerate(zip(shape, rng.integers(1, 70, ndim)))
        )
        x = rng.standard_normal((*rng.integers(1, 4, trial % 3), *lengths(maps, shape))).astype(dtype)
        if x.size >= 64:
            close(KERNEL.resample(x, maps=maps), REFERENCE.resample(x, maps=maps))
            behind = np.moveaxis(x, 0, -1).copy()  # in no order of memory
            close(KERNEL.resample(np.moveaxis(behind, -1, 0), maps=maps), REFERENCE.resample(x, maps=maps))


def test_a_map_and_its_adjoint_are_transposes():
    rng = np.random.default_rng(0)
    for kind in KINDS:
        m = mapped(kind, 23, 31, rng)
        if m is not None:
            x, y = rng.standard_normal((64, m.n)), rng.standard_normal((64, m.out))
            forth, back = KERNEL.resample(x, maps=(m,)), KERNEL.resample(y, maps=(m.T,))
            np.testing.assert_allclose((forth * y).sum(), (x * back).sum())
            assert m.T.T is m


def test_infinite_elements_stay_where_they_are():
    """A place that an element does not reach gets 0 times nothing of it."""
    x = np.zeros((4, 40))
    x[:, 17] = np.inf
    for m in (triangle(40, 90), triangle(17, 40).T, mapped("unframed", 32, 0, None)):
        with np.errstate(invalid="ignore"):  # a weight may be 0
            y, expected = KERNEL.resample(x, maps=(m,)), REFERENCE.resample(x, maps=(m,))
        np.testing.assert_array_equal(y, expected)
        assert 0 < (~np.isfinite(y)).sum() < y.size / 2


def test_nothing_to_read_is_zero():
    unreached = AxisMap(64, np.full((1, 70), -1))
    y = KERNEL.resample(np.ones((2, 64)), maps=(unreached,))
    assert y.shape == (2, 70)
    assert (y == 0).all()
    y = KERNEL.resample(np.ones((2, 64, 3)), maps=(unreached, None))
    assert (y == 0).all()


def test_results_do_not_depend_on_the_number_of_threads():
    rng = np.random.default_rng(1)
    x, grid = rng.standard_normal((3, 5, 40, 50)), rng.uniform(-1.2, 1.2, (3, 60, 70, 2))
    dy, maps = rng.standard_normal((3, 5, 60, 70)), (triangle(40, 85), mapped("framed", 50, 0, rng))
    options = {"mode": "bicubic", "padding_mode": "reflection", "align_corners": False}
    before, found = mg.get_num_threads(), []
    try:
        for threads in (1, 3):
            mg.set_num_threads(threads)
            found.append([
                KERNEL.resample(x, maps=maps), KERNEL.grid_sample(x, grid, **options),
                KERNEL.grid_sample_input(dy, grid, size=(40, 50), **options),
                KERNEL.grid_sample_grid(dy, x, grid, **options),
            ])  # fmt: skip
    finally:
        mg.set_num_threads(before)
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


# ---- grid_sample -----------------------------------------------------------------------------------------------------
MODES = [
    (mode, padding, n)
    for mode, padding, n in itertools.product(
        ("nearest", "bilinear", "bicubic"), ("zeros", "border", "reflection"), (2, 3)
    )
    if mode != "bicubic" or n == 2
]


@pytest.mark.parametrize("mode, padding, n", MODES)
def test_grid_sample_is_its_body(mode, padding, n):
    rng = np.random.default_rng(2)
    size, outs = ((7, 9), (13, 17)) if n == 2 else ((3, 4, 5), (3, 7, 11))
    for dtype, align in itertools.product(DTYPES, (False, True)):
        x, dy = (rng.standard_normal((2, 3, *s)).astype(dtype) for s in (size, outs))
        grid = rng.uniform(-2.3, 2.3, (2, *outs, n)).astype(dtype)
        grid[0].reshape(-1, n)[3] = np.nan
        if padding != "reflection" and mode != "bicubic":
            grid[1].reshape(-1, n)[5] = np.inf
        options = {"mode": mode, "padding_mode": padding, "align_corners": align}
        got, expected = (
            (
                F.grid_sample(x, grid, **options),
                F.grid_sample_input(dy, grid, size=size, **options),
                F.grid_sample_grid(dy, x, grid, **options),
            )
            for F in (KERNEL, REFERENCE)
        )
        for a, b in zip(got, expected, strict=True):
            close(a, b, factor=2000)


def test_grid_sample_in_any_layout():
    rng, options = np.random.default_rng(6), {"mode": "bilinear", "padding_mode": "zeros", "align_corners": False}
    x, grid = rng.standard_normal((4, 5, 3, 2)).T, rng.uniform(-1, 1, (2, 9, 7, 2))[:, :, ::-1]  # (2, 3, 5, 4)
    close(KERNEL.grid_sample(x, grid, **options), REFERENCE.grid_sample(x, grid, **options))
    assert KERNEL.grid_sample(x[:, :0], grid, **options).shape == (2, 0, 9, 7)
    with pytest.raises(mg.errors.ShapeError, match="needs a grid"):
        KERNEL.grid_sample(x, grid[:1], **options)


@pytest.mark.parametrize("mode, padding, n", MODES)
def test_grid_sample_is_pytorchs(mode, padding, n):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    size, outs = ((6, 8), (9, 7)) if n == 2 else ((3, 4, 5), (4, 3, 6))
    for align in (False, True):
        x, grid, g = rng.standard_normal((2, 3, *size)), rng.uniform(-1.7, 1.7, (2, *outs, n)), None
        found = []
        for library, tensor in ((functional, mg.tensor), (torch.nn.functional, torch.tensor)):
            a, b = tensor(x, requires_grad=True), tensor(grid, requires_grad=True)
            y = library.grid_sample(a, b, mode, padding, align_corners=align)
            g = rng.standard_normal(tuple(y.shape)) if g is None else g
            y.backward(tensor(g))
            found.append([v.detach().numpy() for v in (y, a.grad, b.grad)])
        for ours, theirs in zip(*found, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)


# ---- padding and interpolation ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_is_numpys_and_its_gradient_pytorchs(mode):
    rng = np.random.default_rng(4)
    x = rng.standard_normal((2, 3, 5, 33))
    a = mg.tensor(x, requires_grad=True)
    y = functional.pad(a, (4, 1, 0, 3), mode=mode)
    names = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    np.testing.assert_array_equal(y.detach().numpy(), np.pad(x, ((0, 0), (0, 0), (0, 3), (4, 1)), names[mode]))
    counts = functional.pad(mg.tensor(np.arange(330).reshape(1, 2, 5, 33)), (4, 1, 0, 3), mode=mode)
    assert counts.dtype == np.int64
    g = rng.standard_normal(y.shape)
    y.backward(mg.tensor(g))
    torch = pytest.importorskip("torch")
    b = torch.tensor(x, requires_grad=True)
    torch.nn.functional.pad(b, (4, 1, 0, 3), mode=mode).backward(torch.tensor(g))
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-12, atol=1e-12)


INTERPOLATIONS = [
    ((2, 3, 70), {"scale_factor": 2.0, "mode": "linear"}),
    ((2, 3, 17, 40), {"scale_factor": 2.0, "mode": "nearest"}),
    ((2, 3, 17, 40), {"size": (35, 33), "mode": "bilinear"}),
    ((2, 3, 17, 40), {"size": (9, 90), "mode": "bilinear", "align_corners": True}),
    ((2, 3, 17, 40), {"size": (6, 11), "mode": "bilinear", "antialias": True}),
    ((1, 3, 17, 40), {"scale_factor": 1.7, "mode": "bicubic"}),
    ((1, 2, 5, 6, 20), {"scale_factor": 2.0, "mode": "trilinear"}),
]


@pytest.mark.parametrize("shape, options", INTERPOLATIONS)
def test_interpolation_is_pytorchs(shape, options):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(5)
    x, g, found = rng.standard_normal(shape), None, []
    for library, tensor in ((functional, mg.tensor), (torch.nn.functional, torch.tensor)):
        a = tensor(x, requires_grad=True)
        y = library.interpolate(a, **options)
        g = rng.standard_normal(tuple(y.shape)) if g is None else g
        y.backward(tensor(g))
        found.append([v.detach().numpy() for v in (y, a.grad)])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)
