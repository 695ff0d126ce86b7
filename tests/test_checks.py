"""Each check sees the fault it is for, and expert laboratory motion passes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hsmr_bio.checks import measures
from hsmr_bio.checks.check_motion import CheckReport, check_motion
from hsmr_bio.checks.rows import CHECKS
from hsmr_bio.errors import InputError
from hsmr_bio.io.mot import read_mot, write_mot
from hsmr_bio.io.trc import read_trc
from hsmr_bio.osim.document import OsimDocument
from hsmr_bio.osim.library import bsm
from hsmr_bio.osim.placed import place_model
from hsmr_bio.types import Markers, OsimMotion, SkelMotion

FRAMES = 60


def standing(**columns: np.ndarray | float) -> OsimMotion:
    """The BSM standing on the floor at 60 Hz with a head that sways a little; columns overwrite coordinates."""
    document = bsm()
    values = np.tile(document.default_si, (FRAMES, 1))
    names = tuple(document.coordinates)
    values[:, names.index("head_twist")] = 1e-4 * np.sin(np.arange(FRAMES))
    for name, value in columns.items():
        values[:, names.index(name)] = value
    motion = OsimMotion(time_s=np.arange(FRAMES) / 60, coordinates=names, values_si=values, rotational=document.rotational)
    if "pelvis_ty" in columns:
        return motion
    low = measures.lowest_foot_m(place_model(motion, document))
    assert low is not None
    values[:, names.index("pelvis_ty")] -= low[0]
    return replace(motion, values_si=values)


def status(report: CheckReport, name: str) -> str:
    return report[name].status


def test_standing_still_passes_everything() -> None:
    report = check_motion(standing(), bsm())
    assert report.status == "pass", report.text()
    made = {check.name for check in report.checks if check.status == "pass"}
    assert {"joint limits", "jumps", "left/right flips", "jitter", "foot sliding", "floor penetration", "standing lean"} <= made
    assert {"bone lengths", "file consistency"} <= made


def test_the_report_has_every_row_in_order_with_the_source_of_its_thresholds() -> None:
    report = check_motion(standing(), bsm())
    assert [(check.name, check.threshold) for check in report.checks] == [(row.name, row.threshold) for row in CHECKS]
    assert all(len(row.source) > 10 and row.warn_above <= row.fail_above for row in CHECKS)
    assert len({row.name for row in CHECKS}) == len(CHECKS)
    with pytest.raises(InputError, match="no check"):
        report["beauty"]


def test_what_is_missing_is_skipped_with_the_reason() -> None:
    report = check_motion(standing())
    assert status(report, "floor penetration") == "skipped"
    assert ".osim" in report["floor penetration"].detail
    assert status(report, "jumps") == "pass"
    assert ".trc" in report["marker error"].detail


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ({"knee_angle_r": np.deg2rad(-25.0)}, "joint limits"),
        ({"knee_angle_r": np.deg2rad(-15.0)}, "knees and elbows"),
        ({"hip_flexion_l": np.where(np.arange(FRAMES) == 30, 0.5, 0.0)}, "jumps"),
        ({"pelvis_rotation": np.where(np.arange(FRAMES) > 30, 2 * np.pi, 0.0)}, "jumps"),
        ({"pelvis_tx": np.where(np.arange(FRAMES) > 30, 0.3, 0.0)}, "jumps of the root"),
        ({"hip_flexion_l": 0.1 * (-1.0) ** np.arange(FRAMES)}, "jitter"),
        ({"pelvis_tx": 0.5 * np.arange(FRAMES) / 60}, "foot sliding"),
        ({"pelvis_ty": 0.8}, "floor penetration"),
        ({"pelvis_list": np.deg2rad(12.0)}, "standing lean"),
        ({"pelvis_tilt": np.deg2rad(-15.0)}, "standing lean"),
    ],
)
def test_each_fault_fails_its_check(fault: dict[str, np.ndarray], name: str) -> None:
    assert status(check_motion(standing(**fault), bsm()), name) == "fail"


def test_swapped_legs_are_a_flip_and_fast_legs_are_not() -> None:
    swing = 0.5 * np.sin(2 * np.pi * 2 * np.arange(FRAMES) / 60)
    fast = {"hip_flexion_r": swing, "hip_flexion_l": -swing}
    assert check_motion(standing(**fast), bsm())["left/right flips"].value == 0
    swapped = {
        name: np.where((np.arange(FRAMES) >= 35) & (np.arange(FRAMES) < 42), -values, values) for name, values in fast.items()
    }
    report = check_motion(standing(**swapped), bsm())
    assert report["left/right flips"].value == 2
    assert status(report, "left/right flips") == "fail"


def test_fast_smooth_motion_is_no_jump() -> None:
    kick = 1.0 - np.cos(2 * np.pi * 2.5 * np.arange(FRAMES) / 60)
    assert np.abs(np.diff(kick)).max() > np.deg2rad(14)
    assert status(check_motion(standing(knee_angle_r=kick), bsm()), "jumps") == "pass"


def test_limits_of_the_free_root_are_no_anatomy() -> None:
    report = check_motion(standing(pelvis_rotation=np.deg2rad(200.0)), bsm())
    assert status(report, "joint limits") == "pass"


def test_contacts_of_the_fit_decide_which_foot_stands(still: SkelMotion) -> None:
    moving = standing(pelvis_tx=0.5 * np.arange(FRAMES) / 60)
    skel = replace(
        still,
        time_s=moving.time_s,
        poses_rad=np.zeros((FRAMES, 46)),
        trans_m=np.zeros((FRAMES, 3)),
        contacts=np.zeros((FRAMES, 4)),
    )
    assert status(check_motion(moving, bsm(), skel=skel), "foot sliding") == "skipped"
    touching = replace(skel, contacts=np.ones((FRAMES, 4)))
    found = check_motion(moving, bsm(), skel=touching)["foot sliding"]
    assert found.value == pytest.approx(0.5, rel=1e-6)
    assert "contacts from the fit" in found.detail


def test_marker_error_is_the_distance_to_the_models_markers() -> None:
    motion = standing()
    placed = place_model(motion, bsm())
    names = placed.marker_names[:10]
    moved = placed.markers_m[:, :10] + np.array([0.03, 0.0, 0.04])
    moved[5, 2] = np.nan
    report = check_motion(motion, bsm(), markers=Markers(time_s=motion.time_s, names=names, positions_m=moved))
    assert report["marker error"].value == pytest.approx(0.05)
    assert status(report, "marker error") == "fail"


def test_the_maps_residual_is_reported_per_body() -> None:
    motion = standing()
    residual = np.full((FRAMES, 2), 0.001)
    residual[:, 1] = 0.02
    mapped = replace(motion, residual_m=residual, residual_rad=np.zeros((FRAMES, 2)), bodies=("femur_r", "hand_l"))
    report = check_motion(mapped, bsm())
    assert report["map residual"].value == pytest.approx(1000 * np.sqrt((0.001**2 + 0.02**2) / 2))
    assert "hand_l" in report["map residual"].detail
    assert status(report, "map residual, angle") == "pass"


def test_columns_that_do_not_fit_the_model_are_named() -> None:
    motion = standing()
    keep = np.array([name != "knee_angle_l" for name in motion.coordinates])
    names = tuple(name for name in motion.coordinates if name != "knee_angle_l")
    report = check_motion(
        OsimMotion(
            time_s=motion.time_s**1.5,
            coordinates=names,
            values_si=motion.values_si[:, keep],
            rotational=motion.rotational[keep],
        ),
        bsm(),
    )
    detail = report["file consistency"].detail
    assert "knee_angle_l" in detail
    assert "uneven time" in detail
    assert report["file consistency"].value == 2


def test_a_skel_motion_alone_is_checked_for_what_it_can_be(still: SkelMotion) -> None:
    report = check_motion(still)
    assert status(report, "knee and elbow limits") == "pass"
    assert status(report, "bone lengths") == "skipped"
    assert len(report.limits.paper_table) == 20


def test_text_and_json(still: SkelMotion) -> None:
    report = check_motion(standing(knee_angle_r=np.deg2rad(-20.0)), bsm(), skel=still)
    assert report.text().startswith("FAIL: ")
    assert "knee_angle_r" in report.text()
    data = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert data["status"] == "fail"
    found = next(check for check in data["checks"] if check["name"] == "knees and elbows")
    assert found["value"] == pytest.approx(20)
    assert found["threshold"]["fail_above"] == 10


@pytest.mark.parametrize("trial", ["e1_walk", "s4_walk_grf", "e1_squat"])
def test_expert_laboratory_motion_passes(shared: Path, trial: str) -> None:
    folder = shared / "data/motion" / trial
    model = OsimDocument.read(folder / "ref.osim")
    report = check_motion(read_mot(folder / "ref.mot", model), model, markers=read_trc(folder / "markers.trc"))
    assert report.status != "fail", report.text()
    assert sum(check.status == "warn" for check in report.checks) <= 2
    assert report["marker error"].value < 0.022


def test_a_gimbal_jump_in_a_published_result_is_found(shared: Path) -> None:
    folder = shared / "data/video/opencap_squat"
    model = OsimDocument.read(folder / "ref.osim")
    report = check_motion(read_mot(folder / "ref.mot", model), model)
    assert status(report, "jumps") == "fail"
    assert "arm_rot_l" in report["jumps"].detail


def test_skels_own_rest_pose_is_inside_its_limits(still: SkelMotion) -> None:
    assert status(check_motion(still), "joint limits") == "pass"


def test_a_gap_in_time_is_no_jump() -> None:
    """Where nobody was seen for a while the person may be anywhere afterwards; a step within a stretch still counts."""
    time_s = np.concatenate([np.arange(20) / 30, 2 + np.arange(20) / 30])
    values = np.zeros((40, 1))
    values[20:] = 90.0
    assert measures.largest_jump(values, time_s)[0] == 0
    values[30:] += 40.0
    size, frame, _ = measures.largest_jump(values, time_s)
    assert (size, frame) == (40.0, 30)


def test_sliding_is_horizontal() -> None:
    """A foot that rises or sinks does not slide; one that moves 0.3 m/s forwards and 0.4 sideways slides at 0.5."""
    time_s = np.arange(40) / 100
    still = np.zeros((40, 4, 3))
    rising, sliding = still.copy(), still.copy()
    rising[..., 1] = 0.02 * np.sin(40 * time_s)[:, None]
    sliding[..., 0], sliding[..., 2] = 0.3 * time_s[:, None], -0.4 * time_s[:, None]
    for contacts in (None, np.ones((40, 4))):
        assert measures.foot_sliding_m_s(time_s, rising, contacts) == pytest.approx(0, abs=1e-12)
        assert measures.foot_sliding_m_s(time_s, sliding, contacts) == pytest.approx(0.5)
    one = np.zeros((40, 4))
    one[:, 2] = 0.51
    sliding[:, :2] = sliding[:, 3:] = 0
    assert measures.foot_sliding_m_s(time_s, sliding, one) == pytest.approx(0.5), "only points that stand count"
    assert measures.foot_sliding_m_s(time_s, sliding, 0.49 * one / 0.51) is None
    assert measures.foot_sliding_m_s(time_s, sliding) == 0, "without contacts the slowest low point stands"


def test_a_foot_point_is_near_the_floor_within_four_centimetres_of_its_own_height() -> None:
    feet = np.zeros((100, 4, 3))
    feet[:, :, 1] = [0.08, 0.02, 0.08, 0.02]
    feet[10, 0, 1], feet[11, 0, 1], feet[:, 3, 0] = 0.11, 0.13, 5.0
    low = measures.near_floor(feet)
    assert low[10, 0] and not low[11, 0] and low.sum() == 399


def test_legs_of_different_length_are_told() -> None:
    """A left shank longer by a fifth differs by 18 % of the mean of both."""
    xml = bsm().to_bytes().decode()
    right, left = (match.start() for match in re.finditer(re.escape("<translation>-0.01 -0.4 0<"), xml))
    longer = xml[:left] + xml[left:].replace("-0.01 -0.4 0", "-0.012 -0.48 0", 1)
    report = check_motion(standing(), OsimDocument.from_bytes(longer.encode(), source="long.osim"))
    assert right < left and report["bone lengths"].value == pytest.approx(100 * 0.2 / 1.1)
    assert "shank differs left to right" in report["bone lengths"].detail and status(report, "bone lengths") == "fail"


def test_a_motion_without_angles_has_no_jumps_and_no_jitter() -> None:
    motion = OsimMotion(
        time_s=np.arange(20) / 60, coordinates=("pelvis_tx",), values_si=np.zeros((20, 1)), rotational=np.zeros(1, dtype=bool)
    )
    report = check_motion(motion)
    assert status(report, "jumps") == status(report, "jitter") == "skipped" and "no angle" in report["jumps"].detail


def test_progress_runs_through_the_frames_and_the_checks() -> None:
    calls: list[tuple[str, int, int | None]] = []
    check_motion(standing(), bsm(), progress=lambda *call: calls.append(call))
    assert ("placing the model", FRAMES, FRAMES) in calls and calls[-1] == ("checking", len(CHECKS), len(CHECKS))
    assert [stage for stage, _, _ in calls] == sorted((stage for stage, _, _ in calls), reverse=True), "each stage once"


@pytest.mark.slow
def test_the_check_of_a_long_motion_takes_little_memory(tmp_path: Path) -> None:
    """300 MB above the file's own for 100 000 frames: a fifth of both for 20 000.

    The kernel's own high-water mark: ``ru_maxrss`` of a child begins with its parent's, and hides what a large one starts.
    """
    (tmp_path / "long.osim").write_bytes(bsm().to_bytes())
    still, peaks, size = standing(), [], 0
    for frames in (20, 20_000):
        wave = np.sin(np.arange(frames) / 9)[:, None]
        long = OsimMotion(
            time_s=np.arange(frames) / 60,
            coordinates=still.coordinates,
            values_si=still.values_si[:1] + 0.1 * wave,
            rotational=still.rotational,
        )
        write_mot(tmp_path / "long.mot", long)
        size = (tmp_path / "long.mot").stat().st_size
        program = "import sys\nfrom hsmr_bio.cli import main\nmain(sys.argv[1:])\n"
        program += "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
        done = subprocess.run(
            [sys.executable, "-c", program, "check", str(tmp_path / "long.mot")], capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stdout.split()[-1]) * 1024)
    assert peaks[1] - peaks[0] < size + 60e6
