"""CUDA graphs: the launches of a static training step, recorded once and repeated without Python.

A graph repeats the same kernels on the same memory. So what a step reads must be where it was when it was recorded, and
what Python decides (a learning rate, a random number, a branch) is part of the recording. `make_graphed_step` sees to
the first, and looks out for the second.
"""

from __future__ import annotations

import gc
import traceback
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

from ..backend.driver import explained
from ..errors import ArgumentError, BackendError, DTypeError, ShapeError
from ..optim import optimizer as optimizers
from ..primitive import Primitive
from ..random import default_generator
from ..tensor import Tensor
from .device import backend
from .stream import Stream, current_stream
from .stream import stream as on_stream


class CUDAGraph:
    """A recording of the work handed to a stream between `capture_begin` and `capture_end`; `replay` repeats it."""

    def __init__(self) -> None:
        self._graph: Any = None
        self._pool = backend().xp.cuda.MemoryPool()
        self._stack: list[Any] = []

    def pool(self) -> Any:
        """CuPy's memory pool for what is made while recording: nobody else may use this memory."""
        return self._pool

    def capture_begin(self, pool: Any = None, capture_error_mode: str = "global") -> None:
        """Begin to record the current stream, which must not be the default one. Nothing runs meanwhile."""
        if self._graph is not None:
            raise BackendError("CUDAGraph.capture_begin: it holds a recording. Call reset() first, or make another.")
        self._pool = pool or self._pool
        only = _only_from(backend().xp, self._pool)
        only.__enter__()
        try:
            current_stream().raw.begin_capture()
        except Exception:
            only.__exit__(None, None, None)
            raise
        _by_cublas(True)
        self._stack.append(only)

    def capture_end(self) -> None:
        """End the recording."""
        if not self._stack:
            raise BackendError("CUDAGraph.capture_end: nothing is being recorded. Call capture_begin() first.")
        _by_cublas(False)
        try:
            self._graph = current_stream().raw.end_capture()
        finally:
            self._stack.pop().__exit__(None, None, None)

    def replay(self) -> None:
        """Hand the recorded work to the current stream."""
        if self._graph is None:
            raise BackendError("CUDAGraph.replay: nothing has been recorded. Use `with cuda.graph(g): ...` first.")
        self._graph.launch(current_stream().raw)

    def reset(self) -> None:
        """Forget the recording."""
        self._graph = None


def _only_from(cupy: Any, pool: Any) -> Any:
    """A context in which arrays are made in the pool, and making one elsewhere is an error: that memory could be
    another's by the time of the replay."""
    inside = False

    def malloc(size: int) -> Any:
        nonlocal inside
        inside = True
        try:
            return pool.malloc(size)
        finally:
            inside = False

    class Watch(cupy.cuda.MemoryHook):
        name = "minigrad graph"

        def malloc_postprocess(self, **found: Any) -> None:
            if not inside:
                raise BackendError(
                    f"memory of another pool is asked for, {found.get('size')} bytes, while the stream is capturing. "
                    "Make such arrays before, or leave CuPy's allocator as it is"
                )

        alloc_postprocess = malloc_postprocess  # of no pool at all

    stack = ExitStack()
    stack.enter_context(cupy.cuda.using_allocator(explained(cupy, malloc)))
    stack.enter_context(Watch())
    return stack


def _by_cublas(flag: bool) -> None:
    """Products by cuBLAS itself, since CuPy calls none of it in a stream that is recorded."""
    products: Any = import_module("minigrad.kernels.cuda.matmul")
    products.recording = flag


class graph:
    """``with cuda.graph(g):`` records what the block hands to the device, on a stream of its own, as torch.cuda.graph.

    The block does not run; ``g.replay()`` runs it. Run it a few times before, on that stream: what it needs to allocate
    must be in the pool.
    """

    def __init__(self, cuda_graph: CUDAGraph, pool: Any = None, stream: Stream | None = None):
        self.graph, self.pool, self.stream = cuda_graph, pool, stream or Stream()

    def __enter__(self) -> None:
        backend().synchronize()
        gc.collect()  # what is freed while recording would go into the pool between two kernels
        self._on = on_stream(self.stream)
        self._on.__enter__()
        try:
            self.graph.capture_begin(self.pool)
        except Exception:
            self._on.__exit__(None, None, None)
            raise

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            self.graph.capture_end()
        except Exception as failed:
            self.graph.reset()
            raise _explained(error or failed) from error
        finally:
            self._on.__exit__(None, None, None)
        if error is not None:
            self.graph.reset()
            if _from_capture(error):
                raise _explained(error) from error


def _from_capture(error: BaseException) -> bool:
    return "capture" in str(error).lower() or "capturing" in str(error).lower()


HERE = str(Path(__file__).parents[1])
WORDS = str(Path(HERE) / "signature.py")


def _explained(error: BaseException) -> BackendError:
    reason = str(error).strip().rstrip(".")
    return BackendError(
        f"cuda.graph: {_culprit(error)} cannot be recorded ({reason}). The block must not read a value on the host "
        "(item(), float(), if on a tensor, printing, a boolean index) nor bring data from it. Give it fixed shapes and "
        "tensors made before, run it a few times first, and read what it returns after it."
    )


