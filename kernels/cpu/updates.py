"""Optimizer steps generated from the formula of one element: all parameters in one call, one pass over memory.

A row is a text in the names of the state, ``p``, ``g`` and numbers, and a function that gives the numbers of a step:

    @update("exp_avg += w1 * (g - exp_avg)\\np -= rate * exp_avg", arrays=("exp_avg",), counts=("step",))
    def momentum(t, *, lr, beta):
        return {"w1": 1 - beta, "rate": lr / (1 - beta**t)}, ()

The formulas are those of `update` in minigrad/optim, in their order of operations. The numbers are worked out in
float64 for each parameter, from its step count t and the other counts, whose new values are returned beside them.
"""

import ast
import functools
import hashlib
import textwrap

import numpy as np
from numba import carray
from numba.extending import register_jitable

from . import vectormath
from .cache import _source, address
from .optim_table import _ADDRESSES, _BYTES, _share, _table, run_rows
from .threads import WORKER, WORKERS, pointer
from .tiles import item_size

_LOOP = """
def make(zero):
    kind = type(zero)

    def work(table_base, values_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (3,), int64)
        table = carray(pointer(table_base), (given[0], {first} + given[1]), int64)
        values = carray(pointer(values_base), (given[0], {count}), float64)
        for row in range(given[0]):
            start, n = share(table, row, item_size(zero), part, parts, given[2])
            if n > 0:
                at = table[row, {first}:] + start * item_size(zero)
                {arrays} = {views}
                {numbers} = {values}
                one = kind(1)
                for i in range(n):
                    {elements} = {loads}
{text}
                    {stores} = {stored}

    return work
"""


@register_jitable(error_model="numpy", fastmath={"contract"})
def decayed(g, p, way, decay):
    return way * g + decay * p if decay != 0 else way * g  # not 0 * p: p may be infinite


_FUNCTIONS = {"decayed": decayed, "sqrt": np.sqrt, "abs": abs, "where": vectormath.where}
_FUNCTIONS |= {name: getattr(vectormath, name) for name in ("maximum", "minimum", "sign")}
_SPACE = {"carray": carray, "pointer": pointer, "int64": np.int64, "float64": np.float64, "share": _share}
_SPACE |= {"item_size": item_size, "__name__": __name__, **_FUNCTIONS}


def _numbers(text, held):
    """The names that the text reads and neither sets nor finds among the arrays: its numbers."""
    names = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)]
    known = {n.id for n in names if isinstance(n.ctx, ast.Store)} | {*held, *_FUNCTIONS, "zero", "one"}
    return sorted({n.id for n in names} - known)


def _worker(name, text, held, numbers):
    """dtype -> address of the worker that changes the arrays `held`, but g, with this text for an element."""
    written = [a for a in held if a != "g"]
    tuple_of = lambda parts: ", ".join(parts) + ","
    source = _LOOP.format(
        first=_ADDRESSES,
        count=len(numbers),
        arrays=tuple_of(f"all_{a}" for a in held),
        views=tuple_of(f"carray(pointer(at[{i}]), (n,), kind)" for i in range(len(held))),
        numbers=tuple_of(numbers),
        values=tuple_of(f"kind(values[row, {i}])" for i in range(len(numbers))),
        elements=tuple_of(held),
        loads=tuple_of(f"all_{a}[i]" for a in held),
        text=textwrap.indent(text.strip(), " " * 20),
        stores=tuple_of(f"all_{a}[i]" for a in written),
        stored=tuple_of(written),
    )

    @functools.cache
    def compile_for(dtype):
        exec(compile(source, f"<{name}>", "exec"), space := dict(_SPACE))
        digest = _source(__file__) + hashlib.sha256(source.encode()).hexdigest()
        return address(WORKER, text=digest, fastmath={"contract"})(space["make"](dtype.type(0)))

    WORKERS[f"updates.{name}"] = worker = lambda dtype: compile_for(dtype)[1]
    return worker


def update(text, *, arrays, counts=()):
    """Decorator: numbers(t, *counts, **options) -> ({name: number of the text}, new values of the counts but the step).

    The result takes rows (parameter, gradient, *arrays, *counts) as one tuple, and gives for each whether it was
    served. counts: arrays of one number; the first is the step count, which gets one more.
    """
    held = ("p", "g", *arrays)
    width, own, names = len(held), len(held) + len(counts), _numbers(text, held)

    def declare(numbers):
        worker = _worker(numbers.__name__, text, held, names)

        def step(given, **options):
            rows = len(given) // own
            table = _table(tuple(a for i, a in enumerate(given) if i % own < width), width, False)
            if table is None:
                return [False] * rows
            values, known = np.zeros((rows, len(names))), {}
            for row, served in enumerate(table[:rows, _BYTES].tolist()):
                if not served:
                    continue
                count = given[row * own + width : (row + 1) * own]
                key = tuple([a[()] for a in count])
                t = [float(n) + 1 for n in key[:1]]
                if key not in known:
                    found, after = numbers(*t, *key[1:], **options)
                    known[key] = [found[name] for name in names], (*t, *after)
                values[row], after = known[key]
                for a, value in zip(count, after, strict=True):
                    a[...] = value
            return run_rows(worker, table, width, values)

        step.__name__ = numbers.__name__
        step.__doc__ = f"Rows (parameter, gradient, {', '.join((*arrays, *counts))}): see `minigrad.optim`."
        return step

    return declare


def _signed(lr, weight_decay, maximize, decoupled=False):
    """The numbers of `decayed` and, where weight decay is decoupled, of p = p * shrink."""
    shrink, decay = (1 - lr * weight_decay, 0.0) if decoupled else (1.0, weight_decay)
    return {"way": -1.0 if maximize else 1.0, "decay": decay, "shrink": shrink}


