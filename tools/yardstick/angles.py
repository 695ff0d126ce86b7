"""Joint angles from joint centres, the same for every model: what an estimate and its truth are compared by."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from recordings import SIDES, Array

BODIES = {"hip": "femur", "knee": "tibia", "ankle": "talus", "shoulder": "humerus", "elbow": "ulna", "wrist": "hand"}
"""Joint -> body whose origin it is, without the side."""
UP = np.array([0.0, 1.0, 0.0])


def centres(bodies: tuple[str, ...], positions_m: Array) -> dict[str, Array]:
    """Joint centres (T, 3) by name, from body origins (T, J, 3)."""
    names = {f"{joint}_{side}": f"{body}_{side}" for joint, body in BODIES.items() for side in SIDES}
    return {joint: positions_m[:, bodies.index(body)] for joint, body in names.items()}


def point_angles(at: Mapping[str, Array]) -> dict[str, Array]:
    """Twelve angles of a posture, in degrees; y is up.

    The trunk's axes are the line of the hips (right), the line from their middle to that of the shoulders, made perpendicular,
    and the third (forward). Hip angles are those of the thigh in these axes, shoulder elevation that of the upper arm against
    the trunk's downward direction, leans those of the trunk against the vertical.

    Args:
        at: joint centres (T, 3), as of :func:`centres`.

    Returns:
        Name -> (T,).
    """
    hips, shoulders = ((at[f"{name}_r"] + at[f"{name}_l"]) / 2 for name in ("hip", "shoulder"))
    right, trunk = _unit(at["hip_r"] - at["hip_l"]), _unit(shoulders - hips)
    forward = _unit(np.cross(trunk, right))
    upward = np.cross(right, forward)
    level_right = _unit(right * (1 - UP))
    level_forward = np.cross(np.broadcast_to(UP, level_right.shape), level_right)
    found = {
        "trunk_lean_forward": _degrees((trunk * level_forward).sum(axis=1), trunk[:, 1]),
        "trunk_lean_right": _degrees((trunk * level_right).sum(axis=1), trunk[:, 1]),
    }
    for side, outwards in zip(SIDES, (1.0, -1.0), strict=True):
        joint = {name: at[f"{name}_{side}"] for name in BODIES}
        thigh, arm = _unit(joint["knee"] - joint["hip"]), joint["elbow"] - joint["shoulder"]
        found[f"hip_flexion_{side}"] = _degrees((thigh * forward).sum(axis=1), -(thigh * upward).sum(axis=1))
        found[f"hip_abduction_{side}"] = np.degrees(np.arcsin(np.clip(outwards * (thigh * right).sum(axis=1), -1, 1)))
        found[f"shoulder_elevation_{side}"] = _between(arm, -trunk)
        found[f"knee_flexion_{side}"] = _between(joint["knee"] - joint["hip"], joint["ankle"] - joint["knee"])
        found[f"elbow_flexion_{side}"] = _between(arm, joint["wrist"] - joint["elbow"])
    return found


def _unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def _degrees(across: Array, along: Array) -> Array:
    return np.asarray(np.degrees(np.arctan2(across, along)))


def _between(a: Array, b: Array) -> Array:
    return _degrees(np.linalg.norm(np.cross(a, b), axis=1), (a * b).sum(axis=1))


def differences(estimate: Array, truth: Array) -> Array:
    """Differences of angles in degrees, within half a turn."""
    return np.asarray((estimate - truth + 180) % 360 - 180)
