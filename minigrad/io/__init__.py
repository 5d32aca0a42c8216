"""Arrays, models and training states on disk: safetensors and npz, and PyTorch's files to read.

A file is replaced only once the new one is complete, and no file, damaged or hostile, runs code when it is read.

>>> import tempfile
>>> from minigrad import io, tensor
>>> with tempfile.TemporaryDirectory() as folder:
...     io.save({"w": tensor([1.0, 2.0])}, f"{folder}/weights.npz")
...     io.load(f"{folder}/weights.npz")
{'w': tensor([1., 2.])}
"""

from .atomic import atomic_write as atomic_write
from .atomic import writable_folder as writable_folder
from .state import load as load
from .state import load_metadata as load_metadata
from .state import save as save
