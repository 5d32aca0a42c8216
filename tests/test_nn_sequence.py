"""Attention, transformers and recurrent layers against NumPy formulas, their errors, and small tasks they learn."""

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim
from minigrad.errors import ArgumentError, DTypeError, ShapeError
from minigrad.gradients import grad
from minigrad.testing import gradcheck

rng = np.random.default_rng(0)


def close(a, b, atol=1e-12):
    np.testing.assert_allclose(a.detach().numpy() if isinstance(a, mg.Tensor) else a, b, rtol=1e-9, atol=atol)


def normal(*shape):
    return rng.standard_normal(shape)


def attend(q, k, v, seen=None, scale=None):
    """One query after the other."""
    y = np.zeros((*q.shape[:-1], v.shape[-1]))
    for place in np.ndindex(*q.shape[:-1]):
        *head, i = place
        scores = k[tuple(head)] @ q[place] * (scale or q.shape[-1] ** -0.5)
        keys = np.flatnonzero(np.ones(len(scores)) if seen is None else seen[i])
        if len(keys):
            p = np.exp(scores[keys] - scores[keys].max())
            y[place] = p @ v[tuple(head)][keys] / p.sum()
    return y


# ---- attention -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("t, s", [(5, 5), (3, 6), (6, 3), (1, 1)])
def test_attention(t, s, backend):
    q, k, v = normal(2, 3, t, 4), normal(2, 3, s, 4), normal(2, 3, s, 5)
    tensors = [mg.tensor(x) for x in (q, k, v)]
    close(F.scaled_dot_product_attention(*tensors), attend(q, k, v))
    close(F.scaled_dot_product_attention(*tensors, is_causal=True, scale=0.3), attend(q, k, v, np.tri(t, s), 0.3))
    seen = rng.random((t, s)) < 0.4  # some queries see nothing
    close(F.scaled_dot_product_attention(*tensors, mg.tensor(seen)), attend(q, k, v, seen))
    close(F.scaled_dot_product_attention(*tensors, mg.tensor(np.where(seen, 0, -np.inf))), attend(q, k, v, seen))


@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"mask": True}, {"none_seen": True}])
def test_attention_gradients(options):
    seen = np.array([[1, 0, 1], [0, 1, 1], [0, 0, 0 if options.get("none_seen") else 1]], bool)
    mask = mg.tensor(seen) if "mask" in options or "none_seen" in options else None
    causal = options.get("is_causal", False)
    xs = [mg.tensor(normal(2, 3, 4), requires_grad=True) for _ in range(3)]
    assert gradcheck(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, mask, is_causal=causal), xs)
    # the composition that dropout uses has the same gradient as the fused primitive
    g = mg.tensor(normal(2, 3, 4))
    composed = F.attention_weights(xs[0], xs[1], mask, causal, None) @ xs[2]
    for a, b in zip(
        grad(composed, xs, g), grad(F.scaled_dot_product_attention(*xs, mask, is_causal=causal), xs, g), strict=True
    ):
        close(a, b.numpy())


def test_grouped_heads():
    q, k, v = normal(2, 6, 5, 4), normal(2, 3, 5, 4), normal(2, 3, 5, 4)
    y = F.scaled_dot_product_attention(*(mg.tensor(x) for x in (q, k, v)), enable_gqa=True)
    close(y, attend(q, k.repeat(2, axis=1), v.repeat(2, axis=1)))


def test_attention_dropout():
    x = mg.ones(1, 2, 200, 4)
    y = F.scaled_dot_product_attention(x, x, x, dropout_p=0.5).numpy()
    assert 0.9 < y.mean() < 1.1 and y.std() > 0.01
    assert not F.scaled_dot_product_attention(x, x, x, dropout_p=1.0).numpy().any()
    layer = nn.MultiheadAttention(4, 2, dropout=0.5, batch_first=True)
    one = mg.rand(1, 20, 4)
    for need_weights in (True, False):
        run = lambda need_weights=need_weights: layer(one, one, one, need_weights=need_weights)[0].numpy()
        layer.train()
        assert np.abs(run() - run()).max() > 1e-4
        layer.eval()
        np.testing.assert_array_equal(run(), run())


