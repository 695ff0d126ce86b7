"""OpenSim documents: what they hold, what they refuse, and their tree against OpenSim's own forward kinematics."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from hsmr_bio.errors import FormatError, InputError, ModelError, UnknownCoordinateError
from hsmr_bio.osim.build import (
    AxisSpec,
    CoordinateSpec,
    JointSpec,
    constant,
    element,
    linear,
    model_element,
    multivariate,
    numbers,
    polynomial,
    sine,
    to_bytes,
)
from hsmr_bio.osim.document import OsimDocument
from hsmr_bio.osim.joints import orientation_of, rotation_of
from hsmr_bio.osim.library import as_document, bsm
from hsmr_bio.osim.parts import Mesh, OffsetFrame, OsimBody, OsimMarker

REFERENCES = (
    "models/generic_lai_arnold_fullbody.osim",
    *(f"motion/{trial}/ref.osim" for trial in ("e1_dropjump", "e1_squat", "e1_walk", "s4_walk_grf")),
)
MOTION = {1: "rotational", 2: "translational", 3: "coupled"}


def compare(document, loaded, frames: int = 25, reach: float = 3.0) -> tuple[float, float]:
    """Worst position (m) and orientation (deg) of our tree against OpenSim over random coordinates."""
    random = np.random.default_rng(0)
    low, high = document.ranges_si.clip(-reach, reach).T
    q = document.couple(low + (high - low) * random.random((frames, len(low))))
    tree = document.tree()
    pose = tree.forward(q)
    far = turned = 0.0
    for row, positions, rotations in zip(q, pose.positions_m.numpy(), pose.rotations.numpy(), strict=True):
        loaded.place(dict(zip(document.coordinates, row, strict=True)))
        for j, name in enumerate(tree.bodies):
            origin, orientation = loaded.body(name)
            far = max(far, np.abs(origin - positions[j]).max())
            turned = max(turned, np.degrees(np.linalg.norm(rotations[j].T @ orientation - np.eye(3)) / np.sqrt(2)))
        for marker in list(document.markers.values())[:10]:
            j = tree.bodies.index(marker.body)
            far = max(far, np.abs(rotations[j] @ marker.position_m + positions[j] - loaded.marker(marker.name)).max())
    return far, turned


def joint(kind: str, names: str, parent: str = "ground", child: str = "b", axes: tuple[AxisSpec, ...] = ()) -> JointSpec:
    coordinates = tuple(CoordinateSpec(n, (-1.2, 1.3), 0.1) for n in names.split())
    return JointSpec(
        f"to_{child}",
        parent,
        child,
        coordinates,
        axes,
        kind,
        ((0.1, 0.2, -0.3), (0.3, -0.5, 0.7)),
        ((-0.05, 0.1, 0.02), (-0.2, 0.4, 1.1)),
    )


def model(*joints: JointSpec) -> OsimDocument:
    bodies = [OsimBody(j.child, 1.0, (0.0, 0.1, 0.0), (0.1, 0.1, 0.1, 0.0, 0.0, 0.0)) for j in joints]
    marker = OsimMarker("m", joints[-1].child, (0.1, 0.2, 0.3))
    return OsimDocument.from_bytes(to_bytes(model_element("test", bodies, joints, [marker])))


@pytest.mark.opensim
@pytest.mark.parametrize("name", (REFERENCES[0], REFERENCES[4]))
def test_our_tree_of_other_peoples_models_is_opensims(name: str, shared, opensim_model) -> None:
    path = shared / "data" / name
    document = OsimDocument.read(path)
    loaded = opensim_model(path)
    assert list(document.coordinates) == loaded.coordinates
    far, turned = compare(document, loaded, frames=8)
    assert far < 1e-6
    assert turned < 1e-4


@pytest.mark.opensim
@pytest.mark.parametrize("name", REFERENCES[:2])
def test_coordinates_are_read_as_opensim_reads_them(name: str, shared, opensim_model) -> None:
    document = OsimDocument.read(shared / "data" / name)
    loaded = opensim_model(shared / "data" / name)  # must outlive its coordinate set
    theirs = loaded.model.getCoordinateSet()
    for i, ours in enumerate(document.coordinates.values()):
        c = theirs.get(i)
        assert MOTION[c.getMotionType()] == ours.motion, ours.name
        assert (c.getRangeMin(), c.getRangeMax()) == pytest.approx(ours.range_si)
        assert c.getDefaultValue() == pytest.approx(ours.default_si)
        assert (c.getDefaultClamped(), c.getDefaultLocked()) == (ours.clamped, ours.locked)


@pytest.mark.opensim
@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("PinJoint", "a"),
        ("WeldJoint", ""),
        ("SliderJoint", "a"),
        ("UniversalJoint", "a b"),
        ("BallJoint", "a b c"),
        ("GimbalJoint", "a b c"),
        ("FreeJoint", "a b c d e f"),
        ("PlanarJoint", "a b c"),
    ],
)
def test_every_joint_class_moves_as_in_opensim(kind: str, names: str, opensim_model, tmp_path) -> None:
    document = model(joint("PinJoint", "first", child="a0"), joint(kind, names, parent="a0"))
    loaded = opensim_model(document.write(tmp_path / "m.osim"))
    assert list(document.coordinates) == loaded.coordinates
    theirs = loaded.model.getCoordinateSet()
    assert [MOTION[theirs.get(i).getMotionType()] for i in range(theirs.getSize())] == [
        c.motion for c in document.coordinates.values()
    ]
    far, turned = compare(document, loaded)
    assert far < 1e-12
    assert turned < 1e-6


def wrapped(function, factor: float):
    return element("MultiplierFunction", element("function", function), element("scale", numbers([factor])), name="function")


def spline():
    x, y = numbers([-1, -0.4, 0.1, 0.5, 1.0]), numbers([0.1, 0.3, -0.2, 0.0, 0.4])
    return element("SimmSpline", element("x", x), element("y", y), name="function")


@pytest.mark.opensim
def test_every_function_of_a_custom_joint_is_opensims(opensim_model, tmp_path) -> None:
    axes = (
        AxisSpec("rotation1", (0, 0, 2), ("a",), spline()),
        AxisSpec("rotation2", (1, 0.2, 0), ("b",), linear(-1.0, 0.3)),
        AxisSpec("rotation3", (0, 1, 0), ("c",), polynomial([0.2, -0.4, 0.9, 0.1])),
        AxisSpec("translation1", (0, 2, 0), ("a", "b"), multivariate([0.1, 0.2, -0.1, 0.3, 0.05, 0.4], 2)),
        AxisSpec("translation2", (1, 0, 0), ("c",), wrapped(sine(0.4, 2.0, 0.3, 0.1), 1.7)),
        AxisSpec("translation3", (0, 0, 1), (), wrapped(constant(0.25), 2.0)),
    )
    document = model(joint("CustomJoint", "c b a", axes=axes))
    loaded = opensim_model(document.write(tmp_path / "m.osim"))
    assert list(document.coordinates) == loaded.coordinates == ["a", "b", "c"], "the order in which the axes use them"
    theirs = loaded.model.getCoordinateSet()
    assert [MOTION[theirs.get(i).getMotionType()] for i in range(3)] == [c.motion for c in document.coordinates.values()]
    far, turned = compare(document, loaded)
    assert far < 1e-12
    assert turned < 1e-6


def test_kneecaps_follow_the_knee(shared) -> None:
    document = OsimDocument.read(shared / "data" / REFERENCES[0])
    assert document.dependent == ("knee_angle_r_beta", "knee_angle_l_beta")
    q = document.default_si
    names = list(document.coordinates)
    q[names.index("knee_angle_l")] = 0.7
    assert document.couple(q)[names.index("knee_angle_l_beta")] == pytest.approx(0.7)
    assert q[names.index("knee_angle_l_beta")] == 0.0, "the argument is left alone"


def test_a_joint_that_cannot_be_evaluated_is_named() -> None:
    content = bsm().to_bytes().replace(b'PinJoint name="ankle_l"', b'EllipsoidJoint name="ankle_l"', 1)
    content = re.sub(rb'(EllipsoidJoint name="ankle_l".*?)</PinJoint>', rb"\1</EllipsoidJoint>", content, count=1, flags=re.S)
    with pytest.raises(ModelError, match=r"'ankle_l' is a EllipsoidJoint.*CustomJoint"):
        OsimDocument.from_bytes(content).tree()


def test_an_unknown_function_is_named() -> None:
    axes = (AxisSpec("rotation1", (1, 0, 0), ("a",), element("GCVSpline", name="function")),)
    with pytest.raises(ModelError, match=r"'to_b', rotation1: function 'GCVSpline'"):
        model(joint("CustomJoint", "a", axes=axes)).tree()


@pytest.mark.parametrize(
    "content", [b"", b"not xml", b"<a>", b"<OpenSimDocument Version='40000'><ScaleSet/></OpenSimDocument>"]
)
def test_what_is_no_model_is_refused(content: bytes) -> None:
    with pytest.raises(FormatError, match=r"^broken\.osim: "):
        OsimDocument.from_bytes(content, source="broken.osim")


def test_entities_are_never_read(tmp_path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("0 1 2")
    bomb = f'<!DOCTYPE x [<!ENTITY e SYSTEM "{secret.as_uri()}">]>'.encode()
    with pytest.raises(FormatError, match="DOCTYPE"):
        OsimDocument.from_bytes(bomb + bsm().to_bytes().split(b"\n", 1)[1])


def test_an_unknown_coordinate_names_its_neighbours() -> None:
    with pytest.raises(UnknownCoordinateError, match="knee_angle_r"):
        bsm().coordinate("knee_flexion_r")


def test_a_loop_and_a_loose_body_are_refused() -> None:
    two = model(joint("PinJoint", "a", child="x"), joint("PinJoint", "b", parent="x", child="y"))
    text = two.to_bytes()
    loop = text.replace(b"<socket_parent>/ground</socket_parent>", b"<socket_parent>/bodyset/y</socket_parent>")
    with pytest.raises(ModelError, match="x, y form a loop"):
        OsimDocument.from_bytes(loop).tree()
    root = etree.fromstring(text)
    joints = root.find("Model/JointSet/objects")
    joints.remove(joints[1])
    with pytest.raises(ModelError, match="no joint carries y"):
        OsimDocument.from_bytes(etree.tostring(root)).tree()


@given(st.tuples(*[st.floats(-1.5, 1.5)] * 3))
def test_orientation_angles_come_back(angles: tuple[float, float, float]) -> None:
    frame = OffsetFrame("b", orientation_rad=angles)
    assert (
        np.abs(rotation_of(OffsetFrame("b", orientation_rad=orientation_of(rotation_of(frame)))) - rotation_of(frame)).max()
        < 1e-12
    )


def test_edits_return_a_new_document() -> None:
    before = bsm().to_bytes()
    moved = (
        bsm().with_markers([OsimMarker("one", "pelvis", (0.1, 0.2, 0.3))]).renamed("other").with_defaults({"pelvis_ty": 1.0})
    )
    assert (moved.name, list(moved.markers), moved.coordinates["pelvis_ty"].default_si) == ("other", ["one"], 1.0)
    assert moved.markers["one"].position_m == (0.1, 0.2, 0.3)
    assert bsm().to_bytes() == before


def test_a_document_survives_writing_and_reading() -> None:
    again = OsimDocument.from_bytes(bsm().to_bytes())
    assert again.coordinates == bsm().coordinates
    assert again.joints == bsm().joints
    assert again.to_bytes() == bsm().to_bytes()


def test_a_marker_needs_its_body() -> None:
    with pytest.raises(InputError, match="'tail'"):
        bsm().with_markers([OsimMarker("one", "tail", (0.0, 0.0, 0.0))])


def test_meshes_replace_the_old_ones() -> None:
    shown = bsm().with_meshes([Mesh("pelvis", "a.vtp")]).with_meshes([Mesh("pelvis", "b.vtp", (1.0, 2.0, 3.0))])
    text = shown.to_bytes().decode()
    assert "a.vtp" not in text
    assert "<mesh_file>b.vtp</mesh_file>" in text
    assert "<scale_factors>1 2 3</scale_factors>" in text


def test_the_same_content_is_parsed_once_and_a_changed_file_again(tmp_path: Path) -> None:
    path = bsm().write(tmp_path / "model.osim")
    first = as_document(path)
    assert as_document(str(path)) is first
    assert as_document(first) is first
    assert (first.source, as_document(path.read_bytes()).source) == (str(path), "model")
    bsm().renamed("other").write(path)
    assert (first.name, as_document(path).name) == (bsm().name, "other")


def test_a_reversed_joint_is_refused() -> None:
    xml = bsm().to_bytes().decode()
    at = xml.index("<coordinates>", xml.index("<JointSet"))
    reversed_one = xml[:at] + "<reverse>true</reverse>" + xml[at:]
    with pytest.raises(ModelError, match=r"is a reversed joint.*OpenSim's own tool"):
        OsimDocument.from_bytes(reversed_one.encode(), source="r.osim").tree()
    assert OsimDocument.from_bytes(reversed_one.replace(">true<", ">false<", 1).encode(), source="r.osim").tree()
