"""Every function of nn.functional on PyTorch's own samples of it: outputs and first gradients.

The samples are those of PyTorch's operator tests. UNSUPPORTED lists what is left out, and why. What PyTorch refuses is
refused here as well.
"""

import random
import sys
import types
import unittest

import numpy as np
import pytest

import minigrad as mg
from minigrad.errors import MinigradError
from minigrad.gradients import grad
from minigrad.nn import functional as F

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")
try:
    import expecttest  # noqa: F401
except ImportError:  # PyTorch's samples import it for one base class
    sys.modules["expecttest"] = types.SimpleNamespace(TestCase=unittest.TestCase)
op_db = pytest.importorskip("torch.testing._internal.common_methods_invocations").op_db

MOST = 24  # samples of one function and dtype; taken evenly from all there are
TOLERANCE = {"float32": 1e-5, "float64": 1e-10, "int64": 0}

RANDOM = "random numbers: what they have in common with PyTorch's is tested elsewhere"


def draws(sample, default=False):
    """Does a dropout draw a mask that shows?"""
    return sample.kwargs.get("training", default) and 0 < sample.kwargs.get("p", 0.5) < 1


# function -> (which of its samples are left out, why)
UNSUPPORTED = {
    "dropout": (lambda s: draws(s, True), RANDOM),
    "dropout2d": (lambda s: draws(s, True), RANDOM),
    "dropout3d": (lambda s: draws(s, True), RANDOM),
    "alpha_dropout": (draws, RANDOM),
    "feature_alpha_dropout": (draws, RANDOM),
    "rrelu": (lambda s: s.kwargs.get("training"), RANDOM),
    "fractional_max_pool2d": (lambda s: "_random_samples" not in s.kwargs, RANDOM),
    "fractional_max_pool3d": (lambda s: "_random_samples" not in s.kwargs, RANDOM),
    "multi_head_attention_forward": (lambda s: s.args[9] and s.kwargs.get("training", True), RANDOM),
    "scaled_dot_product_attention": (lambda s: s.kwargs.get("dropout_p"), RANDOM),
}
OUTPUT_ONLY = {
    "ctc_loss": "PyTorch's gradient is the one behind a log_softmax, p - target, also where there is none",
}
ROUNDED = {"hardsigmoid"}  # PyTorch's slope 1/6 is a float32 in float64 too
WEIGHT_FIRST = {"embedding", "embedding_bag"}  # the samples of these have their first two arguments exchanged


def entries():
    for op in op_db:
        name = op.name.removeprefix("nn.functional.")
        if name != op.name and hasattr(F, name) and {torch.float32, torch.int64} & op.dtypes:
            yield pytest.param(op, name, id=name + (f"-{op.variant_test_name}" if op.variant_test_name else ""))


def samples(op, name, dtype):
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 the samples draw from it
    keep = lambda sample: name not in UNSUPPORTED or not UNSUPPORTED[name][0](sample)
    found = list(op.sample_inputs("cpu", dtype, requires_grad=dtype.is_floating_point and op.supports_autograd))
    found = list(filter(keep, found))
    return [found[i] for i in np.unique(np.linspace(0, len(found) - 1, MOST).astype(int))] if found else []


def ours(value):
    """PyTorch's argument as minigrad's."""
    if isinstance(value, torch.Tensor):
        t = mg.tensor(value.detach().numpy().copy())
        t.requires_grad = value.requires_grad
        return t
    if isinstance(value, torch.nn.Module):
        return getattr(mg.nn, type(value).__name__)()
    if isinstance(value, torch.dtype):
        return str(value).removeprefix("torch.")
    if isinstance(value, (list, tuple)):
        return type(value)(map(ours, value))
    return value


def tensors(value):
    if isinstance(value, (torch.Tensor, mg.Tensor)):
        return [value]
    if isinstance(value, (list, tuple)):
        return [t for v in value for t in tensors(v)]
    return []


def close(a, b, dtype, what, accuracy=None):
    a, b = a.detach().numpy(), b.detach().numpy()
    assert a.shape == b.shape, f"{what}: shape {a.shape} for {b.shape}"
    assert a.dtype == b.dtype, f"{what}: dtype {a.dtype} for {b.dtype}"
    finite = np.abs(b[np.isfinite(b)]).max(initial=1.0)
    np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE[accuracy or dtype] * finite, err_msg=what)


def compare(op, name, sample, dtype):
    args, kwargs = (sample.input, *sample.args), sample.kwargs
    own_args, own_kwargs = ours(args), {k: ours(v) for k, v in kwargs.items()}
    if name in WEIGHT_FIRST:
        own_args = (own_args[1], own_args[0], *own_args[2:])
    theirs, mine = op(*args, **kwargs), getattr(F, name)(*own_args, **own_kwargs)
    ys, tys = tensors(mine), tensors(theirs)
    assert len(ys) == len(tys)
    for y, ty in zip(ys, tys):
        close(y, ty, dtype, "output")
    xs = [x for x in (*tensors(own_args), *tensors(list(own_kwargs.values()))) if x.requires_grad]
    txs = [x for x in (*tensors(args), *tensors(list(kwargs.values()))) if x.requires_grad]
    smooth = [i for i, ty in enumerate(tys) if ty.requires_grad and ty.is_floating_point()]
    assert [i for i, y in enumerate(ys) if y.requires_grad] == smooth
    if not smooth or name in OUTPUT_ONLY:
        return
    rng = np.random.default_rng(1)
    gs = [rng.standard_normal(ys[i].shape).astype(dtype) for i in smooth]
    tgrads = torch.autograd.grad(
        [tys[i] for i in smooth], txs, [torch.from_numpy(g) for g in gs], materialize_grads=True
    )
    grads = grad([ys[i] for i in smooth], xs, [mg.tensor(g) for g in gs], materialize_grads=True)
    for i, (a, b) in enumerate(zip(grads, tgrads, strict=True)):
        close(a, b, dtype, f"gradient {i}", "float32" if name in ROUNDED else dtype)


def described(sample):
    def short(v):
        return tuple(v.shape) if isinstance(v, torch.Tensor) else [short(u) for u in v] if type(v) is list else v

    return f"{[short(v) for v in (sample.input, *sample.args)]}, { {k: short(v) for k, v in sample.kwargs.items()} }"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op, name", list(entries()))
def test_samples(op, name, dtype):
    if getattr(torch, dtype) not in op.dtypes:
        dtype = "int64"
    failures = []
    for sample in samples(op, name, getattr(torch, dtype)):
        try:
            compare(op, name, sample, dtype)
        except Exception as error:
            failures.append(f"{described(sample)}\n    {type(error).__name__}: {str(error)[:600]}")
    assert not failures, f"{len(failures)} samples differ:\n" + "\n".join(failures[:3])


PROMOTES = {"conv1d", "conv2d", "conv3d"}  # operands of several dtypes are no error here


def refused(op):
    """What PyTorch's operator must refuse."""
    try:
        return list(op.error_inputs("cpu"))
    except NotImplementedError:
        return []


ERRORS = [p for p in entries() if p.id not in PROMOTES and p.values[0].error_inputs_func is not None]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("op, name", ERRORS)
def test_errors(op, name):
    for sample in (e.sample_input for e in refused(op)):
        args, kwargs = ours((sample.input, *sample.args)), {k: ours(v) for k, v in sample.kwargs.items()}
        if name in WEIGHT_FIRST:
            args = (args[1], args[0], *args[2:])
        try:
            getattr(F, name)(*args, **kwargs)
        except MinigradError:
            continue
        pytest.fail(f"accepted: {described(sample)}")
