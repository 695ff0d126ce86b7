"""Inverse dynamics of models as people have them: locked coordinates, several bases, welded bases, constraints, one leg."""

from __future__ import annotations

import numpy as np
import pytest

from hsmr_bio.dynamics import inverse_dynamics, loads_from_arrays
from hsmr_bio.dynamics.opensim_backend import OpenSimBackend
from hsmr_bio.errors import InputError, ModelError
from hsmr_bio.types import OsimMotion

pytest.importorskip("opensim")

TIME_S = np.arange(40) / 50


def body(name: str, mass_kg: float) -> str:
    """A body."""
    return (
        f'<Body name="{name}"><mass>{mass_kg}</mass><mass_center>0 -0.2 0</mass_center>'
        "<inertia>0.1 0.1 0.1 0 0 0</inertia></Body>"
    )


def joint(kind: str, name: str, parent: str, child: str, coordinates: str) -> str:
    """A joint at the origins of both bodies."""
    listed = "".join(f'<Coordinate name="{word}"/>' for word in coordinates.split())
    return (
        f'<{kind} name="{name}"><socket_parent_frame>{parent}</socket_parent_frame>'
        f"<socket_child_frame>/bodyset/{child}</socket_child_frame><coordinates>{listed}</coordinates></{kind}>"
    )


def model(bodies: str, joints: str, rest: str = "") -> bytes:
    """The bytes of a model."""
    return (
        f'<OpenSimDocument Version="40000"><Model name="m"><gravity>0 -9.80665 0</gravity><BodySet><objects>{bodies}</objects>'
        f"</BodySet><JointSet><objects>{joints}</objects></JointSet>{rest}</Model></OpenSimDocument>"
    ).encode()


PLANAR = joint("PlanarJoint", "root", "/ground", "pelvis", "tilt tx ty")
LEG = body("pelvis", 10) + body("calcn_r", 2)
ANKLE = joint("PinJoint", "ankle", "/bodyset/pelvis", "calcn_r", "angle")


def moving(names: str) -> OsimMotion:
    """A smooth motion of some coordinates, all taken for what their names say."""
    coordinates = tuple(names.split())
    values = 0.2 * np.sin(3 * TIME_S[:, None] + np.arange(len(coordinates)))
    angles = np.array([name not in ("tx", "ty", "bx", "by") for name in coordinates])
    return OsimMotion(time_s=TIME_S, coordinates=coordinates, values_si=values, rotational=angles)


@pytest.mark.parametrize("state", ["locked", "prescribed"])
def test_a_locked_coordinate_moves_as_the_motion_says(state: str) -> None:
    extra = "<prescribed_function><Constant><value>0</value></Constant></prescribed_function>" if state == "prescribed" else ""
    held = ANKLE.replace('<Coordinate name="angle"/>', f'<Coordinate name="angle">{extra}<{state}>true</{state}></Coordinate>')
    free = inverse_dynamics(moving("tilt tx ty angle"), model(LEG, PLANAR + ANKLE))
    found = inverse_dynamics(moving("tilt tx ty angle"), model(LEG, PLANAR + held))
    np.testing.assert_allclose(found.values_si, free.values_si, atol=1e-9)
    assert np.ptp(found.column("angle")) > 0.5


def test_a_locked_coordinate_that_the_motion_lacks_keeps_its_default() -> None:
    held = ANKLE.replace(
        '<Coordinate name="angle"/>',
        '<Coordinate name="angle"><default_value>0.3</default_value><locked>true</locked></Coordinate>',
    )
    backend = OpenSimBackend(model(LEG, PLANAR + held))
    assert backend.locked_values() == {"angle": 0.3}
    motion = moving("tilt tx ty")
    still = OsimMotion(
        time_s=TIME_S,
        coordinates=("tilt", "tx", "ty", "angle"),
        values_si=np.column_stack([motion.values_si, np.full(len(TIME_S), 0.3)]),
        rotational=np.array([True, False, False, True]),
    )
    found = inverse_dynamics(motion, backend)
    np.testing.assert_allclose(found.values_si, inverse_dynamics(still, model(LEG, PLANAR + ANKLE)).values_si, atol=1e-6)


