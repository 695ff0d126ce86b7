"""The yardsticks: motions fitted to joint centres, virtual cameras, pictures, and the scores of written files."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from hsmr_bio.body.body import Body
from hsmr_bio.body.placing import rotate_motion
from hsmr_bio.io.mot import write_mot
from hsmr_bio.io.npz import load_motion
from hsmr_bio.io.video import open_video
from hsmr_bio.mapping import to_coordinates
from hsmr_bio.scaling import scale_model
from hsmr_bio.skeleton import DOF_NAMES, JOINT_NAMES
from hsmr_bio.types import OsimMotion, SkelMotion

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ROOT / "tools" / "yardstick"
pytestmark = pytest.mark.skipif(not TOOLS.is_dir(), reason="the tools are not here")
sys.path.insert(0, str(TOOLS))


@pytest.fixture(scope="module")
def walk() -> SkelMotion:
    """Two seconds of the demo's walk."""
    motion = load_motion(ROOT / "examples" / "demo_truth.npz")
    return replace(motion, time_s=motion.time_s[:60], poses_rad=motion.poses_rad[:60], trans_m=motion.trans_m[:60])


@pytest.fixture(scope="module")
def joints(walk: SkelMotion, open_body: Body) -> np.ndarray:
    return open_body.forward(walk.poses_rad, walk.betas, walk.trans_m).joints_m.numpy()


def write_corpus(folder: Path, joints: np.ndarray, *, rate_hz: float = 30.0, grown: float = 1.0) -> None:
    """A corpus file of one subject's trial, with a joint that nobody asks for and one frame without a wrist."""
    from held_fit import JOINTS
    from recordings import POINTS

    points = joints[:, JOINTS] * grown
    points[5, POINTS.index("wrist_l")] = np.nan
    names = np.array(["head", *POINTS])
    np.savez(
        folder / "walks.npz",
        joints_m=np.concatenate([points[:, :1] + 0.7, points], axis=1).astype(np.float32),
        joint_names=names,
        trial=np.zeros(len(joints), dtype=int),
        trial_names=np.array(["walk_1"]),
        subject=np.array(["s1"]),
        activity=np.array(["walk (done wrongly on purpose)"]),
        rate_hz=np.array([rate_hz], dtype=np.float32),
        split=np.array(["val"]),
    )


@pytest.mark.slow
@pytest.mark.parametrize("grown", [1.0, 1.08])
def test_a_recorded_walk_comes_back_with_its_angles(tmp_path: Path, walk: SkelMotion, joints: np.ndarray, grown: float) -> None:
    """A taller subject becomes a taller body, or one that takes shorter steps: its knees bend as recorded."""
    from corpus import work
    from motions import load_trials

    write_corpus(tmp_path, joints, grown=grown)
    lines = list(work(tmp_path, tmp_path / "out", 10, "", seed=0))
    (trial,) = load_trials(tmp_path / "out" / "corpus.npz")
    assert (trial.split, trial.rate_hz, len(lines)) == ("val", 30.0, 2)
    assert trial.residual_m < 0.012
    for name, degrees in (("knee_angle_r", 3.0), ("hip_flexion_l", 6.0), ("elbow_flexion_l", 3.0)):
        column = DOF_NAMES.index(name)
        off = np.degrees(trial.q[:, column] - walk.poses_rad[:, column])
        assert np.sqrt(np.mean(off**2)) < degrees, name
    again = list(work(tmp_path, tmp_path / "out", 10, "", seed=0))
    assert len(again) == 1, "the piece is not fitted twice"


def test_rates_become_thirty_hertz() -> None:
    from recordings import at_rate

    ramp = np.arange(101.0)[:, None, None] * np.ones((1, 1, 3)) / 50  # a metre per second at 50 Hz
    time_s, points = at_rate(ramp, 50.0)
    assert len(time_s) == 61
    np.testing.assert_allclose(points[:, 0, 0], time_s, atol=1e-12)
    kept = at_rate(ramp[::2], 25.0)
    np.testing.assert_array_equal(kept[1], ramp[::2])
    gap = ramp.copy()
    gap[10] = np.nan
    assert np.isnan(at_rate(gap, 60.0)[1][:, 0, 0]).sum() == 1, "every second frame of 60 Hz is a frame, not a mean"


def test_targets_have_the_bodys_lengths_and_the_recorded_directions(tmp_path: Path, joints: np.ndarray) -> None:
    from recordings import POINTS, recordings
    from shapes import LIMBS, subject_shape, targets

    write_corpus(tmp_path, joints, grown=1.2)
    trial = next(iter(recordings(tmp_path)))
    shape = subject_shape([trial], seed=1)
    made = targets(shape, trial.points_m)
    for near, far in LIMBS:
        a, b = POINTS.index(f"{near}_r"), POINTS.index(f"{far}_r")
        bone, recorded = made[:, b] - made[:, a], trial.points_m[:, b] - trial.points_m[:, a]
        np.testing.assert_allclose(np.linalg.norm(bone, axis=1), shape.body_m[f"{near}-{far}"], atol=1e-9)
        along = (bone * recorded).sum(axis=1) / np.linalg.norm(bone, axis=1) / np.linalg.norm(recorded, axis=1)
        np.testing.assert_allclose(along, 1, atol=1e-9)
    assert np.abs(shape.betas).max() <= 2.5


