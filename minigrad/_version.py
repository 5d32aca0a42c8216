"""The version, read by the packaging and by ``minigrad info``."""

__version__ = "0.1.0"
