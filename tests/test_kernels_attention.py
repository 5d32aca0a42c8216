"""Attention in the kernel: masks, dropout by counter, shared heads, views, memory; against the body and PyTorch."""

import tracemalloc

import numpy as np
import pytest

import minigrad as mg
from minigrad import testing
from minigrad.nn.functional import scaled_dot_product_attention as attend
from minigrad.primitive import case, ints
from minigrad.tensor import F

KERNEL = mg.get_backend("numba").F
REFERENCE = mg.get_backend("numpy").F
SEED = np.array([123456789, 4000000000])


def both_passes(rng, q, k, v, mask=None, seed=None, dtype=np.float64, **params):
    """[(got, expected)] for y, the logarithms and the three gradients: the kernel in dtype, the body in float64."""
    arrays = [rng.standard_normal(s) for s in (q, k, v, (*q[:-1], v[-1]))]
    rounded = [a.astype(dtype) for a in arrays]
    found = []
    for backend, (q, k, v, dy) in ((KERNEL, rounded), (REFERENCE, [a.astype(np.float64) for a in rounded])):
        m = mask if mask is None or mask.dtype == bool else mask.astype(q.dtype)
        y, log_total = backend.attention(q, k, v, m, seed, **params)
        found.append((y, log_total, *backend.attention_backward(dy, q, k, v, y, log_total, m, seed, **params)))
    return list(zip(*found, strict=True))


def agree(pairs, dtype):
    for got, expected in pairs:
        assert got.dtype == dtype and got.shape == expected.shape
        tolerance = 400 * np.finfo(dtype).eps * np.abs(expected).max(initial=1)
        np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance)


def kernel_takes(*arrays, **params):
    """Does the kernel, not the body, serve this call?"""
    from minigrad.kernels.cpu import when

    return when.attention_when(*arrays, **params)


MASKS = {
    "none": lambda rng, b, h, t, s: None,
    "keys": lambda rng, b, h, t, s: rng.random((b, 1, 1, s)) < 0.7,
    "square": lambda rng, b, h, t, s: rng.random((t, s)) < 0.5,
    "row": lambda rng, b, h, t, s: rng.random(s) < 0.5,
    "queries": lambda rng, b, h, t, s: rng.random((b, 1, t, 1)) < 0.8,
    "heads": lambda rng, b, h, t, s: rng.standard_normal((1, h, t, s)),
    "floats": lambda rng, b, h, t, s: np.where(rng.random((b, h, t, s)) < 0.5, -np.inf, rng.random((b, 1, t, s))),
    "scalar": lambda rng, b, h, t, s: np.array(0.5),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    "t, s, d, e", [(70, 200, 16, 20), (130, 130, 7, 3), (1, 600, 9, 65), (3, 200, 33, 70), (100, 20, 5, 5)]
)
def test_masks(rng, dtype, kind, causal, t, s, d, e):
    mask = MASKS[kind](rng, 2, 3, t, s)
    q, k, v = (2, 3, t, d), (2, 3, s, d), (2, 3, s, e)
    assert kernel_takes(*(np.zeros(a) for a in (q, k, v)), mask)
    agree(both_passes(rng, q, k, v, mask, dtype=dtype, causal=causal, scale=-0.3 if t == 1 else None), dtype)


@pytest.mark.parametrize("mask", [np.tri(90, k=-1, dtype=bool), np.where(np.tri(90, k=-1), 0.0, -np.inf)])
def test_a_query_that_sees_no_key_gets_zeros(rng, mask):
    pairs = both_passes(rng, (2, 90, 8), (2, 90, 8), (2, 90, 8), mask)
    agree(pairs, np.float64)
    assert all((pairs[i][0][:, 0] == 0).all() for i in (0, 1, 2))
    assert all(np.isfinite(got).all() for got, _ in pairs)


def test_scores_that_are_all_minus_infinity_give_nan_without_a_mask():
    q, k = np.full((1, 40, 8), -np.inf), np.ones((1, 40, 8))
    for backend in (KERNEL, REFERENCE):
        with np.errstate(invalid="ignore"):
            y, log_total = backend.attention(q, k, k)
        assert np.isnan(y).all() and np.isnan(log_total).all()


