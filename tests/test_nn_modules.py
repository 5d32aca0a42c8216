"""Module, containers, hooks and state: what they promise, without PyTorch."""

import copy
import pickle
from collections import OrderedDict

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import (
    ArgumentError,
    DTypeError,
    GradError,
    IndexRangeError,
    ShapeError,
    StateError,
)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU())
        self.head = nn.Linear(3, 2)
        self.scale = nn.Parameter(mg.ones(2))
        self.register_buffer("offset", mg.zeros(2))
        self.register_buffer("scratch", mg.zeros(7), persistent=False)
        self.nothing = None

    def forward(self, x):
        return self.head(self.body(x)) * self.scale + self.offset


KEYS = [
    "scale", "offset", "body.0.weight", "body.0.bias", "body.1.weight", "body.1.bias", "body.1.running_mean",
    "body.1.running_var", "body.1.num_batches_tracked", "head.weight", "head.bias",
]  # fmt: skip


def x44():
    return mg.tensor(np.random.default_rng(0).standard_normal((4, 4)).astype("float32"))


# ---- attributes and walks --------------------------------------------------------------------------------------------
def test_walks():
    net = Net()
    assert list(net.state_dict()) == KEYS
    assert [n for n, _ in net.named_parameters()] == [
        k for k in KEYS if "running" not in k and k != "offset" and "num_" not in k
    ]
    assert [n for n, _ in net.named_parameters(recurse=False)] == ["scale"]
    assert [n for n, _ in net.named_buffers()][:2] == ["offset", "scratch"]
    assert [n for n, _ in net.named_children()] == ["body", "head"]
    assert [n for n, _ in net.named_modules()] == ["", "body", "body.0", "body.1", "body.2", "head"]
    assert net.get_submodule("body.0") is net.body[0]
    assert net.get_parameter("body.0.weight") is net.body[0].weight
    assert net.get_buffer("body.1.running_mean") is net.body[1].running_mean
    for bad in ("body.9", "head.weight", "body.0.nothing.more"):
        with pytest.raises(StateError, match="has no part"):
            net.get_submodule(bad)
    with pytest.raises(StateError, match="has none at"):
        net.get_parameter("head.gain")


