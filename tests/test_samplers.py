"""Samplers and loaders with workers: the same batches whoever makes them, and nobody left behind."""

import multiprocessing
import os
import signal
import threading
import time
from typing import NamedTuple

import numpy as np
import pytest

import minigrad as mg
from minigrad import data
from minigrad.data import (
    ArrayDataset,
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
    WeightedSampler,
)  # fmt: skip
from minigrad.errors import ArgumentError, DataError, ShapeError

X = np.arange(40, dtype=np.float32).reshape(20, 2)
KINDS = ["thread", "process"]


@pytest.fixture(autouse=True)
def nobody_left_behind():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before and not multiprocessing.active_children()


def noise(x, generator):
    return x + generator.numpy("standard_normal", x.shape).astype(np.float32)


def batches(loader):
    return [[part.tolist() for part in batch] for batch in loader]


# ---- samplers --------------------------------------------------------------------------------------------------------
def test_random_sampler():
    drawn = RandomSampler(range(10), num_samples=7)(mg.Generator(0))
    assert len(set(drawn.tolist())) == 7 == len(RandomSampler(10, num_samples=7))
    assert len(RandomSampler(3, replacement=True, num_samples=50)(mg.Generator(0))) == 50
    rounds = RandomSampler(4, num_samples=10)(mg.Generator(0))  # each sample once in every full round
    assert sorted(rounds[:4]) == sorted(rounds[4:8]) == [0, 1, 2, 3] and len(rounds) == 10
    for options in ({"data_source": []}, {"data_source": 5, "num_samples": 0}):
        with pytest.raises(ArgumentError, match="RandomSampler"):
            RandomSampler(**options)


def test_samplers_by_pytorchs_names():
    assert list(SequentialSampler("abc")) == [0, 1, 2]
    assert sorted(SubsetRandomSampler([5, 7, 9])(mg.Generator(1)).tolist()) == [5, 7, 9]
    batches = BatchSampler(SequentialSampler(range(5)), 2, drop_last=True)
    assert list(batches) == [[0, 1], [2, 3]] and len(batches) == 2
    assert len(BatchSampler(SequentialSampler(range(5)), 2, drop_last=False)) == 3
    data = ArrayDataset(np.arange(6))
    shuffled = BatchSampler(RandomSampler(data), 4, drop_last=False)
    loader = DataLoader(data, batch_sampler=shuffled, seed=3)
    (a,), (b,) = loader
    assert len(a) == 4 and sorted(a.tolist() + b.tolist()) == list(range(6)) and len(loader) == 2
    again = DataLoader(data, batch_sampler=shuffled, seed=3)
    assert [x.tolist() for (x,) in again] == [a.tolist(), b.tolist()]  # drawn from the loader's generator
    heavy = WeightedRandomSampler([0.0, 1.0, 0.0], 5)
    assert list(heavy) == [1] * 5


def test_weighted_sampler_draws_by_weight_and_never_what_weighs_nothing():
    counts = np.bincount(WeightedSampler([1, 0, 3], 4000)(mg.Generator(0)), minlength=3)
    assert counts[1] == 0 and counts[2] / counts[0] == pytest.approx(3, rel=0.15)
    assert sorted(WeightedSampler([1, 0, 3], 2, replacement=False)(mg.Generator(0))) == [0, 2]
    for weights, error in (([[1]], ShapeError), ([0, 0], ArgumentError), ([-1, 2], ArgumentError)):
        with pytest.raises(error, match="WeightedSampler"):
            WeightedSampler(weights)


def test_batch_sampler_sets_the_batches():
    rows = ArrayDataset(np.arange(6))
    fixed = DataLoader(rows, batch_sampler=[[0, 5], [1], [2, 3, 4]])
    assert [x.tolist() for (x,) in fixed] == [[0, 5], [1], [2, 3, 4]] and len(fixed) == 3
    drawn = DataLoader(rows, batch_sampler=lambda g: g.numpy("permutation", 6).reshape(3, 2), seed=0)
    assert sorted(i for (x,) in drawn for i in x.tolist()) == list(range(6))
    with pytest.raises(ArgumentError, match="batch_sampler"):
        DataLoader(rows, 2, batch_sampler=[[0]])


