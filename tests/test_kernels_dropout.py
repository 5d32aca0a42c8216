"""The kernel of dropout's choices makes NumPy's own, and leaves the generator where NumPy would."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.nn import functional as F
from minigrad.random import Generator

pytest.importorskip("numba")


def pair(before=0, counter=None):
    """Two streams in one state: after so many words of 32 bits, from that counter on."""
    made = [Generator(3)._numpy for _ in range(2)]
    for stream in made:
        if counter is not None:
            stream.bit_generator.state = stream.bit_generator.state | {
                "state": stream.bit_generator.state["state"] | {"counter": np.array(counter, np.uint64)}
            }
        stream.random(before, np.float32)
    return made


@pytest.mark.parametrize("before", [0, 1, 2, 5, 7, 8])
@pytest.mark.parametrize(
    ("n", "p", "dtype"), [(20_000, 0.1, "float32"), (33_333, 1 / 3, "float64"), (40_007, 0.5, "float32")]
)
def test_the_choices_are_numpys(before, n, p, dtype):
    ours, numpys = pair(before)
    y = mg.get_backend("numba").factors(ours, (n,), p, np.dtype(dtype))
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, np.multiply(numpys.random(n, np.float32) >= p, 1 / (1 - p), dtype=dtype))
    np.testing.assert_array_equal(ours.random(9, np.float32), numpys.random(9, np.float32))
    assert ours.random() == numpys.random()


FULL = 2**64 - 1


@pytest.mark.parametrize("counter", [[FULL, 0, 0, 0], [FULL - 2, FULL, FULL, 5], [FULL] * 4])
def test_the_counter_carries(counter):
    ours, numpys = pair(counter=counter)
    y = mg.get_backend("numba").factors(ours, (20_000,), 0.25, np.dtype("float32"))
    np.testing.assert_array_equal(y > 0, numpys.random(20_000, np.float32) >= 0.25)
    assert ours.random() == numpys.random()


def test_one_seed_drops_the_same_on_both_host_backends():
    x, drawn = mg.ones(200, 300), []
    for backend in ("numpy", "numba"):
        with mg.use_backend(backend):
            mg.manual_seed(7)
            drawn.append((F.dropout(x, 0.3), F.dropout2d(mg.ones(40, 500, 2, 2), 0.5), mg.rand(3)))
    for a, b in zip(*drawn):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_few_and_other_types_are_numpys_own():
    backend, (stream, _) = mg.get_backend("numba"), pair()
    assert backend.factors(stream, (10, 10), 0.5, np.dtype("float32")) is None
    assert backend.factors(stream, (200, 200), 0.5, np.dtype("float16")) is None
