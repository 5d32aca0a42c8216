"""Vectors as values of compiled code: as many numbers as a register holds, loaded, combined and stored explicitly.

LLVM's auto-vectoriser leaves the end of a row, up to 63 numbers of float32, to a scalar loop; for rows of ten or a
hundred numbers that is most of the work. Here the last vector of a row is loaded and stored under a mask. Inside
`numba.njit`, with `zero` a number that says the type:

    v = load(zero, address); w = load(zero, address, keep, other)     # lanes that `keep` leaves out hold `other`
    store(v * w + 1.0, address); store(v, address, keep)              # + - * / between vectors and numbers
    keep = first(zero, n); where(v > w, v, w); total(v); largest(v); exp(v)

Addresses are int64. Products and sums contract to FMA; nothing else is relaxed.
"""

import operator

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.core.typing import signature as signature_of
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import intrinsic, lower_builtin, register_model

from . import vectormath
from .tiles import LANES, lanes  # noqa: F401  how many numbers a vector holds

_SCALARS = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}
_FLAGS = ("contract",)


class Vector(types.Type):
    """lanes(zero) numbers of one type."""

    def __init__(self, dtype):
        self.dtype = dtype
        super().__init__(name=f"Vector({dtype})")


class Lanes(types.Type):
    """Which lanes of a vector of this type take part."""

    def __init__(self, dtype):
        self.dtype = dtype
        super().__init__(name=f"Lanes({dtype})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, ir.VectorType(_SCALARS[kind.dtype], LANES[kind.dtype]))


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, ir.VectorType(ir.IntType(1), LANES[kind.dtype]))


# ---- emitting --------------------------------------------------------------------------------------------------------
def _vector(number):
    return ir.VectorType(_SCALARS[number], LANES[number])


def _constant(kind, value):
    """The vector of this type with `value` in each lane."""
    value = float(np.float32(value)) if kind.element == ir.FloatType() else value
    return ir.Constant(kind, [value] * kind.count)


def _spread(builder, scalar, count):
    kind = ir.VectorType(scalar.type, count)
    index = ir.Constant(ir.VectorType(ir.IntType(32), count), [0] * count)
    first_lane = builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first_lane, ir.Constant(kind, ir.Undefined), index)


def _call(builder, name, result, arguments):
    kind = ir.FunctionType(result, [a.type for a in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def _suffix(number):
    return f"v{LANES[number]}f{number.bitwidth}"


def _fma(builder, a, b, c):
    bits = 32 if a.type.element == ir.FloatType() else 64
    return _call(builder, f"llvm.fma.v{a.type.count}f{bits}", a.type, [a, b, c])


def _folded(builder, vector, combine):
    """The lanes joined by combine(builder, x, y), halves first: in an order of its own, the same everywhere."""
    count = vector.type.count
    while count > 1:
        count //= 2
        index = ir.Constant(ir.VectorType(ir.IntType(32), vector.type.count), [
            i + count if i < count else i for i in range(vector.type.count)
        ])  # fmt: skip
        vector = combine(builder, vector, builder.shuffle_vector(vector, vector, index))
    return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))


def _larger(builder, x, y):
    """x if x > y, else y: a NaN in x is passed over."""
    return builder.select(builder.fcmp_ordered(">", x, y), x, y)


# ---- operators -------------------------------------------------------------------------------------------------------
_BINARY = {operator.add: "fadd", operator.sub: "fsub", operator.mul: "fmul", operator.truediv: "fdiv"}
_COMPARE = {operator.gt: ">", operator.lt: "<", operator.ge: ">=", operator.le: "<=", operator.eq: "=="}
_PAIRS = ((Vector, Vector), (Vector, types.Number), (types.Number, Vector))


def _operands(context, builder, signature, arguments):
    """Both as vectors."""
    number = next(t.dtype for t in signature.args if isinstance(t, Vector))
    return [
        value
        if isinstance(kind, Vector)
        else _spread(builder, context.cast(builder, value, kind, number), LANES[number])
        for kind, value in zip(signature.args, arguments, strict=True)
    ]


