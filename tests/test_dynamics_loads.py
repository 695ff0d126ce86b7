"""External loads: readers, assignment to feet, and one clear error for each wrong file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hsmr_bio.dynamics import (
    ExternalForce,
    ExternalLoads,
    inverse_dynamics,
    loads_from_arrays,
    read_c3d_plates,
    read_loads,
    trajectory,
)
from hsmr_bio.dynamics.foot_outline import assign_to_feet, soles
from hsmr_bio.dynamics.opensim_backend import OpenSimBackend
from hsmr_bio.dynamics.setup_files import write_loads
from hsmr_bio.errors import FormatError, InputError, ShapeError
from hsmr_bio.io.table import Table, write_table
from hsmr_bio.osim.library import bsm
from hsmr_bio.types import OsimMotion

FRAMES = 60
TIME_S = np.arange(FRAMES) / 100
WEIGHT_N = bsm().mass_kg * 9.80665


@pytest.fixture(scope="module")
def backend() -> OpenSimBackend:
    return OpenSimBackend(bsm().to_bytes())


@pytest.fixture(scope="module")
def standing() -> OsimMotion:
    document = bsm()
    values = np.tile(document.default_si, (FRAMES, 1))
    values[:, tuple(document.coordinates).index("pelvis_ty")] = 0.93
    names = tuple(document.coordinates)
    return OsimMotion(time_s=TIME_S, coordinates=names, values_si=values, rotational=document.rotational)


@pytest.fixture(scope="module")
def feet(backend, standing):
    return soles(backend.select(trajectory(standing)), backend)[0]


def arrays(feet, *, share: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Half of the weight under the middle of each foot."""
    force = np.zeros((2, FRAMES, 3))
    force[..., 1] = share * WEIGHT_N
    point = feet.middle_m.transpose(1, 0, 2) * [1, 0, 1]
    return force, point


COLUMNS = tuple(f"ground_force_{k}_{part}{axis}" for k in (1, 2) for part in "vpm" for axis in "xyz")


def table_of(feet, columns: tuple[str, ...] = COLUMNS) -> Table:
    force, point = arrays(feet)
    values = np.concatenate([part for k in range(2) for part in (force[k], point[k], np.zeros((FRAMES, 3)))], axis=1)
    return Table(title="grf", time_s=TIME_S, columns=columns, values=values, in_degrees=False)


XML = """<OpenSimDocument Version="40000"><ExternalLoads name="x"><objects>{forces}</objects><datafile>{data}</datafile>
</ExternalLoads></OpenSimDocument>"""
FORCE = """<ExternalForce name="{name}"><applied_to_body>{body}</applied_to_body>
<force_expressed_in_body>ground</force_expressed_in_body><point_expressed_in_body>ground</point_expressed_in_body>
<force_identifier>ground_force_{k}_v</force_identifier><point_identifier>ground_force_{k}_p</point_identifier>
<torque_identifier>ground_force_{k}_m</torque_identifier></ExternalForce>"""


def test_every_source_gives_the_same_moments(backend, standing, feet, tmp_path) -> None:
    write_table(tmp_path / "grf.mot", table_of(feet), decimals=12)
    right, left = FORCE.format(name="r", body="calcn_r", k=1), FORCE.format(name="l", body="/bodyset/calcn_l", k=2)
    (tmp_path / "loads.xml").write_text(XML.format(forces=right + left, data="grf.mot"))
    force, point = arrays(feet)
    wanted = inverse_dynamics(standing, backend, loads_from_arrays(TIME_S, force, point, bodies=["calcn_r", "calcn_l"]))
    for loads in (tmp_path / "grf.mot", tmp_path / "loads.xml", loads_from_arrays(TIME_S, force, point)):
        found = inverse_dynamics(standing, backend, loads)
        np.testing.assert_allclose(found.values_si, wanted.values_si, atol=1e-6)
    assert abs(wanted.column("pelvis_ty")).max() < 1e-6 * WEIGHT_N
    assert wanted.residuals.force_share < 1e-6
    write_loads(tmp_path / "again.xml", wanted.loads)
    np.testing.assert_allclose(
        inverse_dynamics(standing, backend, tmp_path / "again.xml").values_si, wanted.values_si, atol=1e-5
    )


