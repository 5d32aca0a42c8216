"""Where a PyTorch user looks for them (torch.utils): data sets and loaders, checkpointing, TensorBoard's files.

>>> from minigrad.utils.data import DataLoader
>>> from minigrad.utils.checkpoint import checkpoint
"""

from . import checkpoint as checkpoint
from . import data as data
from . import tensorboard as tensorboard
