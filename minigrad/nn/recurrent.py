"""Recurrent networks: a cell is one step in time, a layer runs it over a sequence.

Letters: T steps, B batch, I input_size, H hidden_size, P what a step hands on (H, or proj_size), G gates (1 for RNN,
4 for LSTM, 3 for GRU), L layers, N directions (1 or 2). Weights hold their gates one below the other: (G H, I).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import numpy as np

from ..errors import ArgumentError, DTypeError, ShapeError
from ..tensor import F as ops
from ..tensor import Tensor, wrap
from . import functional as F
from . import init
from .linear import positive
from .module import Module, made
from .utils.rnn import PackedSequence, checked, on_device, places

State = tuple[Tensor, ...]  # (h,) or (h, c): (B, P) and (B, H)

# ---- one step --------------------------------------------------------------------------------------------------------
# x is the input's part W_ih x + b_ih of the gates, (B, G H); weight and bias are the state's, W_hh and b_hh.


def _rnn_step(x: Tensor, state: State, weight: Tensor, bias: Any, activation: Any) -> State:
    return (activation(x + ops.linear(state[0], weight, bias)),)


def _lstm_step(x: Tensor, state: State, weight: Tensor, bias: Any) -> State:
    h, c = state
    return ops.lstm_gates(x, ops.linear(h, weight, bias), c)  # (B, H) each


def _gru_step(x: Tensor, state: State, weight: Tensor, bias: Any) -> State:
    (h,) = state
    return (ops.gru_gates(x, ops.linear(h, weight, bias), h),)


def _nonlinearity(who: str, name: str) -> Any:
    if name not in ("tanh", "relu"):
        raise ArgumentError(f"{who}: nonlinearity must be 'tanh' or 'relu': got {name!r}.")
    return {"tanh": ops.tanh, "relu": ops.relu}[name]


def _zeros(x: Tensor, *shape: int) -> Tensor:
    return wrap(x.backend.xp.zeros(shape, dtype=x.dtype))


def _states(who: str, hx: Any, names: tuple[str, ...]) -> State:
    """What the caller gave as hx, as a tuple: a tensor for h alone, a pair for h and c."""
    given = (hx,) if isinstance(hx, Tensor) else hx
    if (
        not isinstance(given, (tuple, list))
        or len(given) != len(names)
        or not all(isinstance(s, Tensor) for s in given)
    ):
        what = "a tensor" if len(names) == 1 else f"a pair of tensors ({', '.join(names)})"
        raise DTypeError(f"{who}: the state must be {what}: got {type(hx).__name__}.")
    return tuple(given)


# ---- cells -----------------------------------------------------------------------------------------------------------


class _Cell(Module):
    gates: ClassVar[int]
    names: ClassVar[tuple[str, ...]] = ("h",)

    def __init__(self, input_size: int, hidden_size: int, bias: bool, device: Any, dtype: Any):
        super().__init__()
        positive(type(self).__name__, input_size=input_size, hidden_size=hidden_size)
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = self.gates * hidden_size
        self.weight_ih = made((rows, input_size), device, dtype)
        self.weight_hh = made((rows, hidden_size), device, dtype)
        self.bias_ih = made((rows,), device, dtype) if bias else None
        self.bias_hh = made((rows,), device, dtype) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = 1 / math.sqrt(self.hidden_size)
        for p in self.parameters():
            init.uniform_(p, -bound, bound)

    def _step(self, x: Tensor, state: State) -> State:
        raise NotImplementedError(f"{type(self).__name__}: write its _step, one time step of the recurrence.")

    def _run(self, x: Tensor, hx: Any) -> State:
        """One step; input and state may lack the batch axis."""
        who = type(self).__name__
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            raise ShapeError(
                f"{who}: input must be (B, {self.input_size}) or ({self.input_size},): got shape {x.shape}."
            )
        wanted = (*x.shape[:-1], self.hidden_size)
        state = (_zeros(x, *wanted),) * len(self.names) if hx is None else _states(who, hx, self.names)
        for name, s in zip(self.names, state):
            if s.shape != wanted:
                raise ShapeError(f"{who}: {name} must have shape {wanted} for input {x.shape}: got {s.shape}.")
        if x.ndim == 1:
            x, state = ops.expand_dims(x, axis=0), tuple(ops.expand_dims(s, axis=0) for s in state)
        state = self._step(ops.linear(x, self.weight_ih, self.bias_ih), state)
        return tuple(s[0] for s in state) if len(wanted) == 1 else state

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(_Cell):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu. Elman 1990, Cognitive Science 14(2).

    x: (B, I) or (I,); h, h': (B, H) or (H,), zeros if not given. Starts uniform on +-1 / sqrt(H).

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.RNNCell(10, 20)(mg.ones(3, 10)).shape
    (3, 20)
    """

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ):
        _nonlinearity("RNNCell", nonlinearity)
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity

    def _step(self, x: Tensor, state: State) -> State:
        return _rnn_step(x, state, self.weight_hh, self.bias_hh, _nonlinearity("RNNCell", self.nonlinearity))

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._run(input, hx)[0]

    def extra_repr(self) -> str:
        return super().extra_repr() + (f", nonlinearity={self.nonlinearity}" if self.nonlinearity != "tanh" else "")


