"""Models with quantised layers: dynamic, static (prepare, calibrate, convert), or trained for it (prepare_qat)."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ..errors import ArgumentError, StateError
from ..mode import no_grad
from ..nn.activation import ReLU
from ..nn.containers import Sequential
from ..nn.conv import Conv1d, Conv2d, Conv3d
from ..nn.linear import Identity, Linear
from ..nn.module import Module
from ..nn.norm import _BatchNorm
from ..nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval
from ..nn.utils.parametrize import is_parametrized, register_parametrization, remove_parametrizations
from ..nn.utils.weight_norm import hooks_before
from ..tensor import Tensor
from .layers import STATE, from_state, quantized, refusal
from .observer import FakeQuantize, MinMaxObserver, WeightFakeQuantize

LAYERS = (Linear, Conv1d, Conv2d)


class _Watch:
    """The hook before a layer: an observer, or a FakeQuantize, of its input."""

    def __init__(self, watch: Any):
        self.watch = watch

    def __call__(self, layer: Module, inputs: tuple) -> tuple:
        self.watch.train(layer.training)
        return (self.watch(inputs[0]), *inputs[1:])


def _watch(layer: Module) -> _Watch | None:
    return next((h for h in hooks_before(layer) if isinstance(h, _Watch)), None)


def _places(model: Module) -> Iterator[tuple[str, Module, str, Module]]:
    """(path, owner, name, part) of all parts below the model."""
    for path, owner in list(model.named_modules(remove_duplicate=False)):
        for name, part in list(owner.__dict__.items()):
            if isinstance(part, Module):
                yield f"{path}.{name}" if path else name, owner, name, part


def _own(model: Any, inplace: bool, who: str) -> Module:
    if not isinstance(model, Module):
        raise ArgumentError(f"{who}: model must be a Module: got {type(model).__name__}.")
    return model if inplace else copy.deepcopy(model)


def float_layers(model: Module) -> dict[str, str]:
    """{path: reason} of the layers with parameters that quantisation leaves in floats.

    >>> from minigrad import nn
    >>> float_layers(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2), nn.Conv2d(4, 4, 3, groups=4)))
    {'1': 'LayerNorm: no int8 form of this layer', '2': 'Conv2d: groups=4'}
    """
    return {
        path: f"{type(part).__name__}: {refusal(part)}"
        for path, part in model.named_modules()
        if next(part._own_parameters(), None) is not None and refusal(part)
    }


def _replaced(model: Module, chosen: Callable[[str, Module], Any]) -> Module:
    """The model with each part for which `chosen` gives another module exchanged; a shared part once."""
    if (new := chosen("", model)) is not None:
        return new
    made: dict[int, Any] = {}
    for path, owner, name, part in _places(model):
        if id(part) not in made:
            made[id(part)] = chosen(path, part), part
        if made[id(part)][0] is not None:
            setattr(owner, name, made[id(part)][0])
    return model


def quantize_dynamic(model: Module, qconfig_spec: Any = None, dtype: Any = "int8", inplace: bool = False) -> Module:
    """Linear layers with int8 weights; each input is rounded to uint8 over its own range, at each call.

    qconfig_spec: which layers, as a set of types (Linear, Conv1d, Conv2d) or paths; None: {nn.Linear}. All others stay
    in floats: `float_layers` says which and why. An unsupported layer that is named is an ArgumentError.

    >>> import minigrad as mg
    >>> from minigrad import nn, quantization
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> quantization.quantize_dynamic(model)[0]
    QuantizedLinear(in_features=4, out_features=8, bias=True)
    """
    if np.dtype(dtype) != np.int8:
        raise ArgumentError(f"quantize_dynamic: dtype must be int8: got {np.dtype(dtype)}.")
    spec = {Linear} if qconfig_spec is None else set(qconfig_spec)
    model = _own(model, inplace, "quantize_dynamic")
    parts = dict(model.named_modules(remove_duplicate=False))
    for wanted in spec:
        if isinstance(wanted, str):
            if wanted not in parts:
                raise ArgumentError(f"quantize_dynamic: {type(model).__name__} has no part at {wanted!r}.")
            if why := refusal(parts[wanted]):
                raise ArgumentError(
                    f"quantize_dynamic: {wanted!r} ({type(parts[wanted]).__name__}) stays in floats: {why}."
                )
        elif wanted not in LAYERS:
            raise ArgumentError(
                f"quantize_dynamic: only Linear, Conv1d and Conv2d can be quantised, others stay in floats: got "
                f"{getattr(wanted, '__name__', wanted)}."
            )

    def chosen(path: str, part: Module) -> Any:
        return quantized(part) if (path in spec or type(part) in spec) and not refusal(part) else None

    return _replaced(model, chosen)


def fuse_modules(model: Module, inplace: bool = False) -> Module:
    """Batch norms in evaluation folded into the convolution or linear layer before them, wherever in a Sequential."""
    model = _own(model, inplace, "fuse_modules")
    for chain in [m for m in model.modules() if isinstance(m, Sequential)]:
        names = chain._names()
        for first, second in itertools.pairwise(names):
            layer, norm = getattr(chain, first), getattr(chain, second)
            if not isinstance(norm, _BatchNorm) or norm.training or layer.training or norm.running_mean is None:
                continue
            if isinstance(layer, Conv1d | Conv2d | Conv3d):
                fused = fuse_conv_bn_eval(layer, norm)
            elif isinstance(layer, Linear) and norm.num_features == layer.out_features:
                fused = fuse_linear_bn_eval(layer, norm)
            else:
                continue
            setattr(chain, first, fused)
            setattr(chain, second, Identity().eval())
    return model


def prepare(model: Module, observer: Callable[[], MinMaxObserver] = MinMaxObserver, inplace: bool = False) -> Module:
    """The model in evaluation, batch norms folded, with an observer before each Linear, Conv1d and Conv2d.

    Run data through it (`calibrate`), then `convert`. observer: makes one; MinMaxObserver, PercentileObserver ...
    Layers that cannot be quantised stay in floats: see `float_layers`.
    """
    model = fuse_modules(_own(model, inplace, "prepare").eval(), inplace=True)
    return _watched(model, observer, "prepare")


def _watched(model: Module, made: Callable[[], Any], who: str) -> Module:
    layers = [part for part in model.modules() if not refusal(part)]
    if not layers:
        raise ArgumentError(f"{who}: {type(model).__name__} has no Linear, Conv1d or Conv2d that can be quantised.")
    for layer in layers:
        if _watch(layer) is not None:
            raise ArgumentError(f"{who}: the model is prepared already.")
        layer.register_forward_pre_hook(_Watch(made()))
    return model


def calibrate(model: Module, data: Iterable[Any], batches: int | None = None) -> Module:
    """Run batches (x, or tuples with x first) through a prepared model, so that its observers see the ranges."""
    watches = [w for part in model.modules() if (w := _watch(part))]
    if not watches:
        raise ArgumentError("calibrate: the model has no observers. Call prepare(model) first.")
    count = 0
    with no_grad():
        for batch in data:
            if batches is not None and count >= batches:
                break
            x = batch[0] if isinstance(batch, tuple | list) else batch
            model(x if isinstance(x, Tensor) else Tensor(x))
            count += 1
    if not count:
        raise ArgumentError("calibrate: there was no data. Pass at least one batch.")
    return model


def prepare_qat(model: Module, inplace: bool = False) -> Module:
    """The model with fake quantisation of weights and inputs, to be trained on; then `convert`.

    Weights become parametrised (``parametrizations.weight.original`` is what is learned).
    """
    model = _own(model, inplace, "prepare_qat")
    layers = [part for part in model.modules() if not refusal(part)]
    _watched(model, FakeQuantize, "prepare_qat")
    for layer in layers:
        register_parametrization(layer, "weight", WeightFakeQuantize())
    return model


def convert(model: Module, inplace: bool = False) -> Module:
    """The prepared, calibrated (or trained) model with int8 layers in place of the observed ones.

    A ReLU right behind one in a Sequential becomes part of it. A layer that has seen no data is an ArgumentError.

    >>> import minigrad as mg
    >>> from minigrad import nn, quantization as quant
    >>> prepared = quant.prepare(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2)))
    >>> int8 = quant.convert(quant.calibrate(prepared, [mg.rand(8, 1, 4, 4)]))
    >>> [type(m).__name__ for m in int8]
    ['QuantizedConv2d', 'Identity', 'Flatten', 'QuantizedLinear']
    """
    model = _own(model, inplace, "convert").eval()
    watches = {path: w for path, part in model.named_modules() if (w := _watch(part))}
    if not watches:
        raise ArgumentError("convert: the model has no observers. Call prepare(model) and calibrate it first.")
    unseen = [path or "the model" for path, w in watches.items() if not _observer(w).seen]
    if unseen:
        raise ArgumentError(
            f"convert: {', '.join(unseen)} saw no data: ranges are not known. Call calibrate(model, data) first."
        )
    for path in watches:
        layer = model.get_submodule(path)
        if is_parametrized(layer, "weight"):
            remove_parametrizations(layer, "weight", leave_parametrized=False)
    fuse_modules(model, inplace=True)
    rectified = set()
    for chain in [m for m in model.modules() if isinstance(m, Sequential)]:
        parts = [(name, part) for name, part in zip(chain._names(), chain) if type(part) is not Identity]
        for (_, part), (name, following) in itertools.pairwise(parts):
            if _watch(part) and type(following) is ReLU:
                rectified.add(id(part))
                setattr(chain, name, Identity().eval())

    def chosen(path: str, part: Module) -> Any:
        watch = _watch(part)
        return watch and quantized(part, _observer(watch).calculate_qparams(), id(part) in rectified)

    return _replaced(model, chosen)


def _observer(watch: _Watch) -> MinMaxObserver:
    return watch.watch.activation_post_process if isinstance(watch.watch, FakeQuantize) else watch.watch


def quantized_like(model: Module, state_dict: Mapping[str, Any], inplace: bool = False) -> Module:
    """The float model with int8 layers wherever the state of a quantised one has them, and that state loaded.

    The way back from a file: ``quantized_like(Net(), io.load(path))``. A batch norm of which the state knows nothing
    was folded, and goes.
    """
    model = _own(model, inplace, "quantized_like").eval()
    keys = {key.rpartition(".")[0] for key in state_dict if key.rpartition(".")[2] == "weight_scale"}
    parts = dict(model.named_modules(remove_duplicate=False))
    if strangers := sorted(keys - parts.keys()):
        raise StateError(f"quantized_like: {type(model).__name__} has no parts {', '.join(strangers)}.")

    def chosen(path: str, part: Module) -> Any:
        key = f"{path}." if path else ""
        if isinstance(part, _BatchNorm) and part.running_mean is not None and f"{key}running_mean" not in state_dict:
            return Identity().eval()
        if path not in keys:
            return None
        if why := refusal(part):
            raise StateError(f"quantized_like: {path!r} ({type(part).__name__}) stays in floats: {why}.")
        return from_state(part, {name: state_dict[key + name] for name in STATE if key + name in state_dict})

    made = _replaced(model, chosen)
    made.load_state_dict(state_dict)
    return made
