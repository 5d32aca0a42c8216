"""When kernels take tensor cores: see tensor_cores.cuh."""

from . import matmul
from .launch import Source, device, text

HALVES = ("float16", "bfloat16")
AMPERE = 80  # the first GPUs with these instructions


def serve(dtype):
    """Do products of this type go to the tensor cores? Halves do, float32 where the backend's set_tf32 allows it."""
    name = str(dtype)
    return (name in HALVES or (name == "float32" and matmul.tf32)) and device().capability() >= AMPERE


def source(name):
    """The kernels of a `.cu` file that uses tensor_cores.cuh."""
    return Source(name, text("tensor_cores.cuh"))


def padded(width):
    """Elements of a row in shared memory that are multiplied: PADDED."""
    return -(-width // 16) * 16


def line(width, item):
    """Elements from one row in shared memory to the next, of `item` bytes each: LINE_OF."""
    return padded(width) + 16 // item


def roomy(candidates, size, room):
    """The first candidate whose ``size(*candidate)`` bytes of shared memory fit twice into `room`, so that one block
    multiplies while another waits; else the first that fits once, or None."""
    for most in (room // 2, room):
        for candidate in candidates:
            if size(*candidate) <= most:
                return candidate
    return None
