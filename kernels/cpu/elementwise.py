"""One kernel for each elementwise primitive, generated from its scalar text; and one for each of its gradient rules.

A text such as "{x} * sigmoid({x})" calls functions of vectormath.py and other elementwise primitives, whose texts are
put in their place. What remains is one expression; the loop around it vectorises and runs on all threads, so that
memory is read once and written once where NumPy makes a pass for each operator. The texts of rules come from
scalar_texts.py; a rule that has none is left as it is.

Up to three inputs may broadcast, and be views, where each is contiguous or constant along runs of the output: equal
shapes, a number, a row (..., C) + (C,), a channel (B, C, H, W) + (C, 1, 1), an outer product, columns x[:, :C], heads
that were moved before the steps of time; see `layout` in when/layouts.py.
"""

import ast
import functools
import hashlib
import math
import re
import struct

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.core import cgutils
from numba.extending import intrinsic, register_jitable

from ...primitive import PRIMITIVES
from ..scalar_texts import text_of_rule
from . import activation, vectormath
from .cache import _source, address
from .loops import on_all_threads
from .threads import WORKER, compiled, pointer, run
from .when import LEAVES, POWERS, READS, as_operand, contiguous, fits, layout
from .workers import call_worker

PARALLEL_FROM = 24_576  # elements; below, waking the second thread costs more than it brings
PART = 65_536  # elements a part: fine enough that a thread put aside by the system holds up little
SHORTEST = 8  # elements of a run; of a view with shorter ones a copy is made first
MOST_INPUTS = 3
AHEAD = 512  # bytes of the next run to be fetched early, of runs that are much longer
TRUTH = {"condition"}  # inputs of this name are of truth values

_FUNCTIONS = {name: getattr(activation, name, None) or getattr(vectormath, name, None) for name in LEAVES}
_FUNCTIONS |= {"abs": abs, "sqrt": math.sqrt}


# ---- from a text to a worker -----------------------------------------------------------------------------------------
class _Inline(ast.NodeTransformer):
    """A text in compiled functions only: composite primitives expanded, numbers in the type of the loop."""

    def __init__(self, names):
        self.names = names  # field -> syntax tree

    def visit_Name(self, node):
        return self.names[node.id]

    def visit_Constant(self, node):
        return ast.Call(ast.Name("kind"), [node], [])

    def visit_Call(self, node):
        name, arguments = node.func.id, [self.visit(a) for a in node.args]
        if name in _FUNCTIONS:
            return ast.Call(ast.Name(name), arguments, [])
        if name in ("logical_and", "logical_or"):  # of comparisons; `and` would branch
            return ast.BinOp(arguments[0], ast.BitAnd() if name == "logical_and" else ast.BitOr(), arguments[1])
        if name == "isnan":
            return ast.Compare(arguments[0], [ast.NotEq()], arguments)
        p = PRIMITIVES[name]
        if not p.inline or p.inline.startswith(f"{name}("):
            raise TypeError(f"{name} has no scalar text in terms of others")
        return inlined(p.inline, dict(zip(p.inputs, arguments, strict=True)))


def inlined(text, names):
    """The syntax tree of a text whose fields stand for the trees in `names`."""
    return _Inline(names).visit(ast.parse(re.sub(r"\{(\w+)\}", r"\1", text), mode="eval").body)


# n elements of the inputs a, b and c to y, all given by their addresses; the parameters are float64.
_LOOP = """
def make(zero):
    kind = type(zero)

    def loop(a, b, c, y, n, parameters):
        {start}
        y = carray(pointer(y), (n,), kind)
        for j in range(n):
            {reads}
            y[j] = {expression}

    return loop
"""


def worker(name, text, inputs, parameters=(), truth=()):
    """dtype -> address of the loop of y = text, for up to three inputs and keyword numbers.

    truth: which of the inputs are of truth values.
    """
    names = {field: ast.Name(f"v{i}") for i, field in enumerate(inputs)}
    names |= {field: ast.Name(f"p{i}") for i, field in enumerate(parameters)}
    start, reads = [f"given = carray(pointer(parameters), ({len(parameters)},), float64)"], []
    start += [f"p{i} = kind(given[{i}])" for i in range(len(parameters))]
    for i, field in enumerate(inputs):
        start.append(f"x{i} = carray(pointer({'abc'[i]}), (n,), {'uint8' if field in truth else 'kind'})")
        reads.append(f"v{i} = x{i}[j]" + (" != 0" if field in truth else ""))
    expression = ast.unparse(ast.fix_missing_locations(inlined(text, names)))
    return _made(name, _LOOP.format(start="; ".join(start), reads="; ".join(reads), expression=expression))


