"""SMPL to SKEL where the answer is known: an SMPL-like body with the open body's skin, joints and weights."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.transform import Rotation

from hsmr_bio.body import Body
from hsmr_bio.body.forward import rest_joints
from hsmr_bio.body.smpl_model import SmplModel
from hsmr_bio.fitting.smpl.skin_problem import SmplFitOptions
from hsmr_bio.fitting.smpl.smpl_motion import SmplMotion
from hsmr_bio.fitting.smpl.to_skel import smpl_to_skel
from hsmr_bio.skeleton import DOF_NAMES

BONE_OF_PART = (0, 6, 1, 11, 7, 2, 12, 9, 4, 12, 10, 5, 13, 19, 14, 13, 20, 15, 21, 16, 23, 18, 23, 18)
PART_OF_BONE = (0, 2, 5, 8, 8, 11, 1, 4, 7, 7, 10, 3, 9, 15, 14, 17, 19, 19, 21, 13, 16, 18, 18, 20)
FRAMES = 24


@pytest.fixture(scope="module")
def body(open_body) -> Body:
    """The open body with a joint regressor that holds on posed skin too: each joint from the ring of skin around it."""
    data = open_body.data
    joints, skin = rest_joints(data)[0], data.skin_template_m
    regressor = sparse.lil_array((24, len(skin)))
    for j, joint in enumerate(joints):
        near = np.argsort(np.linalg.norm(skin - joint, axis=1))[:80]
        rows = np.vstack([np.ones(80), (skin[near] - joint).T])
        even = np.full(80, 1 / 80)
        regressor[j, near] = even + np.linalg.pinv(rows) @ (np.array([1.0, 0, 0, 0]) - rows @ even)
    return Body(dataclasses.replace(data, joint_regressor=sparse.csr_array(regressor)))


@pytest.fixture(scope="module")
def twin_of_smpl(open_body) -> SmplModel:
    """SMPL's parts on the open body: every part turns its bones about their joint."""
    data = open_body.data
    gather = sparse.csr_array((np.ones(24), (range(24), PART_OF_BONE)), shape=(24, 24))
    weights = (data.skin_weights @ gather).toarray()
    joints, dirs = rest_joints(data)
    bones = list(BONE_OF_PART)
    return SmplModel(
        sex="neutral",
        template_m=data.skin_template_m,
        faces=data.skin_faces,
        shapedirs=data.shapedirs,
        posedirs=np.zeros((len(data.skin_template_m), 3, 207)),
        weights=weights,
        joints_m=joints[bones],
        joint_dirs=dirs[bones],
    )


@pytest.fixture(scope="module")
def walk() -> SmplMotion:
    """Knees, hips and elbows move about the axes that SKEL has there."""
    phase = np.linspace(0, 2 * np.pi, FRAMES)
    vectors = np.zeros((FRAMES, 24, 3))
    vectors[:, 4, 0], vectors[:, 5, 0] = 0.6 - 0.5 * np.cos(phase), 0.6 + 0.5 * np.cos(phase)
    vectors[:, 1, 0], vectors[:, 2, 0] = -0.3 * np.sin(phase), 0.3 * np.sin(phase)
    vectors[:, 18, 1], vectors[:, 19, 1] = -0.8 - 0.3 * np.sin(phase), 0.8 - 0.3 * np.sin(phase)
    vectors[:, 16, 2], vectors[:, 17, 2] = -1.0, 1.0
    vectors[:, 0, 1] = 2 * phase
    trans = np.stack([0.1 * np.sin(phase), np.zeros(FRAMES), np.linspace(0, 1, FRAMES)], axis=1)
    return SmplMotion(
        time_s=np.arange(FRAMES) / 30,
        rotations=Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix().reshape(FRAMES, 24, 3, 3),
        trans_m=trans,
        betas=np.linspace(-0.8, 0.8, 10),
    )


@pytest.fixture(scope="module")
def fitted(walk, twin_of_smpl, body):
    return smpl_to_skel(walk, twin_of_smpl, body)


def test_the_skin_is_met(fitted, walk, twin_of_smpl, body) -> None:
    skin = body.skin(fitted.motion.poses_rad, fitted.motion.betas, fitted.motion.trans_m)
    wanted = twin_of_smpl.forward(walk.rotations, walk.betas, walk.trans_m).vertices_m
    far = (skin - wanted).norm(dim=-1)
    assert float(far.mean()) < 0.0015
    assert fitted.vertex_error_m.mean() == pytest.approx(float(far.mean()), rel=0.15)


@pytest.mark.parametrize("side", ["r", "l"])
def test_knee_and_elbow_angles_are_the_ones_put_in(fitted, walk, side) -> None:
    bend = np.linalg.norm(Rotation.from_matrix(walk.rotations[:, 5 if side == "r" else 4]).as_rotvec(), axis=1)
    elbow = np.linalg.norm(Rotation.from_matrix(walk.rotations[:, 19 if side == "r" else 18]).as_rotvec(), axis=1)
    poses = np.degrees(fitted.motion.poses_rad)
    assert np.abs(poses[:, DOF_NAMES.index(f"knee_angle_{side}")] - np.degrees(bend)).max() < 3
    assert np.abs(poses[:, DOF_NAMES.index(f"elbow_flexion_{side}")] - np.degrees(elbow)).max() < 5


def test_the_pelvis_turns_with_smpls(fitted, walk, body) -> None:
    motion = fitted.motion
    rest = body.rest(motion.betas).bone_rotations[0]
    turns = body.forward(motion.poses_rad, motion.betas, motion.trans_m).joints_ori[:, 0].numpy() @ rest.T
    off = Rotation.from_matrix(np.swapaxes(turns, 1, 2) @ walk.rotations[:, 0]).magnitude()
    assert np.degrees(off).max() < 1.2
    assert np.abs(np.diff(motion.poses_rad, axis=0)).max() < 0.8


@pytest.mark.slow
def test_betas_are_found_again(walk, twin_of_smpl, body) -> None:
    fit = smpl_to_skel(walk, twin_of_smpl, body, SmplFitOptions(refine_betas=True))
    np.testing.assert_allclose(fit.motion.betas, walk.betas, atol=0.3)
