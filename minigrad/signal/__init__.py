"""Signals: windows, by PyTorch's names."""

from . import windows as windows
