"""Optimizer: parameter groups, state, and the step loop. An optimizer is two pure functions, `init` and `update`.

    def init(self, F, p, **options):               the state of one parameter before the first step
    def update(self, F, p, g, state, **options):   (new p, new state), written as the formula, changing nothing

p, g and the state's values are arrays and F the primitives for them, so the same `update` serves NumPy, CuPy and traced
arrays. The loop here calls it for every parameter that has a gradient and writes the results in place; where a compiled
kernel serves (see `Optimizer.kernel`), that does the same for all parameters in one call and one pass over memory.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any, ClassVar

import numpy as np
from numpy import ndarray

from .. import halves
from ..backend import Backend
from ..backend.base import load_kernel
from ..edits import caller, written
from ..errors import ArgumentError, DTypeError, GradError, StateError
from ..mistakes import warn_once
from ..mode import MODE, enable_grad
from ..tensor import Handle, Tensor, wrap
from .options import WITHOUT_EFFECT, Rule, check

HOOKS = "before step", "after step", "before saving", "after saving", "before loading", "after loading"
watching: list[Any] | None = None  # while a CUDA graph is recorded: the optimizers that step in it
KERNELS = {"numba": "cpu", "cupy": "cuda"}  # the folder of a backend's kernels
FUSE_FROM = 1_024  # elements of all parameters together: fewer never wait for a compiler


class Optimizer:
    """Base of all optimizers. ``params``: tensors, (name, tensor) pairs, or dicts ``{"params": [...], "lr": ...}``,
    one per group.

    Options given in a group's dict hold for that group; the constructor's are the defaults of the others. PyTorch's
    `foreach`, `fused`, `capturable` and `differentiable` are accepted and kept with the others, and have no effect. A
    subclass sets the defaults, and writes `init` and `update`.

    A float16 or bfloat16 parameter is updated in float32 and its state is float32. With `master_weights` (an attribute,
    True) it has a float32 copy there, "master", in which small steps add up that the half type would round away.
    """

    defaults: dict[str, Any]
    rules: ClassVar[dict[str, Rule | None]] = {}  # where `options.RULES` knows none, or another; None: anything
    master_weights = True  # a half parameter is the rounding of a float32 copy in the state, "master"
    kernel = ""  # the function in optim of a folder in KERNELS that does the same in place

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]):
        self.defaults = defaults
        self.options = tuple(name for name in defaults if name not in WITHOUT_EFFECT)  # what `update` gets
        self.state: dict[Tensor, dict[str, Any]] = {}
        self.masters: dict[Tensor, int] = {}  # the version of a half parameter that its master copy was rounded to
        self.param_groups: list[dict[str, Any]] = []
        self.steps = 0  # calls of step(), for the schedulers' warning
        self._hooks: dict[str, list[Callable]] = {when: [] for when in HOOKS}
        self._silent = False  # warned that there is no gradient
        self._stepped: tuple = (None, None)  # the first gradient of the last step, and its first values then
        self._kernel: Any = None  # found at the first step; False: there is none ...
        self._kernel_for = ""  # ... for parameters on this backend
        if isinstance(params, Tensor):
            raise DTypeError(
                f"{self.name}: params must be an iterable of tensors or dicts: got one tensor. Pass [tensor]."
            )
        if not isinstance(params, Iterable):
            hint = "model.parameters()" if hasattr(params, "parameters") else "a list of tensors"
            raise DTypeError(
                f"{self.name}: params must be an iterable of tensors or dicts: got {type(params).__name__}. "
                f"Pass {hint}."
            )
        params = list(params.items() if isinstance(params, Mapping) else params)
        if not params:
            raise ArgumentError(
                f"{self.name}: params must hold a parameter: got an empty parameter list. Was model.parameters(), a "
                "generator, used up before? Are the layers in a plain list, where nn.ModuleList is needed?"
            )
        for group in params if isinstance(params[0], dict) else [{"params": params}]:
            self.add_param_group(group)

    @property
    def name(self) -> str:
        return type(self).__name__

    # -- the two pure functions --------------------------------------------------------------------------------------
    def init(self, *args: Any, **options: Any) -> dict[str, Any]:
        raise NotImplementedError(f"{self.name}: write init(self, F, p, **options).")

    def update(self, *args: Any, **options: Any) -> tuple[Any, dict[str, Any]]:
        raise NotImplementedError(f"{self.name}: write update(self, F, p, g, state, **options).")

    def kernel_state(self, *args: Any, **options: Any) -> tuple[str, ...]:
        """The names of the state that the kernel takes for a group's options, in its order."""
        return ()

    # -- groups ------------------------------------------------------------------------------------------------------
    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own, for instance when layers are unfrozen."""
        if not isinstance(param_group, dict):
            raise DTypeError(f"{self.name}: a parameter group must be a dict: got {type(param_group).__name__}.")
        if "params" not in param_group:
            raise ArgumentError(f"{self.name}: a parameter group needs 'params': got {sorted(param_group)}.")
        group = dict(param_group)
        params = group["params"]
        if isinstance(params, set):
            raise DTypeError(f"{self.name}: params must have an order: got a set. Pass a list.")
        params = [params] if isinstance(params, Tensor) else list(params)
        named = [p for p in params if isinstance(p, tuple)]
        if named:
            if len(named) != len(params):
                raise ArgumentError(
                    f"{self.name}: all parameters or none must be named: {len(named)} are, of {len(params)}."
                )
            group["param_names"] = [name for name, _ in params]
            params = [p for _, p in params]
        if any(("param_names" in g) != ("param_names" in group) for g in self.param_groups):
            raise ArgumentError(f"{self.name}: all groups or none must have named parameters.")
        taken = {id(p) for g in self.param_groups for p in g["params"]}
        for i, p in enumerate(params):
            if not isinstance(p, Tensor):
                raise DTypeError(f"{self.name}: parameters must be tensors: parameter {i} is {type(p).__name__}.")
            if not p.is_leaf:
                raise GradError(
                    f"{self.name}: parameters must be leaves: parameter {i} {p.shape} was computed (by {p.node.name}). "
                    "Optimize the tensor it was computed from."
                )
            if id(p) in taken:
                raise ArgumentError(f"{self.name}: parameter {i} {p.shape} is given twice. Each belongs to one group.")
            taken.add(id(p))
        group["params"] = params
        for option, default in self.defaults.items():
            group.setdefault(option, default)
        self._check(group)
        self.param_groups.append(group)
        self._kernel = None

    def _check(self, group: dict[str, Any]) -> None:
        check(self.name, group, self.rules)

    # -- stepping ----------------------------------------------------------------------------------------------------
    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros."""
        for group in self.param_groups:
            for p in group["params"]:
                p._grad = None if set_to_none or p._grad is None else wrap(p.backend.xp.zeros_like(p.array))

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient, in place.
        closure: computes and returns the loss, called first."""
        args, kwargs = self._before_step((self,) if closure is None else (self, closure))
        loss = self._step(*args[1:], **kwargs)
        self.steps += 1
        for hook in tuple(self._hooks["after step"]):
            hook(self, args, kwargs)
        return loss

    def _before_step(self, args: tuple) -> tuple[tuple, dict[str, Any]]:
        kwargs: dict[str, Any] = {}
        for hook in tuple(self._hooks["before step"]):
            changed = hook(self, args, kwargs)
            if changed is not None:
                if not isinstance(changed, tuple) or len(changed) != 2:
                    raise ArgumentError(
                        f"{self.name}: a step pre-hook must return None or (args, kwargs): got {changed!r}."
                    )
                args, kwargs = changed
        return args, kwargs

    def _step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if watching is not None:
            watching.append(self)
        if closure is not None:
            with enable_grad():
                loss = closure()
        if self.steps < 3:
            self._check_fresh()
        changed, stamp, where, host = False, f"{self.name}.step", caller(), MODE.get().host
        kernel = self._find_kernel(host) if self.kernel else None
        for group in self.param_groups:
            options = self._options(group)
            params = [p for p in group["params"] if p._grad is not None]
            changed = changed or bool(params)
            for p in self._step_together(kernel, params, options, host) if kernel else params:
                backend = host if type(p.array) is ndarray else p.backend
                with backend.active():
                    self._step_one(p, backend, options)
            for p in params:
                written(p, stamp, where)
        if not changed and not self._silent:
            self._silent = True
            self._warn_idle()
        return loss

    def _options(self, group: dict[str, Any]) -> dict[str, Any]:
        """What `init` and `update` get."""
        return {name: plain(group[name]) for name in self.options}

    def _step_together(self, kernel: Callable, params: list[Tensor], options: dict, host: Backend) -> list[Tensor]:
        """Step the parameters that the kernel serves; returns the others."""
        names = self.kernel_state(**options)
        arrays: list[Any] = []
        ready: list[Tensor] = []
        others: list[Tensor] = []
        for p in params:
            state = self.state.get(p)
            if state is None:
                state = self._init(p, host if type(p.array) is ndarray else p.backend, options)
            try:
                arrays += (p.array, p._grad.array, *[state[name].array for name in names])
                ready.append(p)
            except KeyError:  # the first step makes this state
                others.append(p)
        if ready:
            served = kernel(tuple(arrays), **options)
            if not all(served):
                others += [p for p, by_kernel in zip(ready, served) if not by_kernel]
        return others

    def _step_one(self, p: Tensor, backend: Backend, options: dict[str, Any]) -> None:
        array, g = p.array, p._grad.array
        state = self.state.get(p)
        if state is None:
            state = self._init(p, backend, options)
        if halves.seen and array.dtype in halves.HALVES:
            new, arrays = self._update_half(p, g, state, backend, options)
        else:
            new, arrays = self.update(backend.F, array, g, {name: t.array for name, t in state.items()}, **options)
        array[...] = new
        for name, value in arrays.items():
            if not isinstance(value, backend.array):  # NumPy makes numbers of 0-d arrays
                value = backend.xp.asarray(value)
            if name in state and watching is not None:
                state[name].array[...] = value  # a recorded step finds its state where it was
            elif name in state:
                state[name].array = value
            else:
                state[name] = wrap(value)

    def _update_half(self, p: Tensor, g: Any, state: dict[str, Tensor], backend: Backend, options: dict) -> tuple:
        """`update` in float32, from the master copy in the state unless somebody else has written to p since."""
        version = p.storage.version if p.storage is not None else 0
        known = state.get("master") if self.masters.get(p, version) == version else None
        master = known.array if known is not None else p.array.astype(halves.FLOAT32)
        arrays = {name: t.array for name, t in state.items() if name != "master"}
        new, arrays = self.update(backend.F, master, g.astype(halves.FLOAT32), arrays, **options)
        if not self.master_weights:
            return new, arrays
        self.masters[p] = version + 1  # as `step` will stamp this update
        return new.astype(p.dtype), {**arrays, "master": new}

    def _init(self, p: Tensor, backend: Backend, options: dict[str, Any]) -> dict[str, Tensor]:
        made = self.init(backend.F, halves.widened((p.array,))[0], **options)
        state = self.state[p] = {name: wrap(backend.xp.asarray(value)) for name, value in made.items()}
        return state

    def _find_kernel(self, host: Backend) -> Callable | None:
        """The kernel for where the parameters are; None where there is none, or for a model on the host that is too
        small to pay for compiling it. Looked for again only when they have moved."""
        first = self.param_groups[0]["params"][0] if self.param_groups[0]["params"] else None
        name = host.name if first is None or type(first.array) is ndarray else first.backend.name
        if self._kernel is None or self._kernel_for != name:
            module = KERNELS.get(name)
            few = name == "numba" and sum(p.size for p in self._params()) < FUSE_FROM
            load = lambda: getattr(import_module(f"minigrad.kernels.{module}.optim"), self.kernel, False)
            self._kernel = bool(module) and not few and load_kernel(load, False)
            self._kernel_for = name
        return self._kernel or None

    def _check_fresh(self) -> None:
        """In the first steps: has the first gradient grown since the last one, instead of being made anew?"""
        p = next((p for group in self.param_groups for p in group["params"] if p._grad is not None), None)
        if p is None or type(p._grad.array) is not ndarray:
            return
        g, some = p._grad, p._grad.array.flat[:16]
        if self._stepped[0] is g and not np.array_equal(self._stepped[1], some):
            warn_once(
                f"{self.name}.step: gradients must be of this step alone: the first parameter's, {p.shape}, was added "
                "to that of the step before. Call optimizer.zero_grad() before backward()."
            )
        self._stepped = (g, some) if self.steps < 2 else (None, None)

    def _warn_idle(self) -> None:
        first = next((p for group in self.param_groups for p in group["params"]), None)
        why = "it has no parameters" if first is None else f"the first parameter's {first.explain_grad()}"
        warnings.warn(
            f"{self.name}.step: no parameter has a gradient, nothing changed: {why} Or were the model's parameters "
            "replaced by new ones after the optimizer was made?",
            stacklevel=4,
        )

    # -- hooks -------------------------------------------------------------------------------------------------------
    def _register(self, when: str, hook: Callable, prepend: bool = False) -> Handle:
        self._hooks[when].insert(0 if prepend else len(self._hooks[when]), hook)
        return Handle(self._hooks[when], hook)

    def register_step_pre_hook(self, hook: Callable) -> Handle:
        """``hook(optimizer, args, kwargs)`` before each step, with the arguments of ``step``, the optimizer the first;
        it may return other (args, kwargs). ``.remove()`` of what is returned takes it off again."""
        return self._register("before step", hook)

    def register_step_post_hook(self, hook: Callable) -> Handle:
        """``hook(optimizer, args, kwargs)`` after each step."""
        return self._register("after step", hook)

    def register_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> Handle:
        """``hook(optimizer)`` before each state_dict()."""
        return self._register("before saving", hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> Handle:
        """``hook(optimizer, state_dict)`` after each state_dict(); it may return another one."""
        return self._register("after saving", hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> Handle:
        """``hook(optimizer, state_dict)`` before each load_state_dict(); it may return another one."""
        return self._register("before loading", hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> Handle:
        """``hook(optimizer)`` after each load_state_dict()."""
        return self._register("after loading", hook, prepend)

    # -- state -------------------------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Any]:
        """``{"state": {index: {name: tensor}}, "param_groups":
        [options with the indices of their parameters]}``, as PyTorch's."""
        for hook in self._hooks["before saving"]:
            hook(self)
        index = {id(p): i for i, p in enumerate(self._params())}
        groups = [
            {k: v for k, v in g.items() if k != "params"} | {"params": [index[id(p)] for p in g["params"]]}
            for g in self.param_groups
        ]
        saved: dict[str, Any] = {
            "state": {index[id(p)]: dict(s) for p, s in self.state.items()},
            "param_groups": groups,
        }
        for hook in self._hooks["after saving"]:
            saved = hook(self, saved) or saved
        return saved

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned, here or in PyTorch; values may be anything NumPy can read.

        All is checked before anything changes."""
        state_dict = dict(state_dict)
        for hook in self._hooks["before loading"]:
            state_dict = hook(self, state_dict) or state_dict
        missing = [key for key in ("state", "param_groups") if key not in state_dict]
        if missing:
            raise StateError(f"{self.name}.load_state_dict: missing keys: {', '.join(missing)}.")
        saved = state_dict["param_groups"]
        came, own = [len(g["params"]) for g in saved], [len(g["params"]) for g in self.param_groups]
        if came != own:
            raise StateError(
                f"{self.name}.load_state_dict: groups must have as many parameters as here: got {came}, here {own}."
            )
        changed = [group | {k: v for k, v in g.items() if k != "params"} for group, g in zip(self.param_groups, saved)]
        for group in changed:
            self._check(group)
        own_of = {i: (p, group) for g, group in zip(saved, changed) for i, p in zip(g["params"], group["params"])}
        loaded: dict[Tensor, dict[str, Any]] = {}
        for i, values in state_dict["state"].items():
            i = int(i) if isinstance(i, str) and i.isdecimal() else i  # a file may hold the numbers as text
            if i not in own_of:
                raise StateError(f"{self.name}.load_state_dict: state of parameter {i}, which no group names.")
            loaded[own_of[i][0]] = self._loaded(i, *own_of[i], {k: v for k, v in values.items() if v is not None})
        for group, new in zip(self.param_groups, changed):
            group.update(new)
        self.state, self.masters = loaded, {}
        for hook in self._hooks["after loading"]:
            hook(self)

    def _loaded(self, i: int, p: Tensor, group: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
        """The state of parameter i from saved values; StateError if they are not what the first step would make."""
        who = f"{self.name}.load_state_dict"
        made = self.init(p.backend.F, halves.widened((p.array,))[0], **self._options(group))
        if values and not made.keys() <= values.keys():
            raise StateError(
                f"{who}: state of parameter {i} must have {', '.join(made)}: got {', '.join(values)}. "
                "Is it another optimizer's?"
            )
        state = {}
        for name, value in values.items():
            array, shape = to_numpy(value), made[name].shape if name in made else p.shape
            if array.shape != shape:
                raise StateError(f"{who}: {name} of parameter {i} must be {shape}: got {array.shape}.")
            # a count is not to be rounded to the parameter's dtype
            dtype = np.float32 if name == "step" or p.dtype in halves.HALVES else p.dtype
            state[name] = wrap(p.backend.asarray(array, dtype=dtype, copy=True))
        return state

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_kernel": None}  # found again when needed

    def _params(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key not in ("params", "param_names")]
        return f"{self.name} (\n" + "\n".join(lines) + "\n)"


def plain(value: Any) -> Any:
    """An option whose tensors of one element became numbers."""
    if type(value) is tuple:
        return tuple(map(plain, value))
    return value.item() if isinstance(value, Tensor) else value


def to_numpy(value: Any) -> np.ndarray:
    return value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)


def decayed(p: Any, g: Any, lr: float, weight_decay: float, maximize: bool, decoupled: bool = False) -> tuple[Any, Any]:
    """p and g after weight decay: weight_decay p added to g, or p scaled (decoupled). maximize: g negated first."""
    g = -g if maximize else g
    if not weight_decay:
        return p, g
    return (p * (1 - lr * weight_decay), g) if decoupled else (p, g + weight_decay * p)
