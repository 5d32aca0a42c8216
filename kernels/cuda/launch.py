"""From a `.cu` file to a running kernel: what all launchers of this folder share.

    kernel = Source("softmax")
    kernel("softmax_rows", x.dtype)(grid, block, (x, y, rows, n), shared=bytes)

The text of ``device.cuh`` and of the file is compiled by NVRTC at the first call for a type, through `cupy.RawModule`,
which keeps the machine code on disk. Arguments are arrays, ints, floats and None, 8 bytes each on the device. Nothing
here waits for the device. All that touches CuPy is in `Device`: `use` puts another in its place, as the tests do, which
run the same launchers and the same kernels on the CPU.
"""

import functools
import math
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
TYPES = {  # NumPy's name -> in memory, in registers, what the header needs to know
    "float32": ("float", "float", ""),
    "float64": ("double", "double", ""),
    "float16": ("__half", "float", "#define HALF\n#include <cuda_fp16.h>\n"),
    "bfloat16": ("__nv_bfloat16", "float", "#define BFLOAT\n#include <cuda_bf16.h>\n"),
}
WARP, BLOCK = 32, 256
SHARED = 48 * 1024  # bytes of shared memory that a block has without asking for more
NOTHING = np.int64(0)  # in place of an array that is not there


@functools.cache
def text(name):
    """A file of this folder."""
    return (FOLDER / name).read_text(encoding="utf-8")


class Source:
    """The kernels of one `.cu` file; `preamble` is put before its text."""

    def __init__(self, name, preamble=""):
        self.name, self.preamble = name, preamble

    def code(self, dtype, defines=()):
        """The whole text for a type and (name, value) pairs; these stand behind the includes, whose names they may
        not change."""
        memory, registers, first = TYPES[str(dtype)]
        given = f"typedef {memory} T;\ntypedef {registers} A;\n" + "".join(f"#define {k} {v}\n" for k, v in defines)
        return first + given + text("device.cuh") + self.preamble + text(f"{self.name}.cu")

    def __call__(self, name, dtype, **defines):
        """A kernel, to be launched with ``(grid, block, arguments, shared=bytes)``; grid and block are tuples."""
        return _kernel(self, name, str(dtype), tuple(defines.items()))


class Device:
    """What launchers need of CuPy."""

    vendors = True  # may NVIDIA's libraries be given its arrays?

    def __init__(self):
        import cupy

        self.xp, self.modules, self.shared, self.capabilities = cupy, {}, {}, {}

    def empty(self, shape, dtype):
        return self.xp.empty(shape, dtype)

    def contiguous(self, x):
        """x in C order, itself if it is."""
        return x if x.flags.c_contiguous else self.xp.ascontiguousarray(x)

    def packed(self, x):
        """x in C order at a multiple of 16 bytes, as kernels that load whole packs want it."""
        return x if x.flags.c_contiguous and x.data.ptr % 16 == 0 else self.xp.array(x, order="C")

    def address(self, x):
        return x.data.ptr

    def most_shared(self):
        """Bytes of shared memory that a block of the current device may ask for."""
        index = self.index()
        if index not in self.shared:
            attributes = self.xp.cuda.Device(index).attributes
            self.shared[index] = attributes.get("MaxSharedMemoryPerBlockOptin", SHARED)
        return self.shared[index]

    def capability(self):
        """The current device's, times ten: 80 for 8.0."""
        index = self.index()
        if index not in self.capabilities:
            self.capabilities[index] = int(self.xp.cuda.Device(index).compute_capability)
        return self.capabilities[index]

    def index(self):
        """The number of the current device."""
        return self.xp.cuda.runtime.getDevice()

    def upload(self, host):
        """(an array of the device with these values, what must live as long as it does). Copied from pinned memory,
        which nobody waits for, and which a recorded graph may copy again."""
        pinned = self.xp.cuda.alloc_pinned_memory(host.nbytes)
        staged = np.frombuffer(pinned, host.dtype, host.size).reshape(host.shape)
        staged[...] = host
        y, runtime = self.xp.empty(host.shape, host.dtype), self.xp.cuda.runtime
        stream = self.xp.cuda.get_current_stream().ptr  # y.set() refuses while a graph is recorded
        runtime.memcpyAsync(y.data.ptr, staged.ctypes.data, host.nbytes, runtime.memcpyHostToDevice, stream)
        return y, staged

    def recording(self):
        """Is a graph being recorded?"""
        return self.xp.cuda.get_current_stream().is_capturing()

    def function(self, code, name):
        """A kernel of this text, called with (grid, block, arguments, bytes of shared memory)."""
        if code not in self.modules:
            self.modules[code] = self.xp.RawModule(code=code, options=("-std=c++17",))
        function = self.modules[code].get_function(name)

        def run(grid, block, arguments, shared):
            if shared > SHARED:
                function.max_dynamic_shared_size_bytes = shared
            function(grid, block, arguments, shared_mem=shared)

        return run


_device = None


def device():
    """The one in use, made at the first call."""
    global _device
    if _device is None:
        use(Device())
    return _device


def use(other):
    """Put `other` in the place of CuPy, or None for CuPy again; returns the one before."""
    global _device
    before, _device = _device, other
    _kernel.cache_clear()
    _table.cache_clear()
    return before


@functools.cache
def _kernel(source, name, dtype, defines):
    function = device().function(source.code(dtype, defines), name)

    def launch(grid, block, arguments, shared=0):
        function(grid, block, tuple(NOTHING if a is None else a for a in arguments), shared)

    return launch


# ---- tables ----------------------------------------------------------------------------------------------------------
_recorded = []  # tables that recorded graphs read


@functools.lru_cache(maxsize=512)
def _table(make, arguments, on, index):
    return on.upload(make(*arguments))


def table(make, *arguments):
    """``make(*arguments)``, a host array, on the current device; made again only for other arguments."""
    on = device()
    found = _table(make, arguments, on, on.index())
    if on.recording():
        _recorded.append(found)
    return found[0]


# ---- shapes ----------------------------------------------------------------------------------------------------------
def ceil_div(a, b):
    return -(-a // b)


def lines(shape, axis):
    """(outer, n, inner) of the lines along an axis, or along several neighbours."""
    axes = [a % len(shape) for a in ((axis,) if isinstance(axis, int) else axis)] if shape else []
    if not axes:
        return math.prod(shape), 1, 1
    first, last = min(axes), max(axes)
    return math.prod(shape[:first]), math.prod(shape[first : last + 1]), math.prod(shape[last + 1 :])


def flat(n, block=BLOCK):
    """Grid and block of one thread for each of n."""
    return (max(ceil_div(n, block), 1),), (block,)


def by_row(rows, n):
    """Grid and block for rows of n elements: several rows a block, a warp each, or a row a block of up to 1024."""
    if n <= 1024:
        beside = 8 if rows >= 8 else 1
        return (ceil_div(rows, beside),), (WARP, beside)
    return (rows,), (min(1024, ceil_div(n, 4 * WARP) * WARP),)


def item_bytes(dtype):
    """Bytes of one number in registers."""
    return 8 if TYPES[str(dtype)][1] == "double" else 4