def test_multihead_attention(backend):
    layer = nn.MultiheadAttention(6, 2, batch_first=True).double()
    q, m = normal(2, 3, 6), normal(2, 4, 6)
    padding = np.array([[False, False, False, True], [False, True, False, False]])
    y, weights = layer(mg.tensor(q), mg.tensor(m), mg.tensor(m), mg.tensor(padding))
    w, b = layer.in_proj_weight.detach().numpy(), layer.in_proj_bias.detach().numpy()
    maps = [x @ w[i : i + 6].T + b[i : i + 6] for i, x in ((0, q), (6, m), (12, m))]
    for row in range(2):
        heads = [attend(*(x[row, :, c : c + 3] for x in maps), np.broadcast_to(~padding[row], (3, 4))) for c in (0, 3)]
        out = np.concatenate(heads, -1) @ layer.out_proj.weight.detach().numpy().T
        close(y[row], out + layer.out_proj.bias.detach().numpy())
        assert not weights.numpy()[row][:, padding[row]].any()
    close(weights.numpy().sum(axis=-1), np.ones((2, 3)))
    close(layer(mg.tensor(q), mg.tensor(m), mg.tensor(m), mg.tensor(padding), need_weights=False)[0], y.numpy())


@pytest.mark.parametrize("need_weights", [True, False])
def test_a_query_that_sees_no_key_gets_the_bias(need_weights):
    layer = nn.MultiheadAttention(4, 2)
    x = mg.rand(3, 1, 4, requires_grad=True)
    nothing = mg.tensor(np.ones((3, 3), bool))
    y, _ = layer(x, x, x, attn_mask=nothing, need_weights=need_weights)
    close(y.numpy(), np.broadcast_to(layer.out_proj.bias.detach().numpy(), (3, 1, 4)))
    y.sum().backward()
    assert not x.grad.numpy().any()


@pytest.mark.parametrize("options", [{"add_bias_kv": True}, {"add_zero_attn": True}])
def test_what_is_appended_is_seen_by_causal_queries(options):
    layer = nn.MultiheadAttention(4, 2, **options)
    x = mg.rand(3, 1, 4)
    _, weights = layer(x, x, x, is_causal=True)
    assert weights.shape == (1, 3, 4)
    np.testing.assert_array_equal(weights.numpy()[0] > 0, np.c_[np.tri(3), np.ones(3)] > 0)


def test_attention_errors():
    q, k = mg.ones(2, 3, 5, 4), mg.ones(2, 3, 7, 4)
    attention = F.scaled_dot_product_attention
    with pytest.raises(ShapeError, match="must agree in D and S"):
        attention(q, mg.ones(2, 3, 7, 3), k)
    with pytest.raises(ShapeError, match="must agree in D and S"):
        attention(q, k, mg.ones(2, 3, 6, 4))
    with pytest.raises(ShapeError, match=r"query must be \(\.\.\., length, size\)"):
        attention(mg.ones(4), k, k)
    with pytest.raises(ShapeError, match=r"must broadcast to the scores \(2, 3, 5, 7\)"):
        attention(q, k, k, mg.ones(7, 5))
    with pytest.raises(DTypeError, match="truth values"):
        attention(q, k, k, mg.ones(5, 7, dtype="int64"))
    with pytest.raises(ArgumentError, match="is_causal=True makes the mask"):
        attention(q, k, k, mg.ones(5, 7), is_causal=True)
    with pytest.raises(ArgumentError, match="dropout_p"):
        attention(q, k, k, dropout_p=1.5)
    with pytest.raises(ShapeError, match="divide the query's"):
        attention(q, mg.ones(2, 2, 7, 4), mg.ones(2, 2, 7, 4), enable_gqa=True)
    with pytest.raises(ShapeError, match="leading axes"):
        attention(q, mg.ones(2, 2, 7, 4), mg.ones(2, 2, 7, 4))


