"""Files for PyTorch: what save writes as .pt, torch.load reads without trusting it, and load reads again."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.errors import ArgumentError, DTypeError

DTYPES = (
    "float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "uint16", "uint32",
    "uint64", "bool", "complex64", "complex128",
)  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(tmp_path, dtype):
    wide = "complex128" if "complex" in dtype else "float64"
    value = mg.tensor(np.arange(6.0).reshape(2, 3)).astype(getattr(mg, dtype))
    mg.save({"x": value, "column": value.T, "scalar": value[1, 1], "none": value[:0]}, tmp_path / "x.pt")
    again = mg.load(tmp_path / "x.pt")
    for name, expected in (("x", value), ("column", value.T), ("scalar", value[1, 1]), ("none", value[:0])):
        assert again[name].shape == expected.shape
        np.testing.assert_array_equal(again[name].astype(wide).numpy(), expected.astype(wide).numpy())
    torch = pytest.importorskip("torch")
    theirs = torch.load(tmp_path / "x.pt", weights_only=True)
    assert theirs["x"].dtype == getattr(torch, dtype) and theirs["scalar"].shape == ()
    for name in again:
        shown = theirs[name].to(getattr(torch, wide))
        np.testing.assert_array_equal(shown.numpy(), again[name].astype(wide).numpy())


def test_a_training_state_in_both_directions(tmp_path):
    torch = pytest.importorskip("torch")
    model = mg.nn.Sequential(mg.nn.Linear(3, 4), mg.nn.BatchNorm1d(4), mg.nn.Linear(4, 2))
    optimizer = mg.optim.Adam(model.parameters(), lr=0.1)
    model(mg.randn(5, 3)).sum().backward()
    optimizer.step()
    odd = [True, 1 << 70, float("inf")]
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "best": (0.5, None, "µ"), 7: odd}
    mg.save(state, tmp_path / "x.pth")
    theirs = torch.load(tmp_path / "x.pth", weights_only=True)
    assert theirs["best"] == (0.5, None, "µ") and theirs[7] == odd
    other = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2))
    other.load_state_dict(theirs["model"])
    x = np.ones((2, 3), np.float32)
    expected = model.eval()(mg.tensor(x)).detach().numpy()
    np.testing.assert_allclose(other.eval()(torch.tensor(x)).detach().numpy(), expected, rtol=1e-6)
    adam = torch.optim.Adam(other.parameters(), lr=0.1)
    adam.load_state_dict(theirs["optimizer"])
    assert adam.state[other[0].weight]["step"] == 1
    torch.save(other.state_dict(), tmp_path / "back.pt")
    model.load_state_dict(mg.load(tmp_path / "back.pt"))


def test_tied_parameters_are_written_once(tmp_path):
    w = mg.randn(100, 100)
    mg.save({"a": w, "b": w, "c": mg.zeros(1)}, tmp_path / "x.pt")
    assert (tmp_path / "x.pt").stat().st_size < 2 * w.nbytes
    again = mg.load(tmp_path / "x.pt")
    again["a"].numpy()[0, 0] = 7
    assert again["b"][0, 0].item() == 7


def test_what_cannot_be_saved_is_named(tmp_path):
    with pytest.raises(DTypeError, match=r"the state\['a'\]\[1\] must be .*: got set"):
        mg.save({"a": [1, {2}]}, tmp_path / "x.pt")
    with pytest.raises(ArgumentError, match="metadata"):
        mg.save({}, tmp_path / "x.pt", metadata={"a": "b"})
    assert not list(tmp_path.iterdir())
