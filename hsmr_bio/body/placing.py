"""Rotates and translates a whole SKEL motion: only the root's angles and the translation change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..kinematics.rotations import about_axis, euler_about
from ..kinematics.tree import Tree
from ..types import FloatArray, Frame, SkelMotion
from .body import Body

SKEL_TO_WORLD: FloatArray = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
"""Rest axes (body faces +z, left is +x) -> OpenSim ground (x forward, y up, z right)."""

WALKING = ((1.0, 0.3), (0.5, 1.0))
"""(m, m/s) A person walks whose distance and mean speed are above those of one of these rows. A shift of weight or a step aside
is shorter than 1 m, a drift of the fit slower than 0.3 m/s (slow gait of patients is 0.4 m/s); below the length of a stride
only the usual speed of walking shows it."""
_SHORTEST_S = 1e-6
"""Lower bound of the duration, against division by zero for a single frame."""


def require_body(motion: SkelMotion, body: Body) -> None:
    """Check that a motion's betas belong to a body.

    Args:
        motion: any motion.
        body: the body that is to be used with it.

    Raises:
        InputError: the motion's betas belong to another body.
    """
    if motion.body != body.name:
        raise InputError(
            f"the motion's betas belong to {motion.body!r}, but the body given is {body.name!r}: betas of one body mean "
            "nothing to another. Load the body that the motion names, or fit the motion again"
        )


def rotate_motion(
    motion: SkelMotion, body: Body, rotation: FloatArray, *, frame: Frame, shift_m: FloatArray | None = None
) -> SkelMotion:
    """Rotate a motion about the origin, then translate it.

    Args:
        motion: any frame.
        body: the motion's body.
        rotation: (3, 3) or (T, 3, 3) old axes -> new axes.
        frame: name of the new axes.
        shift_m: (3,) or (T, 3) translation in the new axes.

    Returns:
        The same postures in the new axes, without ``ground``, which refers to the old axes.
    """
    require_body(motion, body)
    tree = body.tree(motion.betas)
    turn = torch.as_tensor(np.asarray(rotation, dtype=np.float64))
    pose = tree.forward(motion.q)
    poses = np.array(motion.poses_rad)
    poses[:, :3] = near_branch(root_angles(tree, turn @ pose.rotations[:, 0]).numpy())
    root = body.rest_pose(motion.betas).joints[0, 0].numpy()
    pelvis_m = (turn @ pose.positions_m[:, 0, :, None])[..., 0].numpy()
    trans = pelvis_m - root + (0.0 if shift_m is None else shift_m)
    return replace(motion, poses_rad=poses, trans_m=trans, frame=frame, ground=None)


def root_angles(tree: Tree, pelvis: Tensor) -> Tensor:
    """Root angles that give the pelvis an orientation.

    Args:
        tree: of a body.
        pelvis: (..., 3, 3) bone axes of the pelvis -> ground axes of the tree.

    Returns:
        (..., 3) rad in SKEL's order.
    """
    local = tree.parent_rotation[0].T @ pelvis @ tree.child_rotation[0]
    u, _, vt = torch.linalg.svd(local)  # the frames of the joint are orthonormal but for the rounding of the body's file
    axes = torch.tensor([axis for axis, _ in tree.joints[0].rotations], dtype=torch.float64)
    return euler_about(axes, u @ vt).flip(-1)


def to_forward(pelvis_m: FloatArray, facing: FloatArray, time_s: FloatArray) -> FloatArray:
    """Rotation about the vertical that takes a person's heading to +z.

    The heading is the displacement of the pelvis if the person walks (see ``WALKING``), else the facing direction in the first
    frame.

    Args:
        pelvis_m: (T, 3) pelvis in upright axes (y up).
        facing: (3,) forward axis of the pelvis in the first frame.
        time_s: (T,).

    Returns:
        (3, 3).
    """
    displacement = pelvis_m[-1] - pelvis_m[0]
    distance_m = float(np.hypot(displacement[0], displacement[2]))
    speed_m_s = distance_m / max(float(time_s[-1] - time_s[0]), _SHORTEST_S)
    walks = any(distance_m > least_m and speed_m_s > least_m_s for least_m, least_m_s in WALKING)
    heading = displacement if walks else facing
    angle = torch.tensor(-np.arctan2(heading[0], heading[2]), dtype=torch.float64)
    return np.asarray(about_axis((0.0, 1.0, 0.0), angle).numpy())


def near_branch(angles: FloatArray) -> FloatArray:
    """(T, 3) root angles on the Euler branch, and with the full turns, that change least from frame to frame."""
    result = np.array(angles)
    for t in range(1, len(result)):
        other = result[t] * [1.0, -1.0, 1.0] + np.pi
        options = [option - 2 * np.pi * np.round((option - result[t - 1]) / (2 * np.pi)) for option in (result[t], other)]
        result[t] = min(options, key=lambda option: float(np.abs(option - result[t - 1]).sum()))
    return result
