"""Joints of SMPL's family in SMPL's order; joints of another order are told by their lengths and directions.

Source:
    SMPL (Loper et al. 2015), SMPL-H (Romero et al. 2017), SMPL-X (Pavlakos et al. 2019): order of the joints, as facts.
"""

from __future__ import annotations

import numpy as np

from hsmr_bio.types import FloatArray

_BODY = 22
"""The first joints of all of them are SMPL's body."""
_HANDS_OF: dict[int, tuple[int, int]] = {
    **dict.fromkeys((24, 45), (22, 23)),
    **dict.fromkeys((52, 73), (25, 40)),
    **dict.fromkeys((55, 127, 144), (28, 43)),
}
"""Number of joints of the SMPL family's outputs -> columns of left and right hand (the middle finger's first joint of SMPL-H
and SMPL-X). Other numbers are another order (49: VIBE)."""
_SAME_DIRECTION = np.cos(np.radians(35))
"""Limbs of joints and of rotations that belong together point alike; another order of the joints is off by far more."""
_THIGH_M = (0.1, 0.8)
"""Bounds of thigh and shank, children included."""
_ARM_M = (0.07, 0.6)
"""Bounds of upper arm and forearm, children included."""
_MOST_UNEQUAL = 1.4
"""Largest ratio of the same limb on both sides; those of an estimate differ by less (own choice)."""
_LIMBS: dict[str, tuple[tuple[int, int], tuple[int, int]]] = {
    "thigh": ((1, 4), (2, 5)),
    "shank": ((4, 7), (5, 8)),
    "arm": ((16, 18), (17, 19)),
    "forearm": ((18, 20), (19, 21)),
}
"""Limb -> SMPL's joints at its ends, left and right."""


def smpl_joints(array: FloatArray, rotations: FloatArray | None) -> tuple[FloatArray | None, str]:
    """Pick SMPL's 24 joints of what a file stores as joints.

    Args:
        array: (T, J, 3), (T, 72) or (24, 3).
        rotations: (T, 24, 3, 3) of the same file, to compare the legs with; or None.

    Returns:
        (T, 24, 3) joints, or None and the reason why they are not SMPL's.
    """
    if array.ndim == 2 and array.shape[1] == 72:
        array = array.reshape(-1, 24, 3)
    if array.shape == (24, 3):
        array = array[None]
    if array.ndim != 3 or array.shape[1] not in _HANDS_OF or array.shape[2] != 3:
        return None, f"got shape {array.shape}, whose order is not SMPL's"
    array = array[:, [*range(_BODY), *_HANDS_OF[array.shape[1]]]]
    problem = _not_smpl(array, rotations)
    return (None, f"{problem}: joints must be in metres and in SMPL's order") if problem else (array, "")


def _not_smpl(joints_m: FloatArray, rotations: FloatArray | None) -> str:
    """Say why joints (T, 24, 3) are not SMPL's, by their lengths and by the limbs' directions; empty if they are."""
    length = {
        f"{name}_{side}": float(np.median(np.linalg.norm(joints_m[:, a] - joints_m[:, b], axis=1)))
        for name, pairs in _LIMBS.items()
        for side, (a, b) in zip("lr", pairs, strict=True)
    }
    for name, (low, high) in {"thigh": _THIGH_M, "shank": _THIGH_M, "arm": _ARM_M, "forearm": _ARM_M}.items():
        left, right = length[f"{name}_l"], length[f"{name}_r"]
        for one in (left, right):
            if not low < one < high:
                return f"the {name} is {one:.4g} long"
        if not 1 / _MOST_UNEQUAL < left / right < _MOST_UNEQUAL:
            return f"the left {name} is {left:.3g} m long, the right one {right:.3g} m"
    if rotations is None or len(rotations) != len(joints_m):
        return ""
    return _other_directions(joints_m, rotations)


def _other_directions(joints_m: FloatArray, rotations: FloatArray) -> str:
    """Compare the thighs and shanks with those of the rotations: SMPL's legs hang along -y in the rest pose."""
    for hip, knee, ankle in ((1, 4, 7), (2, 5, 8)):
        thigh_turn = rotations[:, 0] @ rotations[:, hip]
        for turn, upper, lower in ((thigh_turn, hip, knee), (thigh_turn @ rotations[:, knee], knee, ankle)):
            limb = joints_m[:, lower] - joints_m[:, upper]
            limb = limb / np.maximum(np.linalg.norm(limb, axis=1, keepdims=True), 1e-9)
            if np.median((limb * -turn[:, :, 1]).sum(axis=1)) < _SAME_DIRECTION:
                return "its legs point elsewhere than those of the rotations"
    return ""
