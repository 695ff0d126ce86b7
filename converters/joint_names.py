"""Names and orders of other programs' joints, as joint centres of the fit (``hip_r``, ``knee_l`` ...).

Source:
    MHR-70 and the 127 joints of the rig: SAM 3D Body and MHR (Meta 2025), metadata. Human3.6M's 17 joints: Ionescu et al. 2014,
    in the order of Martinez et al. 2017. BlazePose's 33 landmarks: Bazarevsky et al. 2020. All as facts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hsmr_bio.errors import FormatError, InputError
from hsmr_bio.fitting.smpl.smpl_motion import Axes
from hsmr_bio.fitting.video.joint_data import JointCentres
from hsmr_bio.types import FloatArray, Markers

MHR70: Mapping[int, str] = {
    5: "shoulder_l",
    6: "shoulder_r",
    7: "elbow_l",
    8: "elbow_r",
    62: "wrist_l",
    41: "wrist_r",
    9: "hip_l",
    10: "hip_r",
    11: "knee_l",
    12: "knee_r",
    13: "ankle_l",
    14: "ankle_r",
    15: "toe_l",
    18: "toe_r",
    17: "heel_l",
    20: "heel_r",
}
"""Index among the 70 keypoints -> joint centre; 9 and 10 are hips, the wrists stand behind the fingers."""
MHR127: Mapping[int, str] = {
    75: "shoulder_l",
    39: "shoulder_r",
    76: "elbow_l",
    40: "elbow_r",
    78: "wrist_l",
    42: "wrist_r",
    2: "hip_l",
    18: "hip_r",
    3: "knee_l",
    19: "knee_r",
    4: "ankle_l",
    20: "ankle_r",
    8: "toe_l",
    24: "toe_r",
}
"""Index among the rig's 127 joints -> joint centre."""
H36M17: Mapping[int, str] = {
    1: "hip_r",
    2: "knee_r",
    3: "ankle_r",
    4: "hip_l",
    5: "knee_l",
    6: "ankle_l",
    11: "shoulder_l",
    12: "elbow_l",
    13: "wrist_l",
    14: "shoulder_r",
    15: "elbow_r",
    16: "wrist_r",
}
BLAZEPOSE33: Mapping[int, str] = {
    11: "shoulder_l",
    12: "shoulder_r",
    13: "elbow_l",
    14: "elbow_r",
    15: "wrist_l",
    16: "wrist_r",
    23: "hip_l",
    24: "hip_r",
    25: "knee_l",
    26: "knee_r",
    27: "ankle_l",
    28: "ankle_r",
    29: "heel_l",
    30: "heel_r",
    31: "toe_l",
    32: "toe_r",
}
_NAMED = re.compile(
    r"^(?:[a-z0-9]+_)*?(?P<side>left|right)_(?P<place>shoulder|elbow|wrist|hip|knee|ankle|heel|foot_index|big_toe(?:_tip)?)$"
)
_UPRIGHT_ENOUGH = 0.5
"""Mean component of the trunk along the vertical in a motion that is upright most of the time (own choice)."""
_Z_TO_Y = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])


def joint_of(name: str) -> str | None:
    """Return the joint centre of a keypoint's name such as ``left_hip`` or ``body_right_big_toe``; None: another point."""
    found = _NAMED.match(name.strip().lower())
    if found is None:
        return None
    place = "toe" if found["place"] in ("foot_index", "big_toe", "big_toe_tip") else found["place"]
    return f"{place}_{found['side'][0]}"


def pick(positions: FloatArray, table: Mapping[int, str]) -> dict[str, FloatArray]:
    """Pick the joint centres of positions in a known order.

    Args:
        positions: (T, K, 3).
        table: index -> joint centre.

    Returns:
        (T, 3) by joint centre.
    """
    return {name: positions[:, index] for index, name in table.items()}


def centres_of(
    joints: Mapping[str, FloatArray],
    time_s: FloatArray,
    *,
    axes: Axes,
    source: str,
    metric: bool = True,
    notes: Mapping[str, str] | None = None,
) -> JointCentres:
    """Build joint centres in the axes of the fit.

    Args:
        joints: (T, 3) by name; NaN where not seen.
        time_s: (T,).
        axes: of the positions; z up is turned to y up.
        source: of the motion.
        metric: whether they are metres.
        notes: for people.

    Returns:
        Joint centres.
    """
    positions = np.stack(list(joints.values()), axis=1)
    if axes == "z_up":
        positions = positions @ _Z_TO_Y.T
    return JointCentres(
        markers=Markers(time_s=time_s, names=tuple(joints), positions_m=positions),
        axes="camera" if axes == "camera" else "world",
        metric=metric,
        source=source,
        notes=notes or {},
    )


def require_torso(path: Path, joints: Mapping[str, FloatArray]) -> None:
    """Refuse joints without hips and shoulders.

    Args:
        path: of the file, for messages.
        joints: by name.

    Raises:
        FormatError: one of them is missing.
    """
    missing = [name for name in ("hip_r", "hip_l", "shoulder_r", "shoulder_l") if name not in joints]
    if missing:
        raise FormatError(path, None, f"hips and shoulders are needed, {', '.join(missing)} is missing")


def axes_shown(joints: Mapping[str, FloatArray]) -> Axes:
    """Recognise the axes by the trunk: most of the time it is upright.

    Args:
        joints: (T, 3) by name, with hips and shoulders.

    Returns:
        ``y_up``, ``z_up`` or ``camera``.

    Raises:
        InputError: the trunk is not upright, or not seen.
    """
    ends: list[FloatArray] = [np.mean([joints[f"{place}_{side}"] for side in "rl"], axis=0) for place in ("shoulder", "hip")]
    trunk = ends[0] - ends[1]
    length = np.linalg.norm(trunk, axis=1, keepdims=True)
    seen = np.isfinite(length[:, 0]) & (length[:, 0] > 0)
    mean = (trunk[seen] / length[seen]).mean(axis=0) if seen.any() else np.zeros(3)
    scores: dict[Axes, float] = {"y_up": float(mean[1]), "z_up": float(mean[2]), "camera": float(-mean[1])}
    best = max(scores, key=lambda name: scores[name])
    if scores[best] < _UPRIGHT_ENOUGH:
        raise InputError("the trunk is not upright most of the time, so the vertical is not recognised: give it (--axes)")
    return best


def thigh(joints: Mapping[str, FloatArray]) -> float:
    """Return the median distance of hip and knee in the unit of the positions; NaN if they are not seen."""
    seen = np.concatenate([np.linalg.norm(joints[f"hip_{side}"] - joints[f"knee_{side}"], axis=1) for side in "rl"])
    return float(np.median(seen[np.isfinite(seen)])) if np.isfinite(seen).any() else float("nan")
