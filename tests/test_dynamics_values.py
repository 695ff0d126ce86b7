"""Signs, sides and sizes of forces against mechanics done by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hsmr_bio.dynamics import ExternalForce, ExternalLoads, ground_reaction, inverse_dynamics, loads_from_arrays
from hsmr_bio.dynamics.checks import CHECKS, check_dynamics
from hsmr_bio.dynamics.foot_outline import assign_to_feet, soles
from hsmr_bio.dynamics.ground_reaction import FRICTION, _contact_weights, _distribute, _weights_of
from hsmr_bio.dynamics.load_files import _lab_to_ground, _plate_force, _sensor_arm
from hsmr_bio.dynamics.loads import LOADED_SHARE, loaded
from hsmr_bio.dynamics.opensim_backend import OpenSimBackend
from hsmr_bio.dynamics.results import summary, write_dynamics
from hsmr_bio.dynamics.trajectory import Trajectory, natural_spline, opensim_lowpass, point_reflected, trajectory
from hsmr_bio.errors import InputError, ModelError
from hsmr_bio.io.sto import read_sto
from hsmr_bio.osim.library import bsm
from hsmr_bio.types import OsimMotion

FRAMES = 30
TIME_S = np.arange(FRAMES) / 100
G = 9.80665


@pytest.fixture(scope="module")
def backend() -> OpenSimBackend:
    return OpenSimBackend(bsm().to_bytes())


def standing(**changed: float | np.ndarray) -> OsimMotion:
    document = bsm()
    names = tuple(document.coordinates)
    values = np.tile(document.default_si, (FRAMES, 1))
    values[:, names.index("pelvis_ty")] = 0.93
    for name, value in changed.items():
        values[:, names.index(name)] += value
    return OsimMotion(time_s=TIME_S, coordinates=names, values_si=values, rotational=document.rotational)


@pytest.fixture(scope="module")
def feet(backend):
    return soles(backend.select(trajectory(standing())), backend)[0]


# ---------------------------------------------------------------------- what a load does to a joint


@pytest.mark.parametrize(("side", "other"), [("r", "l"), ("l", "r")])
def test_a_weight_in_one_hand_bends_that_arm(backend, side: str, other: str) -> None:
    """50 N down in the hand of a bent elbow: its flexors must give 50 N times the horizontal lever; the other arm nothing."""
    motion = standing(**{f"elbow_flexion_{side}": 1.2})
    zero = np.zeros((FRAMES, 3))
    down = ExternalForce(
        name="d", body=f"hand_{side}", time_s=TIME_S, force_n=zero + np.array([0, -50.0, 0]), point_m=None, torque_nm=zero
    )
    plain, held = (inverse_dynamics(motion, backend, loads) for loads in (None, ExternalLoads(forces=(down,))))
    extra = {name: (held.column(name) - plain.column(name))[5] for name in (f"elbow_flexion_{side}", f"elbow_flexion_{other}")}
    poses = backend.poses(held.trajectory, (f"hand_{side}", f"ulna_{side}"))
    lever = abs((poses.origins_m[5, 0] - poses.origins_m[5, 1])[0])
    assert extra[f"elbow_flexion_{side}"] == pytest.approx(50 * lever, rel=0.12) and lever > 0.1
    assert extra[f"elbow_flexion_{other}"] == pytest.approx(0, abs=1e-9)


def test_a_free_moment_and_an_offset_force_load_the_base_alike(backend) -> None:
    """A force of 10 N forwards, 0.3 m to the right of the body's origin, is the same force and a moment of 3 N m about -y."""
    zero = np.zeros((FRAMES, 3))
    motion = standing()
    origin = backend.poses(backend.select(trajectory(motion)), ("torso" if "torso" in backend.body_masses_kg else "thorax",))
    body, at = origin.bodies[0], origin.origins_m[:, 0]
    force = zero + np.array([10.0, 0, 0])
    offset = ExternalForce(
        name="a", body=body, time_s=TIME_S, force_n=force, point_m=at + np.array([0, 0, 0.3]), torque_nm=zero
    )
    moment = ExternalForce(
        name="a", body=body, time_s=TIME_S, force_n=force, point_m=None, torque_nm=zero + np.array([0, 3.0, 0])
    )
    results = [inverse_dynamics(motion, backend, ExternalLoads(forces=(f,))).values_si for f in (offset, moment)]
    np.testing.assert_allclose(results[0], results[1], atol=1e-9)
    without = inverse_dynamics(motion, backend)
    tx = without.coordinates.index("pelvis_tx")
    np.testing.assert_allclose(results[0][:, tx] - without.values_si[:, tx], -10.0, atol=1e-9)