class LSTMCell(_Cell):
    """c' = s(f) c + s(i) tanh(g), h' = s(o) tanh(c'), with (i, f, g, o) = W_ih x + b_ih + W_hh h + b_hh, s the sigmoid.

    x: (B, I) or (I,); hx = (h, c), zeros if not given; returns (h', c'), each (B, H) or (H,).
    Hochreiter and Schmidhuber 1997, Neural Computation 9(8); forget gate: Gers et al. 2000.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> h, c = nn.LSTMCell(10, 20)(mg.ones(3, 10))
    >>> h.shape, c.shape
    ((3, 20), (3, 20))
    """

    gates = 4
    names = ("h", "c")

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None):
        super().__init__(input_size, hidden_size, bias, device, dtype)

    def _step(self, x: Tensor, state: State) -> State:
        return _lstm_step(x, state, self.weight_hh, self.bias_hh)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        h, c = self._run(input, hx)
        return h, c


class GRUCell(_Cell):
    """h' = (1 - z) n + z h, n = tanh(W_in x + b_in + r (W_hn h + b_hn)), r and z = s(W_i x + b_i + W_h h + b_h) of
    their rows, s the sigmoid. As in PyTorch r multiplies behind the product with W_hn.

    x: (B, I) or (I,); h, h': (B, H) or (H,), zeros if not given. Cho et al. 2014, arXiv:1406.1078.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.GRUCell(10, 20)(mg.ones(3, 10)).shape
    (3, 20)
    """

    gates = 3

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None):
        super().__init__(input_size, hidden_size, bias, device, dtype)

    def _step(self, x: Tensor, state: State) -> State:
        return _gru_step(x, state, self.weight_hh, self.bias_hh)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._run(input, hx)[0]


# ---- layers ----------------------------------------------------------------------------------------------------------

_SHUT = 1e20  # what s() maps to 0 or 1 whatever is added to it
_TILE = 8  # sequences that take a step in about the time of one


