"""Calls of a primitive to try it on, made from its declaration, in all memory layouts."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np

from ..backend import Backend, get_backend
from ..errors import ArgumentError
from ..primitive import PRIMITIVES, Primitive, bools, ints, within
from ..tensor import wrap


def strided(a: np.ndarray) -> np.ndarray:
    """The same values in memory that is in no order: every second element of a larger array, last axis first."""
    if not a.ndim:
        return a
    shape = a.shape[::-1]
    big = np.zeros((*shape[:-1], 2 * shape[-1]), a.dtype)
    view = big[..., ::2].transpose()
    view[...] = a
    return view


def frozen(a: np.ndarray) -> np.ndarray:
    """The same values in memory that cannot be written."""
    a = a.copy()
    a.flags.writeable = False
    return a


class Sample(NamedTuple):
    """One call of a primitive: host arrays, numbers or None, and keywords."""

    args: tuple
    params: dict

    @property
    def shapes(self) -> str:
        """For test names: "(3, 4)-(4,)-axis=1"."""
        words = [str(a.shape) if isinstance(a, np.ndarray) else str(a) for a in self.args]
        return "-".join([*words, *(f"{k}={v}" for k, v in self.params.items())])


SHAPES: dict[int, list[tuple]] = {
    1: [((3, 4),), ((),), ((1,),), ((0, 3),)],
    2: [
        ((3, 4), (3, 4)),
        ((3, 4), (4,)),
        ((3, 1), (1, 4)),
        ((), (2, 3)),
        ((2, 3), ()),
        ((1,), (2, 1)),
        ((), ()),
        ((0, 3), (1, 3)),
    ],
    3: [((3, 4), (3, 4), (3, 4)), ((4,), (3, 1), (3, 4)), ((3, 1), (), (4,)), ((), (2,), (1, 1)), ((0,), (1,), ())],
}


def sample_inputs(primitive: str | Primitive, rng: np.random.Generator, dtype: Any = np.float64) -> list[Sample]:
    """Calls of a primitive to test it with: its samples; for elementwise ones, shapes that broadcast, 0-d, of one
    element and empty, with values drawn from its domain.

    The values keep away from 0, integers and halves, from each other, and from the border of the domain, so that no
    kink is near.
    """
    p = primitive_called(primitive)
    if p.samples:
        return [Sample(tuple(filled_in(a, rng, dtype) for a in c.args), c.params) for c in p.samples]
    if not p.inline:
        return []
    samples = []
    for shapes in SHAPES[len(p.inputs)]:
        arrays = _inside(p, shapes, rng)
        samples.append(Sample(tuple(a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays), {}))
    return samples


def primitive_called(primitive: str | Primitive) -> Primitive:
    if isinstance(primitive, Primitive):
        return primitive
    if primitive not in PRIMITIVES:
        raise ArgumentError(f"testing: there is no primitive named {primitive!r}.")
    return PRIMITIVES[primitive]


def sample_values(rng: np.random.Generator, shape: tuple) -> np.ndarray:
    """Normal numbers moved off the multiples of 0.02, each by an amount of its own."""
    return 0.02 * np.round(65 * rng.standard_normal(shape)) + 0.004 + 0.012 * rng.random(shape)


def filled_in(a: Any, rng: np.random.Generator, dtype: Any) -> Any:
    if isinstance(a, ints):
        return rng.integers(a.low, a.high, a.shape)
    if isinstance(a, bools):
        return rng.random(a.shape) < 0.5
    if isinstance(a, within):
        return np.asarray(rng.uniform(a.low, a.high, a.shape), dtype)
    return np.asarray(sample_values(rng, a), dtype) if isinstance(a, tuple) else a


def _inside(p: Primitive, shapes: tuple, rng: np.random.Generator) -> list[np.ndarray]:
    """Arrays of these shapes in the domain of p, by redrawing what lies outside or within 0.02 of its border."""
    arrays = [np.asarray(sample_values(rng, s)) for s in shapes]
    if p.domain:
        holds = np.vectorize(eval(f"lambda {', '.join(p.inputs)}: {p.domain}"), otypes=[bool])
        moves = list(itertools.product((-0.02, 0.0, 0.02), repeat=len(arrays)))
        for _ in range(1000):
            inside: Any = np.ones(np.broadcast_shapes(*shapes), bool)
            if inside.size:
                for move in moves:
                    inside = inside & holds(*(a + d for a, d in zip(arrays, move)))
            if inside.all():
                break
            arrays = [
                np.where(_any_to(~inside, a.shape), sample_values(rng, a.shape), a) if rng.random() < 0.8 else a
                for a in arrays
            ]
        else:
            raise ArgumentError(f"sample_inputs: no values found in the domain of {p.name}: {p.domain}.")
    for i, name in enumerate(p.inputs):
        if p.kind == "bool":
            arrays[i] = np.asarray(np.round(arrays[i]))  # so that some are equal, some are 0
        elif p.rules and not p.fused and name not in p.rules:
            arrays[i] = np.asarray(arrays[i] > 0)  # a choice, not a number
        elif "integers" in p.no_gradient:
            arrays[i] = np.asarray(np.abs(np.round(4 * arrays[i]))).astype(np.int64)
    return arrays


def _any_to(mask: np.ndarray, shape: tuple) -> np.ndarray:
    """A broadcast mask brought back to `shape`: true where any copy is."""
    extra = mask.ndim - len(shape)
    copies = (*range(extra), *(i + extra for i, n in enumerate(shape) if n == 1))
    return mask.any(axis=copies, keepdims=True).reshape(shape)


def on(backend: str | Backend, sample: Sample) -> list[Any]:
    """The arguments of a sample as tensors of that backend; numbers and None stay."""
    b = get_backend(backend)
    return [wrap(b.asarray(a)) if isinstance(a, np.ndarray) else a for a in sample.args]