_MOMENTS = """
p = p * shrink
g = decayed(g, p, way, decay)
exp_avg = exp_avg + w1 * (g - exp_avg)
exp_avg_sq = beta2 * exp_avg_sq + w2 * (g * g)
"""


@update(
    """
g = decayed(g, p, way, decay)
exp_avg = exp_avg + w1 * (g - exp_avg)
exp_inf = maximum(beta2 * exp_inf, abs(g) + eps)
p = p - rate * (exp_avg / exp_inf)
""",
    arrays=("exp_avg", "exp_inf"),
    counts=("step",),
)
def adamax(t, *, lr, betas, eps, weight_decay, maximize):
    b1, b2 = betas
    rate = {"w1": 1 - b1, "beta2": b2, "eps": eps, "rate": lr / (1 - b1**t)}
    return _signed(lr, weight_decay, maximize) | rate, ()


@update(
    _MOMENTS + "p = p - (of_g * g + of_m * exp_avg) / (sqrt(exp_avg_sq) / root + eps)",
    arrays=("exp_avg", "exp_avg_sq"),
    counts=("step", "mu_product"),
)
def nadam(t, product, *, lr, betas, eps, weight_decay, momentum_decay, maximize, decoupled_weight_decay):
    b1, b2 = betas
    u, ahead = (b1 * (1 - 0.5 * 0.96 ** (k * momentum_decay)) for k in (t, t + 1))
    kept = product * product.dtype.type(u)  # float32 at first, as PyTorch's
    product = float(kept)
    moments = {"w1": 1 - b1, "beta2": b2, "w2": 1 - b2, "eps": eps, "root": (1 - b2**t) ** 0.5}
    rates = {"of_g": lr * (1 - u) / (1 - product), "of_m": lr * ahead / (1 - product * ahead)}
    return _signed(lr, weight_decay, maximize, decoupled_weight_decay) | moments | rates, (kept,)


@update(
    _MOMENTS + "p = p - rate * exp_avg * where(known > zero, factor / (sqrt(exp_avg_sq) + eps), one)",
    arrays=("exp_avg", "exp_avg_sq"),
    counts=("step",),
)
def radam(t, *, lr, betas, eps, weight_decay, maximize, decoupled_weight_decay):
    b1, b2 = betas
    largest = 2 / (1 - b2) - 1
    r = largest - 2 * t * b2**t / (1 - b2**t)
    known, factor = r > 5, 0.0
    if known:
        factor = ((r - 4) * (r - 2) * largest / ((largest - 4) * (largest - 2) * r) * (1 - b2**t)) ** 0.5
    moments = {"w1": 1 - b1, "beta2": b2, "w2": 1 - b2, "eps": eps}
    rates = {"rate": lr / (1 - b1**t), "factor": factor, "known": float(known)}
    return _signed(lr, weight_decay, maximize, decoupled_weight_decay) | moments | rates, ()


@update(
    """
g = decayed(g, p, way, decay)
sum = sum + g * g
p = p - rate * (g / (sqrt(sum) + eps))
""",
    arrays=("sum",),
    counts=("step",),
)
def adagrad(t, *, lr, lr_decay, eps, weight_decay, initial_accumulator_value, maximize):
    return _signed(lr, weight_decay, maximize) | {"eps": eps, "rate": lr / (1 + (t - 1) * lr_decay)}, ()


@update(
    """
g = decayed(g, p, way, decay)
square_avg = rho * square_avg + w * (g * g)
d = sqrt(acc_delta + eps) / sqrt(square_avg + eps) * g
acc_delta = rho * acc_delta + w * (d * d)
p = p - lr * d
""",
    arrays=("square_avg", "acc_delta"),
    counts=("step",),
)
def adadelta(t, *, lr, rho, eps, weight_decay, maximize):
    return _signed(lr, weight_decay, maximize) | {"rho": rho, "w": 1 - rho, "eps": eps, "lr": lr}, ()


@update(
    """
g = way * g
same = g * prev
step_size = step_size * where(same > zero, up, where(same < zero, down, one))
step_size = minimum(maximum(step_size, smallest), most)
g = where(same < zero, zero, g)
prev = g
p = p - sign(g) * step_size
""",
    arrays=("prev", "step_size"),
    counts=("step",),
)
def rprop(t, *, lr, etas, step_sizes, maximize):
    factors = {"way": -1.0 if maximize else 1.0, "down": etas[0], "up": etas[1]}
    return factors | {"smallest": step_sizes[0], "most": step_sizes[1]}, ()


@update(
    """
g = decayed(g, p, way, decay)
p = p * shrink - rate * g
ax = where(mu == one, p, ax + mu * (p - ax))
""",
    arrays=("ax",),
    counts=("step", "eta", "mu"),
)
def asgd(t, eta, mu, *, lr, lambd, alpha, t0, weight_decay, maximize):
    numbers = _signed(lr, weight_decay, maximize)
    numbers |= {"shrink": 1 - lambd * float(eta), "rate": float(eta), "mu": float(mu)}
    after = lr / (1 + lambd * lr * t) ** alpha, 1 / max(1.0, t - t0)
    return numbers, tuple(float(np.float32(v)) for v in after)


@update(
    """
p = p * shrink - lr * sign(b1 * exp_avg + w1 * (way * g))
exp_avg = b2 * exp_avg + w2 * (way * g)
""",
    arrays=("exp_avg",),
)
def lion(*, lr, betas, weight_decay, maximize):
    (b1, b2), way = betas, -1.0 if maximize else 1.0
    weights = {"b1": b1, "w1": 1 - b1, "b2": b2, "w2": 1 - b2}
    return weights | {"lr": lr, "shrink": 1 - lr * weight_decay, "way": way}, ()
