"""The camera's tilt against the least-squares problem written out once more with its numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from hsmr_bio.body import Body
from hsmr_bio.fitting.core.body_points import MassPoints, SolePoints, support_of
from hsmr_bio.fitting.core.problem import Problem, State, View
from hsmr_bio.fitting.world.gravity import find_tilt
from hsmr_bio.fitting.world.options import GroundOptions
from hsmr_bio.skeleton import DOF_NAMES, JOINT_NAMES


def view_of(body: Body, frames: int) -> View:
    """A body that leans to a side and forwards, as from a tilted camera; every frame bends knees and hips by another angle."""
    rng = np.random.default_rng(7)
    q = np.zeros((frames, 49))
    q[:, 0], q[:, 1] = 0.15, 0.12
    for name in ("knee_angle_r", "knee_angle_l", "hip_flexion_r", "hip_flexion_l"):
        q[:, DOF_NAMES.index(name)] = rng.uniform(0, 0.9, frames)
    q[:, 46:] = np.array([0.3, -0.2, -4.0]) + rng.normal(size=(frames, 3)) * 0.02
    makers = {"soles": SolePoints(body), "masses": MassPoints(body)}
    return Problem(body, makers, []).view(State(torch.tensor(q), np.zeros(10), np.zeros(2), 0.0, 1000.0))


def mean_axis(lines: np.ndarray, weight: np.ndarray, sigma_rad: float) -> tuple[np.ndarray, float]:
    up = (lines / np.linalg.norm(lines, axis=1, keepdims=True) * weight[:, None]).sum(axis=0)
    return up / np.linalg.norm(up), sigma_rad * np.sqrt(1 + 0.05 * len(weight) / weight.sum())


def least(view: View, standing: np.ndarray, quiet: np.ndarray, scene: np.ndarray | None, start: np.ndarray) -> np.ndarray:
    """Pitch and roll with the least cost."""
    soles, masses = view.points("soles").numpy(), view.points("masses").numpy()
    joints, q = view.pose.positions_m.numpy(), view.state.q.numpy()
    mass = np.einsum("p,tpi->ti", MassPoints(view.body).shares.numpy(), masses)
    foot = np.einsum("ts,tsi->ti", support_of(standing), soles)
    on_feet = np.minimum(standing.sum(axis=1) / 2, 1)
    bend = {n: np.abs(q[:, [DOF_NAMES.index(f"{n}_{s}") for s in "rl"]]).max(axis=1) for n in ("knee_angle", "hip_flexion")}
    straight = np.exp(-((bend["knee_angle"] / 0.5) ** 2)) * np.exp(-((bend["hip_flexion"] / 0.5) ** 2))
    top, low = (joints[:, [JOINT_NAMES.index(f"{n}_{s}") for s in "rl"]].mean(axis=1) for n in ("humerus", "talus"))
    axes = [mean_axis(mass - foot, (0.2 + quiet) * on_feet, np.radians(5.0))]
    if (straight * quiet).sum() >= 1:
        axes.append(mean_axis(top - low, straight * quiet, np.radians(4.0)))
    stances = min(8.0, standing.max(axis=1).sum())

    def cost(x: np.ndarray) -> float:
        pitch, roll, floor = x
        level = Rotation.from_rotvec([pitch, 0, roll]).as_matrix().T
        total = (np.degrees(pitch) - 6) ** 2 / 14**2 + np.log1p((np.degrees(roll) / 4) ** 2) + ((-floor - 1.35) / 0.4) ** 2
        total += sum(((level @ up)[[0, 2]] ** 2).sum() / sigma**2 for up, sigma in axes)
        if scene is not None:
            total += ((np.degrees([pitch, roll]) - np.degrees(scene)) ** 2).sum() / 1.2**2
        heights = (soles @ level.T)[..., 1]
        return float(total + stances * (standing * (heights - floor) ** 2).sum() / standing.sum() / 0.04**2)

    return np.asarray(minimize(cost, np.append(start, -1.1), method="BFGS", options={"gtol": 1e-9}).x[:2])


@pytest.mark.parametrize(("frames", "likely"), [(40, 0.9), (40, 0.1), (4, 0.9)])
@pytest.mark.parametrize("scene", [None, (0.25, -0.05)])
def test_the_tilt_is_the_one_of_least_cost(
    open_body: Body, frames: int, likely: float, scene: tuple[float, ...] | None
) -> None:
    """Many stances, few of them, and few frames: with and without edges of the scene."""
    view, rng = view_of(open_body, frames), np.random.default_rng(frames)
    standing, quiet = rng.uniform(0, likely, (frames, 8)), rng.uniform(0, 1, frames)
    seen = None if scene is None else np.array(scene)
    tilt, floor = find_tilt(view, standing, quiet, GroundOptions(), camera_known=True, scene_tilt_rad=seen)
    np.testing.assert_allclose(tilt, least(view, standing, quiet, seen, tilt), atol=1e-4)
    heights = (view.points("soles").numpy() @ Rotation.from_rotvec([tilt[0], 0, tilt[1]]).as_matrix())[..., 1]
    assert floor == pytest.approx((heights * standing).sum() / standing.sum())


def test_one_known_angle_stays_and_the_other_one_is_found_with_it(open_body: Body) -> None:
    view, rng = view_of(open_body, 40), np.random.default_rng(2)
    standing, quiet = rng.uniform(0, 0.9, (40, 8)), rng.uniform(0, 1, 40)
    free, _ = find_tilt(view, standing, quiet, GroundOptions(), camera_known=True)
    pitch, roll = free[0] - 0.05, free[1] + 0.05
    tilt, _ = find_tilt(view, standing, quiet, GroundOptions(camera_pitch_rad=pitch), camera_known=True)
    assert tilt[0] == pitch and tilt[1] == pytest.approx(free[1], abs=0.02)
    tilt, _ = find_tilt(view, standing, quiet, GroundOptions(camera_roll_rad=roll), camera_known=True)
    assert tilt[1] == roll and tilt[0] == pytest.approx(free[0], abs=0.02)
