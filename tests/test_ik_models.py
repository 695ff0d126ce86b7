"""Inverse kinematics of models as people have them: closed loops, coupled coordinates, subjects' names, setup files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hsmr_bio.cli import main
from hsmr_bio.errors import FormatError, InputError, ModelError
from hsmr_bio.fitting.markers.inverse_kinematics import inverse_kinematics, marker_errors
from hsmr_bio.fitting.markers.task_set import read_task_set
from hsmr_bio.io.mot import read_mot
from hsmr_bio.io.trc import write_trc
from hsmr_bio.osim.document import OsimDocument
from hsmr_bio.types import Markers

LENGTHS_M = {"crank": 0.3, "coupler": 0.5, "rocker": 0.4}


def pin(name: str, parent: str, child: str, offset: tuple[float, float, float]) -> str:
    """A PinJoint about z."""
    return (
        f'<PinJoint name="{name}"><socket_parent_frame>start</socket_parent_frame>'
        f"<socket_child_frame>/bodyset/{child}</socket_child_frame>"
        f'<coordinates><Coordinate name="q_{child}"><range>-3 3</range></Coordinate></coordinates>'
        f'<frames><PhysicalOffsetFrame name="start"><socket_parent>{parent}</socket_parent>'
        f"<translation>{' '.join(map(str, offset))}</translation><orientation>0 0 0</orientation>"
        "</PhysicalOffsetFrame></frames></PinJoint>"
    )


def model(joints: str, bodies: tuple[str, ...], constraints: str = "") -> OsimDocument:
    """A model with three markers on every body."""
    body = "".join(f'<Body name="{name}"><mass>1</mass><inertia>0.1 0.1 0.1 0 0 0</inertia></Body>' for name in bodies)
    markers = "".join(
        f'<Marker name="{name}{i}"><socket_parent_frame>/bodyset/{name}</socket_parent_frame>'
        f"<location>{place}</location></Marker>"
        for name in bodies
        for i, place in enumerate(("0.03 -0.1 0.02", "-0.03 -0.2 0", "0 -0.15 -0.04"))
    )
    text = (
        f'<OpenSimDocument Version="40000"><Model name="links"><BodySet><objects>{body}</objects></BodySet>'
        f"<JointSet><objects>{joints}</objects></JointSet><ConstraintSet><objects>{constraints}</objects></ConstraintSet>"
        f"<MarkerSet><objects>{markers}</objects></MarkerSet></Model></OpenSimDocument>"
    )
    return OsimDocument.from_bytes(text.encode(), source="links.osim")


FOURBAR = (
    pin("a", "/ground", "crank", (0, 1, 0))
    + pin("b", "/bodyset/crank", "coupler", (0, -LENGTHS_M["crank"], 0))
    + pin("c", "/ground", "rocker", (0.45, 1, 0))
)
POINT = (
    '<PointConstraint name="close"><socket_body_1>/bodyset/coupler</socket_body_1>'
    "<socket_body_2>/bodyset/rocker</socket_body_2>"
    f"<location_body_1>0 {-LENGTHS_M['coupler']} 0</location_body_1>"
    f"<location_body_2>0 {-LENGTHS_M['rocker']} 0</location_body_2></PointConstraint>"
)


def placed(document: OsimDocument, q: np.ndarray, names: list[str] | None = None) -> Markers:
    """The model's markers at coordinates (T, N)."""
    tree, chosen = document.tree(), names or list(document.markers)
    bodies = [tree.bodies.index(document.markers[name].body) for name in chosen]
    local = torch.as_tensor(np.array([document.markers[name].position_m for name in chosen]))
    points = tree.forward(document.couple(q)).points(bodies, local).numpy()
    return Markers(time_s=0.02 * np.arange(len(q)), names=tuple(chosen), positions_m=points)


