"""Ranges of the ball joints that a model takes over from SKEL, and the knees in the export for the second engine."""

from __future__ import annotations

import numpy as np
import torch
from lxml import etree

from hsmr_bio.body import Body
from hsmr_bio.kinematics.rotations import euler_about
from hsmr_bio.osim.library import bsm
from hsmr_bio.osim.nimble_export import nimble_model
from hsmr_bio.osim.person import TPose
from hsmr_bio.osim.skel_joints import BALLS, ball_ranges
from hsmr_bio.skeleton import JOINT_DOFS, JOINT_NAMES, LIMITS_RAD, PARENTS


def test_ranges_of_ball_joints_hold_bsms_and_all_poses_within_skels_limits(open_body: Body) -> None:
    t_pose = TPose(bsm(), open_body, np.zeros(10))
    found, rng, q = ball_ranges(t_pose), np.random.default_rng(11), np.zeros((500, 49))
    for name in BALLS:
        for dof in JOINT_DOFS[JOINT_NAMES.index(name)]:
            q[:, dof] = rng.uniform(*LIMITS_RAD[dof], 500)
    rotations, wider = open_body.tree(np.zeros(10)).forward(q).rotations.numpy(), np.zeros(2, dtype=int)
    for name in BALLS:
        j, joint = JOINT_NAMES.index(name), t_pose.generic_joints[name]
        relative = rotations[:, PARENTS[j]].transpose(0, 2, 1) @ rotations[:, j]
        local = np.asarray(joint.parent_rotation).T @ relative @ np.asarray(joint.child_rotation)
        axes = torch.tensor([axis for axis, _ in joint.rotations], dtype=torch.float64)
        angles = euler_about(axes, torch.as_tensor(local)).numpy()
        for k, (_, function) in enumerate(joint.rotations):
            coordinate = bsm().coordinates[t_pose.coordinates[function.inputs[0]]]
            low, high = found[coordinate.name]
            assert low <= coordinate.range_si[0] and high >= coordinate.range_si[1], coordinate.name
            assert ((angles[:, k] > low - 0.1) & (angles[:, k] < high + 0.1)).all(), coordinate.name
            wider += [low < coordinate.range_si[0], high > coordinate.range_si[1]]
    assert (wider > 2).all(), "SKEL's limits reach beyond BSM's on both ends"


def test_both_knees_are_splines_for_the_second_engine() -> None:
    root = etree.fromstring(nimble_model(bsm()))
    for side in "rl":
        knee = root.find(f".//CustomJoint[@name='walker_knee_{side}']")
        assert knee.find(".//PolynomialFunction") is None
        assert len(knee.findall(".//SimmSpline")) == len(
            etree.fromstring(bsm().to_bytes()).findall(f".//CustomJoint[@name='walker_knee_{side}']//PolynomialFunction")
        )
