"""minigrad.io: a whole training state is read as it was written."""

from collections import Counter, OrderedDict

import numpy as np
import pytest

import minigrad as mg
from minigrad import io, nn, optim
from minigrad.errors import ArgumentError, DataError, DTypeError
from minigrad.optim import lr_scheduler

SUFFIXES = ["safetensors", "npz"]


def same(a, b):
    """Equal in value, type, dtype and order."""
    if isinstance(a, mg.Tensor):
        return isinstance(b, mg.Tensor) and same(a.numpy(), b.numpy())
    if type(a) is not type(b):
        return False
    if isinstance(a, (np.ndarray, np.generic)):
        return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
    if isinstance(a, dict):
        return list(a) == list(b) and all(type(k) is type(m) and same(a[k], b[m]) for k, m in zip(a, b))
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return repr(a) == repr(b)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip_is_exact(tmp_path, suffix):
    state = {
        "model": OrderedDict(w=mg.tensor([[1.0, 2.0]]), b=mg.tensor(np.zeros(0, np.float16))),
        3: {0: mg.tensor(1), "0": "text", None: None, True: False, 2.5: "float key"},
        "numbers": [0, -1, 2**200, 0.1, -0.0, 1e-320, float("nan"), float("inf"), -float("inf"), 1 + 2j],
        "complex number": complex("nan-infj"),
        "tuples": ((), (1, (2, [3, ()])), [[], {}]),
        "text": "µ \0 \U0001f600 \n \"'",
        "counter": Counter({5: 2, 7: 1}),
        "arrays": [np.arange(3, dtype=np.uint16), np.array(True), np.float64(2.5), np.int8(-3), np.array(7)],
        "complex": [np.array([1 + 2j, complex("nan+infj")]), np.array(3j, np.complex64), np.zeros((0, 2), complex)],
        "a.b": np.ones(1),
        "a": {"b": np.zeros(2)},
        "": {"": np.full(3, 3.0)},
    }  # fmt: skip
    path = tmp_path / f"state.{suffix}"
    io.save(state, path, metadata={"epoch": 3})
    loaded = io.load(path)
    assert same(state, loaded), loaded
    assert io.load_metadata(path) == {"epoch": "3"}
    if suffix == "safetensors":
        assert same(state, io.load(path, memory_map=True))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype", ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"])
def test_every_dtype(tmp_path, suffix, dtype):
    values = np.array([0, 1, 3, 2]).astype(dtype).reshape(2, 2)
    for array in (values, values.T, values.astype(values.dtype.newbyteorder(">")), values[:0], values[0, 0, ...]):
        io.save({"x": array}, tmp_path / f"x.{suffix}")
        got = io.load(tmp_path / f"x.{suffix}")["x"].numpy()
        assert got.dtype == np.dtype(dtype) and got.shape == array.shape
        np.testing.assert_array_equal(got, array)


def trained(optimizer_class, steps=3, **options):
    """A model, its optimizer and a schedule after some steps."""
    mg.random.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2))
    optimizer = optimizer_class(model.parameters(), lr=0.1, **options)
    scheduler = lr_scheduler.MultiStepLR(optimizer, [2, 4], 0.5)
    run(model, optimizer, scheduler, mg.random.Generator(5), steps)
    return model, optimizer, scheduler


def run(model, optimizer, scheduler, generator, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        x = mg.random.randn(5, 4, generator=generator)
        (model(x) ** 2).mean().backward()
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("optimizer_class", [optim.SGD, optim.Adam, optim.RMSprop])
def test_a_run_continues_as_if_never_interrupted(tmp_path, suffix, optimizer_class):
    options = {"momentum": 0.9} if optimizer_class is optim.SGD else {}
    model, optimizer, scheduler = trained(optimizer_class, **options)
    generator = mg.random.Generator(9)
    generator.numpy("random", size=3)
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "generator": generator.get_state(),
        "epoch": 3,
    }
    io.save(state, tmp_path / f"run.{suffix}")
    loaded = io.load(tmp_path / f"run.{suffix}")
    assert all(type(k) is int for k in loaded["optimizer"]["state"])

    again, its_optimizer, its_scheduler = trained(optimizer_class, steps=1, **options)
    its_generator = mg.random.Generator(0)
    again.load_state_dict(loaded["model"])
    its_optimizer.load_state_dict(loaded["optimizer"])
    its_scheduler.load_state_dict(loaded["scheduler"])
    its_generator.set_state(loaded["generator"])
    run(model, optimizer, scheduler, generator, 3)
    run(again, its_optimizer, its_scheduler, its_generator, 3)
    assert same(dict(model.state_dict()), dict(again.state_dict()))
    assert optimizer.param_groups[0]["lr"] == its_optimizer.param_groups[0]["lr"]


