"""Data sets, batches of them, and random changes to images.

>>> from minigrad.data import ArrayDataset, DataLoader
>>> data = ArrayDataset([[0.0], [1.0], [2.0]], [0, 1, 0])
>>> [targets.tolist() for inputs, targets in DataLoader(data, batch_size=2)]
[[0, 1], [0]]
"""

from .augment import Compose as Compose
from .augment import RandomAffine as RandomAffine
from .augment import RandomHorizontalFlip as RandomHorizontalFlip
from .dataset import ArrayDataset as ArrayDataset
from .dataset import Dataset as Dataset
from .dataset import Subset as Subset
from .dataset import TensorDataset as TensorDataset
from .dataset import random_split as random_split
from .loader import DataLoader as DataLoader
from .loader import default_collate as default_collate
from .sets import data_folder as data_folder
from .sets import digits as digits
from .sets import mnist as mnist
from .sets import read_idx as read_idx
