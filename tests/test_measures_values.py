"""Each figure of a motion against a number worked out by hand, on points at known places."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hsmr_bio.checks import measures
from hsmr_bio.checks.check_motion import check_motion
from hsmr_bio.checks.check_report import Check, CheckReport, Threshold
from hsmr_bio.checks.limits import check_limits, excess_over, paper_table, wrap
from hsmr_bio.checks.rows import CHECKS
from hsmr_bio.osim.library import bsm
from hsmr_bio.osim.placed import PlacedFrames, PlacedModel, place_model
from hsmr_bio.skeleton import DOF_NAMES, LIMITS_RAD
from hsmr_bio.types import Markers, OsimMotion

FRAMES = 60
TIME_S = np.arange(FRAMES) / 60
STANDING = {
    "head": (0.0, 1.6, 0.0),
    "femur_r": (0.0, 0.9, 0.1),
    "tibia_r": (0.0, 0.5, 0.1),
    "talus_r": (0.0, 0.08, 0.1),
    "calcn_r": (-0.05, 0.03, 0.1),
    "toes_r": (0.12, 0.01, 0.1),
    "femur_l": (0.0, 0.9, -0.1),
    "tibia_l": (0.0, 0.52, -0.1),
    "talus_l": (0.0, 0.08, -0.1),
    "calcn_l": (-0.05, 0.03, -0.1),
    "toes_l": (0.12, 0.01, -0.1),
}


def placed(markers: dict[str, tuple[str, Any]] | None = None, **moved: Any) -> PlacedModel:
    """Bodies at known places (T, 3) in ground; ``moved`` is added to single bodies, ``everything`` to all."""
    everything = np.broadcast_to(moved.pop("everything", 0.0), (FRAMES, 3))
    at = {name: np.array(place) + everything + np.asarray(moved.get(name, 0.0)) for name, place in STANDING.items()}
    points = markers or {}
    bodies_m = np.stack(list(at.values()), axis=1)
    markers_m = np.stack([np.zeros((FRAMES, 3)), *(np.broadcast_to(at_m, (FRAMES, 3)) for _, at_m in points.values())], axis=1)
    return model_of(bodies_m, markers_m[:, 1:], tuple(at), {name: body for name, (body, _) in points.items()})


def model_of(bodies_m: Any, markers_m: Any, bodies: tuple[str, ...], carriers: dict[str, str]) -> PlacedModel:
    """Bodies and markers at known places, none of them turned; ``carriers``: marker -> body."""
    rotations = np.tile(np.eye(3), (FRAMES, len(bodies), 1, 1))
    return PlacedModel(
        time_s=TIME_S,
        bodies=bodies,
        marker_names=tuple(carriers),
        marker_bodies=tuple(carriers.values()),
        parts=lambda: iter([PlacedFrames(bodies_m, rotations, lambda columns: markers_m[:, columns])]),
    )


def along(axis: int, values: Any) -> np.ndarray:
    """(T, 3) values along one axis."""
    return np.outer(np.broadcast_to(values, FRAMES), np.eye(3)[axis])


def turned(model: PlacedModel, axis: int, angle_rad: float) -> PlacedModel:
    """The model leaning about an axis of ground."""
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_rotvec(angle_rad * np.eye(3)[axis]).as_matrix()
    carriers = dict(zip(model.marker_names, model.marker_bodies, strict=True))
    return model_of(model.positions_m @ turn.T, model.markers_m @ turn.T, model.bodies, carriers)


# ---------------------------------------------------------------------- steps


def test_jitter_is_what_is_faster_than_six_hertz() -> None:
    time_s = np.arange(400) / 100
    values = np.stack([np.sin(2 * np.pi * 1.0 * time_s), 0.5 * np.sin(2 * np.pi * 25.0 * time_s), 3.0 * time_s], axis=1)
    rms, rate_hz = measures.jitter(time_s, values)
    assert rate_hz == pytest.approx(100)
    np.testing.assert_allclose(rms, [0, 0.5 / np.sqrt(2), 0], atol=0.012)
    at_cutoff = measures.jitter(time_s, np.sin(2 * np.pi * 6.0 * time_s)[:, None])[0]
    assert at_cutoff == pytest.approx((1 - np.sqrt(0.5)) * np.sqrt(0.5), rel=0.05), (
        "a zero-lag filter passes 71 % at its cutoff"
    )


def test_a_jump_is_what_stands_out_from_both_neighbouring_steps() -> None:
    values = np.zeros((20, 3))
    values[:, 0] = 5.0 * np.arange(20)  # fast and even
    values[8, 1] = 3.0  # a spike
    values[12:, 2] = -4.0  # a step
    assert measures.largest_jump(values, np.arange(20) / 30) == (4.0, 12, 2)
    assert measures.largest_jump(values[:, :2], np.arange(20) / 30) == (3.0, 8, 1)
    assert measures.largest_jump(np.array([[0.0], [7.0], [7.0], [7.0]]), np.arange(4) / 30) == (7.0, 1, 0), (
        "in the first step too"
    )
    assert measures.largest_jump(np.array([[0.0], [0.0], [0.0], [7.0]]), np.arange(4) / 30) == (7.0, 3, 0), "and in the last"


def test_a_step_of_more_than_two_and_a_half_usual_ones_is_a_gap() -> None:
    np.testing.assert_array_equal(measures.gaps(np.array([0, 1, 2, 4.4, 5.4, 8.0])), [False, False, False, False, True])
    assert measures.gaps(np.array([0.0])).shape == (0,)


def test_sides_that_change_places_are_a_flip_and_small_noise_is_not() -> None:
    right = np.full((12, 2, 3), (0.0, 0.5, 0.2))
    right[:, 1] -= [0, 0.4, 0]
    left = right * [1, 1, -1]
    assert measures.left_right_flips(right, left) == ()
    swapped = np.arange(12) >= 5
    crossed = [np.where(swapped[:, None, None], b, a) for a, b in ((right, left), (left, right))]
    assert measures.left_right_flips(*crossed) == (5,)
    near = [side * [1, 1, 0.2] for side in crossed]
    assert measures.left_right_flips(*near) == (), "8 cm: feet that pass each other"


# ---------------------------------------------------------------------- feet, floor, vertical


def test_foot_points_are_right_heel_right_toes_left_heel_left_toes() -> None:
    feet = measures.foot_points(placed())
    np.testing.assert_allclose(feet[0], [STANDING[name] for name in ("calcn_r", "toes_r", "calcn_l", "toes_l")])


def test_the_lowest_point_is_that_of_markers_on_the_feet_or_else_of_the_joints() -> None:
    dip = np.zeros(FRAMES)
    dip[40] = -0.05
    model = placed(toes_l=along(1, dip))
    assert measures.lowest_foot_m(model) == (pytest.approx(-0.04), 40)
    points = {"heel": ("calcn_r", (0, -0.02, 9.0)), "knee": ("tibia_l", (0, -3.0, 0)), "toe": ("toes_l", (0, 0.2, -9.0))}
    assert measures.lowest_foot_m(placed(points)) == (pytest.approx(-0.02), 0), "a marker of the knee is none of a foot"


@pytest.mark.parametrize("axis", [0, 2])
def test_the_lean_of_a_standing_body_is_the_tilt_of_the_vertical(axis: int) -> None:
    lean, told_by = measures.vertical_tilt_rad(turned(placed(), axis, np.radians(5)))
    assert np.degrees(lean) == pytest.approx(5, abs=1e-6) and f"{FRAMES} frames" in told_by
    assert measures.vertical_tilt_rad(turned(placed(), 1, np.radians(50)))[0] == pytest.approx(0, abs=1e-7), (
        "which way it faces"
    )


@pytest.mark.parametrize(
    ("moved", "frames"),
    [
        ({"tibia_r": along(0, 0.09)}, FRAMES),  # 25 degrees in the right knee
        ({"tibia_r": along(0, 0.15)}, 0),  # 40 degrees
        ({"tibia_l": along(0, np.where(np.arange(FRAMES) < 20, 0.2, 0.0))}, 40),
        ({name: along(1, np.where(np.arange(FRAMES) < 20, 0.05, 0.0)) for name in ("calcn_l", "toes_l")}, 40),
        ({"everything": along(0, 0.25 * TIME_S)}, 0),  # 0.25 m/s is no standing
        ({"everything": along(0, 0.15 * TIME_S)}, FRAMES),
    ],
)
def test_only_frames_of_standing_still_on_both_straight_legs_count(moved: dict[str, Any], frames: int) -> None:
    found = measures.vertical_tilt_rad(placed(**moved))
    assert (found is None) if frames == 0 else found is not None and f"{frames} frames" in found[1]


def walked(direction: Any, slope: float = 0.0) -> PlacedModel:
    """2 m with alternating feet on a ground that rises by ``slope`` along a horizontal direction."""
    direction = np.asarray(direction, dtype=float)
    steps = {}
    for side, start in (("r", 0), ("l", 10)):
        place = np.maximum(0, np.floor((np.arange(FRAMES) + start) / 20)) * 0.7
        swing = np.where((np.arange(FRAMES) + start) % 20 > 14, 0.15, 0.0)
        way = place[:, None] * direction + along(1, slope * place + swing)
        steps |= {f"{name}_{side}": way for name in ("calcn", "toes")}
    return placed(**steps)


@pytest.mark.parametrize("direction", [(1, 0, 0), (0, 0, 1), (0.6, 0, -0.8)])
def test_standing_feet_that_climb_show_the_tilt_of_the_ground(direction: Any) -> None:
    """3 cm over two and a half metres."""
    tilt, told_by = measures.vertical_tilt_rad(walked(direction, 0.012))
    assert tilt == pytest.approx(np.arctan(0.012), abs=np.radians(0.05)) and "slope" in told_by
    assert measures.vertical_tilt_rad(walked(direction))[0] == pytest.approx(0, abs=1e-6)


def test_bone_lengths_are_those_between_the_joints_of_their_own_side() -> None:
    lengths = measures.bone_lengths_m(placed(talus_l=along(1, 0.01 * TIME_S)))
    assert set(lengths) == {"right thigh", "left thigh", "right shank", "left shank"}
    means = {name: length.mean() for name, length in lengths.items()}
    assert means["right thigh"] == pytest.approx(0.4) and means["left thigh"] == pytest.approx(0.38)
    assert means["right shank"] == pytest.approx(0.42)
    np.testing.assert_allclose(lengths["left shank"], 0.44 - 0.01 * TIME_S)


# ---------------------------------------------------------------------- limits


def test_a_value_is_outside_on_either_side_of_its_range() -> None:
    np.testing.assert_allclose(excess_over(np.array([-1.0, 0.2, 0.9]), -0.5, 0.5), [0.5, 0, 0.4])
    np.testing.assert_allclose(wrap(np.radians([190.0, -190, 180, -180, 30])), np.radians([-170.0, 170, -180, -180, 30]))


def test_a_report_of_limits_has_share_worst_and_first() -> None:
    values = np.zeros((10, 2))
    values[3:5, 0], values[7, 0], values[7:9, 1] = 0.6, -1.5, -0.03
    motion = OsimMotion(
        time_s=np.arange(10) / 10, coordinates=("knee", "slide"), values_si=values, rotational=np.array([True, False])
    )
    report = check_limits(motion, {"knee": (-0.5, 0.5), "slide": (-0.01, 0.01)})
    knee, slide = report.coordinates
    assert (knee.share_outside, knee.first_frame, knee.worst_frame) == (0.3, 3, 7)
    assert knee.worst_excess_si == pytest.approx(1.0) and knee.worst_time_s == pytest.approx(0.7)
    assert slide.share_outside == 0.2 and slide.worst_excess_si == pytest.approx(0.02)
    assert report.share_outside == 0.4
    assert [row.name for row in report.outside] == ["knee", "slide"], "angles first"
    assert "57.3 deg" in report.text() and "20.0 mm" in report.text()
    clean = check_limits(motion, {"knee": (-2.0, 2.0)})
    assert clean.share_outside == 0 and clean.coordinates[0].worst_time_s is None


def test_rounding_is_no_violation() -> None:
    motion = OsimMotion(time_s=[0, 1], coordinates=("knee",), values_si=[[0.5 + 5e-7], [0]], rotational=[True])
    assert check_limits(motion, {"knee": (0, 0.5)}).share_outside == 0


def test_the_papers_table_counts_frames_beyond_each_tolerance() -> None:
    """Right knee 12 degrees over its upper limit in two frames of eight, 25 under the lower one in one."""
    column = DOF_NAMES.index("knee_angle_r")
    low, high = LIMITS_RAD[column]
    poses = np.zeros((8, 46))
    for name in ("knee_angle_r", "knee_angle_l", "elbow_flexion_r", "elbow_flexion_l"):
        poses[:, DOF_NAMES.index(name)] = np.mean(LIMITS_RAD[DOF_NAMES.index(name)])
    for name in ("pro_sup_r", "pro_sup_l"):
        poses[:, DOF_NAMES.index(name)] = np.mean(LIMITS_RAD[DOF_NAMES.index(name)])
    poses[:2, column], poses[5, column] = high + np.radians(12), low - np.radians(25)
    table = {(row.part, row.tolerance_deg): row for row in paper_table(poses)}
    assert [table["r_knee", t].share for t in (0, 5, 10, 20, 30)] == [0.375, 0.375, 0.375, 0.125, 0]
    assert table["r_knee", 20].max_rad == pytest.approx(np.radians(5))
    assert table["r_knee", 10].mean_rad == pytest.approx(np.radians(2 + 2 + 15) / 8)
    assert table["r_knee", 0].median_rad == 0
    assert all(row.share == 0 for (part, _), row in table.items() if part != "r_knee")
    poses[:, DOF_NAMES.index("pro_sup_l")] = LIMITS_RAD[DOF_NAMES.index("pro_sup_l")][1] + np.radians(35)
    elbow = [row for row in paper_table(poses) if row.part == "l_elbow"]
    assert [row.share for row in elbow] == [1, 1, 1, 1, 1]


# ---------------------------------------------------------------------- verdicts


def test_thresholds_are_those_of_the_requirements() -> None:
    wanted = {
        "joint limits": (12, 20),
        "knees and elbows": (5, 10),
        "standing lean": (7.5, 10),
        "jumps": (8, 15),
        "jumps of the root": (0.05, 0.15),
        "jitter": (1.5, 4),
        "foot sliding": (0.15, 0.3),
        "floor penetration": (0.01, 0.03),
        "vertical tilt": (4, 8),
        "bone lengths": (6, 12),
        "marker error": (0.02, 0.04),
        "map residual": (5, 15),
        "map residual, angle": (2, 6),
    }
    assert {row.name: (row.warn_above, row.fail_above) for row in CHECKS if row.name in wanted} == wanted


def test_a_figure_passes_up_to_its_threshold_and_the_worst_check_decides() -> None:
    threshold = Threshold(warn_above=1, fail_above=2, unit="m", source="here")
    assert [threshold.judge(value) for value in (1, 1.01, 2, 2.01)] == ["pass", "warn", "warn", "fail"]

    def report(*statuses: Any) -> str:
        checks = [Check(name=str(n), status=s, value=1.0, threshold=threshold, detail="") for n, s in enumerate(statuses)]
        return CheckReport(checks=tuple(checks), limits=None).status

    assert report("pass", "skipped") == "pass"
    assert report("pass", "warn", "skipped") == "warn"
    assert report("fail", "warn", "pass") == "fail"


def test_the_text_counts_the_verdicts() -> None:
    threshold = Threshold(warn_above=1, fail_above=2, unit="m", source="here")
    statuses = ("pass", "pass", "fail", "skipped")
    checks = tuple(
        Check(name=f"c{n}", status=s, value=None if s == "skipped" else 0.5, threshold=threshold, detail="why")
        for n, s in enumerate(statuses)
    )
    lines = CheckReport(checks=checks, limits=None).text().splitlines()
    assert lines[0] == "FAIL: 2 pass, 1 fail, 1 skipped"
    assert lines[1].split() == ["pass", "c0", "0.5", "m", "(pass", "<=", "1,", "fail", ">", "2)", "why"]
    assert lines[4].split() == ["skipped", "c3", "why"]


def test_markers_are_compared_at_the_motions_own_times() -> None:
    """Markers at twice the rate and a second later on the clock: each frame is compared with the sample of its time."""
    document = bsm()
    names = tuple(document.coordinates)
    values = np.tile(document.default_si, (10, 1))
    values[:, names.index("pelvis_tx")] = np.linspace(0, 0.9, 10)
    motion = OsimMotion(time_s=1 + np.arange(10) / 50, coordinates=names, values_si=values, rotational=document.rotational)
    model = place_model(motion, document)
    doubled = np.repeat(model.markers_m[:, :4], 2, axis=0)
    doubled[1::2] += 5.0  # what is between the frames is nobody's
    doubled[:, 2] += [0, 0.03, 0.04]
    times = np.concatenate([motion.time_s[:, None], motion.time_s[:, None] + 0.01], axis=1).ravel()
    markers = Markers(time_s=times, names=model.marker_names[:4], positions_m=doubled)
    found = check_motion(motion, document, markers=markers)["marker error"]
    assert found.value == pytest.approx(0.05 / 2) and model.marker_names[2] in found.detail and "50 mm" in found.detail
    later = Markers(time_s=times + 3, names=markers.names, positions_m=doubled)
    report = check_motion(motion, document, markers=later)
    assert report["marker error"].status == "skipped" and "share no time" in report["marker error"].detail


def test_a_flip_is_twice_as_near_to_the_other_sides_place() -> None:
    """Sides 0.4 m apart: a right foot that moves 0.3 m towards the left one's place has not changed sides, 0.35 m has."""
    for moved, flips in ((0.25, ()), (0.35, (3,))):
        right = np.tile([[[0.0, 0.0, 0.2]]], (6, 1, 1))
        left = -right
        right[3:, :, 2] -= moved
        left[3:, :, 2] += moved
        assert measures.left_right_flips(right, left) == flips


