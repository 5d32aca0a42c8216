"""NumPy's arguments by position, as its programs write them, beside NumPy."""

import numpy as np
import pytest

import minigrad as mg

V = np.array([1.0, 2.0, 4.0])
CALLS = {
    "zeros": ((2, 3), np.float64),
    "ones": (3, int),
    "empty": ((0, 2), "int32"),
    "full": ((2, 2), 7, np.float32),
    "zeros_like": (V, np.int64),
    "ones_like": (V, bool),
    "empty_like": (V[:0], np.int64),
    "full_like": (V, 3, np.int64),
    "array": ([1, 2], float),
    "asarray": ([1, 2], float),
    "arange": (0, 3, 1, float),
    "eye": (3, 4, 1, float),
    "identity": (3, float),
    "frombuffer": (b"12345678", np.float64),
    "searchsorted": (V, V, "right"),
    "isin": (V, V[:1], False, True),
    "tensordot": (V, V, 1),
    "sum": (V, 0, np.float32),
    "prod": (V, 0, int),
    "mean": (V, None, "float32"),
    "fft.fftfreq": (4, 0.1),
    "fft.rfftfreq": (4, 0.1),
}


def find(library, name):
    for part in name.split("."):
        library = getattr(library, part)
    return library


@pytest.mark.parametrize("name", CALLS)
def test_by_position(name):
    args = CALLS[name]
    ours = [mg.tensor(a) if isinstance(a, np.ndarray) else a for a in args]
    found, expected = find(mg, name)(*ours).numpy(), find(np, name)(*args)
    if name.startswith("fft"):
        np.testing.assert_allclose(found, expected, rtol=1e-6)  # in the default dtype, float32
    else:
        np.testing.assert_array_equal(found, expected, strict=True)


@pytest.mark.parametrize("args", [(0, 1), (0, 1, 5, False), (1, 2, 3)])
def test_linspace(args):
    np.testing.assert_allclose(mg.linspace(*args).numpy(), np.linspace(*args), rtol=1e-6)
