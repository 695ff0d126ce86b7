"""The version of the package, for files that name their maker."""

__version__ = "0.1.0"