def test_a_masked_key_may_hold_nan(rng):
    """Behind a boolean mask the score of a key does not count, whatever it is."""
    q, k, v = (rng.standard_normal((2, 50, 8)) for _ in range(3))
    mask = np.ones(50, bool)
    mask[[3, 49]] = False
    k[:, 3], k[:, 49] = np.nan, np.inf
    with np.errstate(invalid="ignore"):  # inf - inf among the products
        expected = REFERENCE.attention(q, k, v, mask)[0]
    np.testing.assert_allclose(KERNEL.attention(q, k, v, mask)[0], expected, atol=1e-12)
    assert np.isfinite(expected).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["none", "keys", "floats"])
@pytest.mark.parametrize("p", [0.1, 0.75, 1.0])
def test_dropout_is_that_of_the_body(rng, dtype, kind, p):
    for t, s in ((70, 203), (3, 401)):
        mask = MASKS[kind](rng, 2, 3, t, s)
        shapes = (2, 3, t, 16), (2, 3, s, 16), (2, 3, s, 11)
        agree(both_passes(rng, *shapes, mask, SEED, dtype, dropout=p, causal=kind == "none"), dtype)


def test_dropout_mask_is_even_and_independent():
    kept = REFERENCE.dropout_mask(SEED, shape=(4, 64, 130), rate=0.3)
    assert abs(kept.mean() - 0.7) < 0.01  # 33 000 draws: 4 standard deviations
    for axis in range(3):  # neighbours agree as often as chance has it
        agreement = np.take(kept, range(1, kept.shape[axis]), axis) == np.take(kept, range(kept.shape[axis] - 1), axis)
        assert abs(agreement.mean() - (0.7**2 + 0.3**2)) < 0.015
    other = REFERENCE.dropout_mask(SEED + 1, shape=(4, 64, 130), rate=0.3)
    assert abs((kept == other).mean() - 0.58) < 0.015
    np.testing.assert_array_equal(kept[:, :9, :17], REFERENCE.dropout_mask(SEED, shape=(4, 9, 17), rate=0.3))


def test_dropout_mask_by_hand():
    """One block of Philox-4x32, 7 rounds, in Python's integers."""
    a, b, c, d, key0, key1 = 5, 2, 1, 0, *map(int, SEED)
    for _ in range(7):
        x, y = a * 0xD2511F53, c * 0xCD9E8D57
        a, b, c, d = (y >> 32) ^ b ^ key0, y % 2**32, (x >> 32) ^ d ^ key1, x % 2**32
        key0, key1 = (key0 + 0x9E3779B9) % 2**32, (key1 + 0xBB67AE85) % 2**32
    kept = REFERENCE.dropout_mask(SEED, shape=(2, 7, 12), rate=0.5)[1, 5, 8:12]
    assert kept.tolist() == [word >= 2**31 for word in (a, b, c, d)]


@pytest.mark.parametrize("kind", ["none", "keys", "heads"])
def test_shared_heads(rng, kind):
    mask = MASKS[kind](rng, 2, 6, 40, 50)
    shapes = (2, 6, 40, 9), (2, 2, 50, 9), (2, 2, 50, 4)
    arrays = [rng.standard_normal(s) for s in shapes]
    found = []
    for repeat in (False, True):
        tensors = [mg.tensor(a, requires_grad=True) for a in arrays]
        q, k, v = tensors
        if repeat:
            k, v = (mg.stack([x, x, x], axis=2).reshape(2, 6, 50, -1) for x in (k, v))
        y = attend(q, k, v, mask, enable_gqa=not repeat)
        assert y.shape == (2, 6, 40, 4)
        mg.sum(y * y).backward()
        found.append([y.numpy(), *(t.grad.numpy() for t in tensors)])
    for got, expected in zip(*found):
        np.testing.assert_allclose(got, expected, atol=1e-11)


def test_views_are_read_in_place_and_the_output_lies_as_the_query(rng):
    shapes = (2, 70, 3, 8), (2, 90, 3, 8), (2, 90, 3, 8)
    q, k, v = (rng.standard_normal(s).transpose(0, 2, 1, 3) for s in shapes)
    y, log_total = KERNEL.attention(q, k, v)
    expected, logs = REFERENCE.attention(q, k, v)
    np.testing.assert_allclose(y, expected, atol=1e-12)
    assert y.transpose(0, 2, 1, 3).flags.c_contiguous
    dy = rng.standard_normal(y.shape)
    for frozen in (q, k, v, dy):
        frozen.flags.writeable = False
    got = KERNEL.attention_backward(dy, q, k, v, y, log_total)
    for a, b in zip(got, REFERENCE.attention_backward(dy, q, k, v, expected, logs)):
        np.testing.assert_allclose(a, b, atol=1e-11)


