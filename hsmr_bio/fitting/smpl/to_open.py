"""SMPL motion on a body that does not share SMPL's skin: the open body, from rotations, from joints, or from both.

Each bone is asked to turn like the SMPL part that it lies in, and the joints that mean about the same in both (knee, ankle,
shoulder, elbow, wrist, ...) to lie where SMPL's do. With joints alone, the parts' rotations are built from them first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ...body.body import Body
from ...body.forward import chain
from ...body.smpl_model import SMPL_PARENTS, SmplModel
from ...kinematics.tree_fit import Bounds, Weights, fit_tree
from ...skeleton import JOINT_NAMES, LIMITS_WITH_REST_RAD, fit_bounds
from ...types import FloatArray, SkelMotion
from .parts import parts_from_joints
from .smpl_motion import SmplMotion
from .start import PART_OF_BONE, part_rotations
from .to_skel import SmplFit, limit_excess, unwrapped

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
"""Bone -> SMPL joint that lies at about the same place as the bone's joint, and how far apart the two may be, in m (chosen)."""
_LENGTHS: tuple[tuple[str, str, float], ...] = (
    *((f"femur_{s}", f"tibia_{s}", 0.03) for s in "lr"),
    *((f"tibia_{s}", f"talus_{s}", 0.01) for s in "lr"),
    *((f"humerus_{s}", f"ulna_{s}", 0.015) for s in "lr"),
    *((f"ulna_{s}", f"hand_{s}", 0.01) for s in "lr"),
    ("humerus_l", "humerus_r", 0.03),
)
"""Distances between joints that the shape is fitted to, with their standard deviation in m (chosen as above)."""
_TURN_SD_RAD = 0.1
_BUILT_TURN_SD_RAD = 0.4
"""Rotations that were built from joints alone are only a hint about what the joints do not show."""