def test_shots_are_dealt_in_their_shares() -> None:
    from cameras import SHARES, deal

    shots = deal(40, np.random.default_rng(0))
    for factor, shares in SHARES.items():
        for value, share in shares.items():
            assert sum(getattr(shot, factor) == value for shot in shots) == round(40 * share), (factor, value)


@pytest.mark.parametrize("view", ["front", "oblique", "side", "behind"])
@pytest.mark.parametrize("tilt", ["level", "pitched"])
def test_a_camera_stands_where_the_shot_says(joints: np.ndarray, view: str, tilt: str) -> None:
    """The demo walks along x: the way to the camera, the pitch and the picture are measured without the camera's own fields."""
    from cameras import AZIMUTH_DEG, PITCH_DEG, Shot, place_camera

    camera = place_camera(Shot(view, tilt, "near", "known", "640x480"), joints, np.random.default_rng(3))
    way = camera.position_m - (joints.min(axis=(0, 1)) + joints.max(axis=(0, 1))) / 2
    low, high = AZIMUTH_DEG[view]
    assert low - 12 < abs(np.degrees(np.arctan2(way[2], way[0]))) < high + 12  # the pelvis turns by some degrees
    down = np.degrees(np.arcsin(-camera.rotation[2, 1]))
    assert PITCH_DEG[tilt][0] - 1e-6 < down < PITCH_DEG[tilt][1] + 1e-6
    px, depth = camera.project(joints)
    assert (depth > 0.8).all()
    assert (px > 0).all()
    assert (px < camera.size_px).all()
    head, foot = px[30, JOINT_NAMES.index("head")], px[30, JOINT_NAMES.index("talus_r")]
    assert head[1] < foot[1], "upright"
    right, left = (px[30, JOINT_NAMES.index(f"humerus_{side}"), 0] for side in "rl")
    if view in ("front", "behind"):
        assert (right < left) == (view == "front"), "not mirrored"


def test_the_nearer_of_two_triangles_is_shown() -> None:
    from raster import shown_triangles

    px = np.array([[0, 0], [0, 20], [20, 0], [2, 2], [2, 12], [12, 2]], dtype=np.float32)
    depth = np.array([3, 3, 3, 2, 2, 2], dtype=np.float32)
    faces = np.array([[3, 4, 5], [0, 1, 2], [0, 2, 1]])
    shown = shown_triangles(px, depth, faces, (16, 16))
    at = dict(zip(shown.pixels.tolist(), shown.faces.tolist(), strict=True))
    assert at[4 * 16 + 4] == 0
    assert at[1 * 16 + 1] == 1
    assert 15 * 16 + 15 not in at, "outside of both; the third turns its back"
    place = shown.weights.T @ np.ones(3)
    np.testing.assert_allclose(place, 1, atol=1e-5)
    middle = shown.pixels.tolist().index(4 * 16 + 4)
    np.testing.assert_allclose(shown.weights[:, middle] @ px[faces[0]], [4.5, 4.5], atol=1e-5)


def test_the_coarse_mesh_moves_with_the_skin(walk: SkelMotion, open_body: Body) -> None:
    from coarse_mesh import CoarseMesh

    mesh = CoarseMesh.of(open_body)
    assert len(mesh.faces) < 10_000
    few = replace(walk, time_s=walk.time_s[:2], poses_rad=walk.poses_rad[:2], trans_m=walk.trans_m[:2])
    skin = open_body.skin(few.poses_rad, few.betas, few.trans_m).numpy()
    np.testing.assert_allclose(mesh.posed(few), skin[:, mesh.vertices], atol=1e-5)
    added = np.linalg.norm(mesh.posed(few, np.full(len(mesh.vertices), 0.02)) - mesh.posed(few), axis=2)
    assert np.median(added) == pytest.approx(0.02, abs=1e-4)
    assert added.min() > 0.01, "blended vertices at bent joints move less"


@pytest.mark.slow
def test_a_picture_shows_the_person_where_the_truth_is(walk: SkelMotion, joints: np.ndarray, open_body: Body) -> None:
    """The same scene without and with the person differs at the joints, and nowhere else but for the shadow."""
    from cameras import Shot, place_camera
    from coarse_mesh import CoarseMesh
    from render import Studio

    camera = place_camera(Shot("side", "level", "near", "known", "640x480"), joints, np.random.default_rng(0))
    studio = Studio(CoarseMesh.of(open_body), walk, joints, camera, np.random.default_rng(1))
    first, last = studio.frame(0).astype(int), studio.frame(59).astype(int)
    changed = np.abs(first - last).sum(axis=2) > 60
    px, _ = camera.project(joints)
    for name in ("thorax", "head", "femur_r"):
        x, y = px[0, JOINT_NAMES.index(name)].round().astype(int)
        assert changed[y - 4 : y + 5, x - 4 : x + 5].mean() > 0.5, name
    assert changed.mean() < 0.3
    assert changed[:20].mean() < 1e-3, "above the head is nothing but grain"


