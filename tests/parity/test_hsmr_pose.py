"""Pose representations, orientation, flips, cameras and keypoints against the official functions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

torch = pytest.importorskip("torch")

from hsmr_bio.converters.smpl_labels import mirrored  # noqa: E402
from hsmr_bio.fitting.skelify.objective import keypoint_error  # noqa: E402
from hsmr_bio.hsmr import camera, keypoints, pose  # noqa: E402
from hsmr_bio.hsmr.config import FOCAL_PX  # noqa: E402
from hsmr_bio.skeleton import mirror_poses  # noqa: E402

FIXTURES = Path(__file__).resolve().parents[2].parent / "shared" / "fixtures" / "hsmr"
pytestmark = [pytest.mark.assets, pytest.mark.skipif(not FIXTURES.is_dir(), reason="no parity data in ../shared")]


def load(name: str) -> dict:
    with np.load(FIXTURES / f"{name}.npz") as file:
        return {key: torch.from_numpy(file[key]) if file[key].dtype.kind in "fiu" else file[key] for key in file.files}


def smpl_rotations(data: dict, ending: str) -> np.ndarray:
    """(N, 24, 3, 3) of stored axis-angle values."""
    vectors = np.concatenate([data[f"smpl_{part}{ending}"] for part in ("global_orient", "body_pose")], axis=-1)
    return Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix().reshape(-1, 24, 3, 3)


def near(ours, expected, atol: float, rtol: float = 0) -> None:
    np.testing.assert_allclose(np.asarray(ours), np.asarray(expected), atol=atol, rtol=rtol)


def near_angle(ours, expected, atol: float) -> None:
    near(torch.remainder(ours - expected + np.pi, 2 * np.pi) - np.pi, torch.zeros(()), atol)


def test_pose_representations() -> None:
    data = load("pose_repr")
    for suffix in ("", "_wide"):
        q = data[f"q{suffix}"]
        near(pose.poses_to_rep(q), data[f"rep{suffix}"], 1e-5)
        near(pose.poses_to_matrices(q), data[f"rotmats{suffix}"], 1e-5)
        near_angle(pose.rep_to_poses(data[f"rep{suffix}"]), data[f"q{suffix}_back"], 1e-4)
    near_angle(pose.rep_to_poses(data["rep_raw"]), data["q_from_raw"], 1e-3)
    near(pose.poses_to_matrices(pose.rep_to_poses(data["rep_raw"])), data["rotmats_from_raw"], 1e-4)
    near(torch.tensor([pose.MEAN_POSE_RAD]), data["mean_q"], 1e-7)
    near(torch.tensor(pose.MEAN_BETAS), data["mean_betas"], 1e-7)
    near(torch.tensor(pose.MEAN_CAMERA), data["mean_cam"], 1e-7)
    near(pose.poses_to_rep(data["mean_q"]), data["mean_rep"], 1e-5)
    near_angle(pose.rep_to_poses(data["mean_rep"]), data["mean_q_back"], 1e-4)


def test_orientation() -> None:
    data = load("orient")
    turned = pose.rotate_in_image(data["poses"], torch.deg2rad(data["rot_deg"]))
    near_angle(turned, data["poses_rot_plane"], 1e-4)


def test_flips() -> None:
    data = load("flip")
    np.testing.assert_array_equal(mirror_poses(data["q"].numpy()).astype(np.float32), data["q_flipped"].numpy())
    turns, flipped = smpl_rotations(data, ""), smpl_rotations(data, "_flipped")
    np.testing.assert_allclose(mirrored(turns), flipped, atol=1e-6)
    assert list(keypoints.MIRROR) == data["kp_permutation"].tolist()


def test_cameras() -> None:
    data = load("camera")
    translation = camera.camera_to_translation(data["pd_cam"])
    near(translation, data["cam_t"], 0, 1e-5)
    near(camera.project(data["kp3d"], data["cam_t"]), data["kp2d_norm"], 1e-5, 1e-4)
    size = data["img_hw"].flip(-1)
    full = camera.full_image_translation(data["cam_t"], data["bbx_cs"], size)
    near(full, data["full_cam_t"], 1e-5, 1e-4)
    near(camera.project(data["kp3d"], data["full_cam_t"], focal=FOCAL_PX), data["kp2d_full_px_minus_center"], 1e-2, 1e-4)
    near(camera.to_patch_px(data["gt_kp2d_norm"]), data["gt_kp2d_px"], 1e-3, 1e-5)
    for unit, units in (("px", "gt_kp2d_px"), ("norm", "gt_kp2d_norm")):
        fitted = camera.least_squares_translation(data["kp3d"].double(), data[units].double())
        near(fitted, data[f"est_trans_{unit}"], 0, 1e-4)
        error = keypoint_error(camera.project(data["kp3d"], data[f"est_trans_{unit}"]), data["gt_kp2d_norm"])
        near(error, data[f"label_err_{unit}"], 1e-9, 1e-4)


def test_the_44_keypoints() -> None:
    data = load("keypoints44")

    def sparse(name: str, rows: int):
        index = torch.stack([data[f"{name}_row"].long(), data[f"{name}_col"].long()])
        return torch.sparse_coo_tensor(index, data[f"{name}_val"].float(), (rows, 6890), check_invariants=True)

    extra = sparse("extra", 19)
    joints = keypoints.regress(sparse("custom", 24), data["verts"])
    near(joints, data["joints_custom24"], 1e-5)
    near(keypoints.keypoints_from_smpl_joints(data["verts"], joints, extra), data["joints44"], 1e-5)
    near(data["skel_joints"][:, 0] - joints[:, 0], data["root_offset"], 1e-5)
    joints = data["skel_joints"][:, list(keypoints.SKEL_TO_SMPL_JOINTS)]
    near(joints, data["joints24_noregressor"], 1e-5)
    near(keypoints.keypoints_from_smpl_joints(data["verts"], joints, extra.to_dense()), data["joints44_noregressor"], 1e-5)


def test_keypoint_groups() -> None:
    data = load("skelify_terms")
    for name, points in keypoints.GROUPS.items():
        assert sorted(points) == sorted(data[f"kp_ids__{name.replace('-', '_')}"].tolist()), name