def smpl_to_open(motion: SmplMotion, body: Body, smpl: SmplModel | None = None, *, height_m: float | None = None) -> SmplFit:
    """Put an SMPL motion on the open body.

    Args:
        motion: with rotations, joints or both.
        body: the open body, or any other.
        smpl: the user's SMPL file: gives the joints of a motion that has rotations and betas only, and the person's lengths.
        height_m: of the person; the shape is brought to it.

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
        lost.append("the absolute position, by two to three decimetres: SMPL's translation is not that of a joint")
    if motion.rotations is not None:
        turns = torch.tensor(motion.to_skel_axes) @ part_rotations(torch.tensor(motion.rotations))
        turn_sd = _TURN_SD_RAD
    else:
        turns = torch.tensor(parts_from_joints(_required(joints)))[:, list(PART_OF_BONE)]
        turn_sd = _BUILT_TURN_SD_RAD
        lost.append("turns about the long axes of hands, feet and head, and pronation: joints alone do not show them")
    q = _solve(body, betas, turns, joints, _root(motion, body, betas, turns, joints), turn_sd)
    skel = SkelMotion(
        time_s=motion.time_s,
        poses_rad=unwrapped(q[:, :46]),
        trans_m=q[:, 46:],
        betas=betas,
        body=body.name,
        frame=motion.frame,
        source=motion.source,
        notes={**motion.notes, "lost": lost},
    )
    error = np.full(len(q), np.nan) if joints is None else _joint_error(skel, body, joints)
    return SmplFit(
        motion=skel,
        vertex_error_m=np.full(len(q), np.nan),
        joint_error_m=error,
        limit_excess_rad=limit_excess(skel.poses_rad),
        lost=tuple(lost),
    )


def fit_shape(body: Body, lengths_m: FloatArray | None, height_m: float | None) -> FloatArray:
    """Betas (10,) of a body from lengths of ``_LENGTHS`` and a stature, with the prior N(0, 1).

    Args:
        body: whose betas.
        lengths_m: one per entry of ``_LENGTHS``, or None.
        height_m: stature, known to 5 mm, or None.
    """
    betas = np.zeros(10)
    top, bottom = body.data.stature_vertices
    line = body.data.shapedirs[top, 1] - body.data.shapedirs[bottom, 1]
    dirs = body.rest_jacobian(betas)[0]
    for _ in range(4):
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
            rows.append(line[None] / 0.005)
            rests.append(np.array([(height_m - body.stature_m(betas)) / 0.005]))
        betas = betas + np.linalg.lstsq(np.concatenate(rows), np.concatenate(rests), rcond=None)[0]
    return np.asarray(betas)


def _lengths(joints_m: FloatArray) -> FloatArray:
    """Median over the frames of the distances of ``_LENGTHS``, from SMPL joints (T, 24, 3)."""
    pairs = [(_SAME_JOINT[first][0], _SAME_JOINT[second][0]) for first, second, _ in _LENGTHS]
    return np.array([np.median(np.linalg.norm(joints_m[:, a] - joints_m[:, b], axis=1)) for a, b in pairs])


def _smpl_joints(motion: SmplMotion, smpl: SmplModel) -> FloatArray:
    """(T, 24, 3) joints of the SMPL model, without its skin."""
    betas = np.atleast_2d(motion.betas)  # type: ignore[arg-type]
    rest = torch.tensor(smpl.joints_m + np.einsum("jak,bk->bja", smpl.joint_dirs, betas))
    rotations = torch.tensor(motion.rotations)
    rest = rest.expand(len(rotations), -1, -1)
    offsets = torch.cat([rest[:, :1], rest[:, 1:] - rest[:, list(SMPL_PARENTS[1:])]], dim=1)
    joints: FloatArray = chain(SMPL_PARENTS, rotations, offsets)[1].numpy()
    return joints if motion.trans_m is None else joints + motion.trans_m[:, None]


def _root(motion: SmplMotion, body: Body, betas: FloatArray, turns: Tensor, joints: FloatArray | None) -> FloatArray:
    """(T, 3) where the pelvis starts."""
    rest = body.rest(betas).joints_m
    if joints is None:
        trans = np.zeros((len(motion.time_s), 3)) if motion.trans_m is None else motion.trans_m @ motion.to_skel_axes.T
        return np.asarray(trans + rest[0])
    hips = rest[[JOINT_NAMES.index("femur_l"), JOINT_NAMES.index("femur_r")]].mean(axis=0)
    return np.asarray(joints[:, [1, 2]].mean(axis=1) + (turns[:, 0].numpy() @ (rest[0] - hips)))


def _solve(
    body: Body, betas: FloatArray, turns: Tensor, joints: FloatArray | None, root: FloatArray, turn_sd_rad: float
) -> FloatArray:
    rest = body.rest_pose(betas)
    centres = torch.zeros(len(turns), 24, 3, dtype=torch.float64)
    weight = torch.zeros(24, dtype=torch.float64)
    centres[:, 0] = torch.tensor(root)
    if joints is None:
        weight[0] = 1 / 0.01
    else:
        bones, columns = [JOINT_NAMES.index(name) for name in _SAME_JOINT], [n for n, _ in _SAME_JOINT.values()]
        centres[:, bones] = torch.tensor(joints[:, columns])
        weight[bones] = torch.tensor([1 / sd for _, sd in _SAME_JOINT.values()], dtype=torch.float64)
    turning = torch.full((24,), 1 / turn_sd_rad, dtype=torch.float64)
    limits = fit_bounds(LIMITS_WITH_REST_RAD)
    result = fit_tree(
        body.tree(betas),
        centres,
        turns @ rest.rotations,
        Bounds(limits[:, 0], limits[:, 1]),
        weights=Weights(weight, turning),
        iterations=8,
    )
    return result.q


def _joint_error(motion: SkelMotion, body: Body, joints: FloatArray) -> FloatArray:
    """(T,) mean distance of the joints that mean about the same."""
    with torch.no_grad():
        found = body.forward(motion.poses_rad, motion.betas, motion.trans_m).joints_m.numpy()
    bones: Sequence[int] = [JOINT_NAMES.index(name) for name in _SAME_JOINT]
    wanted = joints[:, [n for n, _ in _SAME_JOINT.values()]]
    return np.asarray(np.linalg.norm(found[:, bones] - wanted, axis=-1).mean(axis=1))


def _required(joints: FloatArray | None) -> FloatArray:
    if joints is None:
        raise ValueError("SmplMotion guarantees rotations or joints")
    return joints
