"""Constraints between two bodies that close a loop: points, lines, distances and welds, as conditions on points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..errors import ModelError
from ..types import FloatArray
from .components import Components, shown
from .frames import socket_frame
from .functions import floats
from .joints import rotation_of
from .parts import Element, OffsetFrame


@dataclass(frozen=True, eq=False)
class Loop:
    """A condition on where a point of one body lies on another body."""

    name: str
    body: str
    """That carries the point; ``"ground"`` too."""
    point_m: FloatArray
    """(3,) on ``body``."""
    other: str
    """Body in whose axes the condition is meant."""
    target_m: FloatArray
    """(3,) place on ``other``."""
    rows: FloatArray
    """(k, 3) directions on ``other`` in which point and target agree."""
    distance_m: float | None = None
    """Their distance, where that is the condition; ``rows`` is empty then."""


def read_loop(components: Components, part: Element) -> tuple[Loop, ...]:
    """Read a constraint.

    Args:
        components: of the model.
        part: the constraint.

    Returns:
        Its conditions; none if it is of a kind that is not known here.

    Raises:
        ModelError: its frames or numbers cannot be read.
    """
    where = f"constraint {shown(str(part.get('name')))!r}"
    if part.tag not in _READERS:
        return ()
    (first, second), points, line = _READERS[part.tag]
    ends = [socket_frame(components, part, socket, where) for socket in (first, second)]
    if not points:
        return _weld(where, ends[0], ends[1])
    places = [
        _on_body(frame, np.array(floats(part, tag, where, 3, (0.0,) * 3))) for frame, tag in zip(ends, points, strict=True)
    ]
    rows, distance = np.eye(3), None
    if line is not None:
        rows = _across(rotation_of(ends[1]) @ np.array(floats(part, line, where, 3, (0.0, 0.0, 1.0))), where)
    if part.tag == "ConstantDistanceConstraint":
        rows, distance = np.zeros((0, 3)), floats(part, "constant_distance", where, 1)[0]
    return (Loop(where, ends[0].body, places[0], ends[1].body, places[1], rows, distance),)


_READERS: Mapping[str, tuple[tuple[str, str], tuple[str, ...], str | None]] = {
    "PointConstraint": (("body_1", "body_2"), ("location_body_1", "location_body_2"), None),
    "ConstantDistanceConstraint": (("body_1", "body_2"), ("location_body_1", "location_body_2"), None),
    "PointOnLineConstraint": (
        ("follower_body", "line_body"),
        ("point_on_follower", "point_on_line"),
        "line_direction_vec",
    ),
    "WeldConstraint": (("frame1", "frame2"), (), None),
}
"""Class -> sockets of the body with the point and of the other one, points on them, direction of a line on the other."""


def _weld(where: str, first: OffsetFrame, second: OffsetFrame) -> tuple[Loop, ...]:
    """Origin and two axes of both frames coincide."""
    corners = (np.zeros(3), np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0]))
    return tuple(Loop(where, first.body, _on_body(first, at), second.body, _on_body(second, at), np.eye(3)) for at in corners)


def _on_body(frame: OffsetFrame, point_m: FloatArray) -> FloatArray:
    return np.asarray(rotation_of(frame) @ point_m + frame.translation_m)


def _across(direction: FloatArray, where: str) -> FloatArray:
    """(2, 3) directions at right angles to a line."""
    length = float(np.linalg.norm(direction))
    if length == 0:
        raise ModelError(f"{where}: the direction of its line must not be zero")
    return np.asarray(np.linalg.svd(direction[None] / length)[2][1:])