def test_shared_parameters_count_once():
    a = nn.Linear(3, 3)
    b = nn.Linear(3, 3)
    b.weight = a.weight
    model = nn.Sequential(a, b, a)
    assert len(list(model.parameters())) == 3
    assert list(model.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias", "2.weight", "2.bias"]
    twin = copy.deepcopy(model)
    assert twin[0].weight is twin[1].weight and twin[0] is twin[2]
    assert twin[0].weight is not a.weight


def test_attributes_are_checked():
    net = Net()
    with pytest.raises(DTypeError, match="can only be replaced by a Parameter or None"):
        net.scale = mg.zeros(2)
    with pytest.raises(DTypeError, match="buffer can only be replaced"):
        net.offset = 3
    net.offset = mg.ones(2)  # stays a buffer
    assert "offset" in net.state_dict()
    net.scale = None
    assert "scale" not in net.state_dict()
    del net.offset
    assert "offset" not in net.state_dict()
    with pytest.raises(ArgumentError, match="without dots"):
        net.register_parameter("a.b", None)
    with pytest.raises(ArgumentError, match="taken by a method"):
        net.register_buffer("forward", mg.zeros(1))
    with pytest.raises(DTypeError):
        net.register_module("part", 3)
    with pytest.raises(DTypeError):
        net.register_parameter("p", mg.zeros(1))
    with pytest.raises(NotImplementedError, match="forward"):
        nn.Module()(1)
    with pytest.raises(TypeError):
        nn.Sigmoid(3)  # an option it does not have


def test_buffer_class():
    m = nn.Module()
    m.table = nn.Buffer(mg.ones(2))
    m.cache = nn.Buffer([1.0], persistent=False)
    assert [n for n, _ in m.named_buffers()] == ["table", "cache"]
    assert list(m.state_dict()) == ["table"]
    assert not list(m.parameters())


def test_parameter():
    a = mg.ones(3)
    p = nn.Parameter(a)
    assert isinstance(p, mg.Tensor) and p.requires_grad and p.is_leaf
    p.array[0] = 5
    assert a[0].item() == 5  # shares memory
    assert not nn.Parameter(a, requires_grad=False).requires_grad
    read_only = np.broadcast_to(np.float32(1), (3,))
    nn.Parameter(read_only).array[0] = 2  # a copy, since it must be updated
    with pytest.raises(DTypeError):
        nn.Parameter(mg.tensor([1, 2]))


def test_train_eval_freeze_apply():
    net, seen = Net(), []
    assert net.eval() is net and not any(m.training for m in net.modules())
    assert all(m.training for m in net.train().modules())
    with pytest.raises(ArgumentError):
        net.train("yes")
    net.apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Linear", "BatchNorm1d", "ReLU", "Sequential", "Linear", "Net"]
    net.body.requires_grad_(False)
    net(x44()).sum().backward()
    assert net.body[0].weight.grad is None and net.head.weight.grad is not None
    net.zero_grad(set_to_none=False)
    assert not net.head.weight.grad.numpy().any()
    net.zero_grad()
    assert net.head.weight.grad is None


def test_dtype():
    net = Net()
    weight, before = net.head.weight, list(net.parameters())
    net(x44()).sum().backward()
    assert net.double() is net
    assert net.head.weight is weight and all(a is b for a, b in zip(net.parameters(), before))
    assert weight.dtype == weight.grad.dtype == np.float64
    assert net.body[1].num_batches_tracked.dtype == np.int64
    y = net(x44().double())
    assert y.dtype == np.float64
    net.zero_grad()
    y.sum().backward()
    assert weight.grad.dtype == np.float64
    assert net.to(mg.zeros(1)).head.weight.dtype == np.float32
    with pytest.raises(DTypeError, match="float dtype"):
        net.to("int64")
    assert net.half().head.weight.dtype == np.float16


# ---- state -----------------------------------------------------------------------------------------------------------
def test_state_shares_and_loads_in_place():
    net, other = Net(), Net()
    state = other.state_dict()
    weight = net.head.weight
    result = net.load_state_dict(state)
    assert result.missing_keys == result.unexpected_keys == []
    assert net.head.weight is weight
    np.testing.assert_array_equal(weight.numpy(), other.head.weight.numpy())
    state["head.weight"].array[0, 0] = 42
    assert other.head.weight[0, 0].item() == 42 and weight[0, 0].item() != 42
    assert not state["head.weight"].requires_grad
    assert net.state_dict(keep_vars=True)["head.weight"] is weight
    net.load_state_dict({k: v.numpy().astype("float64") for k, v in state.items()})  # arrays, of another dtype
    assert weight[0, 0].item() == 42 and weight.dtype == np.float32


def test_state_errors_name_everything_and_change_nothing():
    net = Net()
    before = {k: v.numpy().copy() for k, v in net.state_dict().items()}
    state = {k: v + 1 for k, v in before.items()}
    del state["head.bias"]
    state["extra"] = np.zeros(1)
    state["scale"] = np.zeros(3)
    with pytest.raises(StateError) as error:
        net.load_state_dict(state)
    for words in ("missing: head.bias", "unexpected: extra", "wrong shape: scale: (3,) for (2,)"):
        assert words in str(error.value)
    with pytest.raises(StateError, match="wrong shape"):
        net.load_state_dict(state, strict=False)
    for key, value in net.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[key])
    del state["scale"]
    result = net.load_state_dict(state, strict=False)
    assert result.missing_keys == ["scale", "head.bias"] and result.unexpected_keys == ["extra"]
    np.testing.assert_array_equal(net.head.weight.numpy(), before["head.weight"] + 1)
    with pytest.raises(DTypeError, match="mapping"):
        net.load_state_dict([1])
    with pytest.raises(DTypeError, match="numbers"):
        net.load_state_dict({**before, "scale": np.array(["a", "b"])})