def test_multihead_attention_errors():
    with pytest.raises(ArgumentError, match="num_heads must divide embed_dim: 10 / 4 leaves 2"):
        nn.MultiheadAttention(10, 4)
    with pytest.raises(ArgumentError, match="num_heads must be an integer of at least 1"):
        nn.MultiheadAttention(10, 0)
    with pytest.raises(ArgumentError, match="dropout"):
        nn.MultiheadAttention(10, 2, dropout=2)
    layer, x = nn.MultiheadAttention(8, 2, batch_first=True), mg.ones(3, 5, 8)
    with pytest.raises(ShapeError, match=r"query must be \(B, T, 8\) or \(T, 8\)"):
        layer(mg.ones(3, 5, 7), x, x)
    with pytest.raises(ShapeError, match="value must be"):
        layer(x, x, mg.ones(3, 5, 7))
    with pytest.raises(ShapeError, match="as many axes as query"):
        layer(x, x[0], x[0])
    with pytest.raises(ShapeError, match="one batch size"):
        layer(x, mg.ones(2, 5, 8), mg.ones(2, 5, 8))
    with pytest.raises(ShapeError, match="one length"):
        layer(x, x, mg.ones(3, 6, 8))
    with pytest.raises(ShapeError, match=r"key_padding_mask must have shape \(3, 5\): got \(5, 3\)"):
        layer(x, x, x, mg.ones(5, 3))
    with pytest.raises(ShapeError, match=r"attn_mask must have shape \(5, 5\) or \(6, 5, 5\)"):
        layer(x, x, x, attn_mask=mg.ones(3, 5, 5))
    with pytest.raises(DTypeError, match="key_padding_mask must hold truth values"):
        layer(x, x, x, mg.ones(3, 5, dtype="int64"))
    model = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 16))
    with pytest.raises(ShapeError, match="src must be") as error:
        model(mg.ones(5, 3, 7))
    assert any("Sequential.0" in note for note in error.value.__notes__)


# ---- transformers ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("norm_first", [False, True])
def test_encoder_layer_is_its_formula(norm_first):
    layer = nn.TransformerEncoderLayer(6, 2, 8, 0.0, norm_first=norm_first).double()
    x = mg.tensor(normal(4, 2, 6))
    norm = lambda x: (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    attend_to = lambda x: layer.self_attn(mg.tensor(x), mg.tensor(x), mg.tensor(x))[0].detach().numpy()
    w1, b1, w2, b2 = (p.detach().numpy() for m in (layer.linear1, layer.linear2) for p in (m.weight, m.bias))
    forward = lambda x: np.maximum(x @ w1.T + b1, 0) @ w2.T + b2
    y = x.numpy()
    if norm_first:
        y = y + attend_to(norm(y))
        y = y + forward(norm(y))
    else:
        y = norm(y + attend_to(y))
        y = norm(y + forward(y))
    close(layer(x), y)


def test_decoder_sees_no_later_position():
    model = nn.Transformer(8, 2, 1, 1, 16, batch_first=True).eval()
    src, tgt = mg.rand(1, 3, 8), np.array(mg.rand(1, 5, 8).numpy())
    before = model(src, mg.tensor(tgt), tgt_is_causal=True).numpy()
    tgt[:, 3:] += 1
    after = model(src, mg.tensor(tgt), tgt_is_causal=True).numpy()
    np.testing.assert_allclose(before[:, :3], after[:, :3], atol=1e-6)
    assert np.abs(before[:, 3:] - after[:, 3:]).min() > 1e-4
    masked = model(src, mg.tensor(tgt), tgt_mask=nn.Transformer.generate_square_subsequent_mask(5)).numpy()
    np.testing.assert_allclose(masked, after, atol=1e-6)


def test_transformer_errors_and_edges():
    with pytest.raises(ArgumentError, match="'relu', 'gelu' or a function"):
        nn.TransformerEncoderLayer(8, 2, activation="swish")
    with pytest.raises(ArgumentError, match="num_heads must divide"):
        nn.Transformer(10, 4, 1, 1)
    with pytest.raises(ArgumentError, match="num_layers"):
        nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 8), 0)
    model = nn.Transformer(8, 2, 1, 1, 8)
    x = mg.ones(5, 3, 8)
    with pytest.raises(ShapeError, match=r"attn_mask must have shape \(5, 5\) or \(6, 5, 5\): got \(4, 4\)"):
        model(x, x, tgt_mask=mg.ones(4, 4))
    with pytest.raises(DTypeError, match="key_padding_mask must hold truth values"):
        model(x, x, src_key_padding_mask=mg.ones(3, 5, dtype="int64"))
    with pytest.raises(ShapeError, match="one batch size"):
        model(mg.ones(5, 3, 8), mg.ones(5, 2, 8))
    with pytest.raises(ShapeError, match="tgt must be"):
        model(mg.ones(5, 3, 8), mg.ones(5, 3, 7))
    assert model(mg.ones(5, 0, 8), mg.ones(4, 0, 8)).shape == (4, 0, 8)


