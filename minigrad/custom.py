"""Functions with a gradient rule of the user's own, PyTorch's way: for code minigrad cannot see into (Numba, CUDA, C).

An operation that is to be tested, traced and documented like the built-in ones is better declared as a primitive.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .autograd import Node
from .convert import as_array
from .errors import GradError
from .gradients import turned
from .mode import MODE, taping
from .primitive import Plan, Rule, Step, kind_of
from .tensor import F as TENSORS
from .tensor import Tensor, part, wrap


class Context:
    """What forward leaves for backward: ``save_for_backward``, and any attribute."""

    needs_input_grad: tuple[bool, ...] = ()
    _saved: Sequence = ()
    _constant: tuple = ()
    _dirty: tuple = ()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors (inputs, outputs, others) for the rule; an in-place edit of one until then is an error there."""
        self._saved = tensors

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        return tuple(self._saved)

    def mark_non_differentiable(self, *outputs: Tensor) -> None:
        """These outputs carry no gradient."""
        self._constant = outputs

    def mark_dirty(self, *inputs: Tensor) -> None:
        """forward has edited these inputs in place, and returns them: apply gives the caller's tensors, with this call
        as their history."""
        self._dirty = inputs

    def set_materialize_grads(self, value: bool) -> None:
        """Nothing to set: backward always gets zeros for an output that did not take part in the loss."""