def test_frames_of_bodies_are_honoured(backend, standing, feet) -> None:
    """A force and its point given in the foot's own frame act as the same force given in ground."""
    states = backend.select(trajectory(standing))
    poses = backend.poses(states, ("calcn_r",))
    rotation, origin = poses.rotations[:, 0], poses.origins_m[:, 0]
    force, point = np.tile([30.0, 400, -20], (FRAMES, 1)), origin + np.array([0.05, -0.03, 0.02])
    torque = np.tile([1.0, 2, 3], (FRAMES, 1))

    def into(vectors):
        return np.einsum("tji,tj->ti", rotation, vectors)

    ground = ExternalForce(name="a", body="calcn_r", time_s=TIME_S, force_n=force, point_m=point, torque_nm=torque)
    local = ExternalForce(
        name="a",
        body="calcn_r",
        time_s=TIME_S,
        force_n=into(force),
        point_m=into(point - origin),
        torque_nm=into(torque),
        force_frame="calcn_r",
        point_frame="calcn_r",
    )
    results = [inverse_dynamics(standing, backend, ExternalLoads(forces=(load,))).values_si for load in (ground, local)]
    np.testing.assert_allclose(results[0], results[1], atol=1e-9)


def test_a_plate_that_both_feet_use_is_split(feet) -> None:
    force, point = arrays(feet, share=1.0)
    force, point = force[0].copy(), point[0].copy()
    force[25:35] = 0
    point[35:] = (feet.middle_m[35:, 1]) * [1, 0, 1]
    found = assign_to_feet(loads_from_arrays(TIME_S, force, point), feet, TIME_S, weight_n=WEIGHT_N)
    assert [f.body for f in found.forces] == ["calcn_r", "calcn_l"]
    np.testing.assert_array_equal(found.forces[0].force_n + found.forces[1].force_n, force)
    assert found.forces[0].force_n[:25, 1].min() > 0
    assert found.forces[0].force_n[35:].max() == 0
    first, second = found.assignments
    assert (first.body, second.body) == ("calcn_r", "calcn_l")
    assert "calcn_r from 0.000 to 0.240 s (0 cm away" in str(first)


def test_an_ambiguous_plate_is_not_guessed(feet) -> None:
    force, _ = arrays(feet)
    between = feet.middle_m.mean(axis=1) * [1, 0, 1]
    with pytest.raises(InputError, match="both feet are equally near"):
        assign_to_feet(loads_from_arrays(TIME_S, force[0], between), feet, TIME_S, weight_n=WEIGHT_N)
    with pytest.raises(InputError, match="no foot is near"):
        assign_to_feet(loads_from_arrays(TIME_S, force[0], between + np.array([1.0, 0, 0])), feet, TIME_S, weight_n=WEIGHT_N)