def test_without_a_batch_size_samples_are_batches():
    assert [x.tolist() for (x,) in DataLoader(ArrayDataset(X[:2]), None)] == X[:2].tolist()


# ---- workers ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("workers", KINDS)
@pytest.mark.parametrize("persistent", [False, True])
def test_batches_are_those_of_no_workers(workers, persistent):
    def passes(**options):
        loader = DataLoader(ArrayDataset(X, np.arange(20)), 3, shuffle=True, transform=noise, seed=1, **options)
        return [batches(loader) for _ in range(3)]

    made = passes(num_workers=2, workers=workers, persistent_workers=persistent)
    assert made == passes() and made[0] != made[1]


@pytest.mark.parametrize("workers", KINDS)
def test_an_early_end_and_an_abandoned_pass_leave_nobody(workers):
    loader = DataLoader(ArrayDataset(X), 2, num_workers=2, workers=workers, prefetch_factor=1)
    for _ in loader:
        break
    assert len(batches(loader)) == 10  # and the next pass is whole


class Broken(Dataset):
    def __init__(self, error=None):
        self.error = error

    def __len__(self):
        return 6

    def __getitem__(self, index):
        if index == 4:
            if self.error is None:
                os._exit(3)
            raise self.error
        return float(index)


class Odd(Exception):
    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")


@pytest.mark.parametrize("workers", KINDS)
def test_an_error_of_a_worker_is_raised_in_its_place(workers):
    made = []
    with pytest.raises(ZeroDivisionError, match="on purpose") as caught:
        for x in DataLoader(Broken(ZeroDivisionError("on purpose")), 2, num_workers=2, workers=workers):
            made.append(x.tolist())
    assert made == [[0, 1], [2, 3]]
    where = str(caught.getrepr(style="native")) + "".join(getattr(caught.value, "__notes__", []))
    assert "in __getitem__" in where


def test_errors_that_cannot_be_sent_and_processes_that_die_are_data_errors():
    with pytest.raises(DataError, match=r"Odd.*1 and 2"):
        list(DataLoader(Broken(Odd(1, 2)), 2, num_workers=1, workers="process"))
    with pytest.raises(DataError, match="ended unexpectedly, exit code 3"):
        list(DataLoader(Broken(), 2, num_workers=2, workers="process"))


def test_a_worker_that_hangs_is_an_error_after_the_timeout(monkeypatch):
    monkeypatch.setattr(data.workers, "PATIENCE", 0.1)
    slow = DataLoader(
        [0.0], 1, collate_fn=lambda samples: time.sleep(60), num_workers=1, timeout=0.1, workers="process"
    )
    with pytest.raises(DataError, match=r"timeout of 0\.1 s"):
        list(slow)


@pytest.mark.parametrize("workers", KINDS)
def test_ctrl_c_ends_the_pass_and_the_workers(workers):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    loader = iter(DataLoader(ArrayDataset(X), 2, num_workers=2, workers=workers, persistent_workers=False))
    try:
        with pytest.raises(KeyboardInterrupt):
            for _ in loader:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(1)
    finally:
        loader.close()
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("workers", KINDS)
def test_every_worker_begins_with_its_number(workers, tmp_path):
    begin = lambda i: (tmp_path / str(i)).write_text(str(i))
    list(DataLoader(ArrayDataset(X), 1, num_workers=2, workers=workers, worker_init_fn=begin))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0", "1"]