def test_loading_between_forward_and_backward_is_noticed():
    net = Net()
    y = net(x44()).sum()
    net.load_state_dict(Net().state_dict())
    with pytest.raises(GradError, match="load_state_dict"):
        y.backward()


def test_assign():
    net = Net()
    net.load_state_dict({k: v.numpy().astype("float64") for k, v in net.state_dict().items()}, assign=True)
    assert net.head.weight.dtype == np.float64 and net.head.weight.requires_grad


def test_copies():
    net = Net()
    net(x44()).sum().backward()
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert repr(twin) == repr(net)
        assert list(twin.state_dict()) == KEYS
        assert twin.head.weight is not net.head.weight and isinstance(twin.head.weight, nn.Parameter)
        np.testing.assert_array_equal(twin.eval()(x44()).detach().numpy(), net.eval()(x44()).detach().numpy())
        twin.head.weight.array[...] = 0
        assert net.head.weight.numpy().any()
        net.train()


def test_repr():
    assert repr(Net()) == (
        "Net(\n"
        "  (body): Sequential(\n"
        "    (0): Linear(in_features=4, out_features=3, bias=True)\n"
        "    (1): BatchNorm1d(3, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)\n"
        "    (2): ReLU()\n"
        "  )\n"
        "  (head): Linear(in_features=3, out_features=2, bias=True)\n"
        ")"
    )
    assert repr(nn.Parameter([1.0])).startswith("Parameter containing:\ntensor([1.]")


# ---- containers ------------------------------------------------------------------------------------------------------
def test_sequential():
    a, b, c = nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)
    model = nn.Sequential(OrderedDict(first=a, middle=b))
    assert list(model.state_dict()) == ["first.weight", "first.bias"]
    model.append(c)
    assert model[-1] is c and len(model) == 3 and list(model) == [a, b, c]
    assert isinstance(model[:2], nn.Sequential) and list(model[:2]) == [a, b]
    assert list(model[:2].state_dict()) == ["first.weight", "first.bias"]
    assert model(mg.ones(5, 2)).shape == (5, 1)
    model[1] = nn.Tanh()
    assert isinstance(model.middle, nn.Tanh)
    plain = nn.Sequential(a, b)
    plain.insert(1, c)
    assert list(plain) == [a, c, b] and list(plain.state_dict())[2] == "1.weight"
    del plain[0]
    assert list(plain) == [c, b]
    assert plain.pop() is b and len(plain) == 1
    assert list(nn.Sequential(a) + nn.Sequential(b)) == [a, b]
    assert nn.Sequential()(3) == 3
    with pytest.raises(IndexRangeError):
        plain[5]
    with pytest.raises(DTypeError, match="parts must be modules"):
        nn.Sequential(a, abs)
    with pytest.raises(DTypeError, match="parts must be modules"):
        plain[0] = abs
    twice = nn.Sequential(b, a) * 2
    assert list(twice) == [b, a, b, a] == list(2 * nn.Sequential(b, a)) and len(list(twice.parameters())) == 2
    twice *= 2
    twice += nn.Sequential(c)
    assert len(twice) == 9 and list(twice)[-1] is c and next(reversed(twice)) is c
    with pytest.raises(ArgumentError, match="1 or more"):
        twice * 0
    with pytest.raises(IndexRangeError):
        plain.insert(5, b)
    with pytest.raises(DTypeError, match="iterable of modules"):
        plain.extend(3)


