"""Keys and values of earlier positions, so that a model that writes a text computes each position once."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from ..errors import GradError, ShapeError
from ..tensor import Tensor, wrap


class LayerCache:
    """Keys and values of one attention layer, (B, H, S, D) each, None before the first; length: S.

    fixed: they are those of another sequence, which stay as the first call made them.
    """

    def __init__(self, fixed: bool = False) -> None:
        self.length, self.fixed = 0, fixed
        self._stored: tuple[Any, Any] | None = None  # arrays, longer than S where they have grown

    @property
    def keys(self) -> Tensor | None:
        return None if self._stored is None else wrap(self._stored[0][:, :, : self.length])

    @property
    def values(self) -> Tensor | None:
        return None if self._stored is None else wrap(self._stored[1][:, :, : self.length])

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """key, value: (B, H, T, D), of T new positions -> those of all positions, (B, H, S + T, D)."""
        if key.requires_grad or value.requires_grad:
            raise GradError("KeyValueCache: it keeps no graph. Call the model inside `with mg.no_grad():`.")
        arrays = key.array, value.array
        n, t = self.length, key.shape[2]
        if self._stored is None:
            self._stored = arrays
        else:
            if any(_but_length(a) != _but_length(b) for a, b in zip(self._stored, arrays)):
                raise ShapeError(
                    f"KeyValueCache: batch, heads and size must stay as they were, {_but_length(self._stored[0])}: got "
                    f"{_but_length(arrays[0])}. A new sequence needs a new cache."
                )
            if n + t > self._stored[0].shape[2]:  # twice the room: a sequence of S is copied once, taken together
                keys, values = self._stored
                self._stored = _grown(key.backend.xp, keys, n, t), _grown(key.backend.xp, values, n, t)
            for stored, new in zip(self._stored, arrays):
                stored[:, :, n : n + t] = new
        self.length = n + t
        keys, values = self._stored
        return wrap(keys[:, :, : n + t]), wrap(values[:, :, : n + t])

    def select(self, rows: Any) -> None:
        """Go on with these rows of the batch, in this order; one may come more than once. rows: (R,) integers."""
        if self.keys is not None and self.values is not None:
            xp = self.keys.backend.xp
            self._stored = tuple(xp.take(a.array, xp.asarray(rows), axis=0) for a in (self.keys, self.values))


def _but_length(x: Any) -> tuple[int, ...]:
    return (*x.shape[:2], *x.shape[3:])


def _grown(xp: Any, stored: Any, n: int, t: int) -> Any:
    b, h, _, d = stored.shape
    grown = xp.empty((b, h, 2 * (n + t), d), dtype=stored.dtype)
    grown[:, :, :n] = stored[:, :, :n]
    return grown


class KeyValueCache:
    """The keys and values of all attention layers of a model, for generation: each call sees all positions of the calls
    before, as if it had been given them again.

    Hand one to MultiheadAttention, to the transformer layers and stacks, or through your own model to them, and give
    each call the new positions alone. Masks count all positions: (T, S) and (B, S) with S = length + T. length: the
    positions so far, which is the offset of PositionalEncoding and RotaryEmbedding. Needs mg.no_grad(). An attention
    layer of your own calls ``keys, values = cache.of(self).append(k, v)``. Attention to another sequence, an encoder's
    memory, takes ``cache.memory``: it keeps the keys and values of the first call (a decoder layer does so itself).

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> layer, x = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True), mg.ones(1, 5, 8)
    >>> cache = nn.KeyValueCache()
    >>> with mg.no_grad():
    ...     pieces = [layer(x[:, :3], is_causal=True, cache=cache), layer(x[:, 3:], is_causal=True, cache=cache)]
    >>> difference = mg.concat(*pieces, axis=1) - layer(x, is_causal=True)
    >>> cache.length, bool((difference.abs() < 1e-5).all())
    (5, True)
    """

    def __init__(self, fixed: bool = False) -> None:
        self.fixed = fixed
        self._layers: dict[Any, LayerCache] = {}

    def of(self, layer: Any) -> LayerCache:
        """The part of one attention layer, which the layer itself stands for."""
        return self._layers.setdefault(layer, LayerCache(self.fixed))

    @cached_property
    def memory(self) -> KeyValueCache:
        """The part of attention to other sequences, whose keys and values stay."""
        return KeyValueCache(fixed=True)

    def select(self, rows: Any) -> None:
        """Go on with these rows of the batch, in this order, as beam search does. rows: (R,) integers, also repeated.

        The memory's part follows, so the masks of the next call must be those of the same rows.
        """
        for layer in self._layers.values():
            layer.select(rows)
        if "memory" in vars(self):
            self.memory.select(rows)

    @property
    def length(self) -> int:
        """The positions that the first layer has seen; the others follow within a call."""
        return next((layer.length for layer in self._layers.values()), 0)