def closed(crank_rad: np.ndarray) -> np.ndarray:
    """Coordinates (T, 3) of the four-bar linkage by the law of cosines."""
    joint = np.stack([LENGTHS_M["crank"] * np.sin(crank_rad), 1 - LENGTHS_M["crank"] * np.cos(crank_rad)], axis=-1)
    to_pivot = np.array([0.45, 1.0]) - joint
    distance = np.linalg.norm(to_pivot, axis=-1)
    first, second = LENGTHS_M["coupler"], LENGTHS_M["rocker"]
    inner = np.arccos((first**2 + distance**2 - second**2) / (2 * first * distance))
    direction = np.arctan2(to_pivot[:, 1], to_pivot[:, 0]) - inner
    end = joint + first * np.stack([np.cos(direction), np.sin(direction)], axis=-1)
    coupler = direction + np.pi / 2 - crank_rad
    arm = end - np.array([0.45, 1.0])
    return np.stack([crank_rad, coupler, np.arctan2(arm[:, 1], arm[:, 0]) + np.pi / 2], axis=-1)


def test_a_closed_loop_is_held(tmp_path: Path, capsys) -> None:
    truth = closed(np.linspace(0.0, 0.9, 40))
    open_chain, document = model(FOURBAR, tuple(LENGTHS_M)), model(FOURBAR, tuple(LENGTHS_M), POINT)
    seen = placed(open_chain, truth, [name for name in open_chain.markers if not name.startswith("rocker")])
    write_trc(tmp_path / "links.trc", seen)
    document.write(tmp_path / "links.osim")
    assert main(["ik", str(tmp_path / "links.trc"), "-o", str(tmp_path / "out.mot")]) == 0
    assert "own: 6 markers, marker RMS 0.00 mm" in capsys.readouterr().err
    found = read_mot(tmp_path / "out.mot", document)
    np.testing.assert_allclose(found.values_si, truth, atol=1e-4)
    loose = inverse_kinematics(seen, open_chain)
    assert np.abs(loose.values_si - truth).max() > 0.1


def test_a_loop_is_held_in_frames_without_markers_too() -> None:
    truth = closed(np.linspace(0.0, 0.9, 40))
    open_chain, document = model(FOURBAR, tuple(LENGTHS_M)), model(FOURBAR, tuple(LENGTHS_M), POINT)
    seen = placed(open_chain, truth, [name for name in open_chain.markers if not name.startswith("rocker")])
    positions = seen.positions_m.copy()
    positions[15:30] = np.nan
    found = inverse_kinematics(Markers(time_s=seen.time_s, names=seen.names, positions_m=positions), document)
    ends = placed(open_chain, found.values_si)  # the markers hang on both sides of the loop
    expected = placed(open_chain, closed(found.values_si[:, 0]))
    assert np.abs(ends.positions_m - expected.positions_m).max() < 1e-3


WELDED = FOURBAR + pin("d", "/bodyset/coupler", "plate", (0, -LENGTHS_M["coupler"], 0))
DISTANT = pin("a", "/ground", "crank", (0, 1, 0)) + pin("c", "/ground", "rocker", (0.45, 1, 0))
LOOPS = {
    "weld": (
        WELDED,
        (*LENGTHS_M, "plate"),
        '<WeldConstraint name="w"><socket_frame1>/bodyset/plate</socket_frame1><socket_frame2>end</socket_frame2><frames>'
        '<PhysicalOffsetFrame name="end"><socket_parent>/bodyset/rocker</socket_parent>'
        f"<translation>0 {-LENGTHS_M['rocker']} 0</translation><orientation>0 0 0.3</orientation>"
        "</PhysicalOffsetFrame></frames></WeldConstraint>",
    ),
    "distance": (
        DISTANT,
        ("crank", "rocker"),
        '<ConstantDistanceConstraint name="d"><socket_body_1>/bodyset/crank</socket_body_1>'
        f"<socket_body_2>/bodyset/rocker</socket_body_2><location_body_1>0 {-LENGTHS_M['crank']} 0</location_body_1>"
        f"<location_body_2>0 {-LENGTHS_M['rocker']} 0</location_body_2>"
        f"<constant_distance>{LENGTHS_M['coupler']}</constant_distance></ConstantDistanceConstraint>",
    ),
    "line": (
        FOURBAR,
        tuple(LENGTHS_M),
        '<PointOnLineConstraint name="l"><socket_line_body>/ground</socket_line_body>'
        "<socket_follower_body>/bodyset/rocker</socket_follower_body><line_direction_vec>0 2 0</line_direction_vec>"
        f"<point_on_line>0.55 0 0</point_on_line><point_on_follower>0 {-LENGTHS_M['rocker']} 0</point_on_follower>"
        "</PointOnLineConstraint>",
    ),
}


