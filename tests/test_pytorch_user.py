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


def test_a_function_with_a_context_of_its_own():
    """PyTorch 2's style: forward takes no ctx, setup_context keeps what backward needs."""

    class Product(mg.Function):
        @staticmethod
        def forward(x, y):
            return x * y

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)
            ctx.product = output

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            assert ctx.product.shape == g.shape and ctx.needs_input_grad == (True, True)
            return g * y, g * x

    x, y = (mg.tensor(v, dtype="float64", requires_grad=True) for v in ([1.0, 2.0], [3.0, 5.0]))
    assert mg.autograd.gradcheck(Product.apply, (x, y)) and mg.autograd.gradgradcheck(Product.apply, (x, y))
    grads = mg.vmap(mg.func.grad(lambda a, b: Product.apply(a, b)), in_dims=(0, 0))(x, y)
    assert grads.tolist() == [3, 5]


def test_the_gradient_of_an_unused_output():
    seen = []

    class Two(mg.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return x * 2, x.sum() * 3

        @staticmethod
        def backward(ctx, g, h):
            seen.append((g, h))
            return g * 2

    x = mg.ones(2, requires_grad=True)
    Two.apply(x)[0].sum().backward()
    ((g, h),) = seen
    assert g.tolist() == [1, 1] and h.item() == 0 and h.shape == ()
    assert x.grad.tolist() == [2, 2]


def test_the_matrices_have_pytorchs_names():
    a, b, c = mg.ones(2, 3), mg.ones(3, 4), mg.zeros(2, 4)
    assert mg.mm(a, mat2=b).tolist() == mg.addmm(c, mat1=a, mat2=b).tolist() == c.addmm(mat1=a, mat2=b).tolist()
    assert mg.addmm(input=c, mat1=a, mat2=b, beta=2, alpha=0.5)[0, 0].item() == 1.5
    assert mg.baddbmm(c[None], batch1=a[None], batch2=b[None]).shape == mg.bmm(input=a[None], mat2=b[None]).shape
    assert mg.mv(a, vec=mg.ones(3)).tolist() == mg.addmv(mg.zeros(2), mat=a, vec=mg.ones(3)).tolist() == [3, 3]
    assert mg.addr(mg.zeros(2, 3), vec1=mg.ones(2), vec2=mg.ones(3)).shape == (2, 3)
    assert mg.addcmul(c, tensor1=c + 1, tensor2=c + 2, value=3)[0, 0].item() == 6
    assert mg.addcdiv(c, tensor1=c + 1, tensor2=c + 2, value=4)[0, 0].item() == 2


def test_where_of_a_condition_alone():
    rows, columns = mg.where(mg.tensor([[1, 0], [2, 3]]) > 0)
    assert rows.tolist() == [0, 1, 1] and columns.tolist() == [0, 0, 1]
    assert mg.where(mg.tensor([True]), 1.0, 2.0).tolist() == [1.0]


def test_small_words():
    assert nn.Linear(2, 3)(input=mg.ones(1, 2)).shape == (1, 3)
    one, other = mg.Generator(device="cpu").manual_seed(3), mg.Generator("cpu").manual_seed(3)
    assert mg.rand(2, generator=one).tolist() == mg.rand(2, generator=other).tolist()
    f = mg.vmap(lambda x, y: x * y, in_dims=(1, None), out_dims=1)
    assert f(mg.ones(2, 3), mg.tensor(2.0)).shape == mg.vmap(lambda x: x, 1, 1)(mg.ones(2, 3)).shape == (2, 3)


WINDOWS = ["hann", "hamming", "blackman", "bartlett", "kaiser"]


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("name", WINDOWS)
def test_windows_beside_pytorch(name, periodic):
    torch = pytest.importorskip("torch")
    for n in (0, 1, 2, 5, 16):
        options = {"beta": 7.0} if name == "kaiser" else {}
        ours = getattr(mg, f"{name}_window")(n, periodic, dtype="float64", **options)
        theirs = getattr(torch, f"{name}_window")(n, periodic, dtype=torch.float64, **options)
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-9, atol=1e-12)
    assert getattr(mg, f"{name}_window")(3, requires_grad=True).requires_grad
    assert getattr(mg, f"{name}_window")(3).dtype == mg.float32
    with pytest.raises(ArgumentError, match="negative"):
        getattr(mg, f"{name}_window")(-1)


def test_settings_of_other_backends():
    mg.backends.cudnn.benchmark = False
    mg.backends.cudnn.deterministic = True
    device = mg.device("mps" if mg.backends.mps.is_available() else "cpu")
    assert mg.ones(2, device=device).contiguous(memory_format=mg.channels_last).tolist() == [1, 1]


def test_labels_to_ignore_need_labels():
    x = mg.randn(2, 3)
    with pytest.raises(ArgumentError, match="holds probabilities"):
        nn.functional.cross_entropy(x, x.softmax(-1), ignore_index=1)


def test_a_parameter_can_be_marked():
    model = nn.Linear(2, 2)
    model.bias.no_weight_decay = True
    (marked,) = [p for p in model.parameters() if getattr(p, "no_weight_decay", False)]
    assert marked is model.bias
    model.double()
    assert model.bias.no_weight_decay


def test_squeeze_of_a_longer_axis():
    """PyTorch leaves it, the array standard refuses."""
    x = mg.ones(2, 1, 3)
    assert mg.squeeze(x, dim=0).shape == (2, 1, 3) and mg.squeeze(x, dim=(0, 1)).shape == (2, 3)
    assert mg.squeeze(x, dim=-2).shape == x.squeeze(1).shape == (2, 3)
    with pytest.raises(ShapeError, match="only axes of length 1"):
        mg.squeeze(x, axis=0)
