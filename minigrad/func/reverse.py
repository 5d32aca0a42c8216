"""Reverse mode as functions of functions: grad, value_and_grad, vjp."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from ..autograd import newest_first
from ..errors import ArgumentError, DTypeError, GradError
from ..gradients import turned
from ..mode import MODE, taping
from ..primitive import kind_of
from ..tensor import F, Tensor, wrap
from .arguments import as_tensor, chosen, replaced, with_aux
from .forward import entered, pull
from .tree import TreeDef, tree_flatten, tree_map


class Recording:
    """One run of a function on fresh tensors in place of its inputs, recorded on the tape of the current level."""

    def __init__(self, f: Callable, inputs: Sequence[Tensor]):
        mode = MODE.get()
        level = mode.levels[-1] if mode.levels else None
        self.inputs, self.outer = inputs, mode.recording
        xs, nodes = entered(inputs, range(len(inputs)), level, self.outer)
        self.nodes = list(nodes.values())
        with taping(True):
            self.result = f(xs)

    def connected(self, ys: Sequence[Tensor]) -> bool:
        """True if the outputs depend on more that takes part in a gradient than our own fresh inputs: then the gradient
        is recorded too."""
        if not self.outer:
            return False
        own = frozenset(self.nodes)
        order = newest_first([y.node for y in ys if y.node is not None], own)
        return any(n.plan is not None if n in own else n.plan is None and n.part is None for n in order)

    def pulled(self, ys: Sequence[Tensor], gs: Sequence[Tensor], *, graph: bool) -> list[Tensor]:
        """The gradients of the inputs; zeros where the outputs do not depend on one."""
        found = pull(ys, [turned(F, g) for g in gs], self.nodes, graph=graph)
        gradients = (found.get(n) for n in self.nodes)
        return [F.zeros_like(x.detach()) if g is None else turned(F, g) for x, g in zip(self.inputs, gradients)]


def detached(tree: Any) -> Any:
    """The tree with its tensors off this level's tape."""
    return tree_map(lambda y: wrap(y.array) if isinstance(y, Tensor) and y.node is not None else y, tree)


