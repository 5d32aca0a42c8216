"""A stand-in for NVIDIA's module `cudnn` (nvidia-cudnn-frontend 1.14), which computes with NumPy what graphs say.

It knows the arguments that the real package documents, by their names, and no others; it wants the steps of a graph in
their order, every array at its address, at a multiple of 16 bytes, and the current stream set on the handle. What
`state.refuses` names it has no plan for. `state.log` says which graphs were built and run.
"""

from __future__ import annotations

import ctypes
import enum
import itertools
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import fake_cupy
import numpy as np

from minigrad.backend.numpy import NumpyBackend
from minigrad.halves import bfloat16

F = NumpyBackend("cudnn").F
state = SimpleNamespace()


class cudnnGraphNotSupportedError(Exception):
    pass


data_type = enum.Enum("data_type", "NOT_SET FLOAT DOUBLE HALF BFLOAT16 INT8 INT32 INT64 BOOLEAN")
heur_mode = enum.Enum("heur_mode", "A B FALLBACK")
numerical_note = enum.Enum(
    "numerical_note",
    "TENSOR_CORE DOWN_CONVERT_INPUTS REDUCED_PRECISION_REDUCTION FFT NONDETERMINISTIC WINOGRAD WINOGRAD_TILE_4x4 "
    "WINOGRAD_TILE_6x6 WINOGRAD_TILE_13x13 STRICT_NAN_PROP",
)
NUMPY = {
    data_type.FLOAT: lambda: np.dtype("f4"), data_type.DOUBLE: lambda: np.dtype("f8"),
    data_type.HALF: lambda: np.dtype("f2"), data_type.BFLOAT16: bfloat16,
}  # fmt: skip


class Tensor:
    def __init__(self, dim: list | None = None, stride: list | None = None, kind: Any = None, uid: int = -1):
        self.dim, self.stride, self.kind, self.uid, self.virtual = dim, stride, kind, uid, dim is None
        self.value: Any = None

    def set_output(self, value: bool) -> Tensor:
        self.virtual = not value
        return self

    def set_data_type(self, data_type: Any) -> Tensor:
        self.kind = data_type
        return self

    def set_dim(self, dim: list) -> Tensor:
        self.dim = dim
        return self

    def set_stride(self, stride: list) -> Tensor:
        self.stride = stride
        return self

    def set_uid(self, uid: int) -> Tensor:
        self.uid = uid
        return self

    def at(self, address: int) -> np.ndarray:
        """The memory at an address, as this tensor describes it."""
        assert address % 16 == 0, f"tensor {self.uid} lies at {address}: no multiple of 16 bytes"
        dtype = NUMPY[self.kind]()
        reach = 1 + sum((n - 1) * s for n, s in zip(self.dim, self.stride))
        flat = np.frombuffer((ctypes.c_char * (reach * dtype.itemsize)).from_address(address), dtype)
        steps = [s * dtype.itemsize for s in self.stride]
        return np.lib.stride_tricks.as_strided(flat, self.dim, steps)


STEPS = ("drawn", "validated", "lowered", "planned", "supported", "built")