class Function:
    """Subclass with static methods ``forward(ctx, *args)`` and ``backward(ctx, *grads)``, and call ``apply(*args)``.

    forward sees tensors without history and returns one tensor or a tuple; backward receives dL/doutput for every
    output and returns dL/darg for every argument (None for those that are no tensors). Written in tensor operations,
    backward has gradients of its own. Or ``forward(*args)``, and what backward needs of it in
    ``setup_context(ctx, inputs, output)``.

    >>> import minigrad as mg
    >>> class Cube(Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x * x
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         (x,) = ctx.saved_tensors
    ...         return 3 * x * x * g
    >>> x = mg.tensor(2.0, requires_grad=True)
    >>> Cube.apply(x).backward()
    >>> x.grad
    tensor(12.)
    """

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        raise GradError("Function: a subclass defines forward(ctx, *args) as a static method.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Any) -> None:
        """Keep what backward needs. Where a subclass has it, its forward takes no ctx."""

    @classmethod
    def _forward(cls, ctx: Context, args: Sequence) -> Any:
        if cls.setup_context is Function.setup_context:
            return cls.forward(ctx, *args)
        output = cls.forward(*args)
        cls.setup_context(ctx, tuple(args), output)
        return output

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise GradError("Function: a subclass defines backward(ctx, *grads) as a static method to have a gradient.")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run forward; record the call if an argument takes part in a gradient."""
        if (levels := MODE.get().levels) and (y := levels[-1].function(cls, args)) is not NotImplemented:
            return y
        ctx = Context()
        parents = [a.node if isinstance(a, Tensor) else None for a in args]
        ctx.needs_input_grad = tuple(p is not None for p in parents)
        with taping(False):
            result = cls._forward(ctx, [a.detach() if isinstance(a, Tensor) else a for a in args])
        outputs = result if isinstance(result, tuple) else (result,)
        ys = tuple(_own(y, args) for y in outputs)
        if any(ctx.needs_input_grad) and MODE.get().recording:
            cls._record(ctx, args, parents, outputs, ys)
        edited = [y if any(y is d for d in ctx._dirty) else None for y in outputs]
        ys = tuple(y if e is None else _edited(e, y, args, cls.__name__) for y, e in zip(ys, edited))
        return ys if isinstance(result, tuple) else ys[0]

    @classmethod
    def _record(cls, ctx: Context, args: tuple, parents: list, outputs: tuple, ys: tuple[Tensor, ...]) -> None:
        custom = Custom(cls, len(args), len(ys))
        # a saved output is held as its array, and an input as the caller's tensor, so that its history and edits count
        places = [next((k for k, y in enumerate(outputs) if y is s), None) for s in ctx._saved]
        saved = tuple(ys[k].array if k is not None else _original(s, args) for s, k in zip(ctx._saved, places))
        ctx._saved = ()

        def rule(F: Any, g: Any, saved: tuple) -> tuple:
            raw = not isinstance(next(d for d in (g if isinstance(g, tuple) else (g,)) if d is not None), Tensor)
            tensors = [s if s is None or isinstance(s, Tensor) else wrap(s) for s in saved]
            for s, k in zip(tensors, places):
                if k is not None and not raw and s is not None:
                    s.node = node if len(ys) == 1 else part(node, k)
            ctx._saved = tensors
            grads = [
                d if d is None else turned(TENSORS, d if isinstance(d, Tensor) else wrap(d))
                for d in (g if isinstance(g, tuple) else (g,))
            ]
            try:
                result = cls.backward(ctx, *grads)
            finally:
                ctx._saved = ()
            result = result if isinstance(result, tuple) else (result,)
            if len(result) != len(args):
                raise GradError(
                    f"{cls.__name__}: backward must return one gradient per argument of forward: it returned "
                    f"{len(result)} for "
                    f"{len(args)}. Return None for arguments without one."
                )
            for i, (d, a) in enumerate(zip(result, args)):
                if d is not None and isinstance(a, Tensor) and d.shape != a.shape:
                    raise GradError(
                        f"{cls.__name__}: backward must return gradients shaped like the arguments: number {i} is "
                        f"{d.shape}, the argument was {a.shape}."
                    )
            if not raw and any(d is not None and not isinstance(d, Tensor) for d in result):
                raise GradError(
                    f"{cls.__name__}: create_graph asks for a gradient of this gradient, but backward returned "
                    "plain arrays, which have no history. Write backward in tensor operations."
                )
            result = tuple(d if d is None or isinstance(d, Tensor) else wrap(as_array(d)) for d in result)
            result = tuple(d if d is None else turned(TENSORS, d) for d in result)
            result = tuple(d.array if raw and d is not None else d for d in result)
            return result if len(args) > 1 else result[0]

        live = tuple(i for i, p in enumerate(parents) if p is not None)
        step = Step(Rule(custom.inputs, rule, ("F", "g", "saved")), live, live if len(args) > 1 else None)
        plan = Plan(custom, (step,), ("saved",), lambda v: v)
        node = Node(plan, parents, (saved,), {}, ys[0].shape, ys[0].dtype)
        if len(ys) > 1:
            node.shape, node.dtype = tuple(y.shape for y in ys), tuple(y.dtype for y in ys)
        for k, (y, given) in enumerate(zip(ys, outputs)):
            if kind_of(y.dtype) in "fc" and not any(given is c for c in ctx._constant):
                y.node = node if len(ys) == 1 else part(node, k)
        ctx._constant = ()


class Custom:
    """What the walk reads of a primitive, for one custom function."""

    fused, defaults, no_gradient, saves = False, {}, "", ()  # type: ignore[var-annotated]

    def __init__(self, cls: type, inputs: int, outputs: int):
        self.name, self.outputs = cls.__name__, outputs
        self.inputs = tuple(f"argument {i}" for i in range(inputs))

    def input(self, i: int) -> str:
        return self.inputs[i]


def _own(y: Any, args: tuple) -> Tensor:
    """An output as a tensor of its own, also where forward handed an argument back."""
    y = y if isinstance(y, Tensor) else wrap(as_array(y))
    if y.source is not None or any(isinstance(a, Tensor) and a.array is y.array for a in args):
        y = wrap(y.backend.xp.array(y.array))
    return wrap(y.array)


def _original(s: Tensor | None, args: tuple) -> Tensor | None:
    """The caller's tensor for a saved argument, which forward saw detached."""
    return next((a for a in args if isinstance(a, Tensor) and s is not None and a.array is s.array), s)


def _edited(dirty: Tensor, y: Tensor, args: tuple, op: str) -> Tensor:
    """The caller's tensor, of which forward edited the detached `dirty`, with the history of the output y."""
    own = next((a for a in args if isinstance(a, Tensor) and a.array is dirty.array), None)
    if own is None:
        raise GradError(f"{op}: mark_dirty takes inputs that forward edits and returns.")
    return own.overwrite(y, op)
