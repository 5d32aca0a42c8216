"""Attention, transformers and recurrent layers against PyTorch: state, signatures, outputs, gradients."""

import inspect

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ShapeError
from minigrad.gradients import grad

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")

pytestmark = pytest.mark.filterwarnings(
    "ignore:enable_nested_tensor is True",  # remarks of PyTorch's own
    "ignore:Support for mismatched",
    "ignore:LSTM with projections is not supported",
)
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
TF = torch.nn.functional
NF = nn.functional


def close(ours, theirs, dtype, what):
    ours, theirs = ours.detach().numpy(), theirs.detach().numpy()
    assert ours.shape == theirs.shape, what
    assert ours.dtype == theirs.dtype, what
    scale = max(1.0, np.abs(theirs).max(initial=0))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE[dtype] * scale, err_msg=what)


def twins(make, dtype):
    """The same module here and in PyTorch, with the same random state."""
    torch.manual_seed(0)
    theirs = make(torch.nn).to(getattr(torch, dtype))
    with torch.no_grad():
        for t in theirs.state_dict().values():
            t.copy_(torch.randn(t.shape) * 0.4)
    ours = make(nn).to(dtype)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def array(shape, dtype, seed=1):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def flat(result):
    """The tensors of nested tuples, in order."""
    if isinstance(result, tuple):
        return [t for part in result for t in flat(part)]
    return [] if result is None else [result]


def compare(ours, theirs, inputs, dtype, call=lambda module, *xs: module(*xs), order=1):
    """Outputs, and gradients of their weighted sum for inputs and parameters; with order 2 also second derivatives."""
    xs, txs = [mg.tensor(a, requires_grad=True) for a in inputs], [torch.tensor(a, requires_grad=True) for a in inputs]
    ys, tys = flat(call(ours, *xs)), flat(call(theirs, *txs))
    assert len(ys) == len(tys)
    total, ttotal = 0, 0
    for i, (y, ty) in enumerate(zip(ys, tys)):
        close(y, ty, dtype, f"output {i}")
        g = array(y.shape, dtype, 10 + i)
        total, ttotal = total + (y * mg.tensor(g)).sum(), ttotal + (ty * torch.tensor(g)).sum()
    ps = [*xs, *(ours.parameters() if isinstance(ours, nn.Module) else ())]
    tps = [*txs, *(theirs.parameters() if isinstance(theirs, torch.nn.Module) else ())]
    again = order == 2
    grads = grad(total, ps, create_graph=again, materialize_grads=True)
    tgrads = torch.autograd.grad(ttotal, tps, create_graph=again, materialize_grads=True)
    for i, (a, b) in enumerate(zip(grads, tgrads, strict=True)):
        close(a, b, dtype, f"gradient {i}")
    if again:
        dot = sum((a * mg.tensor(array(a.shape, dtype, 30 + i))).sum() for i, a in enumerate(grads))
        tdot = sum((a * torch.tensor(array(a.shape, dtype, 30 + i))).sum() for i, a in enumerate(tgrads))
        second = grad(dot, ps, materialize_grads=True)
        for i, (a, b) in enumerate(zip(second, torch.autograd.grad(tdot, tps, materialize_grads=True), strict=True)):
            close(a, b, dtype, f"second gradient {i}")


# ---- scaled_dot_product_attention ------------------------------------------------------------------------------------
MASK = np.random.default_rng(0).random((3, 1, 5, 7)) < 0.6
MASK[..., 0] = True
ATTENTION = {
    "plain": ([(2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 6)], None, {}),
    "causal": ([(2, 3, 5, 4), (2, 3, 5, 4), (2, 3, 5, 4)], None, {"is_causal": True}),
    "causal-long": ([(2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 4)], None, {"is_causal": True, "scale": 0.3}),
    "causal-short": ([(2, 3, 7, 4), (2, 3, 5, 4), (2, 3, 5, 4)], None, {"is_causal": True}),
    "bool": ([(3, 2, 5, 4), (3, 2, 7, 4), (3, 2, 7, 4)], MASK, {}),
    "bool-2d": ([(3, 2, 5, 4), (3, 2, 7, 4), (3, 2, 7, 4)], MASK[0, 0], {}),
    "float": ([(3, 2, 5, 4), (3, 2, 7, 4), (3, 2, 7, 4)], MASK * 1.5, {}),
    "none-seen": ([(3, 2, 5, 4), (3, 2, 7, 4), (3, 2, 7, 4)], MASK & (np.arange(5) != 2)[:, None], {}),
    "grouped": ([(2, 6, 5, 4), (2, 2, 5, 4), (2, 2, 5, 4)], None, {"enable_gqa": True, "is_causal": True}),
    "one-head": ([(5, 4), (7, 4), (7, 4)], None, {}),
    "kernel": ([(2, 4, 40, 16), (2, 4, 40, 16), (2, 4, 40, 16)], None, {"is_causal": True}),
    "empty": ([(0, 3, 5, 4), (0, 3, 7, 4), (0, 3, 7, 4)], None, {}),
    "no-keys": ([(2, 3, 5, 4), (2, 3, 0, 4), (2, 3, 0, 4)], None, {}),
}


