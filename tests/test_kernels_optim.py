"""The compiled optimizer steps and clipping against the formulas they replace."""

import pickle
import threading

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim
from minigrad.errors import GradError

KERNEL = pytest.importorskip("minigrad.kernels.cpu.optim")
TABLE = pytest.importorskip("minigrad.kernels.cpu.optim_table")
SHAPES = [(37, 41), (), (1,), (0, 3), (9, 5, 7, 3), (80_003,), (128,)]
OPTIONS = [
    (optim.SGD, {}),
    (optim.SGD, {"weight_decay": 0.1, "maximize": True}),
    (optim.SGD, {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    (optim.SGD, {"momentum": 0.9, "nesterov": True}),
    (optim.Adam, {}),
    (optim.Adam, {"weight_decay": 0.1, "maximize": True, "betas": (0.0, 0.9)}),
    (optim.Adam, {"amsgrad": True, "weight_decay": 0.1}),
    (optim.AdamW, {"amsgrad": True, "maximize": True}),
    (optim.AdamW, {"weight_decay": 0.2}),
    (optim.RMSprop, {}),
    (optim.RMSprop, {"centered": True, "weight_decay": 0.1}),
    (optim.RMSprop, {"momentum": 0.9, "maximize": True}),
    (optim.RMSprop, {"momentum": 0.9, "centered": True}),
    (optim.Adamax, {"weight_decay": 0.1}),
    (optim.NAdam, {"maximize": True}),
    (optim.NAdam, {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    (optim.RAdam, {"betas": (0.9, 0.7), "weight_decay": 0.1}),
    (optim.RAdam, {"betas": (0.9, 0.8)}),
    (optim.Adagrad, {"lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.2}),
    (optim.Adadelta, {"weight_decay": 0.1, "maximize": True}),
    (optim.Rprop, {}),
    (optim.Rprop, {"step_sizes": (0.04, 0.06), "maximize": True}),
    (optim.ASGD, {"t0": 1, "weight_decay": 0.1, "lambd": 0.01}),
    (optim.Lion, {"weight_decay": 0.1}),
    (optim.Lion, {"maximize": True}),
]
IDS = [f"{cls.__name__}-{'-'.join(options)}" for cls, options in OPTIONS]


@pytest.fixture
def served(monkeypatch):
    """Counts rows that the kernels served and refused."""
    counts = [0, 0]

    def counting(step):
        def counted(*args, **options):
            rows = step(*args, **options)
            counts[0] += sum(map(bool, rows))
            counts[1] += sum(not row for row in rows)
            return rows

        return counted

    for name in {cls.kernel for cls, _ in OPTIONS}:
        monkeypatch.setattr(KERNEL, name, counting(getattr(KERNEL, name)))
    return counts


def numbers(shapes, dtype, seed):
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(s), dtype) for s in shapes]


def trained(backend, cls, options, values, steps=4, change=lambda step, optimizer: optimizer):
    """Parameters and states after some steps on this backend."""
    with mg.use_backend(backend):
        params = [mg.tensor(v, requires_grad=True) for v in values]
        optimizer = cls(params, lr=0.05, **options)
        for step in range(steps):
            for i, (p, v) in enumerate(zip(params, values)):
                p.grad = mg.tensor(np.asarray(np.random.default_rng((step, i)).standard_normal(v.shape), v.dtype))
            optimizer = change(step, optimizer)
            optimizer.step()
            optimizer.zero_grad()
        return params, [optimizer.state[p] for p in params if p in optimizer.state]


def agree(one, other, slack=20):
    for p, q in zip(one[0], other[0], strict=True):
        close(p, q, slack)
    for s, t in zip(one[1], other[1], strict=True):
        assert s.keys() == t.keys()
        for name in s:
            close(s[name], t[name], slack)


def close(a, b, slack):
    a, b = a.detach().numpy(), b.detach().numpy()
    assert a.dtype == b.dtype and a.shape == b.shape
    np.testing.assert_allclose(a, b, rtol=slack * np.finfo(a.dtype).eps, atol=slack * np.finfo(a.dtype).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cls, options", OPTIONS, ids=IDS)
def test_steps_are_the_formulas(cls, options, dtype, served):
    values = numbers(SHAPES, dtype, 1)
    agree(trained("numba", cls, options, values), trained("numpy", cls, options, values), 200)
    first = len(SHAPES) if options.get("momentum") and cls is optim.SGD else 0  # has no buffer yet: `update` makes it
    assert served == [4 * len(SHAPES) - first, 0]


@pytest.mark.parametrize("cls, options", OPTIONS[:1] + OPTIONS[6:7] + OPTIONS[12:15:2] + OPTIONS[-1:])
def test_several_types_and_any_number_of_threads(cls, options):
    values = [v.astype(d) for v, d in zip(numbers(SHAPES, np.float64, 2), [np.float32, np.float64] * 4)]
    reference = trained("numpy", cls, options, values)
    before = mg.get_num_threads()
    try:
        for threads in (1, 2, 3):
            mg.set_num_threads(threads)
            agree(trained("numba", cls, options, values), reference, 200)
    finally:
        mg.set_num_threads(before)


@pytest.mark.parametrize(
    "cls, options",
    [
        (optim.Adam, {"amsgrad": True}),
        (optim.RMSprop, {}),
        (optim.SGD, {}),
        (optim.Adamax, {}),
        (optim.NAdam, {}),
        (optim.Rprop, {}),
        (optim.Lion, {}),
    ],
)
def test_nan_and_infinity_spread_as_in_the_formulas(cls, options):
    values = numbers([(1500,)], np.float32, 3)
    values[0][[0, 20, 700]] = np.nan, np.inf, -np.inf

    def spoil(step, optimizer):
        for p in optimizer.param_groups[0]["params"]:
            p.grad.array[[5, 6, 7, 1499]] = np.nan, np.inf, -np.inf, 0
        return optimizer

    with np.errstate(all="ignore"):
        a, b = (trained(backend, cls, options, values, change=spoil) for backend in ("numba", "numpy"))
    agree(a, b, 200)


def test_rows_that_the_kernel_refuses_take_the_formula(served):
    base = np.linspace(-1, 1, 4000, dtype=np.float32)

    def run(backend):
        with mg.use_backend(backend):
            whole, plain = mg.tensor(base.reshape(40, 100)), mg.tensor(base, requires_grad=True)
            strided = whole[:, ::2].detach().requires_grad_()
            other = mg.tensor(base, requires_grad=True)
            big_endian = mg.tensor(base, requires_grad=True)
            optimizer = optim.Adam([strided, plain, other, big_endian], lr=0.1)
            for _ in range(3):
                strided.grad, plain.grad = mg.ones(40, 50), mg.tensor(base)
                other.grad = mg.tensor(base.reshape(40, 100).T.copy()).T.reshape(4000) * 2
                other._grad.array = np.repeat(base, 2)[::2]
                big_endian._grad = mg.tensor(base)
                big_endian._grad.array = base.astype(">f4")
                optimizer.step()
            return [whole.numpy(), *(p.detach().numpy() for p in (plain, other, big_endian))]

    for a, b in zip(run("numba"), run("numpy"), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert served == [3, 9]


def test_buffers_that_overlap_take_the_formula(served):
    def run(backend):
        with mg.use_backend(backend):
            line = mg.tensor(np.arange(3000, dtype=np.float32))
            low, high = (line[s].detach().requires_grad_() for s in (slice(0, 2000), slice(1000, 3000)))
            own = mg.tensor(np.ones(50, np.float32), requires_grad=True)
            optimizer = optim.SGD([low, high, own], lr=0.5)
            low.grad, high.grad, own._grad = mg.ones(2000), mg.ones(2000) * 2, own.detach()
            optimizer.step()
            return np.concatenate([line.numpy(), own.detach().numpy()])

    np.testing.assert_array_equal(run("numba"), run("numpy"))
    assert served == [1, 2]


def test_read_only_parameters_are_refused():
    p = mg.tensor(np.ones(2000, np.float32), requires_grad=True)
    p.array.flags.writeable = False
    p.grad = mg.ones(2000)
    with pytest.raises(ValueError, match="read-only"):
        optim.SGD([p], lr=0.1).step()
    assert (p.detach().numpy() == 1).all()


@pytest.mark.parametrize("cls, options", [(optim.AdamW, {}), (optim.SGD, {"momentum": 0.9})])
def test_replaced_arrays_are_seen(cls, options):
    """State loaded or pickled, parameters edited or replaced, gradients missing, groups added, between steps."""

    def change(step, optimizer):
        params = optimizer.param_groups[0]["params"]
        if step == 1:
            params[0].grad = None
            params[1].array[...] = 3
        if step == 2:
            state, optimizer = optimizer.state_dict(), cls([{"params": params[:2]}, {"params": params[2:], "lr": 0.5}])
            state["param_groups"] = [dict(state["param_groups"][0], params=[0, 1]), {"params": [2], "lr": 0.4}]
            optimizer.load_state_dict(state)
        if step == 3:
            params[0].data = np.full(params[0].shape, 2.0, params[0].dtype)
            for s in optimizer.state.values():
                for name in s:
                    s[name] = mg.tensor(pickle.loads(pickle.dumps(s[name].numpy())))
        return optimizer

    values = numbers([(50, 40), (30,), (7, 7)], np.float32, 4)
    agree(*(trained(b, cls, options, values, steps=6, change=change) for b in ("numba", "numpy")), 200)


def test_second_threads():
    values = numbers([(200, 30), (80_000,)], np.float32, 5)
    reference, found = trained("numpy", optim.Adam, {}, values), []
    threads = [
        threading.Thread(target=lambda: found.append(trained("numba", optim.Adam, {}, values))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for got in found:
        agree(got, reference, 200)


def test_unknown_memory_layout_takes_the_formula(monkeypatch, served):
    monkeypatch.setattr(TABLE, "_known", lambda: False)
    values = numbers([(50, 40)], np.float32, 6)
    agree(trained("numba", optim.Adam, {}, values), trained("numpy", optim.Adam, {}, values))
    assert served[0] == 0


# ---- clipping --------------------------------------------------------------------------------------------------------
def gradients(arrays):
    params = [mg.zeros(*a.shape, requires_grad=True) for a in arrays]
    for p, a in zip(params, arrays):
        p._grad = mg.tensor(a)
    return params


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("max_norm", [0.5, 1e9])
def test_clipping(dtype, max_norm):
    arrays = numbers([*SHAPES, (0,)], dtype, 7)
    norm = np.sqrt(sum((a.astype(np.float64) ** 2).sum() for a in arrays))
    found = []
    before = mg.get_num_threads()
    try:
        for threads in (1, 2, 3):
            mg.set_num_threads(threads)
            params = gradients(arrays)
            total = nn.utils.clip_grad_norm_(params, max_norm)
            assert total.dtype == dtype and total.shape == ()
            np.testing.assert_allclose(total.numpy(), norm, rtol=4 * np.finfo(dtype).eps)
            found.append([total.numpy(), *(p.grad.numpy() for p in params)])
    finally:
        mg.set_num_threads(before)
    for got in found:
        for a, b, start in zip(got[1:], found[0][1:], arrays, strict=True):
            np.testing.assert_array_equal(a, b)  # sums of fixed blocks: not one bit depends on the threads
            np.testing.assert_allclose(a, start * min(1, max_norm / norm), rtol=1e-5 if dtype == np.float32 else 1e-6)
        np.testing.assert_array_equal(got[0], found[0][0])


def test_clipping_of_infinity_and_nan_and_huge_numbers():
    line = np.ones(20_000, np.float32)
    for value, norm in ((np.inf, np.inf), (np.nan, np.nan), (1e30, 1e30)):
        a = line.copy()
        a[77] = value
        params = gradients([a])
        np.testing.assert_allclose(nn.utils.clip_grad_norm_(params, 1.0).numpy(), norm, rtol=1e-6)
        g = params[0].grad.numpy()
        assert np.isnan(g).all() if np.isnan(value) else (g[:77] == 0).all() or np.isfinite(value)
    with pytest.raises(GradError, match="inf"):
        a[77] = np.inf
        nn.utils.clip_grad_norm_(gradients([a]), 1.0, error_if_nonfinite=True)


def test_clipping_of_what_the_kernel_refuses():
    line = np.linspace(-1, 1, 40_000, dtype=np.float32)
    for arrays in ([line[::2]], [line, line.astype(np.float64)]):
        params = gradients(arrays)
        params[0]._grad.array = arrays[0]
        expected = np.sqrt(sum((a.astype(np.float64) ** 2).sum() for a in arrays))
        np.testing.assert_allclose(nn.utils.clip_grad_norm_(params, 1e9).numpy(), expected, rtol=1e-5)


def test_clipping_is_an_edit():
    x = mg.tensor(np.ones(20_000, np.float32), requires_grad=True)
    p = gradients([np.ones(20_000, np.float32)])[0]
    y = (x * p.grad).sum()
    nn.utils.clip_grad_norm_([p], 1.0)
    with pytest.raises(GradError, match="clip_grad_norm_"):
        y.backward()
