"""Everything there is to compile, as named jobs: ``minigrad warmup`` runs them all, so that no training step waits."""

import numpy as np

from ...primitive import PRIMITIVES
from . import elementwise, modules, threads
from .when import generated


def names(dtypes=("float32", "float64")):
    """The names of all jobs, the longest first."""
    modules()
    kinds = [f"worker {name}" for name in threads.WORKERS]
    kinds += [f"op {name}" for name in generated(PRIMITIVES)]
    kinds += [f"rule {name}.{of}" for name in generated(PRIMITIVES) for of in PRIMITIVES[name].rules]
    return ["start", *(f"{kind} {dtype}" for kind in kinds for dtype in dtypes)]


def compile_one(job):
    """Compile what the name says, or find it in the cache."""
    if job == "start":
        return _start()
    kind, name, dtype = job.split()
    dtype = np.dtype(dtype)
    if kind == "worker":
        modules()
        threads.WORKERS[name](dtype)
    elif kind == "op":
        elementwise.elementwise(name).worker(dtype)
    else:
        op, of = name.split(".")
        p = PRIMITIVES[op]
        rule = p.rules[of]
        made = elementwise.rule(op, rule.function, rule.needs, p.defaults)
        if made is not None:
            made.worker(dtype)


def _start():
    """The pool itself, and what is compiled for the types of its arguments: arrays, and views of three or four axes."""
    for dtype, most in ((np.float32, 4), (np.float64, 4), (bool, 4), (np.int64, 1)):
        for ndim in range(1, most + 1):
            x = np.empty((4,) * ndim, dtype)
            threads.location(x)
            if ndim > 2:
                threads.location(x[::2])
    for dtype in (np.float32, np.float64):
        x = np.ones(300_000, dtype)
        p = elementwise.elementwise("negative")
        assert (p(x) == -1).all() and (p(x[:10]) == -1).all() and (elementwise.copy(x) == 1).all()
