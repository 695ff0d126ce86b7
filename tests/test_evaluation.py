"""Metrics from their definitions, the limit test of SMPL rotations, label readers, and the eval command."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from hsmr_bio.body.smpl_model import load_smpl  # noqa: E402
from hsmr_bio.cli import main  # noqa: E402
from hsmr_bio.errors import FormatError, InputError, ShapeError  # noqa: E402
from hsmr_bio.evaluation import labels, metrics, violations  # noqa: E402
from hsmr_bio.evaluation.evaluate import Predictions, evaluate, read_predictions  # noqa: E402
from hsmr_bio.hsmr.keypoints import NAMES  # noqa: E402
from hsmr_bio.hsmr.pose import axis_rotation  # noqa: E402
from hsmr_bio.kinematics.rotations import exp, log  # noqa: E402
from hsmr_bio.skeleton import DOF_NAMES  # noqa: E402

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


def cloud(seed: int, count: int = 4, points: int = 44) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, points, 3))


def rotation(seed: int) -> np.ndarray:
    vector = torch.tensor(np.random.default_rng(seed).standard_normal(3))
    return exp(vector).numpy()


@given(seed=st.integers(0, 1000), scale=st.floats(0.1, 10))
@settings(max_examples=25, deadline=None)
def test_alignment_undoes_every_similarity(seed: int, scale: float) -> None:
    target = cloud(seed)
    moved = scale * target @ rotation(seed).T + [1.0, -2.0, 3.0]
    np.testing.assert_allclose(metrics.similarity_align(moved, target), target, atol=1e-9)


def test_alignment_does_not_mirror() -> None:
    target = cloud(1)
    assert metrics.distance_mm(target * [-1, 1, 1], target, align=True).min() > 100


def test_errors_are_in_millimetres_and_relative_to_the_root() -> None:
    label = np.concatenate([cloud(0), np.ones((4, 44, 1))], axis=2)
    shifted = label[..., :3] + [5.0, 0, 0]
    assert metrics.keypoint_errors_mm(shifted, label)["MPJPE"] == pytest.approx(np.zeros(4), abs=1e-9)
    moved = label[..., :3].copy()
    moved[:, 39] += [0, 0.01, 0]
    assert metrics.keypoint_errors_mm(moved, label)["MPJPE"] == pytest.approx(np.full(4, 10.0))


def test_pck_counts_strictly_nearer_keypoints_in_units_of_the_box() -> None:
    label = np.zeros((2, 44, 3))
    label[:, :3, 2] = [0.9, 0.6, 0.5]  # the third is not visible: its confidence is not above a half
    predicted = np.zeros((2, 44, 2))
    predicted[0, 0, 0] = 0.05 * 0.75  # box enlarged by 4/3, so exactly at the threshold
    predicted[1, 0, 0] = 0.049 * 0.75
    found = metrics.pck(predicted, label, np.full(2, 400.0), np.tile([1.5, 1.0], (2, 1)))
    assert set(found) == {f"kp{i}_pck_{t}" for i in ("0", "1", "Avg") for t in ("0.05", "0.1")}
    assert (found["kp0_pck_0.05"], found["kp0_pck_0.1"], found["kpAvg_pck_0.05"]) == (0.5, 1.0, 0.75)


def smpl_knee(flexion: float, varus: float = 0.0, twist: float = 0.0) -> np.ndarray:
    """(1, 23, 3) body pose with a left knee of Euler angles XZY."""
    angles = [torch.tensor([value], dtype=torch.float64) for value in (flexion, varus, twist)]
    matrix = axis_rotation("X", angles[0]) @ axis_rotation("Z", angles[1]) @ axis_rotation("Y", angles[2])
    pose = np.zeros((1, 23, 3))
    pose[0, 3] = log(matrix)[0].numpy()
    return pose


@pytest.mark.parametrize(
    ("flexion", "varus", "tolerance", "excess"),
    [(90, 0, 0, 0), (140, 0, 0, 5), (140, 0, 10, 0), (-20, 0, 10, 10), (60, 15, 10, 5), (60, -15, 0, 15)],
)
def test_knee_violations_of_smpl_rotations(flexion: float, varus: float, tolerance: float, excess: float) -> None:
    pose = smpl_knee(np.radians(flexion), np.radians(varus))
    for form in ("official", "corrected"):
        worst = violations.smpl_violations(pose, tolerance, form)["l_knee"].max()
        assert np.degrees(worst) == pytest.approx(excess, abs=1e-6)


def test_the_forms_differ_only_in_the_second_solution() -> None:
    """A knee bent by 100 degrees with the other Euler triple in the matrix: only the true second solution finds it."""
    pose = smpl_knee(np.radians(100 - 180), np.radians(180), np.radians(180))
    assert violations.smpl_violations(pose, 0, "corrected")["l_knee"].max() == pytest.approx(0, abs=1e-6)
    random = np.random.default_rng(0).standard_normal((200, 23, 3))
    official, corrected = (violations.smpl_violations(random, 10, form)["r_elbow"].sum(1) for form in ("official", "corrected"))
    assert (np.abs(official - corrected) > 1e-3).any()


def test_skel_violations_wrap_full_turns() -> None:
    poses = np.zeros((2, 46))
    poses[:, DOF_NAMES.index("knee_angle_r")] = [2 * np.pi + 0.5, np.radians(145)]
    found = violations.statistics(violations.skel_violations(poses, 0), 0)
    assert found["VD0_r_knee_percentage"] == 0.5
    assert np.degrees(found["VD0_r_knee_max"]) == pytest.approx(10)
    assert found["VD0_l_knee_max"] == 0


def write_labels(folder: Path) -> Path:
    rng = np.random.default_rng(3)
    path = folder / "labels.npz"
    keypoints = np.concatenate([rng.uniform(10, 90, (3, 44, 2)), np.ones((3, 44, 1))], axis=2)
    points = np.concatenate([rng.standard_normal((3, 44, 3)), np.ones((3, 44, 1))], axis=2)
    np.savez(
        path,
        imgname=np.array(["a.png", "b.png", "c.png"]),
        center=np.full((3, 2), 50.0),
        scale=np.full((3, 1), 80.0),
        body_keypoints_2d=keypoints[:, :25],
        extra_keypoints_2d=keypoints[:, 25:],
        body_keypoints_3d=points[:, :25],
        extra_keypoints_3d=points[:, 25:],
    )
    return path


def test_eval_fills_the_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_labels(tmp_path)
    read = labels.read_labels(path)
    side = read.box_size_px
    assert side == pytest.approx(np.full(3, 80 * 4 / 3))
    exact_2d = (read.keypoints_px[..., :2] - 50) / side[:, None, None]
    np.savez(
        tmp_path / "perfect.npz",
        poses=np.zeros((3, 46)),
        pred_keypoints_3d=read.keypoints_m[..., :3],
        pred_keypoints_2d=exact_2d,
    )
    np.savez(tmp_path / "smpl.npz", body_pose=np.zeros((3, 69)))
    command = ["eval", str(tmp_path / "perfect.npz"), str(tmp_path / "smpl.npz"), "--labels", str(path)]
    assert main([*command, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["perfect"]["MPJPE"] == pytest.approx(0, abs=1e-6)
    assert figures["perfect"]["kpAvg_pck_0.05"] == 1
    assert figures["smpl"]["VD10_l_knee_percentage"] == 0
    assert "MPJPE" not in figures["smpl"]
    assert main(command) == 0
    text, notes = capsys.readouterr()
    assert "smpl: nothing to compare with the labels" in notes and "perfect:" not in notes
    assert "PA-MPJPE [mm]" in text and "l_knee 10" in text and "perfect" in text


def test_eval_refuses_what_does_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_labels(tmp_path)
    with pytest.raises(InputError, match="2 rows"):
        evaluate(Predictions(name="two", poses=np.zeros((2, 46))), labels.read_labels(path))
    np.savez(tmp_path / "strange.npz", something=np.zeros(3))
    with pytest.raises(FormatError, match="something"):
        read_predictions(tmp_path / "strange.npz")
    np.savez(tmp_path / "short.npz", poses=np.zeros((3, 45)))
    with pytest.raises(FormatError, match=r"\(N, 46\)"):
        read_predictions(tmp_path / "short.npz")
    assert main(["eval"]) == 1
    assert "files of predictions" in capsys.readouterr().err
    with pytest.raises(ShapeError):
        metrics.distance_mm(np.zeros((1, 3, 3)), np.zeros((1, 4, 3)))


def test_hsmr_video_results_are_read(tmp_path: Path) -> None:
    frames = [{"poses": np.zeros((1, 46)), "betas": np.zeros((1, 10)), "patch_cam_t": np.ones((1, 3))} for _ in range(2)]
    frames.append({"poses": np.zeros((0, 46)), "betas": np.zeros((0, 10)), "patch_cam_t": np.zeros((0, 3)), "bbx_cs": None})
    stored = np.empty(3, dtype=object)
    stored[:] = frames
    np.save(tmp_path / "HSMR-v.npy", stored, allow_pickle=True)
    assert len(read_predictions(tmp_path / "HSMR-v.npy")) == 2


def test_a_label_file_that_is_wrong_says_where(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", center=np.zeros((2, 2)))
    with pytest.raises(FormatError, match="imgname"):
        labels.read_labels(tmp_path / "a.npz")
    np.savez(
        tmp_path / "b.npz",
        imgname=np.array(["x"]),
        center=np.zeros((1, 2)),
        scale=np.ones(1),
        body_keypoints_2d=np.zeros((1, 24, 3)),
    )
    with pytest.raises(FormatError, match="body_keypoints_2d"):
        labels.read_labels(tmp_path / "b.npz")
    with pytest.raises(InputError, match="no such"):
        labels.read_labels(tmp_path / "c.npz")


def test_files_of_other_sizes_say_what_is_wrong(tmp_path: Path) -> None:
    def stored(**arrays: object) -> Path:
        np.savez(tmp_path / "file.npz", **arrays)
        return tmp_path / "file.npz"

    standard = {"imgname": np.array(["a", "b"]), "center": np.zeros((2, 2)), "scale": np.ones(2)}
    for key, value in (
        ("scale", np.ones(3)),
        ("scale", np.ones((2, 3))),
        ("scale", np.array(["x", "y"])),
        ("center", np.ones(3)),
    ):
        with pytest.raises(FormatError, match=key):
            labels.read_labels(stored(**{**standard, key: value}))
    smpl = {"global_orient": np.zeros((2, 3)), "body_pose": np.zeros((2, 69)), "betas": np.zeros((2, 10))}
    moyo = {"img_paths": np.array(["a", "b"]), "centers": np.zeros((2, 2)), "scales": np.ones((2, 2))}
    assert len(labels.read_labels(stored(**moyo, smpl=np.array(smpl, dtype=object)))) == 2
    for key in smpl:
        short = np.array({**smpl, key: smpl[key][:1, :2]}, dtype=object)
        with pytest.raises(FormatError, match=key):
            labels.read_labels(stored(**moyo, smpl=short))
    with pytest.raises(FormatError, match="centers"):
        labels.read_labels(stored(**{**moyo, "centers": np.zeros((3, 2))}, smpl=np.array(smpl, dtype=object)))
    with pytest.raises(FormatError, match="global_orient"):
        read_predictions(stored(**{**smpl, "global_orient": np.zeros((3, 3))}))
    with pytest.raises(FormatError, match="betas 3"):
        read_predictions(stored(**{**smpl, "betas": np.zeros((3, 10))}))


def test_rotation_matrices_are_taken_as_they_come(tmp_path: Path) -> None:
    vectors = 0.5 * np.random.default_rng(2).standard_normal((4, 24, 3))
    matrices = exp(torch.tensor(vectors)).numpy()
    np.savez(tmp_path / "hmr2.npz", body_pose=matrices[:, 1:], global_orient=matrices[:, :1])
    found = read_predictions(tmp_path / "hmr2.npz")
    np.testing.assert_allclose(found.body_pose, vectors[:, 1:], atol=1e-9)
    np.testing.assert_allclose(found.global_orient, vectors[:, 0], atol=1e-9)


@pytest.mark.slow
@pytest.mark.assets
def test_eval_runs_the_network_on_labelled_images(
    shared: Path, synthetic_male: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from hsmr_bio.hsmr.config import BackboneConfig, HeadConfig, HsmrConfig
    from hsmr_bio.hsmr.network import Hsmr

    torch.manual_seed(0)
    head = HeadConfig(context_width=768, width=64, layers=1, heads=8, head_width=8, mlp_width=64)
    network = Hsmr(HsmrConfig(backbone=BackboneConfig(width=768, blocks=1, heads=12), head=head))
    torch.save(network.state_dict(), tmp_path / "hsmr.ckpt")
    rng = np.random.default_rng(0)
    for name, rows in (("SMPL_to_J19", 19), ("J_regressor_SKEL_mix_MALE", 24), ("J_regressor_SMPL_MALE", 24)):
        matrix = np.zeros((rows, 6890))
        for row in matrix:
            row[rng.choice(6890, 20, replace=False)] = 0.05
        (tmp_path / f"{name}.pkl").write_bytes(pickle.dumps(matrix))
    folder = shared / "fixtures" / "hsmr" / "labels"
    fixed = ["--images", str(folder / "images"), "--checkpoint", str(tmp_path / "hsmr.ckpt"), "--json", "--quiet"]
    body = ["--body", str(synthetic_male / "skel_male.pkl"), "--regressors", str(tmp_path)]
    expected = {
        "h36m_like": {"MPJPE", "PA-MPJPE", "kpAvg_pck_0.1", "error_2d"},
        "hr-lspet_like": {"kpAvg_pck_0.05", "error_2d"},
        "moyo_like": {"MPJPE", "PA-MPJPE", "MPVPE", "PA-MPVPE"},
    }
    for name, keys in expected.items():
        smpl = ["--smpl", str(synthetic_male / "smpl" / "SMPL_MALE.pkl")] if name == "moyo_like" else []
        assert main(["eval", "--labels", str(folder / f"{name}.npz"), *fixed, *body, *smpl]) == 0
        figures = json.loads(capsys.readouterr().out)["hsmr"]
        assert keys <= set(figures)
        assert all(np.isfinite(value) for value in figures.values())
        assert "VD30_r_elbow_percentage" in figures


@pytest.mark.assets
def test_smpl_parameters_get_the_same_tables(
    shared: Path, synthetic_male: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """HMR2.0 and its like: SMPL arrays and a camera become the 44 keypoints of the standard sets."""
    rng = np.random.default_rng(1)
    extra = np.zeros((19, 6890))
    extra[np.arange(19), rng.choice(6890, 19, replace=False)] = 1
    (tmp_path / "SMPL_to_J19.pkl").write_bytes(pickle.dumps(extra))
    smpl_file = synthetic_male / "smpl" / "SMPL_MALE.pkl"
    smpl = load_smpl(smpl_file)
    values = {"global_orient": 0.3 * rng.standard_normal((3, 3)), "betas": rng.standard_normal((3, 10))}
    pose = 0.2 * rng.standard_normal((3, 69))
    camera = np.array([[0.1, -0.1, 40.0]] * 3)
    np.savez(tmp_path / "hmr2.npz", body_pose=pose, patch_cam_t=camera, **values)
    out = smpl.forward(
        np.concatenate([values["global_orient"], pose], axis=1).reshape(3, 24, 3), values["betas"], np.zeros((3, 3))
    )
    truth = np.zeros((3, 44, 4))
    truth[:, 25:, :3] = np.einsum("kv,nva->nka", extra, out.vertices_m.numpy())
    truth[:, 8, :3] = out.joints_m.numpy()[:, 0]  # the middle of the hips is SMPL's root
    truth[..., 3] = 1
    seen = 5000 / 256 * (truth[..., :2] + camera[:, None, :2]) / (truth[..., 2:3] + camera[:, None, 2:])
    side = 80 * 4 / 3
    visible = np.zeros((3, 44, 1))
    visible[:, [8, *range(25, 44)]] = 1
    points = np.concatenate([seen * side + 50, visible], axis=2)
    np.savez(
        tmp_path / "labels.npz",
        imgname=np.array(["a.png", "b.png", "c.png"]),
        center=np.full((3, 2), 50.0),
        scale=np.full((3, 1), 80.0),
        body_keypoints_2d=points[:, :25],
        extra_keypoints_2d=points[:, 25:],
        body_keypoints_3d=truth[:, :25],
        extra_keypoints_3d=truth[:, 25:],
    )
    files = ["--labels", str(tmp_path / "labels.npz"), "--smpl", str(smpl_file), "--regressors", str(tmp_path)]
    assert main(["eval", str(tmp_path / "hmr2.npz"), *files, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)["hmr2"]
    assert figures["MPJPE"] == pytest.approx(0, abs=1e-6)
    assert figures["error_2d"] == pytest.approx(0, abs=1e-12)
    assert figures["kpAvg_pck_0.05"] == 1
    assert "VD10_l_knee_percentage" in figures


def test_openposes_joints_have_no_depth_label_and_the_extra_ones_do(tmp_path: Path) -> None:
    found = labels.read_labels(write_labels(tmp_path))
    assert found.keypoints_m is not None and found.keypoints_px is not None
    np.testing.assert_array_equal(np.flatnonzero(found.keypoints_m[0, :, 3] == 0), np.arange(1, 15))
    assert (found.keypoints_px[..., 2] == 1).all()


def test_the_evaluated_keypoints_are_those_of_h36m() -> None:
    names = [NAMES[i] for i in metrics.EVALUATED_KEYPOINTS]
    assert len(names) == 14 and names[-1] == "head_h36m" and names[-2] == "neck_lsp"
    assert all(name.startswith("extra_") for name in names[:12])
    assert metrics.PCK_THRESHOLDS == (0.05, 0.1)


def test_the_first_of_smpls_24_rotations_is_the_bodys_own(tmp_path: Path) -> None:
    pose = np.random.default_rng(0).normal(size=(2, 24, 3))
    np.savez(tmp_path / "p.npz", smpl_pose=pose.reshape(2, 72))
    found = read_predictions(tmp_path / "p.npz")
    np.testing.assert_array_equal(found.global_orient, pose[:, 0])
    np.testing.assert_array_equal(found.body_pose, pose[:, 1:])


def test_the_official_second_triple_does_not_turn_the_outer_angles() -> None:
    """A knee of (120, 160, 0) degrees is (-60, 20, 180), too; the official second triple is (-60, 160, 180) instead."""
    pose = smpl_knee(np.radians(120), np.radians(160))
    official, corrected = (
        np.degrees(violations.smpl_violations(pose, 0, form)["l_knee"][0]) for form in ("official", "corrected")
    )
    assert official == pytest.approx([60, 20, 180], abs=1e-6)
    assert corrected == pytest.approx([0, 160, 0], abs=1e-6)