@DTYPES
@pytest.mark.parametrize("name", ATTENTION)
def test_scaled_dot_product_attention(name, dtype):
    shapes, mask, options = ATTENTION[name]
    if mask is not None and mask.dtype != bool:
        mask = mask.astype(dtype)
    call = lambda make, *xs: make[0](*xs, None if mask is None else make[1](mask), **options)
    ours, theirs = (NF.scaled_dot_product_attention, mg.tensor), (TF.scaled_dot_product_attention, torch.tensor)
    compare(ours, theirs, [array(s, dtype, i) for i, s in enumerate(shapes)], dtype, call)


@pytest.mark.parametrize("name", ["plain", "causal", "bool", "float", "none-seen", "grouped"])
def test_scaled_dot_product_attention_second_order(name):
    shapes, mask, options = ATTENTION[name]
    call = lambda make, *xs: make[0](*xs, None if mask is None else make[1](mask), **options)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):  # the others have no second derivative
        ours, theirs = (NF.scaled_dot_product_attention, mg.tensor), (TF.scaled_dot_product_attention, torch.tensor)
        compare(ours, theirs, [array(s, "float64", i) for i, s in enumerate(shapes)], "float64", call, order=2)


def test_float_mask_has_a_gradient():
    xs = [array((2, 5, 4), "float64", i) for i in range(3)] + [array((5, 5), "float64", 4)]
    compare(NF.scaled_dot_product_attention, TF.scaled_dot_product_attention, xs, "float64")


# ---- MultiheadAttention ----------------------------------------------------------------------------------------------
MODULES = {
    "plain": {},
    "batch-first": {"batch_first": True},
    "no-bias": {"bias": False},
    "bias-kv": {"add_bias_kv": True},
    "zero": {"add_zero_attn": True, "batch_first": True},
    "both": {"add_zero_attn": True, "add_bias_kv": True},
    "sizes": {"kdim": 5, "vdim": 7, "batch_first": True},
    "sizes-no-bias": {"kdim": 5, "bias": False, "add_bias_kv": True},
}
B, T, S, E, H = 3, 4, 6, 8, 2
PADDING = np.arange(S) >= np.array([6, 4, 3])[:, None]
LATER = np.triu(np.ones((T, S), bool), 1)
MASKS = {
    "none": (None, None),
    "padding": (PADDING, None),
    "mask": (None, LATER),
    "mask-3d": (None, np.repeat(LATER[None], B * H, 0)),
    "both": (PADDING, LATER),
    "float": (None, LATER * -0.7),
    "mixed": (PADDING, LATER * -0.7),
}


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("options", MODULES)
def test_multihead_attention(options, masks, need_weights, dtype="float64"):
    options = MODULES[options]
    ours, theirs = twins(lambda nn: nn.MultiheadAttention(E, H, **options), dtype)
    assert repr(ours) == repr(theirs).replace("NonDynamicallyQuantizable", "")
    sizes = (E, options.get("kdim", E), options.get("vdim", E))
    shapes = [(B, n, size) if options.get("batch_first") else (n, B, size) for n, size in zip((T, S, S), sizes)]
    padding, mask = MASKS[masks]

    def call(module, *xs):
        tensor = mg.tensor if module is ours else torch.tensor
        kinds = [None if m is None else tensor(m if m.dtype == bool else m.astype(dtype)) for m in (padding, mask)]
        return module(*xs, key_padding_mask=kinds[0], attn_mask=kinds[1], need_weights=need_weights)

    compare(ours, theirs, [array(s, dtype, i) for i, s in enumerate(shapes)], dtype, call)