def test_check_kernel_with_masks_and_dropout():
    q, k, v, y, line = (65, 9), (80, 9), (80, 7), (65, 7), (65, 1)
    seed = ints((2,), 1000)
    assert testing.check_kernel("attention", samples=[case(q, k, v, (65, 80)), case(q, k, v, None, seed, dropout=0.25)])
    samples = [case(y, q, k, v, y, line, (65, 80)), case(y, q, k, v, y, line, None, seed, dropout=0.25)]
    assert testing.check_kernel("attention_backward", samples=samples)


def test_gradients_to_second_order_with_mask_and_dropout(rng):
    q, k, v = (mg.tensor(rng.standard_normal((2, n, 9))) for n in (70, 130, 130))
    mask, seed = mg.tensor(rng.random((70, 130)) < 0.7), mg.tensor(SEED)
    params = {"dropout": 0.3}
    assert testing.gradcheck(lambda *x: F.attention(*x, mask, seed, **params), [q, k, v], directions=2)
    assert testing.gradgradcheck(lambda *x: F.attention(*x, mask, seed, **params), [q, k, v], directions=1)


def test_results_do_not_depend_on_the_number_of_threads(rng):
    q = rng.standard_normal((2, 3, 150, 8))
    dy = rng.standard_normal(q.shape)
    found = []
    before = mg.get_num_threads()
    for threads in {1, before}:
        mg.set_num_threads(threads)
        y, log_total = KERNEL.attention(q, q, q, None, SEED, causal=True, dropout=0.2)
        grads = KERNEL.attention_backward(dy, q, q, q, y, log_total, None, SEED, causal=True, dropout=0.2)
        found.append((y, log_total, *grads))
    mg.set_num_threads(before)
    for a, b in zip(found[0], found[-1]):
        np.testing.assert_array_equal(a, b)


def test_memory_grows_with_the_length_not_its_square(rng):
    q = mg.tensor(rng.standard_normal((1, 2000, 8)), dtype=np.float32, requires_grad=True)
    mask = mg.tensor(rng.random((1, 1, 2000)) < 0.9)
    attend(q, q, q, mask, 0.1).sum().backward()  # compiled
    tracemalloc.start()
    attend(q, q, q, mask, 0.1).sum().backward()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2000 * 2000  # bytes; a matrix of float32 scores alone has four times as many


@pytest.mark.parametrize("kind", MASKS)
def test_as_pytorch(rng, kind):
    torch = pytest.importorskip("torch")
    mask = MASKS[kind](rng, 2, 6, 40, 50)
    arrays = [rng.standard_normal(s) for s in ((2, 6, 40, 9), (2, 3, 50, 9), (2, 3, 50, 4))]
    ours = [mg.tensor(a, requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    # its kernels want a mask of two axes or more
    given = None if mask is None else torch.tensor(np.broadcast_to(mask, np.broadcast_shapes(mask.shape, (40, 50))))
    y = attend(*ours, mask, enable_gqa=True)
    expected = torch.nn.functional.scaled_dot_product_attention(*theirs, given, enable_gqa=True)
    np.testing.assert_allclose(y.numpy(), expected.detach().numpy(), atol=1e-12)
    y.sum().backward()
    expected.sum().backward()
    for a, b in zip(ours, theirs):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), atol=1e-11)


@pytest.mark.parametrize("training", [False, True])
def test_dropout_through_the_public_function(rng, training):
    q = mg.tensor(rng.standard_normal((2, 4, 64, 16)), requires_grad=training)
    found = []
    for backend in ("numpy", "numba"):
        with mg.use_backend(backend):
            mg.manual_seed(7)
            y = attend(q, q, q, dropout_p=0.4)
            found.append([y.numpy()])
            if training:
                q.grad = None
                y.sum().backward()
                found[-1].append(q.grad.numpy())
    for a, b in zip(*found):
        np.testing.assert_allclose(a, b, atol=1e-11)
    mg.manual_seed(7)
    np.testing.assert_array_equal(attend(q, q, q, dropout_p=0.4).numpy(), found[1][0])
    assert not np.allclose(attend(q, q, q, dropout_p=0.4).numpy(), found[1][0])
