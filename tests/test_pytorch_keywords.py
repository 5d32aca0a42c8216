"""PyTorch's arguments, all by keyword, as its programs write them, beside PyTorch."""

import numpy as np
import pytest

import minigrad as mg

torch = pytest.importorskip("torch")

A = np.array([[0.5, 0.25, 0.75], [0.1, 0.9, 0.3]])
S = np.array([[4.0, 1.0], [1.0, 3.0]])
V, ONE = A[0], np.array([1, 0])
UNARY = """abs acos asin atan ceil cos cosh deg2rad digamma erf erfc erfinv exp exp2 expm1 floor frac isnan lgamma log
log10 log1p log2 logit neg positive rad2deg reciprocal relu round rsqrt sigmoid sign signbit sin sinc sinh sqrt square
tan tanh trunc clone numel conj angle real""".split()  # noqa: SIM905
BINARY = """add sub mul div true_divide floor_divide remainder fmod eq ne lt le gt ge maximum minimum fmax fmin atan2
hypot logaddexp logaddexp2 copysign nextafter logical_and logical_or logical_xor isclose allclose dist igamma rsub
xlogy""".split()  # noqa: SIM905
CALLS = [
    *[(name, {"input": A}) for name in UNARY],
    *[(name, {"input": A, "other": A[::-1].copy()}) for name in BINARY],
    ("add", {"input": A, "other": A, "alpha": 2}),
    ("sub", {"input": A, "other": A, "alpha": 2}),
    ("div", {"input": A, "other": A, "rounding_mode": "floor"}),
    ("pow", {"input": A, "exponent": 2}),
    ("clamp", {"input": A, "min": 0.3, "max": 0.8}),
    ("lerp", {"input": A, "end": A, "weight": 0.5}),
    ("where", {"condition": A > 0.3, "input": A, "other": 0.0}),
    ("sum", {"input": A, "dim": 1, "keepdim": True}),
    ("mean", {"input": A, "dim": (0, 1)}),
    ("std", {"input": A, "dim": 0, "unbiased": False}),
    ("var", {"input": A, "dim": 0, "correction": 0}),
    ("max", {"input": A, "dim": 1}),
    ("argmax", {"input": A, "dim": 1}),
    ("amax", {"input": A, "dim": 1}),
    ("logsumexp", {"input": A, "dim": 1}),
    ("cumsum", {"input": A, "dim": 0}),
    ("norm", {"input": A, "p": 2, "dim": 1}),
    ("softmax", {"input": A, "dim": 1, "dtype": "float64"}),
    ("log_softmax", {"input": A, "dim": 1}),
    ("topk", {"input": A, "k": 1}),
    ("sort", {"input": A, "dim": 1}),
    ("gather", {"input": A, "dim": 1, "index": ONE[:, None]}),
    ("index_select", {"input": A, "dim": 0, "index": ONE}),
    ("masked_select", {"input": A, "mask": A > 0.3}),
    ("matmul", {"input": A, "other": A.T}),
    ("mm", {"input": A, "mat2": A.T}),
    ("bmm", {"input": A[None], "mat2": A.T[None]}),
    ("addmm", {"input": S, "mat1": A, "mat2": A.T}),
    ("dot", {"input": V, "tensor": V}),
    ("vdot", {"input": V, "other": V}),
    ("outer", {"input": V, "vec2": V}),
    ("inner", {"input": V, "other": V}),
    ("kron", {"input": A, "other": A}),
    ("cross", {"input": A, "other": A[::-1].copy(), "dim": 1}),
    ("tensordot", {"a": A, "b": A.T, "dims": 1}),
    ("cdist", {"x1": A, "x2": A[::-1].copy()}),
    ("cat", {"tensors": [A, A], "dim": 1}),
    ("concat", {"tensors": [A, A], "dim": 1}),
    ("stack", {"tensors": [A, A], "dim": 1}),
    ("hstack", {"tensors": [A, A]}),
    ("vstack", {"tensors": [A, A]}),
    ("split", {"tensor": A, "split_size_or_sections": 1, "dim": 0}),
    ("chunk", {"input": A, "chunks": 2, "dim": 0}),
    ("unbind", {"input": A, "dim": 0}),
    ("select", {"input": A, "dim": 1, "index": 0}),
    ("reshape", {"input": A, "shape": (6,)}),
    ("flatten", {"input": A, "start_dim": 0}),
    ("transpose", {"input": A, "dim0": 0, "dim1": 1}),
    ("permute", {"input": A, "dims": (1, 0)}),
    ("movedim", {"input": A, "source": 0, "destination": 1}),
    ("unsqueeze", {"input": A, "dim": 0}),
    ("squeeze", {"input": A[None], "dim": 0}),
    ("flip", {"input": A, "dims": (0,)}),
    ("roll", {"input": A, "shifts": 1, "dims": 0}),
    ("tile", {"input": A, "dims": (2,)}),
    ("repeat_interleave", {"input": A, "repeats": 2, "dim": 0}),
    ("tril", {"input": S, "diagonal": -1}),
    ("triu", {"input": S}),
    ("diag", {"input": V, "diagonal": 1}),
    ("zeros_like", {"input": A}),
    ("full_like", {"input": A, "fill_value": 2.0}),
    ("full", {"size": (2,), "fill_value": 1.0}),
    ("linspace", {"start": 0.0, "end": 1.0, "steps": 3}),
    ("searchsorted", {"sorted_sequence": np.sort(V), "input": V, "right": True}),
    ("bucketize", {"input": V, "boundaries": np.sort(V)}),
    ("linalg.inv", {"A": S}),
    ("linalg.det", {"A": S}),
    ("linalg.solve", {"A": S, "B": V[:2]}),
    ("linalg.cholesky", {"input": S}),
    ("linalg.norm", {"input": A, "ord": 2, "dim": 1}),
    ("linalg.matrix_power", {"input": S, "n": 2}),
    ("linalg.eigvalsh", {"input": S}),
    ("nn.functional.linear", {"input": A, "weight": A, "bias": V[:2]}),
    ("nn.functional.one_hot", {"input": ONE, "num_classes": 3}),
    ("nn.functional.softsign", {"input": A}),
    ("nn.functional.logsigmoid", {"input": A}),
]