@pytest.mark.parametrize("need_weights", [True, False])
def test_multi_head_attention_forward(need_weights):
    """The function, with key and value already mapped and cut into heads."""
    ours = [p for p in inspect.signature(NF.multi_head_attention_forward).parameters.values() if p.kind < 3]
    theirs = inspect.signature(TF.multi_head_attention_forward).parameters.values()
    assert [(p.name, p.default) for p in ours] == [(p.name, p.default) for p in theirs]
    shapes = [
        (T, B, E),
        (S, B, E),
        (S, B, E),
        (3 * E, E),
        (3 * E,),
        (E, E),
        (E,),
        (B * H, S, E // H),
        (B * H, S, E // H),
    ]

    def call(F, q, k, v, w, b, out, out_b, static_k, static_v):
        options = {"static_k": static_k, "static_v": static_v, "need_weights": need_weights}
        return F.multi_head_attention_forward(q, k, v, E, H, w, b, None, None, True, 0.0, out, out_b, **options)

    compare(NF, TF, [array(s, "float64", i) for i, s in enumerate(shapes)], "float64", call, order=1 + need_weights)
    with pytest.raises(ShapeError, match=r"static_k must be \(6, S, 4\)"):
        call(NF, *(mg.tensor(array(s, "float64")) for s in shapes[:7]), mg.ones(5, S, 4), None)


@DTYPES
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(6, 3, 8), (6, 8), (6, 0, 8)])
def test_self_attention(shape, training, dtype):
    ours, theirs = twins(lambda nn: nn.MultiheadAttention(E, H), dtype)
    ours.train(training)
    theirs.train(training)
    call = lambda m, x: m(x, x, x, average_attn_weights=False)
    compare(ours, theirs, [array(shape, dtype)], dtype, call)
    call = lambda m, x: m(x, x, x, need_weights=False)
    compare(ours, theirs, [array(shape, dtype)], dtype, call)


def test_shared_key_and_value():
    ours, theirs = twins(lambda nn: nn.MultiheadAttention(E, H, batch_first=True), "float64")
    xs = [array((B, T, E), "float64"), array((B, S, E), "float64", 2)]
    compare(ours, theirs, xs, "float64", lambda m, x, memory: m(x, memory, memory), order=2)


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("padded", [True, False])
def test_causal_hint(padded, need_weights):
    ours, theirs = twins(lambda nn: nn.MultiheadAttention(E, H, batch_first=True), "float64")
    mask, padding = np.triu(np.ones((S, S), bool), 1), PADDING if padded else None

    def call(m, x):
        tensor = mg.tensor if m is ours else torch.tensor
        kpm = None if padding is None else tensor(padding)
        return m(x, x, x, kpm, need_weights=need_weights, attn_mask=tensor(mask), is_causal=True)

    compare(ours, theirs, [array((B, S, E), "float64")], "float64", call)
    x = mg.tensor(array((B, S, E), "float64"))
    kpm = None if padding is None else mg.tensor(padding)
    hinted = ours(x, x, x, kpm, need_weights=need_weights, is_causal=True)  # without the mask too
    close(hinted[0], call(theirs, torch.tensor(x.numpy()))[0], "float64", "without attn_mask")


# ---- transformers ----------------------------------------------------------------------------------------------------
LAYERS = {
    "plain": {},
    "gelu": {"activation": "gelu", "batch_first": True, "layer_norm_eps": 1e-3},
    "norm-first": {"norm_first": True},
    "no-bias": {"bias": False, "norm_first": True},
}


def moduled(module, tensors):
    """The arrays as this library's tensors; None stays None."""
    tensor = mg.tensor if isinstance(module, nn.Module) else torch.tensor
    return [None if t is None else tensor(t) for t in tensors]


@DTYPES
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("options", LAYERS)
def test_encoder_layer(options, training, dtype):
    options = LAYERS[options]
    ours, theirs = twins(lambda nn: nn.TransformerEncoderLayer(E, H, 16, dropout=0.0, **options), dtype)
    assert repr(ours) == repr(theirs).replace("NonDynamicallyQuantizable", "")
    ours.train(training)
    theirs.train(training)
    x = array((B, S, E) if options.get("batch_first") else (S, B, E), dtype)
    later = np.triu(np.ones((S, S), bool), 1)
    for mask, padding in ((None, None), (later, None), (None, PADDING), (later, PADDING)):
        call = lambda m, x, masks=(mask, padding): m(x, *moduled(m, masks))
        compare(ours, theirs, [x], dtype, call)
    compare(ours, theirs, [x[0]], dtype)  # one sequence