def _made(name, source):
    """dtype -> address of the loop that the source makes."""
    space = {"carray": carray, "pointer": pointer, "uint8": np.uint8, "float64": np.float64}
    space |= _FUNCTIONS | {"__name__": __name__, "vectormath": vectormath}
    exec(compile(source, f"<{name}>", "exec"), space)
    digest = _source(__file__) + hashlib.sha256(source.encode()).hexdigest()

    @functools.cache
    def compile_for(dtype):
        return address(WORKER, text=digest, fastmath={"contract"})(space["make"](dtype.type(0)))

    return lambda dtype: compile_for(dtype)[1]


# ---- the walk over the runs ------------------------------------------------------------------------------------------
_HEAD = 2 + MOST_INPUTS  # numbers before those of the layout
_INPUTS = _HEAD + 3  # where those of the first input begin


@intrinsic
def _prefetch(typingctx, address):
    """Bring the cache line at the address near, if there is one."""

    def codegen(context, builder, signature, arguments):
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        given = [ir.Constant(number, n) for n in (0, 3, 1)]  # to read, into all caches, data
        builder.call(function, [builder.inttoptr(arguments[0], byte), *given])
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@register_jitable
def _repeat(to, number, size, n):
    """Write n times the number of 1, 4 or 8 bytes at an address."""
    if size == 1:
        carray(pointer(to), (n,), np.int8)[:] = carray(pointer(number), (1,), np.int8)[0]
    elif size == 4:
        carray(pointer(to), (n,), np.int32)[:] = carray(pointer(number), (1,), np.int32)[0]
    else:
        carray(pointer(to), (n,), np.int64)[:] = carray(pointer(number), (1,), np.int64)[0]


@compiled
def _walk(zero):
    """Call a loop for each run of the output. a, b: inputs, c: the output. numbers: the address of the loop, how many
    inputs, the bytes of an element of each; a layout, with the addresses of inputs that are not a or b; parameters.

    It is the same for all texts and types. An input that is constant along the runs is read from a buffer filled with
    it, so that one loop serves all.
    """

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (_INPUTS + MOST_INPUTS * READS,), np.int64)
        loop, inputs, item = given[0], given[1], given[2]
        size, run, block = given[_HEAD], given[_HEAD + 1], given[_HEAD + 2]
        parameters = numbers + 8 * (_INPUTS + READS * inputs)
        repeats = 0
        for k in range(inputs):
            repeats += given[_INPUTS + READS * k + 1] == 0
        own = np.empty(8 + (inputs * block if repeats else 0), np.int64)  # places, what the buffers hold; the buffers
        places, held = own[:MOST_INPUTS], own[MOST_INPUTS : 2 * MOST_INPUTS]
        places[:], held[:] = 0, 0
        i, stop = size * part // parts, size * (part + 1) // parts
        segment = i // run
        within, ahead = i - segment * run, AHEAD if run >= 128 else 0
        while i < stop:
            n = min(run - within, stop - i, block)
            for k in range(inputs):
                first = _INPUTS + READS * k
                step, at = given[first + 1], given[first + 1] * within
                for level in range(first + 3, first + 3 + 3 * given[first + 2], 3):
                    place = segment // given[level] if given[level] > 1 else segment
                    at += (place % given[level + 1] if given[level + 1] else place) * given[level + 2]
                base = given[first] if given[first] else a_base if k == 0 else b_base
                before, places[k] = places[k], base + given[2 + k] * at
                if step:  # the next run is likely to lie as far away; the processor does not foresee where it begins
                    for line in range(0, ahead, 64):
                        _prefetch(2 * places[k] - before + line)
                else:
                    buffer = own.ctypes.data + 8 * (8 + k * block)
                    if held[k] != places[k]:
                        held[k] = places[k]
                        _repeat(buffer, held[k], given[2 + k], block)
                    places[k] = buffer
            call_worker(loop, places[0], places[1], places[2], c_base + item * i, n, parameters)
            i += n
            within += n
            if within == run:
                segment, within = segment + 1, 0
        own[:0] = 0  # alive until here: only its address was used

    return work


