"""Runs the CUDA kernels on the CPU, through their own launchers: see cuda.h for what is emulated and what is refused.

    with emulated() as gpu:
        y = softmax.softmax(gpu.asarray(x), axis=1)

An `Emulator` stands where `kernels.cuda.launch` expects CuPy's functions. Arrays that it makes lie in guarded memory,
filled with NaN. A kernel is compiled by the C++ compiler, once for each type and set of options, and kept in a folder
for the next run.
"""

import contextlib
import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import weakref
from pathlib import Path

import numpy as np
from minigrad.kernels.cuda import launch

HERE = Path(__file__).parent
COMPILER = shutil.which("g++") or shutil.which("clang++")
OPTIONS = ("-fPIC", "-O1", "-fno-strict-aliasing", "-ffp-contract=off", "-w", "-U_FORTIFY_SOURCE", "-std=c++17")
MOST_WHOLE, MOST_REAL = 40, 8  # arguments of a kernel: see `call` in cuda.h


@functools.cache
def _folder():
    folder = Path(tempfile.gettempdir()) / f"minigrad-cuda-emulator-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _made(path, arguments, text):
    """The file, made by the compiler if it is not there. Another process may make it too: the last one counts."""
    if not path.exists():
        part = path.with_name(f"{os.getpid()}.{path.name}")
        done = subprocess.run([COMPILER, *arguments, "-o", str(part)], input=text, text=True, capture_output=True)
        if done.returncode:
            raise RuntimeError(f"the kernel does not compile as C++:\n{done.stderr[:4000]}")
        os.replace(part, path)
    return path


@functools.cache
def _header():
    """cuda.h in a folder of its own, compiled beforehand: it takes longer than most kernels."""
    part = '#include "tensor_cores.h"\n'
    text = (HERE / "cuda.h").read_text(encoding="utf-8")
    text = text.replace(part, (HERE / "tensor_cores.h").read_text(encoding="utf-8"))
    version = subprocess.run([COMPILER, "--version"], capture_output=True, text=True).stdout
    folder = _folder() / hashlib.sha256("\0".join((text, version, *OPTIONS)).encode()).hexdigest()[:32]
    folder.mkdir(exist_ok=True)
    header = folder / "cuda.h"
    if not header.exists():
        part = header.with_name(f"{os.getpid()}.cuda.h")
        part.write_text(text, encoding="utf-8")
        os.replace(part, header)
    _made(folder / "cuda.h.gch", ["-x", "c++-header", *OPTIONS, str(header)], "")
    return header


@functools.cache
def library(code):
    """The compiled text as a library."""
    header = _header()
    path = header.with_name(f"{hashlib.sha256(code.encode()).hexdigest()[:32]}.so")
    _made(path, ["-x", "c++", *OPTIONS, "-shared", "-include", str(header), "-"], code)
    loaded = ctypes.CDLL(str(path))
    loaded.emulator_run.restype = ctypes.c_char_p
    loaded.emulator_allocate.restype = ctypes.c_void_p
    loaded.emulator_run.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_size_t] + [ctypes.c_void_p] * 2 + [ctypes.c_uint64]
    loaded.emulator_allocate.argtypes = [ctypes.c_size_t]
    loaded.emulator_free.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return loaded


