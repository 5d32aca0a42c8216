"""Data sets, batches of them, and random changes to images.

>>> from minigrad.data import ArrayDataset, DataLoader
>>> data = ArrayDataset([[0.0], [1.0], [2.0]], [0, 1, 0])
>>> [targets.tolist() for inputs, targets in DataLoader(data, batch_size=2)]
[[0, 1], [0]]
"""

from .augment import ColorJitter as ColorJitter
from .augment import Compose as Compose
from .augment import CutMix as CutMix
from .augment import Cutout as Cutout
from .augment import GaussianNoise as GaussianNoise
from .augment import Mixup as Mixup
from .augment import Normalize as Normalize
from .augment import RandomAffine as RandomAffine
from .augment import RandomApply as RandomApply
from .augment import RandomCrop as RandomCrop
from .augment import RandomErasing as RandomErasing
from .augment import RandomHorizontalFlip as RandomHorizontalFlip
from .augment import RandomResizedCrop as RandomResizedCrop
from .augment import RandomRotation as RandomRotation
from .augment import RandomVerticalFlip as RandomVerticalFlip
from .dataset import ArrayDataset as ArrayDataset
from .dataset import ChainDataset as ChainDataset
from .dataset import ConcatDataset as ConcatDataset
from .dataset import Dataset as Dataset
from .dataset import IterableDataset as IterableDataset
from .dataset import StackDataset as StackDataset
from .dataset import Subset as Subset
from .dataset import TensorDataset as TensorDataset
from .dataset import k_fold as k_fold
from .dataset import random_split as random_split
from .images import Images as Images
from .images import cifar10 as cifar10
from .images import cifar100 as cifar100
from .images import digits as digits
from .images import fashion_mnist as fashion_mnist
from .images import mnist as mnist
from .images import read_idx as read_idx
from .loader import DataLoader as DataLoader
from .loader import default_collate as default_collate
from .loader import default_convert as default_convert
from .loader import get_worker_info as get_worker_info
from .samplers import BatchSampler as BatchSampler
from .samplers import RandomSampler as RandomSampler
from .samplers import Sampler as Sampler
from .samplers import SequentialSampler as SequentialSampler
from .samplers import SubsetRandomSampler as SubsetRandomSampler
from .samplers import WeightedRandomSampler as WeightedRandomSampler
from .samplers import WeightedSampler as WeightedSampler
from .tables import Table as Table
from .tables import breast_cancer as breast_cancer
from .tables import diabetes as diabetes
from .tables import iris as iris
from .tables import wine as wine
from .texts import Labelled as Labelled
from .texts import movie_reviews as movie_reviews
from .texts import multi30k as multi30k
from .texts import names as names
from .texts import tiny_shakespeare as tiny_shakespeare
from .tokens import BytePairTokenizer as BytePairTokenizer
from .tokens import CharacterTokenizer as CharacterTokenizer
from .tokens import WordTokenizer as WordTokenizer
from .tokens import padded as padded