def test_positions():
    p = nn.PositionalEncoding(6, 0.0, max_len=9, batch_first=True).double()
    t, i = np.arange(7)[:, None], np.arange(0, 6, 2)
    expected = np.zeros((7, 6))
    expected[:, 0::2], expected[:, 1::2] = np.sin(t / 10000 ** (i / 6)), np.cos(t / 10000 ** (i / 6))
    x = normal(2, 7, 6)
    np.testing.assert_allclose(p(mg.tensor(x)).numpy(), x + expected, atol=1e-6)
    p.batch_first = False
    np.testing.assert_allclose(p(mg.tensor(x.swapaxes(0, 1))).numpy(), (x + expected).swapaxes(0, 1), atol=1e-6)
    assert not p.state_dict()
    with pytest.raises(ShapeError, match="max_len is 9"):
        p(mg.ones(10, 1, 6))
    assert nn.PositionalEncoding(5)(mg.ones(3, 5)).shape == (3, 5)  # odd sizes too


@pytest.mark.parametrize("interleaved", [False, True])
def test_rotary_products_depend_on_distance_only(interleaved):
    rotary = nn.RotaryEmbedding(6, interleaved=interleaved)
    q, k = normal(1, 6), normal(1, 6)
    at = lambda x, t: rotary(mg.tensor(x), offset=t).numpy()[0]
    close(at(q, 3) @ at(k, 1), at(q, 12) @ at(k, 10))
    assert abs(at(q, 3) @ at(k, 1) - at(q, 3) @ at(k, 2)) > 1e-3
    z = normal(4, 6)  # as complex numbers: z e**(i angle)
    pairs = z[:, 0::2] + 1j * z[:, 1::2] if interleaved else z[:, :3] + 1j * z[:, 3:]
    turned = pairs * np.exp(1j * np.arange(4)[:, None] * 10000.0 ** (-np.arange(0, 6, 2) / 6))
    y = rotary(mg.tensor(z)).numpy()
    close(y[:, 0::2] + 1j * y[:, 1::2] if interleaved else y[:, :3] + 1j * y[:, 3:], turned)
    with pytest.raises(ArgumentError, match="even"):
        nn.RotaryEmbedding(5)
    with pytest.raises(ShapeError, match="RotaryEmbedding: x must be"):
        rotary(mg.ones(3, 5))


# ---- recurrent layers ------------------------------------------------------------------------------------------------
def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def step(kind, x, state, w_ih, w_hh, b_ih, b_hh):
    """One step in NumPy, for one sequence."""
    h = state[0]
    a, b = w_ih @ x + b_ih, w_hh @ h + b_hh
    if kind == "RNN":
        return (np.tanh(a + b),)
    if kind == "GRU":
        (ar, az, an), (br, bz, bn) = np.split(a, 3), np.split(b, 3)
        z = sigmoid(az + bz)
        return ((1 - z) * np.tanh(an + sigmoid(ar + br) * bn) + z * h,)
    i, f, g, o = np.split(a + b, 4)
    c = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def unrolled(kind, layer, x, end, states):
    """All steps of one layer and direction. x: (T, I)."""
    weights = [getattr(layer, f"{p}_{end}").detach().numpy() for p in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    outputs = []
    for row in x[::-1] if "reverse" in end else x:
        states = step(kind, row, states, *weights)
        outputs.append(states[0])
    return np.array(outputs[::-1] if "reverse" in end else outputs), states


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_recurrent_is_its_formula(kind, backend):
    layer = getattr(nn, kind)(3, 4, num_layers=2, bidirectional=True).double()
    x = normal(5, 2, 3)
    start = [normal(4, 2, 4) for _ in layer.names]
    hx = tuple(map(mg.tensor, start))
    y, last = layer(mg.tensor(x), hx if len(hx) > 1 else hx[0])
    last = last if isinstance(last, tuple) else (last,)
    for row in range(2):
        z, n = x[:, row], 0
        for depth in range(2):
            pieces = []
            for end in (f"l{depth}", f"l{depth}_reverse"):
                piece, states = unrolled(kind, layer, z, end, tuple(s[n, row] for s in start))
                pieces.append(piece)
                for ours, theirs in zip(last, states, strict=True):
                    close(ours[n, row], theirs)
                n += 1
            z = np.concatenate(pieces, -1)
        close(y[:, row], z)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_cell_is_one_step_of_the_layer(kind):
    layer, cell = getattr(nn, kind)(3, 4).double(), getattr(nn, f"{kind}Cell")(3, 4).double()
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in layer.state_dict().items()})
    x, state = mg.tensor(normal(6, 2, 3)), None
    for t in range(6):
        state = cell(x[t], state)
    for a, b in zip(*(s if isinstance(s, tuple) else (s,) for s in (layer(x)[1], state)), strict=True):
        close(a[0], b.detach().numpy())


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_recurrent_gradients(kind):
    layer = getattr(nn, kind)(2, 3).double()
    x = mg.tensor(normal(4, 2, 2), requires_grad=True)
    assert gradcheck(lambda x, *weights: layer(x)[0], [x, *layer.parameters()])


