"""Threads share nothing they should not: modes, backends and graphs are each thread's own."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import minigrad as mg


def train(seed, steps=60, backend="numpy", sync=None):
    """The weights after some steps of gradient descent on a small network."""
    rng = np.random.default_rng(seed)
    with mg.use_backend(backend):
        w = [mg.tensor(rng.standard_normal(s) * 0.5, requires_grad=True) for s in ((3 + seed % 3, 8), (8,), (8, 1))]
        x, t = mg.tensor(rng.standard_normal((16, 3 + seed % 3))), mg.tensor(rng.standard_normal((16, 1)))
        for _ in range(steps):
            if sync:
                sync.wait()
            loss = mg.mean(mg.square(mg.tanh(x @ w[0] + w[1]) @ w[2] - t))
            loss.backward()
            with mg.no_grad():
                for p in w:
                    p -= 0.1 * p.grad
                    p.grad = None
        return [p.detach().numpy().copy() for p in w]


def same(a, b):
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


def test_two_models_in_two_threads():
    alone = [train(1), train(2)]
    barrier = threading.Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda seed: train(seed, sync=barrier), (1, 2)))
    for a, b in zip(alone, together):
        same(a, b)


def test_many_threads_and_backends():
    jobs = [(seed, backend) for seed in range(3) for backend in ("numpy", "numba", "strict")]
    alone = [train(seed, 20, backend) for seed, backend in jobs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda job: train(job[0], 20, job[1]), jobs))
    for a, b in zip(alone, together):
        same(a, b)


def test_no_grad_in_one_thread_only():
    inside, checked = threading.Event(), threading.Event()
    seen = {}

    def evaluate():
        with mg.no_grad(), mg.use_backend("strict"):
            inside.set()
            assert checked.wait(10)
            x = mg.ones(2, requires_grad=True)
            seen["other"] = ((x * 2).requires_grad, x.backend.name)

    thread = threading.Thread(target=evaluate)
    thread.start()
    assert inside.wait(10)
    x = mg.ones(2, requires_grad=True)
    seen["this"] = ((x * 2).requires_grad, x.device)
    checked.set()
    thread.join()
    assert seen == {"this": (True, "cpu"), "other": (False, "strict")}


def test_backward_in_another_thread():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    thread = threading.Thread(target=y.backward)
    thread.start()
    thread.join()
    assert x.grad.tolist() == [2.0, 4.0]


def test_threads_share_read_only_weights():
    w = mg.tensor(np.ones((4, 4)), requires_grad=True)

    def gradient(seed):
        x = mg.tensor(np.random.default_rng(seed).standard_normal((5, 4)))
        return mg.autograd.grad(mg.tanh(x @ w).sum(), w)[0].numpy()

    alone = [gradient(s) for s in range(8)]
    with ThreadPoolExecutor(4) as pool:
        same(alone, list(pool.map(gradient, range(8))))


def test_first_use_of_a_kernel_in_many_threads():
    """The compiler is met once; whoever comes second waits or runs the reference."""
    x = np.random.default_rng(0).standard_normal((64, 300)).astype("float32")
    expected = np.exp(x - x.max(1, keepdims=True))
    expected /= expected.sum(1, keepdims=True)
    with ThreadPoolExecutor(4) as pool:
        for y in pool.map(lambda _: mg.softmax(mg.tensor(x), axis=-1).numpy(), range(8)):
            np.testing.assert_allclose(y, expected, rtol=1e-5)
