"""What is called around the forward and backward of a module: the lists of hooks, and a call that heeds them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError
from ..primitive import PRIMITIVES
from ..tensor import Tensor, apply

if TYPE_CHECKING:
    from .module import Module


class Hooks:
    """The functions called around the forward and backward of one module, and around saving and loading its state."""

    def __init__(self) -> None:
        self.before: list[Hook] = []
        self.after: list[Hook] = []
        self.backward_before: list[Hook] = []
        self.backward: list[Hook] = []
        self.saving: list[Hook] = []
        self.saved: list[Hook] = []
        self.loading: list[Hook] = []
        self.loaded: list[Hook] = []

    @property
    def of_calls(self) -> bool:
        return bool(self.before or self.after or self.backward_before or self.backward)


class Hook:
    """A registered function. with_kwargs: it also receives the keyword arguments; always: even if forward fails."""

    def __init__(self, call: Callable, with_kwargs: bool = False, always: bool = False):
        self.call, self.with_kwargs, self.always = call, with_kwargs, always


NO_HOOKS = Hooks()


def hooked_call(module: Module, hooks: Hooks, args: tuple, kwargs: dict) -> Any:
    if not hooks.of_calls:
        return module.forward(*args, **kwargs)
    output, due = None, [hook for hook in hooks.after if hook.always]
    try:
        for hook in list(hooks.before):
            if hook.with_kwargs:
                result = hook.call(module, args, kwargs)
                if result is not None and not (isinstance(result, tuple) and len(result) == 2):
                    raise ArgumentError(f"forward pre-hook: must return (args, kwargs) or None: got {result!r:.80}.")
                args, kwargs = (args, kwargs) if result is None else result
            else:
                result = hook.call(module, args)
                args = args if result is None else result if isinstance(result, tuple) else (result,)
        watch = _Watch(module, hooks) if hooks.backward or hooks.backward_before else None
        if watch:
            args = watch.inputs(args)
        output = module.forward(*args, **kwargs)
        for hook in list(hooks.after):
            due = [h for h in due if h is not hook]
            result = hook.call(module, args, *[kwargs] * hook.with_kwargs, output)
            output = output if result is None else result
        return watch.outputs(output) if watch else output
    except Exception:
        for hook in due:
            try:
                hook.call(module, args, *[kwargs] * hook.with_kwargs, output)
            except Exception as error:
                warnings.warn(f"forward hook with always_call raised {error!r} after another error.", stacklevel=2)
        raise


class _Watch:
    """Calls the backward hooks of one module for one forward.

    Inputs and outputs pass through gates. A gate is two aliases in a row per tensor: the walk goes newest first, so
    all outer aliases have seen their gradients before the first inner one runs, and that is when the hooks are called.
    """

    def __init__(self, module: Module, hooks: Hooks):
        self.module, self.hooks = module, hooks
        self.gated = False
        self.grad_output: tuple = ()

    def inputs(self, args: tuple) -> tuple:
        args = _gate(args, self.input_gradients)
        self.gated = any(isinstance(a, Tensor) and a.node is not None for a in args)
        return args

    def outputs(self, output: Any) -> Any:
        if isinstance(output, tuple):
            return _gate(output, self.output_gradients)
        return _gate((output,), self.output_gradients)[0]

    def output_gradients(self, grads: tuple) -> tuple:
        for hook in list(self.hooks.backward_before):
            grads = _replaced(hook.call(self.module, grads), grads)
        self.grad_output = grads
        if not self.gated:  # no input takes a gradient: there is nothing to wait for
            self.input_gradients((None,))
        return grads

    def input_gradients(self, grads: tuple) -> tuple:
        for hook in list(self.hooks.backward):
            grads = _replaced(hook.call(self.module, grads, self.grad_output), grads)
        return grads


def _replaced(result: Any, grads: tuple) -> tuple:
    if result is None:
        return grads
    result = result if isinstance(result, tuple) else (result,)
    if len(result) != len(grads):
        raise ArgumentError(f"backward hook: must return {len(grads)} gradients or None: got {len(result)}.")
    return result


def _gate(tensors: tuple, act: Callable[[tuple], tuple]) -> tuple:
    """The tensors, with ``act(gradients)`` called once all their gradients are there; it returns those to pass on."""
    live = [i for i, t in enumerate(tensors) if isinstance(t, Tensor) and t.node is not None]
    seen: dict[int, Tensor] = {}
    passed: list = []

    def collect(i: int) -> Callable:
        return lambda g: seen.__setitem__(i, g)

    def release(i: int) -> Callable:
        def run(g: Tensor) -> Tensor | None:
            if i in seen:  # the first to run: all have arrived
                passed[:] = act(tuple(seen.get(k) for k in range(len(tensors))))
                seen.clear()
            return passed[i]

        return run

    inner = {i: apply(PRIMITIVES["alias"], tensors[i]) for i in live}
    outer = {i: apply(PRIMITIVES["alias"], inner[i]) for i in live}
    for i in live:
        if inner[i].node is not None:  # recording
            inner[i].register_hook(release(i))
            outer[i].register_hook(collect(i))
    return tuple(outer.get(i, t) for i, t in enumerate(tensors))
