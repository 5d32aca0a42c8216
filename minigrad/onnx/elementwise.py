"""Elementwise primitives in ONNX. Operands are cast to the dtype of the result first: ONNX promotes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from .graph import Graph, converts, expands
from .trace import Value

NODES = {
    "add": "Add", "subtract": "Sub", "multiply": "Mul", "power": "Pow", "maximum": "Max", "minimum": "Min",
    "negative": "Neg", "abs": "Abs", "sign": "Sign", "reciprocal": "Reciprocal", "sqrt": "Sqrt", "exp": "Exp",
    "log": "Log", "sin": "Sin", "cos": "Cos", "tan": "Tan", "asin": "Asin", "acos": "Acos", "atan": "Atan",
    "sinh": "Sinh", "cosh": "Cosh", "tanh": "Tanh", "asinh": "Asinh", "acosh": "Acosh", "atanh": "Atanh",
    "floor": "Floor", "ceil": "Ceil", "round": "Round", "relu": "Relu", "sigmoid": "Sigmoid",
}  # fmt: skip
SINGLE = {  # runtimes have these for float32 and shorter only: float64 goes through the body
    "erf": "Erf", "softplus": "Softplus", "softsign": "Softsign", "selu": "Selu", "hardswish": "HardSwish",
    "mish": "Mish",
}  # fmt: skip
TESTS = {"equal": "Equal", "less": "Less", "less_equal": "LessOrEqual", "greater": "Greater"}
TESTS |= {"greater_equal": "GreaterOrEqual", "not_equal": "Equal"}
LOGIC = {"logical_and": "And", "logical_or": "Or", "logical_xor": "Xor", "logical_not": "Not"}
BITS = {"bitwise_and": "BitwiseAnd", "bitwise_or": "BitwiseOr", "bitwise_xor": "BitwiseXor"}
BITS |= {"bitwise_invert": "BitwiseNot"}
BOOL = np.dtype(bool)


def single(*inputs: Any, **params: Any) -> bool:
    return not any(getattr(x, "dtype", None) == np.float64 for x in inputs)


def integers(*inputs: Any, **params: Any) -> bool:
    return all(np.asarray(getattr(x, "host", x)).dtype.kind in "iu" for x in inputs)


def operands(g: Graph, e: Any, dtype: Any) -> list[str]:
    return [g.name(x, dtype) for x in e.inputs]


@converts(*NODES)
@converts(*SINGLE, when=single)
def node(g: Graph, e: Any) -> str:
    if e.primitive == "add" and (fused := with_bias(g, e)):
        return fused
    return g.node((NODES | SINGLE)[e.primitive], *operands(g, e, e.y.dtype))


def with_bias(g: Graph, e: Any) -> str | None:
    """A convolution and one number per channel, added: the bias of its node."""
    for x, b in (e.inputs, e.inputs[::-1]):
        made, row = g.maker(x), g.maker(b)
        if made is None or row is None or row.primitive != "reshape" or len(x.shape) < 3:
            continue
        (v,), channels = row.inputs, x.shape[1]
        per_channel = (channels, *[1] * (len(x.shape) - 2))
        if made.primitive.startswith("convolution") and v.shape == (channels,) and b.shape == per_channel:
            conv = next(n for n in reversed(g.nodes) if n.output[0] == g.names[x.id])
            attributes = {a.name: g.onnx.helper.get_attribute_value(a) for a in conv.attribute}
            return g.node(conv.op_type, *conv.input, g.name(v, x.dtype), **attributes)
    return None


def compared(e: Any) -> Any:
    """The dtype two operands are compared in."""
    dtype = np.result_type(*(x.dtype if isinstance(x, Value) else x for x in e.inputs))
    return np.dtype(np.int32) if dtype == BOOL else dtype


@converts(*TESTS)
def test(g: Graph, e: Any) -> str:
    y = g.node(TESTS[e.primitive], *operands(g, e, compared(e)))
    return g.node("Not", y) if e.primitive == "not_equal" else y


@converts(*LOGIC)
def logic(g: Graph, e: Any) -> str:
    return g.node(LOGIC[e.primitive], *operands(g, e, BOOL))


@converts(*BITS)
def bits(g: Graph, e: Any) -> str:
    op = BITS[e.primitive] if e.y.dtype != BOOL else {"BitwiseNot": "Not"}.get(BITS[e.primitive], BITS[e.primitive][7:])
    return g.node(op, *operands(g, e, e.y.dtype))


@converts("where")
def where(g: Graph, e: Any) -> str:
    condition, a, b = e.inputs
    return g.node("Where", g.name(condition, BOOL), g.name(a, e.y.dtype), g.name(b, e.y.dtype))


@converts("isnan")
def isnan(g: Graph, e: Any) -> str:
    return g.node("IsNaN", g.name(e.x, e.x.dtype if e.x.dtype.kind == "f" else np.dtype(np.float32)))


@converts("isinf")
def isinf(g: Graph, e: Any) -> str:
    return g.node("IsInf", g.name(e.x, e.x.dtype if e.x.dtype.kind == "f" else np.dtype(np.float32)))


@converts("remainder", when=integers)
def remainder(g: Graph, e: Any) -> str:
    return g.node("Mod", *operands(g, e, e.y.dtype))


@converts("positive")
def positive(g: Graph, e: Any) -> str:
    return g.name(e.x)


@converts("astype")
def astype(g: Graph, e: Any) -> str:
    return g.name(e.x, np.dtype(e.dtype))


# ---- activations with options --------------------------------------------------------------------------------------
@converts("leaky_relu", when=single)
def leaky_relu(g: Graph, e: Any) -> str:
    return g.node("LeakyRelu", g.name(e.x, e.y.dtype), alpha=float(e.negative_slope))


@converts("elu", "celu", when=single)
def elu(g: Graph, e: Any) -> str:
    return g.node(e.primitive.capitalize(), g.name(e.x, e.y.dtype), alpha=float(e.alpha))


@converts("hardtanh")
def hardtanh(g: Graph, e: Any) -> str:
    return g.node("Clip", g.name(e.x, e.y.dtype), g.name(e.min_val, e.y.dtype), g.name(e.max_val, e.y.dtype))


@converts("hardsigmoid", when=single)
def hardsigmoid(g: Graph, e: Any) -> str:
    return g.node("HardSigmoid", g.name(e.x, e.y.dtype), alpha=1 / 6, beta=0.5)


@converts("hardshrink", when=single)
def hardshrink(g: Graph, e: Any) -> str:
    return g.node("Shrink", g.name(e.x, e.y.dtype), lambd=float(e.lambd), bias=0.0)


@converts("softshrink", when=single)
def softshrink(g: Graph, e: Any) -> str:
    return g.node("Shrink", g.name(e.x, e.y.dtype), lambd=float(e.lambd), bias=float(e.lambd))


@converts("gelu", "gelu_tanh", when=lambda x, *, opset: opset >= 20 and single(x))
def gelu(g: Graph, e: Any) -> str:
    return g.node("Gelu", g.name(e.x, e.y.dtype), approximate="tanh" if e.primitive == "gelu_tanh" else "none")


# ---- what has no node, in what has -----------------------------------------------------------------------------------
@expands("expm1")
def _(F, x):
    t = F.tanh(x * 0.5)  # e**x - 1 = 2 t / (1 - t), exact near 0
    near = F.less(F.abs(x), 1)
    return F.where(near, 2 * t / (1 - F.where(near, t, 0)), F.exp(x) - 1)


@expands("log1p")
def _(F, x):
    near = F.where(F.less(F.abs(x), 0.5), x, 0)
    return F.where(F.less(F.abs(x), 0.5), 2 * F.atanh(near / (2 + near)), F.log(1 + x))


@expands("exp2")
def _(F, x):
    return F.exp(x * 0.6931471805599453)


@expands("log2")
def _(F, x):
    return F.log(x) * 1.4426950408889634


@expands("log10")
def _(F, x):
    return F.log(x) * 0.4342944819032518


@expands("logaddexp")
def _(F, a, b):
    return F.maximum(a, b) + F.softplus(-F.abs(a - b))


@expands("hypot")
def _(F, a, b):
    a, b = F.abs(a), F.abs(b)
    top = F.maximum(a, b)
    scale = F.where(F.equal(top, 0), 1, top)  # a**2 would overflow
    return top * F.sqrt(F.square(a / scale) + F.square(b / scale))


@expands("cbrt")
def _(F, x):
    return F.sign(x) * F.power(F.abs(x), 1 / 3)


@expands("atan2")
def _(F, a, b):
    angle = F.atan(a / F.where(F.equal(b, 0), 1, b))
    half = F.where(F.less(a, 0), -np.pi, np.pi)
    axis = F.where(F.equal(a, 0), a, half / 2)  # b = 0
    return F.where(F.equal(b, 0), axis, F.where(F.less(b, 0), angle + half, angle))


@expands("copysign")
def _(F, a, b):
    return F.where(F.signbit(b), -F.abs(a), F.abs(a))


@expands("signbit")
def _(F, x):
    return F.logical_or(F.less(x, 0), F.logical_and(F.equal(x, 0), F.less(1 / x, 0)))  # 1 / -0 is -infinity


@expands("bitwise_left_shift")  # BitShift is for unsigned integers
def _(F, a, b):
    return a * F.power(2, b)


@expands("bitwise_right_shift")
def _(F, a, b):
    return F.floor_divide(a, F.power(2, b))


@expands("heaviside")
def _(F, x, h):
    return F.where(F.equal(x, 0), h, F.where(F.isnan(x), x, F.where(F.greater(x, 0), 1, 0)))


@expands("trunc")
def _(F, x):
    return F.sign(x) * F.floor(F.abs(x))


@expands("isfinite")
def _(F, x):
    return F.logical_not(F.logical_or(F.isnan(x), F.isinf(x)))


@expands("remainder")
def _(F, a, b):
    return a - b * F.floor(a / b)


@converts("floor_divide", when=integers)
def floor_divide(g: Graph, e: Any) -> str:
    a, b = operands(g, e, e.y.dtype)
    return g.node("Div", g.node("Sub", a, g.node("Mod", a, b)), b)  # ONNX rounds towards zero


@expands("floor_divide")
def _(F, a, b):
    return F.floor(a / b)
