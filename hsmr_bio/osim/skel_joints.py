"""SKEL's joints under BSM's coordinates: the same bodies, names and zeros with SKEL's motion.

BSM and SKEL share bones and the names of coordinates, but some joints move differently. In SKEL the wrists, the spine and the
scapulae rotate in another order; the spine's axes are perpendicular in the T pose and its arcs translate along them; the
scapulae move on an ellipsoid and tilt backwards as they rise, where BSM's tilt forwards. A person's model takes over these
joints: otherwise bones are up to 20 degrees and 10 mm away from the body's. On request it takes over the knees too, which are
hinges in SKEL: it then reproduces a motion of SKEL to 0.01 mm.

The zero of every coordinate stays BSM's: SKEL's angle is the coordinate minus its value in the T pose, with BSM's sign.

Source:
    SKEL's joints: Keller et al. 2023, as in :mod:`hsmr_bio.body.tree`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sin

import numpy as np
import torch

from ..kinematics.functions import Function, ScapulaSine
from ..kinematics.rotations import euler_about
from ..skeleton import DOF_NAMES, JOINT_AXES, JOINT_DOFS, JOINT_NAMES, LIMITS_RAD, PARENTS
from .build import AxisSpec, CoordinateSpec, JointSpec, linear, multivariate, polynomial, sine
from .joints import orientation_of
from .person import TPose
from .polynomial_fit import Interval, fit_polynomial, fit_polynomial_of_one

BALLS = ("femur_r", "femur_l", "humerus_r", "humerus_l")
"""Bodies on ball joints: BSM's joint, at SKEL's centre."""
BODIES = tuple(name for name in JOINT_NAMES if name not in ("pelvis", *BALLS))
"""Bodies that can take SKEL's joint: all but those on free or ball joints, which are the same in both."""
OPPOSITE = ("scapula_elevation_r", "scapula_abduction_l")
"""Coordinates whose sign in BSM is the opposite of SKEL's: elevation raises and abduction protracts on both sides."""
ORDER = 8
"""Total degree of the translations: 0.001 mm over SKEL's limits."""
_SAMPLES = 4000
"""Random poses from which the ranges of ball joints are found; chosen."""
FIT_MARGIN_RAD = 0.35
"""The translations are fitted this far beyond SKEL's limits, and at least over BSM's ranges; chosen."""


def skel_joints(t_pose: TPose, t_pose_si: Mapping[str, float]) -> list[JointSpec]:
    """Make all joints that a BSM model can take over from SKEL.

    Args:
        t_pose: of the person.
        t_pose_si: coordinates of the T pose, where they are not zero.

    Returns:
        Joints with BSM's names; their coordinates have BSM's names, signs and zeros. Their ranges include BSM's and SKEL's.
    """
    return [skel_joint(t_pose, name, t_pose_si, widened=True) for name in BODIES]


def skel_joint(t_pose: TPose, name: str, t_pose_si: Mapping[str, float], *, widened: bool = False) -> JointSpec:
    """SKEL's joint of one body under BSM's coordinates.

    Args:
        t_pose: of the person.
        name: of the body, one of ``BODIES``.
        t_pose_si: coordinates of the T pose, where they are not zero.
        widened: whether the ranges include SKEL's limits and nothing is clamped; else they are BSM's.

    Returns:
        The joint.
    """
    j = JOINT_NAMES.index(name)
    skel = t_pose.skel_joints[j]
    fixed, moving = np.asarray(skel.parent_rotation), np.asarray(skel.child_rotation)
    turn = np.eye(3)
    if skel.translations:  # along the axes of the T pose all of SKEL's translations but one are functions of one angle
        turn = fixed.T @ t_pose.rotations[PARENTS[j]].T
    angles = {dof: _Angle(t_pose, t_pose_si, dof) for dof in JOINT_DOFS[j]}
    axes = []
    for i, (dof, axis) in enumerate(zip(reversed(JOINT_DOFS[j]), reversed(JOINT_AXES[j]), strict=True)):
        angle = angles[dof]
        rotated = tuple((turn.T @ np.array(axis)).tolist())
        axes.append(AxisSpec(f"rotation{i + 1}", rotated, (angle.name,), linear(angle.sign, -angle.sign * angle.shift)))
    for i, (_, function) in enumerate(skel.translations):
        axes.append(_translation(i, function, [angles[dof] for dof in function.inputs], t_pose.length_factor))
    return JointSpec(
        t_pose.generic_joints[name].name,
        JOINT_NAMES[PARENTS[j]],
        name,
        tuple(angles[dof].coordinate(widened) for dof in reversed(JOINT_DOFS[j])),
        tuple(axes),
        parent_offset=(t_pose.offset_m(name).tolist(), orientation_of(fixed @ turn)),
        child_offset=((0.0, 0.0, 0.0), orientation_of(moving @ turn)),
    )