def test_module_list_and_dict():
    layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    layers += [nn.ReLU()]
    layers[0] = nn.Tanh()
    assert len(layers) == 3 and isinstance(layers[0], nn.Tanh) and isinstance(layers[-2:], nn.ModuleList)
    assert list(layers.state_dict()) == ["1.weight", "1.bias"]
    with pytest.raises(IndexRangeError):
        layers[3]
    parts = nn.ModuleDict({"a": nn.Linear(1, 1)})
    parts["b"] = nn.ReLU()
    parts.update({"c": nn.Tanh()})
    assert list(parts) == ["a", "b", "c"] and "b" in parts and len(parts) == 3
    assert isinstance(parts.pop("b"), nn.ReLU) and "b" not in parts
    assert [k for k, _ in parts.items()] == ["a", "c"]
    assert "(a): Linear" in repr(parts)
    assert [type(m) for m in parts.values()] == [nn.Linear, nn.Tanh] and list(parts.keys()) == ["a", "c"]
    with pytest.raises(StateError, match="has no 'z'"):
        parts["z"]
    with pytest.raises(DTypeError, match="pairs"):
        parts.update(nn.ReLU())
    with pytest.raises(ArgumentError, match="taken by a method"):
        parts["forward"] = nn.ReLU()
    parts.clear()
    assert not len(parts)
    assert repr(nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Tanh()])) == (
        "ModuleList(\n  (0-1): 2 x ReLU()\n  (2): Tanh()\n)"
    )


def test_parameter_list_and_dict():
    values = nn.ParameterList([mg.ones(2), nn.Parameter(mg.ones(3))])
    values.append(mg.ones(1))
    values[0] = mg.zeros(2)
    assert [p.shape for p in values] == [(2,), (3,), (1,)] and list(values.state_dict()) == ["0", "1", "2"]
    assert all(p.requires_grad for p in values) and "(1): Parameter containing" in repr(values)
    named = nn.ParameterDict({"w": mg.ones(2)})
    assert list(named.state_dict()) == ["w"] and named["w"].requires_grad
    values += [mg.ones(4), "not a tensor"]
    assert len(values) == 5 and values[-1] == "not a tensor" and "(4): Object of type: str" in repr(values)
    assert values.pop(1).shape == (3,) and [k for k, _ in values.named_parameters()] == ["0", "1", "2"]
    assert isinstance(values[:2], nn.ParameterList) and values[:2][1] is values[1]
    with pytest.raises(IndexRangeError):
        values[7]
    with pytest.raises(DTypeError, match="iterable"):
        values.extend(mg.ones(2))
    assert named.setdefault("b", mg.zeros(2)) is named["b"] and named.get("c") is None and "b" in named
    merged = named | nn.ParameterDict({"c": mg.ones(1)})
    assert list(merged) == ["w", "b", "c"] and merged["w"] is named["w"] and list(reversed(named)) == ["b", "w"]
    assert merged.popitem()[0] == "c" and list(merged.copy().keys()) == ["w", "b"]
    named |= {"d": mg.ones(1)}
    assert list(named.fromkeys(["p", "q"], 0).items()) == [("p", 0), ("q", 0)]
    del named["d"]
    with pytest.raises(StateError, match=r"has no 'd'\. It has 'w', 'b'"):
        named["d"]
    named.clear()
    with pytest.raises(StateError, match="empty"):
        named.popitem()
    with pytest.raises(ArgumentError, match="keys must be strings"):
        named[3] = mg.ones(1)
    with pytest.raises(DTypeError, match="pairs"):
        named.update([1])
    twin = pickle.loads(pickle.dumps(copy.deepcopy(merged)))
    assert list(twin) == ["w", "b"] and twin["w"].requires_grad


# ---- hooks -----------------------------------------------------------------------------------------------------------
def test_forward_hooks():
    layer, calls = nn.Linear(2, 2), []
    first = layer.register_forward_pre_hook(lambda m, args: calls.append("before"))
    second = layer.register_forward_pre_hook(lambda m, args: (args[0] * 2,), prepend=True)
    third = layer.register_forward_hook(lambda m, args, y: y + 1)
    x = mg.ones(1, 2)
    expected = (x * 2) @ layer.weight.mT + layer.bias + 1
    np.testing.assert_allclose(layer(x).detach().numpy(), expected.detach().numpy(), rtol=1e-6)
    assert calls == ["before"]
    for handle in (first, second, third):
        handle.remove()
    np.testing.assert_allclose(
        layer(x).detach().numpy(), (x @ layer.weight.mT + layer.bias).detach().numpy(), rtol=1e-6
    )
    assert calls == ["before"]

    class Scaled(nn.Module):
        def forward(self, x, *, by=1):
            return x * by

    m = Scaled()
    m.register_forward_pre_hook(lambda m, args, kwargs: (args, {"by": 3}), with_kwargs=True)
    m.register_forward_hook(lambda m, args, kwargs, y: y + kwargs["by"], with_kwargs=True)
    assert m(mg.ones(1), by=2).item() == 6


