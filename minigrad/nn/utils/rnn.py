"""Sequences of several lengths in one tensor: padded, or packed without padding for recurrent layers.

Letters: T longest length, B sequences, N the sum of all lengths, `*` any further axes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...convert import as_array
from ...errors import ArgumentError, DTypeError, ShapeError
from ...tensor import F, Tensor, wrap


class PackedSequence(NamedTuple):
    """Sequences of several lengths, packed: the first steps of all, then the second steps of those that have one, ...

    data: (N, *), longer sequences before shorter ones in each step; batch_sizes: (T,) integers on the host, the
    sequences that reach each step. sorted_indices: (B,), where the packed sequences stood before they were sorted, and
    unsorted_indices its inverse; None where nothing was sorted. Made by pack_padded_sequence and pack_sequence.

    >>> import minigrad as mg
    >>> from minigrad.nn.utils.rnn import pack_sequence
    >>> pack_sequence([mg.tensor([1, 2, 3]), mg.tensor([4, 5])]).data
    tensor([1, 4, 2, 5, 3])
    """

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None

    def to(self, *args: Any, **options: Any) -> PackedSequence:
        """data.to(...), and the indices on the same device."""
        data = self.data.to(*args, **options)
        indices = (None if i is None else on_device(data, i.numpy()) for i in self[2:])
        return PackedSequence(data, self.batch_sizes, *indices)


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """q with q[permutation[i]] = i. permutation: (B,), or None, which stays None."""
    return None if permutation is None else on_device(permutation, np.argsort(permutation.numpy()))


def places(batch_sizes: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(first, step, row) of packed data: row b of step t stands at first[t] + b; place n is step[n] of row[n]."""
    first = np.cumsum(batch_sizes) - batch_sizes  # (T,)
    step = np.repeat(np.arange(len(batch_sizes)), batch_sizes)  # (N,)
    return first, step, np.arange(len(step)) - first[step]


def pack_padded_sequence(
    input: Tensor, lengths: Tensor | Sequence[int], batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Padded sequences, (T, B, *), with batch_first (B, T, *), as a PackedSequence. lengths: (B,), from 1 to T.

    enforce_sorted: the lengths must not increase; with False they are sorted here, and the layers and
    pad_packed_sequence bring everything back into the order given.
    """
    who = "pack_padded_sequence"
    if input.ndim < 2:
        raise ShapeError(f"{who}: input must be (T, B, *), or (B, T, *) with batch_first: got shape {input.shape}.")
    t, b = input.shape[1::-1] if batch_first else input.shape[:2]
    n = _lengths(who, lengths, b, t)
    if not b:
        raise ShapeError(f"{who}: needs at least one sequence: got an input of shape {input.shape}.")
    if n.min() < 1:
        raise ArgumentError(f"{who}: every length must be at least 1: got {n.min()} at position {n.argmin()}.")
    order = np.arange(b)
    if not enforce_sorted:
        order = np.argsort(-n, kind="stable")
    elif np.any(np.diff(n) > 0):
        raise ArgumentError(f"{who}: the lengths must not increase: got {n.tolist()}. Pass enforce_sorted=False.")
    batch_sizes = np.sum(n > np.arange(n.max())[:, None], axis=1)  # (T,)
    _, step, row = places(batch_sizes)
    flat = F.reshape(input, (t * b, *input.shape[2:]))
    data = flat[on_device(input, order[row] * t + step if batch_first else step * b + order[row])]  # (N, *)
    indices = () if enforce_sorted else (on_device(input, order), on_device(input, np.argsort(order)))
    return PackedSequence(data, wrap(batch_sizes), *indices)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """The padded sequences, (T, B, *) or with batch_first (B, T, *), and their lengths, (B,), in the first order.

    total_length: at least T; the length to pad to.
    """
    who = "pad_packed_sequence"
    data, sizes = checked(who, sequence)
    _, step, row = places(sizes)
    t, b = len(sizes) if total_length is None else total_length, int(sizes[0])
    if t < len(sizes):
        raise ArgumentError(f"{who}: total_length must be at least the longest length, {len(sizes)}: got {t}.")
    index = np.full((t, b), len(step))  # of the row of padding, behind the data
    index[step, row] = np.arange(len(step))
    lengths = np.bincount(row, minlength=b)
    if sequence.unsorted_indices is not None:
        order = sequence.unsorted_indices.numpy()
        index, lengths = index[:, order], lengths[order]
    padded = _with_padding(data, padding_value)[on_device(data, index.T if batch_first else index)]
    return padded, wrap(lengths)


def pad_sequence(
    sequences: Iterable[Tensor], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Sequences (L_i, *) in one tensor, (T, B, *), with batch_first (B, T, *), filled up with padding_value.

    >>> import minigrad as mg
    >>> from minigrad.nn.utils.rnn import pad_sequence
    >>> pad_sequence([mg.tensor([1, 2, 3]), mg.tensor([4, 5])], batch_first=True)
    tensor([[1, 2, 3],
            [4, 5, 0]])
    """
    who = "pad_sequence"
    sequences = _sequences(who, sequences)
    if padding_side not in ("left", "right"):
        raise ArgumentError(f"{who}: padding_side must be 'left' or 'right': got {padding_side!r}.")
    n = np.array([len(s) for s in sequences])
    ends, t = np.cumsum(n), n.max()
    steps = np.arange(t)[:, None] + (n - t if padding_side == "left" else 0)  # (T, B) or (T, 1), of each place
    index = np.where((steps >= 0) & (steps < n), ends - n + steps, ends[-1])
    rows = F.concat(*sequences, axis=0)  # (N, *)
    return _with_padding(rows, padding_value)[on_device(rows, index.T if batch_first else index)]


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor | Sequence[int], batch_first: bool = False
) -> list[Tensor]:
    """The sequences (L_i, *) of a padded tensor, (T, B, *) or with batch_first (B, T, *); undoes pad_sequence."""
    who = "unpad_sequence"
    if padded_sequences.ndim < 2:
        raise ShapeError(f"{who}: padded_sequences must be (T, B, *) or (B, T, *): got {padded_sequences.shape}.")
    t, b = padded_sequences.shape[1::-1] if batch_first else padded_sequences.shape[:2]
    n = _lengths(who, lengths, b, t).tolist()
    return [padded_sequences[i, :k] if batch_first else padded_sequences[:k, i] for i, k in enumerate(n)]


