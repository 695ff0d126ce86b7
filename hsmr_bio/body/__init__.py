"""The body: shape and pose to joints, bones, skin and skeleton mesh."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .body import Body, BodyPose, RestBody
    from .data_model import BodyData
    from .load import load_body, load_named_body

__all__ = ["Body", "BodyData", "BodyPose", "RestBody", "load_body", "load_named_body"]

_HOME = {"BodyData": "data_model", "load_body": "load", "load_named_body": "load"}
"""Name -> module that defines it; ``body`` for the others."""


def __getattr__(name: str) -> object:
    """Import a name, and torch with it, at its first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOME.get(name, 'body')}", __name__), name)
