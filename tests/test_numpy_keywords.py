"""NumPy's arguments by keyword, as its programs write them, beside NumPy."""

import numpy as np
import pytest

import minigrad as mg

V, W = np.array([1.0, 2.0, 4.0]), np.array([4.0, 2.0, 8.0])
A = np.array([[4.0, 1.0], [1.0, 3.0]])
N = np.array([1.0, np.nan, 4.0])
CALLS = [
    ("clip", (V,), {"a_min": 1.5, "a_max": 3.0}),
    ("clip", (V,), {"a_min": 1.5, "a_max": None}),
    ("repeat", (V,), {"repeats": 2}),
    ("repeat", (V,), {"repeats": [1, 0, 2], "axis": 0}),
    ("tile", (V,), {"reps": (2, 1)}),
    ("tile", (), {"A": V, "reps": 2}),
    ("linspace", (0.0,), {"stop": 1.0, "num": 3}),
    ("linspace", (), {"start": 0.0, "stop": 1.0, "num": 3, "endpoint": False}),
    ("linspace", (V, W), {"num": 3, "axis": 1}),
    ("geomspace", (V, W), {"num": 3, "axis": -1}),
    ("eye", (3,), {"M": 2, "k": -1}),
    ("eye", (), {"N": 2}),
    ("full_like", (V,), {"fill_value": 2.0, "shape": (2, 2)}),
    ("zeros_like", (V,), {"shape": 4}),
    ("ones_like", (V,), {"shape": (1, 2), "dtype": np.int64}),
    ("nanstd", (N,), {"ddof": 1}),
    ("nanvar", (N,), {"ddof": 1}),
    ("std", (V,), {"ddof": 1}),
    ("tensordot", (A,), {"b": A, "axes": 1}),
    ("searchsorted", (), {"a": V, "v": W, "side": "right"}),
    ("angle", (np.array([1j, -1.0]),), {"deg": True}),
    ("array", (V,), {"ndmin": 2}),
    ("array_equal", (V,), {"a2": V}),
    ("array_equiv", (V,), {"a2": V}),
    ("isin", (V,), {"test_elements": W}),
    ("isin", (V,), {"test_elements": W, "kind": "sort"}),
    ("union1d", (V,), {"ar2": W}),
    ("setdiff1d", (V,), {"ar2": W}),
    ("setxor1d", (V,), {"ar2": W}),
    ("intersect1d", (), {"ar1": V, "ar2": W}),
    ("partition", (V,), {"kth": 1, "kind": "introselect"}),
    ("argpartition", (V,), {"kth": 1, "kind": "introselect"}),
    ("compress", ([True, False, True],), {"a": V}),
    ("extract", (V > 1,), {"arr": V}),
    ("meshgrid", (V, W), {"sparse": True}),
    ("meshgrid", (V, W), {"sparse": True, "indexing": "ij"}),
    ("split", (V,), {"indices_or_sections": 3}),
    ("split", (V,), {"indices_or_sections": [1]}),
    ("median", (V,), {"overwrite_input": False}),
    ("quantile", (V,), {"q": 0.3, "overwrite_input": True}),
    ("nanpercentile", (N,), {"q": 30, "overwrite_input": True}),
    ("nan_to_num", (N,), {"copy": True, "nan": 7.0}),
    ("nan_to_num", (N, True), {}),
    ("can_cast", (np.int32,), {"to": np.int64}),
    ("real_if_close", (np.array([1 + 1e-20j, 2.0]),), {}),
    ("real_if_close", (np.array([1 + 1j, 2.0]),), {"tol": 10}),
    ("linalg.matrix_power", (A,), {"n": 3}),
    ("linalg.solve", (A,), {"b": V[:2]}),
    ("linalg.solve", (), {"a": A, "b": V[:2]}),
    ("linalg.matrix_rank", (A,), {"tol": 1e-6}),
    ("linalg.svd", (A,), {"compute_uv": False}),
    ("linalg.svd", (A,), {"full_matrices": False, "hermitian": True, "compute_uv": False}),
    ("linalg.tensorsolve", (np.eye(4).reshape(2, 2, 2, 2) * 2,), {"b": A}),
    ("linalg.lstsq", (A,), {"b": V[:2], "rcond": None}),
    ("linalg.inv", (), {"a": A}),
    ("linalg.det", (), {"a": A}),
    ("linalg.eigh", (), {"a": A}),
    ("sum", (), {"a": A, "axis": 0}),
    ("mean", (), {"a": A, "axis": 0}),
    ("max", (), {"a": A, "axis": 0}),
    ("argmax", (), {"a": A, "axis": 0}),
    ("transpose", (A,), {"axes": (1, 0)}),
    ("squeeze", (), {"a": V[None], "axis": 0}),
    ("swapaxes", (A,), {"axis1": 0, "axis2": 1}),
    ("moveaxis", (A,), {"source": 0, "destination": 1}),
    ("broadcast_to", (V,), {"shape": (2, 3)}),
    ("concatenate", ((V, W),), {"axis": 0}),
    ("stack", (), {"arrays": (V, W), "axis": 1}),
    ("take", (V,), {"indices": [0, 2], "axis": 0}),
    ("roll", (V,), {"shift": 1}),
    ("roll", (A,), {"shift": (1, 1), "axis": (0, 1)}),
    ("pad", (V,), {"pad_width": 1, "mode": "constant", "constant_values": 3.0}),
    ("diff", (V,), {"n": 2, "axis": 0}),
    ("cumsum", (), {"a": A, "axis": 1}),
    ("sort", (), {"a": A, "axis": 0}),
    ("argsort", (A,), {"axis": 0, "kind": "stable"}),
    ("diagonal", (A,), {"offset": 1, "axis1": 0, "axis2": 1}),
    ("trace", (), {"a": A}),
    ("tril", (), {"m": A, "k": -1}),
    ("outer", (), {"a": V, "b": W}),
    ("dot", (), {"a": V, "b": W}),
    ("vdot", (V, W), {}),
    ("kron", (), {"a": V, "b": W}),
    ("cross", (), {"a": V, "b": W}),
    ("isclose", (), {"a": V, "b": W, "rtol": 0.5}),
    ("allclose", (), {"a": V, "b": W}),
    ("histogram", (), {"a": V, "bins": 2}),
    ("bincount", (np.array([0, 2, 2]),), {"weights": V, "minlength": 4}),
    ("interp", (), {"x": V, "xp": V, "fp": W}),
    ("convolve", (), {"a": V, "v": W, "mode": "same"}),
    ("average", (), {"a": V, "weights": W}),
    ("ravel", (), {"a": A}),
    ("flip", (), {"m": A, "axis": 0}),
    ("rot90", (), {"m": A, "k": 2}),
    ("count_nonzero", (), {"a": A, "axis": 0}),
    ("unique", (), {"ar": W, "return_counts": True}),
    ("vander", (), {"x": V, "N": 2, "increasing": True}),
    ("tri", (), {"N": 3, "M": 2, "k": 1}),
    ("diag", (), {"v": V, "k": 1}),
    ("digitize", (), {"x": V, "bins": W[[1, 0, 2]], "right": True}),
    ("trapezoid", (), {"y": V, "x": W, "axis": 0}),
    ("polyval", (), {"p": V, "x": W}),
]