@pytest.mark.parametrize("kind", LOOPS)
def test_every_kind_of_loop_is_held(kind: str, opensim_model, tmp_path) -> None:
    joints, bodies, constraint = LOOPS[kind]
    document, loose = model(joints, bodies, constraint), model(joints, bodies)
    truth = closed(np.linspace(0.1, 0.6, 25))
    coordinates = {"q_crank": truth[:, 0], "q_coupler": truth[:, 1], "q_rocker": truth[:, 2]}
    coordinates["q_plate"] = truth[:, 2] - truth[:, 0] - truth[:, 1] + 0.3
    if kind == "line":
        coordinates["q_rocker"] = np.full(25, np.arcsin(0.1 / LENGTHS_M["rocker"]))
    q = np.stack([coordinates[name] for name in document.coordinates], axis=-1)
    seen = placed(loose, q, [name for name in loose.markers if name.startswith(("crank", "coupler"))])
    found = inverse_kinematics(seen, document, backend="own")
    away = (found.values_si - q + np.pi) % (2 * np.pi) - np.pi
    if kind == "distance":  # the rocker has two places
        ends = placed(loose, found.values_si).positions_m[:, :3] - seen.positions_m
        assert np.abs(ends).max() < 1e-4
        away = away[:, :1]
    assert np.abs(away).max() < 1e-3
    theirs = opensim_model(document.write(tmp_path / "loop.osim"))
    theirs.place(dict(zip(document.coordinates, found.values_si[12], strict=True)))
    theirs.model.realizePosition(theirs.state)
    assert np.abs(theirs.state.getQErr().to_numpy()).max() < 1e-4


def test_a_loop_that_no_posture_closes_is_said(caplog) -> None:
    short = POINT.replace(f"0 {-LENGTHS_M['rocker']} 0", "0 -2 0")
    document = model(FOURBAR, tuple(LENGTHS_M), short)
    inverse_kinematics(placed(model(FOURBAR, tuple(LENGTHS_M)), closed(np.linspace(0, 0.3, 8))), document)
    assert "constraint 'close' is missed by up to" in caplog.text


@pytest.mark.parametrize("kind", ["isEnforced", "prescribed"])
def test_what_is_enforced_and_what_is_not(kind: str) -> None:
    if kind == "isEnforced":
        off = POINT.replace("<location_body_1>", "<isEnforced>false</isEnforced><location_body_1>")
        assert model(FOURBAR, tuple(LENGTHS_M), off).constraints.loops == ()
        assert [loop.name for loop in model(FOURBAR, tuple(LENGTHS_M), POINT).constraints.loops] == ["constraint 'close'"]
        return
    function = "<prescribed_function><Constant><value>0.2</value></Constant></prescribed_function>"
    held = FOURBAR.replace("<range>-3 3</range>", f"<range>-3 3</range>{function}<prescribed>true</prescribed>", 1)
    document = model(held, tuple(LENGTHS_M))
    assert document.constraints.others == ("Coordinate 'q_crank'",)
    with pytest.raises(ModelError, match=r"only OpenSim holds Coordinate 'q_crank'.*--backend opensim"):
        inverse_kinematics(placed(document, np.zeros((5, 3))), document, backend="own")


@pytest.mark.opensim
def test_what_only_opensim_holds_goes_to_its_tool(tmp_path: Path, capsys) -> None:
    function = "<prescribed_function><Constant><value>0.2</value></Constant></prescribed_function>"
    held = FOURBAR.replace("<range>-3 3</range>", f"<range>-3 3</range>{function}<prescribed>true</prescribed>", 1)
    document = model(held, tuple(LENGTHS_M))
    truth = np.tile([0.2, 0.4, -0.3], (6, 1))
    write_trc(tmp_path / "links.trc", placed(document, truth, [n for n in document.markers if not n.startswith("crank")]))
    document.write(tmp_path / "links.osim")
    assert main(["ik", str(tmp_path / "links.trc"), "-o", str(tmp_path / "out.mot"), "--compare"]) == 0
    said = capsys.readouterr().err
    assert "solved by OpenSim's own tool, 20 to 40 times slower: only OpenSim holds Coordinate 'q_crank'" in said
    assert "nothing to compare with" in said
    np.testing.assert_allclose(read_mot(tmp_path / "out.mot", document).values_si, truth, atol=1e-3)


