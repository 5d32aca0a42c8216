"""No public function ends a gradient without a word: what takes a float tensor that requires a gradient and returns
floats returns them with a history, or stands below with the reason."""

import inspect
import warnings

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor
from minigrad.testing import gradcheck

PLACES = {
    "mg": mg, "mg.linalg": mg.linalg, "mg.fft": mg.fft, "mg.special": mg.special, "F": mg.nn.functional,
    "mg.func": mg.func,
}  # fmt: skip
STEPS = "a step function of its input, the derivative is zero wherever there is one"
DRAWS = "numbers that are drawn; the rate or the shape is all it takes"
SHAPE = "takes the shape and dtype of its argument, not its values"
ASKED = "ending the gradient is what it is for"
NO_GRADIENT = {
    "histc": STEPS, "histogram": STEPS, "histogram2d": STEPS, "histogramdd": STEPS,
    "histogram_bin_edges": "edges are places, held fixed as the counts hold them",
    "bernoulli": DRAWS, "poisson": DRAWS, "rand_like": DRAWS, "randn_like": DRAWS, "randint_like": DRAWS,
    "zeros_like": SHAPE, "ones_like": SHAPE, "empty_like": SHAPE,
    "detach": ASKED, "stop_gradient": ASKED, "tensor": "a copy of values, with a warning",
    "lstsq": "singular values and rank are told beside the solution, which has its gradient",
    "lu": "the permutation is one of its factors", "lu_unpack": "the permutation is one of its factors",
}  # fmt: skip
INTEGERS = "takes integers or booleans, or positions"
NO_TENSOR = "takes no tensor of floats"
UNCALLED = {
    INTEGERS: """
        bitwise_and bitwise_count bitwise_invert bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor
        gcd lcm nonzero_static ravel_multi_index unravel_index
    """,
    NO_TENSOR: """
        are_deterministic_algorithms_enabled backend_names broadcast_shapes elementwise empty empty_permuted
        empty_strided eye fftfreq from_dlpack frombuffer
        fromfunction function fused identity iinfo indices initial_seed kernel ones primitive rand randint randn
        randperm rfftfreq scalar_tensor
        tree_unflatten tril_indices triu_indices zeros kind_of named spelled takes_out NamedTuple apply wrap
    """,
    "a primitive of many keywords; test_primitives checks its gradient": """
        convolution convolution_input convolution_weight fold_windows getitem max_pool windows
    """,
    "a setting, or files": """
        load manual_seed save seed use_backend
    """,
}
UNCALLED = {name: reason for reason, names in UNCALLED.items() for name in names.split()}
rng = np.random.default_rng(0)


def floats(*shape):
    return mg.tensor(rng.uniform(0.2, 0.9, shape).astype("float32"), requires_grad=True)


