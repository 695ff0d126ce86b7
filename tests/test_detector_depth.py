"""What is expected of the detector's depth."""

from __future__ import annotations

import numpy as np
import pytest

from hsmr_bio.body import Body
from hsmr_bio.body.keypoint_table import keypoints_of
from hsmr_bio.fitting.detector_depth import SLANTS, facing_camera, slants_of


@pytest.fixture(scope="module")
def names(open_body: Body) -> tuple[str, ...]:
    return tuple(name for name, _ in keypoints_of(open_body.data, "blazepose33")[1])


@pytest.fixture(scope="module")
def standing(open_body: Body) -> np.ndarray:
    """(33, 3) landmarks of the T pose in level axes: facing the camera, which is at +z."""
    joints, stature = open_body.rest(np.zeros(10)).joints_m, open_body.stature_m(np.zeros(10))
    parts = keypoints_of(open_body.data, "blazepose33")[0]
    return np.array([joints[k.joint] + np.array(k.offset_over_stature) * stature for k in parts])


def test_facing(names: tuple[str, ...], standing: np.ndarray) -> None:
    away, side = standing * (-1, 1, -1), standing[:, [2, 1, 0]] * (1, 1, -1)
    nowhere = np.full_like(standing, np.nan)
    front, back, beside, unseen = facing_camera(names, np.stack([standing, away, side, nowhere]))
    assert front > 0.9 and back < -0.9 and abs(beside) < 0.3 and unseen == 0


def test_each_bone_of_both_sides_is_told(names: tuple[str, ...]) -> None:
    pairs = [pair for model in SLANTS for pair in model.pairs(names)]
    assert len(pairs) == 2 + 2 * (len(SLANTS) - 2), "hips and shoulders lie across"
    assert len(set(pairs)) == len(pairs)
    assert (names.index("left_hip"), names.index("right_hip")) in pairs
    assert (names.index("right_knee"), names.index("right_hip")) in pairs


def test_gain_and_biases_of_the_table(names: tuple[str, ...], standing: np.ndarray) -> None:
    bent = standing.copy()
    bent[names.index("left_ankle"), 2] -= 0.2
    behind = -np.stack([standing, bent])[..., 2]
    slants = slants_of(names, np.stack([standing, bent]), behind)
    model = next(m for m in SLANTS if m.far == "ankle")
    column = slants.pairs.tolist().index([names.index("left_ankle"), names.index("left_knee")])
    flat = behind[0, names.index("left_ankle")] - behind[0, names.index("left_knee")]
    facing = facing_camera(names, standing[None])[0]
    expected = model.gain * flat + model.bias_m + model.bias_facing_m * facing
    assert slants.depth_m[0, column] == pytest.approx(expected)
    assert slants.depth_m[1, column] - slants.depth_m[0, column] == pytest.approx(model.gain * 0.2)
    assert slants.sigma_m[column] == pytest.approx(model.sigma_m * model.caution)