def coupler(dependent: str, independent: str, function: str, scale: float = 1.0) -> str:
    """A CoordinateCouplerConstraint."""
    return (
        f'<CoordinateCouplerConstraint name="{dependent}">'
        f"<coupled_coordinates_function>{function}</coupled_coordinates_function>"
        f"<independent_coordinate_names>{independent}</independent_coordinate_names>"
        f"<dependent_coordinate_name>{dependent}</dependent_coordinate_name><scale_factor>{scale}</scale_factor>"
        "</CoordinateCouplerConstraint>"
    )


CHAIN = (
    pin("a", "/ground", "one", (0, 1, 0))
    + pin("b", "/bodyset/one", "two", (0.1, -0.3, 0))
    + pin("c", "/bodyset/two", "three", (0, -0.2, 0.1))
)
SPLINE = "<SimmSpline><x>-2 -1 0 1 2</x><y>-0.9 -0.6 0.1 0.7 0.8</y></SimmSpline>"
FUNCTIONS = {
    "linear": "<LinearFunction><coefficients>0.7 0.1</coefficients></LinearFunction>",
    "spline": SPLINE,
    "piecewise": "<PiecewiseLinearFunction><x>-1 0.2 1</x><y>0 0.3 1.5</y></PiecewiseLinearFunction>",
    "multiplied": f"<MultiplierFunction><function>{SPLINE}</function><scale>1.3</scale></MultiplierFunction>",
    "polynomial": "<PolynomialFunction><coefficients>0.2 -0.5 0.4 0.05</coefficients></PolynomialFunction>",
    "sine": "<Sine><amplitude>0.8</amplitude><omega>1.2</omega><phase>0.3</phase><offset>0.1</offset></Sine>",
    "step": "<StepFunction><transition_start_time>-1</transition_start_time>"
    "<transition_end_time>1.5</transition_end_time><start_value>-0.4</start_value>"
    "<end_value>0.9</end_value></StepFunction>",
    "constant": "<Constant><value>0.4</value></Constant>",
}


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_coupled_coordinates_that_move_markers_follow(kind: str, opensim_model, tmp_path) -> None:
    rules = coupler("q_two", "q_one", FUNCTIONS[kind], -0.8) + coupler("q_three", "q_two", FUNCTIONS["linear"])
    document = model(CHAIN, ("one", "two", "three"), rules)
    assert document.dependent == ("q_two", "q_three")
    q = document.couple(np.stack([np.linspace(-0.9, 0.9, 30), np.zeros(30), np.zeros(30)], axis=-1))
    found = inverse_kinematics(placed(document, q), document, backend="own")
    np.testing.assert_allclose(found.values_si, q, atol=1e-4)
    if kind == "constant":  # OpenSim 4.6 then couples the independent coordinate to the constant
        return
    theirs = opensim_model(document.write(tmp_path / "chain.osim"))
    reference = theirs.model.getCoordinateSet()
    for row in q[::7]:
        reference.get("q_one").setLocked(theirs.state, False)
        reference.get("q_one").setValue(theirs.state, float(row[0]), False)
        reference.get("q_one").setLocked(theirs.state, True)
        theirs.model.assemble(theirs.state)
        got = [reference.get(name).getValue(theirs.state) for name in document.coordinates]
        np.testing.assert_allclose(got, row, atol=1e-3)  # the accuracy of OpenSim's assembly


