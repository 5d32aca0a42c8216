"""Files of PyTorch before 1.6, which newer ones write on demand: read as PyTorch reads them, and never trusted."""

from collections import OrderedDict
from contextlib import suppress

import numpy as np
import pytest

import minigrad as mg
from minigrad.errors import DataError

torch = pytest.importorskip("torch")
DTYPES = (
    "float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool", "complex64",
    "complex128",
)  # fmt: skip


def written(path, value):
    torch.save(value, path, _use_new_zipfile_serialization=False)
    return path


def same(ours, theirs):
    if isinstance(theirs, torch.Tensor):
        assert ours.shape == tuple(theirs.shape)
        if theirs.dtype == torch.bfloat16:
            theirs = theirs.float()
        assert str(ours.dtype) == str(theirs.dtype).removeprefix("torch.")
        np.testing.assert_array_equal(ours.numpy(), theirs.detach().numpy())
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for key in theirs:
            same(ours[key], theirs[key])
    elif isinstance(theirs, (list, tuple)):
        for a, b in zip(ours, theirs, strict=True):
            same(a, b)
    else:
        assert ours == theirs


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(tmp_path, dtype):
    value = torch.arange(-3, 5).reshape(2, 4).to(getattr(torch, dtype))
    same(mg.load(written(tmp_path / "x.pt", value)), value)


def test_a_checkpoint(tmp_path):
    model = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(2, 2, 5, 5)).sum().backward()
    optimizer.step()
    state = {
        "model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3, "best": (0.5, None, "a"),
        "parameter": torch.nn.Parameter(torch.ones(2)), "size": torch.Size([1, 2]), "names": OrderedDict(a=[True]),
    }  # fmt: skip
    path = written(tmp_path / "x.pth", state)
    loaded = mg.load(path, map_location="cpu", weights_only=True)
    same(loaded, state)
    ours = mg.nn.Sequential(mg.nn.Conv2d(2, 3, 3), mg.nn.BatchNorm2d(3))
    ours.load_state_dict(loaded["model"])
    np.testing.assert_array_equal(ours[0].weight.numpy(), model[0].weight.detach().numpy())


def test_shared_memory_and_views(tmp_path):
    base = torch.arange(12.0)
    loaded = mg.load(written(tmp_path / "x.pt", [base, base[2:8].reshape(2, 3).T, base[::3], torch.zeros(0, 3)]))
    same(loaded, [base, base[2:8].reshape(2, 3).T, base[::3], torch.zeros(0, 3)])
    loaded[0].numpy()[2] = 99
    assert loaded[1][0, 0].item() == 99  # one storage, as in PyTorch


def test_damaged_files_are_refused_or_read(tmp_path):
    path = written(tmp_path / "x.pt", {"w": torch.arange(6.0).reshape(2, 3), "n": [1, "two"]})
    content = path.read_bytes()
    for n in range(0, len(content), 7):
        path.write_bytes(content[:n])
        with pytest.raises(DataError):
            mg.load(path)
    rng = np.random.default_rng(0)
    for _ in range(300):
        changed = bytearray(content)
        changed[rng.integers(15, len(content))] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        with suppress(DataError):
            mg.load(path)


def test_nothing_is_called(tmp_path):
    path = written(tmp_path / "x.pt", {"m": torch.nn.Linear(1, 1)})
    with pytest.raises(DataError, match=r"refused: it holds torch.nn.modules.linear.Linear"):
        mg.load(path)


def test_what_it_claims_must_fit(tmp_path):
    content = written(tmp_path / "x.pt", torch.zeros(77)).read_bytes()
    assert content.count(b"KM") > 1  # 77 in the storage's reference, and in the tensor's shape
    (tmp_path / "x.pt").write_bytes(content.replace(b"KM", b"JM\xff\xff\x7f", 1))  # many more elements
    with pytest.raises(DataError):
        mg.load(tmp_path / "x.pt")