def find(library, name):
    for part in filter(None, name.split(".")):
        library = getattr(library, part)
    return library


def tensors(value):
    if isinstance(value, tuple) and value and isinstance(value[0], np.ndarray):
        return tuple(map(mg.tensor, value))
    return mg.tensor(value) if isinstance(value, np.ndarray) else value


def values(found):
    if isinstance(found, (tuple, list)):
        return [values(f) for f in found]
    return np.asarray(found.numpy() if isinstance(found, mg.Tensor) else found)


def compare(found, expected):
    if isinstance(expected, list):
        assert len(found) == len(expected)
        for f, e in zip(found, expected):
            compare(f, e)
    else:
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize(("name", "args", "keywords"), CALLS, ids=[f"{c[0]} {' '.join(c[2])}" for c in CALLS])
def test_by_keyword(name, args, keywords):
    if not hasattr(find(np, name.rpartition(".")[0]) if "." in name else np, name.rpartition(".")[2]):
        pytest.skip(f"numpy {np.__version__} has no {name}")
    ours = find(mg, name)(*map(tensors, args), **{k: tensors(v) for k, v in keywords.items()})
    compare(values(ours), values(find(np, name)(*args, **keywords)))


@pytest.mark.parametrize(
    "call", [lambda: mg.zeros((2, 3), order="C"), lambda: mg.eye(3, order="F"), lambda: mg.full((2,), 1.0, order="C")]
)
def test_what_is_made_is_a_tensor(call):
    y = call()
    assert isinstance(y, mg.Tensor) and y.dtype == np.float32


def test_out_is_written_when_numpys_words_are_used():
    out = mg.zeros(3)
    assert mg.tensordot(mg.eye(3), b=mg.ones(3), axes=1, out=out) is out and out.tolist() == [1.0, 1.0, 1.0]
    out = mg.zeros(2, 2)
    assert mg.linalg.solve(a=mg.eye(2), b=mg.eye(2), out=out) is out and out.tolist() == np.eye(2).tolist()
    out = mg.ones(4)
    assert mg.zeros_like(mg.ones(2), shape=(4,), out=out) is out and not out.numpy().any()


@pytest.mark.parametrize(
    "call", [lambda x: mg.clip(x, other=2.0), lambda x: mg.zeros(3, foo=1), lambda x: mg.linear(x, x, other=x)]
)
def test_a_word_that_means_nothing_is_refused(call):
    with pytest.raises(TypeError, match=r"other|foo"):
        call(mg.ones(2, 2))