@pytest.mark.slow
def test_files_of_the_truth_have_no_error(tmp_path: Path, walk: SkelMotion, open_body: Body) -> None:
    """The truth itself as an estimate of a part of the time, with a turn about the vertical and 5 degrees in one knee."""
    from score import errors

    subject = scale_model(open_body, walk.betas, name="truth")
    about_vertical = np.array([[0.6, 0.0, 0.8], [0.0, 1.0, 0.0], [-0.8, 0.0, 0.6]])
    motion = to_coordinates(rotate_motion(walk, open_body, about_vertical, frame="world"), subject, open_body)
    values = np.array(motion.values_si)
    values[:, motion.coordinates.index("knee_angle_r")] += np.radians(5)
    (tmp_path / "a.osim").write_bytes(subject.osim_xml)
    part = slice(10, 50)
    cut = OsimMotion(
        time_s=motion.time_s[part],
        coordinates=motion.coordinates,
        values_si=values[part],
        rotational=motion.rotational,
    )
    write_mot(tmp_path / "a.mot", cut)
    found, coverage, scale = errors(walk, tmp_path / "a.osim", tmp_path / "a.mot")
    assert coverage == pytest.approx(40 / 60)
    assert scale == pytest.approx(1, abs=2e-3)
    rms = {name: float(np.sqrt(np.mean(e**2))) for name, e in found.items()}
    assert rms.pop("knee_flexion_r") == pytest.approx(5, abs=1.0)
    assert max(rms.values()) < 0.6, rms


def test_angles_agree_with_the_common_scorer(joints: np.ndarray, shared: Path) -> None:
    sys.path.insert(0, str(shared / "tools"))
    import score_motion
    from angles import centres, point_angles

    at = centres(JOINT_NAMES, joints)
    ours, theirs = point_angles(at), score_motion.point_angles(at)
    assert len(ours) == 12
    for name, values in ours.items():
        np.testing.assert_allclose(values, theirs[name], atol=1e-6, err_msg=name)


def test_kinds_of_one_family_do_not_crowd_out_the_others() -> None:
    from clips import _in_turn

    kinds = [*(f"dance - {n}" for n in range(9)), "walk", "squat"]
    chosen = _in_turn(kinds, 20, np.random.default_rng(0))
    assert (chosen.count("walk"), chosen.count("squat")) == (4, 4)
    assert len({kind for kind in chosen if kind.startswith("dance")}) == 9


@pytest.mark.slow
def test_the_same_seed_films_the_same_clip(tmp_path: Path, walk: SkelMotion, joints: np.ndarray) -> None:
    from clips import film, plan
    from corpus import work
    from motions import load_trials

    write_corpus(tmp_path, joints)
    list(work(tmp_path, tmp_path / "out", 10, "", seed=0))
    trials = load_trials(tmp_path / "out" / "corpus.npz")
    takes = [plan(trials, 4, "val", 7)[2] for _ in range(2)]
    assert takes[0] == takes[1]
    assert takes[0].kind == "walk"
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        film(takes[0], trials[0], tmp_path / name)
    videos = [list(open_video(tmp_path / name / f"{takes[0].name}.mp4")) for name in ("a", "b")]
    assert len(videos[0]) == takes[0].frames
    for frame, again in zip(*videos, strict=True):
        np.testing.assert_array_equal(frame.rgb, again.rgb)
    truth = load_motion(tmp_path / "a" / f"{takes[0].name}_truth.npz")
    assert truth.ground is not None
    assert truth.frame == "world"
    assert truth.notes["view"] == takes[0].shot.view


@dataclass(frozen=True)
class Clip:
    """A scored clip."""

    mean: float | None
    verdict: str
    checks: dict[str, tuple[str, float]]


def test_tables_of_verdicts_give_the_errors_of_what_passes_and_the_false_alarms() -> None:
    from verdicts import check_table, verdict_table

    clips = [
        Clip(6.0, "pass", {"lean": ("pass", 1.0)}),
        Clip(7.0, "warn", {"lean": ("warn", 5.0)}),
        Clip(20.0, "warn", {"lean": ("warn", 6.0)}),
        Clip(None, "none", {}),
    ]
    assert verdict_table(clips)[2:] == [
        "| pass | 1 | 6.0 | 6.0 | 1 |",
        "| warn | 2 | 13.5 | 20.0 | 1 |",
        "| fail | 0 | - | - | 0 |",
    ]
    assert check_table(clips)[2].endswith("| 6.0 (1) | 13.5 (2) | - | 1 |")
