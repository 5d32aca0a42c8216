"""cuDNN, where NVIDIA's library and its Python package `nvidia-cudnn-frontend` are: is it there, and its plans.

A call is drawn as a graph of one or two operations (cudnn_conv.py, cudnn_attention.py), for which cuDNN chooses a plan;
plans are kept by shapes, strides, types and options. Where it has none, our own kernel runs, now and whenever the same
is asked again. MINIGRAD_CUDNN=0 keeps cuDNN out. Source: NVIDIA, cuDNN Frontend API, Python, from 1.14 on.
"""

import functools
import importlib
import math
import os
import threading
import warnings
from importlib.metadata import PackageNotFoundError, version

from ...errors import BackendError
from .launch import device

VARIABLE = "MINIGRAD_CUDNN"
INSTALL = "pip install 'minigrad-engine[cudnn]'"
OLDEST, OLDEST_FRONTEND = 90000, (1, 14)
TYPES = {"float32": "FLOAT", "float64": "DOUBLE", "float16": "HALF", "bfloat16": "BFLOAT16"}
MOST_WORKSPACE, MOST_PLANS = 2**30, 4096  # bytes; plans are never dropped, since recorded graphs run their kernels

enabled = True  # set by the backend's set_cudnn


# ---- is it there? ----------------------------------------------------------------------------------------------------
def ready():
    """Is cuDNN to be used, and can it read the arrays of the device in use?"""
    return enabled and not missing() and device().vendors and not why_not()


@functools.cache
def missing():
    """What is not installed, and how to install it; empty if all is."""
    if os.environ.get(VARIABLE, "1") == "0":
        return f"{VARIABLE}=0 keeps it out"
    try:
        library = importlib.import_module("cudnn")
        found = library.backend_version()
    except ModuleNotFoundError as error:
        if error.name != "cudnn":
            return f"nvidia-cudnn-frontend lacks {error.name}. {INSTALL}"
        return f"nvidia-cudnn-frontend is not installed. {INSTALL}"
    except Exception as error:  # the package without the library, or a library without its parts
        return f"the library cannot be loaded ({_first_line(error)}). {INSTALL}, or nvidia-cudnn-cu13 for CUDA 13"
    if _frontend()[:2] < OLDEST_FRONTEND:
        return f"nvidia-cudnn-frontend {_dotted(_frontend())} is older than {_dotted(OLDEST_FRONTEND)}. {INSTALL}"
    return f"cuDNN {_release(found)} is older than {_release(OLDEST)}. {INSTALL}" if found < OLDEST else ""


@functools.cache
def why_not():
    """Why cuDNN cannot be used, and what to do; empty if it can."""
    if missing():
        return missing()
    try:
        handle()
    except Exception as error:
        found = _release(cudnn().backend_version())
        return f"cuDNN {found} cannot use the device ({_first_line(error)}). Is it made for this driver's CUDA?"
    return ""


def status():
    """One line for readers: the versions, or why cuDNN is not used."""
    if why := why_not():
        return f"not used: {why}"
    found = _release(cudnn().backend_version())
    switched = "" if enabled else ", switched off by set_cudnn(False)"
    return f"{found}, nvidia-cudnn-frontend {_dotted(_frontend())} ({VARIABLE}=0 keeps it out){switched}"


def cudnn():
    return importlib.import_module("cudnn")


def _frontend():
    try:
        return tuple(int(n) for n in version("nvidia-cudnn-frontend").split(".")[:3])
    except PackageNotFoundError:  # built from source
        return OLDEST_FRONTEND


def _dotted(numbers):
    return ".".join(map(str, numbers))


def _release(number):
    """cuDNN's 91002 as "9.10.2"."""
    return f"{number // 10000}.{number % 10000 // 100}.{number % 100}"


def _first_line(error):
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"


_here = threading.local()


def handle():
    """cuDNN's handle of this thread and device, on the current stream."""
    on, library = device(), cudnn()
    handles = _here.__dict__.setdefault("handles", {})
    if on.index() not in handles:
        handles[on.index()] = library.create_handle()
    found = handles[on.index()]
    library.set_stream(found, on.xp.cuda.get_current_stream().ptr)
    return found


