"""Products of matrices and vectors."""

from functools import lru_cache

from ..errors import ShapeError
from ..primitive import Spec, broadcast_shapes, case, fused, primitive, result_dtype


def _product(op, a, b):
    if not a.shape or not b.shape:
        raise ShapeError(
            f"{op}: needs arrays of at least 1 axis: a is {tuple(a.shape)}, b is {tuple(b.shape)}. Use a * b to scale."
        )
    rows = a.shape[-2:-1]
    inner_a, inner_b = a.shape[-1], b.shape[-2] if len(b.shape) > 1 else b.shape[0]
    columns = b.shape[-1:] if len(b.shape) > 1 else ()
    if inner_a != inner_b:
        hint = ""
        if len(b.shape) > 1 and inner_a == b.shape[-1]:
            hint = " Did you mean b.mT?"
        elif len(a.shape) > 1 and a.shape[-2] == inner_b:
            hint = " Did you mean a.mT?"
        raise ShapeError(
            f"{op}: inner sizes must agree: a is {tuple(a.shape)}, b is {tuple(b.shape)}, {inner_a} != {inner_b}.{hint}"
        )
    stack = broadcast_shapes(f"{op} (the axes before the matrices)", tuple(a.shape[:-2]), tuple(b.shape[:-2]))
    return Spec((*stack, *rows, *columns), result_dtype("same", a, b))


@primitive(
    shape=_product,
    kind="same",
    samples=(
        case((2, 3), (3, 4)),
        case((3,), (3,)),
        case((2, 3), (3,)),
        case((3,), (2, 3, 4)),
        case((2, 1, 2, 3), (2, 3, 2)),
        case((2, 3, 4), (4, 2)),
        case((2, 0), (0, 3)),
    ),
    complex_ok=True,
)
def matmul(xp, a, b):
    """y = a b, the matrix product of the last two axes: (..., M, K), (..., K, N) to (..., M, N); a vector counts as a
    row at the left and a column at the right. The gradients are g b.mT and a.mT g."""
    return xp.matmul(a, b)


@matmul.rule("a")
def _(F, g, b, shapes):
    if len(shapes.a) == 1 and len(shapes.b) == 1:
        return g * b
    if len(shapes.a) == 1:  # (K,) (..., K, N) -> (..., N)
        return F.matmul(b, F.expand_dims(g, axis=-1))[..., 0]  # (..., K)
    if len(shapes.b) == 1:  # (..., M, K) (K,) -> (..., M)
        return F.matmul(F.expand_dims(g, axis=-1), F.expand_dims(b, axis=0))  # (..., M, K)
    return F.matmul(g, F.matrix_transpose(b))


@matmul.rule("b")
def _(F, g, a, shapes):
    if len(shapes.a) == 1 and len(shapes.b) == 1:
        return g * a
    if len(shapes.a) == 1:  # (K,) (..., K, N) -> (..., N)
        return F.matmul(F.expand_dims(a, axis=-1), F.expand_dims(g, axis=-2))  # (..., K, N)
    if len(shapes.b) == 1:  # (..., M, K) (K,) -> (..., M)
        return F.matmul(F.matrix_transpose(a), F.expand_dims(g, axis=-1))[..., 0]  # (..., K)
    if len(shapes.b) == 2:  # one b for the whole stack: one product instead of a stack of them to sum
        a, g = rows_of(F, a), rows_of(F, g)
    return F.matmul(F.matrix_transpose(a), g)


def rows_of(F, x):
    """(..., K) as a matrix (rows, K)."""
    if len(x.shape) == 2:
        return x
    rows = 1
    for n in x.shape[:-1]:
        rows *= n
    return F.reshape(x, shape=(rows, x.shape[-1]))


def _linear(op, x, weight, bias=None):
    shape = _linear_shape(op, x.shape, weight.shape, () if bias is None else bias.shape)
    return Spec(shape, result_dtype("same", x, weight))


@lru_cache(maxsize=1024)
def _linear_shape(op, x, weight, bias):
    if len(weight) != 2:
        raise ShapeError(f"{op}: weight must be (out features, in features): got {weight}.")
    if not x or x[-1] != weight[1]:
        raise ShapeError(
            f"{op}: the last axis of x must be the layer's in_features: x is {x}, weight is {weight}, "
            f"{x[-1] if x else 'no axis'} != {weight[1]}. Reshape or flatten x to (..., {weight[1]})."
        )
    if bias not in ((), (1,), (weight[0],)):
        raise ShapeError(f"{op}: bias must be (out features,) = ({weight[0]},): got {bias}.")
    return (*x[:-1], weight[0])


@fused(
    shape=_linear,
    kind="same",
    samples=(case((2, 3), (4, 3), (4,)), case((2, 2, 3), (4, 3)), case((3,), (2, 3), (2,))),
    complex_ok=True,
)
def linear(F, x, weight, bias=None):
    """y = x weight.mT + bias. x: (..., in), weight: (out, in), bias: (out,) or None; y: (..., out)."""
    y = F.matmul(x, F.matrix_transpose(weight))
    return y if bias is None else y + bias


@linear.rule("x")
def _(F, g, weight):
    return F.matmul(g, weight)


@linear.rule("weight")
def _(F, g, x):
    if len(x.shape) == 1:
        return F.expand_dims(g, axis=-1) * x
    return F.matmul(F.matrix_transpose(rows_of(F, g)), rows_of(F, x))


@linear.rule("bias")
def _(g):
    return g
