"""SMPL motion on a body that does not share SMPL's skin, the open body: from rotations, from joints, or from both.

Each bone gets the rotation of the SMPL part that it lies in, and the joints that are about the same in both (knee, ankle,
shoulder, elbow, wrist, ...) the positions of SMPL's. From joints alone, the rotations of the parts are estimated first.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...body.body import Body
from ...body.smpl_model import SmplModel
from ...kinematics.tree_fit import Weights
from ...skeleton import JOINT_NAMES
from ...types import FloatArray
from .parts import parts_from_joints
from .smpl_motion import SMPL_PELVIS_M, SmplMotion
from .start import PART_OF_BONE, part_rotations, place_bones
from .to_skel import SmplFit

_SAME_JOINT: dict[str, tuple[int, float]] = {
    **{f"femur_{s}": (n, 0.03) for s, n in (("l", 1), ("r", 2))},
    **{f"tibia_{s}": (n, 0.01) for s, n in (("l", 4), ("r", 5))},
    **{f"talus_{s}": (n, 0.01) for s, n in (("l", 7), ("r", 8))},
    **{f"toes_{s}": (n, 0.02) for s, n in (("l", 10), ("r", 11))},
    **{f"humerus_{s}": (n, 0.02) for s, n in (("l", 16), ("r", 17))},
    **{f"ulna_{s}": (n, 0.01) for s, n in (("l", 18), ("r", 19))},
    **{f"hand_{s}": (n, 0.01) for s, n in (("l", 20), ("r", 21))},
    "head": (15, 0.05),
}
"""Bone -> SMPL joint at about the same place as the bone's joint, and the standard deviation of their distance, m (chosen)."""
_BONES = [JOINT_NAMES.index(name) for name in _SAME_JOINT]
_JOINTS = [joint for joint, _ in _SAME_JOINT.values()]
_LENGTHS: tuple[tuple[str, str, float], ...] = (
    *((f"femur_{s}", f"tibia_{s}", 0.03) for s in "lr"),
    *((f"tibia_{s}", f"talus_{s}", 0.01) for s in "lr"),
    *((f"humerus_{s}", f"ulna_{s}", 0.015) for s in "lr"),
    *((f"ulna_{s}", f"hand_{s}", 0.01) for s in "lr"),
    ("humerus_l", "humerus_r", 0.03),
)
"""Distances between joints that the shape is fitted to, with their standard deviation in m (chosen as above)."""
_STATURE_SD_M = 0.005
"""Standard deviation of a given stature."""
_SHAPE_STEPS = 4
"""Gauss-Newton steps of the shape, whose lengths are nearly linear in betas."""
_TURN_SD_RAD = 0.1
"""Standard deviation of the bones' rotations against SMPL's parts (own choice)."""
_BUILT_TURN_SD_RAD = 0.4
"""The same for rotations estimated from joints: they only decide what the joints do not show."""
_ROOT_SD_M = 0.01
"""Standard deviation of the root's position where there are no joints (own choice)."""
_STEPS = 8
"""Most steps of the angles."""


def smpl_to_open(motion: SmplMotion, body: Body, smpl: SmplModel | None = None, *, height_m: float | None = None) -> SmplFit:
    """Fit the open body to an SMPL motion.

    Args:
        motion: with rotations, joints or both.
        body: the open body, or any other.
        smpl: the user's SMPL file: gives the joints, and so the lengths, of a motion that has rotations and betas only.
        height_m: stature of the person; the shape is brought to it.

    Returns:
        The motion on ``body``. ``vertex_error_m`` is NaN (there is no common skin); ``lost`` says what did not carry over.
    """
    lost: list[str] = ["SMPL's skin and shape: the body is another one, its shape fitted to the lengths of the limbs"]
    joints = motion.joints_m
    if joints is None and smpl is not None and motion.betas is not None and motion.rotations is not None:
        joints = _smpl_joints(motion, smpl)
    if joints is not None:
        joints = joints @ motion.to_skel_axes.T
        betas = fit_shape(body, _lengths(joints), height_m)
    else:
        betas = fit_shape(body, None, height_m)
        lost[0] = "the person's lengths: without SMPL's file or joints the mean body is used" + (
            ", brought to the given height" if height_m else ""
        )
        lost.append("the absolute position, by a few centimetres: the pelvis is taken to be that of SMPL's mean shape")
    if motion.rotations is None and joints is not None:
        turns = torch.tensor(parts_from_joints(joints))[:, list(PART_OF_BONE)]
        lost.append("turns about the long axes of hands, feet and head, and pronation: joints alone do not show them")
    else:
        turns = torch.tensor(motion.to_skel_axes) @ part_rotations(torch.tensor(motion.rotations))
    q = _solve(motion, body, betas, turns, joints)
    unknown = np.full(len(q), np.nan)
    error = unknown if joints is None else _joint_error(body, betas, q, joints)
    return SmplFit.of(motion, body, betas, q, vertex_error_m=unknown, joint_error_m=error, lost=lost)