class _Recurrent(Module):
    gates: ClassVar[int]
    names: ClassVar[tuple[str, ...]] = ("h_0",)
    weight_ih_l0: Tensor

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        who = type(self).__name__
        positive(who, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        for name, value in (("bias", bias), ("batch_first", batch_first), ("bidirectional", bidirectional)):
            if not isinstance(value, bool):
                raise ArgumentError(f"{who}: {name} must be True or False: got {value!r}.")
        if isinstance(dropout, bool) or not 0 <= dropout <= 1:
            raise ArgumentError(f"{who}: dropout must be a probability, from 0 to 1: got {dropout!r}.")
        if proj_size and "c_0" not in self.names:
            raise ArgumentError(f"{who}: proj_size is for LSTM alone: got {proj_size}.")
        if not 0 <= proj_size < hidden_size:
            raise ArgumentError(f"{who}: proj_size must be from 0 (none) to hidden_size - 1: got {proj_size}.")
        if dropout and num_layers == 1:
            warnings.warn(f"{who}: dropout acts between layers, and num_layers is 1: it has no effect.", stacklevel=3)
        self.input_size, self.hidden_size, self.num_layers, self.bias = input_size, hidden_size, num_layers, bias
        self.batch_first, self.dropout, self.bidirectional = batch_first, float(dropout), bidirectional
        self.proj_size = proj_size
        rows, handed = self.gates * hidden_size, proj_size or hidden_size
        for layer in range(num_layers):
            width = input_size if layer == 0 else handed * (1 + bidirectional)
            for end in ("", "_reverse")[: 1 + bidirectional]:
                setattr(self, f"weight_ih_l{layer}{end}", made((rows, width), device, dtype))
                setattr(self, f"weight_hh_l{layer}{end}", made((rows, handed), device, dtype))
                if bias:
                    setattr(self, f"bias_ih_l{layer}{end}", made((rows,), device, dtype))
                    setattr(self, f"bias_hh_l{layer}{end}", made((rows,), device, dtype))
                if proj_size:
                    setattr(self, f"weight_hr_l{layer}{end}", made((proj_size, hidden_size), device, dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = 1 / math.sqrt(self.hidden_size)
        for p in self.parameters():
            init.uniform_(p, -bound, bound)

    @property
    def all_weights(self) -> list[list[Any]]:
        """The parameters of each layer and direction."""
        ends = [name.removeprefix("weight_ih_") for name in self.__dict__ if name.startswith("weight_ih_")]
        starts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
        return [[self.__dict__[f"{s}_{end}"] for s in starts if f"{s}_{end}" in self.__dict__] for end in ends]

    def flatten_parameters(self) -> None:
        """Nothing: PyTorch's call to rearrange memory for its GPU kernels."""

    def _parameters_of(self, end: str) -> tuple[Any, ...]:
        """weight_ih, weight_hh, bias_ih and bias_hh of this layer and direction; None where there is no bias."""
        return tuple(self.__dict__.get(f"{name}_{end}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))

    def _over_time(
        self, x: Tensor, state: State, end: str, reverse: bool, held: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """One layer in one direction: the outputs (T, B, P) and the last state. x: (T, B, ...); held: (T, B, 1), 1 at
        steps behind the end of a sequence, which must not change the last c."""
        raise NotImplementedError(f"{type(self).__name__}: write its _over_time, one layer over all steps.")

    def _run(self, x: Any, hx: Any) -> tuple[Any, State]:
        """The outputs and the last states, (L N, B, P) and (L N, B, H)."""
        if isinstance(x, PackedSequence):
            return self._run_packed(x, hx)
        who = type(self).__name__
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            batched = f"(B, T, {self.input_size})" if self.batch_first else f"(T, B, {self.input_size})"
            raise ShapeError(f"{who}: input must be {batched} or (T, {self.input_size}): got shape {x.shape}.")
        single = x.ndim == 2
        time_first = single or not self.batch_first
        given = x.shape
        x = ops.expand_dims(x, axis=1) if single else x if time_first else x.swapaxes(0, 1)  # (T, B, I)
        if not x.shape[0]:
            raise ShapeError(f"{who}: needs at least one step: got an input of shape {given}.")

        def one(x: Tensor, state: State, end: str) -> tuple[Tensor, State]:
            return self._over_time(x, state, end, end.endswith("_reverse"))

        y, final = self._layers(x, self._start(x, x.shape[1], hx, single), one)
        if single:
            return y[:, 0], tuple(s[:, 0] for s in final)
        return y if time_first else y.swapaxes(0, 1), final

    def _layers(self, x: Tensor, start: State, one: Callable[..., tuple[Tensor, State]]) -> tuple[Tensor, State]:
        """All layers. one: (x, state, which) -> the outputs (..., P) of one layer and direction, and its last state."""
        ends: list[State] = []
        for layer in range(self.num_layers):
            outputs = []
            for end in (f"l{layer}", f"l{layer}_reverse")[: 1 + self.bidirectional]:
                y, last = one(x, tuple(s[len(ends)] for s in start), end)
                outputs.append(y)
                ends.append(last)
            x = ops.concat(*outputs, axis=-1) if self.bidirectional else outputs[0]  # (..., N P)
            if layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, self.training)
        return x, tuple(ops.stack(*states, axis=0) for states in zip(*ends))

    def _run_packed(self, packed: PackedSequence, hx: Any) -> tuple[PackedSequence, State]:
        who = type(self).__name__
        x, sizes = checked(who, packed)
        if x.ndim != 2 or x.shape[1] != self.input_size:
            raise ShapeError(f"{who}: packed data must be (N, {self.input_size}): got shape {x.shape}.")
        start = self._start(x, int(sizes[0]), hx, False)
        if hx is not None and packed.sorted_indices is not None:
            start = tuple(s[:, packed.sorted_indices] for s in start)
        y, final = self._layers(x, start, self._packed_layer(x, sizes))
        if packed.unsorted_indices is not None:
            final = tuple(s[:, packed.unsorted_indices] for s in final)
        return packed._replace(data=y), final

    def _packed_layer(self, like: Tensor, sizes: np.ndarray) -> Callable[..., tuple[Tensor, State]]:
        """One layer and direction over packed rows (N, ...), as runs of steps that are padded to one batch size each.

        A run ends where half of its sequences have: at most half of the work is on padding, in few calls of the
        sequence primitive. Backwards, each sequence is turned within its own length and walked forwards.
        """
        first, step, row = places(sizes)
        lengths = np.bincount(row)  # (B,)
        index = partial(on_device, like)
        turned = index(first[lengths[row] - 1 - step] + row)  # (N,); its own inverse
        ends = index(first[lengths - 1] + np.arange(len(lengths)))  # (B,)
        runs, t = [], 0
        while t < len(sizes):
            b = int(sizes[t])
            stop = int(np.searchsorted(-sizes, -(b // 2))) if b > _TILE else len(sizes)
            times = np.arange(t, stop)[:, None]  # (t, 1)
            padding = times >= lengths[:b]  # (t, b)
            rows = first[np.minimum(times, lengths[:b] - 1)] + np.arange(b)  # padding repeats a sequence's last row
            held = index(padding[:, :, None].astype(like.dtype)) if padding.any() else None
            seen = index(np.flatnonzero(~padding)) if padding.any() else None
            runs.append((b, index(rows), held, seen))
            t = stop

        def one(x: Tensor, state: State, end: str) -> tuple[Tensor, State]:
            outputs: list[Tensor] = []
            cells: list[State] = []  # of the sequences that end in each run, the last run first
            x = x[turned] if end.endswith("_reverse") else x
            for i, (b, rows, held, seen) in enumerate(runs):
                y, state = self._over_time(x[rows], tuple(s[:b] for s in state), end, False, held)  # (t, b, P)
                y = ops.reshape(y, (-1, y.shape[2]))
                outputs.append(y if seen is None else y[seen])
                following = runs[i + 1][0] if i + 1 < len(runs) else 0
                cells.insert(0, tuple(s[following:] for s in state[1:]))
            y = ops.concat(*outputs, axis=0) if len(runs) > 1 else outputs[0]  # (N, P)
            last = (y[ends], *(ops.concat(*c, axis=0) for c in zip(*cells)))
            return y[turned] if end.endswith("_reverse") else y, last

        return one

    def _start(self, x: Tensor, b: int, hx: Any, single: bool) -> State:
        """The first states, (L N, B, P) and (L N, B, H); zeros if the caller gave none."""
        who, n = type(self).__name__, self.num_layers * (1 + self.bidirectional)
        weights = self.weight_ih_l0.dtype
        if x.dtype != weights:
            raise DTypeError(
                f"{who}: input must have the weights' dtype, {weights}: got {x.dtype}. Use x.to({weights})."
            )
        sizes = (self.proj_size or self.hidden_size, self.hidden_size)[: len(self.names)]
        if hx is None:
            return tuple(_zeros(x, n, b, size) for size in sizes)
        state = _states(who, hx, self.names)
        for name, s, size in zip(self.names, state, sizes):
            wanted = (n, size) if single else (n, b, size)
            if s.shape != wanted:
                raise ShapeError(
                    f"{who}: {name} must have shape {wanted}, (layers times directions, "
                    f"{'' if single else 'batch, '}size): got {s.shape}."
                )
        return tuple(ops.expand_dims(s, axis=1) for s in state) if single else state

    def extra_repr(self) -> str:
        shown = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0}
        shown |= {"bidirectional": False}
        options = [f"{k}={getattr(self, k)}" for k, default in shown.items() if getattr(self, k) != default]
        return ", ".join([f"{self.input_size}, {self.hidden_size}", *options])


class RNN(_Recurrent):
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh), or relu; layer l + 1 reads the h_t of layer l.

    input: (T, B, I), with batch_first (B, T, I), or (T, I), or a PackedSequence of such (nn.utils.rnn), whose outputs
    are packed too; h_0: (L N, B, H) or (L N, H), zeros if not given. Returns the outputs (T, B, N H) of the last layer,
    both directions side by side, and the last states h_n: (L N, B, H). Options behind nonlinearity: those of LSTM but
    proj_size. dropout acts between layers. Starts uniform on +-1 / sqrt(H). Elman 1990, Cognitive Science 14(2).

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> y, h = nn.RNN(10, 20, num_layers=2)(mg.ones(5, 3, 10))
    >>> y.shape, h.shape
    ((5, 3, 20), (2, 3, 20))
    """

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        *options: Any,
        **named: Any,
    ):
        _nonlinearity("RNN", nonlinearity)
        super().__init__(input_size, hidden_size, num_layers, *options, **named)
        self.nonlinearity = nonlinearity

    def _over_time(
        self, x: Tensor, state: State, end: str, reverse: bool, held: Tensor | None = None
    ) -> tuple[Tensor, State]:
        _nonlinearity("RNN", self.nonlinearity)
        y = ops.rnn_sequence(
            x,
            *state,
            *self._parameters_of(end),
            relu=self.nonlinearity == "relu",
            reverse=reverse,
            input_gradient=x.requires_grad,
        )
        return y, (y[0 if reverse else -1],)

    def forward(self, input: Tensor | PackedSequence, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        y, (h,) = self._run(input, hx)
        return y, h


class LSTM(_Recurrent):
    """LSTMCell over a sequence; layer l + 1 reads the h_t of layer l.

    input: (T, B, I), with batch_first (B, T, I), or (T, I), or a PackedSequence of such (nn.utils.rnn), whose outputs
    are packed too; hx = (h_0, c_0): (L N, B, P) and (L N, B, H), zeros if not given. Returns the outputs (T, B, N P) of
    the last layer and (h_n, c_n). proj_size > 0: h is mapped to P = proj_size features by W_hr (Sak et al. 2014,
    arXiv:1402.1128), else P = H. dropout acts between layers. Starts uniform on +-1 / sqrt(H).
    Hochreiter and Schmidhuber 1997, Neural Computation 9(8).

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> y, (h, c) = nn.LSTM(10, 20, bidirectional=True)(mg.ones(5, 3, 10))
    >>> y.shape, h.shape, c.shape
    ((5, 3, 40), (2, 3, 20), (2, 3, 20))
    """

    gates = 4
    names = ("h_0", "c_0")

    def _over_time(
        self, x: Tensor, state: State, end: str, reverse: bool, held: Tensor | None = None
    ) -> tuple[Tensor, State]:
        (h, c), (w_ih, w_hh, *biases) = state, self._parameters_of(end)
        if held is not None:  # a further input, which makes s(i) = 0 and s(f) = 1, so that c stays
            gates = np.repeat([-_SHUT, _SHUT, 0.0, 0.0], self.hidden_size)[:, None].astype(x.dtype)
            x = ops.concat(x, held, axis=-1)  # (T, B, I + 1)
            w_ih = ops.concat(w_ih, wrap(x.backend.asarray(gates)), axis=1)  # (4 H, I + 1)
        w_hr = self.__dict__.get(f"weight_hr_{end}")
        if w_hr is not None:
            # With h_t = W_hr m_t it is W_hh h_t = (W_hh W_hr) m_t: the same recurrence in m, from m_0 = 0, where h_0 is
            # a further input of the first step.
            first, later = ops.expand_dims(h, axis=0), _zeros(x, x.shape[0] - 1, *h.shape)
            x = ops.concat(x, ops.concat(*((later, first) if reverse else (first, later)), axis=0), axis=-1)
            w_ih, w_hh, h = ops.concat(w_ih, w_hh, axis=1), w_hh @ w_hr, ops.zeros_like(c)  # (4 H, I + P), (4 H, H)
        y = ops.lstm_sequence(x, h, c, w_ih, w_hh, *biases, reverse=reverse, input_gradient=x.requires_grad)
        hs, c = y[:-1], y[-1]  # (T, B, H), (B, H)
        hs = hs if w_hr is None else ops.linear(hs, w_hr)  # (T, B, P)
        return hs, (hs[0 if reverse else -1], c)

    def forward(
        self, input: Tensor | PackedSequence, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Any, tuple[Tensor, Tensor]]:
        y, (h, c) = self._run(input, hx)
        return y, (h, c)


class GRU(_Recurrent):
    """GRUCell over a sequence; layer l + 1 reads the h_t of layer l.

    input: (T, B, I), with batch_first (B, T, I), or (T, I), or a PackedSequence of such (nn.utils.rnn), whose outputs
    are packed too; h_0: (L N, B, H) or (L N, H), zeros if not given. Returns the outputs (T, B, N H) of the last layer
    and the last states h_n: (L N, B, H). dropout acts between layers; proj_size is for LSTM alone.
    Starts uniform on +-1 / sqrt(H). Cho et al. 2014, arXiv:1406.1078.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> y, h = nn.GRU(10, 20, batch_first=True)(mg.ones(3, 5, 10))
    >>> y.shape, h.shape
    ((3, 5, 20), (1, 3, 20))
    """

    gates = 3

    def _over_time(
        self, x: Tensor, state: State, end: str, reverse: bool, held: Tensor | None = None
    ) -> tuple[Tensor, State]:
        y = ops.gru_sequence(x, *state, *self._parameters_of(end), reverse=reverse, input_gradient=x.requires_grad)
        return y, (y[0 if reverse else -1],)

    def forward(self, input: Tensor | PackedSequence, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        y, (h,) = self._run(input, hx)
        return y, h