class Drawing(Dataset):
    """Draws by itself, from the shared generators."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        return np.random.rand(), mg.rand(1).item()  # noqa: NPY002


def test_processes_draw_what_does_not_depend_on_them():
    def drawn(n):
        return batches(DataLoader(Drawing(), 3, seed=0, num_workers=n, workers="process"))

    assert drawn(1) == drawn(2)
    assert len({v for batch in drawn(2) for part in batch for v in part}) == 24


def test_forked_workers_may_use_kernels_that_ran_before():
    a = mg.tensor(np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32))
    product = (a @ a).numpy()
    square = lambda x, generator: (mg.tensor(x) @ mg.tensor(x)).numpy()
    loader = DataLoader([a.numpy()] * 4, None, num_workers=2, workers="process", timeout=60)
    loader.batch_transform = lambda x, generator: square(x, generator)
    assert all(np.allclose(x.numpy(), product, rtol=1e-4, atol=1e-4) for x in loader)


def test_spawned_processes_make_the_same_batches():
    options = {"batch_size": 2, "shuffle": True, "transform": data.GaussianNoise(1.0), "seed": 0}
    spawned = DataLoader(
        ArrayDataset(X[:4]), num_workers=1, workers="process", multiprocessing_context="spawn", **options
    )
    assert batches(spawned) == batches(DataLoader(ArrayDataset(X[:4]), **options))
    with pytest.raises(ArgumentError, match="multiprocessing_context"):
        list(DataLoader(ArrayDataset(X), num_workers=1, workers="process", multiprocessing_context="magic"))


@pytest.mark.parametrize("workers", [None, *KINDS])
@pytest.mark.parametrize("stop", [1, 4, 7])
def test_a_loader_goes_on_where_another_stood(workers, stop):
    def make():
        options = {} if workers is None else {"num_workers": 2, "workers": workers}
        return DataLoader(ArrayDataset(X), 3, shuffle=True, transform=noise, seed=5, **options)

    whole = batches(DataLoader(ArrayDataset(X), 3, shuffle=True, transform=noise, seed=5))
    first, made = make(), []
    for (x,) in first:
        made.append([x.tolist()])
        if len(made) == stop:
            break
    second = make()
    second.load_state_dict(first.state_dict())
    assert made + batches(second) == whole


class Pair(NamedTuple):
    x: float
    y: float


def test_named_tuples_stay_and_lists_become_tensors():
    for options in ({}, {"num_workers": 1, "workers": "process"}):
        batch = next(iter(DataLoader([Pair(1, 2), Pair(3, 4)], 2, **options)))
        assert isinstance(batch, Pair) and batch.y.tolist() == [2, 4]
        x, name = next(iter(DataLoader([1], 1, collate_fn=lambda s: [np.ones(2), "a"], **options)))
        assert isinstance(x, mg.Tensor) and name == "a"


# ---- streams ---------------------------------------------------------------------------------------------------------
class Counting(IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter(range(self.n))


@pytest.mark.parametrize("options", [{}, {"num_workers": 2}, {"num_workers": 2, "workers": "process"}])
@pytest.mark.parametrize("persistent", [False, True])
def test_streams(options, persistent):
    options = options | {"persistent_workers": persistent}
    loader = DataLoader(Counting(5), 2, **options)
    for _ in range(2):
        assert [x.tolist() for x in loader] == [[0, 1], [2, 3], [4]]
    assert [x.tolist() for x in DataLoader(Counting(5), 2, drop_last=True, **options)] == [[0, 1], [2, 3]]
    chain = Counting(2) + Counting(1)
    assert [x.item() for x in DataLoader(chain, **options)] == [0, 1, 0]
    first = DataLoader(Counting(5), 2, **options)
    for _ in first:
        break
    second = DataLoader(Counting(5), 2, **options)
    second.load_state_dict(first.state_dict())
    assert [x.tolist() for x in second] == [[2, 3], [4]]


def test_streams_have_no_length_and_no_order_to_change():
    with pytest.raises(TypeError, match="no length"):
        len(DataLoader(Counting(3)))
    with pytest.raises(ArgumentError, match="stream"):
        DataLoader(Counting(3), shuffle=True)
    endless = DataLoader(
        type("Endless", (IterableDataset,), {"__iter__": lambda self: iter(int, 1)})(), 2, num_workers=1
    )
    for x in endless:
        assert x.tolist() == [0, 0]
        break


def test_workers_refuse():
    for options in ({"num_workers": -1}, {"workers": "magic"}, {"prefetch_factor": 0}, {"timeout": -1}):
        with pytest.raises(ArgumentError, match="num_workers >= 0"):
            DataLoader(ArrayDataset(X), **options)
