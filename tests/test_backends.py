"""Choosing what computes and where: flavours, registration by third parties, kernels and their dispatch."""

import os
import subprocess
import sys

import numpy as np
import pytest
from strict import STRICT, StrictArray

import minigrad as mg
from minigrad import PRIMITIVES, kernel
from minigrad.backend import Backend, backend_of
from minigrad.errors import BackendError, MinigradError, ShapeError


@pytest.fixture
def temporary(monkeypatch):
    """Kernels registered in a test are gone after it."""
    p = PRIMITIVES["tanh"]
    before = {name: list(found) for name, found in p.kernels.items()}
    yield p
    p.kernels.clear()
    p.kernels.update(before)
    for backend in list(p.impl):
        backend.F.__dict__.pop("tanh", None)
    p.impl.clear()


def test_flavours_compute_on_the_same_arrays():
    x = mg.tensor([1.0, 2.0])
    assert x.backend.name == "numba"
    with mg.use_backend("numpy"):
        assert x.backend.name == "numpy" and (x * 2).tolist() == [2.0, 4.0]
        with mg.use_backend("numba"):
            assert x.backend.name == "numba"
        assert x.backend.name == "numpy"
    assert x.backend.name == "numba"


def test_names():
    assert {"numpy", "numba", "cupy", "strict"} <= set(mg.backend_names())
    assert mg.get_backend("strict") is STRICT is mg.get_backend(STRICT)
    assert backend_of(STRICT.xp.zeros(2)) is STRICT
    with pytest.raises(BackendError, match=r"no backend has arrays of type builtins\.list"):
        backend_of([1])


def test_new_tensors_are_made_on_the_device():
    with mg.use_backend("strict"):
        for t in (
            mg.tensor([1.0]),
            mg.ones(2),
            mg.rand(3),
            mg.arange(3),
            mg.asarray(np.ones(2)),
            mg.eye(2),
            mg.add(1, 2),
        ):
            assert type(t.array) is StrictArray
    assert type(mg.ones(2).array) is np.ndarray


def test_the_same_seed_gives_the_same_numbers_everywhere(backend):
    mg.manual_seed(7)
    got = mg.randn(5).numpy(), mg.randperm(6).numpy(), mg.randint(0, 9, (3,)).numpy()
    with mg.use_backend("numpy"):
        mg.manual_seed(7)
        for a, b in zip(got, (mg.randn(5), mg.randperm(6), mg.randint(0, 9, (3,)))):
            np.testing.assert_array_equal(a, b.numpy())


def test_strict_tensors_work_outside_their_context():
    """The array's type decides, not the mode: also in the backward pass, to second order."""
    with mg.use_backend("strict"):
        x = mg.tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    y, mean, _ = mg.batch_norm(mg.exp(x * 0.1) @ x.T)
    (g,) = mg.autograd.grad((y * y).sum() + mean.sum(), x, create_graph=True)
    (g * g).sum().backward()
    assert type(x.grad.array) is StrictArray
    z = mg.prod(x[:, :0], axis=1).sum() + x[0, 1] + x.max() + mg.stack([x[0], x[1]]).mean()
    z.backward()


def test_strict_refuses_the_host():
    a = STRICT.xp.asarray([1.0, 2.0])
    for leak in (
        lambda: np.asarray(a),
        lambda: np.sum(a),
        lambda: np.add(a, a),
        lambda: float(a[0]),
        lambda: bool(a[0] > 0),
        lambda: list(a),
        lambda: a + np.ones(2),
        lambda: np.ones(2) + a,
        lambda: STRICT.xp.add(a, np.ones(2)),
        lambda: memoryview(a),
        lambda: [1, 2][a[0]],
        lambda: 1.0 in a,
    ):
        with pytest.raises(TypeError):
            leak()