def _culprit(error: BaseException) -> str:
    """The operation in which the error arose, and the line that asked for it."""
    name = line = ""
    caller = None
    for frame, number in traceback.walk_tb(error.__traceback__):
        code = frame.f_code
        own = code.co_filename.startswith((HERE, "<string>"))
        if own and (code.co_filename in (__file__, WORDS) or "<locals>" in code.co_qualname):  # whose name says nothing
            continue
        if own and caller is not None:
            name, line = code.co_name, f"{caller[0]}:{caller[1]}"
        prim = frame.f_locals.get("prim") if own else None
        name = prim.name if isinstance(prim, Primitive) else name
        caller = None if own else (code.co_filename, number)
    return f"{name.strip('_')} at {line}" if name and line else "something in the block"


class GraphedStep:
    """What `make_graphed_step` returns."""

    def __init__(self, step: Callable[..., Any], inputs: tuple[Tensor, ...], warmup: int):
        if warmup < 1:
            raise ArgumentError(f"make_graphed_step: warmup must be 1 or more: got {warmup}.")
        for i, x in enumerate(inputs):
            if not isinstance(x, Tensor) or x.device.type != "cupy":
                where = x.device if isinstance(x, Tensor) else type(x).__name__
                raise BackendError(
                    f"make_graphed_step: inputs must be tensors on the GPU: input {i} is on {where}. "
                    'Move it with .to("cupy").'
                )
        self.step, self.warmup = step, warmup
        self.static = tuple(x.detach().clone() for x in inputs)  # what the recording reads
        self.stream, self.pool = Stream(), backend().xp.cuda.MemoryPool()
        self.calls = self.captures = 0
        self.graph: CUDAGraph | None = None
        self.outputs: Any = None
        self._optimizers: list[tuple[Any, list]] = []

    def __call__(self, *inputs: Tensor) -> Any:
        """The step on these inputs. What it returns is overwritten by the next call."""
        self._check(inputs)
        before = current_stream()
        self.stream.wait_stream(before)
        with on_stream(self.stream), backend().xp.cuda.using_allocator(self.pool.malloc):
            for static, given in zip(self.static, inputs):
                static.array[...] = given.array
            if self.calls < self.warmup:
                self.outputs = self.step(*self.static)
            else:
                if self.graph is not None and any(_options(o) != known for o, known in self._optimizers):
                    self.reset()  # a learning rate is part of the recording
                if self.graph is None:
                    self._capture()
                assert self.graph is not None
                self.graph.replay()
                for o, _ in self._optimizers:
                    o.steps += 1
        before.wait_event(self.stream.record_event())
        self.calls += 1
        return self.outputs

    def reset(self) -> None:
        """Forget the recording; the next call makes another."""
        self.graph = None

    def _check(self, inputs: tuple[Tensor, ...]) -> None:
        if len(inputs) != len(self.static):
            raise ArgumentError(f"graphed step: made for {len(self.static)} inputs: got {len(inputs)}.")
        for i, (static, given) in enumerate(zip(self.static, inputs)):
            if not isinstance(given, Tensor) or given.device != static.device:
                where = given.device if isinstance(given, Tensor) else type(given).__name__
                raise BackendError(f"graphed step: input {i} must be on {static.device}: got {where}.")
            if given.shape != static.shape:
                raise ShapeError(
                    f"graphed step: input {i} must have the recorded shape {static.shape}: got {given.shape}. "
                    "Leave out the last, smaller batch (drop_last=True), or make another step for it."
                )
            if given.dtype != static.dtype:
                raise DTypeError(
                    f"graphed step: input {i} must have the recorded dtype {static.dtype}: got {given.dtype}."
                )

    def _capture(self) -> None:
        drawn, recorded = default_generator.get_state(), CUDAGraph()
        found: list[Any] = []
        optimizers.watching = found
        try:
            with graph(recorded, self.pool, self.stream):
                outputs = self.step(*self.static)
        finally:
            optimizers.watching = None
        if default_generator.get_state() != drawn:
            default_generator.set_state(drawn)
            raise BackendError(
                "make_graphed_step: the step draws random numbers (dropout, for instance), which a recording would "
                "repeat. Draw them outside and pass them as an input, or run the step as it is."
            )
        self.outputs, self.graph, self.captures = outputs, recorded, self.captures + 1
        self._optimizers = [(o, _options(o)) for o in found]
        for o, _ in self._optimizers:
            o.steps -= 1  # recording is no step
        if self.captures == 10:
            warnings.warn(
                "make_graphed_step: recorded ten times, since an option such as the learning rate changes from step to "
                "step. Change it less often, or run the step as it is.",
                RuntimeWarning,
                stacklevel=3,
            )


def _options(optimizer: Any) -> list[dict[str, Any]]:
    return [{k: v for k, v in group.items() if k not in ("params", "param_names")} for group in optimizer.param_groups]


def make_graphed_step(step: Callable[..., Any], *static_inputs: Tensor, warmup: int = 3) -> GraphedStep:
    """``step(*inputs)``, a whole training step, as a CUDA graph: for small models whose kernels end before Python has
    handed out the next.

        def step(x, t):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), t)
            loss.backward()
            optimizer.step()
            return loss

        graphed = cuda.make_graphed_step(step, x, t)
        for x, t in batches:
            loss = graphed(x, t)

    static_inputs: tensors on the GPU with the shapes and dtypes of every call. The first `warmup` calls run as they
    are, on a stream of their own; the next one records the step, and from then on it is repeated on copies of the
    inputs. No call is lost, and none is made twice. What it returns are tensors that the next call overwrites. It must
    not read values on the host; random numbers drawn in it are an error, and another learning rate records it anew.
    """
    return GraphedStep(step, static_inputs, warmup)