def pack_sequence(sequences: Iterable[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Sequences (L_i, *) as a PackedSequence; see pack_padded_sequence."""
    sequences = _sequences("pack_sequence", sequences)
    return pack_padded_sequence(pad_sequence(sequences), [len(s) for s in sequences], enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences (L_i, *) of a PackedSequence, in the first order."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)


def checked(who: str, sequence: Any) -> tuple[Tensor, np.ndarray]:
    """data and batch_sizes of a PackedSequence that is one."""
    if not isinstance(sequence, PackedSequence):
        raise DTypeError(f"{who}: needs a PackedSequence: got {type(sequence).__name__}.")
    sizes = sequence.batch_sizes.numpy()
    falls = sizes.ndim == 1 and sizes.size and sizes[-1] > 0 and not np.any(np.diff(sizes) > 0)
    if not falls or sizes.sum() != len(sequence.data):
        raise ArgumentError(
            f"{who}: batch_sizes must be positive, never increase, and add up to the {len(sequence.data)} rows of "
            f"data: got {sizes.tolist()}."
        )
    return sequence.data, sizes


def _lengths(who: str, lengths: Any, b: int, t: int) -> np.ndarray:
    n = lengths.numpy() if isinstance(lengths, Tensor) else np.asarray(lengths, None if len(lengths) else int)
    if n.dtype.kind not in "iu":
        raise DTypeError(f"{who}: lengths must be integers: got {n.dtype}.")
    if n.shape != (b,):
        raise ShapeError(f"{who}: lengths must have one entry for each of the {b} sequences: got shape {n.shape}.")
    if b and (n.min() < 0 or n.max() > t):
        wrong = n.min() if n.min() < 0 else n.max()
        raise ArgumentError(f"{who}: lengths must be from 0 to the {t} steps there are: got {wrong}.")
    return n.astype(np.int64)


def _sequences(who: str, sequences: Any) -> list[Tensor]:
    sequences = [s if isinstance(s, Tensor) else wrap(as_array(s)) for s in sequences]
    if not sequences:
        raise ArgumentError(f"{who}: needs at least one sequence: got none.")
    if any(not s.ndim or s.shape[1:] != sequences[0].shape[1:] for s in sequences):
        came = ", ".join(str(s.shape) for s in sequences)
        raise ShapeError(f"{who}: the sequences must be (L, *) and differ in L alone: got {came}.")
    return sequences


def _with_padding(rows: Tensor, value: float) -> Tensor:
    """(N, *) with one row more, of the value."""
    return F.concat(rows, wrap(rows.backend.xp.full((1, *rows.shape[1:]), value, dtype=rows.dtype)), axis=0)


def on_device(like: Tensor, index: np.ndarray) -> Tensor:
    """The index, made on the host, where `like` is."""
    return wrap(like.backend.asarray(index))
