"""Cross-entropy of scores and labels, forward and backward: see cross_entropy.cu."""

from .launch import WARP, Source, by_row, device, item_bytes

source = Source("cross_entropy")


def labelled(labels):
    """(labels in C order, the C++ type of one)."""
    kind = {"int64": "i64", "int32": "int"}.get(str(labels.dtype))
    return device().contiguous(labels if kind else labels.astype("int64")), kind or "i64"


def cross_entropy(x, labels):
    on = device()
    x, (labels, kind) = on.contiguous(x), labelled(labels)
    rows, n = x.shape
    loss, top, log_total = on.empty((rows,), x.dtype), on.empty((rows, 1), x.dtype), on.empty((rows, 1), x.dtype)
    run = source("cross_entropy", x.dtype, L=kind)
    run(*by_row(rows, n), (x, labels, loss, top, log_total, rows, n), shared=WARP * item_bytes(x.dtype))
    return loss, top, log_total


def cross_entropy_backward(dy, x, labels, top, log_total):
    on = device()
    (labels, kind), (rows, n) = labelled(labels), x.shape
    dy, x, top, log_total = (on.contiguous(a) for a in (dy, x, top, log_total))
    dx = on.empty(x.shape, x.dtype)
    arguments = (dy, x, labels, top, log_total, dx, rows, n)
    source("cross_entropy_backward", x.dtype, L=kind)(*by_row(rows, n), arguments)
    return dx
