"""What quantisation costs and saves: sizes, differences of the outputs, accuracy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from ..errors import ArgumentError
from ..mode import no_grad
from ..nn.module import Module
from ..tensor import Tensor


class Comparison(NamedTuple):
    """Of a model (before) and its quantised form (after)."""

    bytes_before: int  # of parameters and buffers
    bytes_after: int
    largest_difference: float  # of an output
    mean_difference: float  # of the magnitudes
    signal_to_noise: float  # 10 log10(sum y^2 / sum (y' - y)^2) in dB; infinite for equal outputs
    agreement: float | None  # share of samples with the same class, where outputs are (B, K)
    accuracy_before: float | None  # share of right classes, where there are labels
    accuracy_after: float | None

    def __str__(self) -> str:
        saved = self.bytes_before / max(self.bytes_after, 1)
        lines = [f"size: {self.bytes_before:,} -> {self.bytes_after:,} bytes ({saved:.2f} times smaller)"]
        lines += [f"outputs: {self.signal_to_noise:.1f} dB, largest difference {self.largest_difference:.3g}"]
        if self.agreement is not None:
            lines += [f"same class: {self.agreement:.2%}"]
        if self.accuracy_before is not None:
            lines += [f"accuracy: {self.accuracy_before:.2%} -> {self.accuracy_after:.2%}"]
        return "\n".join(lines)


def size_of(model: Module) -> int:
    """Bytes of all parameters and buffers, each once."""
    return sum(t.nbytes for t in (*model.parameters(), *model.buffers()))


def compare(model: Module, quantised: Module, data: Iterable[Any]) -> Comparison:
    """Run both models on batches, x or (x, labels), in evaluation, and measure.

    >>> import minigrad as mg
    >>> from minigrad import nn, quantization
    >>> model = nn.Linear(256, 256)
    >>> found = quantization.compare(model, quantization.quantize_dynamic(model), [mg.randn(8, 256)])
    >>> found.bytes_before > 3.8 * found.bytes_after, found.signal_to_noise > 30
    (True, True)
    """
    modes = model.training, quantised.training
    model.eval(), quantised.eval()
    before, after, labels = [], [], []
    try:
        with no_grad():
            for batch in data:
                x, *rest = batch if isinstance(batch, tuple | list) else (batch,)
                x = x if isinstance(x, Tensor) else Tensor(x)
                before.append(model(x).numpy())
                after.append(quantised(x).numpy())
                labels += [np.asarray(y.numpy() if isinstance(y, Tensor) else y) for y in rest[:1]]
    finally:
        model.train(modes[0]), quantised.train(modes[1])
    if not before:
        raise ArgumentError("compare: there was no data. Pass at least one batch.")
    y, z = np.concatenate(before).astype(np.float64), np.concatenate(after).astype(np.float64)
    difference = np.abs(y - z)
    noise = float((difference**2).sum())
    ratio = 10 * np.log10(float((y**2).sum()) / noise) if noise else np.inf
    agreement = accuracy_before = accuracy_after = None
    if y.ndim == 2:
        ours, theirs = y.argmax(axis=1), z.argmax(axis=1)
        agreement = float((ours == theirs).mean())
        if labels:
            right = np.concatenate(labels)
            accuracy_before, accuracy_after = float((ours == right).mean()), float((theirs == right).mean())
    return Comparison(
        size_of(model),
        size_of(quantised),
        float(difference.max(initial=0)),
        float(difference.mean()),
        float(ratio),
        agreement,
        accuracy_before,
        accuracy_after,
    )