def find(library, name):
    for part in name.split("."):
        library = getattr(library, part)
    return library


def given(library, value):
    if isinstance(value, np.ndarray):
        return library.tensor(value)
    if isinstance(value, list):
        return [given(library, v) for v in value]
    return getattr(library, value) if isinstance(value, str) and value.startswith("float") else value


def values(found):
    if isinstance(found, (tuple, list)):
        return [values(f) for f in found]
    return np.asarray(found)


@pytest.mark.parametrize(("name", "keywords"), CALLS, ids=[f"{n} {' '.join(k)}" for n, k in CALLS])
def test_by_keyword(name, keywords):
    found, expected = (
        values(find(library, name)(**{k: given(library, v) for k, v in keywords.items()})) for library in (mg, torch)
    )
    if isinstance(expected, list):
        assert len(found) == len(expected)
        for f, e in zip(found, expected):
            np.testing.assert_allclose(f, e, rtol=1e-6)
    else:
        assert found.shape == expected.shape
        if name != "nextafter":
            np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("call", [lambda: mg.exp(), lambda: mg.add(mg.ones(2)), lambda: mg.cat()])
def test_a_missing_argument_is_named(call):
    with pytest.raises(TypeError, match="missing"):
        call()


@pytest.mark.parametrize("call", [lambda x: mg.exp(x, foo=1), lambda x: mg.sum(x, foo=1), lambda x: mg.roll(x, foo=1)])
def test_an_unknown_keyword_is_named(call):
    with pytest.raises(TypeError, match="foo"):
        call(mg.ones(2))


@pytest.mark.parametrize("name", ["std", "nanstd"])
def test_the_gradient_of_no_spread_is_zero(name):
    x = mg.tensor([[2.0, 2.0, 2.0], [1.0, 2.0, 4.0]], requires_grad=True)
    getattr(mg, name)(x, axis=1).sum().backward()
    other = torch.tensor(x.detach().numpy(), requires_grad=True)
    other.std(dim=1, correction=0).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), other.grad.numpy(), rtol=1e-6)


METHODS = {
    "view": {"size": (6,)}, "reshape": {"shape": (6,)}, "permute": {"dims": (1, 0)}, "expand": {"size": (2, 2, 3)},
    "repeat": {"repeats": (2, 1)}, "tile": {"dims": (2,)}, "transpose": {"dim0": 0, "dim1": 1}, "flip": {"dims": (0,)},
    "unsqueeze": {"dim": 1}, "squeeze": {"dim": 0}, "sum": {"dim": (0, 1), "keepdim": True}, "add": {"other": 1},
    "clamp": {"min": 0.3, "max": 0.8}, "pow": {"exponent": 2}, "chunk": {"chunks": 1, "dim": 1}, "argmax": {"dim": 0},
    "roll": {"shifts": 1, "dims": 0}, "movedim": {"source": 0, "destination": 1}, "norm": {"p": 2, "dim": 1},
    "split": {"split_size": 1, "dim": 1}, "equal": {"other": A}, "new_full": {"size": (2,), "fill_value": 1.0},
    "matmul": {"other": A.T}, "fill_": {"value": 2.0}, "clone": {"memory_format": None},
}  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_methods_by_keyword(name):
    found, expected = (
        values(getattr(m.tensor(A), name)(**{k: given(m, v) for k, v in METHODS[name].items() if v is not None}))
        for m in (mg, torch)
    )
    for f, e in zip(found, expected, strict=True) if isinstance(expected, list) else [(found, expected)]:
        assert f.shape == e.shape
        np.testing.assert_allclose(f, e, rtol=1e-6)