def test_a_foot_that_is_held_still_in_the_air_does_not_stand() -> None:
    """Without contacts the slowest point near the floor stands, not the slowest point."""
    feet = np.zeros((FRAMES, 4, 3))
    feet[:, :2, 0] = 0.5 * TIME_S[:, None]
    feet[6:, 2:, 1] = 0.3
    speed = measures.foot_sliding_m_s(TIME_S, feet)
    assert speed == pytest.approx(0.5 * (FRAMES - 6) / FRAMES, rel=1e-6)


def test_the_text_of_a_report_ends_with_the_limits() -> None:
    motion = OsimMotion(time_s=[0, 1], coordinates=("knee",), values_si=[[0.9], [0]], rotational=[True])
    outside, inside = (check_limits(motion, {"knee": (0, high)}) for high in (0.5, 1.0))
    assert CheckReport(checks=(), limits=outside).text().endswith("\n\n" + outside.text())
    assert "joint limits" not in CheckReport(checks=(), limits=inside).text()


def test_sides_are_compared_about_their_middle() -> None:
    """A runner who covers 0.25 m from frame to frame and changes sides once."""
    place = 0.25 * np.arange(8)[:, None, None] * [1.0, 0.0, 0.0]
    right, left = (place + np.array([[[0.0, 0.0, z]]]) for z in (0.2, -0.2))
    assert measures.left_right_flips(right, left) == ()
    swapped = (np.arange(8) >= 4)[:, None, None]
    assert measures.left_right_flips(np.where(swapped, left, right), np.where(swapped, right, left)) == (4,)