def test_of_several_bases_the_heaviest_has_the_residuals(caplog) -> None:
    ball = joint("PlanarJoint", "kick", "/ground", "ball", "spin bx by")
    backend = OpenSimBackend(model(body("ball", 0.4) + LEG, ball + PLANAR + ANKLE))
    assert backend.base_body == "pelvis"
    assert backend.base_coordinates == ("tilt", "tx", "ty")
    assert "several bodies are connected to ground: residuals are those of pelvis, not of ball" in caplog.text
    found = inverse_dynamics(moving("tilt tx ty angle spin bx by"), backend)
    alone = inverse_dynamics(moving("tilt tx ty angle"), model(LEG, PLANAR + ANKLE))
    np.testing.assert_allclose(found.column("angle"), alone.column("angle"), atol=1e-9)


def test_a_base_on_a_welded_platform_is_found() -> None:
    weld = joint("WeldJoint", "fix", "/ground", "platform", "")
    on_it = PLANAR.replace("/ground", "/bodyset/platform")
    backend = OpenSimBackend(model(body("platform", 1) + LEG, weld + on_it + ANKLE))
    assert backend.base_body == "pelvis"


def test_a_model_that_is_welded_to_ground_has_no_residuals() -> None:
    weld = joint("WeldJoint", "fix", "/ground", "pelvis", "")
    backend = OpenSimBackend(model(LEG, weld + ANKLE))
    assert backend.base_coordinates == ()
    point = np.zeros((len(TIME_S), 3))
    force = np.tile([0.0, 60.0, 0.0], (len(TIME_S), 1))
    loads = loads_from_arrays(TIME_S, force, point, bodies=["calcn_r"])
    found = inverse_dynamics(moving("angle"), backend, loads)
    assert found.residuals is None
    assert list(found.work_j()) == ["angle"]


def test_constraints_are_taken_away_and_said(caplog) -> None:
    weld = (
        '<ConstraintSet><objects><PointConstraint name="hold"><socket_body_1>/bodyset/calcn_r</socket_body_1>'
        "<socket_body_2>/ground</socket_body_2></PointConstraint></objects></ConstraintSet>"
    )
    found = inverse_dynamics(moving("tilt tx ty angle"), model(LEG, PLANAR + ANKLE, weld))
    free = inverse_dynamics(moving("tilt tx ty angle"), model(LEG, PLANAR + ANKLE))
    np.testing.assert_allclose(found.values_si, free.values_si, atol=1e-9)
    assert "the moments are those without PointConstraint 'hold'" in caplog.text


def test_a_plate_finds_the_foot_of_a_model_with_one_leg() -> None:
    backend = OpenSimBackend(model(LEG, PLANAR + ANKLE))
    motion = moving("tilt tx ty angle")
    still = OsimMotion(
        time_s=TIME_S, coordinates=motion.coordinates, values_si=np.zeros((len(TIME_S), 4)), rotational=motion.rotational
    )
    force = np.tile([0.0, 12 * 9.80665, 0.0], (len(TIME_S), 1))
    near = loads_from_arrays(TIME_S, force, np.tile([0.1, 0.0, 0.0], (len(TIME_S), 1)))
    found = inverse_dynamics(still, backend, near)
    assert found.loads is not None
    assert str(found.loads.assignments[0]) == "force_1: calcn_r from 0.000 to 0.780 s (10 cm away)"
    far = loads_from_arrays(TIME_S, force, np.tile([2.0, 0.0, 0.0], (len(TIME_S), 1)))
    with pytest.raises(InputError, match="no foot is near"):
        inverse_dynamics(still, backend, far)


def test_a_model_without_coordinates_is_refused() -> None:
    with pytest.raises(ModelError, match="no coordinate"):
        OpenSimBackend(model(body("pelvis", 1), joint("WeldJoint", "fix", "/ground", "pelvis", "")))
