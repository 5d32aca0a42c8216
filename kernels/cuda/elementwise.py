"""One kernel for each elementwise primitive, generated from its scalar text, and one for each of its gradient rules.

An operand is an array of the call's type, an array of truth values, or a Python number, and arrays may broadcast and
have any strides: see elementwise.cu. A kernel is compiled for each combination that occurs.
"""

import functools

from ...primitive import PRIMITIVES
from ..scalar_texts import text_of_rule
from .launch import Source, ceil_div, device
from .texts import written
from .when import elementwise_when, written_from

AXES = 4  # of the output, after neighbours have been merged
_INT_LIMIT = 2**31 - 2**16


@functools.lru_cache(maxsize=4096)
def layout(shapes, steps):
    """How arrays broadcast: (shape of the output, lengths from the last axis on, for each array its steps along these).

    steps: in elements. Axes of length 1 go, and those that can be walked as one in all arrays are merged; None where
    more than AXES remain.
    """
    ndim = max(map(len, shapes))
    shape = [1] * ndim
    padded = []
    for own, step in zip(shapes, steps):
        own, step = (1,) * (ndim - len(own)) + own, (0,) * (ndim - len(own)) + step
        padded.append([0 if n == 1 else s for n, s in zip(own, step)])
        shape = [n if m == 1 else m for m, n in zip(shape, own)]
    lengths, walks = [], [[] for _ in shapes]
    for axis in reversed(range(ndim)):
        if shape[axis] == 1:
            continue
        here = [p[axis] for p in padded]
        if lengths and all(w[-1] * lengths[-1] == s for w, s in zip(walks, here)):
            lengths[-1] *= shape[axis]
            continue
        lengths.append(shape[axis])
        for w, s in zip(walks, here):
            w.append(s)
    if len(lengths) > AXES:
        return None
    missing = AXES - len(lengths)
    return tuple(shape), (*lengths, *[1] * missing), tuple((*w, *[0] * missing) for w in walks)


@functools.cache
def source(expression, kinds):
    """The kernel of an expression for operands of these kinds: "T" or "bool" arrays, or "number"."""
    arrays = [f"M({i}, {kind})" for i, kind in enumerate(kinds) if kind != "number"]
    numbers = [f"M({i})" for i, kind in enumerate(kinds) if kind == "number"]
    lines = (
        "#define ARRAYS(M) " + " ".join(arrays),
        "#define NUMBERS(M) " + " ".join(numbers),
        f"#define COMPUTE ({expression})",
    )
    return Source("elementwise", "".join(f"{line}\n" for line in lines))


class Elementwise:
    """The kernel of a text. Operands in the order of `inputs`, then the keyword numbers."""

    def __init__(self, text, inputs, parameters=()):
        self.text, self.inputs, self.parameters = text, tuple(inputs), tuple(parameters)

    @functools.lru_cache(maxsize=64)  # noqa: B019  kernels live as long as the process
    def source(self, kinds):
        names = {
            field: f"n{i}" if kind == "number" else f"x{i}"
            for i, (field, kind) in enumerate(zip((*self.inputs, *self.parameters), kinds))
        }
        return source(written(self.text, names), kinds)

    def __call__(self, *operands):
        on = device()
        arrays = [x for x in operands if hasattr(x, "dtype")]
        dtype = next(x.dtype for x in arrays if x.dtype.kind != "b")
        found = layout(tuple(x.shape for x in arrays), tuple(_steps(x) for x in arrays))
        if found is None:  # many axes in different orders
            shape = on.xp.broadcast_shapes(*(x.shape for x in arrays))
            arrays = [on.xp.ascontiguousarray(on.xp.broadcast_to(x, shape)) for x in arrays]
            found = layout((shape,) * len(arrays), tuple(_steps(x) for x in arrays))
        shape, (inner, d1, d2, d3), walks = found
        y = on.empty(shape, dtype)
        pack = 16 // dtype.itemsize
        alone = d1 == d2 == d3 == 1
        wide = (alone or inner % pack == 0) and all(
            on.address(x) % (pack * x.dtype.itemsize) == 0 and all(s % pack == 0 for s in walk[1:])
            for x, walk in zip(arrays, walks)
            if walk[0] == 1
        )
        chunks = ceil_div(inner, pack) * d1 * d2 * d3
        given, rest, kinds = [], iter(zip(arrays, walks)), []
        for x in operands:
            if hasattr(x, "dtype"):
                array, walk = next(rest)
                given += (array, *walk)
                kinds.append("bool" if array.dtype.kind == "b" else "T")
            else:
                kinds.append("number")
        numbers = [float(x) for x in operands if not hasattr(x, "dtype")]
        reach = max(y.size, *(sum(abs(s) * (n - 1) for s, n in zip(walk, (inner, d1, d2, d3))) for walk in walks))
        index = "int" if reach < _INT_LIMIT else "i64"
        arguments = (y, chunks, inner, d1, d2, int(wide), *given, *numbers)
        block = 256
        run = self.source(tuple(kinds))("elementwise", dtype, Index=index)
        run((ceil_div(chunks, block),), (block,), arguments)
        return y


def _steps(x):
    size = x.dtype.itemsize
    return tuple(s // size for s in x.strides)


@functools.cache
def kernel(name):
    p = PRIMITIVES[name]
    return Elementwise(written_from(p), p.inputs, p.defaults)


def elementwise(name):
    """The kernel of an elementwise primitive."""
    p, run = PRIMITIVES[name], kernel(name)
    if not p.defaults:
        return run
    names = tuple(p.defaults.items())
    return lambda *arrays, **params: run(*arrays, *[params.get(k, v) for k, v in names])


_copied = Elementwise("{x}", ("x",))


def copy(x):
    """x in an array of its own, C order."""
    return _copied(x)


def rule(name, function, needs, keywords):
    """The gradient rule `function` as one kernel, or None where it has no scalar text."""
    arrays = [n for n in needs if n != "F" and n not in keywords]
    parameters = [n for n in needs if n in keywords]
    if not arrays or len(arrays) > AXES or {"shapes", "i"} & set(needs):
        return None
    text = text_of_rule(function, needs)
    if text is None:
        return None
    run = Elementwise(text, arrays, parameters)
    try:
        run.source(("T",) * len(arrays) + ("number",) * len(parameters))
    except (TypeError, KeyError, AttributeError, ValueError):
        return None
    at = [needs.index(n) for n in (*arrays, *parameters)]
    count = len(arrays)

    def call(*operands):
        chosen = [operands[i] for i in at]
        if not all(type(v) in (int, float) for v in chosen[count:]) or not _serves(chosen[:count]):
            return function(*operands)
        return run(*chosen)

    call.kernel = run
    return call


def _serves(arrays):
    try:
        return elementwise_when(*arrays)
    except (AttributeError, TypeError, ValueError):
        return False
