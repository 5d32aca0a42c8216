"""Work done ahead of its use, by threads or processes, and handed out in order."""

from __future__ import annotations

import multiprocessing
import pickle
import queue
import random
import signal
import sys
import threading
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from itertools import islice
from typing import Any

import numpy as np

from ..errors import ArgumentError, DataError
from ..mode import MODE, set_backend, set_default_dtype
from ..random import default_generator
from ..tensor import Tensor
from ..threads import set_num_threads

PATIENCE = 5.0  # seconds to let a worker end what it does


class Workers:
    """`count` workers; ``results(tasks)`` gives ``make(task)`` for each task in order, at most `ahead` of them begun or
    waiting. An error of a worker is raised where its result is taken.

    processes: each worker is a thread that hands its tasks to a process of its own and waits for the answers, so that
    queue, order and errors are the same for both. timeout: seconds to wait for a result; 0: as long as it takes.
    """

    def __init__(
        self,
        make: Callable[[Any], Any],
        count: int,
        *,
        ahead: int,
        processes: bool = False,
        start_method: str | None = None,
        timeout: float = 0.0,
        begin: Callable[[int], None] | None = None,
    ):
        self.ahead, self.timeout = ahead, timeout
        self.tasks: queue.SimpleQueue = queue.SimpleQueue()
        self.children = _children(make, count, start_method, begin) if processes else []  # before there are threads
        works: list[Any] = [child.ask for child in self.children] or [make] * count
        begins = [None if processes or begin is None else (lambda i=i: begin(i)) for i in range(count)]
        # each thread computes as the one does that asks: same backend, same default dtype
        self.threads = [
            threading.Thread(target=copy_context().run, args=(_serve, self.tasks, *job), daemon=True)
            for job in zip(works, begins)
        ]
        for thread in self.threads:
            thread.start()

    def results(self, tasks: Iterable[Any]) -> Iterator[Any]:
        tasks = iter(tasks)
        waiting: deque[Future] = deque()
        try:
            while True:
                for task in islice(tasks, self.ahead - len(waiting)):
                    waiting.append(Future())
                    self.tasks.put((waiting[-1], task))
                if not waiting:
                    return
                yield self._result(waiting.popleft())
        finally:  # an early end leaves nobody working for nothing
            for future in waiting:
                future.cancel()

    def _result(self, future: Future) -> Any:
        try:
            return future.result(self.timeout or None)
        except TimeoutError:
            if future.done():  # the worker's own
                raise
            raise DataError(
                f"DataLoader: no batch within the timeout of {self.timeout} s. Use more workers or a longer timeout."
            ) from None

    def close(self) -> None:
        """End the workers, after what they are doing. One that hangs is killed; a thread that hangs is left behind."""
        for _ in self.threads:
            self.tasks.put(None)
        if sys.is_finalizing():  # threads no longer run, and multiprocessing ends its children itself
            return
        deadline = time.monotonic() + PATIENCE
        for thread in self.threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
        for child, thread in zip(self.children, self.threads):
            child.end(at_once=thread.is_alive())  # its thread still waits for an answer, and now gets none
            thread.join(PATIENCE)


def _serve(tasks: queue.SimpleQueue, work: Callable[[Any], Any], begin: Callable[[], None] | None) -> None:
    """The life of a worker thread."""
    failed: BaseException | None = None
    try:
        if begin is not None:
            begin()
    except BaseException as error:
        failed = error
    while _do(tasks.get(), work, failed):
        pass


def _do(job: tuple[Future, Any] | None, work: Callable[[Any], Any], failed: BaseException | None) -> bool:
    """One task; a function of its own, so that no result stays alive while the thread waits."""
    if job is None:
        return False
    future, task = job
    if future.set_running_or_notify_cancel():
        try:
            if failed is not None:
                raise failed
            future.set_result(work(task))
        except BaseException as error:
            future.set_exception(error)
    return True


# ---- processes -------------------------------------------------------------------------------------------------------
class _Child:
    def __init__(self, number: int, process: Any, pipe: Any):
        self.number, self.process, self.pipe = number, process, pipe

    def ask(self, task: Any) -> Any:
        """The answer of the process, or its error."""
        try:
            self.pipe.send(task)
            good, answer = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join(PATIENCE)
            raise DataError(
                f"DataLoader: the process of worker {self.number} ended unexpectedly, exit code "
                f"{self.process.exitcode} (-9: killed, perhaps for want of memory)."
            ) from None
        if good:
            return answer
        error, text = answer
        error.add_note(f"In the process of worker {self.number}:\n{text}")
        raise error

    def end(self, at_once: bool) -> None:
        with suppress(OSError):  # it may be gone already
            self.pipe.send(None)
        if not at_once:
            self.process.join(PATIENCE)
        if self.process.is_alive():
            self.process.terminate()
            self.process.join(PATIENCE)
        self.pipe.close()


def _children(make: Any, count: int, start_method: str | None, begin: Any) -> list[_Child]:
    """Processes, each at the other end of a pipe."""
    methods = multiprocessing.get_all_start_methods()
    # a fork inherits the data set, whatever it is made of, and is there at once; Python has it safe on Linux alone
    method = start_method or ("fork" if sys.platform == "linux" else "spawn")
    if method not in methods:
        raise ArgumentError(f"DataLoader: multiprocessing_context must be one of {', '.join(methods)}: got {method!r}.")
    context: Any = multiprocessing.get_context(method)
    mode, children = MODE.get(), []
    for i in range(count):
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_child, args=(theirs, make, i, begin, mode.host.name, str(mode.default_dtype)), daemon=True
        )
        with warnings.catch_warnings():
            # of other threads at a fork: the kernels' pool starts anew in a child, and a child only makes batches
            warnings.filterwarnings("ignore", "This process .*is multi-threaded", DeprecationWarning)
            process.start()
        theirs.close()
        children.append(_Child(i, process, ours))
    return children


def _child(pipe: Any, make: Any, number: int, begin: Any, host: str, dtype: str) -> None:
    """The life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who asks, who then ends us
    set_num_threads(1)
    set_backend(host)  # host arrays only: a GPU stays with the process that has it
    set_default_dtype(dtype)
    failed = None
    try:
        if begin is not None:
            begin(number)
    except Exception as error:
        failed = error
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return  # who asked is gone
        if task is None:
            return
        try:
            if failed is not None:
                raise failed
            _seed(make, task)
            pipe.send((True, on_host(make(task))))
        except Exception as error:
            pipe.send((False, (_portable(error), traceback.format_exc())))


def _seed(make: Any, task: Any) -> None:
    """What a data set draws by itself, from the shared generators, depends on the batch and not on the process."""
    seed = make.seed(task)
    default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  other people's data sets use it


def _portable(error: Exception) -> Exception:
    """The error, or where it cannot be sent one that says the same."""
    try:
        return error if type(pickle.loads(pickle.dumps(error))) is type(error) else DataError(repr(error))
    except Exception:
        return DataError(f"DataLoader: {type(error).__name__}: {error}")


def on_host(batch: Any) -> Any:
    """The same with host arrays for tensors."""
    if isinstance(batch, Tensor):
        return batch.detach().numpy()
    if isinstance(batch, dict):
        return {key: on_host(part) for key, part in batch.items()}
    return rebuilt(batch, [on_host(part) for part in batch]) if isinstance(batch, (tuple, list)) else batch


def rebuilt(like: Any, parts: list) -> Any:
    """The parts as a list, tuple or named tuple."""
    return type(like)(*parts) if hasattr(like, "_fields") else type(like)(parts)