def target():
    """What plans are made for."""
    return {"handle": handle()}


# ---- plans -----------------------------------------------------------------------------------------------------------
class Drawing:
    """A graph being drawn. Its arrays get the numbers 1, 2, 3 ... in the order in which they are named here."""

    def __init__(self, dtype):
        kinds = cudnn().data_type
        self.kinds, self.count = kinds, 0
        self.io = getattr(kinds, TYPES[str(dtype)])
        self.exact = kinds.DOUBLE if str(dtype) == "float64" else kinds.FLOAT
        self.graph = cudnn().pygraph(
            io_data_type=self.io, intermediate_data_type=self.exact, compute_data_type=self.exact, **target()
        )

    def given(self, shape, strides=None, dtype=None):
        """An array that is read; strides in elements, those of C order if None."""
        self.count += 1
        return self.graph.tensor(
            name=f"array_{self.count}", dim=list(shape), stride=list(strides or dense(shape)), uid=self.count,
            data_type=getattr(self.kinds, TYPES[str(dtype)]) if dtype else self.io,
        )  # fmt: skip

    def made(self, y, shape, dtype=None):
        """y is written, in C order."""
        self.count += 1
        y.set_output(True).set_data_type(getattr(self.kinds, TYPES[str(dtype)]) if dtype else self.io)
        y.set_dim(list(shape)).set_stride(list(dense(shape))).set_uid(self.count)

    def planned(self, unwanted=()):
        """The graph with its plan. unwanted: names of cudnn.numerical_note."""
        g, modes, notes = self.graph, cudnn().heur_mode, cudnn().numerical_note
        g.validate()
        g.build_operation_graph()
        g.create_execution_plans([modes.A, modes.FALLBACK])
        if unwanted:
            g.deselect_numeric_notes([getattr(notes, name) for name in unwanted])
        g.deselect_workspace_greater_than(MOST_WORKSPACE)
        g.check_support()
        g.build_plans()
        return g


class Plan:
    """A graph with its plan, called with its arrays in order."""

    def __init__(self, graph):
        self.graph, self.bytes = graph, graph.get_workspace_size()

    def __call__(self, *arrays):
        on = device()
        space = on.empty(max(self.bytes, 1), "uint8")
        addresses = {i: on.address(a) for i, a in enumerate(arrays, 1)}
        try:
            self.graph.execute(addresses, on.address(space), handle=handle())
        except RuntimeError as error:
            raise BackendError(
                f"cuDNN: its plan for arrays of shapes {', '.join(str(tuple(a.shape)) for a in arrays)} failed "
                f"({_first_line(error)}). With {VARIABLE}=0 our own kernels run."
            ) from error


_plans = {}  # key and device -> Plan, or why there is none
_building = threading.Lock()


def plan(draw, *key):
    """The plan of the graph ``draw(*key)``, made at the first call; None where cuDNN has none. While a graph is
    recorded none is made, for that may wait for the device: then too our own kernel runs."""
    on = device()
    place = (draw, key, on.index())
    if place not in _plans:
        if on.recording() or len(_plans) >= MOST_PLANS:
            return None
        with _building:
            if place not in _plans:
                _plans[place] = _built(draw, key)
    found = _plans[place]
    return found if isinstance(found, Plan) else None


def _built(draw, key):
    unsupported = (cudnn().cudnnGraphNotSupportedError, RuntimeError, ValueError, NotImplementedError)
    try:
        return Plan(draw(*key))
    except unsupported as error:
        return _first_line(error)
    except (AttributeError, TypeError) as error:  # another interface than the one this file was written for
        warnings.warn(f"cuDNN: our own kernels run instead: {_first_line(error)}", RuntimeWarning, stacklevel=4)
        return _first_line(error)


def refused():
    """{what was asked of cuDNN: why it has no plan for it}."""
    return {place[:2]: why for place, why in _plans.items() if isinstance(why, str)}


def dense(shape):
    """Strides of C order, in elements."""
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))
