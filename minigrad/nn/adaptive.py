"""A softmax over very many classes, rare ones in clusters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..errors import ArgumentError, ShapeError
from ..tensor import F, Tensor, wrap
from .containers import ModuleList, Sequential
from .functional.checks import check_range
from .linear import Linear
from .module import Module


class AdaptiveOutput(NamedTuple):
    """output: ln p of each target, (B,); loss: minus its mean."""

    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """ln p(class | x) for classes sorted by frequency: the first `cutoffs[0]` have a score of their own in `head`, the
    others lie in clusters, which have one score each in `head` and a small network `tail[i]` that divides it.

    input: (B, in_features) or (in_features,); target: (B,) or (), from 0 to n_classes - 1. Cluster i, of the classes
    from cutoffs[i] to cutoffs[i + 1] - 1, works in in_features // div_value**(i + 1) dimensions. Only clusters that a
    target lies in are computed. Grave et al. 2017, arXiv:1609.04309.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> model = nn.AdaptiveLogSoftmaxWithLoss(16, 1000, cutoffs=[10, 100])
    >>> output, loss = model(mg.rand(4, 16), mg.tensor([0, 20, 500, 9]))
    >>> output.shape, model.log_prob(mg.rand(4, 16)).shape
    ((4,), (4, 1000))
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        cutoffs = list(cutoffs)
        rising = all(a < b for a, b in zip([0, *cutoffs], [*cutoffs, n_classes]))
        if not cutoffs or not rising or any(int(c) != c for c in cutoffs):
            raise ArgumentError(
                f"AdaptiveLogSoftmaxWithLoss: cutoffs must be integers from 1 to n_classes - 1 = {n_classes - 1}, each "
                f"above the one before: got {cutoffs}."
            )
        self.in_features, self.n_classes, self.div_value, self.head_bias = in_features, n_classes, div_value, head_bias
        self.cutoffs = [*cutoffs, n_classes]
        self.shortlist_size, self.n_clusters = cutoffs[0], len(cutoffs)
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, head_bias, device, dtype)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            hidden, size = int(in_features // div_value ** (i + 1)), self.cutoffs[i + 1] - self.cutoffs[i]
            if not hidden:
                raise ArgumentError(
                    f"AdaptiveLogSoftmaxWithLoss: cluster {i} would work in in_features // div_value**{i + 1} = 0 "
                    "dimensions. Use fewer cutoffs, or a smaller div_value."
                )
            self.tail.append(
                Sequential(
                    Linear(in_features, hidden, False, device, dtype), Linear(hidden, size, False, device, dtype)
                )
            )

    def reset_parameters(self) -> None:
        for layer in (self.head, *(layer for cluster in self.tail for layer in cluster)):  # type: ignore[attr-defined]
            layer.reset_parameters()  # type: ignore[operator]

    def forward(self, input: Tensor, target: Tensor) -> AdaptiveOutput:
        who = "AdaptiveLogSoftmaxWithLoss"
        if target.ndim > 1 or input.ndim != target.ndim + 1 or input.shape[:-1] != target.shape:
            raise ShapeError(
                f"{who}: input (B, in_features) needs target (B,), and (in_features,) needs (): got {input.shape} and "
                f"{target.shape}."
            )
        check_range(who, target, self.n_classes, "labels", "n_classes")
        single = not target.ndim
        x, labels = (input[None], target.array[None]) if single else (input, target.array)
        xp = x.backend.xp
        places, rows, inside = labels.copy(), [], []  # places: of each label in the head
        for i, (low, high) in enumerate(zip(self.cutoffs, self.cutoffs[1:])):
            (members,) = xp.nonzero((labels >= low) & (labels < high))
            if members.size:
                places[members] = self.shortlist_size + i
                logp = F.log_softmax(self.tail[i](x[wrap(members)]), axis=-1)
                rows.append(members)
                inside.append(F.take_along_axis(logp, wrap(labels[members][:, None] - low), axis=-1))  # (n, 1)
        logp = F.log_softmax(self.head(x), axis=-1)  # (B, head_size)
        output = F.take_along_axis(logp, wrap(places[:, None]), axis=-1)  # (B, 1)
        if rows:
            at = wrap(xp.concatenate(rows)[:, None])
            output = output + F.add_along_axis(F.concat(*inside, axis=0), at, axis=0, size=labels.size)
        output = F.squeeze(output, axis=-1)
        return AdaptiveOutput(output[0] if single else output, -F.mean(output))

    def log_prob(self, input: Tensor) -> Tensor:
        """ln p of every class, (B, n_classes), for input (B, in_features)."""
        head = F.log_softmax(self.head(input), axis=-1)  # (B, head_size)
        parts = [head[:, : self.shortlist_size]]
        for i, cluster in enumerate(self.tail):
            place = self.shortlist_size + i
            parts.append(F.log_softmax(cluster(input), axis=-1) + head[:, place : place + 1])
        return F.concat(*parts, axis=-1)

    def predict(self, input: Tensor) -> Tensor:
        """The most likely class, (B,), for input (B, in_features)."""
        if input.ndim != 2:
            raise ShapeError(f"AdaptiveLogSoftmaxWithLoss.predict: input must be (B, in_features): got {input.shape}.")
        return F.argmax(self.log_prob(input), axis=-1)