def _operator(function, result, emit):
    """Declare the operator between vectors, and between a vector and a number."""

    class Typing(AbstractTemplate):
        key = function

        def generic(self, args, keywords):
            vectors = [a for a in args if isinstance(a, Vector)]
            if len(args) == 2 and vectors and all(a == vectors[0] or isinstance(a, types.Number) for a in args):
                return signature_of(result(vectors[0].dtype), *args)

    infer_global(function)(Typing)

    def codegen(context, builder, signature, arguments):
        return emit(builder, *_operands(context, builder, signature, arguments))

    for pair in _PAIRS:
        lower_builtin(function, *pair)(codegen)


for _function, _name in _BINARY.items():
    _operator(_function, Vector, lambda builder, x, y, name=_name: getattr(builder, name)(x, y, flags=_FLAGS))
for _function, _name in _COMPARE.items():
    _operator(_function, Lanes, lambda builder, x, y, name=_name: builder.fcmp_ordered(name, x, y))


# ---- memory ----------------------------------------------------------------------------------------------------------
def _pointer(builder, address, kind):
    return builder.inttoptr(address, kind.as_pointer())


@intrinsic
def load(typingctx, zero, address, keep=None, other=None):
    """The vector at the address; with `keep`, only its lanes are read, the rest is `other`."""
    partial = isinstance(keep, Lanes)

    def codegen(context, builder, signature, arguments):
        kind, size = _vector(zero), zero.bitwidth // 8
        if not partial:
            value = builder.load(_pointer(builder, arguments[1], kind))
            value.align = size
            return value
        _, address, keep, other = arguments
        other = _spread(builder, context.cast(builder, other, signature.args[3], zero), LANES[zero])
        arguments = [_pointer(builder, address, kind), ir.Constant(ir.IntType(32), size), keep, other]
        return _call(builder, f"llvm.masked.load.{_suffix(zero)}.p0", kind, arguments)

    given = (keep, other) if partial else (types.none, types.none)
    return Vector(zero)(zero, types.int64, *given), codegen


@intrinsic
def store(typingctx, vector, address, keep=None):
    """Write the vector, or those of its lanes that are kept."""
    partial = isinstance(keep, Lanes)

    def codegen(context, builder, signature, arguments):
        number = vector.dtype
        pointer, size = _pointer(builder, arguments[1], _vector(number)), number.bitwidth // 8
        if partial:
            given = [arguments[0], pointer, ir.Constant(ir.IntType(32), size), arguments[2]]
            _call(builder, f"llvm.masked.store.{_suffix(number)}.p0", ir.VoidType(), given)
        else:
            builder.store(arguments[0], pointer).align = size
        return context.get_dummy_value()

    return types.void(vector, types.int64, keep if partial else types.none), codegen


@intrinsic
def truths(typingctx, zero, address, keep):
    """The lanes, among those kept, whose byte at the address is not 0."""

    def codegen(context, builder, signature, arguments):
        _, address, keep = arguments
        count = LANES[zero]
        kind = ir.VectorType(ir.IntType(8), count)
        given = [_pointer(builder, address, kind), ir.Constant(ir.IntType(32), 1), keep, _constant(kind, 0)]
        read = _call(builder, f"llvm.masked.load.v{count}i8.p0", kind, given)
        return builder.icmp_unsigned("!=", read, _constant(kind, 0))

    return Lanes(zero)(zero, types.int64, keep), codegen


# ---- lanes -----------------------------------------------------------------------------------------------------------
@intrinsic
def splat(typingctx, zero, number):
    """The number in each lane."""

    def codegen(context, builder, signature, arguments):
        return _spread(builder, context.cast(builder, arguments[1], signature.args[1], zero), LANES[zero])

    return Vector(zero)(zero, number), codegen


@intrinsic
def first(typingctx, zero, n):
    """The lanes below n, an int64: none if it is negative, all if it is large."""

    def codegen(context, builder, signature, arguments):
        n, count = arguments[1], LANES[zero]
        most = ir.Constant(n.type, count)
        n = builder.select(builder.icmp_signed(">", n, most), most, n)
        n = builder.select(builder.icmp_signed("<", n, ir.Constant(n.type, 0)), ir.Constant(n.type, 0), n)
        lane = ir.Constant(ir.VectorType(ir.IntType(32), count), list(range(count)))
        return builder.icmp_signed("<", lane, _spread(builder, builder.trunc(n, ir.IntType(32)), count))

    return Lanes(zero)(zero, types.int64), codegen