def test_register_a_backend_of_ones_own():
    class Mine(Backend):
        pass

    class MyArray(StrictArray):
        pass

    mg.register_backend(Mine("mine", STRICT.xp, MyArray))
    try:
        assert mg.get_backend("mine").name == "mine" and "mine" in mg.backend_names()

        def missing():
            raise BackendError("backend absent: the card is in the drawer.")

        mg.register_backend(missing, name="absent")
        with pytest.raises(BackendError, match="the card is in the drawer"):
            mg.use_backend("absent")
    finally:
        from minigrad.backend import base

        base._BACKENDS.pop("mine")
        base._BY_TYPE.pop(MyArray)
        base._FACTORIES.pop("absent")


def test_the_newest_admitting_kernel_runs(temporary):
    calls = []
    for size in (10, 100):

        def run(x, size=size):
            calls.append(size)
            return np.tanh(x)

        kernel("tanh", backend="numba", when=lambda x, size=size: x.size > size)(run)
    for size in (5, 50, 500):
        x = mg.tensor(np.ones(size, "float32"), requires_grad=True)
        mg.tanh(x).sum().backward()
    with mg.use_backend("numpy"):
        mg.tanh(mg.ones(500))
    assert calls == [10, 100]


def test_kernels_see_checked_shapes(temporary):
    """A compiled kernel checks no bounds: the shape rule runs before it."""
    p = PRIMITIVES["matmul"]
    before = list(p.kernels.get("numba", []))
    kernel("matmul", backend="numba", when=lambda a, b: True)(lambda a, b: pytest.fail("ran on wrong shapes"))
    try:
        with pytest.raises(ShapeError, match="inner sizes must agree"):
            mg.ones(2, 3) @ mg.ones(4, 3)
    finally:
        p.kernels["numba"] = before
        for backend in list(p.impl):
            backend.F.__dict__.pop("matmul", None)
        p.impl.clear()


def test_a_kernel_needs_a_primitive():
    with pytest.raises(MinigradError, match="there is no primitive named 'tanq'"):
        kernel("tanq", backend="numba")(np.tanh)


def test_a_when_that_fails_falls_back(temporary):
    kernel("tanh", backend="numba", when=lambda x: x.no_such_attribute)(lambda x: pytest.fail("not admitted"))
    assert mg.tanh(mg.zeros(3)).tolist() == [0.0, 0.0, 0.0]


def test_entry_points(tmp_path):
    """An installed package can offer a backend without being imported."""
    (tmp_path / "other-1.0.dist-info").mkdir()
    (tmp_path / "other-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (tmp_path / "other-1.0.dist-info" / "entry_points.txt").write_text("[minigrad.backends]\nother = other:make\n")
    (tmp_path / "other.py").write_text(
        "from minigrad.backend.numpy import NumpyBackend\ndef make():\n    return NumpyBackend('other')\n"
    )
    code = "import minigrad as mg\nwith mg.use_backend('other'): print((mg.ones(2) * 2).backend, mg.backend_names())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={"PYTHONPATH": str(tmp_path)}
    )
    assert "<backend other>" in done.stdout, done.stderr


@pytest.mark.parametrize("error", ["ImportError", "AttributeError"])
def test_without_numba_the_reference_serves(tmp_path, error):
    """A numba that is missing or broken: one warning that says why, and every result as before."""
    (tmp_path / "numba.py").write_text(f"raise {error}('Numba needs another NumPy')\n")
    code = """
import warnings
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    import minigrad as mg
    x = mg.full((400, 400), 0.5, requires_grad=True)
    y = mg.nn.functional.softmax(mg.tanh(x @ x) * 2.0, dim=-1)
    y.sum().backward()
    mg.nn.utils.clip_grad_norm_([x], 1.0)
    mg.optim.Adam([x], lr=0.1).step()
print(len(said), said[0].category.__name__, said[0].message)
print(y.shape, round(float(y[0, 0]), 6))
from minigrad.__main__ import main
main(["info"])
"""
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    first, second, *rest = done.stdout.splitlines()
    assert first == (
        f"1 RuntimeWarning the kernels cannot be loaded, the NumPy reference serves: {error}: Numba needs another NumPy"
    )
    assert second == "(400, 400) 0.0025"
    assert any(line.startswith("kernels        none, the NumPy reference serves") for line in rest)
