"""Marker inverse kinematics against known motions, against derivatives and against OpenSim's own tool."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hsmr_bio.errors import EstimationError, InputError, ModelError, UnknownCoordinateError
from hsmr_bio.fitting.markers.inverse_kinematics import _problem, inverse_kinematics, marker_errors, matched_markers
from hsmr_bio.fitting.markers.opensim_tool import opensim_markers
from hsmr_bio.fitting.markers.solver import without_idle_parts
from hsmr_bio.io.trc import read_trc
from hsmr_bio.osim.document import OsimDocument
from hsmr_bio.osim.library import bsm
from hsmr_bio.types import FloatArray, Markers, OsimMotion

SHARED = Path(__file__).resolve().parents[1].parent / "shared"
TRIALS = SHARED / "data" / "motion"


def smooth_motion(document: OsimDocument, frames: int = 40, *, seed: int = 0, turns: float = 0.0) -> OsimMotion:
    """Every coordinate swings in the middle of its range; the root turns about the vertical ``turns`` times as well."""
    rng = np.random.default_rng(seed)
    ranges = document.ranges_si.clip(-0.9, 0.9)
    time_s = np.arange(frames) / 100
    phase, speed = rng.uniform(0, 6, len(ranges)), rng.uniform(1, 3, len(ranges))
    values = ranges.mean(axis=1) + 0.3 * np.ptp(ranges, axis=1) * np.sin(time_s[:, None] * speed + phase)
    names = list(document.coordinates)
    values[:, names.index("pelvis_rotation")] = np.linspace(0, 2 * np.pi * turns, frames) + 2.0
    return OsimMotion(
        time_s=time_s, coordinates=tuple(names), values_si=document.couple(values), rotational=document.rotational
    )


def markers_of(document: OsimDocument, motion: OsimMotion, *, noise_m: float = 0.0, seed: int = 0) -> Markers:
    tree = document.tree()
    names = tuple(document.markers)
    bodies = [tree.bodies.index(document.markers[name].body) for name in names]
    local = torch.tensor([document.markers[name].position_m for name in names], dtype=torch.float64)
    points = tree.forward(torch.tensor(np.array(motion.values_si))).points(bodies, local).numpy()
    points = points + np.random.default_rng(seed).normal(0, noise_m, points.shape) if noise_m else points
    return Markers(time_s=motion.time_s, names=names, positions_m=points)


def with_positions(markers: Markers, positions_m: FloatArray) -> Markers:
    return Markers(time_s=markers.time_s, names=markers.names, positions_m=positions_m)


def test_gradient_and_hessian_are_those_of_the_sum_of_squares() -> None:
    document = bsm()
    markers = markers_of(document, smooth_motion(document, 3), noise_m=0.02)
    positions = np.array(markers.positions_m[:, ::4])
    positions[1, 5:12] = np.nan
    markers = Markers(time_s=markers.time_s, names=markers.names[::4], positions_m=positions)
    problem = _problem(markers, document, markers.names, {markers.names[3]: 7.0}, {}, "clamped")
    frames = torch.arange(3)
    q = torch.tensor(np.array(smooth_motion(document, 3, seed=5).values_si), requires_grad=True)
    system = problem.system(q, frames)
    (gradient,) = torch.autograd.grad(system.cost.sum(), q)
    torch.testing.assert_close(system.gradient, gradient, atol=1e-9, rtol=1e-9)

    def weighted(row: torch.Tensor, frame: int) -> torch.Tensor:
        points = problem.tree.forward(row).points(problem.bodies, problem.local_m)
        return ((points - problem.targets_m[frame]) * problem.weights[frame, :, None].sqrt()).flatten()

    for frame in range(3):
        jacobian = torch.autograd.functional.jacobian(lambda row, f=frame: weighted(row, f), q[frame].detach())
        expected = jacobian.T @ jacobian + torch.diag(problem.prior)
        torch.testing.assert_close(system.hessian[frame].detach(), expected, atol=1e-9, rtol=1e-9)


def test_a_known_motion_is_found_again_whatever_the_heading() -> None:
    document = bsm()
    truth = smooth_motion(document, 60, turns=1.5)
    markers = markers_of(document, truth)
    found = inverse_kinematics(markers, document)
    assert marker_errors(found, document, markers).rms_m < 2e-5
    heading = found.column("pelvis_rotation") - truth.column("pelvis_rotation")
    np.testing.assert_allclose(heading - 2 * np.pi * np.round(heading / (2 * np.pi)), 0, atol=1e-3)
    assert np.abs(np.diff(found.values_si, axis=0)).max() < 0.3  # continuous, also past half a turn
    for name in ("knee_angle_r", "hip_flexion_l", "elbow_flexion_r", "lumbar_extension"):
        np.testing.assert_allclose(found.column(name), truth.column(name), atol=5e-3, err_msg=name)


@pytest.mark.slow
def test_random_poses_are_found_without_help_from_their_neighbours() -> None:
    """Upside down, lying, turned away: each frame stands alone, a second from the next."""
    document, rng = bsm(), np.random.default_rng(0)
    names = list(document.coordinates)
    ranges = document.ranges_si.clip(-3, 3)
    values = ranges[:, 0] + (0.1 + 0.8 * rng.random((40, len(names)))) * np.ptp(ranges, axis=1)
    for name, size in (("pelvis_tilt", 3.1), ("pelvis_list", 1.2), ("pelvis_rotation", 3.1)):
        values[:, names.index(name)] = rng.uniform(-size, size, 40)
    truth = OsimMotion(
        time_s=np.arange(40.0), coordinates=tuple(names), values_si=document.couple(values), rotational=document.rotational
    )
    markers = markers_of(document, truth)
    errors = marker_errors(inverse_kinematics(markers, document), document, markers).distance_m
    missed = np.sqrt((errors**2).mean(axis=1)) > 2e-3
    assert missed.sum() <= 1


def test_hidden_markers_and_empty_frames_are_bridged() -> None:
    document = bsm()
    truth = smooth_motion(document, 50)
    markers = markers_of(document, truth)
    positions = np.array(markers.positions_m)
    rng = np.random.default_rng(0)
    positions[rng.random(positions.shape[:2]) < 0.3] = np.nan
    positions[20:24] = np.nan
    positions[:2] = np.nan
    found = inverse_kinematics(with_positions(markers, positions), document)
    errors = marker_errors(found, document, markers).distance_m
    seen = np.isfinite(positions[..., 0])
    assert errors[seen].max() < 1e-3
    assert errors[24:].max() < 0.03  # also where all markers of a segment are hidden: it stays as it was around
    assert errors[20:24].max() < 0.005
    with pytest.raises(EstimationError, match="no frame shows 3"):
        lonely = np.full_like(positions, np.nan)
        lonely[0, 0] = lonely[1, 1] = lonely[2, 2] = 1.0
        inverse_kinematics(with_positions(markers, lonely), document)


def test_clamped_coordinates_stay_in_their_ranges_and_others_do_not_have_to() -> None:
    document = bsm()
    names = list(document.coordinates)
    truth = smooth_motion(document, 20)
    values = np.array(truth.values_si)
    values[:, names.index("knee_angle_r")] = -0.3  # beyond the range: the knee bent forwards
    bent = OsimMotion(time_s=truth.time_s, coordinates=truth.coordinates, values_si=values, rotational=truth.rotational)
    markers = markers_of(document, bent)
    low = document.coordinate("knee_angle_r").range_si[0]
    held = inverse_kinematics(markers, document, limits="all")
    assert held.column("knee_angle_r").min() >= low - 1e-9
    ranges = document.ranges_si[document.rotational]
    inside = held.values_si[:, document.rotational]
    assert (inside >= ranges[:, 0] - 1e-9).all() and (inside <= ranges[:, 1] + 1e-9).all()
    free = inverse_kinematics(markers, document, limits="none")
    np.testing.assert_allclose(free.column("knee_angle_r"), -0.3, atol=5e-3)


def test_locked_coordinates_keep_their_value() -> None:
    document = bsm()
    markers = markers_of(document, smooth_motion(document, 12))
    found = inverse_kinematics(markers, document, locked={"subtalar_angle_r": 0.1})
    np.testing.assert_allclose(found.column("subtalar_angle_r"), 0.1, atol=1e-12)
    default = inverse_kinematics(markers, document, locked=["knee_angle_l"])
    np.testing.assert_allclose(default.column("knee_angle_l"), document.coordinate("knee_angle_l").default_si, atol=1e-12)
    with pytest.raises(UnknownCoordinateError, match="knee_angle"):
        inverse_kinematics(markers, document, locked=["knee_angel_r"])


def test_a_weight_moves_the_error_to_the_other_markers() -> None:
    document = bsm()
    markers = markers_of(document, smooth_motion(document, 10))
    positions = np.array(markers.positions_m)
    positions[:, 0] += [0.05, 0, 0]
    wrong = with_positions(markers, positions)
    errors = [
        np.nanmean(marker_errors(inverse_kinematics(wrong, document, weights=weights), document, wrong).distance_m, axis=0)
        for weights in (None, {markers.names[0]: 100.0}, {markers.names[0]: 0.0})
    ]
    assert errors[1][0] < 0.5 * errors[0][0]
    assert errors[2][0] == pytest.approx(0.05, abs=1e-3)
    assert errors[2][1:].max() < 1e-3


def test_what_cannot_be_solved_is_said(tmp_path: Path) -> None:
    document = bsm()
    markers = markers_of(document, smooth_motion(document, 3))
    strangers = Markers(
        time_s=markers.time_s, names=tuple(f"m{i}" for i in range(len(markers.names))), positions_m=markers.positions_m
    )
    with pytest.raises(InputError, match="matched by name"):
        inverse_kinematics(strangers, document)
    with pytest.raises(InputError, match="neither measured"):
        inverse_kinematics(markers, document, weights={"nobody": 1.0})
    with pytest.raises(InputError, match="0 or larger"):
        inverse_kinematics(markers, document, weights={markers.names[0]: -1.0})
    with pytest.raises(InputError, match="unit"):
        inverse_kinematics(with_positions(markers, markers.positions_m * 1000), document)
    with pytest.raises(InputError, match="no model file"):
        inverse_kinematics(markers, tmp_path / "none.osim")
    with pytest.raises(InputError, match="backend"):
        inverse_kinematics(markers, document, backend="nimble")  # type: ignore[arg-type]
    odd = (
        document.to_bytes()
        .replace(b"<PinJoint ", b"<ScapulothoracicJoint ", 1)
        .replace(b"</PinJoint>", b"</ScapulothoracicJoint>", 1)
    )
    if odd == document.to_bytes():
        odd = document.to_bytes().replace(b"CustomJoint", b"EllipsoidJoint", 2)
    with pytest.raises(ModelError):
        inverse_kinematics(markers, OsimDocument.from_bytes(odd))


def test_parts_without_markers_do_not_change_the_result() -> None:
    document = bsm()
    tree = document.tree()
    hand = tree.bodies.index("hand_r")
    small, bodies = without_idle_parts(tree, [hand, tree.bodies.index("calcn_l")])
    q = torch.tensor(np.array(smooth_motion(document, 4).values_si))
    expected = tree.forward(q).positions_m[:, [hand, tree.bodies.index("calcn_l")]]
    torch.testing.assert_close(small.forward(q).positions_m[:, bodies], expected, atol=1e-12, rtol=0)
    assert len(small.joints) < len(tree.joints)


@pytest.mark.opensim
def test_opensims_own_tool_finds_the_same_on_our_model() -> None:
    document = bsm()
    markers = markers_of(document, smooth_motion(document, 8), noise_m=0.005)
    own = inverse_kinematics(markers, document)
    theirs = inverse_kinematics(markers, document, backend="opensim")
    assert own.coordinates == theirs.coordinates
    rms_mm = [1000 * marker_errors(motion, document, markers).rms_m for motion in (own, theirs)]
    assert rms_mm[0] <= rms_mm[1] + 0.01
    assert abs(rms_mm[0] - rms_mm[1]) < 0.5
    np.testing.assert_allclose(own.column("knee_angle_r"), theirs.column("knee_angle_r"), atol=0.02)


@pytest.mark.opensim
def test_opensims_own_tool_bridges_frames_without_markers_too() -> None:
    document = bsm()
    motion = smooth_motion(document, 12)
    positions = np.array(markers_of(document, motion).positions_m)
    positions[5:7] = np.nan
    positions[3, 4:9] = np.nan
    found = inverse_kinematics(with_positions(markers_of(document, motion), positions), document, backend="opensim")
    assert len(found.time_s) == 12
    between = found.values_si[4] + (found.values_si[7] - found.values_si[4]) / 3
    np.testing.assert_allclose(found.values_si[5], between, atol=1e-9)


@pytest.mark.opensim
def test_opensim_solves_models_whose_joints_we_cannot_evaluate(tmp_path: Path) -> None:
    opensim = pytest.importorskip("opensim")
    model = opensim.Model()
    model.setName("ellipsoid")
    radii, mass = opensim.Vec3(0.1, 0.2, 0.1), (1.0, opensim.Vec3(0), opensim.Inertia(0.1, 0.1, 0.1))
    trunk, blade = opensim.Body("trunk", *mass), opensim.Body("blade", *mass)
    for body in (trunk, blade):
        model.addBody(body)
    model.addJoint(opensim.FreeJoint("root", model.getGround(), trunk))
    model.addJoint(opensim.EllipsoidJoint("girdle", trunk, blade, radii))
    for number, (body, place) in enumerate(
        [(trunk, (0.1, 0, 0)), (trunk, (0, 0.2, 0)), (trunk, (0, 0, 0.1)), (blade, (0.1, 0, 0)), (blade, (0, 0.1, 0.1))]
    ):
        model.addMarker(opensim.Marker(f"m{number}", body, opensim.Vec3(*place)))
    model.finalizeConnections()
    model.printToXML(str(tmp_path / "model.osim"))
    document = OsimDocument.read(tmp_path / "model.osim")
    names = tuple(document.coordinates)
    values = 0.1 * np.sin(np.arange(6)[:, None] / 3 + np.arange(len(names)))
    truth = OsimMotion(time_s=np.arange(6) / 50, coordinates=names, values_si=values, rotational=document.rotational)
    places = opensim_markers(truth, document, tuple(document.markers))
    markers = Markers(time_s=truth.time_s, names=tuple(document.markers), positions_m=places)
    with pytest.raises(ModelError, match="--backend opensim"):
        inverse_kinematics(markers, document, backend="own")
    found = inverse_kinematics(markers, document, backend="opensim")
    assert marker_errors(found, document, markers).rms_m < 1e-3


@pytest.mark.slow
@pytest.mark.opensim
@pytest.mark.assets
@pytest.mark.parametrize("trial", ["e1_walk", "e1_dropjump", "s4_walk_grf"])
def test_opensims_own_tool_finds_the_same_on_real_trials(trial: str) -> None:
    if not TRIALS.is_dir():
        pytest.skip("the development data are not here")
    document = OsimDocument.read(TRIALS / trial / "ref.osim")
    whole = read_trc(TRIALS / trial / "markers.trc")
    markers = Markers(time_s=whole.time_s[:40], names=whole.names, positions_m=whole.positions_m[:40])
    own = inverse_kinematics(markers, document)
    theirs = inverse_kinematics(markers, document, backend="opensim")
    rms_mm = [1000 * marker_errors(motion, document, markers).rms_m for motion in (own, theirs)]
    assert abs(rms_mm[0] - rms_mm[1]) < 0.5, rms_mm
    assert rms_mm[0] <= rms_mm[1] + 0.01, rms_mm
    assert matched_markers(markers, document, {}) == tuple(n for n in markers.names if n in document.markers)
    for name in ("knee_angle_r", "hip_flexion_l", "pelvis_tilt", "ankle_angle_l"):
        np.testing.assert_allclose(own.column(name), theirs.column(name), atol=0.06, err_msg=name)
    coupled = own.column("knee_angle_r_beta")
    np.testing.assert_allclose(coupled, own.column("knee_angle_r"), atol=1e-6)