def test_a_locked_coordinate_that_a_motion_lacks_keeps_its_default() -> None:
    xml = bsm().to_bytes().decode()
    head, name, tail = xml.partition('<Coordinate name="mtp_angle_r">')
    assert name and "<locked>false</locked>" in tail.split("</Coordinate>")[0]
    tail = tail.replace("<locked>false</locked>", "<locked>true</locked>", 1)
    tail = tail.replace(tail[tail.index("<default_value>") : tail.index("</default_value>")], "<default_value>0.25", 1)
    locked = OpenSimBackend((head + name + tail).encode())
    assert locked.locked_values() == {"mtp_angle_r": pytest.approx(0.25)}
    motion = standing()
    kept = [n for n, column in enumerate(motion.coordinates) if column != "mtp_angle_r"]
    fewer = OsimMotion(
        time_s=TIME_S,
        coordinates=tuple(motion.coordinates[n] for n in kept),
        values_si=motion.values_si[:, kept],
        rotational=motion.rotational[kept],
    )
    found = locked.select(trajectory(fewer))
    assert found.q_si[:, found.coordinates.index("mtp_angle_r")] == pytest.approx(0.25)


# ---------------------------------------------------------------------- the floor


def leaning(backend, lean: str, angle: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Forces, centres of pressure and the horizontal place of the centre of mass of a body that leans about its ankles."""
    motion = standing(**{lean: angle})
    result = ground_reaction(motion, backend)
    com = backend.poses(backend.select(trajectory(motion)), ()).com_m[10]
    return result.force_n[10], result.center_of_pressure_m[10], com


def test_the_centre_of_pressure_is_under_the_centre_of_mass_of_a_still_body(backend) -> None:
    force, at, com = leaning(backend, "hip_flexion_r", 0.0)
    middle = (force[:, 1:2] * at).sum(axis=0) / force[:, 1].sum()
    np.testing.assert_allclose(middle[[0, 2]], com[[0, 2]], atol=0.004)
    assert at[0, 2] > 0.03 and at[1, 2] < -0.03, "right foot at +z, left foot at -z"
    assert (at[:, 1] == 0).all()


def test_the_foot_under_the_weight_carries_more(backend) -> None:
    """Bent to the right, the trunk is over the right foot."""
    for sign, foot in ((1, 0), (-1, 1)):
        name = "lumbar_bending"
        force, _, com = leaning(backend, name, sign * 0.25)
        over = 0 if com[2] > 0 else 1
        assert force[over, 1] > 1.15 * force[1 - over, 1], (sign, foot)
        assert abs(com[2]) > 0.01


def test_a_body_that_speeds_up_is_pushed_forwards(backend) -> None:
    """1.5 m/s^2 forwards needs mass times 1.5 N from the floor, along +x; sidewards along +z."""
    for name, axis in (("pelvis_tx", 0), ("pelvis_tz", 2)):
        motion = standing(**{name: 0.5 * 1.5 * (TIME_S - TIME_S.mean()) ** 2})
        contacts = np.ones((FRAMES, 4))
        result = ground_reaction(motion, backend, cutoff_hz=None, contacts=contacts)
        pushed = result.force_n.sum(axis=1)[8:-8] + result.residual_force_n[8:-8]
        np.testing.assert_allclose(pushed[:, axis], backend.mass_kg * 1.5, rtol=0.02)
        np.testing.assert_allclose(pushed[:, 1], backend.mass_kg * G, rtol=0.001)
        np.testing.assert_allclose(pushed[:, 2 - axis], 0, atol=1)


def test_a_floor_that_is_higher_carries_at_its_own_height(backend) -> None:
    motion = standing(pelvis_ty=0.4)
    result = ground_reaction(motion, backend, floor_m=0.4)
    assert result.center_of_pressure_m[..., 1] == pytest.approx(0.4)
    level = ground_reaction(standing(), backend)
    np.testing.assert_allclose(result.force_n, level.force_n, atol=0.5)
    assert result.com_height_m == pytest.approx(level.com_height_m)
    np.testing.assert_allclose(result.residual_moment_nm, level.residual_moment_nm, atol=0.5)


def weights(heights_m: list[float], speeds_m_s: list[float], feet) -> np.ndarray:
    """Contact weights of the first point in a middle frame in which it is lifted or moves."""
    found = []
    for height, speed in zip(heights_m, speeds_m_s, strict=True):
        points = np.zeros((FRAMES, 2, 6, 3))  # all others stand all the time
        points[:, 0, 0, 1] = np.where(np.abs(np.arange(FRAMES) - FRAMES // 2) < 8, height, 0.0)
        points[:, 0, 0, 0] = speed * TIME_S
        moved = type(feet)(bodies=feet.bodies, points_m=points, middle_m=feet.middle_m)
        found.append(_contact_weights(moved, TIME_S, 0.0)[FRAMES // 2, 0])
    return np.array(found)


def test_a_sole_touches_below_five_centimetres_and_08_metres_a_second(feet) -> None:
    np.testing.assert_allclose(weights([0.05, 0.03, 0.07], [0.0, 0.0, 0.0], feet), [0.49, 0.91, 0.075], atol=0.02)
    np.testing.assert_allclose(weights([0.0, 0.0, 0.0], [0.8, 0.4, 1.2], feet), [0.5, 0.88, 0.12], atol=0.02)


def test_given_contacts_go_to_heel_and_toe_points_right_then_left() -> None:
    found = _weights_of(np.tile([0.1, 0.2, 0.3, 0.4], (FRAMES, 1)), TIME_S)
    np.testing.assert_allclose(found, np.tile([0.1] * 2 + [0.2] * 4 + [0.3] * 2 + [0.4] * 4, (FRAMES, 1)))
    step = np.zeros((101, 4))
    step[50:] = 1.0
    smooth = _weights_of(step, np.arange(101) / 100)[:, 0]
    assert smooth[50] == pytest.approx(1 - smooth[49]) and 0.5 < smooth[50] < 0.65
    assert smooth[44] == 0 and smooth[55] == 1, "over a tenth of a second"
    with pytest.raises(InputError, match="between 0 and 1"):
        _weights_of(np.full((FRAMES, 4), 1.2), TIME_S)
    with pytest.raises(InputError, match="between 0 and 1"):
        _weights_of(np.full((FRAMES, 4), -0.2), TIME_S)


@pytest.mark.parametrize("push", [(0.9, 0.0), (-0.9, 0.0), (0.0, 0.9), (0.0, -0.9)])
def test_friction_holds_up_to_its_share_in_every_direction(push: tuple[float, float]) -> None:
    """A push of 0.9 of the weight through the centre of mass: what the floor gives leans by at most the coefficient."""
    arms = np.array([[-0.1, -1.0, -0.1], [-0.1, -1.0, 0.1], [0.1, -1.0, -0.1], [0.1, -1.0, 0.1]])
    wrench = np.array([push[0], 1.0, push[1], 0, 0, 0])
    found = _distribute(wrench, arms, 1.0, np.ones(4), 0.5, None)
    total = found.sum(axis=0)
    direction = np.array([push[0], 0, push[1]]) / 0.9
    assert 0.3 < total @ direction / total[1] <= 0.5 + 1e-9
    free = _distribute(wrench * [0.3, 1, 0.3, 1, 1, 1], arms, 1.0, np.ones(4), 0.5, None).sum(axis=0)
    assert free @ direction > 0 and FRICTION == 0.8


def test_points_share_by_how_surely_they_touch_and_balance_moments() -> None:
    """A weight over the front points is carried there, whoever else touches; over the middle by the surer ones."""
    arms = np.array([[-0.1, -1.0, 0.0], [0.1, -1.0, 0.0]])
    front = _distribute(np.array([0, 1.0, 0, 0, 0, 0.05]), arms, 1.0, np.ones(2), 0.8, None)
    assert front[:, 1] @ arms[:, 0] == pytest.approx(0.05, abs=0.003), "moment about z is x times the vertical force"
    assert front[1, 1] == pytest.approx(0.75, abs=0.02)
    beside = _distribute(np.array([0, 1.0, 0, 0, 0, 0]), arms * [0, 1, 0] + [0, 0, 0], 1.0, np.array([1.0, 0.5]), 0.8, None)
    assert beside[0, 1] > 1.5 * beside[1, 1]


# ---------------------------------------------------------------------- whose load it is


def test_a_plate_belongs_to_the_foot_over_it(feet) -> None:
    """The right foot's plate is the right foot's, also when it is 10 cm in front of it; heights do not count."""
    force = np.tile([0.0, 500.0, 0.0], (FRAMES, 1))
    for foot, body in enumerate(feet.bodies):
        point = feet.middle_m[:, foot] + np.array([0.1, 3.0, 0.0])
        (found,) = assign_to_feet(loads_from_arrays(TIME_S, force, point), feet, TIME_S, weight_n=700).forces
        assert found.body == body
    entry = assign_to_feet(loads_from_arrays(TIME_S, force, point), feet, TIME_S, weight_n=700).assignments[0]
    assert entry.distance_m == pytest.approx(0.1, abs=1e-6) and entry.other_distance_m > 0.15
    assert (entry.start_s, entry.end_s) == (0.0, pytest.approx(0.29))


def test_a_plate_is_loaded_above_five_per_cent_of_body_weight() -> None:
    zero = np.zeros((3, 3))
    force = ExternalForce(
        name="a", body=None, time_s=[0, 1, 2], force_n=[[0, 34, 0], [0, 36, 0], [25, 0, -26]], point_m=zero, torque_nm=zero
    )
    np.testing.assert_array_equal(loaded(force, 700.0), [False, True, True])
    assert LOADED_SHARE == 0.05


def test_moments_become_a_centre_of_pressure_and_a_free_moment() -> None:
    """A plate at x = 1, z = 2; 600 N at 0.1 m before and 0.2 m right of its middle, with 5 N m about the vertical."""
    centre, arm = np.array([1.0, 0.0, 2.0]), np.array([0.1, 0.0, 0.2])
    force = np.array([[30.0, 600.0, -20.0], [0.0, 10.0, 0.0]])
    moment = np.cross(arm, force) + np.array([0, 5.0, 0])
    for sign in (1.0, -1.0):  # the action of the foot is turned into the reaction
        found = _plate_force("p", np.array([0.0, 1.0]), sign * force, sign * moment, centre)
        np.testing.assert_allclose(found.force_n, [[30, 600, -20], [0, 0, 0]])
        np.testing.assert_allclose(found.point_m, [[1.1, 0, 2.2], [1, 0, 2]])
        np.testing.assert_allclose(found.torque_nm, [[0, 5.0, 0], [0, 0, 0]], atol=1e-12)


@pytest.mark.parametrize("up", ["y", "z"])
@pytest.mark.parametrize("forward", ["+x", "-x", "+y", "-y", "+z", "-z"])
def test_the_laboratory_turns_into_ground_without_a_mirror(up: str, forward: str) -> None:
    across = np.eye(3)[[axis for axis in range(3) if "xyz"[axis] != up]]
    corners = np.array([0 * across[0], across[0], across[0] + across[1], across[1]]).T
    if forward[1] == up:
        with pytest.raises(InputError, match="vertical axis"):
            _lab_to_ground("f", "plate 1", corners, up, forward)
        return
    turn = _lab_to_ground("f", "plate 1", corners, up, forward)
    assert np.linalg.det(turn) == pytest.approx(1)
    along = (1 if forward[0] == "+" else -1) * np.eye(3)["xyz".index(forward[1])]
    np.testing.assert_allclose(turn @ along, [1, 0, 0])
    np.testing.assert_allclose(turn @ np.eye(3)["xyz".index(up)], [0, 1, 0])
    np.testing.assert_allclose(_lab_to_ground("f", "plate 1", corners, None, forward), turn)


# ---------------------------------------------------------------------- derivatives


def test_opensims_filter_halves_what_is_at_its_cutoff() -> None:
    time_s = np.arange(1000) / 100
    for hz, gain in ((6.0, 0.5), (0.86 * 6.0, np.sqrt(0.5)), (1.0, 1.0)):
        wave = np.sin(2 * np.pi * hz * time_s)
        found = opensim_lowpass(wave[:, None], rate_hz=100, cutoff_hz=6.0)[300:700, 0]
        assert np.linalg.norm(found) / np.linalg.norm(wave[300:700]) == pytest.approx(gain, abs=0.01)
    for wrong in (0.0, 50.0, 60.0):
        with pytest.raises(InputError, match="between 0 and 50"):
            opensim_lowpass(wave[:, None], rate_hz=100, cutoff_hz=wrong)


def test_ends_are_reflected_in_their_last_samples() -> None:
    values = np.array([[1.0], [2.0], [4.0], [7.0]])
    np.testing.assert_array_equal(point_reflected(values, 2)[:, 0], [-2, 0, 1, 2, 4, 7, 10, 12])


def test_a_natural_spline_has_the_derivatives_of_a_cubic_inside() -> None:
    time_s = np.linspace(0, 1, 60)
    q, u, a = natural_spline(time_s, np.stack([time_s**2, 1 - 2 * time_s], axis=1), time_s)
    np.testing.assert_allclose(u[20:40, 0], 2 * time_s[20:40], atol=1e-6)
    np.testing.assert_allclose(a[20:40], np.tile([2.0, 0.0], (20, 1)), atol=1e-4)
    assert Trajectory(time_s=time_s, coordinates=("a", "b"), q_si=q, u_si=u, a_si=a).u_si[5, 1] == pytest.approx(-2)


def test_residuals_are_judged_by_hicks_thresholds() -> None:
    wanted = {
        "residual force": (0.05, 0.15),
        "residual moment": (0.01, 0.05),
        "residual force, RMS": (0.05, 0.1),
        "residual moment, RMS": (0.05, 0.1),
    }
    assert {row.name: (row.warn_above, row.fail_above) for row in CHECKS} == wanted


def test_residual_shares_are_of_the_peak_force_and_the_height(backend) -> None:
    """120 % of the weight under both feet: a fifth is too much, a sixth of the peak external force."""
    motion = standing()
    feet, _ = soles(backend.select(trajectory(motion)), backend)
    weight = backend.mass_kg * G
    com = backend.poses(backend.select(trajectory(motion)), ()).com_m
    force = np.zeros((2, FRAMES, 3))
    force[..., 1] = 0.6 * weight
    point = np.stack([com, com]) * [1, 0, 1] + np.array([[[0, 0, 0.08]], [[0, 0, -0.08]]])
    result = inverse_dynamics(motion, backend, loads_from_arrays(TIME_S, force, point, bodies=list(feet.bodies)))
    residuals = result.residuals
    assert residuals.force_rms_bw == pytest.approx(0.2, rel=1e-3)
    assert residuals.force_share == pytest.approx(0.2 / 1.2, rel=1e-3)
    assert residuals.moment_rms_bw_h < 0.005
    shifted = point + np.array([0.1, 0, 0])
    result = inverse_dynamics(motion, backend, loads_from_arrays(TIME_S, force, shifted, bodies=list(feet.bodies)))
    assert result.residuals.moment_rms_bw_h == pytest.approx(1.2 * 0.1 / com[0, 1], rel=0.02)
    assert result.residuals.moment_share == pytest.approx(0.1 / com[0, 1], rel=0.02)


def test_a_plates_sensor_is_found_in_the_plates_own_axes() -> None:
    """Corners 1 to 4 give x (2 to 1) and y (4 to 1); z is normal to both."""
    corners = np.array([[3.0, 1, 0], [1, 1, 0], [1, 4, 0], [3, 4, 0]]).T
    x, y, z = np.array([1.0, 0, 0]), np.array([0, -1.0, 0]), np.array([0, 0, -1.0])
    np.testing.assert_allclose(_sensor_arm(corners, np.array([1.0, 2.0, 3.0])), x + 2 * y + 3 * z)


@pytest.mark.parametrize("frames", [{"force_frame": "calcn_r"}, {"point_frame": "calcn_r"}])
def test_the_second_engine_takes_loads_in_ground_only(frames: dict[str, str]) -> None:
    pytest.importorskip("nimblephysics")
    zero = np.zeros((FRAMES, 3))
    force = ExternalForce(name="a", body="calcn_r", time_s=TIME_S, force_n=zero, point_m=zero, torque_nm=zero, **frames)
    with pytest.raises(ModelError, match="must be given in ground axes"):
        inverse_dynamics(standing(), bsm(), ExternalLoads(forces=(force,)), backend="nimble")


def test_the_summary_is_per_kilogram_and_in_body_weights(backend) -> None:
    result = inverse_dynamics(standing(), backend, "estimate")
    found = summary(result)
    assert (found["frames"], found["mass_kg"]) == (FRAMES, pytest.approx(backend.mass_kg))
    vertical = result.ground.force_n[..., 1] / (backend.mass_kg * G)
    assert found["ground"]["peak_vertical_bw"] == {
        "r": pytest.approx(vertical[:, 0].max()),
        "l": pytest.approx(vertical[:, 1].max()),
    }
    assert found["ground"]["mean_vertical_bw"] == pytest.approx(1, abs=1e-3) and found["ground"]["flight_share"] == 0
    assert "pelvis_ty" not in found["joints"]
    knee = result.column("knee_angle_r") / backend.mass_kg
    assert found["joints"]["knee_angle_r"]["peak_per_kg"] == pytest.approx([knee.min(), knee.max()])
    assert found["checks"] == check_dynamics(result).to_json() and len(found["checks"]["checks"]) == len(CHECKS)
    rms = {name: value for name, value in found["residuals"].items() if name.startswith("rms")}
    assert rms == {"rms_force_bw": result.residuals.force_rms_bw, "rms_moment_bw_h": result.residuals.moment_rms_bw_h}


def test_the_summary_says_which_foot_each_plate_was_given_to(backend) -> None:
    ground = ground_reaction(standing(), backend)
    plates = loads_from_arrays(TIME_S, ground.force_n.transpose(1, 0, 2), ground.center_of_pressure_m.transpose(1, 0, 2))
    result = inverse_dynamics(standing(), backend, plates)
    found = summary(result)
    assert found["loads"] == "arrays"
    for number, (entry, body) in enumerate(zip(found["assignment"], ("calcn_r", "calcn_l"), strict=True), start=1):
        assert (entry["force"], entry["body"], entry["start_s"]) == (f"force_{number}", body, 0.0)
        assert entry["end_s"] == pytest.approx(TIME_S[-1]) and entry["distance_m"] < entry["other_distance_m"]
        assert entry["text"].startswith(f"force_{number}: {body} from 0.000")


def test_files_of_dynamics_are_per_kilogram_if_asked(backend, tmp_path: Path) -> None:
    result = inverse_dynamics(standing(), backend)
    for name, per_kg, factor in (("whole", False, 1.0), ("each", True, 1 / backend.mass_kg)):
        write_dynamics(tmp_path, result, name=name, model_file="m.osim", motion_file="m.mot", per_kg=per_kg)
        np.testing.assert_allclose(read_sto(tmp_path / f"{name}_id.sto").values_si, factor * result.values_si, atol=1e-6)


def test_a_runners_foot_lands_fast(feet) -> None:
    """While no point is low and slow for sure, low ones count whatever their speed."""
    points = np.zeros((FRAMES, 2, 6, 3))
    points[..., 0] = TIME_S[:, None, None]  # all at 1 m/s: slow with a weight of 0.27
    moved = type(feet)(bodies=feet.bodies, points_m=points, middle_m=feet.middle_m)
    slow = 1 / (1 + np.e)
    assert _contact_weights(moved, TIME_S, 0.0)[10, 0] == pytest.approx(slow + (1 - slow) * (1 - slow / 0.5), abs=0.01)
