"""Small tables that come with scikit-learn: iris, wine, breast cancer, diabetes.

>>> from minigrad.data import iris
>>> features, targets, names, classes = iris()
>>> features.shape, names[0], classes
((150, 4), 'sepal length (cm)', ('setosa', 'versicolor', 'virginica'))
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..extras import require


class Table(NamedTuple):
    """features: (N, D) float32, unscaled; targets: (N,) classes (int64) or values (float32); the columns' names; the
    classes' names (none of a regression)."""

    features: np.ndarray
    targets: np.ndarray
    names: tuple[str, ...]
    classes: tuple[str, ...]


def iris() -> Table:
    """150 irises of 3 kinds, 4 lengths and widths in cm (Fisher 1936)."""
    return _table("iris")


def wine() -> Table:
    """178 wines of 3 growers, 13 chemical analyses (UCI Wine)."""
    return _table("wine")


def breast_cancer() -> Table:
    """569 tumours, 30 features of cell nuclei; 0 malignant, 1 benign (Street, Wolberg, Mangasarian 1993, UCI WDBC)."""
    return _table("breast_cancer")


def diabetes() -> Table:
    """442 patients, 10 features; the target is the progression of the disease after a year, 25 to 346 (Efron, Hastie,
    Johnstone, Tibshirani 2004)."""
    return _table("diabetes", scaled=False)


def _table(name: str, **options: bool) -> Table:
    bunch = getattr(require("sklearn.datasets", extra="train", use=name), f"load_{name}")(**options)
    classes = tuple(map(str, getattr(bunch, "target_names", ())))
    targets = bunch.target.astype(np.int64 if classes else np.float32)
    return Table(bunch.data.astype(np.float32), targets, tuple(map(str, bunch.feature_names)), classes)
