"""Joint limits per coordinate, and the paper's knee and elbow table by its definition."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsmr_bio.checks.limits import check_limits, paper_table
from hsmr_bio.errors import InputError, UnknownCoordinateError
from hsmr_bio.skeleton import (
    DOF_NAMES,
    KEYPOINT_LIMITS_RAD,
    LIMITS_RAD,
    LIMITS_WITH_REST_RAD,
    MAP_LIMITS_RAD,
    MIRROR_DOF,
    fit_bounds,
    mirror_poses,
)
from hsmr_bio.types import OsimMotion, SkelMotion

KNEE = DOF_NAMES.index("knee_angle_r")


def with_pose(still: SkelMotion, name: str, frames: slice, angle_rad: float) -> SkelMotion:
    poses = still.poses_rad.copy()
    poses[frames, DOF_NAMES.index(name)] = angle_rad
    return replace(still, poses_rad=poses)


def test_share_worst_excess_first_and_worst_frame(walk: OsimMotion) -> None:
    report = check_limits(walk, {"knee_angle_r": (0.0, 0.9), "pelvis_ty": (0.0, 2.0)})
    knee, height = report.coordinates
    values = walk.column("knee_angle_r")
    assert knee.share_outside == np.mean(values > 0.9) == report.share_outside
    assert knee.worst_excess_si == pytest.approx(values.max() - 0.9)
    assert knee.first_frame == int(np.argmax(values > 0.9))
    assert knee.worst_frame == int(np.argmax(values))
    assert knee.worst_time_s == walk.time_s[int(np.argmax(values))]
    assert height.share_outside == 0
    assert height.first_frame is None
    assert [row.name for row in report.outside] == ["knee_angle_r"]


def test_a_value_on_its_limit_is_inside(walk: OsimMotion) -> None:
    top = float(walk.column("knee_angle_r").max())
    assert check_limits(walk, {"knee_angle_r": (0.0, top - 1e-7)}).share_outside == 0


def test_a_motion_of_an_opensim_model_needs_ranges_that_make_sense(walk: OsimMotion) -> None:
    with pytest.raises(InputError, match="model"):
        check_limits(walk)
    with pytest.raises(InputError, match="above its upper"):
        check_limits(walk, {"knee_angle_r": (1.0, 0.0)})
    with pytest.raises(UnknownCoordinateError, match="knee_angle_r"):
        check_limits(walk, {"knee_angle": (0.0, 1.0)})


def test_our_table_of_limits_is_never_upside_down_and_mirrors() -> None:
    limited = ~np.isnan(LIMITS_RAD[:, 0])
    assert (LIMITS_RAD[limited, 0] < LIMITS_RAD[limited, 1]).all()
    middle = np.nan_to_num(LIMITS_RAD.mean(axis=1))
    mirrored = mirror_poses(middle)
    same = [
        i
        for i in range(46)
        if abs(mirrored[i] - middle[i]) > 0.02 and DOF_NAMES[i][:-1] not in ("pro_sup_", "scapula_upward_rot_")
    ]
    assert [DOF_NAMES[i] for i in same] == []
    assert tuple(MIRROR_DOF[i] for i in MIRROR_DOF) == tuple(range(46))


def test_the_views_of_the_limits_differ_from_the_table_only_as_they_say() -> None:
    right, left = (DOF_NAMES.index(f"scapula_elevation_{side}") for side in "rl")
    others = [dof for dof in range(46) if dof not in (right, left)]
    for view, slack_rad in ((LIMITS_WITH_REST_RAD, 0.1), (KEYPOINT_LIMITS_RAD, 0.2)):
        np.testing.assert_array_equal(view[others], LIMITS_RAD[others])
        np.testing.assert_array_equal(view[[right, left]], [(-0.4, slack_rad), (-slack_rad, 0.4)])
    np.testing.assert_allclose(MAP_LIMITS_RAD - LIMITS_RAD, np.where(np.isnan(LIMITS_RAD), np.nan, [[-0.5, 0.5]]))
    bounds = fit_bounds(LIMITS_RAD)
    np.testing.assert_array_equal(bounds[3:46], LIMITS_RAD[3:])
    np.testing.assert_array_equal(bounds[[0, 1, 2, 46, 47, 48]], [(-np.inf, np.inf)] * 6)


def test_skel_motion_has_its_own_limits_and_ignores_whole_turns(still: SkelMotion) -> None:
    lifted = still.poses_rad.copy()
    for side, sign in (("r", -1), ("l", 1)):
        lifted[:, DOF_NAMES.index(f"scapula_elevation_{side}")] = sign * 0.2
    motion = replace(still, poses_rad=lifted)
    assert check_limits(motion).share_outside == 0
    turned = with_pose(motion, "knee_angle_r", slice(None), 0.5 + 2 * np.pi)
    assert check_limits(turned).share_outside == 0
    bent = with_pose(motion, "knee_angle_r", slice(10, 16), -0.3)
    report = check_limits(bent)
    assert report.share_outside == pytest.approx(6 / 30)
    assert report.outside[0].worst_excess_si == pytest.approx(0.3)
    assert report.outside[0].first_frame == 10


def test_the_papers_table_follows_its_definition(still: SkelMotion) -> None:
    motion = with_pose(still, "knee_angle_r", slice(0, 15), -np.deg2rad(15))
    motion = with_pose(motion, "pro_sup_r", slice(0, 10), np.deg2rad(67.5 + 25))
    rows = {(row.part, row.tolerance_deg): row for row in paper_table(motion.poses_rad)}
    assert len(rows) == 20
    assert [rows["r_knee", t].share for t in (0, 5, 10, 20, 30)] == [0.5, 0.5, 0.5, 0, 0]
    assert rows["r_knee", 10].max_rad == pytest.approx(np.deg2rad(5))
    assert rows["r_knee", 10].mean_rad == pytest.approx(np.deg2rad(2.5))
    assert rows["r_elbow", 20].share == pytest.approx(1 / 3)
    assert rows["r_elbow", 30].share == 0
    assert rows["l_elbow", 0].share == 0


@settings(max_examples=50, deadline=None)
@given(angle=st.floats(-7, 7), turns=st.integers(-2, 2))
def test_a_part_violates_less_when_the_tolerance_grows(angle: float, turns: int) -> None:
    poses = np.zeros((1, 46))
    poses[0, KNEE] = angle
    shares = [row.max_rad for row in paper_table(poses) if row.part == "r_knee"]
    assert shares == sorted(shares, reverse=True)
    again = [row.max_rad for row in paper_table(poses + 2 * np.pi * turns) if row.part == "r_knee"]
    if abs(abs((angle + np.pi) % (2 * np.pi) - np.pi) - np.pi) > 1e-9:
        np.testing.assert_allclose(again, shares, atol=1e-9)


def test_text_and_json_say_the_same(still: SkelMotion) -> None:
    report = check_limits(with_pose(still, "knee_angle_r", slice(10, 16), -0.5))
    assert "knee_angle_r" in report.text()
    assert "20.0%" in report.text()
    data = json.loads(json.dumps(report.to_json(), allow_nan=False))
    knee = next(row for row in data["coordinates"] if row["name"] == "knee_angle_r")
    assert knee["share_outside"] == pytest.approx(0.2)
    assert len(data["paper_table"]) == 20
