"""Special functions of one input: the straight-line forward of a primitive, written down once, becomes one loop.

A forward such as lgamma's is some hundred operations on arrays, each a pass over memory. Here it is called with
`Traced` numbers, which write a line for each operation; the loop around these lines vectorises. What no line can say (a
complex number, a power that is no whole number) leaves the forward as it is.
"""

import functools
import hashlib
import math

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.core import cgutils
from numba.extending import intrinsic

from ...primitive import PRIMITIVES
from . import trigonometry, vectormath
from .cache import _source, address
from .threads import WORKER, WORKERS, pointer, run
from .when import SPECIAL

PARALLEL_FROM = 1_024  # elements
PART = 8_192


def _rounding(name):
    """llvm.rint or llvm.trunc, which vectorise."""

    def rounded(typingctx, x):
        def codegen(context, builder, signature, arguments):
            kind = ir.FunctionType(arguments[0].type, [arguments[0].type])
            function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.f{x.bitwidth}")
            return builder.call(function, arguments)

        return (x(x), codegen) if isinstance(x, types.Float) else None

    rounded.__name__ = rounded.__qualname__ = name
    return intrinsic(rounded)


_CALLED = {name: getattr(vectormath, name) for name in ("exp", "log", "log1p", "expm1", "sign", "maximum", "minimum")}
_CALLED |= {"sin": trigonometry.sine, "cos": trigonometry.cosine, "tan": trigonometry.tangent}
_CALLED |= {"round": _rounding("rint"), "trunc": _rounding("trunc"), "sqrt": math.sqrt, "abs": abs}


class Traced:
    """A number that writes down what is done to it. kind: "kind", the type of the arrays; "float64"; or "bool"."""

    def __init__(self, lines, text, kind="kind"):
        self.lines, self.kind, self.name = lines, kind, f"t{len(lines)}"
        lines.append(f"{self.name} = {text}")

    dtype = property(lambda self: self.kind)
    __hash__ = None  # it has no value, so that nothing may look it up

    def __bool__(self):
        raise TypeError("a forward that looks at values has no lines")

    def text(self, other):
        """Another operand beside this one, a number in its type."""
        return other.name if isinstance(other, Traced) else f"{self.kind}({float(other)!r})"

    def astype(self, dtype):
        return Traced(self.lines, f"{dtype}({self.name})", str(dtype))

    def __neg__(self):
        return Traced(self.lines, f"-{self.name}", self.kind)

    def __pow__(self, n):
        if not isinstance(n, int):
            raise TypeError("a power that is no whole number has no lines")
        if n < 0:
            return 1 / self**-n
        if n < 2:
            return self if n else 1.0
        half = self ** (n // 2)
        return half * half * self if n % 2 else half * half


def _operators(sign, kind=None):
    plain = lambda a, b: Traced(a.lines, f"{a.name} {sign} {a.text(b)}", kind or a.kind)
    return plain, lambda a, b: Traced(a.lines, f"{a.text(b)} {sign} {a.name}", kind or a.kind)


for _name, _sign in (("add", "+"), ("sub", "-"), ("mul", "*"), ("truediv", "/")):
    _plain, _reflected = _operators(_sign)
    setattr(Traced, f"__{_name}__", _plain)
    setattr(Traced, f"__r{_name}__", _reflected)
for _name, _sign in (("lt", "<"), ("le", "<="), ("gt", ">"), ("ge", ">="), ("eq", "=="), ("ne", "!=")):
    setattr(Traced, f"__{_name}__", _operators(_sign, "bool")[0])


class Lines:
    """`xp` for traced numbers."""

    def __init__(self, lines):
        self.lines = lines

    def __getattr__(self, name):
        if name not in _CALLED:
            raise AttributeError(f"{name} has no lines")
        return lambda *given: self.call(name, *given)

    def call(self, name, *given):
        first = next(x for x in given if isinstance(x, Traced) and x.kind != "bool")
        texts = [x.name if isinstance(x, Traced) else first.text(x) for x in given]
        return Traced(self.lines, f"{name}({', '.join(texts)})", first.kind)

    def where(self, condition, a, b):
        return self.call("where", condition, a, b)

    def clip(self, x, low, high):
        return self.minimum(self.maximum(x, low), high)

    def equal(self, a, b):
        return Traced.__eq__(a, b)

    def logical_and(self, a, b):
        return Traced(self.lines, f"{a.name} & {b.name}", "bool")

    def logical_or(self, a, b):
        return Traced(self.lines, f"{a.name} | {b.name}", "bool")

    def isinf(self, x):
        return self.abs(x) == math.inf

    def isfinite(self, x):
        return self.abs(x) < math.inf

    def copysign(self, size, x):
        """size > 0 with the sign of x: the bits tell that of -0."""
        return Traced(self.lines, f"where(bits_of({x.name}) < 0, {x.text(-size)}, {x.text(size)})", x.kind)


_WORKER = """
def make(zero):
    kind, size = type(zero), zero.itemsize

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (1,), int64)
        low, high = given[0] * part // parts, given[0] * (part + 1) // parts
        n = high - low
        x, y = carray(pointer(a_base + size * low), (n,), kind), carray(pointer(c_base + size * low), (n,), kind)
        for j in range(n):
            t0 = x[j]
            {lines}
            y[j] = {result}

    return work
"""


def traced(name, **params):
    """The lines of a primitive's forward and the name of the result; TypeError or AttributeError where it has none."""
    lines = []
    x = Traced(lines, "x[j]")
    y = PRIMITIVES[name].forward(Lines(lines), x, **params)
    return lines[1:], y.name


@functools.cache
def worker(name, **params):
    """dtype -> address of the worker that computes a primitive of one input."""

    @functools.cache
    def compile_for(dtype):
        lines, result = traced(name, **params)
        source = _WORKER.format(lines=f"\n{' ' * 12}".join(lines), result=result)
        space = {**_CALLED, "where": vectormath.where, "bits_of": vectormath.bits_of, "inf": math.inf, "nan": math.nan}
        space |= {"carray": carray, "pointer": pointer, "int64": np.int64, "float64": np.float64, "__name__": __name__}
        exec(compile(source, f"<{name}>", "exec"), space)
        digest = _source(__file__) + hashlib.sha256(source.encode()).hexdigest()
        return address(WORKER, text=digest, fastmath={"contract"})(space["make"](dtype.type(0)))

    return lambda dtype: compile_for(dtype)[1]


def special(name):
    """The kernel of a special function of one input."""

    def kernel(x, **params):
        x = x if x.flags.carray else x.copy()
        y = np.empty(x.shape, x.dtype)
        made = worker(name, **params)
        run(made(x.dtype), x, x, y, (x.size,), alone=x.size < PARALLEL_FROM, parts=max(2, x.size // PART))
        return y

    return kernel


WORKERS |= {f"special.{name}": worker(name, **params) for name, params in SPECIAL.items()}
