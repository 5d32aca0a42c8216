"""Module: a layer or model. Its state is what its attributes are.

A `Parameter` set as an attribute is learned, a `Buffer` is saved but not learned, a `Module` is a part. Everything
else here (`parameters`, `state_dict`, `to`, `repr` ...) is a walk over those attributes.
Names and behaviour are PyTorch's.
"""

from __future__ import annotations

import importlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..backend import get_backend
from ..convert import DTYPE_NAMES
from ..edits import written
from ..errors import ArgumentError, DTypeError, GradError, StateError
from ..halves import dtype as dtype_of
from ..mistakes import warn_once
from ..mode import MODE
from ..primitive import kind_of
from ..tensor import Handle, Tensor, leaf, wrap
from .hooks import NO_HOOKS, Hook, Hooks, hooked_call
from .parameter import Buffer, Parameter

EXTRA = "_extra_state"  # the last part of the key under which get_extra_state's value is saved


class IncompatibleKeys(NamedTuple):
    """What load_state_dict found: keys the module has and the dict lacks, and the reverse."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """Base of all layers and models. Set parameters and parts as attributes, and write ``forward``.

    >>> from minigrad import nn
    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.hidden, self.out = nn.Linear(4, 8), nn.Linear(8, 2)
    ...     def forward(self, x):
    ...         return self.out(self.hidden(x).relu())
    >>> [name for name, p in Net().named_parameters()]
    ['hidden.weight', 'hidden.bias', 'out.weight', 'out.bias']
    """

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...  # what a subclass has set: only it knows

    training: bool  # train() and eval() set it; Dropout and BatchNorm behave accordingly
    _declared: dict[str, type]  # what a name is for, Parameter, Buffer or Module, even while its value is None
    _buffer_names: dict[str, bool]  # name -> saved in state_dict
    _hooks: Hooks | None = None  # made at the first registration: a call without hooks costs nothing
    _version: int = 1  # of the layout of the state, for hooks that load older ones

    def __new__(cls, *args: Any, **kwargs: Any) -> Module:
        self = super().__new__(cls)  # here, not in __init__: a forgotten super().__init__() does no harm
        self.__dict__.update(training=True, _declared={}, _buffer_names={})
        return self

    def __init__(self) -> None:
        pass

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}: write its forward(self, x).")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if self._hooks is None:
                return self.forward(*args, **kwargs)
            return hooked_call(self, self._hooks, args, kwargs)
        except Exception as error:
            _locate(error, self)
            raise

    # -- attributes ------------------------------------------------------------------------------------------------
    def __setattr__(self, name: str, value: Any) -> None:
        kind, known = next((k for k in KINDS if isinstance(value, k)), None), self._declared.get(name)
        if kind is None and known is not None:
            if value is not None and not (known is Buffer and isinstance(value, Tensor)):
                raise DTypeError(
                    f"{type(self).__name__}.{name}: a {known.__name__.lower()} can only be replaced by a "
                    f"{'Tensor' if known is Buffer else known.__name__} or None: got {type(value).__name__}."
                    + " Wrap it in nn.Parameter(...), or copy_ into it under no_grad()."
                    * (known is Parameter)
                )
        elif kind is not known:
            if name in self.__dict__:
                delattr(self, name)  # a new place in the order
            self._declared[name] = kind  # type: ignore[assignment]
        if kind is Buffer:
            self._buffer_names[name] = value.persistent
        self.__dict__[name] = value

    def __delattr__(self, name: str) -> None:
        self._buffer_names.pop(name, None)
        self._declared.pop(name, None)
        super().__delattr__(name)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Set a parameter under this name; None: the name exists, the parameter does not."""
        if param is not None and not isinstance(param, Parameter):
            raise DTypeError(f"register_parameter: {name!r} must be a Parameter or None: got {type(param).__name__}.")
        if param is not None and not param.is_leaf:
            raise GradError(f"register_parameter: {name!r} was computed from others; a parameter is a leaf.")
        self._register(name, param, Parameter)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Set a tensor that is part of the state, and of state_dict unless persistent=False, but not learned."""
        if tensor is not None and not isinstance(tensor, Tensor):
            raise DTypeError(f"register_buffer: {name!r} must be a Tensor or None: got {type(tensor).__name__}.")
        self._register(name, tensor, Buffer)
        self._buffer_names[name] = persistent

    def register_module(self, name: str, module: Module | None) -> None:
        """Set a part under this name."""
        if module is not None and not isinstance(module, Module):
            raise DTypeError(f"register_module: {name!r} must be a Module or None: got {type(module).__name__}.")
        self._register(name, module, Module)

    add_module = register_module

    def _register(self, name: str, value: Any, kind: Any) -> None:
        if not isinstance(name, str) or not name or "." in name:
            raise ArgumentError(f"{type(self).__name__}: a name must be a non-empty string without dots: got {name!r}.")
        if hasattr(type(self), name):
            raise ArgumentError(f"{type(self).__name__}: the name {name!r} is taken by a method. Choose another.")
        if name in self.__dict__ and self._declared.get(name) is not kind:
            raise ArgumentError(f"{type(self).__name__}: the name {name!r} is taken by an attribute. Choose another.")
        if kind is Buffer:  # any tensor
            self.__dict__[name], self._declared[name] = value, Buffer
        else:
            setattr(self, name, value)
            self._declared[name] = kind

    def get_submodule(self, target: str) -> Module:
        """The part at a path such as ``"encoder.layers.0"``; the module itself for ``""``."""
        found: Any = self
        for name in target.split(".") if target else ():
            found = found.__dict__.get(name) if isinstance(found, Module) else None
            if not isinstance(found, Module):
                raise StateError(
                    f"get_submodule: {type(self).__name__} has no part at {target!r} (stopped at {name!r})."
                )
        return found

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put a part at a path such as ``"encoder.layers.0"``; strict: only where there is one."""
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if not name or not isinstance(module, Module):
            raise ArgumentError(f"set_submodule: needs a path and a Module: got {target!r}, {type(module).__name__}.")
        if strict:
            self.get_submodule(target)
        setattr(owner, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a path such as ``"encoder.layers.0.weight"``."""
        return self._get(target, Parameter, "get_parameter")

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a path such as ``"norm.running_mean"``."""
        return self._get(target, Tensor, "get_buffer")

    def _get(self, target: str, kind: Any, who: str) -> Any:
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        found = owner.__dict__.get(name)
        if not isinstance(found, kind) or (kind is Tensor and name not in owner._buffer_names):
            raise StateError(f"{who}: {type(self).__name__} has none at {target!r}.")
        return found

    # -- walks -----------------------------------------------------------------------------------------------------
    def _own_parameters(self) -> Iterator[tuple[str, Parameter]]:
        for name, v in list(self.__dict__.items()):
            if isinstance(v, Parameter):
                yield name, v
            elif type(v) in PLAIN and v and isinstance(next(iter(v.values() if type(v) is dict else v)), Module):
                warn_once(
                    f"{type(self).__name__}.{name}: layers in a plain {type(v).__name__} are not parts of the model: "
                    "parameters(), state_dict() and to() pass them by. Use "
                    f"{'nn.ModuleDict' if type(v) is dict else 'nn.ModuleList'}({name})."
                )

    def _own_buffers(self) -> Iterator[tuple[str, Tensor]]:
        return ((name, self.__dict__[name]) for name in self._buffer_names if self.__dict__[name] is not None)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, part) of the direct parts, each part once."""
        seen: set[int] = set()
        for name, v in list(self.__dict__.items()):
            if isinstance(v, Module) and id(v) not in seen:
                seen.add(id(v))
                yield name, v

    def children(self) -> Iterator[Module]:
        return (m for _, m in self.named_children())

    def named_modules(
        self, memo: set | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """(path, module) of this module and all parts of parts, each once."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, v in list(self.__dict__.items()):
            if isinstance(v, Module):
                yield from v.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        return (m for _, m in self.named_modules())

    def _named(self, own: Callable, prefix: str, recurse: bool, remove_duplicate: bool) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, t in own(module):
                if id(t) not in seen:
                    if remove_duplicate:
                        seen.add(id(t))
                    yield f"{path}.{name}" if path else name, t

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """(path, parameter) of this module and its parts; a shared parameter once, under its first path."""
        return self._named(Module._own_parameters, prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """(path, buffer) of this module and its parts."""
        return self._named(Module._own_buffers, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        return (b for _, b in self.named_buffers(recurse=recurse))

    # -- state -----------------------------------------------------------------------------------------------------
    def _own_state(self) -> Iterator[tuple[str, Tensor]]:
        """(name, tensor) of the parameters, then of the buffers to save."""
        yield from self._own_parameters()
        yield from ((name, b) for name, b in self._own_buffers() if self._buffer_names[name])

    def get_extra_state(self) -> Any:
        """What else state_dict should hold for this module: anything that can be pickled. To be overridden."""
        raise NotImplementedError(f"{type(self).__name__}: write its get_extra_state(self).")

    def set_extra_state(self, state: Any) -> None:
        """Take back what get_extra_state gave. To be overridden."""
        raise NotImplementedError(f"{type(self).__name__}: write its set_extra_state(self, state).")

    def state_dict(
        self, *, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> OrderedDict[str, Tensor]:
        """All parameters and persistent buffers by path,
        sharing memory with the module (keep_vars: the very tensors).

        A module's parameters come first, then its buffers, its extra state, and its parts. destination: the dictionary
        to add to.
        """
        state = OrderedDict() if destination is None else destination
        hooks = self._hooks or NO_HOOKS
        for hook in list(hooks.saving):
            hook.call(self, prefix, keep_vars)
        for name, t in self._own_state():
            state[prefix + name] = t if keep_vars else t.detach()
        if type(self).get_extra_state is not Module.get_extra_state:
            state[prefix + EXTRA] = self.get_extra_state()
        for name, v in list(self.__dict__.items()):
            if isinstance(v, Module):
                v.state_dict(destination=state, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for hook in list(hooks.saved):
            hook.call(self, state, prefix, {"version": self._version})
        return state

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy values (Tensors, arrays, or anything NumPy can read) into the parameters and buffers of the same names.

        All keys and shapes are checked before anything is written (but for strict keys where a post hook may yet
        forgive them). strict=False tolerates missing and unexpected keys, never a wrong shape. assign=True takes over
        the dtype of the values instead of converting them.
        """
        if not isinstance(state_dict, Mapping):
            raise DTypeError(f"load_state_dict: state_dict must be a mapping: got {type(state_dict).__name__}.")
        state = OrderedDict(state_dict)  # hooks may rename
        keys = IncompatibleKeys([], [])
        others: list[str] = []  # messages of hooks
        modules = [(f"{path}." if path else "", m) for path, m in self.named_modules(remove_duplicate=False)]
        for prefix, module in modules:
            for hook in list((module._hooks or NO_HOOKS).loading):
                hook.call(module, state, prefix, {"version": module._version}, strict, *keys, others)
        own = OrderedDict((prefix + name, t) for prefix, m in modules for name, t in m._own_state())
        extras = {p + EXTRA: m for p, m in modules if type(m).set_extra_state is not Module.set_extra_state}
        keys.missing_keys.extend(key for key in (*own, *extras) if key not in state)
        keys.unexpected_keys.extend(key for key in state if key not in own and key not in extras)
        values = {key: _host(state[key]) for key in own if key in state}
        shapeless = {k for k in values if hasattr(own[k], "materialize")}  # of lazy layers: they take any shape
        shapes = {k: v.shape if k in shapeless else own[k].shape for k, v in values.items()}
        values = {k: v[0] if not shapes[k] and v.shape == (1,) else v for k, v in values.items()}
        wrong = [f"{k}: {v.shape} for {shapes[k]}" for k, v in values.items() if v.shape != shapes[k]]
        post = [(m, hook) for _, m in reversed(modules) for hook in list((m._hooks or NO_HOOKS).loaded)]
        if not post or wrong or others:
            self._check_keys(keys, wrong, others, strict)
        for key, value in values.items():
            t = own[key]
            if key in shapeless:
                t.materialize(value.shape)
            if assign:
                _move(t, t.backend.asarray(value, copy=True))
            else:
                t.array[...] = t.backend.asarray(value, dtype=t.dtype)
                written(t, "load_state_dict")
        for key, module in extras.items():
            if key in state:
                module.set_extra_state(state[key])
        for module, hook in post:
            if hook.call(module, keys) is not None:
                raise ArgumentError("load_state_dict: a post hook must change the lists of keys in place, not return.")
        self._check_keys(keys, wrong, others, strict)
        return keys

    def _check_keys(self, keys: IncompatibleKeys, wrong: list[str], others: list[str], strict: bool) -> None:
        lines = [f"missing: {', '.join(keys.missing_keys)}"] * bool(strict and keys.missing_keys)
        lines += [f"unexpected: {', '.join(map(str, keys.unexpected_keys))}"] * bool(strict and keys.unexpected_keys)
        lines += [f"wrong shape: {'; '.join(wrong)}"] * bool(wrong)
        lines += others
        if lines:
            listed = "\n  ".join(lines)
            raise StateError(
                f"load_state_dict: the keys and shapes must be {type(self).__name__}'s:\n  {listed}\n"
                "Build the model with the same options, or pass strict=False to load what matches in name."
            )

    # -- changes to the whole ----------------------------------------------------------------------------------------
    def apply(self, fn: Callable[[Module], Any]) -> Module:
        """Call fn on every part, then on the module itself: ``model.apply(init_weights)``."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Module:
        """Training behaviour (dropout drops, batch norm uses the batch) for this module and its parts."""
        if not isinstance(mode, bool):
            raise ArgumentError(f"train: mode must be True or False: got {mode!r}.")
        self.__dict__["training"] = mode
        for child in self.children():
            child.train(mode)  # which it may have overridden
        return self

    def eval(self) -> Module:
        """Evaluation behaviour: the same input always gives the same output."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        """Freeze (False) or unfreeze all parameters."""
        for p in self.parameters():
            p.requires_grad = requires_grad
        return self

    def freeze(self, *paths: str) -> Module:
        """No gradient for the parameters at these paths, in which * stands for anything (none given: for all).

        >>> from minigrad import nn
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)).freeze("0.*")
        >>> [name for name, p in model.named_parameters() if p.requires_grad]
        ['1.weight', '1.bias']
        """
        return self._learn(paths, False, "freeze")

    def unfreeze(self, *paths: str) -> Module:
        """The reverse of `freeze`."""
        return self._learn(paths, True, "unfreeze")

    def _learn(self, paths: tuple[str, ...], learned: bool, who: str) -> Module:
        named = list(self.named_parameters(remove_duplicate=False))
        for path in paths or ("*",):
            found = [p for name, p in named if fnmatchcase(name, path)]
            if paths and not found:
                raise ArgumentError(
                    f"{who}: {type(self).__name__} has no parameter at {path!r}; a part's are at '{path}.*'."
                )
            for p in found:
                p.requires_grad = learned
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros."""
        for p in self.parameters():
            p._grad = None if set_to_none or p._grad is None else wrap(p.backend.xp.zeros_like(p.array))

    def to(
        self,
        *targets: Any,
        device: Any = None,
        dtype: Any = None,
        non_blocking: bool = False,
        memory_format: Any = None,
    ) -> Module:
        """In another float dtype, on another backend ("cupy", "cpu"), or like a tensor; in place, as PyTorch's, whose
        non_blocking and memory_format have no effect."""
        for target in targets:
            if isinstance(target, bool):
                continue  # non_blocking by position
            if isinstance(target, Tensor):
                device, dtype = target.backend, target.dtype
            elif (isinstance(target, str) and target not in DTYPE_NAMES) or hasattr(target, "to_host"):
                device = target
            elif target is not None:
                dtype = target
        dtype = None if dtype is None else dtype_of(dtype)
        if dtype is not None and kind_of(dtype) not in "fc":
            raise DTypeError(f"{type(self).__name__}.to: dtype must be a float dtype: got {dtype}.")
        backend = None if device is None else get_backend("numpy" if device == "cpu" else device)

        def moved(array: Any, own: Any) -> Any:
            if backend is not None and not backend.holds(array):
                array = backend.take(array, own)
            return (
                array.astype(dtype)
                if dtype is not None and kind_of(array.dtype) in "fc" and array.dtype != dtype
                else array
            )

        for t in (*self.parameters(), *self.buffers()):
            own = t.backend
            array = moved(t.array, own)
            if array is not t.array:
                grad = t._grad
                _move(t, array)
                t._grad = None if grad is None else wrap(moved(grad.array, own))
        return self

    def to_empty(self, *, device: Any, recurse: bool = True) -> Module:
        """On another backend, with whatever its memory holds, for reset_parameters or load_state_dict to fill."""
        backend = get_backend("numpy" if device == "cpu" else device)
        for t in (*self.parameters(recurse), *self.buffers(recurse)):
            _move(t, backend.xp.empty(t.shape, t.dtype))
        return self

    def type(self, dst_type: Any) -> Module:
        """All parameters and buffers in another dtype, integer buffers too; `to` changes the floats only."""
        dtype = dtype_of(dst_type)
        if kind_of(dtype) not in "fc" and any(p.requires_grad for p in self.parameters()):
            raise DTypeError(f"{self._kind()}.type: parameters that require a gradient are floats: got {dtype}.")
        for t in (*self.parameters(), *self.buffers()):
            _move(t, t.array.astype(dtype))
        return self

    def _kind(self) -> str:
        return self.__class__.__name__

    def float(self) -> Module:
        return self.to(dtype="float32")

    def double(self) -> Module:
        return self.to(dtype="float64")

    def half(self) -> Module:
        return self.to(dtype="float16")

    def bfloat16(self) -> Module:
        return self.to(dtype="bfloat16")

    def cpu(self) -> Module:
        return self.to("cpu")

    def cuda(self, device: Any = None) -> Module:
        """On the GPU, by the backend "cupy"."""
        return self.to("cupy" if device is None else f"cupy:{device}" if isinstance(device, int) else device)

    # -- hooks -----------------------------------------------------------------------------------------------------
    def _add_hook(self, kind: str, hook: Hook, prepend: bool = False) -> Handle:
        if self._hooks is None:
            self._hooks = Hooks()
        hooks = getattr(self._hooks, kind)
        hooks.insert(0 if prepend else len(hooks), hook)
        return Handle(hooks, hook)  # type: ignore[arg-type]

    def register_forward_pre_hook(self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False) -> Handle:
        """``hook(module, args)`` before each forward; what it returns, if not None, replaces the arguments.

        with_kwargs: ``hook(module, args, kwargs)``, which may return (args, kwargs).
        """
        return self._add_hook("before", Hook(hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> Handle:
        """``hook(module, args, output)`` after each forward; what it returns, if not None, replaces the output.

        with_kwargs: ``hook(module, args, kwargs, output)``. always_call: also if forward or another hook raises, then
        with the output so far, or None.
        """
        return self._add_hook("after", Hook(hook, with_kwargs, always_call), prepend)

    def register_full_backward_pre_hook(self, hook: Callable, prepend: bool = False) -> Handle:
        """``hook(module, grad_output)`` when the gradients of the outputs are there;
        may return others in their place."""
        return self._add_hook("backward_before", Hook(hook), prepend)

    def register_full_backward_hook(self, hook: Callable, prepend: bool = False) -> Handle:
        """``hook(module, grad_input, grad_output)`` when the gradients of the inputs are there;
        may return another grad_input.

        Inputs and outputs count that are tensors passed by position; one without a gradient is None.
        """
        return self._add_hook("backward", Hook(hook), prepend)

    def register_state_dict_pre_hook(self, hook: Callable) -> Handle:
        """``hook(module, prefix, keep_vars)`` before this module's state is collected."""
        return self._add_hook("saving", Hook(hook))

    def register_state_dict_post_hook(self, hook: Callable) -> Handle:
        """``hook(module, state_dict, prefix, local_metadata)`` after it was, to change state_dict in place."""
        return self._add_hook("saved", Hook(hook))

    def register_load_state_dict_pre_hook(self, hook: Callable) -> Handle:
        """``hook(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)``
        before anything is loaded, to rename keys in state_dict, a copy of the caller's that all modules share."""
        return self._add_hook("loading", Hook(hook))

    def register_load_state_dict_post_hook(self, hook: Callable) -> Handle:
        """``hook(module, incompatible_keys)`` after loading, to change the two lists in place."""
        return self._add_hook("loaded", Hook(hook))

    def _register_load_state_dict_pre_hook(self, hook: Callable, with_module: bool = False) -> Handle:
        """PyTorch's older name, which many models use: the hook receives no module unless with_module."""
        return self.register_load_state_dict_pre_hook(hook if with_module else lambda module, *args: hook(*args))

    # -- words -----------------------------------------------------------------------------------------------------
    def extra_repr(self) -> str:
        """What repr shows between the parentheses: the options of a layer."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        parts = [f"({name}): {indented(repr(m))}" for name, m in self.__dict__.items() if isinstance(m, Module)]
        return framed(type(self).__name__, extra, parts)

    def _repr_html_(self) -> str:
        """What notebooks show."""
        return importlib.import_module("minigrad.viz.html").module_html(self)

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name.isidentifier()]


KINDS = (Parameter, Module, Buffer)
PLAIN = (list, tuple, dict)


def framed(name: str, extra: str, parts: list[str]) -> str:
    if not parts:
        return f"{name}({indented(extra)})" if "\n" not in extra else f"{name}(\n  {indented(extra)}\n)"
    return f"{name}(\n  " + "\n  ".join([extra] * bool(extra) + parts) + "\n)"


def indented(text: str) -> str:
    return text.replace("\n", "\n  ")


def _host(value: Any) -> np.ndarray:
    array = value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)
    if kind_of(array.dtype) not in "biufc":
        raise DTypeError(f"load_state_dict: values must be arrays of numbers: got {type(value).__name__}.")
    return array


def _move(t: Tensor, array: Any) -> None:
    """Give t another array, perhaps of another dtype or device; it stays the same tensor, a leaf with its hooks."""
    t.array, t.storage, t.source = array, None, None
    if t.node is not None:
        hooks, t.node = t.node.hooks, leaf(t)
        t.node.hooks = hooks


def made(shape: tuple[int, ...], device: Any = None, dtype: Any = None) -> Parameter:
    """A new parameter of this shape with whatever the memory holds, for `reset_parameters` to fill."""
    mode = MODE.get()
    backend = mode.device if device is None else get_backend("numpy" if device == "cpu" else device)
    return Parameter(wrap(backend.xp.empty(shape, dtype or mode.default_dtype)))


# ---- where in the model an error came from ---------------------------------------------------------------------------


def _locate(error: Exception, module: Module) -> None:
    """Note on the error the path of the layer that raised it, one step longer at each call it passes through."""
    trail = error.__dict__.setdefault("_trail", [])  # [module reached so far, path from it to the layer, the layer]
    notes = error.__dict__.setdefault("__notes__", [])
    kind = type(module).__name__
    if not trail:
        options = _options(module)
        trail[:] = [module, "", f" = {options}" if options else f" ({kind})"]
        notes.append(f"in {options or kind}")
        trail.append(len(notes) - 1)
    else:
        reached, path, layer, place = trail
        name = next((name for name, m in module.named_modules() if m is reached), "?")
        trail[:2] = [module, ".".join(filter(None, (name, path)))]
        notes[place] = f"in {kind}.{trail[1]}{layer}"


def _options(module: Module) -> str:
    """The repr of a module without parts; nothing if even that fails, since another error is on its way."""
    try:
        return "" if list(module.children()) else repr(module)
    except Exception:
        return ""