@intrinsic
def where(typingctx, keep, x, y):
    """x in the lanes kept, else y."""
    return x(keep, x, y), lambda context, builder, signature, arguments: builder.select(*arguments)


@intrinsic
def larger(typingctx, x, y):
    """x if x > y, else y, lane by lane: a NaN in x is passed over."""
    return x(x, y), lambda context, builder, signature, arguments: _larger(builder, *arguments)


@intrinsic
def total(typingctx, x):
    """The sum of the lanes."""
    return x.dtype(x), lambda context, builder, signature, arguments: _folded(
        builder, arguments[0], lambda builder, x, y: builder.fadd(x, y)
    )


@intrinsic
def lane(typingctx, x):
    """The first lane."""
    return x.dtype(x), lambda context, builder, signature, arguments: builder.extract_element(
        arguments[0], ir.Constant(ir.IntType(32), 0)
    )


@intrinsic
def largest(typingctx, x):
    """The largest lane that is not NaN, or some NaN."""
    return x.dtype(x), lambda context, builder, signature, arguments: _folded(builder, arguments[0], _larger)


# ---- exp -------------------------------------------------------------------------------------------------------------
# As in vectormath, whose numbers these are; by type, with the bits of the mantissa and the bias of the exponent.
_EXP = {
    types.float32: (
        vectormath.LOG2E4, vectormath.ROUND4, vectormath.LN2_HIGH4, vectormath.LN2_LOW4, *vectormath.EXP_RANGE4,
        23, 127, vectormath.EXP4,
    ),
    types.float64: (
        vectormath.LOG2E8, vectormath.ROUND8, vectormath.LN2_HIGH8, vectormath.LN2_LOW8, *vectormath.EXP_RANGE8,
        52, 1023, vectormath.EXP8,
    ),
}  # fmt: skip


def _exp(builder, x, number, bounded):
    log2e, magic, high2, low2, low, high, mantissa, bias, coefficients = _EXP[number]
    kind, bits = x.type, ir.VectorType(ir.IntType(number.bitwidth), x.type.count)

    def c(value):
        return _constant(kind, value)

    x = builder.select(builder.fcmp_ordered("<", x, c(low)), c(low), x)  # so that NaN passes through
    if not bounded:
        x = builder.select(builder.fcmp_ordered(">", x, c(high)), c(high), x)
    shifted = _fma(builder, x, c(log2e), c(magic))
    n = builder.fsub(shifted, c(magic))
    r = _fma(builder, n, c(-high2), x)
    r = _fma(builder, n, c(-low2), r)
    p = c(coefficients[0])
    for coefficient in coefficients[1:]:
        p = _fma(builder, p, r, c(coefficient))
    y = builder.fadd(_fma(builder, p, builder.fmul(r, r), r), c(1.0))
    n = builder.bitcast(shifted, bits)
    to_exponent = _constant(bits, mantissa)
    if bounded:  # 2**(n + lift) 2**-lift: the second product alone may round, when the result is subnormal
        lift = mantissa + 2
        power = builder.add(builder.shl(n, to_exponent), _constant(bits, bias + lift << mantissa))
        return builder.fmul(builder.fmul(y, builder.bitcast(power, kind)), c(2.0**-lift))
    n = builder.sub(n, builder.bitcast(c(magic), bits))
    half = builder.ashr(n, _constant(bits, 1))  # 2**n in two factors: 2**128 and 2**-149 are no single float32
    for part in (half, builder.sub(n, half)):
        power = builder.shl(builder.add(part, _constant(bits, bias)), to_exponent)
        y = builder.fmul(y, builder.bitcast(power, kind))
    return y


@intrinsic
def exp(typingctx, x):
    """e**x."""
    return x(x), lambda context, builder, signature, arguments: _exp(builder, arguments[0], x.dtype, bounded=False)


@intrinsic
def exp_below(typingctx, x):
    """e**x for x up to 64, in fewer steps: after the largest was subtracted."""
    return x(x), lambda context, builder, signature, arguments: _exp(builder, arguments[0], x.dtype, bounded=True)