def test_a_sequence_in_two_parts():
    layer = nn.LSTM(3, 4, 2, batch_first=True)
    x = mg.rand(2, 7, 3)
    whole, (h, c) = layer(x)
    first, state = layer(x[:, :3])
    second, last = layer(x[:, 3:], state)
    np.testing.assert_allclose(whole.detach().numpy(), mg.concat(first, second, axis=1).detach().numpy(), atol=1e-6)
    for a, b in zip((h, c), last, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), atol=1e-6)


def test_recurrent_dropout():
    layer = nn.GRU(3, 4, 2, dropout=0.5)
    x = mg.rand(5, 2, 3)
    run = lambda: layer(x)[0].detach().numpy()
    assert np.abs(run() - run()).max() > 1e-4
    layer.eval()
    np.testing.assert_array_equal(run(), run())
    with pytest.warns(UserWarning, match="num_layers is 1"):
        nn.LSTM(3, 4, dropout=0.5)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_recurrent_empty_batch(kind):
    y, last = getattr(nn, kind)(3, 4)(mg.ones(5, 0, 3))
    assert y.shape == (5, 0, 4)
    assert (last if kind != "LSTM" else last[1]).shape == (1, 0, 4)


def test_recurrent_errors():
    with pytest.raises(ArgumentError, match="hidden_size must be an integer of at least 1"):
        nn.LSTM(3, 0)
    with pytest.raises(ArgumentError, match="proj_size must be from 0"):
        nn.LSTM(3, 4, proj_size=4)
    with pytest.raises(ArgumentError, match="'tanh' or 'relu'"):
        nn.RNN(3, 4, nonlinearity="gelu")
    with pytest.raises(ArgumentError, match="'tanh' or 'relu'"):
        nn.RNNCell(3, 4, nonlinearity="gelu")
    with pytest.raises(ArgumentError, match="dropout must be a probability"):
        nn.GRU(3, 4, 2, dropout=1.5)
    lstm, x = nn.LSTM(3, 4), mg.ones(5, 2, 3)
    with pytest.raises(ShapeError, match=r"LSTM: input must be \(T, B, 3\) or \(T, 3\): got shape \(5, 2, 4\)"):
        lstm(mg.ones(5, 2, 4))
    with pytest.raises(ShapeError, match="at least one step"):
        lstm(mg.ones(0, 2, 3))
    with pytest.raises(DTypeError, match=r"a pair of tensors \(h_0, c_0\)"):
        lstm(x, mg.zeros(1, 2, 4))
    with pytest.raises(ShapeError, match=r"c_0 must have shape \(1, 2, 4\)"):
        lstm(x, (mg.zeros(1, 2, 4), mg.zeros(1, 3, 4)))
    with pytest.raises(DTypeError, match="GRU: the state must be a tensor"):
        nn.GRU(3, 4)(x, (mg.zeros(1, 2, 4), mg.zeros(1, 2, 4)))
    with pytest.raises(ShapeError, match=r"input must be \(B, 3\) or \(3,\)"):
        nn.GRUCell(3, 4)(x)
    with pytest.raises(ShapeError, match=r"c must have shape \(2, 4\)"):
        nn.LSTMCell(3, 4)(x[0], (mg.zeros(2, 4), mg.zeros(1, 4)))


# ---- tasks -----------------------------------------------------------------------------------------------------------
class Reverser(nn.Module):
    """Tokens to the tokens in reverse order: every position must find another."""

    def __init__(self, tokens, size):
        super().__init__()
        self.embed, self.positions = nn.Embedding(tokens, size), nn.PositionalEncoding(size, 0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(size, 2, 2 * size, 0.0, batch_first=True, norm_first=True), 1
        )
        self.out = nn.Linear(size, tokens)

    def forward(self, x):
        return self.out(self.encoder(self.positions(self.embed(x))))


