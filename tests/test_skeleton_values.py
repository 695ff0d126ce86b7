"""SKEL's tables: sides, limits and axes."""

from __future__ import annotations

import numpy as np
import pytest

from hsmr_bio.body.placing import SKEL_TO_WORLD
from hsmr_bio.skeleton import (
    DOF_NAMES,
    JOINT_AXES,
    JOINT_DOFS,
    LIMITS_RAD,
    LIMITS_WITH_REST_RAD,
    MIRROR_DOF,
    MIRROR_SIGN,
    mirror_poses,
)


def limit_deg(name: str) -> list[float]:
    return np.degrees(LIMITS_RAD[DOF_NAMES.index(name)]).tolist()


@pytest.mark.parametrize("side", "rl")
def test_limits_of_the_limbs_are_skels(side: str) -> None:
    wanted = {
        "hip_flexion": (-45, 135),
        "hip_adduction": (-45, 30),
        "hip_rotation": (-45, 45),
        "knee_angle": (0, 135),
        "ankle_angle": (-45, 45),
        "subtalar_angle": (-45, 45),
        "mtp_angle": (-45, 45),
        "elbow_flexion": (0, 135),
        "wrist_flexion": (-90, 90),
        "wrist_deviation": (-45, 45),
        "scapula_abduction": (np.degrees(-0.628), np.degrees(0.628)),
    }
    assert {name: limit_deg(f"{name}_{side}") for name in wanted} == {
        name: pytest.approx(list(value)) for name, value in wanted.items()
    }


def test_limits_that_differ_between_the_sides_are_skels() -> None:
    wanted = {
        "pro_sup_r": (-67.5, 67.5),
        "pro_sup_l": (-90, 90),
        "scapula_upward_rot_r": tuple(np.degrees([-0.19, 0.319])),
        "scapula_upward_rot_l": tuple(np.degrees([-0.21, 0.219])),
        "scapula_elevation_r": tuple(np.degrees([-0.4, -0.1])),
        "scapula_elevation_l": tuple(np.degrees([0.1, 0.4])),
        "shoulder_r_x": (-90, 90 + np.degrees(1.5)),
        "shoulder_l_x": (-90 - np.degrees(1.5), 90),
        "lumbar_bending": (-30, 30),
        "lumbar_extension": (-45, 45),
        "thorax_bending": (-45, 45),
        "head_twist": (-45, 45),
    }
    assert {name: limit_deg(name) for name in wanted} == {name: pytest.approx(list(value)) for name, value in wanted.items()}
    assert np.isnan(LIMITS_RAD[:3]).all() and np.isfinite(LIMITS_RAD[3:]).all()
    assert (LIMITS_RAD[3:, 0] < LIMITS_RAD[3:, 1]).all()


def test_limits_are_mirrored_but_for_the_sides_that_skel_makes_different() -> None:
    pose = np.array(LIMITS_RAD.T)
    ends = np.sort(mirror_poses(pose), axis=0).T
    different = [name for name, a, b in zip(DOF_NAMES, ends, LIMITS_RAD, strict=True) if not np.allclose(a, b, equal_nan=True)]
    assert {name[:-2] for name in different} == {"pro_sup", "scapula_upward_rot"}


def test_the_rest_pose_is_inside_the_wider_limits_by_a_tenth() -> None:
    changed = np.argwhere(np.nan_to_num(LIMITS_WITH_REST_RAD) != np.nan_to_num(LIMITS_RAD))
    assert [(DOF_NAMES[dof], end) for dof, end in changed] == [("scapula_elevation_r", 1), ("scapula_elevation_l", 0)]
    assert LIMITS_WITH_REST_RAD[tuple(changed[0])] == 0.1 and LIMITS_WITH_REST_RAD[tuple(changed[1])] == -0.1


def test_a_mirrored_pose_takes_the_values_of_the_other_side() -> None:
    for dof, other in enumerate(MIRROR_DOF):
        name = DOF_NAMES[dof]
        parts = name.split("_")
        swapped = "_".join({"r": "l", "l": "r"}.get(part, part) for part in parts)
        assert DOF_NAMES[other] == swapped, name
    kept = {"pelvis_tilt", "hip_flexion", "knee_angle", "elbow_flexion", "lumbar_extension", "head_extension", "pro_sup"}
    turned = {"pelvis_list", "pelvis_rotation", "lumbar_bending", "thorax_twist", "shoulder_r_x", "shoulder_l_y"}
    for name, sign in zip(DOF_NAMES, MIRROR_SIGN, strict=True):
        stem = name[:-2] if name.endswith(("_r", "_l")) else name
        if stem in kept or name in turned:
            assert sign == (1 if stem in kept else -1), name


def test_joints_turn_about_unit_axes_that_are_mirrored() -> None:
    """In bone axes z points across: there a mirror keeps turns about z and reverses the others; ankles are not mirrored."""
    axes = {dof: axis for j in range(24) for dof, axis in zip(JOINT_DOFS[j], JOINT_AXES[j], strict=True)}
    assert sorted(axes) == list(range(46))
    for dof, axis in axes.items():
        assert np.linalg.norm(axis) == pytest.approx(1, abs=1e-7)
        mirrored = MIRROR_SIGN[dof] * np.array(axes[MIRROR_DOF[dof]]) * [-1, -1, 1]
        if not DOF_NAMES[dof].startswith("ankle"):
            np.testing.assert_allclose(mirrored, axis, atol=1e-5, err_msg=DOF_NAMES[dof])


def test_rest_axes_become_ground_axes() -> None:
    """Facing +z with the left at +x becomes facing +x with the right at +z."""
    assert np.linalg.det(SKEL_TO_WORLD) == pytest.approx(1)
    forward, up, left = np.eye(3)[[2, 1, 0]]
    np.testing.assert_array_equal(SKEL_TO_WORLD @ forward, [1, 0, 0])
    np.testing.assert_array_equal(SKEL_TO_WORLD @ up, [0, 1, 0])
    np.testing.assert_array_equal(SKEL_TO_WORLD @ left, [0, 0, -1])
