"""Distances of rows."""

from math import inf

from ..errors import ArgumentError, ShapeError
from ..primitive import Spec, broadcast_shapes, case, fused, result_dtype


def _rows_apart(op, a, b, *, order=2.0):
    if min(len(a.shape), len(b.shape)) < 2 or a.shape[-1] != b.shape[-1]:
        raise ShapeError(
            f"{op}: needs rows of one length, (..., M, D) and (..., N, D): got {tuple(a.shape)} and {tuple(b.shape)}."
        )
    if order < 0:
        raise ArgumentError(f"{op}: p must not be negative: got {order}.")
    lead = broadcast_shapes(op, tuple(a.shape[:-2]), tuple(b.shape[:-2]))
    return Spec((*lead, a.shape[-2], b.shape[-2]), result_dtype("float", a, b))


@fused(
    shape=_rows_apart, kind="float", public=False,
    samples=(
        *(case((3, 2), (4, 2), order=p) for p in (2.0, 1.0, inf, 3.0)), case((2, 3, 5), (3, 5)), case((2, 0), (3, 0)),
    ),
)  # fmt: skip
def cdist(F, a, b, *, order=2.0):
    """d[..., i, j] = (sum_k |a[..., i, k] - b[..., j, k]|**p)**(1/p), p the order: the largest for infinity, how many
    differ for 0. a: (..., M, D); b: (..., N, D); d: (..., M, N). Where two rows are equal the gradient is 0."""
    d = F.expand_dims(a, axis=-2) - F.expand_dims(b, axis=-3)  # (..., M, N, D)
    size = F.abs(d)
    if order == 0:
        return F.sum(F.sign(size), axis=-1)
    if order == inf:
        return F.max(size, axis=-1) if d.shape[-1] else F.sum(size, axis=-1)
    if order == 1:
        return F.sum(size, axis=-1)
    away = F.not_equal(d, 0)
    powers = F.square(d) if order == 2 else F.where(away, F.power(F.where(away, size, 1), order), 0)
    total = F.sum(powers, axis=-1)
    apart = F.not_equal(total, 0)  # the root's slope is infinite at 0
    root = F.where(apart, total, 1)
    return F.where(apart, F.sqrt(root) if order == 2 else F.power(root, 1 / order), 0)
