"""Frames of a model: where a socket leads, down to a body or ground."""

from __future__ import annotations

import numpy as np

from ..errors import ModelError
from .components import GROUND, Components, name_of, shown
from .functions import floats
from .joints import orientation_of, rotation_of
from .parts import Element, OffsetFrame, triple

_OFFSET = "PhysicalOffsetFrame"
_MOST_FRAMES = 32
"""A chain of more offset frames than this is a loop (chosen)."""


def socket_frame(components: Components, owner: Element, socket: str, where: str, depth: int = 0) -> OffsetFrame:
    """Follow a socket through offset frames to a body or ground.

    Args:
        components: of the model.
        owner: the component that has the socket.
        socket: its name, such as ``"parent_frame"``.
        where: joint or marker, for messages.
        depth: frames that were followed before this one.

    Returns:
        The frame on the body that carries it.

    Raises:
        ModelError: the socket leads to nothing, to something that is no frame, or in a circle.
    """
    path = (owner.findtext(f"socket_{socket}") or "").strip()
    found = components.follow(owner, path) if path else None
    if found is None or depth > _MOST_FRAMES:
        problem = "leads in a circle" if found is not None else "leads to nothing" if path else "is empty"
        raise ModelError(f"{where}: its socket {socket} ({shown(path)!r}) {problem}; a body, ground or a frame is expected")
    if found.tag == GROUND:
        return OffsetFrame(GROUND.lower())
    if found.tag == "Body":
        return OffsetFrame(name_of(found, where))
    if found.tag != _OFFSET:
        raise ModelError(
            f"{where}: its socket {socket} ({shown(path)!r}) leads to a {shown(found.tag)}; a Body, Ground or {_OFFSET} is "
            "expected. Use OpenSim's own tools for this model"
        )
    return _on_body(socket_frame(components, found, "parent", where, depth + 1), found, where)


def _on_body(base: OffsetFrame, frame: Element, where: str) -> OffsetFrame:
    """An offset frame on the body that carries the frame ``base`` below it."""
    values = (floats(frame, tag, where, 3, (0.0, 0.0, 0.0)) for tag in ("translation", "orientation"))
    inner = OffsetFrame(base.body, *(triple(value) for value in values))
    if base == OffsetFrame(base.body):
        return inner
    outer = rotation_of(base)
    translation = outer @ np.array(inner.translation_m) + base.translation_m
    return OffsetFrame(base.body, triple(translation), orientation_of(outer @ rotation_of(inner)))
