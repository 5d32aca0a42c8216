"""The models of models.py as functions of their parameters, in JAX: one jitted step with its optimizer.

The parameters are those of models.py by name, in one dictionary `w`; a part of a model reads its own by a prefix.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax, nn

from . import models


def linear(w: dict, name: str, x: Any) -> Any:
    y = x @ w[f"{name}.weight"].T
    return y + w[f"{name}.bias"] if f"{name}.bias" in w else y


def conv(w: dict, name: str, x: Any, stride: int = 1, padding: int = 0) -> Any:
    y = lax.conv_general_dilated(x, w[f"{name}.weight"], (stride, stride), [(padding, padding)] * 2)
    return y + w[f"{name}.bias"][:, None, None] if f"{name}.bias" in w else y


def max_pool(x: Any) -> Any:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


def standardized(x: Any, axis: Any) -> Any:
    return (x - x.mean(axis, keepdims=True)) * lax.rsqrt(x.var(axis, keepdims=True) + 1e-5)


def batch_norm(w: dict, name: str, x: Any) -> Any:
    scale, shift = (w[f"{name}.{part}"][:, None, None] for part in ("weight", "bias"))
    return standardized(x, (0, 2, 3)) * scale + shift


def layer_norm(w: dict, name: str, x: Any) -> Any:
    return standardized(x, -1) * w[f"{name}.weight"] + w[f"{name}.bias"]


def split_heads(x: Any, heads: int) -> Any:
    return x.reshape(*x.shape[:2], heads, -1)  # (B, T, H, D), what dot_product_attention takes


# ---- models --------------------------------------------------------------------------------------------------------
def chain(*layers: int) -> Callable:
    """Linear layers with these numbers in the Sequential, ReLU between."""

    def model(w: dict, x: Any) -> Any:
        for i in layers[:-1]:
            x = nn.relu(linear(w, str(i), x))
        return linear(w, str(layers[-1]), x)

    return model


def scalar(model: Callable) -> Callable:
    return lambda w, x: model(w, x)[:, 0]


def cnn(w: dict, x: Any) -> Any:
    x = max_pool(nn.relu(conv(w, "0", x)))
    x = max_pool(nn.relu(conv(w, "3", x)))
    x = nn.relu(conv(w, "6", x)).reshape(len(x), -1)
    return linear(w, "11", nn.relu(linear(w, "9", x)))


def resnet8(w: dict, x: Any) -> Any:
    x = nn.relu(batch_norm(w, "1", conv(w, "0", x, padding=1)))
    for i, stride in ((3, 1), (4, 2), (5, 2)):
        y = nn.relu(batch_norm(w, f"{i}.bn1", conv(w, f"{i}.conv1", x, stride, 1)))
        y = batch_norm(w, f"{i}.bn2", conv(w, f"{i}.conv2", y, padding=1))
        if stride > 1:
            x = batch_norm(w, f"{i}.shortcut.1", conv(w, f"{i}.shortcut.0", x, stride))
        x = nn.relu(y + x)
    return linear(w, "8", x.mean((2, 3)))


def transformer(w: dict, source: Any, target: Any) -> Any:
    def attention(name: str, x: Any, memory: Any) -> Any:
        weights, biases = jnp.split(w[f"{name}.in_proj_weight"], 3), jnp.split(w[f"{name}.in_proj_bias"], 3)
        q, k, v = (split_heads(s @ m.T + b, 8) for s, m, b in zip((x, memory, memory), weights, biases, strict=True))
        return linear(w, f"{name}.out_proj", nn.dot_product_attention(q, k, v).reshape(x.shape))

    def feedforward(name: str, x: Any) -> Any:
        return linear(w, f"{name}.linear2", nn.relu(linear(w, f"{name}.linear1", x)))

    x = layer_norm(w, "encoder.norm1", source + attention("encoder.self_attn", source, source))
    memory = layer_norm(w, "encoder.norm2", x + feedforward("encoder", x))
    x = layer_norm(w, "decoder.norm1", target + attention("decoder.self_attn", target, target))
    x = layer_norm(w, "decoder.norm2", x + attention("decoder.multihead_attn", x, memory))
    return layer_norm(w, "decoder.norm3", x + feedforward("decoder", x))


def gpt(w: dict, tokens: Any, places: Any) -> Any:
    x = w["tokens.weight"][tokens] + w["places.weight"][places]  # (B, T, C)
    for i in range(4):
        qkv = jnp.split(linear(w, f"blocks.{i}.qkv", layer_norm(w, f"blocks.{i}.ln1", x)), 3, axis=-1)
        y = nn.dot_product_attention(*(split_heads(t, 4) for t in qkv), is_causal=True)
        x = x + linear(w, f"blocks.{i}.proj", y.reshape(x.shape))
        h = nn.gelu(linear(w, f"blocks.{i}.fc", layer_norm(w, f"blocks.{i}.ln2", x)), approximate=False)
        x = x + linear(w, f"blocks.{i}.out", h)
    return linear(w, "head", layer_norm(w, "ln", x)).reshape(-1, 65)


def lstm(w: dict, x: Any) -> Any:
    inner, outer = w["lstm.weight_ih_l0"].T, w["lstm.weight_hh_l0"].T
    gates = x.swapaxes(0, 1) @ inner + w["lstm.bias_ih_l0"] + w["lstm.bias_hh_l0"]  # (T, B, 4 H)

    def cell(state: Any, gate: Any) -> Any:
        h, c = state
        i, f, g, o = jnp.split(gate + h @ outer, 4, axis=-1)
        c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
        return (nn.sigmoid(o) * jnp.tanh(c), c), None

    zeros = jnp.zeros((len(x), outer.shape[0]), x.dtype)
    (h, _), _ = lax.scan(cell, (zeros, zeros), gates)
    return linear(w, "head", h)


MODELS = {
    models.logistic: scalar(chain(0)),
    models.mlp_small: scalar(chain(0, 2, 4)),
    models.mlp: chain(0, 2),
    models.mlp_wide: chain(0, 2, 4),
    models.cnn: cnn,
    models.cnn_colour: cnn,
    models.resnet8: resnet8,
    models.transformer: transformer,
    models.gpt: gpt,
    models.lstm: lstm,
}


# ---- losses and optimizers ----------------------------------------------------------------------------------------
def cross_entropy(z: Any, t: Any) -> Any:
    return (nn.logsumexp(z, axis=1) - jnp.take_along_axis(z, t[:, None], 1)[:, 0]).mean()


LOSSES = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy_with_logits": lambda z, t: (nn.softplus(z) - z * t).mean(),
    "mse_loss": lambda y, t: ((y - t) ** 2).mean(),
}


def sgd(p: Any, g: Any, m: Any, v: Any, step: Any, lr: float, momentum: float = 0.0) -> tuple:
    m = momentum * m + g
    return p - lr * m, m, v


def adam(p: Any, g: Any, m: Any, v: Any, step: Any, lr: float, weight_decay: float = 0.0) -> tuple:
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    change = m / (1 - 0.9**step) / (jnp.sqrt(v / (1 - 0.999**step)) + 1e-8)
    return p * (1 - lr * weight_decay) - lr * change, m, v


UPDATES: dict[str, tuple[Callable, dict]] = {
    "sgd": (sgd, {}),
    "momentum": (sgd, {}),
    "adam": (adam, {}),
    "adamw": (adam, {"weight_decay": 0.01}),  # PyTorch's default
}


def step(
    row: Any, options: dict, start: dict[str, np.ndarray], inputs: tuple, targets: np.ndarray
) -> Callable[[], float]:
    """The whole step of a row of train.ROWS, with the optimizer's options, as one compiled function."""
    model, loss = MODELS[row.model], LOSSES[row.loss]
    update, more = UPDATES[row.optimizer]
    options = options | more

    def whole(w: dict, m: dict, v: dict, count: Any, inputs: tuple, target: Any) -> tuple:
        value, g = jax.value_and_grad(lambda w: loss(model(w, *inputs), target))(w)
        new = {k: update(w[k], g[k], m[k], v[k], count, **options) for k in w}
        return value, *({k: new[k][i] for k in w} for i in range(3))

    compiled = jax.jit(whole, donate_argnums=(0, 1, 2))
    w = {k: jnp.array(a) for k, a in start.items()}
    m, v = ({k: jnp.zeros_like(a) for k, a in w.items()} for _ in range(2))
    inputs, cycle = tuple(map(jnp.array, inputs)), itertools.cycle([jnp.array(t) for t in targets])
    counts = itertools.count(1)

    def run() -> float:
        nonlocal w, m, v
        value, w, m, v = compiled(w, m, v, jnp.float32(next(counts)), inputs, next(cycle))
        return float(value)

    return run
