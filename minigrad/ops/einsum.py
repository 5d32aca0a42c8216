"""Sums of products over named axes, as Einstein wrote them."""

from functools import lru_cache

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..primitive import Spec, broadcast_shapes, case, fused, result_dtype

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@lru_cache(maxsize=1024)
def parsed(equation, ndims):
    """ "...ij,jk" for arrays with `ndims` axes: the label of each axis of each operand, and of the result.

    The axes of an ellipsis are labelled 0, 1, ... from the right, so that they broadcast.
    """
    equation = equation.replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if len(terms) != len(ndims):
        raise ShapeError(f"einsum: {equation!r} names {len(terms)} operands: got {len(ndims)}.")
    if wrong := set(equation.replace("...", "").replace("->", "")) - set(LETTERS) - {","}:
        raise ArgumentError(f"einsum: labels are letters: got {sorted(wrong)} in {equation!r}.")
    inputs = tuple(_labels(equation, term, ndim) for term, ndim in zip(terms, ndims))
    spread = tuple(sorted({n for labels in inputs for n in labels if isinstance(n, int)}, reverse=True))
    if arrow:
        before, dots, after = right.partition("...")
        output = (*before, *(spread if dots else ()), *after)
    else:  # the ellipsis, then the letters that occur once
        letters = left.replace("...", "").replace(",", "")
        output = (*spread, *sorted(c for c in set(letters) if letters.count(c) == 1))
    if unknown := set(output) - {n for labels in inputs for n in labels}:
        raise ArgumentError(f"einsum: {sorted(map(str, unknown))} of the result are in no operand: {equation!r}.")
    if len(set(output)) < len(output):
        raise ArgumentError(f"einsum: the result may name an axis once: {equation!r}.")
    return inputs, output


def _labels(equation, term, ndim):
    before, dots, after = term.partition("...")
    extra = ndim - len(before) - len(after)
    if extra < 0 or (extra and not dots):
        raise ShapeError(
            f"einsum: {term!r} of {equation!r} must name each of the {ndim} axes of its operand: use ... for the rest."
        )
    return (*before, *range(extra - 1, -1, -1), *after)


@lru_cache(maxsize=1024)
def lengths(equation, shapes):
    """The length of each label."""
    inputs, _ = parsed(equation, tuple(map(len, shapes)))
    sizes: dict = {}
    for labels, shape in zip(inputs, shapes):
        own: dict = {}
        for label, n in zip(labels, shape):
            if own.setdefault(label, n) != n:
                raise ShapeError(f"einsum: a diagonal needs equal lengths: {label!r} is {own[label]} and {n}.")
            if n != 1 and sizes.get(label, 1) not in (1, n):
                raise ShapeError(
                    f"einsum: axes of one label must agree (or be 1): {label!r} of {equation!r} is {sizes[label]} and "
                    f"{n} in {' and '.join(map(str, shapes))}."
                )
            sizes[label] = n if n != 1 else sizes.get(label, 1)
    return sizes


@lru_cache(maxsize=1024)
def contraction_order(equation, shapes, optimize):
    """Which operands to multiply next, as pairs of positions; the product goes to the end of the list."""
    if len(shapes) < 3:
        return ((0, 1),) * (len(shapes) - 1)
    inputs, output = parsed(equation, tuple(map(len, shapes)))
    letters = dict(zip(dict.fromkeys(n for labels in inputs for n in labels), LETTERS))
    text = ",".join("".join(letters[n] for n in labels) for labels in inputs)
    text += "->" + "".join(letters[n] for n in output)
    hollow = [np.broadcast_to(np.float32(0), shape) for shape in shapes]  # a path needs shapes, no memory
    steps, _ = np.einsum_path(text, *hollow, optimize=optimize)
    pairs, left = [], len(shapes)
    for step in steps[1:]:  # NumPy may take several at once: then the first two, and their product with the next
        for _ in range(len(step) - 1):
            pairs.append(tuple(sorted(step))[:2] if len(step) == 2 else (left - 2, left - 1))
            left -= 1
    return tuple(pairs)


def _result(op, *operands, equation, optimize="greedy"):
    shapes = tuple(tuple(x.shape) for x in operands)
    _, output = parsed(equation, tuple(map(len, shapes)))
    sizes = lengths(equation, shapes)
    return Spec(tuple(sizes[n] for n in output), result_dtype("same", *operands))