WRONG = {
    "kN": (lambda f, p: (f / 1000, p), "looks like kN"),
    "pounds of the sun": (lambda f, p: (f * 100, p), "times body weight"),
    "mm": (lambda f, p: (f, p * 1000), "no foot is near|away from"),
    "action instead of reaction": (lambda f, p: (-f, p), "pulls the body down"),
    "below the ground": (lambda f, p: (f, p - [0, 0.3, 0]), "30 cm below the floor"),
    "z up": (lambda f, p: (f[..., [0, 2, 1]], p[..., [0, 2, 1]]), "below the floor|no foot is near"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("assigned", [True, False])
def test_wrong_units_signs_and_frames_are_refused(backend, standing, feet, case, assigned) -> None:
    change, message = WRONG[case]
    force, point = change(*arrays(feet))
    bodies = ["calcn_r", "calcn_l"] if assigned else None
    with pytest.raises(InputError, match=message):
        inverse_dynamics(standing, backend, loads_from_arrays(TIME_S, force, point, bodies=bodies))


def test_moments_in_newton_millimetres_are_refused(backend, standing, feet) -> None:
    force, point = arrays(feet)
    with pytest.raises(InputError, match="N mm"):
        inverse_dynamics(standing, backend, loads_from_arrays(TIME_S, force, point, np.full_like(force, 5000.0)))


def test_a_dumbbell_may_pull(backend, standing) -> None:
    force = np.tile([0.0, -200.0, 0.0], (FRAMES, 1))
    held = ExternalForce(name="d", body="hand_r", time_s=TIME_S, force_n=force, point_m=None, torque_nm=np.zeros_like(force))
    plain = inverse_dynamics(standing, backend)
    loaded = inverse_dynamics(standing, backend, ExternalLoads(forces=(held,)))
    np.testing.assert_allclose(loaded.column("pelvis_ty") - plain.column("pelvis_ty"), 200.0, atol=1e-9)


def test_nan_and_time_that_does_not_fit_are_refused(backend, standing, feet) -> None:
    force, point = arrays(feet)
    with pytest.raises(InputError, match=r"the motion lasts from 0 to 0\.59 s, the loads from 5 to 5\.59 s, no time in common"):
        inverse_dynamics(standing, backend, loads_from_arrays(TIME_S + 5, force, point, bodies=["calcn_r", "calcn_l"]))
    with pytest.raises(InputError, match=r"the motion lasts from 0 to 0\.59 s, the loads from 5 to 5\.59 s, no time in common"):
        inverse_dynamics(standing, backend, loads_from_arrays(TIME_S + 5, force, point))
    with pytest.raises(InputError, match=r"no external force of .* carries more than 5 %"):
        inverse_dynamics(standing, backend, loads_from_arrays(TIME_S, np.zeros_like(force), point))
    force[1, 7, 2] = np.nan
    with pytest.raises(ShapeError, match="external force 'force_2' must be finite"):
        loads_from_arrays(TIME_S, force, point)
    with pytest.raises(InputError, match="2 forces need as many"):
        loads_from_arrays(TIME_S, np.zeros((2, FRAMES, 3)), point, bodies=["calcn_r"])


def test_broken_files_are_named(feet, tmp_path: Path) -> None:
    good = FORCE.format(name="r", body="calcn_r", k=1)
    write_table(tmp_path / "grf.mot", table_of(feet))
    cases = {
        "torn.xml": ("<ExternalLoads>", "not readable as XML"),
        "other.xml": ("<OpenSimDocument/>", "no <ExternalLoads>"),
        "nodata.xml": (XML.format(forces=good, data=""), "data file with the forces is not named"),
        "lost.xml": (XML.format(forces=good, data="lost.mot"), "'lost.mot' does not exist"),
        "missing.xml": (
            XML.format(forces=good.replace("_1_m", "_9_m"), data="grf.mot"),
            "'ground_force_9_m' is the beginning of 0 columns",
        ),
        "nobody.xml": (XML.format(forces=good.replace(">calcn_r<", "><"), data="grf.mot"), "applied_to_body"),
        "none.xml": (XML.format(forces="", data="grf.mot"), "no active <ExternalForce>"),
    }
    for name, (text, message) in cases.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(FormatError, match=message):
            read_loads(tmp_path / name)
    with pytest.raises(InputError, match=r"\.xml, \.mot, \.sto or \.c3d"):
        read_loads(tmp_path / "grf.csv")
    odd = {
        "ground_force_2_mz": ("emg", "'ground_force_2_m' is the beginning of 2 columns, 3 are expected"),
        "ground_force_2_pz": ("cop_z", "'ground_force_2_p' is the beginning of 2 columns"),
    }
    for old, (new, message) in odd.items():
        write_table(tmp_path / "odd.mot", table_of(feet, tuple(new if c == old else c for c in COLUMNS)))
        with pytest.raises(FormatError, match=message):
            read_loads(tmp_path / "odd.mot")
    table = table_of(feet)
    values = np.array(table.values)
    values[3, 1] = np.nan
    write_table(tmp_path / "nan.mot", Table(title="x", time_s=TIME_S, columns=COLUMNS, values=values, in_degrees=False))
    with pytest.raises(FormatError, match=r"no value at 0\.03 s"):
        read_loads(tmp_path / "nan.mot")


@pytest.mark.parametrize(
    "names",
    [
        ("ground_force_v", "ground_force_p", "ground_torque_"),
        ("1_ground_force_v", "1_ground_force_p", "1_ground_torque_"),
        ("ground_force1_v", "ground_force1_p", "ground_torque1_"),
        ("ground_force_1_v", "ground_force_1_p", "ground_force_1_m"),
        ("R_ground_force_v", "R_ground_force_p", "R_ground_moment_m"),
    ],
)
def test_usual_column_names_are_understood(names, tmp_path: Path) -> None:
    columns = tuple(stem + axis for stem in names for axis in "xyz")
    values = np.arange(9.0)[None] + np.zeros((4, 1))
    write_table(tmp_path / "a.mot", Table(title="x", time_s=TIME_S[:4], columns=columns, values=values, in_degrees=False))
    (force,) = read_loads(tmp_path / "a.mot").forces
    np.testing.assert_array_equal(force.force_n[0], [0, 1, 2])
    np.testing.assert_array_equal(force.point_m[0], [3, 4, 5])
    np.testing.assert_array_equal(force.torque_nm[0], [6, 7, 8])


def write_c3d(path: Path, channels: np.ndarray, *, moment_unit: str = "Nmm", origin_mm: float = -40.0) -> None:
    """A type-2 plate of 0.5 x 0.6 m, z axis down as usual, sensor 40 mm under the surface; one C3D frame has ten samples."""
    ezc3d = pytest.importorskip("ezc3d")
    file = ezc3d.c3d()
    parameters = file["parameters"]
    parameters["POINT"]["RATE"]["value"], parameters["ANALOG"]["RATE"]["value"] = [100.0], [1000.0]
    parameters["POINT"]["LABELS"]["value"], parameters["POINT"]["UNITS"]["value"] = ["m"], ["mm"]
    parameters["ANALOG"]["LABELS"]["value"] = ["Fx", "Fy", "Fz", "Mx", "My", "Mz"]
    file["data"]["points"] = np.ones((4, 1, channels.shape[1] // 10))
    file["data"]["analogs"] = channels[None]
    corners = np.array([[500.0, 0, 0], [0, 0, 0], [0, 600, 0], [500, 600, 0]]).T
    for name, value in (
        ("USED", 1),
        ("TYPE", 2),
        ("ZERO", [1.0, 0.0]),
        ("CORNERS", corners.reshape(3, 4, 1)),
        ("ORIGIN", np.array([[0.0], [0.0], [origin_mm]])),
        ("CHANNEL", np.arange(1.0, 7.0).reshape(6, 1)),
    ):
        file.add_parameter("FORCE_PLATFORM", name, value)
    for name in ("ZERO", "CHANNEL"):
        entry = parameters["FORCE_PLATFORM"][name]
        entry["type"], entry["value"] = 2, np.asarray(entry["value"]).astype(int)
    file.add_parameter("ANALOG", "UNITS", ["N"] * 3 + [moment_unit] * 3)
    file.write(str(path))


def plate_channels(force_lab: np.ndarray, at_mm: np.ndarray, free_nmm: float) -> np.ndarray:
    """What the plate's sensor reads for a reaction at a point of the laboratory (z up): the action, in its own axes."""
    axes = np.diag([1.0, -1.0, -1.0])  # from laboratory to plate: corners 1-4 give x, and z points down
    sensor = np.array([250.0, 300.0, -40.0])
    action = -force_lab
    moment = np.cross(at_mm - sensor, action) - np.array([0, 0, free_nmm])
    return np.concatenate((axes @ action, axes @ moment))


@pytest.mark.parametrize(("unit", "per_nmm"), [("Nmm", 1.0), ("Nm", 1e-3)])
@pytest.mark.parametrize("origin_mm", [-40.0, 40.0])  # the guide's sign, and that of programs that measure it the other way
def test_c3d_plates_give_reaction_centre_of_pressure_and_free_moment(
    tmp_path: Path, unit: str, per_nmm: float, origin_mm: float
) -> None:
    reaction, at_mm = np.array([40.0, -25.0, 700.0]), np.array([310.0, 220.0, 0.0])
    channels = np.tile(plate_channels(reaction, at_mm, 6000.0)[:, None], (1, 200))
    channels[:, 150:] = 0
    channels[3:] *= per_nmm
    write_c3d(tmp_path / "plates.c3d", channels, moment_unit=unit, origin_mm=origin_mm)
    (force,) = read_c3d_plates(tmp_path / "plates.c3d").forces
    assert force.time_s[1] - force.time_s[0] == pytest.approx(0.001)
    np.testing.assert_allclose(force.force_n[0], [40, 700, 25], atol=1e-3)  # x forward, y up, z right = -y of the laboratory
    np.testing.assert_allclose(force.point_m[0], [0.310, 0, -0.220], atol=1e-5)
    np.testing.assert_allclose(force.torque_nm[0], [0, 6.0, 0], atol=1e-3)
    assert np.all(force.force_n[150:] == 0)
    assert force.body is None
    (turned,) = read_c3d_plates(tmp_path / "plates.c3d", forward="-y").forces
    np.testing.assert_allclose(turned.force_n[0], [25, 700, -40], atol=1e-3)
    with pytest.raises(InputError, match="vertical axis"):
        read_c3d_plates(tmp_path / "plates.c3d", forward="+z")


def test_c3d_without_plates_or_with_unknown_units_is_refused(tmp_path: Path) -> None:
    write_c3d(tmp_path / "odd.c3d", np.ones((6, 200)), moment_unit="lbf ft")
    whole = (tmp_path / "odd.c3d").read_bytes()
    for length in (600, len(whole) // 2, len(whole) - 600):  # the library would crash, or read fewer frames
        (tmp_path / "torn.c3d").write_bytes(whole[:length])
        with pytest.raises(FormatError, match=r"torn\.c3d.*(truncated|damaged|missing)"):
            read_loads(tmp_path / "torn.c3d")
    with pytest.raises(FormatError, match="unit 'lbf ft' of its analog channel 4"):
        read_c3d_plates(tmp_path / "odd.c3d")
    ezc3d = pytest.importorskip("ezc3d")
    file = ezc3d.c3d()
    file["parameters"]["POINT"]["RATE"]["value"] = [100.0]
    file["parameters"]["POINT"]["LABELS"]["value"] = ["m"]
    file["data"]["points"] = np.ones((4, 1, 3))
    file.write(str(tmp_path / "none.c3d"))
    with pytest.raises(FormatError, match="force plate"):
        read_c3d_plates(tmp_path / "none.c3d")
    (tmp_path / "bad.c3d").write_bytes(b"nothing")
    with pytest.raises(FormatError, match="no C3D file"):
        read_c3d_plates(tmp_path / "bad.c3d")


@pytest.mark.parametrize(("side", "rightwards"), [(0, 1.0), (1, -1.0)])
def test_the_sole_is_wider_on_the_little_toes_side(feet, side: int, rightwards: float) -> None:
    """The ball's outer edge is farther from the line through the foot than the inner one: to the right of the right foot."""
    outline, middle = feet.points_m[0, side], feet.middle_m[0, side]
    across = rightwards * (outline[:, 2] - middle[2])
    inner, outer = across[2:4]
    assert inner < 0 < outer and outer > 1.2 * -inner
    toes_in, toes_out = across[4:]
    assert toes_in < 0 < toes_out
    assert across[0] == pytest.approx(across[:2].mean() - (across[1] - across[0]) / 2)
    assert across[0] < 0 < across[1], "the heel's inner point comes first"
    forward = outline[:, 0] - middle[0]
    assert forward[:2].max() < 0 < forward[2:4].min() < forward[4:].min(), "heel, ball, toes"
    assert 0.25 < np.ptp(forward) < 0.31 and 0.07 < np.ptp(across[2:4]) < 0.11, "a shoe"
    assert np.ptp(outline[:, 1]) < 0.05


def test_feet_are_named_right_then_left(feet) -> None:
    assert feet.bodies == ("calcn_r", "calcn_l")
    assert (feet.middle_m[:, 0, 2] > feet.middle_m[:, 1, 2]).all(), "z points to the right"


def test_a_force_without_frames_is_given_in_ground(feet, tmp_path: Path) -> None:
    write_table(tmp_path / "grf.mot", table_of(feet))
    plain = FORCE.format(name="r", body="/bodyset/calcn_r", k=1)
    bare = plain.replace("<force_expressed_in_body>ground</force_expressed_in_body>", "")
    bare = bare.replace("<point_expressed_in_body>ground</point_expressed_in_body>", "<point_expressed_in_body/>")
    assert bare != plain
    (tmp_path / "bare.xml").write_text(XML.format(forces=bare, data="grf.mot"))
    (force,) = read_loads(tmp_path / "bare.xml").forces
    assert (force.body, force.force_frame, force.point_frame) == ("calcn_r", "ground", "ground")
    own = plain.replace("body>ground<", "body>/bodyset/calcn_r<")
    (tmp_path / "own.xml").write_text(XML.format(forces=own, data="grf.mot"))
    (force,) = read_loads(tmp_path / "own.xml").forces
    assert (force.force_frame, force.point_frame) == ("calcn_r", "calcn_r")


def test_columns_that_belong_to_no_force_are_left_out(feet, tmp_path: Path, caplog) -> None:
    table = table_of(feet)
    more = Table(
        title="x",
        time_s=TIME_S,
        columns=(*COLUMNS, "emg", "pelvis_tilt"),
        values=np.column_stack([table.values, np.ones((FRAMES, 2))]),
        in_degrees=False,
    )
    write_table(tmp_path / "more.mot", more)
    assert [force.name for force in read_loads(tmp_path / "more.mot").forces] == ["ground_force_1", "ground_force_2"]
    assert "columns that belong to no force are left out: 'emg', 'pelvis_tilt'" in caplog.text


@pytest.mark.parametrize(
    ("columns", "identifiers"),
    [
        (("GRF_VX", "GRF_VY", "GRF_VZ", "cop_x", "cop_y", "cop_z", "Tx", "Ty", "Tz"), ("grf_v", "COP", "t")),
        (("f1", "f2", "f3", "p.x", "p.y", "p.z", "mX", "mY", "mZ"), ("f", "p", "m")),
        (
            ("ground_force_vx", "ground_force_vy", "ground_force_vz", *COLUMNS[3:9]),
            ("ground_force_v", *("ground_force_1_p", "ground_force_1_m")),
        ),
    ],
)
def test_an_identifier_is_the_beginning_of_three_names(columns, identifiers, tmp_path: Path) -> None:
    values = np.arange(9.0) + np.zeros((4, 9))
    write_table(tmp_path / "a.mot", Table(title="x", time_s=TIME_S[:4], columns=columns, values=values, in_degrees=False))
    force = (
        '<ExternalForce name="r"><applied_to_body>calcn_r</applied_to_body>'
        f"<force_identifier>{identifiers[0]}</force_identifier>"
        f"<point_identifier>{identifiers[1]}</point_identifier><torque_identifier>{identifiers[2]}</torque_identifier>"
        "</ExternalForce>"
    )
    (tmp_path / "a.xml").write_text(XML.format(forces=force, data="a.mot"))
    (read,) = read_loads(tmp_path / "a.xml").forces
    np.testing.assert_array_equal(read.force_n[0], [0, 1, 2])
    np.testing.assert_array_equal(read.point_m[0], [3, 4, 5])
    np.testing.assert_array_equal(read.torque_nm[0], [6, 7, 8])


@pytest.mark.parametrize("name", ["..\\grf.mot", "../grf.mot", ".\\..\\grf.mot"])
def test_either_slash_separates_folders(name: str, feet, tmp_path: Path, caplog) -> None:
    write_table(tmp_path / "grf.mot", table_of(feet))
    (tmp_path / "setup").mkdir()
    (tmp_path / "setup" / "a.xml").write_text(XML.format(forces=FORCE.format(name="r", body="calcn_r", k=1), data=name))
    assert len(read_loads(tmp_path / "setup" / "a.xml").forces) == 1
    (tmp_path / "a.xml").write_text(XML.format(forces=FORCE.format(name="r", body="calcn_r", k=1), data="C:\\lab\\grf.mot"))
    assert len(read_loads(tmp_path / "a.xml").forces) == 1
    assert "read is grf.mot beside this file" in caplog.text


def test_a_brief_pull_of_a_plate_is_a_warning(backend, standing, feet, caplog) -> None:
    force, point = arrays(feet)
    force[0, 20:24, 1] = -0.2 * WEIGHT_N
    loads = loads_from_arrays(TIME_S, force, point, bodies=["calcn_r", "calcn_l"])
    assert inverse_dynamics(standing, backend, loads, cutoff_hz=None).residuals is not None
    assert "'force_1' pulls the body down with up to 148 N at 0.2 s, for 0.04 s in all" in caplog.text
    force[0, 20:40, 1] = -0.2 * WEIGHT_N
    with pytest.raises(InputError, match="'force_1' pulls the body down"):
        inverse_dynamics(
            standing, backend, loads_from_arrays(TIME_S, force, point, bodies=["calcn_r", "calcn_l"]), cutoff_hz=None
        )


def test_motion_and_loads_that_overlap_are_solved_where_they_do(backend, standing, feet, caplog) -> None:
    force, point = arrays(feet)
    whole = inverse_dynamics(standing, backend, loads_from_arrays(TIME_S, force, point, bodies=["calcn_r", "calcn_l"]))
    part = loads_from_arrays(TIME_S[10:45], force[:, 10:45], point[:, 10:45], bodies=["calcn_r", "calcn_l"])
    found = inverse_dynamics(standing, backend, part)
    np.testing.assert_allclose(found.time_s, TIME_S[10:45])
    np.testing.assert_allclose(found.values_si, whole.values_si[10:45], atol=1e-6)
    assert "solved is 0.1 to 0.44 s, the time that it has in common with the loads" in caplog.text
    asked = inverse_dynamics(standing, backend, part, start_s=0.2, end_s=0.3)
    np.testing.assert_allclose(asked.values_si, whole.values_si[20:31], atol=1e-6)
    with pytest.raises(InputError, match=r"covers 0\.1 to 0\.44 s, but the motion lasts from 0\.2 to 0\.59 s"):
        inverse_dynamics(standing, backend, part, start_s=0.2, end_s=0.6)
    with pytest.raises(InputError, match=r"asked is 3 to 0\.445 s: no time in common"):
        inverse_dynamics(standing, backend, part, start_s=3.0)