def test_couplings_are_computed_in_the_order_in_which_they_depend_on_each_other() -> None:
    rules = coupler("q_three", "q_two", FUNCTIONS["linear"]) + coupler("q_two", "q_one", FUNCTIONS["sine"])
    document = model(CHAIN, ("one", "two", "three"), rules)
    two = 0.8 * np.sin(1.2 * 0.5 + 0.3) + 0.1
    np.testing.assert_allclose(document.couple(np.array([0.5, 9, 9])), [0.5, two, 0.7 * two + 0.1])
    circle = rules + coupler("q_one", "q_three", FUNCTIONS["linear"])
    assert len(model(CHAIN, ("one", "two", "three"), circle).constraints.others) == 3


def test_the_subjects_name_before_a_marker_is_left_out(caplog) -> None:
    document = model(CHAIN, ("one", "two", "three"))
    q = np.tile([0.3, -0.2, 0.5], (8, 1))
    markers = placed(document, q)
    named = Markers(
        time_s=markers.time_s, names=tuple(f"Anna:{name}" for name in markers.names), positions_m=markers.positions_m
    )
    found = inverse_kinematics(named, document)
    np.testing.assert_allclose(found.values_si, q, atol=1e-4)
    assert "the subject's name is left out of 9 marker names, such as 'Anna:one0'" in caplog.text
    assert marker_errors(found, document, named).rms_m < 1e-5
    two = Markers(
        time_s=markers.time_s,
        names=(*named.names, "Ben:one0"),
        positions_m=np.concatenate([markers.positions_m, markers.positions_m[:, :1]], axis=1),
    )
    with pytest.raises(InputError, match="measured on Anna and Ben"):
        inverse_kinematics(two, document)


TASKS = """<OpenSimDocument Version="40000"><InverseKinematicsTool><IKTaskSet><objects>
<IKMarkerTask name="one0"><apply>true</apply><weight>20</weight></IKMarkerTask>
<IKMarkerTask name="one1"><weight>3</weight></IKMarkerTask>
<IKMarkerTask name="two0"><apply>false</apply><weight>5</weight></IKMarkerTask>
<IKMarkerTask name="three2"/><IKMarkerTask name="nowhere"><weight>1</weight></IKMarkerTask>
<IKCoordinateTask name="q_two"><apply>true</apply><value_type>default_value</value_type><weight>1</weight></IKCoordinateTask>
</objects></IKTaskSet></InverseKinematicsTool></OpenSimDocument>"""


def test_weights_come_from_a_setup_file(tmp_path: Path, capsys) -> None:
    (tmp_path / "setup.xml").write_text('<?xml version="1.0"?>' + TASKS + "<IKTaskSet/>")  # old files have several roots
    tasks = read_task_set(tmp_path / "setup.xml")
    assert tasks.weights == {"one0": 20, "one1": 3, "two0": 0, "three2": 1, "nowhere": 1}
    assert tasks.coordinates == ("q_two",)
    document = model(CHAIN, ("one", "two", "three"))
    markers = placed(document, np.tile([0.3, -0.2, 0.5], (8, 1)))
    weights = tasks.weights_of(markers.names, tuple(document.markers))
    assert {name: weight for name, weight in weights.items() if weight} == {"one0": 20, "one1": 3, "three2": 1}
    write_trc(tmp_path / "links.trc", markers)
    document.write(tmp_path / "links.osim")
    assert main(["ik", str(tmp_path / "links.trc"), "--setup", str(tmp_path / "setup.xml"), "-o", str(tmp_path / "o.mot")]) == 0
    said = capsys.readouterr().err
    assert "own: 9 markers" in said
    assert "1 tasks of coordinates" in said


@pytest.mark.parametrize(
    "text",
    [
        "<OpenSimDocument/>",
        "<IKTaskSet file='tasks.xml'/>",
        "<IKTaskSet><IKMarkerTask name='a'><weight>much</weight></IKMarkerTask></IKTaskSet>",
        "<IKTaskSet><IKMarkerTask name='a'><weight>-1</weight></IKMarkerTask></IKTaskSet>",
        "no xml",
    ],
)
def test_what_is_no_task_set_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "tasks.xml").write_text(text)
    with pytest.raises(FormatError, match=r"tasks\.xml"):
        read_task_set(tmp_path / "tasks.xml")
