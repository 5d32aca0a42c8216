"""PyTorch's ``autograd.functional``: derivatives of a function at a point, as values instead of functions.

inputs is a tensor or a tuple of tensors; what comes back has their form. create_graph: the result takes part in
gradients itself. strict: an input that an output does not depend on is an error, instead of a zero. `minigrad.func` has
the same as transforms, which nest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import ArgumentError, GradError
from ..gradients import grad
from ..mode import enable_grad
from ..tensor import F, Tensor
from . import jacobians
from .jacobians import jacfwd, jacrev

Tensors = Tensor | tuple[Tensor, ...]


def jacobian(
    func: Callable,
    inputs: Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """dy/dx of shape (*y.shape, *x.shape); a tuple of inputs gives a tuple, of outputs a tuple of these.

    >>> import minigrad as mg
    >>> jacobian(lambda x: x**2, mg.tensor([1.0, 2.0])).tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """
    if strategy not in ("reverse-mode", "forward-mode"):
        raise ArgumentError(f'jacobian: strategy must be "reverse-mode" or "forward-mode": got {strategy!r}.')
    xs = _run(func, inputs, "jacobian", strict)[0]
    transform = jacrev if strategy == "reverse-mode" else jacfwd
    argnums = tuple(range(len(xs))) if isinstance(inputs, tuple) else 0
    return _result(transform(func, argnums)(*(xs if create_graph else [x.detach() for x in xs])), create_graph)


def hessian(
    func: Callable,
    inputs: Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """d2y/dx2 of a function with one number as output; a tuple of inputs gives a tuple of tuples.

    >>> import minigrad as mg
    >>> hessian(lambda x: (x**3).sum(), mg.tensor([1.0, 2.0])).tolist()
    [[6.0, 0.0], [0.0, 12.0]]
    """
    xs = _run(func, inputs, "hessian", strict, scalar=True)[0]
    argnums = tuple(range(len(xs))) if isinstance(inputs, tuple) else 0
    one_number = lambda *xs: F.reshape(_only(func(*xs)), ())
    return _result(
        jacobians.hessian(one_number, argnums)(*(xs if create_graph else [x.detach() for x in xs])), create_graph
    )


def vjp(func: Callable, inputs: Tensors, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple:
    """(func(*inputs), v J). v: like the output; 1 if that is one number.

    >>> import minigrad as mg
    >>> vjp(lambda x: x**2, mg.tensor([1.0, 2.0]), mg.tensor([1.0, 10.0]))
    (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    xs, ys, many = _run(func, inputs, "vjp", strict)
    gs = _pulled(ys, xs, _like(v, ys, "vjp", "output"), create_graph, strict, "vjp")
    return _result(tuple(ys) if many else ys[0], create_graph), _as(inputs, gs, create_graph)


def jvp(func: Callable, inputs: Tensors, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple:
    """(func(*inputs), J v). v: like the inputs; 1 if there is one, of one number.

    >>> import minigrad as mg
    >>> jvp(lambda x: x**2, mg.tensor([1.0, 2.0]), mg.tensor([1.0, 10.0]))
    (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    xs = _run(func, inputs, "jvp", strict)[0]
    tangents = tuple(_like(v, xs, "jvp", "input"))
    primals = tuple(xs if create_graph else [x.detach() for x in xs])
    return tuple(_result(part, create_graph) for part in jacobians.jvp(func, primals, tangents))


def vhp(func: Callable, inputs: Tensors, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple:
    """(func(*inputs), v H) of a function with one number as output. v: like the inputs."""
    return _second(func, inputs, v, create_graph, strict, "vhp")


def hvp(func: Callable, inputs: Tensors, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple:
    """(func(*inputs), H v) of a function with one number as output. v: like the inputs. H is symmetric: as `vhp`.

    >>> import minigrad as mg
    >>> hvp(lambda x: (x**3).sum(), mg.tensor([1.0, 2.0]), mg.tensor([1.0, 0.5]))
    (tensor(9.), tensor([6., 6.]))
    """
    return _second(func, inputs, v, create_graph, strict, "hvp")


def _second(func: Callable, inputs: Tensors, v: Any, create_graph: bool, strict: bool, who: str) -> tuple:
    xs, ys, _ = _run(func, inputs, who, strict, scalar=True)
    with enable_grad():
        slopes = _pulled(ys, xs, None, True, strict, who)
    products = _pulled(slopes, xs, _like(v, xs, who, "input"), create_graph, strict, who)
    return _result(ys[0], create_graph), _as(inputs, products, create_graph)


def _run(func: Callable, inputs: Any, who: str, strict: bool, scalar: bool = False) -> tuple[list, list, bool]:
    """The inputs as tensors with a gradient of their own, the outputs, and whether these are a tuple."""
    given = inputs if isinstance(inputs, tuple) else (inputs,)
    if not given or not all(isinstance(x, Tensor) for x in given):
        kinds = ", ".join(type(x).__name__ for x in given)
        raise ArgumentError(f"{who}: inputs must be a Tensor or a tuple of Tensors: got {kinds or 'an empty tuple'}.")
    with enable_grad():
        xs = [x.view_as(x) if x.requires_grad else x.detach().requires_grad_() for x in given]
        result = func(*xs)
    ys = list(result) if isinstance(result, tuple) else [result]
    if not all(isinstance(y, Tensor) for y in ys):
        raise ArgumentError(
            f"{who}: the function must return a Tensor or a tuple of them: got {type(result).__name__}."
        )
    if scalar and (len(ys) > 1 or ys[0].size != 1):
        raise ArgumentError(f"{who}: the function must return one number: got {', '.join(str(y.shape) for y in ys)}.")
    if strict and not all(y.requires_grad for y in ys):
        raise GradError(f"{who}: with strict=True every output must depend on the inputs; one does not.")
    return xs, ys, isinstance(result, tuple)


def _pulled(ys: list, xs: list, v: Any, create_graph: bool, strict: bool, who: str) -> list:
    pairs = [(y, g) for y, g in zip(ys, v or [None] * len(ys)) if y.requires_grad]
    if not pairs:
        return [x.detach() * 0 for x in xs]
    outputs, gs = zip(*pairs)
    found = grad(outputs, xs, gs, create_graph=create_graph, retain_graph=True, allow_unused=True)
    if strict and any(g is None for g in found):
        raise GradError(f"{who}: with strict=True the outputs must depend on every input; one has no influence.")
    return [x.detach() * 0 if g is None else g for x, g in zip(xs, found)]


def _like(v: Any, others: list, who: str, what: str) -> list:
    if v is None:
        if len(others) > 1 or others[0].size != 1:
            raise ArgumentError(f"{who}: v may be left out where the {what} is one number; here pass one like it.")
        return [others[0].detach() * 0 + 1]
    given = list(v) if isinstance(v, tuple) else [v]
    if [tuple(g.shape) for g in given] != [x.shape for x in others]:
        raise ArgumentError(
            f"{who}: v must have the shapes of the {what}, {[x.shape for x in others]}: got {[g.shape for g in given]}."
        )
    return given


def _as(inputs: Any, values: list, keep: bool) -> Any:
    return _result(tuple(values) if isinstance(inputs, tuple) else values[0], keep)


def _result(value: Any, keep: bool) -> Any:
    if isinstance(value, tuple):
        return tuple(_result(part, keep) for part in value)
    return value if keep else value.detach()


def _only(value: Any) -> Tensor:
    return value[0] if isinstance(value, tuple) else value