@DTYPES
@pytest.mark.parametrize("options", LAYERS)
def test_decoder_layer(options, dtype):
    options = LAYERS[options]
    ours, theirs = twins(lambda nn: nn.TransformerDecoderLayer(E, H, 16, dropout=0.0, **options), dtype)
    assert repr(ours) == repr(theirs).replace("NonDynamicallyQuantizable", "")
    shapes = [(B, T, E), (B, S, E)] if options.get("batch_first") else [(T, B, E), (S, B, E)]
    later = np.triu(np.ones((T, T), bool), 1)
    for masks in ((None, None, None, None), (later, LATER, PADDING[:, :T], PADDING)):
        call = lambda m, x, memory, masks=masks: m(x, memory, *moduled(m, masks))
        compare(ours, theirs, [array(s, dtype, i) for i, s in enumerate(shapes)], dtype, call)


@pytest.mark.parametrize("kind", ["Encoder", "Decoder"])
def test_module_as_activation(kind):
    make = lambda nn: getattr(nn, f"Transformer{kind}Layer")(E, H, 16, 0.0, nn.SiLU())
    ours, theirs = twins(make, "float64")
    assert repr(ours) == repr(theirs).replace("NonDynamicallyQuantizable", "")
    xs = [array((T, B, E), "float64", i) for i in range(1 if kind == "Encoder" else 2)]
    compare(ours, theirs, xs, "float64")


def test_encoder():
    make = lambda nn: nn.TransformerEncoder(nn.TransformerEncoderLayer(E, H, 16, 0.0), 2, nn.LayerNorm(E))
    ours, theirs = twins(make, "float64")
    mask = nn.Transformer.generate_square_subsequent_mask(S, dtype="float64").numpy()
    call = lambda m, x: m(x, moduled(m, [mask])[0], moduled(m, [PADDING])[0])
    compare(ours, theirs, [array((S, B, E), "float64")], "float64", call)
    call = lambda m, x: m(x, moduled(m, [mask])[0], is_causal=True)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        compare(ours, theirs, [array((S, B, E), "float64")], "float64", call, order=2)


@DTYPES
@pytest.mark.parametrize("batch_first", [True, False])
def test_transformer(batch_first, dtype):
    make = lambda nn: nn.Transformer(E, H, 2, 2, 16, 0.0, batch_first=batch_first, norm_first=batch_first)
    ours, theirs = twins(make, dtype)
    xs = [array((B, S, E), dtype), array((B, T, E), dtype, 2)]
    if not batch_first:
        xs = [x.swapaxes(0, 1).copy() for x in xs]
    mask = nn.Transformer.generate_square_subsequent_mask(T, dtype=dtype)
    np.testing.assert_array_equal(mask.numpy(), torch.nn.Transformer.generate_square_subsequent_mask(T).numpy())
    compare(ours, theirs, xs, dtype)
    call = lambda m, src, tgt: m(src, tgt, tgt_mask=moduled(m, [mask.numpy()])[0], tgt_is_causal=True)
    compare(ours, theirs, xs, dtype, call)


def test_transformer_start():
    torch.manual_seed(0)
    same_start(lambda nn: nn.Transformer(32, 4, 1, 1, 64))
    same_start(lambda nn: nn.TransformerEncoderLayer(32, 4, 64))


# ---- recurrent layers ------------------------------------------------------------------------------------------------
RECURRENT = {
    "plain": {},
    "no-bias": {"bias": False},
    "layers": {"num_layers": 2, "dropout": 0.0, "batch_first": True},
    "both-ways": {"bidirectional": True},
    "all": {"num_layers": 2, "bidirectional": True, "batch_first": True, "dropout": 0.5},
    "relu": {"nonlinearity": "relu", "num_layers": 2},
    "projected": {"proj_size": 2, "num_layers": 2, "bidirectional": True},
}
KINDS = [
    (kind, name)
    for kind in ("RNN", "LSTM", "GRU")
    for name in RECURRENT
    if (name, kind) not in {("relu", "LSTM"), ("relu", "GRU"), ("projected", "RNN"), ("projected", "GRU")}
]