def fit_shape(body: Body, lengths_m: FloatArray | None, height_m: float | None) -> FloatArray:
    """Fit the betas of a body to lengths and a stature, with the prior N(0, 1).

    Args:
        body: whose betas.
        lengths_m: one per entry of ``_LENGTHS``, or None.
        height_m: stature, or None.

    Returns:
        (10,) betas.
    """
    betas = np.zeros(10)
    _, line = body.data.stature_line
    dirs = body.rest_jacobian(betas)[0]
    for _ in range(_SHAPE_STEPS):
        rows, rests = [np.eye(10)], [-betas]
        if lengths_m is not None:
            joints = body.rest(betas).joints_m
            for (first, second, sd_m), wanted in zip(_LENGTHS, lengths_m, strict=True):
                a, b = JOINT_NAMES.index(first), JOINT_NAMES.index(second)
                arm = joints[a] - joints[b]
                length = float(np.linalg.norm(arm))
                rows.append((arm @ (dirs[a] - dirs[b]))[None] / length / sd_m)
                rests.append(np.array([(wanted - length) / sd_m]))
        if height_m is not None:
            rows.append(line[None] / _STATURE_SD_M)
            rests.append(np.array([(height_m - body.stature_m(betas)) / _STATURE_SD_M]))
        betas = betas + np.linalg.lstsq(np.concatenate(rows), np.concatenate(rests), rcond=None)[0]
    return np.asarray(betas)


def _lengths(joints_m: FloatArray) -> FloatArray:
    """Median over the frames of the distances of ``_LENGTHS``, from SMPL joints (T, 24, 3)."""
    pairs = [(_SAME_JOINT[first][0], _SAME_JOINT[second][0]) for first, second, _ in _LENGTHS]
    return np.array([np.median(np.linalg.norm(joints_m[:, a] - joints_m[:, b], axis=1)) for a, b in pairs])


def _smpl_joints(motion: SmplMotion, smpl: SmplModel) -> FloatArray:
    """(T, 24, 3) joints of the SMPL model, without its skin."""
    trans = np.zeros((len(motion.time_s), 3)) if motion.trans_m is None else motion.trans_m
    rotations, betas = torch.tensor(motion.rotations), torch.tensor(motion.betas).reshape(-1, 10)
    return np.asarray(smpl.part(()).forward(rotations, betas, torch.tensor(trans)).joints_m.numpy())


def _root(motion: SmplMotion, body: Body, betas: FloatArray, turns: Tensor, joints: FloatArray | None) -> FloatArray:
    """(T, 3) first guess of the pelvis, m."""
    rest = body.rest(betas).joints_m
    if joints is None:
        trans = np.zeros((len(motion.time_s), 3)) if motion.trans_m is None else motion.trans_m
        pelvis = SMPL_PELVIS_M if motion.pelvis_m is None else motion.pelvis_m
        return np.asarray((trans + pelvis) @ motion.to_skel_axes.T)
    hips = rest[[JOINT_NAMES.index("femur_l"), JOINT_NAMES.index("femur_r")]].mean(axis=0)
    return np.asarray(joints[:, [1, 2]].mean(axis=1) + (turns[:, 0].numpy() @ (rest[0] - hips)))


def _solve(motion: SmplMotion, body: Body, betas: FloatArray, turns: Tensor, joints: FloatArray | None) -> FloatArray:
    """(T, 49) angles and translation."""
    centres = torch.zeros(len(turns), 24, 3, dtype=torch.float64)
    centres[:, 0] = torch.tensor(_root(motion, body, betas, turns, joints))
    weight = torch.zeros(24, dtype=torch.float64)
    if joints is None:
        weight[0] = 1 / _ROOT_SD_M
    else:
        centres[:, _BONES] = torch.tensor(joints[:, _JOINTS])
        weight[_BONES] = torch.tensor([1 / sd for _, sd in _SAME_JOINT.values()], dtype=torch.float64)
    turn_sd_rad = _BUILT_TURN_SD_RAD if motion.rotations is None else _TURN_SD_RAD
    weights = Weights(weight, torch.full((24,), 1 / turn_sd_rad, dtype=torch.float64))
    return place_bones(body, betas, turns, centres, weights=weights, iterations=_STEPS)


def _joint_error(body: Body, betas: FloatArray, q: FloatArray, joints: FloatArray) -> FloatArray:
    """(T,) mean distance of the joints that are about the same, m."""
    with torch.no_grad():
        found = body.forward(q[:, :46], betas, q[:, 46:]).joints_m.numpy()
    return np.asarray(np.linalg.norm(found[:, _BONES] - joints[:, _JOINTS], axis=-1).mean(axis=1))
