"""What PyTorch programs say and expect, found by running their sources."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.data import StackDataset
from minigrad.errors import ArgumentError, ShapeError
from minigrad.func import checkpoint
from minigrad.utils import checkpoint as checkpointing
from minigrad.utils.data import DataLoader, TensorDataset, default_convert, get_worker_info


@pytest.mark.parametrize("name", ["mean", "sum", "amax", "amin", "std", "logsumexp", "prod", "any", "all"])
def test_axes_may_be_a_list(name):
    x = mg.tensor(np.random.default_rng(0).standard_normal((2, 3, 4)))
    f = getattr(mg, name)
    for found in (f(x, [0, 2]), f(x, axis=[0, 2]), getattr(x, name)([0, 2])):
        np.testing.assert_array_equal(found.numpy(), f(x, axis=(0, 2)).numpy())
    np.testing.assert_array_equal(f(x, dim=[-1], keepdim=True).numpy(), f(x, dim=(-1,), keepdim=True).numpy())


def test_typed_tensors():
    x = mg.LongTensor([1, 2])
    assert isinstance(x, mg.LongTensor) and not isinstance(x, mg.FloatTensor) and isinstance(x, mg.Tensor)
    assert mg.FloatTensor(2, 3).shape == (2, 3) and mg.FloatTensor(np.zeros(2)).dtype == mg.float32
    assert mg.BoolTensor([True]).dtype == mg.bool and mg.ByteTensor().shape == (0,)
    assert x.type(mg.FloatTensor).dtype == mg.float32 and isinstance(mg.float32, mg.dtype)


def test_what_has_no_effect_is_accepted():
    @mg.compile(dynamic=True)
    def f(x):
        return x

    model = nn.Linear(2, 2)
    assert f(3) == 3 and mg.compile(model, mode="reduce-overhead") is model
    mg.set_float32_matmul_precision("high")
    with pytest.raises(ArgumentError, match="highest"):
        mg.set_float32_matmul_precision("low")
    assert model.to("cpu", non_blocking=True).to(memory_format=mg.channels_last) is model
    loader = DataLoader(TensorDataset(mg.arange(3)), shuffle=None, prefetch_factor=None, pin_memory_device="")
    assert [x.tolist() for (x,) in loader] == [[0], [1], [2]] and get_worker_info() is None


def test_older_name_of_the_loading_hook():
    """Models rename keys of older checkpoints in it."""

    class Renamed(nn.Module):
        def __init__(self):
            super().__init__()
            self.new = nn.Parameter(mg.zeros(2))
            self._register_load_state_dict_pre_hook(self.rename)

        def rename(self, state_dict, prefix, *args):
            assert len(args) == 5
            state_dict[prefix + "new"] = state_dict.pop(prefix + "old")

    model = nn.Sequential(Renamed())
    model.load_state_dict({"0.old": mg.ones(2)})
    assert model[0].new.tolist() == [1, 1]
    seen = []
    model._register_load_state_dict_pre_hook(lambda module, *args: seen.append(module), with_module=True)
    model.load_state_dict({"0.old": mg.ones(2)})
    assert seen == [model]


@pytest.mark.parametrize("bidirectional", [False, True])
def test_all_weights(bidirectional):
    torch = pytest.importorskip("torch")
    options = {"num_layers": 2, "bidirectional": bidirectional, "proj_size": 2}
    ours, theirs = nn.LSTM(3, 4, **options), torch.nn.LSTM(3, 4, **options)
    assert [[w.shape for w in part] for part in ours.all_weights] == [
        [tuple(w.shape) for w in part] for part in theirs.all_weights
    ]


def test_stacked_data_sets():
    both = StackDataset(TensorDataset(mg.arange(4)), [7, 8, 9, 10])
    assert len(both) == 4 and both[1][1] == 8 and both[1][0][0].item() == 1
    named = StackDataset(a=[1, 2], b=["x", "y"])
    batch = next(iter(DataLoader(named, batch_size=2)))
    assert batch["a"].tolist() == [1, 2] and batch["b"] == ["x", "y"]
    with pytest.raises(ShapeError, match="as long"):
        StackDataset([1], [1, 2])
    with pytest.raises(ArgumentError, match="by name"):
        StackDataset([1], b=[1])


def test_converted_sample():
    sample = default_convert({"x": np.ones(2), "n": 3, "t": ("a", [np.float32(1)])})
    assert isinstance(sample["x"], mg.Tensor) and sample["n"] == 3 and sample["t"][0] == "a"


@pytest.mark.parametrize("segments", [1, 2, 3])
def test_checkpointed_segments(segments):
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1))
    x = mg.randn(5, 3, requires_grad=True)
    model(x).sum().backward()
    expected = [x.grad.numpy()] + [p.grad.numpy() for p in model.parameters()]
    x.grad = None
    model.zero_grad()
    checkpointing.checkpoint_sequential(model, segments, x, use_reentrant=False).sum().backward()
    for a, b in zip([x.grad] + [p.grad for p in model.parameters()], expected, strict=True):
        np.testing.assert_array_equal(a.numpy(), b)
    assert checkpoint(model, x, use_reentrant=False).shape == (5, 1)
    with pytest.raises(ArgumentError, match="from 1 to 5"):
        checkpointing.checkpoint_sequential(model, 6, x)