def test_what_cannot_be_saved_is_named(tmp_path):
    path = tmp_path / "x.npz"
    for state, words in (
        ({"a": {"b": [1, object()]}}, "a.b.1"),
        ({"a": {(1, 2): 3}}, "keys of a"),
        ({"a": {"f": len}}, "a.f"),
        ({"a": b"bytes"}, "bytes"),
        ([1], "must be a dict"),
    ):
        with pytest.raises(DTypeError, match=words):
            io.save(state, path)
    loop = {"a": []}
    loop["a"].append(loop)
    with pytest.raises(DTypeError, match="contains itself"):
        io.save(loop, path)
    with pytest.raises(DTypeError, match="numbers or booleans"):
        io.save({"x": np.zeros(2, np.longdouble)}, path)
    assert not path.exists()


def test_names_that_python_or_a_zip_would_take_otherwise(tmp_path):
    state = {
        name: np.full(2, i) for i, name in enumerate(["file", "args", "../up", "/root", "a/b", "x.npy", "", "self"])
    }
    for suffix in SUFFIXES:
        io.save(state, tmp_path / f"s.{suffix}")
        assert {k: v.tolist() for k, v in io.load(tmp_path / f"s.{suffix}").items()} == {
            k: v.tolist() for k, v in state.items()
        }
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.npz", "s.safetensors"]
    with pytest.raises(DataError, match="cannot be the name"):
        io.save({"a\0b": np.zeros(1)}, tmp_path / "s.npz")


# ---- memory maps -----------------------------------------------------------------------------------------------------
def test_memory_map_shares_nothing_with_the_file(tmp_path):
    path = tmp_path / "x.safetensors"
    io.save({"x": np.arange(6.0), "flag": np.array([True]), "y": np.arange(4, dtype=np.int32)}, path)
    before = path.read_bytes()
    loaded = io.load(path, memory_map=True)
    assert not loaded["x"].numpy().flags.owndata and all(t.numpy().flags.aligned for t in loaded.values())
    x = loaded["x"]
    x += 1
    assert x.tolist() == [1, 2, 3, 4, 5, 6] and path.read_bytes() == before
    layer = nn.Linear(3, 2, bias=False)
    layer.load_state_dict({"weight": x.reshape(2, 3)})
    assert (layer(mg.ones(1, 3)) * 1).shape == (1, 2)
    with pytest.raises(ArgumentError, match="memory_map"):
        io.load(tmp_path / "x.npz", memory_map=True)


# ---- PyTorch's files -------------------------------------------------------------------------------------------------
def test_bfloat16_is_read_as_float32(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    x = torch.tensor([1.0, -2.5, float("inf"), 3e38, 1e-40]).bfloat16()
    save_file({"x": x}, tmp_path / "x.safetensors")
    torch.save({"x": x}, tmp_path / "x.pt")
    for name in ("x.safetensors", "x.pt"):
        got = io.load(tmp_path / name)["x"]
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got.numpy(), x.float().numpy())