class pygraph:
    def __init__(
        self, name: str = "test_graph", io_data_type: Any = data_type.NOT_SET,
        intermediate_data_type: Any = data_type.NOT_SET, compute_data_type: Any = data_type.NOT_SET, handle: Any = None,
        sm_count: Any = None, sm_version: Any = None, kernel_cache: Any = None, device_property: Any = None,
    ):  # fmt: skip
        assert handle in state.handles, "a graph wants a handle"
        assert compute_data_type is intermediate_data_type
        assert compute_data_type is (data_type.DOUBLE if io_data_type is data_type.DOUBLE else data_type.FLOAT)
        self.io, self.tensors, self.nodes, self.step, self.notes = io_data_type, [], [], "drawn", []

    def tensor(
        self, dim: list, stride: list, data_type: Any = data_type.NOT_SET, is_virtual: bool = False,
        is_pass_by_value: bool = False, ragged_offset: Any = None, reordering_type: Any = None, name: str = "",
        uid: int = -1,
    ) -> Tensor:  # fmt: skip
        self.tensors.append(Tensor(dim, stride, data_type, uid))
        return self.tensors[-1]

    def _node(self, name: str, inputs: list, compute: Any, outputs: int = 1) -> list[Tensor]:
        made = [Tensor() for _ in range(outputs)]
        self.tensors += made
        self.nodes.append((name, inputs, compute, made))
        return made

    # -- operations ------------------------------------------------------------------------------------------------
    def conv_fprop(
        self, image: Tensor, weight: Tensor, padding: list = (), stride: list = (), dilation: list = (),
        convolution_mode: Any = None, compute_data_type: Any = data_type.NOT_SET, name: str = "",
    ) -> Tensor:  # fmt: skip
        def compute(x: np.ndarray, w: np.ndarray) -> Any:
            return F.convolution(x, w, **_options(stride, padding, dilation, x.shape[1] // w.shape[1]))

        return self._node("convolution", [image, weight], compute)[0]

    def conv_dgrad(
        self, loss: Tensor, filter: Tensor, padding: list = (), stride: list = (), dilation: list = (),
        convolution_mode: Any = None, compute_data_type: Any = data_type.NOT_SET, name: str = "",
    ) -> Tensor:  # fmt: skip
        def compute(dy: np.ndarray, w: np.ndarray) -> Any:
            groups = y.dim[1] // w.shape[1]
            return F.convolution_input(dy, w, size=tuple(y.dim[2:]), **_options(stride, padding, dilation, groups))

        (y,) = self._node("convolution_input", [loss, filter], compute)
        return y

    def conv_wgrad(
        self, image: Tensor, loss: Tensor, padding: list = (), stride: list = (), dilation: list = (),
        convolution_mode: Any = None, compute_data_type: Any = data_type.NOT_SET, name: str = "",
    ) -> Tensor:  # fmt: skip
        def compute(x: np.ndarray, dy: np.ndarray) -> Any:
            groups = x.shape[1] // y.dim[1]
            return F.convolution_weight(x, dy, size=tuple(y.dim[2:]), **_options(stride, padding, dilation, groups))

        (y,) = self._node("convolution_weight", [image, loss], compute)
        return y

    def bias(
        self, input: Tensor, bias: Tensor, compute_data_type: Any = data_type.NOT_SET, name: str = ""
    ) -> Tensor:  # fmt: skip
        return self._node("bias", [input, bias], lambda x, b: x + b)[0]

    def sdpa(
        self, q: Tensor, k: Tensor, v: Tensor, is_inference: Any = None, attn_scale: Any = None, bias: Any = None,
        use_causal_mask: bool = False, dropout: Any = None, compute_data_type: Any = data_type.NOT_SET, name: str = "",
        generate_stats: Any = None,
    ) -> list[Tensor]:  # fmt: skip
        assert generate_stats is True and type(use_causal_mask) is bool and type(attn_scale) is float

        def compute(q: np.ndarray, k: np.ndarray, v: np.ndarray, *mask: np.ndarray) -> Any:
            y, stats = F.attention(q, k, v, *mask, causal=use_causal_mask, scale=attn_scale)
            if mask:  # a row of -inf alone
                unseen = np.broadcast_to((mask[0].max(-1, keepdims=True) == -np.inf), stats.shape)
                y, stats = np.where(unseen, np.nan, y), np.where(unseen, np.nan, stats)
            return y, stats

        return self._node("attention", [q, k, v, *([bias] if bias else [])], compute, 2)

    def sdpa_backward(
        self, q: Tensor, k: Tensor, v: Tensor, o: Tensor, dO: Tensor, stats: Tensor, attn_scale: Any = None,
        bias: Any = None, dBias: Any = None, use_causal_mask: bool = False, dropout: Any = None,
        use_deterministic_algorithm: bool = False, compute_data_type: Any = data_type.NOT_SET, name: str = "",
    ) -> list[Tensor]:  # fmt: skip
        assert use_deterministic_algorithm and stats.kind is data_type.FLOAT

        def compute(*arrays: np.ndarray) -> Any:
            return F.attention_backward(*arrays, causal=use_causal_mask, scale=attn_scale)

        inputs = [dO, q, k, v, o, stats, *([bias] if bias else [])]
        return self._node("attention_backward", inputs, compute, 3)

    # -- from a drawing to a plan ----------------------------------------------------------------------------------
    def _next(self, before: str, after: str) -> None:
        assert self.step == before, f"{after} comes after {before}: this graph is {self.step}"
        self.step = after

    def validate(self) -> None:
        self._next("drawn", "validated")
        real = [t for t in self.tensors if not t.virtual]
        assert len({t.uid for t in real}) == len(real) and min(t.uid for t in real) > 0
        for t in real:
            assert type(t.dim) is type(t.stride) is list and len(t.dim) == len(t.stride) >= 4, (t.dim, t.stride)
            assert all(type(n) is int and n > 0 for n in (*t.dim, *t.stride)), (t.dim, t.stride)
            assert t.kind in NUMPY

    def build_operation_graph(self) -> None:
        self._next("validated", "lowered")

    def create_execution_plans(self, heuristics: list) -> None:
        assert all(type(m) is heur_mode for m in heuristics)
        self._next("lowered", "planned")

    def deselect_numeric_notes(self, notes: list) -> None:
        assert self.step == "planned"
        self.notes = sorted(note.name for note in notes)

    def deselect_workspace_greater_than(self, size: int) -> None:
        assert self.step == "planned" and type(size) is int

    def check_support(self) -> None:
        self._next("planned", "supported")
        names = [name for name, *_ in self.nodes]
        if {*names} & {*state.refuses}:
            raise cudnnGraphNotSupportedError("no engine supports this\nand more")

    def build_plans(self) -> None:
        fake_cupy.not_while_capturing()
        self._next("supported", "built")
        state.log.append(("built", "+".join(name for name, *_ in self.nodes), self.notes))

    def get_workspace_size(self) -> int:
        assert self.step == "built"
        return 48

    def execute(self, tensor_dict: dict, workspace: int, handle: Any = None) -> None:
        assert self.step == "built" and type(workspace) is int and workspace % 16 == 0
        assert handle in state.handles and state.handles[handle] == fake_cupy.get_current_stream().ptr
        real = {t.uid: t for t in self.tensors if not t.virtual}
        assert set(tensor_dict) == set(real) and all(type(a) is int for a in tensor_dict.values())
        if state.fails:
            raise RuntimeError("CUDNN_STATUS_EXECUTION_FAILED")

        def work() -> None:
            made = {id(t) for *_, outputs in self.nodes for t in outputs}
            for t in real.values():
                t.value = None if id(t) in made else t.at(tensor_dict[t.uid]).astype(np.float64)
            for _, inputs, compute, outputs in self.nodes:
                y = compute(*(t.value for t in inputs))
                for t, value in zip(outputs, y if isinstance(y, tuple) else (y,)):
                    t.value = value
            for t in real.values():
                if id(t) in made:
                    t.at(tensor_dict[t.uid])[...] = t.value.reshape(t.dim)

        state.log.append(("ran", "+".join(name for name, *_ in self.nodes)))
        ctypes.memset(workspace, 7, 48)
        if fake_cupy.state.capturing is None:
            work()
        else:
            fake_cupy.state.capturing.append(work)


def _options(stride: list, padding: list, dilation: list, groups: int) -> dict:
    assert all(type(s) is list for s in (stride, padding, dilation))
    return {"stride": tuple(stride), "padding": tuple(padding), "dilation": tuple(dilation), "groups": groups}


_handles = itertools.count(1)


def create_handle() -> int:
    fake_cupy.not_while_capturing()
    if state.no_handle:
        raise RuntimeError("cudnnHandle Create failed")
    handle = next(_handles)
    state.handles[handle] = 0
    return handle


def set_stream(handle: int, stream: int) -> None:
    state.handles[handle] = stream


def module(version: int = 91002) -> ModuleType:
    made = ModuleType("cudnn")
    names = (pygraph, create_handle, set_stream, cudnnGraphNotSupportedError, data_type, heur_mode, numerical_note)
    made.__dict__.update({v.__name__: v for v in names}, backend_version=lambda: version)
    return made


@contextmanager
def in_place(monkeypatch: Any, version: int = 91002, frontend: tuple = (1, 14, 1)) -> Any:
    """This is the module cudnn, and minigrad knows nothing of it yet."""
    from minigrad.kernels.cuda import cudnn

    state.refuses, state.log, state.handles, state.fails, state.no_handle = set(), [], {}, False, False
    with monkeypatch.context() as m:
        m.setitem(__import__("sys").modules, "cudnn", module(version))
        m.setattr(cudnn, "_frontend", lambda: frontend)
        m.setattr(cudnn, "_plans", {})
        m.setattr(cudnn._here, "handles", {}, raising=False)
        m.delenv(cudnn.VARIABLE, raising=False)
        forget()
        try:
            yield state
        finally:
            forget()


def forget() -> None:
    from minigrad.kernels.cuda import cudnn

    cudnn.missing.cache_clear()
    cudnn.why_not.cache_clear()
