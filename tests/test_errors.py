"""Every error class: it is raised where its docstring says, is the builtin a user would catch, and says what to do."""

import re
from importlib.util import find_spec

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors

CLASSES = [c for c in vars(errors).values() if isinstance(c, type) and c.__module__ == "minigrad.errors"]
EXAMPLES = [
    (c, code) for c in CLASSES for code in re.findall(r"``([^`]*mg\.[^`]*)``", (c.__doc__ or "").split("Fix:")[0])
]
RAISED = {  # for docstrings that tell their example in words
    errors.IndexRangeError: lambda: mg.tensor([1.0])[3],
    errors.ArgumentError: lambda: mg.split(mg.ones(4), 0),
    errors.GradError: lambda: mg.ones(2, requires_grad=True).backward(),
    errors.BackendError: lambda: mg.get_backend("abacus"),
    errors.CheckError: lambda: mg_testing().gradcheck(lambda x: x.detach(), np.ones(2)),
}


def mg_testing():
    from minigrad import testing

    return testing


@pytest.mark.parametrize("error", CLASSES, ids=lambda c: c.__name__)
def test_class(error):
    assert issubclass(error, errors.MinigradError)
    if error is errors.MinigradError:
        return
    builtin = [b for b in error.__mro__ if b.__module__ == "builtins" and b not in (Exception, BaseException, object)]
    assert builtin, "also subclass the builtin a user would catch"
    doc = error.__doc__ or ""
    assert "Fails:" in doc and "Fix:" in doc, "the docstring is cause, failing example, fix"
    assert str(error("op: the rule: what came.")) == "op: the rule: what came."


@pytest.mark.parametrize("error, code", EXAMPLES, ids=[c for _, c in EXAMPLES])
def test_docstring_example_raises_it(error, code):
    if code.startswith("@") or "mg.jit" in code:
        pytest.skip("needs mg.jit")
    if 'device="cupy"' in code and "cupy" in mg.backend_names() and not mg.cuda.is_available():
        pytest.skip("needs a GPU")
    with pytest.raises(error) as caught:
        eval(code, {"mg": mg, "np": np})
    assert type(caught.value) is error


@pytest.mark.parametrize("error", RAISED, ids=lambda c: c.__name__)
def test_raised_in_practice(error):
    with pytest.raises(error):
        RAISED[error]()


@pytest.mark.parametrize(
    "run, words",
    [
        (
            lambda: mg.ones((2, 3)) @ mg.ones((4, 3)),
            r"matmul: inner sizes must agree: a is \(2, 3\), b is \(4, 3\), 3 != 4. Did you mean b.mT\?",
        ),
        (lambda: mg.ones((3, 2)) @ mg.ones((3, 4)), r"Did you mean a.mT\?"),
        (lambda: mg.ones((2, 3)) + mg.ones(2), r"add: shapes must broadcast .*b\[:, None\]"),
        (lambda: mg.ones((2, 3)).sum(axis=2), "axis 2 of a 2-d array. Allowed: -2 to 1"),
        (lambda: mg.cumsum(mg.ones((2, 3)), axis=2), "axis 2 of a 2-d array"),
        (lambda: mg.sum(mg.ones(2), axis=1.5), "axis must be an int"),
        (lambda: mg.sum(mg.ones((2, 3)), axis=(0, -2)), "an axis is named twice"),
        (lambda: mg.ones((2, 3)).reshape(4), "the number of elements must stay"),
        (lambda: mg.ones((2, 3)).reshape(-1, -1), "at most one length may be -1"),
        (lambda: mg.ones((2, 3)).reshape(4, -1), "number of elements must stay"),
        (lambda: mg.concat([mg.ones((2, 3)), mg.ones((2, 4))]), "all lengths but axis 0 must agree"),
        (lambda: mg.concat([]), "needs at least one array"),
        (lambda: mg.stack([mg.ones(2), mg.ones(3)]), "all shapes must agree"),
        (lambda: mg.ones((2, 3)).permute(0, 0), "named twice"),
        (lambda: mg.linear(mg.ones((2, 3)), mg.ones((4, 5))), r"the last axis of x must be the layer's in_features"),
        (lambda: mg.squeeze(mg.ones((2, 3)), 0), "only axes of length 1 can go"),
        (lambda: mg.broadcast_to(mg.ones((2, 3)), (2, 4)), "broadcast"),
        (lambda: mg.split(mg.ones(5), [2, 2]), "the sizes must add up"),
        (lambda: mg.ones(2).item(), "exactly one element"),
        (lambda: bool(mg.ones(2)), "ambiguous"),
        (lambda: mg.zeros(-1), "lengths must be integers from 0 up"),
        (lambda: mg.max(mg.zeros(0)), "max"),
    ],
)
def test_shape_errors_name_op_shapes_and_remedy(run, words):
    with pytest.raises(errors.ShapeError, match=words) as caught:
        run()
    assert caught.value.__cause__ is None, "one error, not a chain"


@pytest.mark.parametrize(
    "run, words",
    [
        (lambda: mg.tensor([[1, 2], [3]]), "Rows must have equal lengths"),
        (lambda: mg.tensor(["a"]), "elements must be numbers"),
        (lambda: mg.tensor([None]), "elements must be numbers"),
        (lambda: mg.tensor(np.array([1, "a"], dtype=object)), "got object"),
        (lambda: mg.tensor({1: 2}), "elements must be numbers"),
        (lambda: mg.tensor(10**30), "elements must be numbers"),
        (lambda: mg.ones(2) + "a", "elements must be numbers"),
        (lambda: mg.ones(2) + None, "add"),
        (lambda: mg.exp(None), "exp"),
        (lambda: mg.ones(2)["a"], "an index is an integer"),
        (lambda: mg.ones(2)[0.5], "an index is an integer"),
        (lambda: len(mg.ones(())), "a 0-d tensor has no length"),
        (lambda: [1, 2][mg.ones(())], "only integers can index"),
        (lambda: mg.tensor([1.0]) << 1, "bitwise_left_shift"),
        (lambda: mg.set_default_dtype("int32"), "must be a float dtype"),
    ],
)
def test_dtype_errors(run, words):
    with pytest.raises(errors.DTypeError, match=words):
        run()


def test_backend_errors():
    with mg.use_backend("strict"):
        device = mg.ones(3)
    with pytest.raises(errors.BackendError, match=r'operands must be on one backend: got numpy and strict.*\.to\("'):
        device + mg.ones(3)
    with pytest.raises(errors.BackendError, match=r"one backend"):
        device * np.ones(3)
    with pytest.raises(errors.BackendError, match=r"there is no backend 'abacus'. Known: .*numba, numpy"):
        mg.use_backend("abacus")
    if find_spec("cupy") is None:
        with pytest.raises(errors.BackendError, match=r"CuPy is not installed\. pip install 'minigrad-engine\[gpu\]'"):
            mg.get_backend("cupy")


def test_builtins_catch_them():
    with pytest.raises(ValueError):
        mg.ones(2) + mg.ones(3)
    with pytest.raises(IndexError):
        mg.ones(2).sum(axis=5)
    with pytest.raises(IndexError):
        mg.ones(2)[7]
    with pytest.raises(TypeError):
        mg.tensor(["a"])
    with pytest.raises(RuntimeError):
        mg.ones(2).sum().backward()