class Product(nn.Module):
    def forward(self, a, b, c=None):
        return a * b, a + b


@pytest.mark.parametrize("create_graph", [False, True])
def test_backward_hooks(create_graph):
    seen = []
    m = Product()
    m.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go)))
    a, b = mg.tensor([2.0], requires_grad=True), mg.tensor([3.0], requires_grad=True)
    y, z = m(a, b, "not a tensor")
    (y * 10 + z).sum().backward(create_graph=create_graph)
    ((gi, go),) = seen
    assert [g.item() for g in go] == [10, 1]
    assert gi[0].item() == 31 and gi[1].item() == 21 and gi[2] is None
    assert a.grad.item() == 31 and b.grad.item() == 21


def test_backward_hooks_replace():
    m = Product()
    m.register_full_backward_pre_hook(lambda m, go: (go[0] * 2, go[1]))
    m.register_full_backward_hook(lambda m, gi, go: (gi[0] * 100, gi[1], None))
    a, b = mg.tensor([2.0], requires_grad=True), mg.tensor([3.0], requires_grad=True)
    y, z = m(a, b, None)
    (y * 10 + z).sum().backward()
    assert a.grad.item() == 6100 and b.grad.item() == 41
    bad = Product()
    bad.register_full_backward_hook(lambda m, gi, go: (gi[0],))
    y, z = bad(a, b)
    with pytest.raises(ArgumentError, match="must return 2 gradients"):
        y.sum().backward()


def test_backward_hook_without_input_gradient():
    seen = []
    layer = nn.Linear(2, 3)
    layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go[0].shape)))
    layer(mg.ones(4, 2)).sum().backward()
    assert seen == [((None,), (4, 3))]
    with mg.no_grad():
        layer(mg.ones(4, 2))  # nothing to watch


def test_hooks_that_are_always_called():
    class Stops(nn.Module):
        def forward(self, x):
            raise RuntimeError("stop")

    m, seen = Stops(), []
    m.register_forward_hook(lambda m, args, y: seen.append("normal"))
    m.register_forward_hook(lambda m, args, kwargs, y: seen.append((y, kwargs)), with_kwargs=True, always_call=True)
    with pytest.raises(RuntimeError, match="stop"):
        m(x=1)
    assert seen == [(None, {"x": 1})]
    m.register_forward_hook(lambda m, args, y: 1 / 0, always_call=True)
    with pytest.raises(RuntimeError, match="stop"), pytest.warns(UserWarning, match="ZeroDivisionError"):
        m(1)
    bad = nn.ReLU()
    bad.register_forward_pre_hook(lambda m, args, kwargs: args, with_kwargs=True)
    with pytest.raises(ArgumentError, match=r"return \(args, kwargs\)"):
        bad(mg.ones(2))


def test_state_hooks():
    """Old names in, new names out; a missing key forgiven."""
    net, seen = Net(), []
    net.head.register_state_dict_pre_hook(lambda m, prefix, keep_vars: seen.append((prefix, keep_vars)))
    net.register_state_dict_post_hook(lambda m, state, prefix, meta: state.update({"version": meta["version"]}))
    state = net.state_dict()
    assert seen == [("head.", False)] and state.pop("version") == 1

    def rename(m, state, prefix, meta, strict, missing, unexpected, errors):
        for key in [k for k in state if k.startswith(prefix + "old_")]:
            state[key.replace("old_", "")] = state.pop(key)

    old = {k.replace("head.", "head.old_"): v.numpy() + 1 for k, v in state.items() if k != "scale"}
    handle = net.head.register_load_state_dict_pre_hook(rename)
    with pytest.raises(StateError, match="missing: scale"):
        net.load_state_dict(old)
    before = net.head.weight.numpy().copy()
    net.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.clear())
    assert net.load_state_dict(old) == ([], [])
    np.testing.assert_array_equal(net.head.weight.numpy(), before + 1)
    assert "head.old_weight" in old  # the caller's dictionary is his
    handle.remove()
    with pytest.raises(StateError, match=r"unexpected: head\.old_weight"):
        net.load_state_dict(old)
    net.register_load_state_dict_pre_hook(lambda *args: args[-1].append("no such luck"))
    with pytest.raises(StateError, match="no such luck"):
        net.load_state_dict(state)