PAIRS = {
    "Linear": (4, 3), "Conv2d": (3, 4, 3), "ConvTranspose1d": (3, 4, 3), "BatchNorm2d": (5,), "LayerNorm": (6,),
    "Embedding": (7, 3), "LSTM": (3, 4, 2), "GRU": (3, 4), "MultiheadAttention": (8, 2), "PReLU": (),
    "TransformerEncoderLayer": (8, 2, 16), "TransformerDecoderLayer": (8, 2, 16), "Transformer": (8, 2, 1, 1, 16),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_weights_go_both_ways(tmp_path, name):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    ours, theirs = getattr(nn, name)(*PAIRS[name]), getattr(torch.nn, name)(*PAIRS[name])
    state = theirs.state_dict()
    save_file(dict(state), tmp_path / "w.safetensors")
    np.savez(tmp_path / "w.npz", **{k: v.numpy() for k, v in state.items()})
    torch.save(state, tmp_path / "w.pt")
    torch.save(theirs.state_dict(), tmp_path / "w.pth", pickle_protocol=4)
    for file in ("w.safetensors", "w.npz", "w.pt", "w.pth"):
        for p in ours.parameters():
            p.array[...] = 0
        ours.load_state_dict(io.load(tmp_path / file))
        assert list(ours.state_dict()) == list(state)
        for key, value in ours.state_dict().items():
            np.testing.assert_array_equal(value.numpy(), state[key].numpy())
    io.save(ours.state_dict(), tmp_path / "back.safetensors")
    theirs.load_state_dict(load_file(tmp_path / "back.safetensors"))
    io.save(ours.state_dict(), tmp_path / "back.npz")
    with np.load(tmp_path / "back.npz") as file:
        theirs.load_state_dict({k: torch.from_numpy(file[k]) for k in file.files})


def test_pytorch_tensors_of_every_kind(tmp_path):
    torch = pytest.importorskip("torch")
    base = torch.arange(24.0).reshape(4, 6)
    saved = {
        "base": base,
        "transposed": base.T,
        "part": base[1:3, ::2],
        "expanded": torch.ones(1, 1).expand(50, 40),
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "size": torch.Size([2, 3]),
        "nested": [1, (2.5, "a", None, True), {3: torch.tensor([1, 2])}, {4, 5}],
        "big": 2**80,
    }
    names = "int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool float16 float32 float64 complex64 complex128"
    for dtype in names.split():
        saved[dtype] = torch.tensor([1, 0, 2]).to(getattr(torch, dtype))
    torch.save(saved, tmp_path / "x.pt")
    got = io.load(tmp_path / "x.pt")
    assert list(got) == list(saved)
    for key, value in saved.items():
        if isinstance(value, torch.Tensor):
            want = value.detach().numpy()
            assert isinstance(got[key], mg.Tensor) and got[key].dtype == want.dtype and not got[key].requires_grad
            np.testing.assert_array_equal(got[key].numpy(), want)
    assert got["size"] == (2, 3) and got["big"] == 2**80 and got["nested"][:2] == [1, (2.5, "a", None, True)]
    assert got["nested"][2][3].tolist() == [1, 2] and got["nested"][3] == {4, 5}
    got["base"].numpy()[1, 0] = 99
    assert got["transposed"].numpy()[0, 1] == 99 and got["part"].numpy()[0, 0] == 99, "shared memory stays shared"
    assert not got["expanded"].numpy().flags.writeable and got["expanded"].numpy().base is not None


def test_pytorch_training_state(tmp_path):
    torch = pytest.importorskip("torch")
    theirs = torch.nn.Linear(3, 2)
    their_optimizer = torch.optim.AdamW(theirs.parameters(), lr=0.1)
    theirs(torch.ones(2, 3)).sum().backward()
    their_optimizer.step()
    torch.save({"model": theirs.state_dict(), "optimizer": their_optimizer.state_dict()}, tmp_path / "run.pth")
    loaded = io.load(tmp_path / "run.pth")
    ours = nn.Linear(3, 2)
    ours.load_state_dict(loaded["model"])
    optimizer = optim.AdamW(ours.parameters(), lr=0.5)
    optimizer.load_state_dict(loaded["optimizer"])
    assert optimizer.param_groups[0]["lr"] == 0.1
    for model, one_optimizer, ones in ((ours, optimizer, mg.ones(2, 3)), (theirs, their_optimizer, torch.ones(2, 3))):
        one_optimizer.zero_grad()
        model(ones).sum().backward()
        one_optimizer.step()
    np.testing.assert_allclose(ours.weight.numpy(), theirs.weight.detach().numpy(), 1e-6)
