"""Matrix products while a CUDA graph is recorded: by cuBLAS directly, since CuPy calls none of it meanwhile.

cuBLAS counts columns first, so y = a b is computed as y.T = b.T a.T: of a row-major matrix it sees the transpose.
"""

import ctypes
import functools
import math
import sys

import numpy as np

recording = False  # set by minigrad.cuda.graphs
tf32 = False  # set by the backend's set_tf32

# NumPy's name -> cudaDataType, cublasComputeType_t, what alpha and beta are: cuBLAS Library, section 2.2
TYPES = {
    "float32": (0, 68, ctypes.c_float),
    "float64": (1, 70, ctypes.c_double),
    "float16": (2, 68, ctypes.c_float),
    "bfloat16": (14, 68, ctypes.c_float),
}
FAST_TF32, DEFAULT_ALGORITHM = 77, -1


def matmul(xp, a, b):
    """xp.matmul(a, b), also while a graph is recorded, and of bfloat16 but for two matrices, which CuPy 14 lacks."""
    direct = recording or (a.dtype.kind == b.dtype.kind == "V" and not a.ndim == b.ndim == 2)
    return recorded(xp, a, b) if direct else xp.matmul(a, b)


def recorded(xp, a, b):
    """a (..., M, K) times b (..., K, N) by cuBLAS, stacks broadcast; 1-d operands as np.matmul has them."""
    if a.ndim == 1 or b.ndim == 1:
        y = recorded(xp, a[None] if a.ndim == 1 else a, b[:, None] if b.ndim == 1 else b)
        y = y[..., 0] if b.ndim == 1 else y
        return y[..., 0, :] if a.ndim == 1 and b.ndim > 1 else y[..., 0] if a.ndim == 1 else y
    dtype = np.result_type(a.dtype, b.dtype)
    if dtype.name not in TYPES:
        raise NotImplementedError(f"a product of {dtype} cannot be recorded while the stream is capturing")
    a, b = (x if x.dtype == dtype else x.astype(dtype) for x in (a, b))
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    if b.ndim == 2 and a.ndim > 2 and a.flags.c_contiguous:  # one product of all rows
        return recorded(xp, a.reshape(-1, a.shape[-1]), b).reshape((*a.shape[:-1], b.shape[-1]))
    y = xp.empty((*stack, a.shape[-2], b.shape[-1]), dtype)
    if 0 in y.shape or not a.shape[-1]:
        return xp.zeros(y.shape, dtype)
    a, b = stacked(xp, a, stack), stacked(xp, b, stack)
    gemm(xp, dtype.name, (b.shape[-1], a.shape[-2], a.shape[-1]), math.prod(stack), seen(b), seen(a), y)
    return y


def stacked(xp, x, stack):
    """x as (rows, columns) or (B, rows, columns) in a layout cuBLAS reads, itself if it has one."""
    if len(stack) > 1 or x.shape[:-2] not in ((), stack):
        x = xp.broadcast_to(x, (*stack, *x.shape[-2:])).reshape((-1, *x.shape[-2:]))
    return x if layout(x) else xp.array(x, order="C")


def layout(x):
    """(transposed?, elements from one row, or column, to the next) of the last two axes; None if neither is dense."""
    (rows, columns), item = x.shape[-2:], x.itemsize
    down, along = x.strides[-2:]
    for transposed, step, dense, n, others in ((False, down, along, columns, rows), (True, along, down, rows, columns)):
        if (dense == item or n == 1) and (step >= n * item or others == 1) and step % item == 0:
            return transposed, max(step // item, n)
    return None


def seen(x):
    """(array, operation, leading dimension, elements to the next of the stack) as cuBLAS wants them."""
    transposed, leading = layout(x)
    return x, int(transposed), leading, x.strides[0] // x.itemsize if x.ndim == 3 else 0


def gemm(xp, dtype, sizes, count, left, right, y):
    """y = left right, `count` products, all as cuBLAS sees them."""
    kind, compute, scalar = TYPES[dtype]
    compute = FAST_TF32 if tf32 and dtype == "float32" else compute
    (m, n, k), one, zero = sizes, scalar(1), scalar(0)
    (a, turn_a, lda, next_a), (b, turn_b, ldb, next_b) = left, right
    library, handle = cublas(xp), ctypes.c_void_p(xp.cuda.device.get_cublas_handle())
    address = lambda x: ctypes.c_void_p(x.data.ptr)
    checked(library.cublasSetStream_v2(handle, ctypes.c_void_p(xp.cuda.get_current_stream().ptr)))
    status = library.cublasGemmStridedBatchedEx(
        *(handle, turn_a, turn_b, m, n, k, ctypes.byref(one)),
        *(address(a), kind, lda, ctypes.c_longlong(next_a), address(b), kind, ldb, ctypes.c_longlong(next_b)),
        *(ctypes.byref(zero), address(y), kind, m, ctypes.c_longlong(m * n), count, compute, DEFAULT_ALGORITHM),
    )
    checked(status)


def checked(status):
    if status:
        raise RuntimeError(f"cuBLAS: status {status} (cublasStatus_t) while the stream is capturing")


@functools.cache
def cublas(xp):
    """The cuBLAS that CuPy has loaded."""
    xp.cuda.device.get_cublas_handle()
    major = xp.cuda.runtime.runtimeGetVersion() // 1000
    return ctypes.CDLL(f"cublas64_{major}.dll" if sys.platform == "win32" else f"libcublas.so.{major}")