@fused(
    shape=_result,
    kind="same",
    public=False,
    samples=(
        case((2, 3), (3, 4), equation="ij,jk"),
        case((3, 3), equation="ii"),
        case((2, 3, 3), equation="...ii->i..."),
        case((3, 3), (3,), (3, 2), equation="ii,i,ij->j"),
        case((2, 1, 3), (4, 3), equation="...i,...i->..."),
        case((2, 3), (1, 3), equation="ij,ij->j"),
        case((2,), (3,), equation="i,j"),
    ),
    complex_ok=True,
)
def einsum(F, *operands, equation, optimize="greedy"):
    """The products of the operands, summed over the axes whose label is not in the result: "ij,jk->ik" is the matrix
    product, "ii" the trace, "...ij->...ji" a transposition. Pairs are contracted by matmul, in an order that keeps what
    stands between small."""
    shapes = tuple(tuple(x.shape) for x in operands)
    inputs, output = parsed(equation, tuple(map(len, shapes)))
    dtype = result_dtype("same", *operands)
    terms = [on_diagonals(F, x, labels) for x, labels in zip(operands, inputs)]
    for pair in contraction_order(equation, shapes, optimize):
        a, b = (terms[i] for i in pair)
        terms = [t for i, t in enumerate(terms) if i not in pair]
        kept = {*output, *(n for _, labels in terms for n in labels)}
        terms.append(product(F, summed(F, a[0], a[1], kept | set(b[1])), summed(F, b[0], b[1], kept | set(a[1])), kept))
    x, labels = summed(F, terms[0][0], terms[0][1], set(output))
    y = F.permute_dims(x, axes=tuple(labels.index(n) for n in output)) if labels != output else x
    return y if y.dtype == dtype else F.astype(y, dtype=dtype)  # a sum of int32 is int64


def on_diagonals(F, x, labels):
    """x where axes of one label have one place."""
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            i = labels.index(label)
            j = labels.index(label, i + 1)
            x = F.diagonal(x, axis1=i, axis2=j)
            labels = (*(n for k, n in enumerate(labels) if k not in (i, j)), label)
    return x, labels


def summed(F, x, labels, kept):
    """x summed over the labels that nothing else needs."""
    gone = tuple(i for i, n in enumerate(labels) if n not in kept)
    return (F.sum(x, axis=gone), tuple(n for n in labels if n in kept)) if gone else (x, labels)


def product(F, first, second, kept):
    """The product of two operands, summed over the labels they share that are not kept."""
    (a, la), (b, lb) = first, second
    size_a, size_b = dict(zip(la, a.shape)), dict(zip(lb, b.shape))
    for label in set(la) & set(lb) - kept:  # where one side is repeated, the sum is over the other
        if size_a[label] != size_b[label]:
            if size_a[label] == 1:
                a, la = summed(F, a, la, set(la) - {label})
                b, lb = summed(F, b, lb, set(lb) - {label})
            else:
                b, lb = summed(F, b, lb, set(lb) - {label})
                a, la = summed(F, a, la, set(la) - {label})
    both = [n for n in la if n in lb and n in kept]
    inner = [n for n in la if n in lb and n not in kept]
    rows, columns = [n for n in la if n not in lb], [n for n in lb if n not in la]
    a = F.permute_dims(a, axes=tuple(map(la.index, [*both, *rows, *inner])))
    b = F.permute_dims(b, axes=tuple(map(lb.index, [*both, *inner, *columns])))
    stack, m, k = (tuple(size_a[x] for x in group) for group in (both, rows, inner))
    other, n = (tuple(size_b[x] for x in group) for group in (both, columns))
    a = F.reshape(a, shape=(*stack, size(m), size(k)))  # (..., M, K)
    b = F.reshape(b, shape=(*other, size(k), size(n)))  # (..., K, N)
    y = F.matmul(a, b) if inner else a * b
    whole = broadcast_shapes("einsum", stack, other)
    return F.reshape(y, shape=(*whole, *m, *n)), (*both, *rows, *columns)


def size(shape):
    n = 1
    for length in shape:
        n *= length
    return n
