"""CuPy, on an NVIDIA GPU: the same reference forwards over ``cupy``, which mirrors NumPy's names."""

from typing import Any

import numpy as np

from ..errors import BackendError
from .base import Backend


class CupyBackend(Backend):
    """Arrays on the current CUDA device."""

    def __init__(self) -> None:
        try:
            import cupy
        except ImportError as error:
            raise BackendError(
                f"backend cupy: CuPy is not installed ({error}). pip install 'minigrad-engine[gpu]'."
            ) from None
        try:
            count = cupy.cuda.runtime.getDeviceCount()
        except cupy.cuda.runtime.CUDARuntimeError as error:
            raise BackendError(f"backend cupy: no usable CUDA driver or device: {error}.") from None
        if not count:
            raise BackendError("backend cupy: CuPy sees no CUDA device. Check nvidia-smi and CUDA_VISIBLE_DEVICES.")
        super().__init__("cupy", cupy, cupy.ndarray)

    def to_host(self, array: Any) -> np.ndarray:
        return self.xp.asnumpy(array)

    def synchronize(self) -> None:
        self.xp.cuda.get_current_stream().synchronize()
