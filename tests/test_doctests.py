"""Every example in a docstring runs and prints what it says."""

import doctest
import importlib
import pkgutil

import pytest

import minigrad

MODULES = sorted(
    m.name
    for m in pkgutil.walk_packages(minigrad.__path__, "minigrad.")
    if not m.name.startswith(("minigrad.kernels", "minigrad.__main__"))
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(name)
    minigrad.manual_seed(0)
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert not result.failed, f"{result.failed} of {result.attempted} examples of {name} fail"


def test_the_examples_are_found():
    assert sum(bool(doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(m))) for m in MODULES) > 10