@DTYPES
@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("kind, name", KINDS)
def test_recurrent(kind, name, given, dtype):
    options = RECURRENT[name]
    ours, theirs = twins(lambda nn: getattr(nn, kind)(5, 4, **options), dtype)
    assert repr(ours) == repr(theirs)
    if options.get("dropout"):
        ours.eval()
        theirs.eval()
    n = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    sizes = ([options.get("proj_size", 4)] + [4] * (kind == "LSTM")) * given
    shape = (B, S, 5) if options.get("batch_first") else (S, B, 5)
    call = lambda m, x, *hx: m(x, *([hx if len(hx) == 2 else hx[0]] if hx else []))
    xs = [array(shape, dtype), *(array((n, B, size), dtype, i) for i, size in enumerate(sizes))]
    compare(ours, theirs, xs, dtype, call)
    xs = [array((S, 5), dtype), *(array((n, size), dtype, i) for i, size in enumerate(sizes))]
    compare(ours, theirs, xs, dtype, call)  # one sequence


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_recurrent_second_order(kind):
    ours, theirs = twins(lambda nn: getattr(nn, kind)(3, 2, 2, bidirectional=True), "float64")
    compare(ours, theirs, [array((3, 2, 3), "float64")], "float64", order=2)


@DTYPES
@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("shape", [(3,), ()])
@pytest.mark.parametrize("options", [{}, {"bias": False}, {"nonlinearity": "relu"}])
@pytest.mark.parametrize("kind", ["RNNCell", "LSTMCell", "GRUCell"])
def test_cell(kind, options, shape, given, dtype):
    if "nonlinearity" in options and kind != "RNNCell":
        pytest.skip("only RNNCell has a nonlinearity")
    ours, theirs = twins(lambda nn: getattr(nn, kind)(5, 4, **options), dtype)
    assert repr(ours) == repr(theirs)
    states = [array((*shape, 4), dtype, i) for i in range((1 + (kind == "LSTMCell")) * given)]
    call = lambda m, x, *hx: m(x, *([hx if len(hx) == 2 else hx[0]] if hx else []))
    compare(ours, theirs, [array((*shape, 5), dtype), *states], dtype, call)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_recurrent_start(kind):
    torch.manual_seed(0)
    same_start(lambda nn: getattr(nn, kind)(30, 40, 2, bidirectional=True))
    same_start(lambda nn: getattr(nn, f"{kind}Cell")(30, 40))


# ---- signatures and starts -------------------------------------------------------------------------------------------
NAMES = [
    "MultiheadAttention",
    "TransformerEncoderLayer",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerDecoder",
    "Transformer",
    "RNNCell",
    "LSTMCell",
    "GRUCell",
]


def options(function):
    """Names and defaults, without those that are keywords alone; a function as default counts by its name."""
    parameters = [p for p in inspect.signature(function).parameters.values() if p.kind is not p.KEYWORD_ONLY][1:]
    return [(p.name, getattr(p.default, "__name__", p.default)) for p in parameters]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ["__init__", "forward"])
def test_signature(name, method):
    theirs = options(getattr(getattr(torch.nn, name), method))
    if ("args", inspect.Parameter.empty) in theirs:
        pytest.skip("PyTorch's takes *args; the names are checked by use")
    assert options(getattr(getattr(nn, name), method)) == theirs


def same_start(make):
    """Deviation and bound of each parameter's start; or the same constant."""
    ours, theirs = make(nn), make(torch.nn)
    for (name, a), b in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        a, b = a.numpy().astype(float), b.numpy().astype(float)
        assert a.shape == b.shape, name
        if a.std() == 0 or b.std() == 0:
            np.testing.assert_array_equal(a, b, err_msg=name)
        elif a.size > 500:
            assert abs(a.std() - b.std()) < 0.1 * b.std(), name
            if "bias_" not in name or name.startswith(("bias_ih", "bias_hh")):  # uniform; bias_k and bias_v are normal
                assert abs(np.abs(a).max() - np.abs(b).max()) < 0.05 * np.abs(b).max(), name


@pytest.mark.parametrize("options", [{}, {"kdim": 20, "add_bias_kv": True}, {"bias": False}])
def test_attention_start(options):
    torch.manual_seed(0)
    same_start(lambda nn: nn.MultiheadAttention(600 if options.get("add_bias_kv") else 60, 4, **options))