x, v, s, z3, z4 = floats(3, 3), floats(3), floats(), floats(2, 3, 4), floats(2, 3, 4, 4)
i, grid, mask = mg.asarray([0, 2, 1]), mg.asarray([[0, 1, 2], [2, 1, 0], [1, 1, 1]]), mg.asarray([True, False, True])
square = floats(3, 3) @ mg.tensor(np.eye(3, dtype="float32")) + mg.tensor(3 * np.eye(3, dtype="float32"))
definite = square @ square.mT
GENERAL = [
    (x,), (v,), (x, x), (v, v), (x, v), ([x, x],), ([v, v],), (x, x, x), (v, v, v), (x, 1), (v, 1), (x, 0, 1),
    (x, (0, 1)), (x, (9,)), (x, (1, 3, 3)), (x, i), (x, 0, i), (x, grid), (x, 0, grid), (x, grid, 0), (x, 0, i, x),
    (x, 1, grid, x), (x, grid, x, 1), (x, 1, grid, 1.0), (mask, v, v), (v, mask), (x, (1, 1)), (x, [1, 2]), (1, x),
    ("ij,jk->ik", x, x), (s, s, 4), (v, v, 4), ((2, 2), s), (x, s), (z4,), (z4, 2), (z3,), (z3, 2),
    (z4, floats(5, 3, 2, 2)), (grid, x), (z3, floats(5, 3, 2)), (z3, 2, 2), (z4, z4), (i, x), (z3, z3, z3),
    (x, "reflect"), (z4, (1, 1)), (x, v, v), (x, [v, v]), (lambda u: u * 2, x), (v, 3, 1), (x, 2, 0, 1), (definite,),
    (definite, x), (x, definite), (x, 3, 1.0),
]  # fmt: skip
attended = (*[floats(2, 1, 4)] * 3, 4, 2, floats(12, 4), floats(12), None, None, False, 0.0, floats(4, 4), floats(4))
b3, c3, vol = floats(2, 3, 4), floats(2, 4, 3), floats(1, 2, 3, 3, 3)
CALLS = {  # what GENERAL does not hit; a dictionary at the end: keywords
    "add_along_axis": (x, grid, {"axis": 0, "size": 3}), "F.unfold": (z4, 2), "masked_fill": (v, mask, 0.5),
    "masked_scatter": (v, mask, v), "index_put": (x, (i,), x), "hinge_loss": (v, mg.asarray([1.0, -1.0, 1.0])),
    "squared_hinge_loss": (v, mg.asarray([1.0, -1.0, 1.0])), "solve_triangular": (definite, x, {"upper": True}),
    "attention_weights": (z3, z3, None, False, None),
    "max_unpool1d": (*mg.nn.functional.max_pool1d(z3, 2, return_indices=True), 2),
    "multi_head_attention_forward": attended, "addbmm": (x, floats(2, 3, 4), floats(2, 4, 3)), "addmv": (v, x, v),
    "apply_along_axis": (lambda u: u * 2, 0, x), "as_strided": (x, (2, 2), (1, 2)), "astype": (x, "float64"),
    "as_strided_scatter": (x, floats(2, 2), (2, 2), (1, 2)), "baddbmm": (floats(2, 3, 3), b3, c3), "bmm": (b3, c3),
    "bincount": (i, v), "bilinear": (floats(2, 3), floats(2, 4), floats(5, 3, 4)), "broadcast_to": (x, (2, 3, 3)),
    "channel_shuffle": (floats(1, 4, 2, 2), 2), "cholesky": (definite,), "conv3d": (vol, floats(4, 2, 2, 2, 2)),
    "conv_transpose1d": (z3, floats(3, 5, 2)), "conv_transpose2d": (z4, floats(3, 5, 2, 2)),
    "conv_transpose3d": (vol, floats(2, 4, 2, 2, 2)),
    "ctc_loss": (floats(5, 1, 4), mg.asarray([[1, 2]]), mg.asarray([5]), mg.asarray([2])), "embedding_bag": (grid, x),
    "gather": (x, 0, grid), "index_reduce": (x, 0, i, x, "prod"),
    "istft": (mg.stft(floats(16), 8, return_complex=True), 8), "narrow": (x, 0, 0, 2),
    "put_along_axis": (x, grid, x, 0), "piecewise": (x, [x > 0.5], [lambda u: u * 2, lambda u: -u]),
    "pixel_shuffle": (floats(1, 4, 2, 2), 2), "rms_norm": (x, (3,)), "scatter_reduce": (x, 0, grid, x, "sum"),
    "select_scatter": (x, v, 0, 1), "unflatten": (x, 0, (3, 1)), "unfold": (x, 0, 2, 1), "unfold_copy": (x, 0, 2, 1),
    "view_as_real": (mg.complex(x, x),), "view_as_complex": (floats(3, 2),), "ldl_factor": (definite,),
    "ldl_factor_ex": (definite,), "ldl_solve": (definite, i, x), "affine_grid": (floats(1, 2, 3), (1, 1, 3, 3)),
    "fold": (floats(1, 4, 4), (3, 3), (2, 2)), "fractional_max_pool3d": (vol, 2, (2, 2, 2)),
    "grid_sample": (z4, floats(2, 3, 3, 2)), "F.layer_norm": (x, (3,)), "mg.layer_norm": (x, v, v),
    "lp_pool3d": (vol, 2.0, 2), "max_unpool2d": (*mg.nn.functional.max_pool2d(z4, 2, return_indices=True), 2),
    "max_unpool3d": (*mg.nn.functional.max_pool3d(vol, 2, return_indices=True), 2, {"output_size": (3, 3, 3)}),
    "hvp": (lambda u: (u**3).sum(), (x,), (x,)), "jvp": (lambda u: u**3, (x,), (x,)),
    "fractional_max_pool2d": (z4, 2, (2, 2)), "cdist": (x, floats(4, 3)), "pdist": (x, 2.0), "full_like": (x, s),
    "pairwise_distance": (x, floats(3, 3)), "atleast_1d": (x, s), "atleast_2d": (x, s), "atleast_3d": (x, s),
    "broadcast_arrays": (x, s), "average": (x, 1, x, True), "ix_": (v, i), "unwrap": (v,), "vander": (v, 3),
    "meshgrid": (v, v), "arange": (0.0, 2.0, floats()), "linspace": (s, 2.0, 4),
}  # fmt: skip
FUNCTIONS = {}
for place, module in PLACES.items():
    for name in sorted(dir(module)):
        f = getattr(module, name)
        plain = callable(f) and not inspect.isclass(f) and not inspect.ismodule(f)
        plain = plain and not name.startswith(("_", "get_", "set_", "is_", "use_", "register_", "load", "save"))
        plain = plain and not name.endswith(("_", "_window"))
        if plain and f not in FUNCTIONS.values():
            FUNCTIONS[f"{place}.{name}"] = f