def trained(model, batch, loss_of, steps, lr):
    optimizer = optim.Adam(model.parameters(), lr=lr)
    for _ in range(steps):
        loss = loss_of(model, *batch())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def test_a_transformer_learns_to_reverse():
    generator = np.random.default_rng(0)
    model = Reverser(5, 16)

    def batch():
        x = generator.integers(0, 5, (32, 4))
        return mg.tensor(x), mg.tensor(x[:, ::-1].copy())

    loss_of = lambda model, x, t: F.cross_entropy(model(x).swapaxes(1, 2), t)
    assert trained(model, batch, loss_of, 150, 1e-2) < 0.1
    x, t = batch()
    assert (model.eval()(x).numpy().argmax(-1) == t.numpy()).mean() > 0.98


class Recall(nn.Module):
    """The first number of a sequence, from its end."""

    def __init__(self, kind):
        super().__init__()
        self.layer, self.out = getattr(nn, kind)(1, 8, batch_first=True), nn.Linear(8, 1)

    def forward(self, x):
        return self.out(self.layer(x)[0][:, -1])[:, 0]


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_a_recurrent_layer_learns_to_remember(kind):
    generator = np.random.default_rng(0)

    def batch():
        x = generator.choice([-1.0, 1.0], (32, 5, 1)).astype("float32")
        return mg.tensor(x), mg.tensor(x[:, 0, 0])

    assert trained(Recall(kind), batch, lambda model, x, t: F.mse_loss(model(x), t), 120, 2e-2) < 0.05


@pytest.mark.parametrize("make", ["LSTM", "GRU", "RNN", "transformer"])
def test_training_stays_on_the_device(make):
    """Forward, backward and update on a backend that refuses every silent way to the host."""
    with mg.use_backend("strict"):
        if make == "transformer":
            model = nn.TransformerEncoderLayer(8, 2, 16, 0.1, "gelu", batch_first=True)
            call = lambda x: model(x, src_key_padding_mask=padding, is_causal=True)
        else:
            model = getattr(nn, make)(8, 8, 2, batch_first=True, dropout=0.1)
            call = lambda x: model(x)[0]
        x, t = mg.randn(3, 5, 8), mg.randn(3, 5, 8)
        padding = mg.tensor(np.arange(5) >= np.array([5, 4, 2])[:, None])
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        losses = []
        for _ in range(4):
            loss = F.mse_loss(call(x), t)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < losses[0]


# ---- summary ---------------------------------------------------------------------------------------------------------
def test_summary():
    model = nn.Sequential(nn.Conv2d(1, 4, 3, groups=1), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(64, 10))
    model[1].eval()
    model[3].bias.requires_grad = False
    s = nn.summary(model, (2, 1, 6, 6))
    assert [r.shape for r in s.rows] == [(2, 4, 4, 4), (2, 4, 4, 4), (2, 64), (2, 10), (2, 10)]
    assert [r.parameters for r in s.rows] == [40, 8, 0, 650, 0]
    assert [r.multiply_adds for r in s.rows] == [2 * 4 * 16 * 9, 0, 0, 2 * 640, 0]
    assert (s.total_parameters, s.trainable_parameters) == (698, 688)
    assert "698 parameters, 688 of them trainable; 2,432 multiply-adds" in repr(s)
    assert model.training and not model[1].training  # as before
    assert model(mg.ones(2, 1, 6, 6)).shape == (2, 10) and len(s.rows) == 5  # the hooks are gone


def test_summary_counts_products():
    count = lambda model, *shapes, **options: nn.summary(model, *shapes, **options).multiply_adds
    assert count(nn.ConvTranspose2d(2, 4, 3, stride=2), (1, 2, 5, 5)) == 2 * 25 * 4 * 9
    assert count(nn.Conv1d(4, 4, 3, groups=2), (4, 7)) == 4 * 5 * 2 * 3
    assert count(nn.LSTM(3, 4), (5, 2, 3)) == 5 * 2 * 16 * (3 + 4)
    assert count(nn.MultiheadAttention(8, 2), (4, 3, 8), (6, 3, 8), (6, 3, 8)) == (
        3 * (4 + 6 + 6 + 4) * 64 + 2 * 3 * 4 * 6 * 8
    )
    assert count(nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 2)), (3, 5), dtype="int64") == 3 * 5 * 8
    shared = nn.Linear(4, 4)
    assert count(nn.Sequential(shared, shared), (1, 4)) == 32
    with pytest.raises(ArgumentError, match="shapes such as"):
        nn.summary(shared, 4)
    with pytest.raises(ArgumentError, match="must be a Module"):
        nn.summary(F.relu, (4,))