def grad_and_value(func: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable:
    """As value_and_grad with the results in PyTorch's order: (gradient, value), or (gradient, (value, aux))."""
    both = value_and_grad(func, argnums, has_aux)

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        value, gradient = both(*args, **kwargs)
        return gradient, value

    return wrapper


def value_and_grad(func: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable:
    """The function (value, gradient) of a scalar func, as jax.value_and_grad; with has_aux ((value, aux), gradient).

    argnums: the positional arguments to differentiate for, each a float, array, tensor, or a tree of them; an int gives
    one gradient, a tuple gives a tuple. has_aux: func returns (value, aux), and aux is handed on as it is. The gradient
    has the structure, shapes and dtypes of the arguments.

    >>> value, (dw, db) = value_and_grad(lambda w, b: w * w + b, argnums=(0, 1))(3.0, 1.0)
    >>> value, dw, db
    (tensor(10.), tensor(6.), tensor(1.))

    scipy.optimize takes a function of a flat vector; two lines make one of a function of a tree x0:

    >>> import numpy as np
    >>> from minigrad.func import ravel_tree
    >>> def loss(p):
    ...     return ((p["a"] - 1.0) ** 2).sum() + (p["b"] + 2.0) ** 2
    >>> x0, tree_of = ravel_tree({"a": np.zeros(2), "b": np.zeros(())})
    >>> f = lambda v: [y.numpy() for y in value_and_grad(lambda v: loss(tree_of(v)))(v)]
    >>> # scipy.optimize.minimize(f, x0.numpy(), jac=True).x is [1, 1, -2]
    >>> f(x0.numpy())
    [array(6.), array([-2., -2.,  4.])]

    Raises GradError unless the value is one float, DTypeError for arguments that are not floats.
    """

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        places = chosen(args, argnums, "grad")
        leaves, structure = tree_flatten([args[n] for n in places])
        inputs = [as_tensor(x, f"grad: argument {_name(places, structure, i)}", differentiable=True)
                  for i, x in enumerate(leaves)]  # fmt: skip
        run = Recording(lambda xs: func(*replaced(args, places, structure.unflatten(xs)), **kwargs), inputs)
        value, aux = with_aux(run.result, has_aux, "grad")
        if not isinstance(value, Tensor):
            hint = " With has_aux=True it may return (value, aux)." if isinstance(value, tuple) else ""
            raise DTypeError(f"grad: the function must return a tensor: got {type(value).__name__}.{hint}")
        if value.size != 1 or value.ndim:
            raise GradError(
                f"grad: the function must return one number, a tensor of shape (): got {value.shape}. Sum or average "
                "it, take jacrev for all derivatives of several outputs, or vmap(grad(f)) for one function per sample."
            )
        if kind_of(value.dtype) != "f":
            raise DTypeError(f"grad: the function must return a real float: got {value.dtype}.")
        graph = run.connected([value])
        seed = F.ones_like(value.detach())
        gradient = structure.unflatten(run.pulled([value], [seed], graph=graph))
        if not graph:
            value, aux = detached(value), detached(aux)
        result = (value, aux) if has_aux else value
        return result, gradient[0] if not isinstance(argnums, (tuple, list)) else tuple(gradient)

    return wrapper


def _name(places: Sequence[int], structure: TreeDef, leaf: int) -> str:
    """Which argument the leaf belongs to."""
    for n, child in zip(places, structure.children):
        if leaf < child.num_leaves:
            return str(n) if child.num_leaves == 1 else f"{n} (leaf {leaf})"
        leaf -= child.num_leaves
    return "?"


def grad(func: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable:
    """The function x -> df/dx of a scalar func; see value_and_grad. With has_aux: (gradient, aux). As torch.func's and
    JAX's.

    Takes part in gradients itself, of any order: what func closes over counts, and grad(grad(f)) is the second
    derivative.

    >>> f = lambda x: x**3
    >>> grad(f)(2.0), grad(grad(f))(2.0)
    (tensor(12.), tensor(12.))
    """
    both = value_and_grad(func, argnums, has_aux)

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return wrapper


def vjp(func: Callable, *primals: Any, has_aux: bool = False) -> tuple:
    """(func(*primals), pullback), and aux behind with has_aux. pullback(g) = (J^T g for each primal), a tuple.

    g has the structure of the output; it may be called often, also under vmap. As torch.func.vjp and jax.vjp.

    >>> import numpy as np
    >>> y, pullback = vjp(lambda x: x * x, np.array([1.0, 2.0]))
    >>> pullback(np.array([1.0, 10.0]))
    (tensor([ 2., 40.], dtype=float64),)
    """
    leaves, structure = tree_flatten(primals)
    inputs = [as_tensor(x, f"vjp: primal {i}", differentiable=True) for i, x in enumerate(leaves)]
    run = Recording(lambda xs: func(*structure.unflatten(xs)), inputs)
    result, aux = with_aux(run.result, has_aux, "vjp")
    outputs, made = tree_flatten(result)
    ys = [as_tensor(y, f"vjp: output {i} of the function") for i, y in enumerate(outputs)]
    graph = run.connected(ys)

    def pullback(cotangents: Any) -> Any:
        gs, given = tree_flatten(cotangents)
        if given != made:
            raise ArgumentError(f"vjp: the cotangents must have the structure of the output, {made}: got {given}.")
        gs = [as_tensor(g, f"vjp: cotangent {i}") for i, g in enumerate(gs)]
        again = MODE.get().recording and (graph or any(g.node is not None for g in gs))
        return structure.unflatten(run.pulled(ys, gs, graph=again))

    result = made.unflatten(ys if graph else detached(ys))
    return (result, pullback, aux if graph else detached(aux)) if has_aux else (result, pullback)