class Counted(nn.Module):
    def __init__(self):
        super().__init__()
        self.calls = 0
        self.w = nn.Parameter(mg.ones(1))

    def get_extra_state(self):
        return {"calls": self.calls}

    def set_extra_state(self, state):
        self.calls = state["calls"]


def test_extra_state():
    model = nn.Sequential(Counted(), nn.ReLU())
    model[0].calls = 7
    state = model.state_dict()
    assert list(state) == ["0.w", "0._extra_state"]
    other = nn.Sequential(Counted(), nn.ReLU())
    other.load_state_dict(state)
    assert other[0].calls == 7
    with pytest.raises(StateError, match=r"missing: 0\._extra_state"):
        other.load_state_dict({"0.w": np.ones(1)})
    with pytest.raises(StateError, match="unexpected: _extra_state"):
        nn.ReLU().load_state_dict({"_extra_state": 3})
    with pytest.raises(NotImplementedError):
        nn.ReLU().get_extra_state()


def test_names_keep_their_kind():
    m = nn.Module()
    m.a = None
    m.b = nn.Parameter(mg.ones(1))
    m.a = nn.Parameter(mg.ones(1))
    m.register_parameter("c", None)
    m.d = nn.Parameter(mg.ones(1))
    m.c = nn.Parameter(mg.ones(1))
    assert list(m.state_dict()) == ["b", "a", "c", "d"]  # a parameter's place is where it became one
    m.register_parameter("e", None)
    for value in (mg.ones(1), 3):
        with pytest.raises(DTypeError, match="a parameter can only be replaced"):
            m.e = value
    m.part = nn.ReLU()
    with pytest.raises(DTypeError, match="a module can only be replaced"):
        m.part = 3
    m.part = None
    assert not list(m.children())
    m.part = nn.Parameter(mg.ones(2))  # another kind: a new place
    assert list(m.state_dict()) == ["b", "a", "c", "d", "part"]
    m.register_buffer("table", mg.ones(2))
    m.table = nn.Parameter(mg.ones(2))
    assert not list(m.buffers()) and "table" in dict(m.named_parameters())
    m.note = "a word"
    with pytest.raises(ArgumentError, match="taken by an attribute"):
        m.register_buffer("note", mg.ones(1))
    with pytest.raises(AttributeError):
        getattr(m, "absent")  # noqa: B009
    assert "table" in dir(m) and "0" not in dir(nn.Sequential(nn.ReLU()))
    assert nn.Parameter().shape == (0,)


def test_prefix_recurse_and_duplicates():
    a = nn.Linear(2, 2)
    m = nn.Sequential(a, nn.ReLU(), a)
    assert [n for n, _ in m.named_parameters("net")] == ["net.0.weight", "net.0.bias"]
    assert [n for n, _ in m.named_parameters(remove_duplicate=False)] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert [n for n, _ in m.named_modules(prefix="p", remove_duplicate=False)] == ["p", "p.0", "p.1", "p.2"]
    assert not list(m.named_parameters(recurse=False)) and not list(m.buffers(recurse=False))


def test_set_submodule_and_casts():
    net = Net()
    net.set_submodule("body.0", nn.Identity())
    assert isinstance(net.body[0], nn.Identity)
    with pytest.raises(StateError):
        net.set_submodule("body.9", nn.ReLU(), strict=True)
    with pytest.raises(ArgumentError):
        net.set_submodule("", nn.ReLU())
    assert Net().type("float64").head.weight.dtype == np.float64
    with pytest.raises(DTypeError, match="are floats"):
        Net().type("int64")
    weight = net.head.weight
    assert net.to_empty(device="cpu") is net and net.head.weight is weight