def _numbers(loop, inputs, layout, parameters):
    """What `_walk` reads. inputs: bytes of an element of each; parameters: the bytes of the numbers."""
    sizes = (*inputs, *[0] * (MOST_INPUTS - len(inputs)))
    return np.concatenate([np.array((loop, len(inputs), *sizes)), layout, np.frombuffer(parameters, np.int64)])


@functools.lru_cache(maxsize=4096)
def _whole(loop, size, inputs, item, last, parameters):
    """The numbers for contiguous inputs of one shape. item, last: bytes of an element, and of one of the last input."""
    return _numbers(loop, [item] * (inputs - 1) + [last], contiguous(size, inputs), parameters)


@functools.lru_cache(maxsize=2048)
def _placed(loop, parameters, *inputs, ordered=True):
    """The layout of inputs (shape, strides, bytes of an element) with the numbers of the walk, or None."""
    found = layout(*inputs, ordered=ordered)
    return found and found._replace(numbers=_numbers(loop, [size for *_, size in inputs], found.numbers, parameters))


def launch(arrays, numbers, y):
    """Walk over y. arrays: of y's type, the last may be of truth values."""
    operands, own = [y, y], numbers
    for i, x in enumerate(arrays):
        if i < 2 and x.flags.carray and x.dtype == y.dtype:
            operands[i] = x
            continue
        own = numbers.copy() if own is numbers else own  # those given serve the next call too
        own[_INPUTS + READS * i] = x.ctypes.data
    alone = y.size < PARALLEL_FROM
    run(_walk(_ANY), *operands, y, own, alone=alone, parts=1 if alone else max(2, y.size // PART))
    return y


_ANY = np.dtype(np.float32)  # the walk moves bytes


def apply(made, arrays, dtype, parameters=(), ordered=True):
    """y = the text of the arrays, in their order of axes or in C order."""
    x, loop, parameters = arrays[0], made(dtype), struct.pack(f"{len(parameters)}d", *parameters) if parameters else b""
    if x.flags.carray and all([other.shape == x.shape and other.flags.carray for other in arrays[1:]]):
        y = np.empty(x.shape, dtype)
        return launch(arrays, _whole(loop, y.size, len(arrays), y.itemsize, arrays[-1].itemsize, parameters), y)
    describe = lambda: _placed(loop, parameters, *[(x.shape, x.strides, x.itemsize) for x in arrays], ordered=ordered)
    arrays = [x if x.flags.aligned else x.copy() for x in arrays]
    found = describe()
    if found is None or found.run < SHORTEST:  # elements far apart
        arrays = [x if x.flags.carray else x.copy() for x in arrays]
        found = describe()
    if found is None:  # repetitions on too many levels
        shape = np.broadcast_shapes(*(x.shape for x in arrays))
        arrays = [np.broadcast_to(x, shape).copy() for x in arrays]
        found = describe()
    if found.order is None:
        return launch(arrays, found.numbers, np.empty(found.shape, dtype))
    y = np.empty([found.shape[i] for i in found.order], dtype)
    return launch(arrays, found.numbers, y).transpose(np.argsort(found.order))


def elementwise(name):
    """The kernel of an elementwise primitive of up to three inputs."""
    p = PRIMITIVES[name]
    text = f"{name}({', '.join(p.inputs)})" if name in LEAVES else p.inline
    made, defaults = worker(name, text, p.inputs, p.defaults), tuple(p.defaults)

    def unary(x, **params):
        return apply(made, (x,), x.dtype, [params.get(k, p.defaults[k]) for k in defaults])

    def several(*operands, **params):
        dtype = next(x.dtype for x in operands if hasattr(x, "dtype"))
        arrays = [as_operand(x, dtype) for x in operands]
        return apply(made, arrays, dtype, [params.get(k, p.defaults[k]) for k in defaults])

    chosen = unary if len(p.inputs) == 1 else several
    chosen.worker = made
    return chosen


_chosen = worker("where", "where({c}, {a}, {b})", ("a", "b", "c"), truth=("c",))


def where(condition, a, b):
    """y = a where the condition holds, else b."""
    dtype = a.dtype if hasattr(a, "dtype") else b.dtype
    return apply(_chosen, (as_operand(a, dtype), as_operand(b, dtype), condition), dtype)


_clipped = worker("clip", "minimum(maximum({x}, {min}), {max})", ("x", "min", "max"))


def clip(x, min=None, max=None):
    """y = x, or min where x < min, or max where x > max."""
    bounds = -math.inf if min is None else min, math.inf if max is None else max
    return apply(_clipped, (x, *(as_operand(bound, x.dtype) for bound in bounds)), x.dtype)


_FINITE = "where({x} != {x}, {nan}, where({x} > {most}, {above}, where({x} < {least}, {below}, {x})))"
_finite = worker("nan_to_num", _FINITE, ("x",), ("nan", "above", "below", "most", "least"))


def nan_to_num(x, *, nan=0.0, posinf=None, neginf=None):
    """y = x with numbers for NaN and the infinities."""
    most = float(np.finfo(x.dtype).max)
    given = nan, most if posinf is None else posinf, -most if neginf is None else neginf
    return apply(_finite, (x,), x.dtype, [*given, most, -most])


# Elements at a time, so that a quotient too large for the straight line delays only its neighbours.
_DIVIDE = """
def make(zero):
    kind = type(zero)

    def loop(a, b, c, y, n, parameters):
        a, b, y = carray(pointer(a), (n,), kind), carray(pointer(b), (n,), kind), carray(pointer(y), (n,), kind)
        for start in range(0, n, 512):
            u, v, w = a[start : start + 512], b[start : start + 512], y[start : start + 512]
            far = False
            for j in range(u.size):
                q, r = vectormath.divided(u[j], v[j])
                w[j] = vectormath.{name}(q, r, u[j], v[j])
                far |= vectormath.is_far(u[j], v[j])
            if far:
                for j in range(u.size):
                    if vectormath.is_far(u[j], v[j]):
                        q, r = vectormath.divided_far(u[j], v[j])
                        w[j] = vectormath.{name}(q, r, u[j], v[j])

    return loop
"""


def _divides(name):
    """The kernel of a primitive that finishes the quotient and the rest of |a| / |b|."""
    made = _made(name, _DIVIDE.format(name=name))

    def kernel(a, b):
        dtype = a.dtype if hasattr(a, "dtype") else b.dtype
        return apply(made, (as_operand(a, dtype), as_operand(b, dtype)), dtype)

    return kernel


fmod, remainder, floor_divide = map(_divides, ("fmod", "remainder", "floor_divide"))
_powers = on_all_threads("power")


@functools.cache
def _to_the(exponent):
    return worker("power", POWERS[exponent], ("a",))


def power(a, b):
    """a**b: products for the exponents in POWERS, for others NumPy's loop."""
    if type(b) not in (int, float) or b not in POWERS:
        return _powers(a, b)
    return apply(_to_the(b), (a,), a.dtype)


_copied = worker("copy", "{x}", ("x",))


def copy(x):
    """x in an array of its own, C order; also of a view."""
    return apply(_copied, (x,), x.dtype, ordered=False)


# ---- from a rule to a kernel -----------------------------------------------------------------------------------------
def rule(name, function, needs, keywords):
    """The gradient rule `function` as one kernel, or None: for at most three arrays among what it needs."""
    inputs = [n for n in needs if n != "F" and n not in keywords]
    parameters = [n for n in needs if n in keywords]
    if not 1 <= len(inputs) <= MOST_INPUTS or {"shapes", "i"} & set(needs):
        return None
    text, truth = text_of_rule(function, needs), [n for n in inputs if n in TRUTH]
    if text is None:
        return None
    inputs.sort(key=lambda n: n in TRUTH)
    try:
        made = worker(f"{name}_rule", text, inputs, parameters, truth)
    except (TypeError, KeyError):
        return None
    places, at = [needs.index(n) for n in inputs], [needs.index(n) for n in parameters]

    def call(*operands):
        arrays = [operands[i] for i in places]
        if not fits(arrays, len(truth)):
            return function(*operands)
        return apply(made, arrays, arrays[0].dtype, [operands[i] for i in at])

    call.worker = made
    return call