def ball_ranges(t_pose: TPose) -> dict[str, tuple[float, float]]:
    """Ranges of hips and shoulders that include BSM's ranges and all orientations within SKEL's limits.

    BSM rotates these joints in another order than SKEL, so the image of SKEL's limits is sampled.
    """
    random = np.random.default_rng(0)
    q = np.zeros((_SAMPLES, len(DOF_NAMES) + 3))
    dofs = [dof for name in BALLS for dof in JOINT_DOFS[JOINT_NAMES.index(name)]]
    low, high = LIMITS_RAD[dofs].T
    q[:, dofs] = random.uniform(low, high, (_SAMPLES, len(dofs)))
    rotations = t_pose.body.tree(t_pose.betas).forward(q).rotations.numpy()
    ranges = {}
    for name in BALLS:
        j = JOINT_NAMES.index(name)
        joint = t_pose.generic_joints[name]
        relative = rotations[:, PARENTS[j]].transpose(0, 2, 1) @ rotations[:, j]
        local = np.asarray(joint.parent_rotation).T @ relative @ np.asarray(joint.child_rotation)
        axes = torch.tensor(np.array([axis for axis, _ in joint.rotations], dtype=np.float64))
        angles = euler_about(axes, torch.as_tensor(local)).numpy()
        for k, (_, function) in enumerate(joint.rotations):
            coordinate = t_pose.generic.coordinates[t_pose.coordinates[function.inputs[0]]]
            low, high = coordinate.range_si
            ranges[coordinate.name] = (min(low, float(angles[:, k].min())), max(high, float(angles[:, k].max())))
    return ranges


class _Angle:
    """SKEL's angle as a function of the BSM coordinate: sign * (coordinate - shift)."""

    def __init__(self, t_pose: TPose, t_pose_si: Mapping[str, float], dof: int) -> None:
        self.name = DOF_NAMES[dof]
        self.sign = -1.0 if self.name in OPPOSITE else 1.0
        self.shift = t_pose_si.get(self.name, 0.0)
        low, high = sorted(self.sign * limit + self.shift for limit in LIMITS_RAD[dof])
        self.generic = t_pose.generic.coordinates[self.name]
        self.limits: Interval = (min(low, self.generic.range_si[0]), max(high, self.generic.range_si[1]))
        self.fitted: Interval = (min(low - FIT_MARGIN_RAD, self.limits[0]), max(high + FIT_MARGIN_RAD, self.limits[1]))
        self.dof = dof

    def coordinate(self, widened: bool) -> CoordinateSpec:
        if widened:
            return CoordinateSpec(self.name, self.limits, self.generic.default_si)
        return CoordinateSpec(self.name, self.generic.range_si, self.generic.default_si, self.generic.clamped)

    def skel(self, value: float) -> float:
        return self.sign * (value - self.shift)


def _translation(i: int, function: Function, inputs: Sequence[_Angle], length_factor: float) -> AxisSpec:
    """SKEL's translation along an axis of the T pose, as a function of one coordinate or a polynomial of two.

    A function of one coordinate where possible: OpenSim's polynomials of two have wrong second derivatives.
    """

    def value(*values: float) -> float:
        q = torch.zeros(len(DOF_NAMES) + 3, dtype=torch.float64)
        for angle, v in zip(inputs, values, strict=True):
            q[angle.dof] = angle.skel(v)
        return float(function.value_and_partials(q)[0]) * length_factor

    first = inputs[0]
    if isinstance(function, ScapulaSine):
        size = float(function.scale_m) * length_factor
        phase = function.phase_rad - first.sign * first.shift
        made = sine(size, first.sign, phase, -size * sin(function.phase_rad))
    elif len(inputs) == 1:
        made = polynomial(fit_polynomial_of_one(value, first.fitted, ORDER))
    else:
        made = multivariate(fit_polynomial(value, first.fitted, inputs[1].fitted, ORDER), ORDER)
    unit = tuple(float(i == k) for k in range(3))
    return AxisSpec(f"translation{i + 1}", unit, tuple(angle.name for angle in inputs), made)