def test_freeze_by_path():
    net = Net().freeze("body.*", "scale")
    learned = [n for n, p in net.named_parameters() if p.requires_grad]
    assert learned == ["head.weight", "head.bias"]
    net.freeze()
    net.unfreeze("*.bias")
    assert [n for n, p in net.named_parameters() if p.requires_grad] == ["body.0.bias", "body.1.bias", "head.bias"]
    with pytest.raises(ArgumentError, match="no parameter at 'body'"):
        net.freeze("body")


def test_train_may_be_overridden():
    class Fixed(nn.BatchNorm1d):
        def train(self, mode=True):
            return super().train(False)

    model = nn.Sequential(Fixed(2), nn.Dropout(0.5)).train()
    assert [m.training for m in model] == [False, True]


def test_tied_parameters_stay_tied():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), model.double()):
        assert twin[0].weight is twin[1].weight
        assert len(list(twin.parameters())) == 3 and len(twin.state_dict()) == 4
    model.load_state_dict({k: np.ones(v.shape) for k, v in model.state_dict().items()})
    assert model[0].weight is model[1].weight


# ---- errors tell the place -------------------------------------------------------------------------------------------
def test_error_names_the_layer_by_its_path():
    net = Net()
    with pytest.raises(ShapeError, match="in_features") as error:
        nn.Sequential(net)(mg.ones(2, 5))
    assert error.value.__notes__ == ["in Sequential.0.body.0 = Linear(in_features=4, out_features=3, bias=True)"]


def encoder(**options):
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, **options)
    return nn.TransformerEncoder(layer, 2)


PLACES = [
    (lambda: encoder()(mg.ones(2, 5, 8), mask=mg.zeros(4, 4)), ShapeError, "in TransformerEncoder.layers.0.self_attn"),
    (lambda: encoder()(mg.ones(2, 5, 7)), ShapeError, "in TransformerEncoder.layers.0"),
    (lambda: nn.Sequential(nn.Flatten(), nn.Linear(4, 2))(mg.ones(2, 3)), ShapeError, "in Sequential.1 = Linear(in_f"),
    (lambda: nn.Sequential(nn.Embedding(3, 2))(mg.tensor([5])), IndexRangeError, "in Sequential.0 = Embedding(3, 2)"),
    (lambda: nn.Sequential(nn.Embedding(3, 2))(mg.ones(2)), DTypeError, "in Sequential.0 = Embedding(3, 2)"),
    (lambda: nn.CrossEntropyLoss()(mg.ones(1, 2), mg.tensor([2])), IndexRangeError, "in CrossEntropyLoss()"),
    (lambda: nn.ModuleDict({"a": nn.Conv2d(3, 2, 1)})["a"](mg.ones(1, 4, 5, 5)), ShapeError, "in Conv2d(3, 2"),
]  # fmt: skip


@pytest.mark.parametrize("call, kind, words", PLACES)
def test_errors_name_the_place_once(call, kind, words):
    with pytest.raises(kind) as error:
        call()
    (note,) = error.value.__notes__
    assert note.startswith(words)


def test_any_error_in_forward_names_the_place():
    """Also what minigrad did not raise, in a module whose repr fails too."""

    class Broken(nn.Module):
        def forward(self, x):
            return x.no_such_method()

        def extra_repr(self):
            return self.absent

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = [Broken()]  # not a part: no path leads to it

        def forward(self, x):
            return self.inner[0](x)

    with pytest.raises(AttributeError) as error:
        nn.Sequential(nn.Sequential(Broken()))(mg.ones(1))
    assert error.value.__notes__ == ["in Sequential.0.0 (Broken)"]
    with pytest.raises(AttributeError) as error:
        Outer()(mg.ones(1))
    assert error.value.__notes__ == ["in Outer.? (Broken)"]