class Emulator:
    """In the place of `launch.Device`. seed: the order of threads and blocks; 0 upwards, 1 downwards, else random."""

    def __init__(self, seed=0, xp=np, kind=np.ndarray):
        self.seed, self.xp, self.kind = seed, xp, kind  # kind: the type of the arrays it makes
        self.launches = []  # names of the kernels that ran
        self.spoilt = []  # arrays beside which something was written

    def empty(self, shape, dtype):
        """Guarded memory, filled with NaN (integers: -1)."""
        shape, dtype = (shape,) if isinstance(shape, int) else tuple(shape), np.dtype(dtype)
        count = int(np.prod(shape, dtype=np.int64))
        runtime, size = library(""), count * dtype.itemsize
        memory = runtime.emulator_allocate(size)
        raw = (ctypes.c_char * max(size, 1)).from_address(memory)
        array = np.frombuffer(raw, dtype, count).reshape(shape)
        weakref.finalize(raw, self._free, runtime, memory, size, f"{dtype}{shape}")
        return array if self.kind is np.ndarray else array.view(self.kind)

    def _free(self, runtime, memory, size, what):
        if runtime.emulator_free(memory, size):
            self.spoilt.append(what)

    def asarray(self, x, dtype=None):
        """A copy in guarded memory."""
        x = np.asarray(x, dtype)
        y = self.empty(x.shape, x.dtype)
        y.view(np.ndarray)[...] = x
        return y

    def contiguous(self, x):
        return x if x.flags.c_contiguous else self.asarray(x)

    def packed(self, x):
        return x if x.flags.c_contiguous and x.ctypes.data % 16 == 0 else self.asarray(x)

    def address(self, x):
        return x.ctypes.data

    shared = 232448  # bytes that a block may have

    def most_shared(self):
        return self.shared

    generation = 90  # of the GPU: 90 is Hopper's
    vendors = False  # NVIDIA's libraries cannot read the host's memory

    def capability(self):
        return self.generation

    def index(self):
        return 0

    def recording(self):
        return False

    def upload(self, host):
        return self.asarray(host), None

    def function(self, code, name):
        loaded = library(re.sub(r"#include <cuda_\w+\.h>", "", code))  # cuda.h has the types
        kernel = ctypes.cast(getattr(loaded, name), ctypes.c_void_p).value

        def run(grid, block, arguments, shared):
            whole, real = [], []
            check_arguments(code, name, arguments)
            for a in arguments:
                if isinstance(a, float):
                    real.append(a)
                else:
                    whole.append(a.ctypes.data if isinstance(a, np.ndarray) else int(a))
            assert len(whole) <= MOST_WHOLE and len(real) <= MOST_REAL, (name, len(whole), len(real))
            grid, block = (np.array((*size, 1, 1)[:3], np.uint32) for size in (grid, block))
            whole = np.array(whole + [0] * (MOST_WHOLE - len(whole)), np.int64)
            real = np.array(real + [0.0] * (MOST_REAL - len(real)))
            error = loaded.emulator_run(
                kernel, grid.ctypes.data, block.ctypes.data, shared, whole.ctypes.data, real.ctypes.data, self.seed
            )
            self.launches.append(name)
            if error:
                raise MemoryError(f"{name}: {error.decode()}")

        return run


@functools.cache
def parameters_of(code, name):
    """The parameters of a kernel as they are written, macros expanded."""
    text = re.sub(r"#include <cuda_\w+\.h>", "", code)
    command = [COMPILER, "-E", "-P", "-x", "c++", "-"]
    text = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    bounds = r"(?:__launch_bounds__\([^)]*\)\s*)?"
    (given,) = re.findall(rf'extern "C" __global__ void\s+{bounds}{name}\s*\(([^)]*)\)', text)
    return [p.strip() for p in given.split(",")]


def check_arguments(code, name, arguments):
    """As many as the kernel has parameters, and of their kinds: CuPy passes an int as 8 bytes, a bool as one."""
    parameters = parameters_of(code, name)
    assert len(parameters) == len(arguments), (name, parameters, len(arguments))
    for p, a in zip(parameters, arguments):
        if "*" in p:
            assert isinstance(a, np.ndarray) or (type(a) is np.int64 and a == 0), (name, p, type(a))
        elif p.startswith("double"):
            assert isinstance(a, float), (name, p, type(a))
        else:
            assert p.startswith("i64") and type(a) in (int, np.int64), (name, p, type(a))


@contextlib.contextmanager
def emulated(seed=0):
    """Launchers run on the CPU inside; on leaving, no array may have been written outside its bounds."""
    gpu = Emulator(seed)
    before = launch.use(gpu)
    try:
        yield gpu
    finally:
        launch.use(before)
    assert not gpu.spoilt, f"written beside {gpu.spoilt}"