def tensors(y):
    if isinstance(y, Tensor):
        return [y]
    values = y.values() if isinstance(y, dict) else y if isinstance(y, (list, tuple)) else ()
    return [t for u in values for t in tensors(u)]


def answered(f, args):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return tensors(f(*args[:-1], **args[-1]) if isinstance(args[-1], dict) else f(*args))
        except mg.errors.GradError:  # said aloud
            return []
        except Exception:  # not arguments of this function
            return None


@pytest.mark.parametrize("path", FUNCTIONS)
def test_gradients_pass_or_the_reason_is_known(path):
    f, name = FUNCTIONS[path], path.rsplit(".", 1)[1]
    if name in UNCALLED:
        return
    calls = [CALLS[key] for key in (path, name) if key in CALLS] or GENERAL
    ran = 0
    for args in calls:
        ys = answered(f, args)
        if ys is None:
            continue
        ran += 1
        lost = [y for y in ys if y.dtype.kind in "fc" and y.node is None and y.size]
        assert not lost or name in NO_GRADIENT, f"{path}{args} gives {lost} without a history"
        if ran == 3:
            return
    assert ran, f"{path}: none of the arguments here suits it. Add some to CALLS, or the reason to UNCALLED."


@pytest.mark.parametrize(
    "f",
    [
        lambda a, b: mg.linspace(a, b, 5), lambda a, b: mg.linspace(a, b, 4, endpoint=False),
        lambda a, b: mg.linspace(a, 2.0, 3) * b, lambda a, b: mg.linspace(mg.stack([a, b]), b, 3),
        lambda a, b: mg.arange(a, 2.4, b), lambda a, b: mg.full((2, 3), a) * mg.full_like(b, a),
    ],
)  # fmt: skip
def test_creation_from_tensors(f):
    a, b = (mg.tensor(n, dtype="float64", requires_grad=True) for n in (0.5, 0.75))
    gradcheck(f, (a, b))


def test_values_of_creation_from_tensors():
    a, b = mg.tensor(0.1, dtype="float64", requires_grad=True), mg.tensor([1.0, 3.0], dtype="float64")
    for endpoint in (True, False):
        for start, stop in ((a, b), (b, a), (2.0, a)):
            y = mg.linspace(start, stop, 7, endpoint=endpoint).detach()
            expected = np.linspace(np.asarray(getattr(start, "detach", lambda v=start: v)()), stop.detach().numpy(), 7,
                                   endpoint=endpoint)  # fmt: skip
            np.testing.assert_allclose(y.numpy(), expected, rtol=1e-15)
            assert (y[0].numpy() == expected[0]).all() and (not endpoint or (y[-1].numpy() == expected[-1]).all())
    assert mg.linspace(a.detach(), 1, 3).dtype == mg.float64 == mg.linspace(a, 1, 3).dtype
    assert mg.linspace(a, 1, 3, dtype="float32").dtype == mg.float32 and mg.linspace(a, 1, 0).shape == (0,)
    assert mg.func.vmap(lambda t: mg.linspace(t, 1.0, 3))(mg.asarray([0.0, 0.5])).tolist() == [
        [0, 0.5, 1],
        [0.5, 0.75, 1],
    ]
    assert mg.full((2,), mg.asarray([1.0, 2.0])).tolist() == [1.0, 2.0]


def test_a_copy_of_values_warns():
    with pytest.warns(mg.MistakeWarning, match="clone"):
        assert not mg.tensor(v).requires_grad
